//! Goroutines whose thread is in C that it entered without telling the scheduler: the race detector and the sanitizers.

use objref_mem::{Addr, KeptInC};

use crate::goroutine::{GStatus, Goroutine};
use crate::pclntab::FuncKind;
use crate::sigframe::RegisterFile;
use crate::start::{Start, StartKind, system_registers};
use crate::thread::Machines;
use crate::unwind::Unwinder;

/// How much of a system stack is searched; calls of these libraries are shallow.
const MAX_SEARCH: u64 = 1 << 16;

impl Unwinder<'_> {
    /// The innermost frame of `g`.
    pub fn start(&mut self, machines: &Machines, g: &Goroutine) -> Start {
        let mut start = Start::of(self.pclntab().space(), machines, g);
        if start.kind.is_asynchronous() && self.is_gogo(start.pc) {
            // On its way to where it was parked, and already on its stack.
            (start.pc, start.lr) = (g.sched.pc, g.sched.lr);
            return start;
        }
        let doubtful = matches!(start.kind, StartKind::Parked | StartKind::Stale);
        if g.status != GStatus::Running || !doubtful {
            return start;
        }
        let machine = machines.running(g);
        let regs = machine.and_then(|m| system_registers(self.pclntab().space(), m));
        // Go code on the system stack got there through the scheduler, also where it asks the kernel for the time.
        let asks = machine.is_some_and(|m| m.g0_stack.contains(m.vdso.0));
        let in_go = asks || regs.as_ref().is_some_and(|r| self.kind_at(r.pc).is_some());
        let switched = self.kind_at(start.pc) == Some(FuncKind::SystemStackSwitch);
        if in_go || (start.kind == StartKind::Parked && switched) {
            return start;
        }
        let found = regs.and_then(|regs| self.in_sanitizer(g, &regs));
        found.unwrap_or(Start {
            kind: StartKind::Stale,
            ..start
        })
    }

    /// Whether `pc` is in the code that sets a goroutine going. Its second half is local to its file and has no package.
    // runtime/asm_amd64.s, asm_arm64.s: gogo
    fn is_gogo(&self, pc: Addr) -> bool {
        let name = self.pclntab().find(pc).map_or("", |f| f.name());
        matches!(name, "gogo" | "runtime.gogo")
    }

    /// The call keeps the goroutine's stack pointer in a register that C preserves: there, or where C saved it, just
    /// below its return address.
    // runtime/race_amd64.s, race_arm64.s: racecall; msan_*.s: msancall; asan_*.s: asancall
    fn in_sanitizer(&mut self, g: &Goroutine, regs: &RegisterFile) -> Option<Start> {
        let (space, kept) = (self.pclntab().space(), self.arch.kept_in_c()?);
        let size = space.word_size();
        let word = |i: u64| space.ptr(regs.sp.add(i * size)).ok();
        let end = (0..MAX_SEARCH / size).find(|&i| word(i).is_none_or(|pc| self.is_gate(pc)))?;
        if !word(end).is_some_and(|pc| self.is_gate(pc)) {
            return None;
        }
        let (sp, pc) = (0..end)
            .rev()
            .filter_map(|i| Some((word(i)?, word(i + 1)?)))
            .chain(in_registers(kept, regs))
            .find_map(|(sp, next)| {
                let inside = g.stack.contains(sp);
                // The return address has a register of its own, or lies on the goroutine's stack.
                let (sp, pc) = match kept.pc {
                    None if inside => (sp.add(size), space.ptr(sp).ok()?),
                    _ => (sp, next),
                };
                (inside && self.kind_at(pc).is_some()).then_some((sp, pc))
            })?;
        Some(Start {
            kind: StartKind::Sanitizer,
            pc,
            sp,
            lr: Addr(0),
            regs: None,
        })
    }

    /// Whether `pc` lies in a function that calls a sanitizer.
    fn is_gate(&self, pc: Addr) -> bool {
        let name = self.pclntab().find(pc).map_or("", |f| f.name());
        let name = name.strip_prefix("runtime.").unwrap_or(name);
        matches!(name, "racecall" | "msancall" | "asancall")
    }
}

/// Stack pointer and return address where the call left them, if C has not saved them since.
fn in_registers(kept: KeptInC, regs: &RegisterFile) -> Option<(Addr, Addr)> {
    let register = |n: u16| regs.general.get(usize::from(n)).copied().map(Addr);
    let pc = match kept.pc {
        Some(pc) => register(pc)?,
        None => Addr(0),
    };
    Some((register(kept.sp)?, pc))
}
