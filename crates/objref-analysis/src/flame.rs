//! The frames of a flame graph, merged as they come.
//!
//! An object's chain of references is a path of names; equal paths share their frames. A frame's own
//! value is what hangs directly from it; what is below it is added up by [`FrameTree::totals`].
//!
//! **Recursion is folded while the tree grows**: no name occurs twice on a path below a barrier. A
//! step that would repeat a name leads back to the frame that has it already, so a list of a million
//! nodes, chained by `next`, is one frame:
//!
//! ```text
//! main.head           main.head
//!   next *node          next *node  ↻ 1,000,000 levels deep
//!     next *node
//!       ...
//! ```
//!
//! Frames of the root part of a path (a variable; the functions of a stack) are closed off by
//! [`FrameTree::set_barrier`], so that no reference ever folds back into them.
//!
//! A frame may also know its retained size. **That one does not add up**: what one frame retains may
//! be retained by another one above, below or beside it, so it is carried, never summed into parents.
//! (If the tree is the dominator tree, what a frame retains is its total of bytes.)

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::{Names, thousands};

/// The frame that holds all others, named `all`.
pub const ROOT_FRAME: u32 = 0;

/// What is in a frame and everything below it. One entry per frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Bytes.
    pub bytes: Vec<u64>,
    /// Objects.
    pub objects: Vec<u64>,
}

impl Totals {
    /// The part of the whole that each frame is, in bytes or in objects, whichever is more: 0 to 2^32. As with
    /// either measure alone, no frame has more than the one above it.
    pub(crate) fn bigger_shares(&self) -> Vec<u64> {
        let share = |values: &[u64], frame: usize| {
            let whole = u128::from(values[ROOT_FRAME as usize].max(1));
            ((u128::from(values[frame]) << 32) / whole) as u64
        };
        (0..self.bytes.len())
            .map(|frame| share(&self.bytes, frame).max(share(&self.objects, frame)))
            .collect()
    }
}

/// The distances from a root at which a frame's own objects were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The least.
    pub min: u32,
    /// The greatest.
    pub max: u32,
}

impl Levels {
    const NONE: Self = Self {
        min: u32::MAX,
        max: 0,
    };

    /// How many levels lie between the first and the last, both included; 0 when there are none.
    pub fn count(self) -> u32 {
        if self.min > self.max {
            0
        } else {
            (self.max - self.min).saturating_add(1)
        }
    }
}

const BARRIER: u8 = 1;
const FOLDED: u8 = 2;
const CUT: u8 = 4;

/// A tree of named frames in flat vectors. A frame's parent always has a smaller id.
#[derive(Clone, Debug)]
pub struct FrameTree {
    names: Names,
    parent: Vec<u32>,
    name: Vec<u32>,
    bytes: Vec<u64>,
    objects: Vec<u64>,
    levels: Vec<Levels>,
    flags: Vec<u8>,
    /// May be shorter than the others; empty as long as nothing is known.
    retained: Vec<u64>,
    /// `(parent, name)` to the child, or to the ancestor that it was folded into.
    steps: FxHashMap<(u32, u32), u32>,
}

impl Default for FrameTree {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameTree {
    /// A tree with nothing but [`ROOT_FRAME`].
    pub fn new() -> Self {
        Self::with_names(Names::default())
    }

    /// A tree whose names have been interned before.
    pub fn with_names(mut names: Names) -> Self {
        let all = names.intern("all");
        Self {
            names,
            parent: vec![ROOT_FRAME],
            name: vec![all],
            bytes: vec![0],
            objects: vec![0],
            levels: vec![Levels::NONE],
            flags: vec![BARRIER],
            retained: Vec::new(),
            steps: FxHashMap::default(),
        }
    }

    /// The id of `name`, for [`FrameTree::child`].
    pub fn intern(&mut self, name: &str) -> u32 {
        self.names.intern(name)
    }

    /// The frame for the step `name` below `parent`: the child of that name, the ancestor of that
    /// name that the step recurses into, or else a new child.
    pub fn child(&mut self, parent: u32, name: u32) -> u32 {
        if let Some(&frame) = self.steps.get(&(parent, name)) {
            return frame;
        }
        let frame = match self.recursion(parent, name) {
            Some(ancestor) => {
                self.flags[ancestor as usize] |= FOLDED;
                ancestor
            }
            None => self.push(parent, name),
        };
        self.steps.insert((parent, name), frame);
        frame
    }

    /// The frame on the way from `frame` up to the next barrier that is called `name`.
    fn recursion(&self, mut frame: u32, name: u32) -> Option<u32> {
        while self.flags[frame as usize] & BARRIER == 0 {
            if self.name[frame as usize] == name {
                return Some(frame);
            }
            frame = self.parent[frame as usize];
        }
        None
    }

    fn push(&mut self, parent: u32, name: u32) -> u32 {
        let frame = u32::try_from(self.parent.len()).expect("fewer than 2^32 frames");
        self.parent.push(parent);
        self.name.push(name);
        self.bytes.push(0);
        self.objects.push(0);
        self.levels.push(Levels::NONE);
        self.flags.push(0);
        frame
    }

    /// Closes the root part of a path: steps below `frame` do not fold into it or its ancestors.
    pub fn set_barrier(&mut self, frame: u32) {
        self.flags[frame as usize] |= BARRIER;
    }

    /// Adds to a frame's own value `objects` objects of `bytes` bytes in all, `level` steps away
    /// from the root that holds them.
    pub fn add(&mut self, frame: u32, bytes: u64, objects: u64, level: u32) {
        let frame = frame as usize;
        self.bytes[frame] += bytes;
        self.objects[frame] += objects;
        let levels = &mut self.levels[frame];
        levels.min = levels.min.min(level);
        levels.max = levels.max.max(level);
    }

    /// Adds to what a frame retains: bytes that the collector would free if the objects that hang
    /// directly from it went away. Where one of these objects retains another one, the caller adds the
    /// first only. A single call makes the sizes of all frames known: 0 where nothing is added.
    pub fn add_retained(&mut self, frame: u32, bytes: u64) {
        let frame = frame as usize;
        if self.retained.len() <= frame {
            self.retained.resize(frame + 1, 0);
        }
        self.retained[frame] = self.retained[frame].saturating_add(bytes);
    }

    /// How many frames there are, [`ROOT_FRAME`] included.
    pub fn len(&self) -> usize {
        self.parent.len()
    }

    /// Whether there is nothing but [`ROOT_FRAME`].
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// All frames, parents before children.
    pub fn frames(&self) -> std::ops::Range<u32> {
        0..self.len() as u32
    }

    /// The frame above; [`ROOT_FRAME`] is its own parent.
    pub fn parent(&self, frame: u32) -> u32 {
        self.parent[frame as usize]
    }

    /// The frame's name, without any note on recursion.
    pub fn name(&self, frame: u32) -> &str {
        self.names.name(self.name[frame as usize])
    }

    /// The names of all frames.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The frame's name; when recursion was folded into it, also how many levels deep it goes.
    pub fn label(&self, frame: u32) -> Cow<'_, str> {
        match self.recursion_levels(frame) {
            Some(levels) => Cow::Owned(format!(
                "{} ↻ {} levels deep",
                self.name(frame),
                thousands(levels.into())
            )),
            None => Cow::Borrowed(self.name(frame)),
        }
    }

    /// Over how many levels the frame's own objects lie, when recursion was folded into it.
    pub fn recursion_levels(&self, frame: u32) -> Option<u32> {
        let levels = self.levels[frame as usize].count();
        (self.flags[frame as usize] & FOLDED != 0 && levels > 1).then_some(levels)
    }

    /// At which distances the frame's own objects were found; `None` when it has none.
    pub fn levels(&self, frame: u32) -> Option<Levels> {
        let levels = self.levels[frame as usize];
        (levels.count() > 0).then_some(levels)
    }

    /// The bytes that hang directly from the frame.
    pub fn self_bytes(&self, frame: u32) -> u64 {
        self.bytes[frame as usize]
    }

    /// The objects that hang directly from the frame.
    pub fn self_objects(&self, frame: u32) -> u64 {
        self.objects[frame as usize]
    }

    /// The bytes that would be freed with the objects that hang directly from the frame; `None` if
    /// retained sizes are not known. Of frames that stand for others it is the sum of theirs.
    pub fn retained(&self, frame: u32) -> Option<u64> {
        let known = !self.retained.is_empty();
        known.then(|| self.retained.get(frame as usize).copied().unwrap_or(0))
    }

    /// Whether the frame stands for others that [`FrameTree::prune`] has cut off.
    pub fn is_cut(&self, frame: u32) -> bool {
        self.flags[frame as usize] & CUT != 0
    }

    /// What is in each frame and below it.
    pub fn totals(&self) -> Totals {
        let (mut bytes, mut objects) = (self.bytes.clone(), self.objects.clone());
        for frame in (1..self.len()).rev() {
            let parent = self.parent[frame] as usize;
            bytes[parent] += bytes[frame];
            objects[parent] += objects[frame];
        }
        Totals { bytes, objects }
    }

    /// The frame below `parent` that has the name of `frame` in `from`, made if it is not there: with its notes, and
    /// without a value.
    pub(crate) fn join(&mut self, parent: u32, from: &Self, frame: u32) -> u32 {
        let name = self.names.intern(from.name(frame));
        let joined = match self.steps.get(&(parent, name)) {
            Some(known) => *known,
            None => {
                let new = self.push(parent, name);
                self.steps.insert((parent, name), new);
                new
            }
        };
        let (to, frame) = (joined as usize, frame as usize);
        self.flags[to] |= from.flags[frame];
        let (levels, theirs) = (&mut self.levels[to], from.levels[frame]);
        levels.min = levels.min.min(theirs.min);
        levels.max = levels.max.max(theirs.max);
        joined
    }

    /// Makes a frame's own value at least this.
    pub(crate) fn raise(&mut self, frame: u32, bytes: u64, objects: u64) {
        let frame = frame as usize;
        self.bytes[frame] = self.bytes[frame].max(bytes);
        self.objects[frame] = self.objects[frame].max(objects);
    }

    /// Copies `frame` of `from` below `parent`, with its own value and notes.
    pub(crate) fn push_copy(&mut self, parent: u32, from: &Self, frame: u32) -> u32 {
        let name = self.names.intern(from.name(frame));
        let copy = self.push(parent, name);
        let (to, frame) = (copy as usize, frame as usize);
        self.bytes[to] = from.bytes[frame];
        self.objects[to] = from.objects[frame];
        self.levels[to] = from.levels[frame];
        self.flags[to] = from.flags[frame];
        if let Some(retained) = from.retained(frame as u32) {
            self.add_retained(copy, retained);
        }
        self.steps.insert((parent, name), copy);
        copy
    }

    /// Adds the value that [`ROOT_FRAME`] itself has in `from`.
    pub(crate) fn copy_root(&mut self, from: &Self) {
        self.bytes[0] = from.bytes[0];
        self.objects[0] = from.objects[0];
        self.levels[0] = from.levels[0];
        if let Some(retained) = from.retained(ROOT_FRAME) {
            self.add_retained(ROOT_FRAME, retained);
        }
    }

    /// Adds a frame that stands for others.
    pub(crate) fn push_cut(&mut self, parent: u32, name: &str, bytes: u64, objects: u64) -> u32 {
        let name = self.names.intern(name);
        let frame = self.push(parent, name);
        self.bytes[frame as usize] = bytes;
        self.objects[frame as usize] = objects;
        self.flags[frame as usize] = CUT;
        frame
    }
}
