//! What is the Go runtime's state? Version, layouts, moduledata, pclntab, types, spans, pointer bits, goroutines,
//! stacks, roots.
//!
//! This crate knows nothing of object graphs or reports.

mod buildinfo;
mod clock;
mod closure_types;
mod code;
mod descriptor;
mod find;
mod gcprog;
mod goroutine;
mod heap;
mod labels;
mod layout;
mod layouts;
mod memstats;
mod module;
mod pclntab;
mod process;
mod processor;
mod recover;
mod roots;
mod rtype;
mod sanitizer;
mod sigframe;
mod special_roots;
mod specials;
mod stack_roots;
mod stack_scan;
mod stackmap;
mod start;
mod system_stack;
mod thread;
mod type_index;
mod unwind;
mod version;
mod wait_reason;

pub use buildinfo::{main_module, main_package};
pub use clock::last_known_time;
pub use closure_types::ClosureTypes;
pub use goroutine::{GStatus, Globals, Goroutine, GoroutineError, Goroutines, SavedContext};
pub use heap::{
    Batch, Census, Evidence, GcPhase, Heap, HeapState, Landmarks, Miscount, Miss, ObjId, Object,
    ObjectTable, ReadError, Reference, SIZE_CLASSES, Span, SpanPart, SpanState, SpanTotals, Tally,
};
pub use labels::read_labels;
pub use layout::{FieldAt, LayoutError, StructSource};
pub use layouts::{BuiltInLayout, DwarfLayout, Layouts};
pub use memstats::{MemStats, MemStatsError};
pub use module::{AddrRange, Mask, Module, ModuleError, RawSlice, TextSection};
pub use pclntab::{Func, FuncFlags, FuncId, FuncKind, LogicalFrame, Pclntab};
pub use process::{GoProcess, OpenError, Stripped};
pub use recover::{CodeTypes, Meaning};
pub use roots::{RootKind, RootPointer, Says, global_roots};
pub use rtype::{Kind, MaskBudget, RuntimeField, RuntimeType, RuntimeTypes, TypeMask};
pub use sigframe::{RegisterFile, interrupted};
pub use special_roots::{Beside, SpecialRoots};
pub use stack_roots::{StackReader, StackRoot, StackRootKind, StackScan, Walked};
pub use start::{Start, StartKind};
pub use system_stack::SystemStack;
pub use thread::{Machine, Machines};
pub use type_index::TypeIndex;
pub use unwind::{Frame, UnwindEnd, Unwinder};
pub use version::{GoVersion, TESTED};
pub use wait_reason::WaitReasons;
