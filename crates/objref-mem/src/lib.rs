//! What bytes are at this address? ELF cores, notes, file-backed segments, compressed input.
//!
//! This crate knows nothing of Go: it could as well read the core of a C++ program.

mod addr;

pub use addr::{Addr, LinkAddr, LoadBias};
