//! What threads were doing on their system stacks.
//!
//! The collector never reads a system stack: before it does anything, it lets every thread that holds a processor go on
//! to a point where nothing depends on one. A dump does not wait. A goroutine that is being started, a timer that has
//! just been taken out of its heap may be known to the system stack alone, so these words are roots, conservatively.

use objref_mem::{Addr, AddressSpace};

use crate::module::AddrRange;
use crate::sigframe::RegisterFile;
use crate::start::{Start, system_registers};
use crate::thread::{Machine, Machines};
use crate::unwind::Unwinder;

/// The system stack of a thread that was on it and held a processor.
#[derive(Clone, Debug)]
pub struct SystemStack {
    /// The goroutine that the thread runs; 0 if none.
    pub current: Addr,
    /// The thread's registers.
    pub regs: RegisterFile,
    /// The part that is in use.
    pub words: AddrRange,
    /// Whether the thread marks for the collector. What it has in hand then is no root.
    pub marking: bool,
    /// Whether it moves a stack.
    pub copying: bool,
}

/// Where the entry is not known: system stacks that the runtime makes are not larger.
// runtime/proc.go: malg(16384 * sys.StackGuardMultiplier)
const MAX_USED: u64 = 16384;

impl Unwinder<'_> {
    /// The system stacks that hold roots: those of threads that are on them with a processor.
    pub fn system_stacks(&mut self, machines: &Machines) -> Vec<SystemStack> {
        let space = self.pclntab().space();
        let holding = machines.list.iter().filter(|m| m.p.0 != 0);
        holding
            .filter_map(|m| self.system_stack(space, m))
            .collect()
    }

    fn system_stack(&mut self, space: &AddressSpace, machine: &Machine) -> Option<SystemStack> {
        let regs = system_registers(space, machine)?;
        let (stack, entry) = (machine.g0_stack, machine.g0_entry);
        if !stack.contains(regs.sp) {
            return None;
        }
        let end = if entry > regs.sp && entry <= stack.end {
            entry
        } else {
            stack.end.min(regs.sp.add(MAX_USED))
        };
        let mut frames = Vec::new();
        if let Some(start) = Start::of_system_stack(space, machine) {
            self.unwind_system(&start, stack, None, &mut frames);
        }
        let tab = self.pclntab();
        let calls = |wanted: fn(&str) -> bool| {
            let names = frames.iter().filter_map(|f| tab.func(f.func));
            names.map(|f| f.name()).any(wanted)
        };
        Some(SystemStack {
            current: machine.current,
            words: AddrRange {
                start: Addr(regs.sp.0 & !7),
                end,
            },
            regs,
            // runtime/mgcmark.go: gcDrain, gcDrainN
            marking: calls(|name| name.starts_with("runtime.gcDrain")),
            // runtime/stack.go: copystack
            copying: calls(|name| name == "runtime.copystack"),
        })
    }
}
