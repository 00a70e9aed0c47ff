//! Where the unwinding of a goroutine starts.

use objref_mem::{Addr, AddressSpace};

use crate::goroutine::{GStatus, Goroutine};
use crate::sigframe::{RegisterFile, interrupted};
use crate::thread::{Machine, Machines};

/// How the innermost frame of a goroutine was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartKind {
    /// The scheduler saved it: the goroutine is parked, or its thread runs on the system stack for it.
    Parked,
    /// Saved on the way into a system call or into C.
    Syscall,
    /// Saved on the way into the kernel's shared page.
    Vdso,
    /// The thread's own registers: between any two instructions.
    Registers,
    /// Registers that a signal handler interrupted: between any two instructions.
    Interrupted,
    /// Kept in a register while the thread is in C that it entered without telling the scheduler: the race detector and
    /// the sanitizers.
    Sanitizer,
    /// Running, but nobody knows where: what the scheduler saved last is stale.
    Stale,
}

impl StartKind {
    /// Whether the goroutine was stopped between any two instructions, where no stack map holds.
    pub fn is_asynchronous(self) -> bool {
        matches!(self, StartKind::Registers | StartKind::Interrupted)
    }
}

/// Program counter and stack pointer of a goroutine's innermost frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// How it was found.
    pub kind: StartKind,
    /// Program counter.
    pub pc: Addr,
    /// Stack pointer.
    pub sp: Addr,
    /// Link register, where there is one.
    pub lr: Addr,
    /// All registers, of a goroutine stopped between two instructions.
    pub regs: Option<RegisterFile>,
}

impl Start {
    /// The innermost frame of `g`, as far as it can be told without function tables: [`crate::Unwinder::start`] knows
    /// more.
    pub fn of(space: &AddressSpace, machines: &Machines, g: &Goroutine) -> Start {
        let parked = |kind| Start {
            kind,
            pc: g.sched.pc,
            sp: g.sched.sp,
            lr: g.sched.lr,
            regs: None,
        };
        if g.syscall_sp.0 != 0 {
            return Start {
                kind: StartKind::Syscall,
                pc: g.syscall_pc,
                sp: g.syscall_sp,
                lr: Addr(0),
                regs: None,
            };
        }
        // A goroutine that stops the world or ends a cycle waits by its status, but its thread goes on.
        // runtime/proc.go: casGToWaiting; mgc.go: gcMarkTermination
        let running = g.status == GStatus::Running;
        let otherwise = if running {
            StartKind::Stale
        } else {
            StartKind::Parked
        };
        let machine = machines.running(g);
        let Some((machine, regs)) = machine.and_then(|m| Some((m, m.regs.as_ref()?))) else {
            return parked(otherwise);
        };
        let regs = RegisterFile::from(regs);
        if g.stack.contains(regs.sp) {
            return asynchronous(StartKind::Registers, regs);
        }
        if !on_system_stack(machine, regs.sp)
            && let Some(saved) = interrupted(space, regs.sp, machine.signal_stack)
            && g.stack.contains(saved.sp)
        {
            return asynchronous(StartKind::Interrupted, saved);
        }
        if !running {
            return parked(otherwise);
        }
        // The thread runs on its system stack for the goroutine, which called systemstack, mcall or morestack; or it
        // is in the kernel's shared page, which borrows that stack without telling the scheduler.
        if g.stack.contains(machine.vdso.0) {
            let (sp, pc) = machine.vdso;
            return Start {
                kind: StartKind::Vdso,
                pc,
                sp,
                lr: Addr(0),
                regs: None,
            };
        }
        parked(if g.stack.contains(g.sched.sp) {
            StartKind::Parked
        } else {
            StartKind::Stale
        })
    }
}

impl Start {
    /// The innermost frame of a thread's system stack; `None` if the thread is not on it, or is not in the dump.
    pub fn of_system_stack(space: &AddressSpace, machine: &Machine) -> Option<Start> {
        let regs = RegisterFile::from(machine.regs.as_ref()?);
        let start = if machine.g0_stack.contains(regs.sp) {
            asynchronous(StartKind::Registers, regs)
        } else {
            asynchronous(
                StartKind::Interrupted,
                interrupted(space, regs.sp, machine.signal_stack)?,
            )
        };
        let (vdso_sp, vdso_pc) = machine.vdso;
        if machine.g0_stack.contains(vdso_sp) {
            return Some(Start {
                kind: StartKind::Vdso,
                pc: vdso_pc,
                sp: vdso_sp,
                lr: Addr(0),
                regs: None,
            });
        }
        machine.g0_stack.contains(start.sp).then_some(start)
    }
}

/// The registers of a thread's system stack, whatever it runs there.
pub(crate) fn system_registers(space: &AddressSpace, machine: &Machine) -> Option<RegisterFile> {
    let regs = RegisterFile::from(machine.regs.as_ref()?);
    if machine.g0_stack.contains(regs.sp) {
        return Some(regs);
    }
    interrupted(space, regs.sp, machine.signal_stack)
}

fn asynchronous(kind: StartKind, regs: RegisterFile) -> Start {
    Start {
        kind,
        pc: regs.pc,
        sp: regs.sp,
        lr: regs.lr,
        regs: Some(regs),
    }
}

fn on_system_stack(machine: &Machine, sp: Addr) -> bool {
    machine.g0_stack.contains(sp) && !machine.signal_stack.contains(sp)
}
