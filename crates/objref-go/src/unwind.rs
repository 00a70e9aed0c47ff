//! Walking a goroutine's stack, frame by frame, exactly as the runtime walks it.

use objref_mem::{Addr, AddressSpace, Arch};
use rustc_hash::FxHashMap;

use crate::goroutine::Goroutine;
use crate::module::AddrRange;
use crate::pclntab::{FuncFlags, FuncId, FuncKind, LogicalFrame, Pclntab};
use crate::start::Start;

/// A physical frame. Calls inlined into it are restored by [`Unwinder::logical_frames`].
// runtime/stkframe.go: stkframe
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function; the outermost of those inlined into each other.
    pub func: FuncId,
    /// What the runtime knows of it.
    pub kind: FuncKind,
    /// Whether `pc` is an instruction that was interrupted, not one to return to.
    pub trap: bool,
    /// Where execution will go on in the function, or where it was interrupted.
    pub pc: Addr,
    /// Where execution will go on, as the collector sees it: 0 if the frame is dead. The stack maps are those of
    /// this address.
    pub continpc: Addr,
    /// Stack pointer in the frame.
    pub sp: Addr,
    /// Stack pointer of the caller.
    pub fp: Addr,
    /// One past the frame's local variables.
    pub varp: Addr,
    /// The function's arguments.
    pub argp: Addr,
}

/// How the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnwindEnd {
    /// At the goroutine's first function.
    Complete,
    /// At a return address that no function holds.
    UnknownPc(Addr),
    /// At code that moves the stack pointer in ways its table does not tell.
    StackSwitch,
    /// At a frame without a frame table, or with one that makes no sense.
    NoFrameSize(Addr),
    /// At a frame that reaches out of the stack.
    OutOfStack(Addr),
    /// At memory that is not in the dump.
    Unreadable(Addr),
    /// At more frames than any stack can hold.
    TooDeep,
}

impl UnwindEnd {
    /// Whether all frames are known.
    pub fn is_complete(self) -> bool {
        self == UnwindEnd::Complete
    }
}

/// The deepest stack: one of a gigabyte, in frames of 64 bytes.
const MAX_FRAMES: usize = 1 << 24;

/// What the walk needs to know of a code address; the same few addresses come up over and over.
#[derive(Clone, Copy)]
struct Site {
    func: FuncId,
    kind: FuncKind,
    flags: FuncFlags,
    entry: Addr,
    /// `None`: no table.
    sp_delta: Option<u32>,
    has_table: bool,
    deferreturn: u32,
}

/// Walks stacks. Each thread of the reader has its own: it remembers what it looked up.
pub struct Unwinder<'p> {
    tab: &'p Pclntab<'p>,
    space: &'p AddressSpace,
    pub(crate) arch: Arch,
    sites: FxHashMap<Addr, Option<Site>>,
    calls: FxHashMap<(Addr, bool), Box<[LogicalFrame<'p>]>>,
}

impl<'p> Unwinder<'p> {
    /// An unwinder for the program with these tables.
    pub fn new(tab: &'p Pclntab<'p>) -> Self {
        Unwinder {
            tab,
            space: tab.space(),
            arch: tab.space().arch(),
            sites: FxHashMap::default(),
            calls: FxHashMap::default(),
        }
    }

    /// The tables.
    pub fn pclntab(&self) -> &'p Pclntab<'p> {
        self.tab
    }

    /// Replaces the contents of `frames` by the frames of the stack `stack`, innermost first.
    // runtime/traceback.go: unwinder
    pub fn unwind(
        &mut self,
        start: &Start,
        stack: AddrRange,
        frames: &mut Vec<Frame>,
    ) -> UnwindEnd {
        self.walk(start, stack, None, frames)
    }

    /// Replaces the contents of `frames` by the frames of a thread's system stack `stack`, and, where that was entered
    /// from the goroutine `user`, by those of the goroutine from there on.
    pub fn unwind_system(
        &mut self,
        start: &Start,
        stack: AddrRange,
        user: Option<&Goroutine>,
        frames: &mut Vec<Frame>,
    ) -> UnwindEnd {
        // The bounds that the runtime guesses leave out the frames that the thread started with.
        let stack = AddrRange {
            start: stack.start,
            end: stack.end.add(4096),
        };
        self.walk(start, stack, user, frames)
    }

    fn walk(
        &mut self,
        start: &Start,
        mut stack: AddrRange,
        mut user: Option<&Goroutine>,
        frames: &mut Vec<Frame>,
    ) -> UnwindEnd {
        frames.clear();
        let mut walk = Walk {
            pc: start.pc,
            sp: start.sp,
            lr: start.lr,
            innermost: true,
            trap: start.kind.is_asynchronous(),
            callee: FuncKind::Normal,
            switched: false,
        };
        if walk.pc.0 == 0 {
            // A call of a nil function: start in its caller.
            let Ok(pc) = self.space.ptr(walk.sp) else {
                return UnwindEnd::Unreadable(walk.sp);
            };
            walk.pc = pc;
            walk.lr = Addr(0);
            walk.sp = walk.sp.add(self.arch.pushed_by_call());
        }
        loop {
            if frames.len() >= MAX_FRAMES {
                return UnwindEnd::TooDeep;
            }
            if let Some(g) = user
                && self.jump(&mut walk, g)
            {
                (stack, user) = (g.stack, None);
            }
            match self.step(&mut walk, stack, frames) {
                Some(end) => return end,
                None => walk.innermost = false,
            }
        }
    }

    fn step(
        &mut self,
        walk: &mut Walk,
        stack: AddrRange,
        frames: &mut Vec<Frame>,
    ) -> Option<UnwindEnd> {
        let Some(site) = self.site(walk.pc) else {
            return Some(UnwindEnd::UnknownPc(walk.pc));
        };
        if !site.has_table {
            // Code that Go did not compile: race detector and the like.
            return Some(UnwindEnd::NoFrameSize(walk.pc));
        }
        let Some(delta) = site.sp_delta else {
            return Some(UnwindEnd::NoFrameSize(walk.pc));
        };
        let return_slot = self.arch.pushed_by_call();
        let fp = walk.sp.add(u64::from(delta)).add(return_slot);
        if walk.sp < stack.start || fp < walk.sp || fp > stack.end {
            return Some(UnwindEnd::OutOfStack(walk.sp));
        }
        // cgocallback switches stacks, but keeps both of them walkable; a system call was entered with the stack
        // pointer that is walked from; a parked function's write is yet to come, or, as the stack pointer lies in this
        // stack, has been undone. gogo alone is on the stack of another function.
        // runtime/traceback.go: (*unwinder).resolveInternal
        let switches = site.flags.sp_write()
            && site.kind != FuncKind::CgoCallback
            && !walk.switched
            && (!walk.innermost || site.kind == FuncKind::Gogo);
        let lr = if site.flags.top_frame() || switches {
            Addr(0)
        } else if !self.arch.has_link_register() {
            match self.space.ptr(Addr(fp.0 - return_slot)) {
                Ok(lr) => lr,
                Err(fault) => return Some(UnwindEnd::Unreadable(fault.addr)),
            }
        } else if walk.lr.0 == 0 || (walk.innermost && walk.sp < fp) {
            match self.space.ptr(walk.sp) {
                Ok(lr) => lr,
                Err(fault) => return Some(UnwindEnd::Unreadable(fault.addr)),
            }
        } else {
            walk.lr
        };
        let mut varp = Addr(fp.0 - return_slot);
        if varp > walk.sp && self.arch.has_frame_pointers() {
            // The caller's frame pointer is saved there.
            varp = Addr(varp.0.wrapping_sub(self.arch.pointer_size()));
        }
        frames.push(Frame {
            func: site.func,
            kind: site.kind,
            trap: walk.trap,
            pc: walk.pc,
            continpc: continuation(walk, &site),
            sp: walk.sp,
            fp,
            varp,
            argp: fp.add(self.arch.min_frame_size()),
        });
        if site.flags.top_frame() {
            return Some(UnwindEnd::Complete);
        }
        if switches {
            return Some(UnwindEnd::StackSwitch);
        }
        if lr.0 == 0 {
            return Some(UnwindEnd::UnknownPc(lr));
        }
        if lr == walk.pc && fp == walk.sp {
            return Some(UnwindEnd::OutOfStack(fp));
        }
        self.caller(walk, &site, lr, fp)
    }

    /// On a system stack: goes on on the stack of the goroutine that the thread runs, if this is where it came from.
    // runtime/traceback.go: (*unwinder).resolveInternal, unwindJumpStack
    fn jump(&mut self, walk: &mut Walk, g: &Goroutine) -> bool {
        let Some(site) = self.site(walk.pc) else {
            return false;
        };
        match site.kind {
            // It never returns: the goroutine goes on where it was.
            FuncKind::MoreStack => {
                (walk.pc, walk.sp, walk.lr) = (g.sched.pc, g.sched.sp, g.sched.lr);
            }
            // On machines with a link register the stack is not yet switched in the prologue.
            FuncKind::SystemStack
                if !(self.arch.has_link_register() && site.sp_delta == Some(0)) =>
            {
                walk.sp = g.sched.sp;
                walk.switched = true;
            }
            _ => return false,
        }
        true
    }

    /// Moves on to the caller, which continues at `lr` with the stack pointer `sp`.
    // runtime/traceback.go: (*unwinder).next
    fn caller(&mut self, walk: &mut Walk, callee: &Site, lr: Addr, sp: Addr) -> Option<UnwindEnd> {
        let injected = callee.kind.is_injected();
        (walk.pc, walk.sp, walk.lr) = (lr, sp, Addr(0));
        (walk.trap, walk.callee, walk.switched) = (injected, callee.kind, false);
        if self.arch.has_link_register() && injected {
            // The signal handler saved the link register on the stack before it faked the call.
            let saved = match self.space.ptr(sp) {
                Ok(saved) => saved,
                Err(fault) => return Some(UnwindEnd::Unreadable(fault.addr)),
            };
            walk.sp = sp.add(self.arch.injected_frame_size());
            match self.site(walk.pc) {
                None => walk.pc = saved,
                Some(site) if site.sp_delta == Some(0) => walk.lr = saved,
                Some(_) => {}
            }
        }
        None
    }

    /// How the runtime treats the Go function at `pc`; code of other languages that was linked in has no frame table.
    pub(crate) fn kind_at(&mut self, pc: Addr) -> Option<FuncKind> {
        self.site(pc)
            .filter(|site| site.has_table)
            .map(|site| site.kind)
    }

    fn site(&mut self, pc: Addr) -> Option<Site> {
        let tab = self.tab;
        *self.sites.entry(pc).or_insert_with(|| {
            let f = tab.find(pc)?;
            Some(Site {
                func: f.id(),
                kind: f.kind(),
                flags: f.flags(),
                entry: f.entry(),
                sp_delta: f.sp_delta(pc),
                has_table: f.has_frame_table(),
                deferreturn: f.deferreturn(),
            })
        })
    }

    /// The calls of `frame` as the programmer wrote them, innermost first.
    pub fn calls(&mut self, frame: &Frame) -> &[LogicalFrame<'p>] {
        let tab = self.tab;
        self.calls.entry((frame.pc, frame.trap)).or_insert_with(|| {
            let mut calls = Vec::new();
            if let Some(f) = tab.func(frame.func) {
                f.logical_frames(call_site(frame, f.entry()), &mut calls);
            }
            calls.into()
        })
    }

    /// Appends what [`Unwinder::calls`] gives to `out`.
    pub fn logical_frames(&mut self, frame: &Frame, out: &mut Vec<LogicalFrame<'p>>) {
        out.extend_from_slice(self.calls(frame));
    }
}

struct Walk {
    pc: Addr,
    sp: Addr,
    lr: Addr,
    innermost: bool,
    trap: bool,
    callee: FuncKind,
    /// The function's write to the stack pointer has been followed.
    switched: bool,
}

/// Where the frame goes on. One that was interrupted by a fault goes on only if a deferred call recovers.
// runtime/traceback.go: (*unwinder).resolveInternal
fn continuation(walk: &Walk, site: &Site) -> Addr {
    match (walk.callee, site.deferreturn) {
        (FuncKind::SigPanic, 0) => Addr(0),
        // One more, because the stack map is looked up at the byte before.
        (FuncKind::SigPanic, offset) => site.entry.add(u64::from(offset)).add(1),
        _ => walk.pc,
    }
}

/// The address that names the frame's line: the call, not the instruction after it.
// runtime/traceback.go: (*unwinder).symPC
pub(crate) fn call_site(frame: &Frame, entry: Addr) -> Addr {
    if !frame.trap && frame.pc > entry {
        Addr(frame.pc.0 - 1)
    } else {
        frame.pc
    }
}
