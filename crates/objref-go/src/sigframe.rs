//! Registers of code that a signal interrupted: the kernel saved them on the stack that the handler runs on.
//!
//! A program that dies with `GOTRACEBACK=crash` has every thread inside a signal handler, so that the registers in
//! the core say nothing of the code that ran before.

use objref_mem::{Addr, AddressSpace, Arch, Registers};

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
    /// All general registers, in no particular order.
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
///
/// The frame is recognised by what the kernel writes into it: the stack it lies on. That works whoever installed the
/// handler, the runtime or a C library.
pub fn interrupted(
    space: &AddressSpace,
    arch: Arch,
    sp: Addr,
    bounds: AddrRange,
) -> Option<RegisterFile> {
    let limit = if bounds.contains(sp) {
        bounds.end.0
    } else {
        sp.0.checked_add(MAX_SCAN)?
    };
    let mut found = None;
    let mut at = sp.0 & !7;
    while at < limit {
        match frame_at(space, arch, Addr(at), sp) {
            // Handlers can nest; the outermost lies highest.
            Ok(Some(frame)) => found = Some(frame),
            Ok(None) => {}
            Err(_) => break,
        }
        at += 8;
    }
    found
}

// Offsets from `ucontext`: of the machine context in it, and of the signal's description beside it.
// Linux, arch/x86/include/asm/sigframe.h: rt_sigframe {pretcode, uc, info}
const AMD64_MCONTEXT: u64 = 40;
const AMD64_SIGINFO: u64 = 304;
// Linux, arch/arm64/kernel/signal.c: rt_sigframe {info, uc}
const ARM64_MCONTEXT: u64 = 176;
const ARM64_SIGINFO: u64 = 0u64.wrapping_sub(128);

/// `ucontext` at `at`, if there is one that belongs to the stack that `sp` lies on.
// Linux, struct ucontext: flags u64, link *ucontext, stack {sp u64, flags i32, size u64}, mcontext.
fn frame_at(
    space: &AddressSpace,
    arch: Arch,
    at: Addr,
    sp: Addr,
) -> Result<Option<RegisterFile>, objref_mem::Fault> {
    let word = |i: u64| space.u64(at.add(i * 8));
    // Cheapest first: nothing links signal frames, and few words on a stack are 0.
    if word(1)? != 0 {
        return Ok(None);
    }
    let (stack, flags, size) = (word(2)?, word(3)?, word(4)?);
    // SS_DISABLE (2) has no stack; the upper half of the flags' word is padding.
    let on_stack = stack != 0 && flags as u32 & 2 == 0 && (2048..=1 << 30).contains(&size);
    let inside = |a: Addr| a.0 >= stack && a.0 - stack < size;
    if !on_stack || !inside(at) || !inside(sp) {
        return Ok(None);
    }
    let info = match arch {
        Arch::Amd64 => AMD64_SIGINFO,
        _ => ARM64_SIGINFO,
    };
    if !(1..=64).contains(&space.u32(at.add(info))?) {
        return Ok(None);
    }
    Ok(match arch {
        Arch::Amd64 => amd64_context(space, at)?,
        Arch::Arm64 => arm64_context(space, at)?,
        _ => None,
    })
}

// Linux, arch/x86/include/uapi/asm/sigcontext.h: r8 … r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags cs…
fn amd64_context(
    space: &AddressSpace,
    at: Addr,
) -> Result<Option<RegisterFile>, objref_mem::Fault> {
    let word = |i: u64| space.u64(at.add(AMD64_MCONTEXT + i * 8));
    let selectors = word(18)?;
    // Code of a user program runs in segment 0x33.
    if selectors & 0xffff != 0x33 {
        return Ok(None);
    }
    // By DWARF number: rax rdx rcx rbx rsi rdi rbp rsp r8…r15.
    let order = [13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7];
    let general = order
        .into_iter()
        .map(word)
        .collect::<Result<Vec<u64>, _>>()?;
    Ok(Some(RegisterFile {
        pc: Addr(word(16)?),
        sp: Addr(word(15)?),
        lr: Addr(0),
        general,
    }))
}

// Linux, arch/arm64/include/uapi/asm/sigcontext.h: fault_address, regs[31], sp, pc, pstate
fn arm64_context(
    space: &AddressSpace,
    at: Addr,
) -> Result<Option<RegisterFile>, objref_mem::Fault> {
    let word = |i: u64| space.u64(at.add(ARM64_MCONTEXT + i * 8));
    // pstate: bits 0…4 are 0 in 64-bit user mode, and all instructions are words.
    let (sp, pc, pstate) = (word(32)?, word(33)?, word(34)?);
    if pstate & 0x1f != 0 || pc % 4 != 0 || sp == 0 || sp % 8 != 0 {
        return Ok(None);
    }
    let general = (1..33).map(word).collect::<Result<Vec<u64>, _>>()?;
    Ok(Some(RegisterFile {
        pc: Addr(pc),
        sp: Addr(sp),
        lr: Addr(general[30]),
        general,
    }))
}
