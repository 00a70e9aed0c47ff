//! How is it shown? Plain structs to bytes.
//!
//! Every report is a function from the structs of `objref-analysis` to a writer, and gives the same
//! bytes for the same input: no clock, no random colours, no order that depends on a hash map.
//!
//! - [`flame_svg`]: the reference flame graph, one self-contained SVG.
//! - [`folded()`]: the same as lines for other flame graph tools.
//! - [`html()`]: trees, tables and what the numbers rest on, as one page to walk about in.
//! - [`pprof()`]: as a profile for `go tool pprof`.
//! - [`speedscope()`]: as profiles for speedscope.app.
//! - [`dot()`]: small graphs for graphviz; [`frame_graph`] makes one of a tree.
//! - [`summary_text`]: the page of numbers.
//! - [`goroutines_text`]: the goroutines.
//! - [`types_text`]: the histogram of types.
//! - [`top_text`]: what retains the most.
//! - [`tree_text`]: the dominator tree, unfolded.
//! - [`object_text`]: one object, with what is in it.
//! - [`why_text`]: who holds an object, or all of a type, and what a root holds.
//! - [`diff_text`]: what has changed from one dump to the next; [`diff_svg`] and [`diff_folded`]: the same as frames.
//! - [`verify_text`]: the checks against the runtime's own evidence.
//! - [`check_text`], [`markdown()`], [`github()`], [`junit()`], [`sarif()`]: whether a policy's rules hold.
//! - [`json()`]: any of these structs for programs.
//! - [`ObjectsTsv`]: one line per object, as they come.

mod check;
mod colour;
mod diff;
mod diff_flame;
mod dot;
mod flame;
mod folded;
mod goroutines;
mod html;
mod json;
mod object;
mod objects;
mod pprof;
mod protobuf;
mod restore;
mod speedscope;
mod summary;
mod text;
mod top;
mod tree;
mod types;
mod verify;
mod walk;
mod why;
mod why_graph;

pub use check::{check_text, github, junit, markdown, sarif};
pub use diff::diff_text;
pub use diff_flame::{diff_folded, diff_svg};
pub use dot::{DotEdge, DotGraph, DotNode, dot, frame_graph};
pub use flame::{FlameOptions, flame_svg};
pub use folded::{SEMICOLON, folded};
pub use goroutines::goroutines_text;
pub use html::{HtmlReport, HtmlTree, html};
pub use json::json;
pub use object::object_text;
pub use objects::ObjectsTsv;
pub use pprof::{PprofOptions, pprof};
pub use restore::printable;
pub use speedscope::speedscope;
pub use summary::summary_text;
pub use text::TextOptions;
pub use top::top_text;
pub use tree::tree_text;
pub use types::types_text;
pub use verify::verify_text;
pub use walk::Order;
pub use why::why_text;
pub use why_graph::why_graph;
