//! Registers of code that a signal interrupted: the kernel saved them on the stack that the handler runs on.
//!
//! A program that dies with `GOTRACEBACK=crash` has every thread inside a signal handler, so that the registers in
//! the core say nothing of the code that ran before.

use objref_mem::{Addr, AddressSpace, Registers};

use crate::module::AddrRange;

/// The registers of one interruption or thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterFile {
    /// Program counter.
    pub pc: Addr,
    /// Stack pointer.
    pub sp: Addr,
    /// Link register; 0 where there is none.
    pub lr: Addr,
    /// All general registers, by their DWARF numbers.
    pub general: Vec<u64>,
}

impl From<&Registers> for RegisterFile {
    fn from(r: &Registers) -> RegisterFile {
        RegisterFile {
            pc: Addr(r.pc()),
            sp: Addr(r.sp()),
            lr: Addr(r.lr().unwrap_or(0)),
            general: r.all().to_vec(),
        }
    }
}

/// A signal stack is 32 KiB; one that C code set up may be larger.
const MAX_SCAN: u64 = 1 << 20;

/// The registers that the outermost signal handler interrupted, for a thread whose stack pointer `sp` lies on a
/// signal stack. `bounds` is the signal stack as the runtime knows it.
pub fn interrupted(space: &AddressSpace, sp: Addr, bounds: AddrRange) -> Option<RegisterFile> {
    let limit = if bounds.contains(sp) {
        bounds.end.0
    } else {
        sp.0.checked_add(MAX_SCAN)?
    };
    let word = space.word_size();
    let mut found = None;
    let mut at = sp.0 / word * word;
    while at < limit {
        match Registers::interrupted(space, Addr(at), sp) {
            // Handlers can nest; the outermost lies highest.
            Ok(Some(frame)) => found = Some(frame),
            Ok(None) => {}
            Err(_) => break,
        }
        at += word;
    }
    found.as_ref().map(RegisterFile::from)
}
