//! What the script is given: columns of numbers and a table of strings, as JSON.

use std::io;

use objref_analysis::{Certain, FrameTree, Metric, PruneOptions, ROOT_FRAME, TypeReport};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::notes::{Fact, Note, facts, notes, origin};
use super::{HtmlReport, HtmlTree};
use crate::colour::colour;
use crate::restore::printable;
use crate::walk::Children;

/// The data is shorter than this, so that the page stays below 5 MB.
const MOST_BYTES: usize = 4_800_000;
/// A frame takes about that much, even when many have the same name.
const LEAST_BYTES: usize = 20;
/// Rows of types at most.
const MOST_TYPES: usize = 2000;
/// Longer names lose their middle.
const LONGEST_NAME: usize = 1000;

/// Everything that is on the page.
#[derive(Serialize)]
struct Data<'a> {
    title: String,
    metric: Metric,
    roots_at_bottom: bool,
    facts: Vec<Fact>,
    origin: Vec<String>,
    notes: Vec<Note>,
    strings: Vec<String>,
    /// The colour of a frame with that name, as `0xrrggbb`.
    colours: Vec<u32>,
    trees: Vec<Tree<'a>>,
    types: Types,
}

/// The frames of a tree, a frame before its children: its depth says whose child it is.
#[derive(Serialize)]
struct Tree<'a> {
    id: &'a str,
    title: &'a str,
    how_to_read: &'a [&'a str],
    depth: Vec<u32>,
    name: Vec<u32>,
    /// Of the frame itself, without those below it.
    bytes: Vec<u64>,
    objects: Vec<u64>,
    /// The frames that stand for others.
    cut: Vec<u32>,
    /// `[frame, how many levels of recursion are folded into it]`
    levels: Vec<(u32, u32)>,
}

/// The histogram of types.
#[derive(Serialize)]
struct Types {
    name: Vec<u32>,
    bytes: Vec<u64>,
    objects: Vec<u64>,
    /// How sure the types are, in words.
    certainty: Vec<u32>,
    left_out: u64,
}

/// The data of the page in JSON that stands for itself inside of a `script` element: as much of the trees and the
/// types as there is room for.
pub(super) fn embedded(report: &HtmlReport<'_>) -> io::Result<String> {
    let trees = report.trees.len().max(1);
    let mut frames = report
        .prune
        .max_frames
        .min(MOST_BYTES / LEAST_BYTES / trees);
    let mut types = MOST_TYPES;
    loop {
        let data = data(report, frames, types);
        let json = in_script(&serde_json::to_string(&data)?);
        if json.len() <= MOST_BYTES || (frames <= 1 && types == 0) {
            return Ok(json);
        }
        (frames, types) = (frames / 2, types / 2);
    }
}

/// JSON that no parser of HTML or JavaScript sees an end or a comment in. None of these characters stands outside
/// of a string there.
fn in_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

fn data<'a>(report: &'a HtmlReport<'_>, max_frames: usize, max_types: usize) -> Data<'a> {
    let mut strings = Strings::default();
    let mut notes = notes(report.summary, report.types);
    let mut trees = Vec::new();
    for tree in &report.trees {
        let shown = tree.tree.prune(&PruneOptions {
            max_frames,
            either: true,
            ..report.prune
        });
        notes.extend(Note::of_picture(tree, &shown));
        trees.push(columns(report, tree, &shown, &mut strings));
    }
    notes.sort_by_key(|note| note.level);
    let types = rows(report.types, max_types, &mut strings);
    Data {
        title: shown(&report.title),
        metric: report.metric,
        roots_at_bottom: report.roots_at_bottom,
        facts: facts(report.summary),
        origin: origin(report.summary),
        notes,
        strings: strings.texts,
        colours: strings.colours,
        trees,
        types,
    }
}

fn columns<'a>(
    report: &HtmlReport<'_>,
    about: &HtmlTree<'a>,
    tree: &FrameTree,
    strings: &mut Strings,
) -> Tree<'a> {
    let totals = tree.totals();
    let (sizes, others) = match report.metric {
        Metric::Bytes => (&totals.bytes, &totals.objects),
        Metric::Objects => (&totals.objects, &totals.bytes),
    };
    // What has nothing by this metric may still have by the other.
    let sizes: Vec<u64> = sizes
        .iter()
        .zip(others)
        .map(|(&size, &other)| size.max(other.min(1)))
        .collect();
    let children = Children::new(tree, &sizes, report.order);
    let mut out = Tree {
        id: about.id,
        title: about.title,
        how_to_read: about.how_to_read,
        depth: Vec::new(),
        name: Vec::new(),
        bytes: Vec::new(),
        objects: Vec::new(),
        cut: Vec::new(),
        levels: Vec::new(),
    };
    let mut pending = vec![(ROOT_FRAME, 0)];
    while let Some((frame, depth)) = pending.pop() {
        let id = out.depth.len() as u32;
        out.depth.push(depth);
        let colour = colour(tree.name(frame), tree.is_cut(frame));
        out.name.push(strings.id(tree.name(frame), colour));
        out.bytes.push(tree.self_bytes(frame));
        out.objects.push(tree.self_objects(frame));
        if tree.is_cut(frame) {
            out.cut.push(id);
        }
        if let Some(levels) = tree.recursion_levels(frame) {
            out.levels.push((id, levels));
        }
        let below = children.of(frame).iter().rev();
        pending.extend(below.map(|&child| (child, depth + 1)));
    }
    out
}

fn rows(types: &TypeReport, most: usize, strings: &mut Strings) -> Types {
    let rows = &types.rows[..types.rows.len().min(most)];
    let left_out = types.left_out + (types.rows.len() - rows.len()) as u64;
    let mut string = |text: &str| strings.id(text, colour(text, false));
    Types {
        name: rows.iter().map(|row| string(&row.name)).collect(),
        bytes: rows.iter().map(|row| row.amount.bytes).collect(),
        objects: rows.iter().map(|row| row.amount.objects).collect(),
        certainty: rows
            .iter()
            .map(|row| string(&certainties(&row.certainty)))
            .collect(),
        left_out,
    }
}

/// `exact`, or `exact, inferred` for a type of which some objects are less sure.
fn certainties(of: &[Certain]) -> String {
    let words: Vec<&str> = of.iter().map(|c| c.certainty.as_str()).collect();
    words.join(", ")
}

/// Each string once.
#[derive(Default)]
struct Strings {
    ids: FxHashMap<String, u32>,
    texts: Vec<String>,
    colours: Vec<u32>,
}

impl Strings {
    /// The number of `text`, whose frames have that colour.
    fn id(&mut self, text: &str, [r, g, b]: [u8; 3]) -> u32 {
        let text = shown(text);
        if let Some(&id) = self.ids.get(&text) {
            return id;
        }
        let id = self.texts.len() as u32;
        self.texts.push(text.clone());
        self.colours.push(u32::from_be_bytes([0, r, g, b]));
        self.ids.insert(text, id);
        id
    }
}

/// `text` as it is shown: printable, and not longer than anybody reads.
fn shown(text: &str) -> String {
    let text: String = text.chars().map(printable).collect();
    let length = text.chars().count();
    if length <= LONGEST_NAME {
        return text;
    }
    let half = LONGEST_NAME / 2;
    let start = text.chars().take(half);
    let end = text.chars().skip(length - half);
    start.chain(['…']).chain(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script() {
        let text = "</script><!--\u{2028}&amp;\u{2029}]]>\"'\\";
        let json = in_script(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn names_are_printable_and_not_endless() {
        assert_eq!(shown("a\x1b[31m\n\u{202e}b"), "a␛[31m␊\u{fffd}b");
        let long = format!("start{}end", "é".repeat(5000));
        let cut = shown(&long);
        assert_eq!(cut.chars().count(), LONGEST_NAME + 1);
        assert!(cut.starts_with("start") && cut.contains('…') && cut.ends_with("end"));
    }

    #[test]
    fn strings_are_kept_once() {
        let mut strings = Strings::default();
        let ids = ["a", "b", "a"].map(|text| strings.id(text, [1, 2, 3]));
        assert_eq!(ids, [0, 1, 0]);
        assert_eq!(strings.colours, [0x01_0203, 0x01_0203]);
    }
}
