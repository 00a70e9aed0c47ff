//! The everyday error of this crate: bytes at an address that cannot be had.

use std::fmt;

use crate::addr::Addr;

/// Why bytes could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The process had nothing at that address.
    Unmapped,
    /// The process had memory there, but neither the core nor a binary has its contents.
    NotInCore,
    /// Address plus length passes the end of the address space, or the length is absurd.
    Overflow,
    /// The bytes are there but not in one piece: [`AddressSpace::bytes`](crate::AddressSpace::bytes) can assemble them.
    Split,
}

/// A read that could not be served. Small and cheap: faults are an everyday result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Fault {
    /// The first address that could not be read.
    pub addr: Addr,
    /// Why.
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            FaultKind::Unmapped => "is not mapped",
            FaultKind::NotInCore => "is not in the core",
            FaultKind::Overflow => "starts a read that passes the end of the address space",
            FaultKind::Split => "is where the bytes stop being in one piece",
        };
        write!(f, "address {} {what}", self.addr)
    }
}

impl std::error::Error for Fault {}
