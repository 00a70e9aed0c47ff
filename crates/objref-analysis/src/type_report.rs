//! The histogram of types.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, Tool};

/// The number of the layout of [`TypeReport`] in JSON; it changes when a field changes its meaning or goes.
pub const TYPES_SCHEMA_VERSION: u32 = 1;

/// What objects are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TypeGroup {
    /// Their type; runs of values of one type are `[]T`, whatever their length.
    #[default]
    Type,
    /// The package that declares the type, of the element if it is made of others.
    Package,
    /// Struct, string, map, closure, ...
    Kind,
}

impl TypeGroup {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            TypeGroup::Type => "type",
            TypeGroup::Package => "package",
            TypeGroup::Kind => "kind",
        }
    }
}

/// What the live objects are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TypeReport {
    /// [`TYPES_SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Who made it.
    pub tool: Tool,
    /// The dump as it was named.
    pub core: String,
    /// What objects are put together by.
    pub group_by: TypeGroup,
    /// All live objects.
    pub live: Amount,
    /// How sure their types are, the surest first.
    pub certainty: Vec<Certain>,
    /// The groups, the biggest first.
    pub rows: Vec<TypeRow>,
    /// How many groups are left out.
    pub left_out: u64,
    /// The objects in them.
    pub left_out_amount: Amount,
    /// Why objects have no type, the most bytes first; empty unless asked for.
    pub unknown: Vec<UnknownRow>,
    /// How many reasons are left out.
    pub unknown_left_out: u64,
}

/// Objects whose type is known that surely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certain {
    /// `exact`, `inferred`, `shape` or `unknown`.
    pub certainty: String,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

/// Objects that are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TypeRow {
    /// The type, the package or the kind; `?` where nothing is known.
    pub name: String,
    /// How much in all.
    #[serde(flatten)]
    pub amount: Amount,
    /// How sure their types are, the surest first.
    pub certainty: Vec<Certain>,
}

/// Objects without a type for the same reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownRow {
    /// Why.
    pub reason: String,
    /// What refers to them: a type or a root, and the reference.
    pub holder: String,
    /// Size of their slots, in bytes.
    pub slot: u64,
    /// How much, with the untyped objects that hang from them.
    #[serde(flatten)]
    pub amount: Amount,
    /// How many of the objects the holder refers to itself.
    pub heads: u64,
    /// The address of one of these.
    pub example: String,
}
