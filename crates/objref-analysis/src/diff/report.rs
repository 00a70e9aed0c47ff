//! What a comparison of dumps says.
//!
//! The JSON form is an interface, as that of [`Summary`](crate::Summary): fields may be added within a
//! [`DIFF_SCHEMA_VERSION`], but none is renamed, removed or changed in meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, Diagnostic, Heap, Metric, Tool};

/// The version of the JSON form of [`DiffReport`].
pub const DIFF_SCHEMA_VERSION: u32 = 1;

/// What has changed from one dump to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffReport {
    /// [`DIFF_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// By what rows are sorted.
    pub metric: Metric,
    /// The dumps, in the order in which they were named.
    pub dumps: Vec<DiffDump>,
    /// From each dump to the next.
    pub steps: Vec<DiffStep>,
    /// Of the live heap, from the first dump to the last.
    pub growth: Change,
    /// What became of the objects, if two dumps of one process were compared.
    pub fates: Option<Fates>,
    /// Objects by type.
    pub types: DiffTable,
    /// Objects by the root that their shortest path starts at: a variable, a function that goroutines started with,
    /// something in the runtime.
    pub roots: DiffTable,
    /// Objects by all names of their shortest path.
    pub paths: DiffTable,
    /// Goroutines by stack and state, without those of the runtime.
    pub goroutines: DiffGoroutines,
}

/// A dump in a comparison.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DiffDump {
    /// The core that it is of, as it was named.
    pub core: String,
    /// The command line of its process.
    pub command: Option<String>,
    /// The process id.
    pub pid: Option<u64>,
    /// The Go version of the program.
    pub go_version: String,
    /// The linker's build id, or else the Go toolchain's.
    pub build_id: Option<String>,
    /// The heap.
    pub heap: Heap,
    /// Goroutines that are alive, those of the runtime included.
    pub goroutines: u64,
    /// Completed cycles of the collector.
    pub num_gc: Option<u64>,
    /// What has to be said with every number.
    pub diagnostics: Vec<Diagnostic>,
}

/// How two dumps belong together.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Different programs, compared all the same.
    #[default]
    OtherProgram,
    /// Two builds of one program.
    OtherBuild,
    /// Two runs of one build.
    OtherProcess,
    /// One process at two times.
    SameProcess,
}

impl Relation {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Relation::SameProcess => "the same process at two times",
            Relation::OtherProcess => "two processes of one build",
            Relation::OtherBuild => "two builds of one program",
            Relation::OtherProgram => "two programs",
        }
    }
}

/// How sure something is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// Somebody said so.
    #[default]
    Told,
    /// Something speaks for it and nothing against it.
    Likely,
    /// It cannot be otherwise.
    Certain,
}

impl Sureness {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Sureness::Certain => "certain",
            Sureness::Likely => "likely",
            Sureness::Told => "as you said",
        }
    }
}

/// From one dump to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffStep {
    /// How the two belong together.
    pub relation: Relation,
    /// How sure that is.
    pub sureness: Sureness,
    /// Why, one reason each.
    pub reasons: Vec<String>,
    /// The time in between, of one process.
    pub elapsed_ns: Option<u64>,
    /// Cycles of the collector that began and ended in between, of one process. Without one no slot was reused.
    pub collections: Option<u64>,
    /// Whether the first of the two is the later one.
    pub backwards: bool,
    /// Of the live heap.
    pub growth: Change,
}

/// More or less of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Bytes.
    pub bytes: i64,
    /// Objects.
    pub objects: i64,
}

impl Change {
    /// From one amount to another.
    pub fn between(before: Amount, after: Amount) -> Self {
        let less =
            |a: u64, b: u64| i64::try_from(i128::from(b) - i128::from(a)).unwrap_or(i64::MAX);
        Change {
            bytes: less(before.bytes, after.bytes),
            objects: less(before.objects, after.objects),
        }
    }

    /// By a measure.
    pub fn by(self, metric: Metric) -> i64 {
        match metric {
            Metric::Bytes => self.bytes,
            Metric::Objects => self.objects,
        }
    }
}

/// What became of objects from one dump to another of the same process.
///
/// What was there before is `survived`, `freed` and `moved_away`; what is there after is `survived`, `new` and
/// `moved_here`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fates {
    /// The same slot, size and type, held along a path of the same names. Unless no collection ended in between, some
    /// may be others: freed, and replaced by an object that agrees in all of that.
    pub survived: Amount,
    /// Only there after.
    pub new: Amount,
    /// Only there before.
    pub freed: Amount,
    /// The same slot and size and no other type, but held in another way after: moved, or replaced by another object.
    pub moved_away: Amount,
    /// The same, held in another way before.
    pub moved_here: Amount,
}

/// Rows of a comparison, the greatest change first, by its absolute value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffTable {
    /// What has changed; of more than two dumps, what has grown in every step.
    pub rows: Vec<DiffRow>,
    /// Rows that the limit left out.
    pub left_out: u64,
    /// What these have grown by.
    pub left_out_growth: Change,
    /// Rows that have not changed; of more than two dumps, those that have not grown in every step.
    pub not_listed: u64,
    /// What these have grown by.
    pub not_listed_growth: Change,
}

/// One row of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffRow {
    /// The names, from the root down; of types and roots there is one.
    pub path: Vec<String>,
    /// What kind of root it is, of roots.
    pub root_kind: Option<String>,
    /// From the first dump to the last.
    pub growth: Change,
    /// What is in each dump.
    pub amounts: Vec<Amount>,
    /// What became of the objects, if two dumps of one process were compared.
    pub fates: Option<Fates>,
}

/// Goroutines, the greatest change first, by its absolute value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffGoroutines {
    /// How many there are in each dump, without those of the runtime.
    pub counts: Vec<u64>,
    /// What has changed; of more than two dumps, what has grown in every step.
    pub groups: Vec<DiffGroup>,
    /// Groups that the limit left out.
    pub left_out: u64,
    /// Groups that have not changed; of more than two dumps, those that have not grown in every step.
    pub not_listed: u64,
}

/// Goroutines that stand in the same functions and do the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiffGroup {
    /// The functions on their stacks, the innermost first, without those that Go's own tracebacks leave out.
    pub functions: Vec<String>,
    /// What they do or wait for.
    pub state: String,
    /// From the first dump to the last.
    pub growth: i64,
    /// How many there are in each dump.
    pub counts: Vec<u64>,
    /// Of the last dump's, the smallest number; of the first's, if there are none.
    pub example: u64,
    /// Of the last dump's, those that did not exist in the first; of one process only: numbers are never used again.
    pub started: Option<u64>,
    /// Of the first dump's, those that no longer exist in the last; of one process only.
    pub ended: Option<u64>,
}
