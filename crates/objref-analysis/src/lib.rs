//! What does it mean? Plain structs with the answers, and the algorithms that need nothing else.
//!
//! Nothing in here reads memory, files or terminals; a report turns these structs into bytes.
//!
//! - [`FrameTree`]: who keeps what alive, merged into the frames of a flame graph; built step by
//!   step with recursion folded away, cut to a readable size by [`FrameTree::prune`].
//! - [`TreeReport`]: the same for programs.
//! - [`Summary`]: the numbers of one dump on one page.
//! - [`GoroutineReport`]: the goroutines, those that have something in common put together.
//! - [`TypeReport`]: the histogram of types, and why objects have none.
//! - [`TopReport`]: what retains the most: roots, types, goroutines, objects.
//! - [`Unfolded`]: the dominator tree, unfolded as far as it matters.
//! - [`Verification`]: the graph against the runtime's own evidence.
//! - [`Why`]: who holds an object, or all of a type, and what a root holds.
//! - [`Policy`]: what a heap must not be; [`CheckReport`]: whether it is; [`Baseline`]: what it was like.
//! - [`ObjectReport`]: all that is known of one object, with what is in it.
//! - [`Signature`]: a short name for a way to something, the same in every dump and build.
//! - [`ObjectRow`]: one reachable object in a listing.
//! - [`DiffReport`]: what has grown from one dump to the next, and what became of the objects; [`JoinedTree`]: the same as
//!   frames.

mod check;
mod descend;
mod diff;
mod dominated;
mod dominator_frames;
mod flame;
mod frames;
mod goroutine_report;
mod goroutines;
mod measure;
mod merge;
mod names;
mod nearest;
mod object;
mod object_report;
mod object_row;
mod paths;
mod policy;
mod prune;
mod question;
mod root_frames;
mod signature;
mod sizes;
mod stack_states;
mod start;
mod summary;
mod top;
mod top_objects;
mod top_report;
mod top_roots;
mod tree_report;
mod type_report;
mod types;
mod unfold;
mod units;
mod unknown;
mod verification;
mod verify;
mod why;
mod why_report;
mod why_type;

pub use check::{
    BASELINE_SCHEMA_VERSION, Baseline, CHECK_SCHEMA_VERSION, CheckOptions, CheckReport, Checked,
    Measured, Offender, PolicyWarning, Program, RootAmount, RuleReport, RuleVerdict, SignatureRow,
    Signatures, Stacked, Unit, check,
};
pub use diff::{
    Change, DIFF_SCHEMA_VERSION, Diff, DiffDump, DiffGoroutines, DiffGroup, DiffOptions,
    DiffReport, DiffRow, DiffStep, DiffTable, Fates, Given, JoinedTree, Relation, Sighting,
    Sureness, Unlike, diff,
};
pub use dominator_frames::dominator_tree;
pub use flame::{FrameTree, Levels, ROOT_FRAME, Totals};
pub use frames::frame_tree;
pub use goroutine_report::{
    CreatorCount, Frame, GOROUTINES_SCHEMA_VERSION, GoroutineGroup, GoroutineReport, GoroutineRow,
    GroupBy, LabelCount, Stack, StateCount, label_set,
};
pub use goroutines::{GoroutineOptions, goroutines};
pub use measure::{each_object, overview, summary};
pub use names::Names;
pub use nearest::{NotFound, nearest};
pub use object::{ObjectOptions, object};
pub use object_report::{OBJECT_SCHEMA_VERSION, ObjectReport, Referrer, SpanFacts};
pub use object_row::{ObjectRow, Parent};
pub use objref_snapshot::{Binary, Core, FieldValue, Go, Limits, Signal, Value, short};
pub use policy::{
    Date, Measure, Pattern, Policy, PolicyError, Quantity, Rule, Severity, Subject, Suppression,
    Threshold, policy_schema,
};
pub use prune::{Metric, PruneOptions};
pub use question::{Question, Unasked};
pub use signature::{Signature, stable_name};
pub use start::Start;
pub use summary::{
    Amount, Diagnostic, Goroutines, Heap, Reconciliation, RootKind, RuntimeCounters,
    SCHEMA_VERSION, SpanAmount, Spans, StatusCount, Summary, Tool, Typed,
};
pub use top::{TopOptions, top};
pub use top_report::{
    HeldBy, Omitted, TOP_SCHEMA_VERSION, TopBy, TopObject, TopReport, TopRow, TopSort,
};
pub use tree_report::{TREE_SCHEMA_VERSION, TreeFrame, TreeKind, TreeReport};
pub use type_report::{Certain, TYPES_SCHEMA_VERSION, TypeGroup, TypeReport, TypeRow, UnknownRow};
pub use types::{TypeOptions, types};
pub use unfold::{UNFOLDED_SCHEMA_VERSION, UnfoldOptions, Unfolded, UnfoldedRow, unfold};
pub use units::{duration, iec, thousands};
pub use verification::{
    Check, ConservativeFrames, Example, Scanned, VERIFY_SCHEMA_VERSION, Verdict, Verification,
};
pub use verify::verify;
pub use why::{Exclude, WhyOptions, why};
pub use why_report::{
    Answer, DominatorFacts, HolderGroup, HoldingPath, LeftOut, ObjectFacts, PathStep, RootFacts,
    WHY_SCHEMA_VERSION, Why, WhyObject, WhyRoot, WhyType,
};
