//! Who holds an object, the objects of a type, or what a root holds: the answers.
//!
//! The JSON form is an interface: a field may be added within a [`WHY_SCHEMA_VERSION`], but none is renamed, removed or
//! changed in meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, Tool};

/// The version of the JSON form of [`Why`].
pub const WHY_SCHEMA_VERSION: u32 = 1;

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// [`WHY_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump.
    pub core: String,
    /// What was left out: `weak`, `finalizer`, `pool`.
    pub excluded: Vec<String>,
    /// What was found.
    pub answer: Answer,
}

/// What was found, by what was asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "about", rename_all = "lowercase")]
pub enum Answer {
    /// About an object.
    Object(WhyObject),
    /// About all objects of a type.
    Type(WhyType),
    /// About a root.
    Root(WhyRoot),
}

/// Who holds an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyObject {
    /// How many bytes into the object the address is that was asked about.
    pub offset: u64,
    /// The object.
    pub object: ObjectFacts,
    /// What keeps it alive all alone; `null` if nothing keeps it alive.
    pub dominator: Option<DominatorFacts>,
    /// How many different paths were wanted.
    pub wanted: u64,
    /// Paths that have no root and no object in common but the last, the shortest first.
    pub paths: Vec<HoldingPath>,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectFacts {
    /// The address of its slot.
    pub address: u64,
    /// Its type in Go syntax, `?` if unknown.
    pub type_name: String,
    /// How sure that is.
    pub certainty: String,
    /// The size of its slot in bytes.
    pub size: u64,
    /// The bytes that the collector would free if it went away, its own included.
    pub retained: u64,
}

/// What keeps an object alive all alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DominatorFacts {
    /// Another object.
    Object(ObjectFacts),
    /// A root.
    Root {
        /// Its name.
        name: String,
        /// The bytes that it keeps alive.
        retained: u64,
    },
    /// Several, which have nothing in common.
    Shared,
}

/// A chain of references from a root to an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldingPath {
    /// Where it starts.
    pub root: RootFacts,
    /// How many references it has, that of the root included.
    pub references: u64,
    /// The references, in order.
    pub steps: Vec<PathStep>,
    /// Long chains lack some in the middle.
    pub left_out: Option<LeftOut>,
}

/// What a chain lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// After this many steps.
    pub after: u64,
    /// So many are left out.
    pub steps: u64,
}

/// A root.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RootFacts {
    /// `main.cache`, `main.serve()`, `(finalizer)`.
    pub name: String,
    /// What kind of root.
    pub kind: String,
    /// The number of the goroutine on whose stack it is.
    pub goroutine: Option<u64>,
    /// Of a function on stacks: how many goroutines stand there.
    pub goroutines: u64,
    /// Of a function on stacks: its callers, the first function of the goroutine first.
    pub callers: Vec<String>,
    /// Whether the word only may be a pointer.
    pub conservative: bool,
}

/// A reference, and the object that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathStep {
    /// How the one before refers to it, as in the picture; empty between two parts of one Go value.
    pub text: String,
    /// The object.
    #[serde(flatten)]
    pub object: ObjectFacts,
}

/// Who holds all objects of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyType {
    /// The types' names.
    pub names: Vec<String>,
    /// How many objects of these there are.
    pub amount: Amount,
    /// The bytes that they keep alive together.
    pub retained: u64,
    /// Of `amount`: what only that holds which was excluded.
    pub excluded: Amount,
    /// Who holds them, most bytes first.
    pub groups: Vec<HolderGroup>,
    /// How many more there are.
    pub groups_left_out: u64,
    /// What these hold.
    pub left_out: Amount,
}

/// Objects of a type that are held in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HolderGroup {
    /// The holder's type and the way to the objects, or the root: `main.Store.byName[value] *main.Session`.
    pub holder: String,
    /// How many.
    pub amount: Amount,
    /// The bytes that they keep alive together.
    pub retained: u64,
    /// The way to the first of them.
    pub example: HoldingPath,
}

/// What a root holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhyRoot {
    /// The root.
    pub name: String,
    /// What kind of root.
    pub kind: String,
    /// How many of that name there are: functions on different stacks.
    pub places: u64,
    /// The bytes that the collector would free without it.
    pub retained: u64,
    /// What the shortest paths lead to that start there.
    pub holds: Amount,
    /// What it refers to itself, most retained bytes first.
    pub references: Vec<PathStep>,
    /// How many more there are.
    pub left_out: u64,
}
