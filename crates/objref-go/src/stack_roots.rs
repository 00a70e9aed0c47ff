//! Pointers that a goroutine's stack holds, as the collector finds them.

use objref_mem::{Addr, AddressSpace};

use crate::goroutine::{GStatus, Goroutine};
use crate::layout::{FieldAt, LayoutError, StructSource, find_field, find_size, layout};
use crate::module::AddrRange;
use crate::pclntab::{FuncKind, Pclntab};
use crate::sigframe::RegisterFile;
use crate::stack_scan::Scan;
use crate::stackmap::StackMaps;
use crate::start::{Start, StartKind};
use crate::system_stack::SystemStack;
use crate::unwind::{Frame, UnwindEnd, Unwinder};

layout! {
    // runtime/runtime2.go: _defer
    struct DeferLayout = "runtime._defer" {
        heap: "heap",
        func: "fn",
        link: "link",
    }
}

layout! {
    /// Fields of `runtime.g` that hold roots themselves.
    // runtime/runtime2.go: g
    struct GSlots = "runtime.g" {
        ctxt: "sched.ctxt",
        defer: "_defer",
    }
}

/// Where on a goroutine a pointer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StackRootKind {
    /// A local variable or a spilled register.
    Local,
    /// An argument or result.
    Arg,
    /// A local variable whose address is taken, and which a live pointer points to.
    StackObject,
    /// The record of a deferred call.
    Defer,
    /// The function of a deferred call.
    Deferred,
    /// The closure that a parked goroutine goes on with.
    Context,
    /// A register of a goroutine stopped between two instructions; for vector registers, where they were saved.
    Register,
    /// A word or register of the system stack that the goroutine's thread was on.
    SystemStack,
}

/// How the stack of a goroutine was walked.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'a> {
    /// Where the walk began.
    pub start: &'a Start,
    /// The frames that [`Unwinder::unwind`] found.
    pub frames: &'a [Frame],
    /// How it ended.
    pub end: UnwindEnd,
    /// The system stack that the goroutine's thread was on.
    pub system: Option<&'a SystemStack>,
    /// Whether the stack was being moved.
    pub moving: bool,
}

/// A pointer that keeps something alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackRoot {
    /// Index of the frame; [`StackRoot::NO_FRAME`] for what belongs to the whole goroutine.
    pub frame: u32,
    /// Where the pointer lies; for a general register its number (see [`crate::RegisterFile::general`]).
    pub slot: Addr,
    /// The pointer.
    pub value: Addr,
    /// Whether the word only may be a pointer: it counts if it points into an allocated object.
    pub conservative: bool,
    /// What holds it.
    pub kind: StackRootKind,
}

impl StackRoot {
    /// The frame of a root that no frame holds.
    pub const NO_FRAME: u32 = u32::MAX;
}

/// What was scanned, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackScan {
    /// The whole stack was scanned conservatively, because its frames are not known or not final.
    pub conservative: bool,
    /// Frames that were scanned conservatively, as the collector scans those that it stopped between two instructions.
    pub conservative_frames: u32,
    /// Of these, frames where the collector itself would have had a map; its absence is a fault of the dump or of
    /// this program.
    pub unmapped_frames: u32,
    /// System stacks that were scanned conservatively.
    pub system_stacks: u32,
    /// Words that are not in the dump.
    pub unreadable_words: u64,
}

impl StackScan {
    /// Whether the dump does not say all that the collector would have known of the stack.
    pub fn is_partial(&self) -> bool {
        self.conservative || self.unmapped_frames > 0
    }
}

/// Reads the stacks of goroutines: their frames and the pointers in them. Each thread of the reader has its own.
pub struct StackReader<'p> {
    unwinder: Unwinder<'p>,
    maps: StackMaps<'p>,
    space: &'p AddressSpace,
    defers: DeferLayout,
    g: GSlots,
    /// The saved vector registers: address in their record and size. From go1.27 on the collector scans them.
    x_regs: Option<FieldAt>,
    scan: Scan<'p>,
    conservative: Vec<u32>,
}

/// More deferred calls than this are taken for a list that loops.
const MAX_DEFERS: usize = 1 << 24;

impl<'p> StackReader<'p> {
    /// A reader for the program with these tables. `minor` is the Go version's second number.
    pub fn new(
        tab: &'p Pclntab<'p>,
        source: &dyn StructSource,
        minor: u32,
    ) -> Result<Self, LayoutError> {
        let x_regs = find_size(source, "runtime.xRegState").map(|size| {
            let offset = find_field(source, "runtime.xRegState", "regs").map_or(0, |f| f.offset);
            FieldAt {
                offset,
                size: size.min(1 << 16),
            }
        });
        Ok(StackReader {
            unwinder: Unwinder::new(tab),
            maps: StackMaps::new(tab, source)?,
            space: tab.space(),
            defers: DeferLayout::resolve(source)?,
            g: GSlots::resolve(source)?,
            x_regs: x_regs.filter(|_| minor >= 27),
            scan: Scan::default(),
            conservative: Vec::new(),
        })
    }

    /// The unwinder.
    pub fn unwinder(&mut self) -> &mut Unwinder<'p> {
        &mut self.unwinder
    }

    /// The frames that the last [`StackReader::roots`] scanned conservatively.
    pub fn conservative_frames(&self) -> &[u32] {
        &self.conservative
    }

    /// Calls `emit` for each pointer that the stack of `g` holds, other than those into the stack itself.
    // runtime/mgcmark.go: scanstack
    pub fn roots(
        &mut self,
        g: &Goroutine,
        walked: &Walked<'_>,
        emit: &mut dyn FnMut(StackRoot),
    ) -> StackScan {
        let start = walked.start;
        let low = if g.stack.contains(start.sp) {
            start.sp
        } else {
            g.stack.start
        };
        let settled = walked.end.is_complete() && start.kind != StartKind::Stale;
        self.conservative.clear();
        self.scan.begin(self.space, g.stack, low);
        if g.sched.ctxt.0 != 0 {
            let slot = self.g.ctxt.at(g.addr);
            self.scan.pointer(
                StackRootKind::Context,
                StackRoot::NO_FRAME,
                slot,
                g.sched.ctxt,
                false,
                emit,
            );
        }
        if let Some(regs) = &start.regs {
            self.registers(StackRootKind::Register, regs, emit);
        }
        if let Some(system) = walked.system {
            self.scan.result.system_stacks = 1;
            self.system_stack(system, emit);
        }
        if g.async_safe_point
            && g.x_regs.0 != 0
            && let Some(regs) = self.x_regs
        {
            let words = AddrRange {
                start: regs.at(g.x_regs),
                end: g.x_regs.add(regs.size),
            };
            self.scan
                .every_word(StackRootKind::Register, StackRoot::NO_FRAME, words, emit);
        }
        if settled {
            let running = g.status == GStatus::Running || start.kind.is_asynchronous();
            self.scan_frames(running, walked, emit);
        } else {
            self.scan.result.conservative = true;
            let words = AddrRange {
                start: low,
                end: g.stack.end,
            };
            self.scan
                .every_word(StackRootKind::Local, StackRoot::NO_FRAME, words, emit);
        }
        self.scan_defers(g, emit);
        if g.panics.0 != 0 {
            // A panic's record always lies on the stack; it keeps its value alive.
            self.scan.follow(g.panics, false);
        }
        self.scan.objects(emit);
        self.scan.result
    }

    fn registers(
        &mut self,
        kind: StackRootKind,
        regs: &RegisterFile,
        emit: &mut dyn FnMut(StackRoot),
    ) {
        for (i, &word) in regs.general.iter().enumerate() {
            let (slot, word) = (Addr(i as u64), Addr(word));
            let frame = StackRoot::NO_FRAME;
            self.scan.pointer(kind, frame, slot, word, true, emit);
        }
    }

    fn system_stack(&mut self, system: &SystemStack, emit: &mut dyn FnMut(StackRoot)) {
        let kind = StackRootKind::SystemStack;
        self.registers(kind, &system.regs, emit);
        self.scan
            .every_word(kind, StackRoot::NO_FRAME, system.words, emit);
    }

    /// Calls `emit` for what a system stack holds whose thread runs no goroutine.
    pub fn system_roots(
        &mut self,
        system: &SystemStack,
        emit: &mut dyn FnMut(StackRoot),
    ) -> StackScan {
        self.scan
            .begin(self.space, system.words, system.words.start);
        self.scan.result.system_stacks = 1;
        self.system_stack(system, emit);
        self.scan.result
    }

    // runtime/mgcmark.go: scanframeworker
    fn scan_frames(&mut self, running: bool, walked: &Walked<'_>, emit: &mut dyn FnMut(StackRoot)) {
        // The frame of code that was stopped between two instructions, and every frame whose registers another one
        // saved, is scanned conservatively.
        let mut conservative = walked.start.kind.is_asynchronous();
        for (i, frame) in walked.frames.iter().enumerate() {
            if walked.moving {
                // Pointers from one frame to another may still be those of the old place.
                self.conservative_frame(i as u32, frame, emit);
                continue;
            }
            let injected = matches!(frame.kind, FuncKind::AsyncPreempt | FuncKind::DebugCall);
            if conservative || injected {
                self.conservative_frame(i as u32, frame, emit);
                conservative = injected || (running && self.calls_without_map(frame));
                continue;
            }
            if frame.continpc.0 != 0 {
                match self.maps.of(frame) {
                    Ok(maps) if self.scan.fits(frame, &maps) => {
                        self.scan.mapped(i as u32, frame, &maps, emit);
                    }
                    _ => {
                        let expected = !(running && self.calls_without_map(frame));
                        self.scan.result.unmapped_frames += u32::from(expected);
                        self.conservative_frame(i as u32, frame, emit);
                    }
                }
            }
            conservative = running && self.calls_without_map(frame);
        }
    }

    fn conservative_frame(&mut self, index: u32, frame: &Frame, emit: &mut dyn FnMut(StackRoot)) {
        self.scan.result.conservative_frames += 1;
        self.conservative.push(index);
        let mut end = frame.varp;
        if frame.kind.is_injected() {
            end = end.add(self.space.arch().injected_frame_size());
        }
        let words = AddrRange {
            start: frame.sp,
            end,
        };
        self.scan
            .every_word(StackRootKind::Local, index, words, emit);
        let function = self.unwinder.pclntab().func(frame.func);
        let args = u64::from(function.and_then(|f| f.args()).unwrap_or(0));
        let word = self.space.word_size();
        let words = AddrRange {
            start: frame.argp,
            end: self.scan.clip(frame.argp.add(args / word * word)),
        };
        self.scan.every_word(StackRootKind::Arg, index, words, emit);
    }

    /// Whether the compiler calls the function in places where it writes no stack map: from within a write barrier, or
    /// to copy and clear. The collector never stops there, a dump may.
    // cmd/compile/internal/liveness/plive.go: hasStackMap; cmd/compile/internal/ssa/_gen: LoweredWB, DUFFCOPY, DUFFZERO
    fn calls_without_map(&self, frame: &Frame) -> bool {
        let name = self
            .unwinder
            .pclntab()
            .func(frame.func)
            .map_or("", |f| f.name());
        // The assembly symbol is local to its file and has no package.
        let name = name.strip_prefix("runtime.").unwrap_or(name);
        name.starts_with("gcWriteBarrier")
            || matches!(name, "wbZero" | "wbMove" | "duffzero" | "duffcopy")
    }

    fn scan_defers(&mut self, g: &Goroutine, emit: &mut dyn FnMut(StackRoot)) {
        let mut found_at = self.g.defer.at(g.addr);
        let mut at = g.defers;
        let mut anchor = Addr(0);
        for i in 0..MAX_DEFERS {
            if at.0 == 0 {
                return;
            }
            // Brent: an anchor that is moved at every power of two is met again on a list that loops.
            if at == anchor {
                break;
            }
            if i.is_power_of_two() {
                anchor = at;
            }
            let read = |f: FieldAt| f.ptr(self.space, at);
            let (Ok(func), Ok(link)) = (read(self.defers.func), read(self.defers.link)) else {
                self.scan.result.unreadable_words += 1;
                return;
            };
            let scan = &mut self.scan;
            let mut root = |kind, slot, value| {
                scan.pointer(kind, StackRoot::NO_FRAME, slot, value, false, emit);
            };
            root(StackRootKind::Deferred, self.defers.func.at(at), func);
            root(StackRootKind::Defer, self.defers.link.at(at), link);
            if self
                .defers
                .heap
                .read(self.space, at)
                .is_ok_and(|heap| heap != 0)
            {
                root(StackRootKind::Defer, found_at, at);
            }
            found_at = self.defers.link.at(at);
            at = link;
        }
        self.scan.result.unreadable_words += 1;
    }
}
