//! The numbers of one dump on one page.
//!
//! The JSON form is an interface: a field may be added within a [`SCHEMA_VERSION`], but none is
//! renamed, removed or changed in meaning. What could not be read is `null`, never 0.

use objref_snapshot::{Binary, Core, Go, Missing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::thousands;

/// The version of the JSON form of [`Summary`].
pub const SCHEMA_VERSION: u32 = 1;

/// Everything a summary says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump.
    pub core: Core,
    /// The program.
    pub binary: Binary,
    /// Its Go.
    pub go: Go,
    /// The heap, by liveness.
    pub heap: Heap,
    /// What of the heap is not in the dump, and which numbers that touches; `null` if nothing is.
    pub missing: Option<Missing>,
    /// The goroutines.
    pub goroutines: Goroutines,
    /// The roots, by kind, in the order in which they are searched.
    pub roots: Vec<RootKind>,
    /// What the runtime itself counts.
    pub runtime: RuntimeCounters,
    /// Our count of the heap against the runtime's; `null` when the runtime's cannot be read.
    pub reconciliation: Option<Reconciliation>,
    /// What went wrong without stopping us, by code.
    pub diagnostics: Vec<Diagnostic>,
}

/// Who wrote a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// `objref`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Tool {
    /// This very program.
    pub fn this() -> Self {
        Tool {
            name: "objref".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// So many objects of so many bytes in all. The size of an object is that of its slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// Bytes.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
}

impl Amount {
    /// Counts one object of `bytes`.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.objects += 1;
    }
}

impl std::ops::Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        Amount {
            bytes: self.bytes + other.bytes,
            objects: self.objects + other.objects,
        }
    }
}

/// The heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heap {
    /// Reachable from a root.
    pub live: Amount,
    /// Allocated, but not reachable.
    pub garbage: Amount,
    /// The part of `garbage` that the last cycle found dead and that is not yet swept.
    pub awaiting_sweep: Amount,
    /// The part of `garbage` that is none: slots that threads had taken but not yet made objects of.
    pub being_allocated: Amount,
    /// Free slots in spans that are in use.
    pub free: Amount,
    /// Allocated: live and garbage.
    pub allocated: Amount,
    /// The part of `live` whose type is known.
    pub typed: Typed,
    /// The spans by state.
    pub spans: Spans,
}

/// The part of the live objects whose type is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Typed {
    /// Bytes.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
    /// Of the live bytes, 0 to 1.
    pub share: f64,
}

impl Typed {
    /// `typed` of `live`.
    pub fn new(typed: Amount, live: Amount) -> Self {
        let share = if live.bytes == 0 {
            1.0
        } else {
            typed.bytes as f64 / live.bytes as f64
        };
        Self {
            bytes: typed.bytes,
            objects: typed.objects,
            share,
        }
    }
}

/// Spans by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spans {
    /// `mSpanInUse`: heap objects.
    pub in_use: SpanAmount,
    /// `mSpanManual`: stacks and the runtime's own.
    pub manual: SpanAmount,
    /// Pages of the heap that no span uses, and the `mspan` records that wait to be used again.
    pub free: SpanAmount,
}

/// So many spans of so many bytes in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpanAmount {
    /// Spans.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The goroutines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Goroutines {
    /// How many there are, dead ones not counted.
    pub total: u64,
    /// By status, the most frequent first.
    pub by_status: Vec<StatusCount>,
    /// Those whose stack could not be read to its end.
    pub unreadable: u64,
    /// Frames of code that was stopped between two instructions: each of their words may be a pointer.
    pub conservative_frames: u64,
    /// System stacks that threads were on while they held a processor: scanned in the same way.
    pub system_stacks: u64,
}

/// How many goroutines are in a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusCount {
    /// As Go's own traces call it: `chan receive`, `select`, `running`, ...
    pub status: String,
    /// How many.
    pub count: u64,
}

/// Roots of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootKind {
    /// `global`, `stack`, `finalizer`, ...
    pub kind: String,
    /// References from such roots into the heap.
    pub references: u64,
    /// Live objects whose shortest way leads from such a root.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the runtime itself counts, at the moment of the dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuntimeCounters {
    /// As `runtime.MemStats.HeapAlloc`: bytes of allocated objects.
    pub heap_alloc_bytes: Option<u64>,
    /// As `runtime.MemStats.HeapObjects`.
    pub heap_objects: Option<u64>,
    /// Heap pages in use, as `runtime.MemStats.HeapInuse`.
    pub heap_inuse_bytes: Option<u64>,
    /// As `runtime.MemStats.StackInuse`.
    pub stack_inuse_bytes: Option<u64>,
    /// Completed cycles of the collector.
    pub num_gc: Option<u64>,
    /// Where the collector stood: `off`, `mark`, `mark termination`.
    pub gc_phase: Option<String>,
    /// Bytes that the last completed cycle found live.
    pub heap_marked_bytes: Option<u64>,
    /// Heap pages that no span uses, as `HeapIdle`.
    pub heap_idle_bytes: Option<u64>,
    /// The part of them that was given back to the system, as `HeapReleased`.
    pub heap_released_bytes: Option<u64>,
    /// The heap size at which the next cycle ends.
    pub next_gc_bytes: Option<u64>,
    /// `GOGC`; -1 is off.
    pub gc_percent: Option<i64>,
    /// `GOMEMLIMIT`, when one is set.
    pub memory_limit_bytes: Option<u64>,
}

/// Our count of the heap against the runtime's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciliation {
    /// What was compared, in words: `allocated` or `reachable`.
    pub what: String,
    /// Bytes that we found.
    pub found_bytes: u64,
    /// Bytes that the runtime counts.
    pub runtime_bytes: u64,
    /// Found minus counted.
    pub difference_bytes: i64,
    /// The verdict in a word or two: `exact`, `0.02 % more`, ...
    pub verdict: String,
}

impl Reconciliation {
    /// Compares what we found with what the runtime counts; `what` says what was counted.
    pub fn new(what: &str, found_bytes: u64, runtime_bytes: u64) -> Self {
        let difference = i128::from(found_bytes) - i128::from(runtime_bytes);
        let verdict = match (difference, runtime_bytes) {
            (0, _) => "exact".to_owned(),
            (_, 0) => "the runtime counts nothing".to_owned(),
            _ => {
                let percent = difference.unsigned_abs() as f64 / runtime_bytes as f64 * 100.0;
                let side = if difference > 0 { "more" } else { "less" };
                if percent < 0.005 {
                    format!("under 0.01 % {side}")
                } else {
                    format!("{percent:.2} % {side}")
                }
            }
        };
        Self {
            what: what.to_owned(),
            found_bytes,
            runtime_bytes,
            difference_bytes: difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            verdict,
        }
    }

    /// How far apart the two are, as a part of what the runtime counts.
    pub fn share(&self) -> f64 {
        match (self.difference_bytes, self.runtime_bytes) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            (difference, runtime) => difference.unsigned_abs() as f64 / runtime as f64,
        }
    }
}

/// Something that went wrong without stopping us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Stable, for programs.
    pub code: String,
    /// For people; one line. With a count above 1 it goes on from it: `spans make no sense`.
    pub message: String,
    /// How often, or how many bytes.
    pub count: u64,
}

impl Diagnostic {
    /// The message, after the count if that says something.
    pub fn text(&self) -> String {
        match self.count {
            0 | 1 => self.message.clone(),
            n => format!("{} {}", thousands(n), self.message),
        }
    }
}
