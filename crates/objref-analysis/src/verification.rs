//! What checking the graph against the runtime's own evidence says.
//!
//! The JSON form is an interface, as that of [`Summary`](crate::Summary).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Tool;

/// The version of the JSON form of [`Verification`].
pub const VERIFY_SCHEMA_VERSION: u32 = 1;

/// The graph against the runtime's own evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// [`VERIFY_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump, as it was named.
    pub core: String,
    /// How many checks found a contradiction.
    pub contradictions: u64,
    /// What was checked.
    pub checks: Vec<Check>,
    /// Frames that were scanned conservatively.
    pub conservative_frames: Vec<ConservativeFrames>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it must be.
    #[default]
    Holds,
    /// The graph and the runtime contradict each other.
    Contradicts,
    /// Nothing that must be wrong, but worth a look.
    Note,
    /// The dump was taken at a moment at which this cannot be checked.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// A stable name.
    pub code: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, in words.
    pub text: String,
    /// The objects, slots, spans or pointers that it is about.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One object that a check is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Example {
    /// Its address.
    pub address: u64,
    /// Its type in Go syntax, or what else can be said of it.
    pub type_name: String,
    /// The size of its slot.
    pub bytes: u64,
    /// The way from a root: the root, then each step; empty if there is none.
    pub path: Vec<String>,
}

/// What is scanned conservatively.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scanned {
    /// A frame.
    #[default]
    Frame,
    /// A whole stack, which could not be unwound.
    Stack,
    /// The system stack that a thread was on.
    SystemStack,
}

/// What was scanned conservatively: frames of one function at one line, or stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConservativeFrames {
    /// What it is.
    pub what: Scanned,
    /// The function and its line, of a frame.
    pub at: crate::Frame,
    /// How many there are.
    pub count: u64,
    /// The number of the first goroutine with one; 0 if there is none.
    pub goroutine: u64,
}
