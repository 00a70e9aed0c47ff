//! A tree of frames for programs.
//!
//! The JSON form is an interface, as that of [`Summary`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Diagnostic, FrameTree, ROOT_FRAME, Summary, Tool};

/// The version of the JSON form of [`TreeReport`].
pub const TREE_SCHEMA_VERSION: u32 = 1;

/// Under what a tree has an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TreeKind {
    /// Under the shortest chain of references that holds it.
    #[default]
    Path,
    /// Under what alone keeps it alive: a frame's total is what would be freed with it.
    Dominator,
}

/// Who keeps what alive, each live object once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeReport {
    /// [`TREE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump, as it was named.
    pub core: String,
    /// Under what an object is.
    pub tree: TreeKind,
    /// The frames. The first one holds all others, and parents come before their children.
    pub frames: Vec<TreeFrame>,
    /// What went wrong without stopping us, by code.
    pub diagnostics: Vec<Diagnostic>,
}

/// A root, a function on a stack, or a step along a reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeFrame {
    /// The index of the frame above; `null` for the first one.
    pub parent: Option<u32>,
    /// Its name.
    pub name: String,
    /// Bytes of the objects that hang directly from it.
    pub bytes: u64,
    /// The number of these objects.
    pub objects: u64,
    /// `bytes` with those of all frames below.
    pub total_bytes: u64,
    /// `objects` with those of all frames below.
    pub total_objects: u64,
    /// Bytes that would be freed if the objects that hang directly from it went away; `null` if not
    /// known. These do not add up: one object may be in the sizes of several frames.
    pub retained_bytes: Option<u64>,
    /// Over how many levels of references its objects lie, if recursion was folded into it.
    pub recursion_levels: Option<u32>,
    /// Whether it stands for frames that were cut off, being too small or too deep.
    pub stands_for_others: bool,
}

impl TreeReport {
    /// All frames of `tree`, which is of the dump that `summary` is about.
    pub fn new(tree: &FrameTree, kind: TreeKind, summary: &Summary) -> Self {
        let totals = tree.totals();
        let frame = |frame: u32| TreeFrame {
            parent: (frame != ROOT_FRAME).then(|| tree.parent(frame)),
            name: tree.name(frame).to_owned(),
            bytes: tree.self_bytes(frame),
            objects: tree.self_objects(frame),
            total_bytes: totals.bytes[frame as usize],
            total_objects: totals.objects[frame as usize],
            retained_bytes: tree.retained(frame),
            recursion_levels: tree.recursion_levels(frame),
            stands_for_others: tree.is_cut(frame),
        };
        Self {
            schema_version: TREE_SCHEMA_VERSION,
            tool: summary.tool.clone(),
            core: summary.core.path.clone(),
            tree: kind,
            frames: tree.frames().map(frame).collect(),
            diagnostics: summary.diagnostics.clone(),
        }
    }
}
