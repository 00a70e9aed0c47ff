//! The tree as a profile for `go tool pprof`: gzip'd profile.proto.
//!
//! Field numbers are those of github.com/google/pprof/proto/profile.proto.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use objref_analysis::{FrameTree, Names, ROOT_FRAME, TreeKind};

use crate::protobuf::Message;
use crate::restore::{clean, shown};

/// What a profile says besides its numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PprofOptions {
    /// The program, as it was named.
    pub binary: String,
    /// Its build id, in hex.
    pub build_id: Option<String>,
    /// What the tree is, for the comments on how to read the profile.
    pub tree: TreeKind,
    /// Lines for `go tool pprof -comments`, which come before those on how to read the profile.
    pub comments: Vec<String>,
}

/// The numbers of a sample. The first three names are those of Go's own heap profiles.
const OBJECTS: [&str; 2] = ["inuse_objects", "count"];
const SPACE: [&str; 2] = ["inuse_space", "bytes"];
const RETAINED: [&str; 2] = ["retained_space", "bytes"];

/// The label of samples whose frame has recursion folded into it.
const LEVELS: &str = "recursion_levels";

/// How to read the profile.
fn reading(tree: TreeKind) -> [&'static str; 3] {
    match tree {
        TreeKind::Path => [
            "A stack leads from a root (a variable, the functions of a goroutine) along references to objects.",
            "flat: what hangs directly from a frame. cum: that and what is below; not what would be freed.",
            "Each object is in one stack, the shortest. Frames in parentheses: what is too small to show.",
        ],
        TreeKind::Dominator => [
            "A stack leads from a root (a variable, the functions of a goroutine) to objects that it alone keeps alive.",
            "flat: what hangs directly from a frame. cum: what would be freed with it, frames of one name together.",
            "Each object is in one stack. Frames in parentheses: what is too small to show.",
        ],
    }
}

const READING_RETAINED: &str = "retained_space: flat is what would be freed with the objects of a frame. \
     It does not add up: one object may be in several. Do not read its cum.";

/// Writes `tree` as it is: whoever calls has cut it to a readable size before.
///
/// A frame is a function of its name, without any note on recursion, which is the sample's label
/// `recursion_levels`; a frame with objects of its own is a sample. Sample types are `inuse_objects`,
/// `inuse_space` (the default) and, if the tree knows retained sizes, `retained_space`. Control
/// characters in names become pictures of them.
///
/// # Errors
///
/// What `out` says.
pub fn pprof(tree: &FrameTree, options: &PprofOptions, out: &mut dyn Write) -> io::Result<()> {
    // No file name and no time in the header: the same bytes every time.
    let gzip = GzBuilder::new().write(out, Compression::default());
    let mut profile = Profile {
        out: gzip,
        part: Message::default(),
        strings: Names::default(),
    };
    profile.strings.intern("");
    let retained = tree.retained(ROOT_FRAME).is_some();
    profile.sample_types(retained)?;
    profile.mapping(options)?;
    let mut functions = Names::default();
    // The number of each frame's location, and of its function.
    let locations: Vec<u64> = tree
        .frames()
        .map(|frame| u64::from(functions.intern(tree.name(frame))) + 1)
        .collect();
    profile.samples(tree, &locations)?;
    profile.functions(&functions)?;
    let reading = reading(options.tree)
        .into_iter()
        .chain(retained.then_some(READING_RETAINED));
    profile.comments(options.comments.iter().map(String::as_str).chain(reading))?;
    profile.finish()
}

/// A profile on its way out.
struct Profile<'a> {
    out: GzEncoder<&'a mut dyn Write>,
    part: Message,
    /// The string table, written last.
    strings: Names,
}

impl Profile<'_> {
    fn string(&mut self, text: &str) -> u64 {
        self.strings.intern(&clean(text)).into()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.part.flush(&mut self.out)
    }

    fn sample_types(&mut self, retained: bool) -> io::Result<()> {
        for [name, unit] in [OBJECTS, SPACE]
            .into_iter()
            .chain(retained.then_some(RETAINED))
        {
            let (name, unit) = (self.string(name), self.string(unit));
            let mut value_type = Message::default();
            value_type.number(1, name).number(2, unit);
            self.part.message(1, &value_type);
        }
        let default = self.string(SPACE[0]);
        self.part.number(14, default);
        self.flush()
    }

    fn mapping(&mut self, options: &PprofOptions) -> io::Result<()> {
        let file = self.string(&options.binary);
        let build_id = self.string(options.build_id.as_deref().unwrap_or_default());
        let mut mapping = Message::default();
        mapping.number(1, 1).number(5, file).number(6, build_id);
        // "Has functions", "has files", "has lines", "has inlined frames": pprof is not to look for
        // more of them in the binary, where there are none for these frames.
        (7..=10).for_each(|field| {
            mapping.number(field, 1);
        });
        self.part.message(3, &mapping);
        self.flush()
    }

    fn samples(&mut self, tree: &FrameTree, locations: &[u64]) -> io::Result<()> {
        let levels = self.string(LEVELS);
        let mut stack = Vec::new();
        for frame in tree.frames() {
            let (objects, bytes) = (tree.self_objects(frame), tree.self_bytes(frame));
            if (objects, bytes) == (0, 0) {
                continue;
            }
            stack.clear();
            let mut next = frame;
            while next != ROOT_FRAME {
                stack.push(locations[next as usize]);
                next = tree.parent(next);
            }
            if stack.is_empty() {
                stack.push(locations[ROOT_FRAME as usize]);
            }
            let values = [Some(objects), Some(bytes), tree.retained(frame)];
            let mut sample = Message::default();
            sample
                .packed(1, stack.iter().copied())
                // They are signed numbers there.
                .packed(
                    2,
                    values.into_iter().flatten().map(|v| v.min(i64::MAX as u64)),
                );
            if let Some(n) = tree.recursion_levels(frame) {
                let mut label = Message::default();
                label.number(1, levels).number(3, n.into());
                sample.message(3, &label);
            }
            self.part.message(2, &sample);
            self.flush()?;
        }
        Ok(())
    }

    /// One location for each function.
    fn functions(&mut self, functions: &Names) -> io::Result<()> {
        for id in 1..=functions.len() as u64 {
            let name = self.string(&shown(functions.name(id as u32 - 1)));
            let (mut line, mut at, mut function) =
                (Message::default(), Message::default(), Message::default());
            line.number(1, id);
            at.number(1, id).number(2, 1).message(4, &line);
            // No system name: pprof would take the brackets of `[]T` for those of C++ and drop them.
            function.number(1, id).number(2, name);
            self.part.message(4, &at).message(5, &function);
            self.flush()?;
        }
        Ok(())
    }

    fn comments<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> io::Result<()> {
        let lines: Vec<u64> = lines.map(|line| self.string(line)).collect();
        self.part.packed(13, lines);
        self.flush()
    }

    fn finish(mut self) -> io::Result<()> {
        for id in 0..self.strings.len() as u32 {
            self.part.string(6, self.strings.name(id));
        }
        self.flush()?;
        self.out.finish()?.flush()
    }
}
