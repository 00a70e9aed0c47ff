//! All that is known of one object.
//!
//! The JSON form is an interface: a field may be added within an [`OBJECT_SCHEMA_VERSION`], but none is renamed,
//! removed or changed in meaning.

use objref_snapshot::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DominatorFacts, ObjectFacts, PathStep, Tool};

/// The version of the JSON form of [`ObjectReport`].
pub const OBJECT_SCHEMA_VERSION: u32 = 1;

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectReport {
    /// [`OBJECT_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump.
    pub core: String,
    /// How many bytes into the object the address is that was asked about.
    pub offset: u64,
    /// The object.
    pub object: ObjectFacts,
    /// What told its type.
    pub told_by: String,
    /// The span that its slot is in.
    pub span: SpanFacts,
    /// How many references it is away from a root; `null` for garbage.
    pub distance: Option<u32>,
    /// What keeps it alive all alone; `null` for garbage.
    pub dominator: Option<DominatorFacts>,
    /// What is in it; `null` if that is not known, or without the core.
    pub value: Option<Value>,
    /// Whether values could be read at all: an index has none.
    pub has_values: bool,
    /// The bytes of its slot in hexadecimal, if they were asked for and are in the dump.
    pub raw: Option<String>,
    /// What it refers to, in the order of its pointers.
    pub refers_to: Vec<PathStep>,
    /// How many references that are.
    pub refers_to_count: u64,
    /// Roots that refer to it.
    pub roots: Vec<Referrer>,
    /// Objects that refer to it, the nearest to a root first.
    pub referred_by: Vec<PathStep>,
    /// How many reachable objects do.
    pub referred_by_count: u64,
}

/// A span of the heap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpanFacts {
    /// The address of its first slot.
    pub start: u64,
    /// How many slots it has.
    pub slots: u64,
    /// The number of its size class, 0 for a large object.
    pub size_class: u8,
    /// Whether its objects have no pointers.
    pub noscan: bool,
}

/// A root that refers to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Referrer {
    /// Its name.
    pub name: String,
    /// How it refers to it.
    pub text: String,
}
