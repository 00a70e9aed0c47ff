//! What a listing of goroutines says.
//!
//! The JSON form is an interface, as that of [`Summary`](crate::Summary): fields may be added within a
//! [`GOROUTINES_SCHEMA_VERSION`], but none is renamed, removed or changed in meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Tool;

/// The version of the JSON form of [`GoroutineReport`].
pub const GOROUTINES_SCHEMA_VERSION: u32 = 1;

/// By what goroutines are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// The same functions at the same lines.
    #[default]
    Stack,
    /// The `go` statement that started them.
    Creator,
    /// Their profiler labels.
    Label,
    /// What they do or wait for.
    Wait,
}

impl GroupBy {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            GroupBy::Stack => "stack",
            GroupBy::Creator => "creator",
            GroupBy::Label => "label",
            GroupBy::Wait => "wait",
        }
    }
}

/// The goroutines of a dump.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoroutineReport {
    /// [`GOROUTINES_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump, as it was named.
    pub core: String,
    /// Goroutines that are alive.
    pub total: u64,
    /// Of these, those of the runtime itself.
    pub system: u64,
    /// Of `total`, those that this report is about: what the filter lets through, without those that are hidden.
    pub selected: u64,
    /// Goroutines whose descriptors could not be read; not in `total`.
    pub unreadable: u64,
    /// Of `total`, those whose frames could not all be found.
    pub partly_read: u64,
    /// Whether goroutines of the runtime are left out.
    pub system_hidden: bool,
    /// The filter on functions' names.
    pub filter: Option<String>,
    /// By what the groups are made.
    pub group_by: GroupBy,
    /// The largest groups first; empty when each goroutine is listed.
    pub groups: Vec<GoroutineGroup>,
    /// Each goroutine by number, when that was asked for.
    pub goroutines: Vec<GoroutineRow>,
    /// Groups, or goroutines, that the limit left out.
    pub left_out: u64,
    /// The stacks that groups and goroutines refer to by index.
    pub stacks: Vec<Stack>,
}

/// Goroutines that have something in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoroutineGroup {
    /// What they have in common; empty for a stack.
    pub key: String,
    /// How many there are.
    pub count: u64,
    /// The smallest number among them.
    pub first_id: u64,
    /// What they do or wait for, the most frequent first.
    pub states: Vec<StateCount>,
    /// For how long the first of them has been blocked at least.
    pub longest_wait_ns: Option<u64>,
    /// For how long the last of them has been blocked at least.
    pub shortest_wait_ns: Option<u64>,
    /// Where they were started, the most frequent first.
    pub created_by: Vec<CreatorCount>,
    /// Their profiler labels, the most frequent first; those without are left out.
    pub labels: Vec<LabelCount>,
    /// Bytes of their stacks.
    pub stack_bytes: u64,
    /// Bytes of the objects whose shortest path from a root starts on these goroutines.
    pub heap_first_reached_bytes: u64,
    /// The number of these objects.
    pub heap_first_reached_objects: u64,
    /// The most frequent of their stacks.
    pub stack: usize,
    /// How many stand on that one.
    pub stack_count: u64,
    /// How many different stacks they stand on.
    pub distinct_stacks: u64,
}

/// One goroutine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GoroutineRow {
    /// Its number.
    pub id: u64,
    /// Its status as the scheduler has it.
    pub status: String,
    /// What it waits for.
    pub wait_reason: Option<String>,
    /// For how long it has been blocked at least.
    pub wait_ns: Option<u64>,
    /// Whether it is bound to a thread.
    pub locked_to_thread: bool,
    /// Whether it belongs to the runtime.
    pub system: bool,
    /// The goroutine that started it; 0 if unknown.
    pub parent_id: u64,
    /// Where it was started.
    pub created_by: Option<Frame>,
    /// Its profiler labels, by key.
    pub labels: Vec<(String, String)>,
    /// Bytes of its stack.
    pub stack_bytes: u64,
    /// Bytes of the objects whose shortest path from a root starts on it.
    pub heap_first_reached_bytes: u64,
    /// The number of these objects.
    pub heap_first_reached_objects: u64,
    /// Its stack.
    pub stack: usize,
}

/// Goroutines in one state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateCount {
    /// What they wait for, or their status.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// Goroutines that one `go` statement started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatorCount {
    /// The statement.
    pub at: Frame,
    /// How many.
    pub count: u64,
}

/// Goroutines with the same profiler labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LabelCount {
    /// The labels, by key.
    pub labels: Vec<(String, String)>,
    /// How many.
    pub count: u64,
}

/// A traceback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stack {
    /// The innermost call first.
    pub frames: Vec<Frame>,
    /// Whether it leads to the goroutine's first function.
    pub complete: bool,
}

/// An open call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// The function's full name.
    pub function: String,
    /// Its source file; empty if unknown.
    pub file: String,
    /// The line in the file; 0 if unknown.
    pub line: u32,
    /// Whether the call was inlined into its caller.
    pub inlined: bool,
    /// Whether Go's own tracebacks leave it out, unless `GOTRACEBACK=system`.
    pub internal: bool,
}

/// Profiler labels as Go's own tracebacks have them: `{path: /items, tenant: "a b"}`.
// runtime/traceback.go: goroutineheader, tracebackStringNeedsQuoting, go1.27
pub fn label_set(labels: &[(String, String)]) -> String {
    let word = |text: &str| -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "./_".contains(c);
        match text.chars().all(plain) {
            true => text.to_owned(),
            false => format!("{text:?}"),
        }
    };
    let pairs = labels.iter();
    let pairs: Vec<String> = pairs
        .map(|(key, value)| format!("{}: {}", word(key), word(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
