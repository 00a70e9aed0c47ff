//! What bytes are at this address? ELF cores, notes, file-backed segments, compressed input.
//!
//! This crate knows nothing of Go: it could as well read the core of a C++ program. The way in:
//! [`Input::open`] maps a file, [`Core::parse`] and [`Image::parse`] read its headers,
//! [`Image::load_bias`] says where a binary was loaded, and [`AddressSpace::new`] lays them over
//! each other. Nothing in a file is trusted: no input makes this crate panic, and a read that
//! cannot be served is a small [`Fault`] with the address.

mod addr;
mod arch;
mod bytes;
mod core;
mod debug_file;
mod elf;
mod encoding;
mod error;
mod fault;
mod ids;
mod image;
mod input;
mod layers;
mod load_bias;
mod map;
mod notes;
mod read;
mod read_ahead;
mod registers;
mod space;
mod sparse;
mod spill;
mod unpack;
mod watch;

pub use addr::{Addr, LinkAddr, LoadBias};
pub use arch::{Arch, KeptInC};
pub use core::{Core, Missing, Segment, Writer};
pub use debug_file::DebugLink;
pub use elf::{ElfKind, Permissions};
pub use encoding::Encoding;
pub use error::{CoreError, ImageError};
pub use fault::{Fault, FaultKind};
pub use ids::BuildIds;
pub use image::{Image, ImageSegment, Section, Symbol, SymbolKind};
pub use input::{Input, InputError};
pub use map::{Spilling, end_cleanly_on_signals, give_back_from, room, settled, zeros};
pub use notes::{MappedFile, ProcessInfo, SignalInfo, Thread};
pub use registers::Registers;
pub use space::{AddressSpace, Region, RegionKind, Stretch};
pub use spill::{Spilled, limit_memory, spilled};
pub use unpack::Compression;
pub use watch::{Unfinished, inputs_unchanged};

// Offsets in files and lengths of slices are converted freely.
const _: () = assert!(usize::BITS == 64, "objref runs on 64-bit hosts only");
