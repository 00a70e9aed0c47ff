//! What retains the most.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, StateCount, Tool};

/// The number of the layout of [`TopReport`] in JSON; it changes when a field changes its meaning or goes.
pub const TOP_SCHEMA_VERSION: u32 = 1;

/// What the rows stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopBy {
    /// A root: a variable, the goroutines that started with one function, a kind of the runtime's.
    #[default]
    Root,
    /// The objects of a type.
    Type,
    /// The objects whose types one package declares.
    Package,
    /// The goroutines that started with one function.
    Goroutine,
    /// An object.
    Object,
}

impl TopBy {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            TopBy::Root => "root",
            TopBy::Type => "type",
            TopBy::Package => "package",
            TopBy::Goroutine => "goroutine",
            TopBy::Object => "object",
        }
    }

    /// Whether the rows are roots, which have no size of their own.
    pub fn is_roots(self) -> bool {
        matches!(self, TopBy::Root | TopBy::Goroutine)
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopSort {
    /// What retains the most bytes.
    #[default]
    Retained,
    /// What has the most bytes itself.
    Shallow,
    /// What has the most objects: of a type or package its own, else those that it retains.
    Objects,
}

/// What retains the most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopReport {
    /// [`TOP_SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Who made it.
    pub tool: Tool,
    /// The dump as it was named.
    pub core: String,
    /// What the rows stand for.
    pub by: TopBy,
    /// What comes first.
    pub sort: TopSort,
    /// Only what this regular expression matches is there.
    pub focus: Option<String>,
    /// What this regular expression matches is not there.
    pub ignore: Option<String>,
    /// All live objects.
    pub live: Amount,
    /// The biggest first; of roots the last row may be what several of them share. All rows of roots, shown or not,
    /// add up to the live objects; those of the others hold each other.
    pub rows: Vec<TopRow>,
    /// What there was no room for.
    pub left_out: Omitted,
    /// What `focus` and `ignore` left out.
    pub filtered: Omitted,
    /// Roots that have no row, since others hold all that they hold, too.
    pub idle_roots: u64,
}

/// Rows that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Omitted {
    /// How many.
    pub rows: u64,
    /// Their sum: of roots what they retain, of others their own objects.
    #[serde(flatten)]
    pub amount: Amount,
}

/// Something, and what the collector would free if it went away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopRow {
    /// The variable, the function, the type.
    pub name: String,
    /// What kind of root it is.
    pub root_kind: Option<String>,
    /// How many goroutines it stands for.
    pub goroutines: u64,
    /// What they do, the most frequent first.
    pub states: Vec<StateCount>,
    /// The longest that one of them has been blocked at least.
    pub longest_wait_ns: Option<u64>,
    /// Its own objects; roots have none.
    pub shallow: Option<Amount>,
    /// All that would be freed, its own objects included. Of a type or package: what each of its objects retains, each
    /// byte once; what only several of them together hold is not in it.
    pub retained: Amount,
    /// Which object it is.
    pub object: Option<TopObject>,
}

/// Which object it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TopObject {
    /// The address of its slot, in hexadecimal.
    pub address: String,
    /// How sure its type is.
    pub certainty: String,
    /// What alone keeps it alive.
    pub held_by: HeldBy,
}

/// What alone keeps an object alive, and is the nearest that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HeldBy {
    /// Another object.
    Object {
        /// The address of its slot, in hexadecimal.
        address: String,
        /// Its type.
        name: String,
        /// How it refers to this one, if it does so itself.
        step: Option<String>,
    },
    /// A root.
    Root {
        /// Its name.
        name: String,
        /// How it refers to this one, if it does so itself.
        step: Option<String>,
    },
    /// Several, which have nothing in common.
    Shared,
}

/// [`TopRow::root_kind`] of what several roots share.
pub(crate) const SHARED_KIND: &str = "shared";

impl TopRow {
    /// Whether the row is no root, but what several share; its place is at the end.
    pub fn is_shared(&self) -> bool {
        self.root_kind.as_deref() == Some(SHARED_KIND)
    }

    /// What can be added up over rows.
    pub(crate) fn additive(&self) -> Amount {
        self.shallow.unwrap_or(self.retained)
    }
}
