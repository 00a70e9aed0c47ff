//! What does the binary say about itself? Types, variables, constants, functions and the places
//! of their local variables, from the DWARF that Go's compiler and linker write.
//!
//! This crate knows nothing of processes, nor of what the Go runtime does with its variables.
//! All addresses are link-time addresses. Input may be damaged or hostile: reading it neither
//! panics nor hangs, and the promises of [`TypeTable`] hold for what comes out.

mod attrs;
mod build;
mod entries;
mod error;
mod functions;
mod info;
mod locals;
mod location;
mod names;
mod sanitize;
mod sections;
mod strings;
mod types;
mod units;
mod walk;

pub use error::DwarfError;
pub use functions::FunctionRef;
pub use info::{Damage, DebugInfo, Variable};
pub use locals::{Capture, Local};
pub use location::{Piece, Place};
pub use objref_mem::LinkAddr;
pub use strings::StrId;
pub use types::{Field, Kind, Type, TypeIdx, TypeTable};
