//! The report as one HTML page: the trees to walk about in, the tables below, and what the numbers rest on.
//!
//! The page is a file of its own: it loads nothing, and its policy lets it run and look up nothing but the one
//! script and the one style sheet that are inside, by their hashes. Whatever comes from a dump is data in JSON,
//! and the script shows it as text.

mod data;
mod notes;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use objref_analysis::{FrameTree, Metric, PruneOptions, Summary, TypeReport};
use sha2::{Digest, Sha256};

use crate::walk::Order;

/// The page, with marks where the rest goes.
const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
/// The script, from the data up to the page.
const SCRIPT: &str = concat!(
    include_str!("html/model.js"),
    include_str!("html/graph.js"),
    include_str!("html/tables.js"),
    include_str!("html/app.js"),
);

/// What is on the page.
#[derive(Clone, Debug)]
pub struct HtmlReport<'a> {
    /// The headline.
    pub title: String,
    /// The numbers, and what they rest on.
    pub summary: &'a Summary,
    /// The histogram of types.
    pub types: &'a TypeReport,
    /// The trees to switch between, at least one; the first is shown first.
    pub trees: Vec<HtmlTree<'a>>,
    /// What is shown of the trees: they come whole. A page that would become too long shows less.
    pub prune: PruneOptions,
    /// What the width of a frame stands for at first.
    pub metric: Metric,
    /// In which order siblings stand, by that metric, and stay when the other is shown.
    pub order: Order,
    /// The roots at the bottom, as in a flame graph; otherwise at the top, as icicles hang.
    pub roots_at_bottom: bool,
}

/// A tree of frames and what it means.
#[derive(Clone, Copy, Debug)]
pub struct HtmlTree<'a> {
    /// Its name in links to the page.
    pub id: &'a str,
    /// What it is called on the page.
    pub title: &'a str,
    /// How to read it, in paragraphs.
    pub how_to_read: &'a [&'a str],
    /// The tree.
    pub tree: &'a FrameTree,
}

impl<'a> HtmlTree<'a> {
    /// The tree of shortest chains that [`objref_analysis::frame_tree`] makes.
    pub fn shortest_paths(tree: &'a FrameTree) -> Self {
        Self {
            id: "path",
            title: "Held along the shortest path",
            how_to_read: &[
                "From the root to the object. The first row are the roots: variables of the program, functions on \
                 the stacks of goroutines (those that stand in the same place are one frame, ×100 says how many), \
                 and the runtime's own roots in parentheses. Every other frame is a step along a reference: a \
                 field with the type it leads to, [key] and [value] for maps, [] for slices and arrays. What is \
                 not known is ?, with its size class.",
                "The width is what hangs at or below the frame. Each object is counted once, under the shortest \
                 chain of references that holds it.",
                "A width is not what would be freed: an object that two chains hold is drawn under the shorter \
                 one only, and cutting that chain frees nothing.",
                SIGNS,
            ],
            tree,
        }
    }

    /// The tree of immediate dominators, whose sums are retained sizes.
    pub fn dominators(tree: &'a FrameTree) -> Self {
        Self {
            id: "dominator",
            title: "Retained",
            how_to_read: &[
                "From what holds to what it alone holds. Each object is drawn below its immediate dominator: the \
                 last object, or the root, that all chains of references from the roots to it go through.",
                "The width is the retained size: what the collector would free if the frame's own objects went \
                 away, and they themselves.",
                "A step is called by the field if it is the reference that leads there from the frame above. ⋯ *T \
                 are objects that the frame above holds in several ways, or through others. What several roots \
                 hold between them, so that none of them would free it, is in a frame of its own.",
                SIGNS,
            ],
            tree,
        }
    }
}

/// What the signs in either tree are.
const SIGNS: &str = "↻ marks a frame into which recursion was folded: a list of a million nodes is one frame. Grey \
     frames in parentheses stand for what is too small or too deep to be drawn by itself. The colour is the \
     package's, flames for the program's own.";

/// Writes the page.
///
/// It stays below 5 MB, however big the trees are.
///
/// # Errors
///
/// What `out` says.
pub fn html(report: &HtmlReport<'_>, out: &mut dyn Write) -> io::Result<()> {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let data = data::embedded(report)?;
    let mut rest = PAGE;
    for (mark, text) in [
        ("{{policy}}", policy.as_str()),
        ("{{style}}", STYLE),
        ("{{data}}", &data),
        ("{{script}}", SCRIPT),
    ] {
        let (before, after) = rest.split_once(mark).unwrap_or((rest, ""));
        out.write_all(before.as_bytes())?;
        out.write_all(text.as_bytes())?;
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// The name of an inline script or style in a policy.
/// <https://www.w3.org/TR/CSP3/#grammardef-hash-source>
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
