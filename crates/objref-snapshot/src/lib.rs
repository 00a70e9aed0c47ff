//! The whole heap as one value: who can be reached, from where, as what type, and under which name.
//!
//! [`Dump::snapshot`] spells the way from a dump to that value out, stage by stage.

mod closure;
mod column;
mod describe;
mod descriptors;
mod diagnose;
mod dump;
mod edges;
mod evidence;
mod facts;
mod fit;
mod flatten;
mod goroutines;
mod index;
mod infer;
mod interfaces;
mod lookalike;
mod map_types;
mod mask;
mod names;
mod records;
mod recovered;
mod references;
mod retained;
mod roots;
mod rounds;
mod shape;
mod snapshot;
mod stacks;
mod states;
mod statics;
mod step;
mod stripped;
mod symbols;
mod traces;
mod types;
mod view;
mod waits;

pub use diagnose::Diagnostic;
pub use dump::{Dump, LoadOptions, NoProgress, Progress, SnapshotError};
pub use evidence::{Dangling, Findings, Target};
pub use facts::{Binary, Core, Facts, Go, Signal};
pub use flatten::{MapPart, is_channel};
pub use goroutines::{StackCounts, by_status};
pub use index::{INDEX_VERSION, Index, IndexError, is_index, write_index};
pub use names::short;
pub use references::{References, Word};
pub use retained::{Dominator, Retained};
pub use roots::{DanglingRoot, Holder, NO_GOROUTINE, Place, Root, RootCount};
pub use snapshot::Snapshot;
pub use stacks::{StackNode, StackTree};
pub use step::{INSIDE, StepId, Steps};
pub use traces::{CallId, ConservativeFrame, ConservativePlace, GoroutineTrace, Trace, Traces};
pub use types::{Kind, Type, TypeId, Types};
pub use view::{Certainty, Form, Source, View};
