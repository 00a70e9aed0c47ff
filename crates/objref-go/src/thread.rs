//! The runtime's threads (`runtime.m`) and the kernel's, matched.

use objref_mem::{Addr, AddressSpace, Registers, Thread};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::goroutine::{Globals, Goroutine, GoroutineError};
use crate::layout::{StructSource, layout};
use crate::module::AddrRange;

layout! {
    /// Offsets in `runtime.m`.
    // runtime/runtime2.go: m
    struct MLayout = "runtime.m" {
        id: "id",
        g0: "g0",
        gsignal: "gsignal",
        curg: "curg",
        p: "p",
        procid: "procid",
        alllink: "alllink",
        locked_g: "lockedg",
        incgo: "incgo",
        vdso_sp: "vdsoSP",
        vdso_pc: "vdsoPC",
    }
}

layout! {
    // runtime/runtime2.go: g, stack
    struct StackLayout = "runtime.g" {
        lo: "stack.lo",
        hi: "stack.hi",
        sp: "sched.sp",
    }
}

/// A thread as the runtime knows it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Address of its `runtime.m`.
    pub addr: Addr,
    /// The number that tracebacks show as `m=`.
    pub id: u64,
    /// The kernel's thread id; 0 if the thread is gone.
    pub tid: u64,
    /// Address of the `runtime.g` of its system stack.
    pub g0: Addr,
    /// Its system stack. Of threads that C created, the runtime only guesses the bounds.
    pub g0_stack: AddrRange,
    /// Where its system stack is entered: what lies above has been left for good.
    pub g0_entry: Addr,
    /// Address of the `runtime.g` of its signal stack.
    pub gsignal: Addr,
    /// Its signal stack.
    pub signal_stack: AddrRange,
    /// The goroutine that it runs; 0 if none.
    pub current: Addr,
    /// The goroutine that is bound to it; 0 if none.
    pub locked: Addr,
    /// The processor it holds; 0 if none.
    pub p: Addr,
    /// Whether it is in C code.
    pub in_c: bool,
    /// Stack pointer and program counter of the Go code that called into the kernel's shared page; 0 outside.
    pub vdso: (Addr, Addr),
    /// Its registers, when the dump has them.
    pub regs: Option<Registers>,
}

/// All threads of the runtime.
#[derive(Clone, Debug, Default)]
pub struct Machines {
    /// The threads, newest first.
    pub list: Vec<Machine>,
    /// Threads of the dump that the runtime does not know: those of C libraries.
    pub foreign: Vec<u32>,
    /// Whether the runtime's list is damaged: it ends at an unreadable descriptor, or loops.
    pub damaged: bool,
}

impl Machines {
    /// Reads the list at `runtime.allm` and matches it with the threads of the dump.
    // runtime/proc.go: allm
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        globals: &Globals<'_>,
        threads: &[Thread],
    ) -> Result<Machines, GoroutineError> {
        let layout = MLayout::resolve(source)?;
        let stacks = StackLayout::resolve(source)?;
        let mut machines = Machines::default();
        let mut by_tid: FxHashMap<u64, &Thread> =
            threads.iter().map(|t| (u64::from(t.tid), t)).collect();
        let allm = globals("runtime.allm").ok_or(GoroutineError::Missing("runtime.allm"))?;
        let mut at = space.ptr(allm)?;
        let mut seen = FxHashSet::default();
        while at.0 != 0 {
            let machine = seen
                .insert(at)
                .then(|| read_machine(space, &layout, &stacks, at));
            let Some(Some((mut machine, next))) = machine else {
                machines.damaged = true;
                break;
            };
            machine.regs = by_tid.remove(&machine.tid).map(|t| t.regs);
            machines.list.push(machine);
            at = next;
        }
        machines.foreign = by_tid.into_values().map(|t| t.tid).collect();
        machines.foreign.sort_unstable();
        Ok(machines)
    }

    /// The thread that runs `g`, on its stack or on the thread's own.
    pub fn running(&self, g: &Goroutine) -> Option<&Machine> {
        if g.m.0 == 0 {
            return None;
        }
        self.at(g.m).filter(|m| m.current == g.addr)
    }

    /// The thread whose `runtime.m` is at `addr`.
    pub fn at(&self, addr: Addr) -> Option<&Machine> {
        self.list.iter().find(|m| m.addr == addr)
    }
}

fn read_machine(
    space: &AddressSpace,
    l: &MLayout,
    stacks: &StackLayout,
    at: Addr,
) -> Option<(Machine, Addr)> {
    let ptr = |f: crate::layout::FieldAt| f.ptr(space, at).ok();
    let stack = |g: Addr| {
        let range = || {
            Some(AddrRange {
                start: stacks.lo.ptr(space, g).ok()?,
                end: stacks.hi.ptr(space, g).ok()?,
            })
        };
        range().unwrap_or_default()
    };
    let (g0, gsignal) = (ptr(l.g0)?, ptr(l.gsignal)?);
    let machine = Machine {
        addr: at,
        id: l.id.read(space, at).ok()?,
        tid: l.procid.read(space, at).ok()?,
        g0,
        g0_stack: stack(g0),
        g0_entry: stacks.sp.ptr(space, g0).unwrap_or_default(),
        gsignal,
        signal_stack: stack(gsignal),
        current: ptr(l.curg)?,
        locked: ptr(l.locked_g)?,
        p: ptr(l.p)?,
        in_c: l.incgo.read(space, at).ok()? != 0,
        vdso: (ptr(l.vdso_sp)?, ptr(l.vdso_pc)?),
        regs: None,
    };
    Some((machine, ptr(l.alllink)?))
}
