//! The reference flame graph as an SVG.

use std::io::{self, BufWriter, Write};

use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Direction, Options, TextTruncateDirection};
use objref_analysis::{FrameTree, Metric, ROOT_FRAME, Totals, iec, thousands};

use crate::colour::colour;
use crate::restore::{NOTE, Restore, clean, disguise, mark};
use crate::walk::{self, Order};

/// The frame of what hangs directly from the root of the tree.
const NO_FRAME: u32 = u32::MAX;

/// How the picture looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlameOptions {
    /// The headline.
    pub title: String,
    /// The line below it.
    pub subtitle: Option<String>,
    /// A comment inside the file.
    pub notes: String,
    /// What the width of a frame stands for.
    pub metric: Metric,
    /// The roots at the bottom, as in a flame graph; otherwise at the top, as icicles hang.
    pub roots_at_bottom: bool,
    /// In which order siblings stand.
    pub order: Order,
    /// The width in pixels; `None` fills the window.
    pub width: Option<usize>,
    /// Whether the picture can be searched and zoomed.
    pub script: bool,
}

impl Default for FlameOptions {
    fn default() -> Self {
        Self {
            title: "objref".to_owned(),
            subtitle: None,
            notes: String::new(),
            metric: Metric::Bytes,
            roots_at_bottom: false,
            order: Order::Size,
            width: None,
            script: true,
        }
    }
}

/// Draws `tree` as it is: whoever calls has cut it to a readable size before.
///
/// The file is self-contained. The width of every frame is its total by the metric, those of the
/// first level add up to the whole. A frame's title (shown on hover, searched by its search) has
/// its bytes, exact and rounded, its objects, and its share.
///
/// # Errors
///
/// What `out` says; [`io::ErrorKind::InvalidData`] if the tree has nothing in it by this metric.
pub fn flame_svg(tree: &FrameTree, options: &FlameOptions, out: &mut dyn Write) -> io::Result<()> {
    let totals = tree.totals();
    let look = Plain {
        tree,
        totals,
        metric: options.metric,
    };
    draw(tree, options, &look, out)
}

/// What there is to see of a frame beyond its name and its width.
pub(crate) trait Look {
    /// Its colour.
    fn colour(&self, frame: u32) -> [u8; 3];

    /// A number for the colour, at most 20: what has the same name and the same number has the same colour.
    fn mark(&self, frame: u32) -> usize;

    /// What follows the count in its title; `None` is what hangs directly from the root of the tree. No parentheses:
    /// the script takes what is in the last ones off when it prints a title into its frame.
    fn note(&self, frame: Option<u32>) -> String;
}

/// A colour for each name.
struct Plain<'a> {
    tree: &'a FrameTree,
    totals: Totals,
    metric: Metric,
}

impl Look for Plain<'_> {
    fn colour(&self, frame: u32) -> [u8; 3] {
        colour(self.tree.name(frame), self.tree.is_cut(frame))
    }

    fn mark(&self, _frame: u32) -> usize {
        0
    }

    fn note(&self, frame: Option<u32>) -> String {
        let (bytes, objects) = match frame {
            None => (
                self.tree.self_bytes(ROOT_FRAME),
                self.tree.self_objects(ROOT_FRAME),
            ),
            Some(frame) => (
                self.totals.bytes[frame as usize],
                self.totals.objects[frame as usize],
            ),
        };
        note(self.metric, bytes, objects)
    }
}

/// Draws `tree` with that look.
pub(crate) fn draw(
    tree: &FrameTree,
    options: &FlameOptions,
    look: &dyn Look,
    out: &mut dyn Write,
) -> io::Result<()> {
    let picture = Picture::new(tree, options, look)?;
    let frame = |&frame: &u32| (frame != NO_FRAME).then_some(frame);
    let escape = |note: String| note.replace('&', "&amp;").replace('<', "&lt;");
    let notes = picture
        .closing
        .iter()
        .map(|at| escape(look.note(frame(at))));

    let mut palette = picture.palette;
    let mut svg = Options::default();
    svg.title = clean(&options.title);
    svg.subtitle = options.subtitle.as_deref().map(clean);
    // Two hyphens would end the comment that this goes into.
    svg.notes = clean(&options.notes).replace("--", "- -");
    svg.direction = if options.roots_at_bottom {
        Direction::Straight
    } else {
        Direction::Inverted
    };
    svg.count_name = NOTE.to_string();
    svg.name_type = "Frame:".to_owned();
    svg.image_width = options.width;
    svg.text_truncate_direction = TextTruncateDirection::Right;
    svg.bgcolors = Some(BackgroundColor::Flat(Color {
        r: 250,
        g: 250,
        b: 250,
    }));
    svg.palette_map = Some(&mut palette);
    svg.deterministic = true;
    svg.no_javascript = !options.script;
    // Nothing is too narrow: what is small has been cut before, into frames that say so.
    svg.min_width = 0.0;
    // The mode that leaves the order of the lines alone, save that it starts with the last.
    svg.flame_chart = true;

    let mut out = BufWriter::new(Restore::new(out, notes));
    inferno::flamegraph::from_lines(&mut svg, picture.lines.lines().rev(), &mut out)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// What follows the count in a frame's title.
fn note(metric: Metric, bytes: u64, objects: u64) -> String {
    let plural = if objects == 1 { "" } else { "s" };
    let size = if bytes < 1024 {
        String::new()
    } else {
        format!(" = {}", iec(bytes))
    };
    match metric {
        Metric::Bytes => format!("bytes{size}, {} object{plural}", thousands(objects)),
        Metric::Objects => format!("object{plural}, {} bytes{size}", thousands(bytes)),
    }
}

/// What inferno is given, and what we need to know about what it makes of that.
struct Picture {
    /// One line per frame with a value of its own.
    lines: String,
    /// The frames in the order in which inferno draws them.
    closing: Vec<u32>,
    /// A colour for every name.
    palette: PaletteMap,
}

impl Picture {
    fn new(tree: &FrameTree, options: &FlameOptions, look: &dyn Look) -> io::Result<Self> {
        let values = walk::totals(tree, options.metric);
        let mut picture = Self {
            lines: String::new(),
            closing: Vec::new(),
            palette: PaletteMap::default(),
        };
        let disguised = picture.names(tree, look);
        // inferno's own name for the frame of all, whose colour it would draw by lot.
        let [r, g, b] = look.colour(ROOT_FRAME);
        picture.palette.insert("", Color { r, g, b });

        let mut open: Vec<u32> = Vec::new();
        walk::walk(
            tree,
            &values,
            options.metric,
            options.order,
            |path, value| {
                let last = std::mem::replace(&mut open, path.to_vec());
                if path.len() == 1 {
                    disguise("(held by no frame)", &mut picture.lines);
                    open.push(NO_FRAME);
                }
                picture.close(&last, &open);
                for (i, &frame) in path.iter().skip(1).enumerate() {
                    if i > 0 {
                        picture.lines.push(';');
                    }
                    picture.lines.push_str(&disguised[frame as usize]);
                }
                picture.lines.push_str(&format!(" {value}\n"));
                Ok::<_, io::Error>(())
            },
        )?;
        picture.close(&open, &[]);

        if picture.lines.is_empty() {
            let nothing = format!("nothing to draw: no {} in the tree", options.metric.name());
            return Err(io::Error::new(io::ErrorKind::InvalidData, nothing));
        }
        Ok(picture)
    }

    /// The names of all frames as inferno gets them, each with its colour.
    fn names(&mut self, tree: &FrameTree, look: &dyn Look) -> Vec<String> {
        tree.frames()
            .map(|frame| {
                let mut name = String::new();
                disguise(&tree.label(frame), &mut name);
                if name.is_empty() {
                    name.push('?');
                }
                mark(look.mark(frame), &mut name);
                if self.palette.get(&name).is_none() {
                    let [r, g, b] = look.colour(frame);
                    self.palette.insert(&name, Color { r, g, b });
                }
                name
            })
            .collect()
    }

    /// Between two paths, inferno draws the frames of the first that the second does not share, the
    /// outermost first.
    fn close(&mut self, last: &[u32], next: &[u32]) {
        let shared = last.iter().zip(next).take_while(|(a, b)| a == b).count();
        self.closing.extend_from_slice(&last[shared..]);
    }
}
