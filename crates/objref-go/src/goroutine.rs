//! Goroutines as the runtime lists them in `allgs`.

use std::fmt;

use objref_mem::{Addr, AddressSpace, Fault};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::layout::{FieldAt, LayoutError, StructSource, find_size, layout, pointer_at, slice_at};
use crate::module::AddrRange;
use crate::pclntab::{FuncKind, Pclntab};
use crate::wait_reason::WaitReasons;

layout! {
    /// Offsets in `runtime.g`.
    // runtime/runtime2.go: g
    struct GLayout = "runtime.g" {
        stack_lo: "stack.lo",
        stack_hi: "stack.hi",
        panic: "_panic",
        defer: "_defer",
        m: "m",
        sched_sp: "sched.sp",
        sched_pc: "sched.pc",
        sched_ctxt: "sched.ctxt",
        sched_g: ? "sched.g",
        sched_lr: "sched.lr",
        sched_bp: "sched.bp",
        syscall_sp: "syscallsp",
        syscall_pc: "syscallpc",
        status: "atomicstatus.value | atomicstatus",
        goid: "goid",
        wait_since: "waitsince",
        wait_reason: "waitreason",
        async_safe_point: "asyncSafePoint",
        locked_m: "lockedm",
        // go1.21+
        parent_goid: ? "parentGoid",
        gopc: "gopc",
        startpc: "startpc",
        waiting: "waiting",
        labels: "labels",
        // go1.25+
        running_cleanups: ? "runningCleanups.u.value | runningCleanups",
        // go1.26+; scanned from go1.27
        x_regs: ? "xRegs.state",
    }
}

impl GLayout {
    /// What to read where the struct's size is unknown: its size in go1.19, the smallest.
    const MIN_SIZE: u64 = 392;
}

/// What a goroutine was doing, as the scheduler has it.
// runtime/runtime2.go: _Gidle…
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GStatus {
    /// Just allocated, not yet initialised.
    Idle,
    /// Waits for a thread to run on.
    Runnable,
    /// Runs on a thread.
    Running,
    /// In a system call or in C.
    Syscall,
    /// Blocked.
    Waiting,
    /// Finished; its descriptor will be used again.
    Dead,
    /// Its stack is being moved.
    CopyStack,
    /// Stopped by the collector or a debugger.
    Preempted,
    /// Blocked for ever, as the collector found (go1.26+).
    Leaked,
    /// A number that this program does not know.
    Unknown(u32),
}

impl GStatus {
    /// `raw` is `atomicstatus` without the bit that says that the stack is being scanned.
    pub fn from_raw(raw: u32) -> GStatus {
        match raw {
            0 => GStatus::Idle,
            1 => GStatus::Runnable,
            2 => GStatus::Running,
            3 => GStatus::Syscall,
            4 => GStatus::Waiting,
            // 11: a dead one that belongs to a thread of C (go1.26+).
            6 | 11 => GStatus::Dead,
            8 => GStatus::CopyStack,
            9 => GStatus::Preempted,
            10 => GStatus::Leaked,
            other => GStatus::Unknown(other),
        }
    }

    /// The runtime's own word for it.
    // runtime/traceback.go: gStatusStrings
    pub fn name(self) -> &'static str {
        match self {
            GStatus::Idle => "idle",
            GStatus::Runnable => "runnable",
            GStatus::Running => "running",
            GStatus::Syscall => "syscall",
            GStatus::Waiting => "waiting",
            GStatus::Dead => "dead",
            GStatus::CopyStack => "copystack",
            GStatus::Preempted => "preempted",
            GStatus::Leaked => "leaked",
            GStatus::Unknown(_) => "???",
        }
    }
}

impl fmt::Display for GStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bit of `atomicstatus`: the collector is scanning the stack.
// runtime/runtime2.go: _Gscan
const SCAN_BIT: u32 = 0x1000;

/// Registers that the scheduler saved when the goroutine stopped.
// runtime/runtime2.go: gobuf
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedContext {
    /// Program counter.
    pub pc: Addr,
    /// Stack pointer.
    pub sp: Addr,
    /// Link register, where there is one.
    pub lr: Addr,
    /// Frame pointer.
    pub bp: Addr,
    /// Closure context: a pointer that no stack map covers.
    pub ctxt: Addr,
}

/// A goroutine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Goroutine {
    /// Address of its `runtime.g`.
    pub addr: Addr,
    /// The number that tracebacks show.
    pub id: u64,
    /// What it was doing.
    pub status: GStatus,
    /// Whether its stack was being scanned.
    pub scanning: bool,
    /// Index into [`Goroutines::reasons`]; 0 means none.
    pub wait_reason: u8,
    /// When the collector first found it blocked, on the runtime's monotonic clock in nanoseconds; 0 if not yet.
    pub wait_since: i64,
    /// Return address of the `go` statement that started it; 0 for the first.
    pub created_at: Addr,
    /// Entry of the function it started with.
    pub start: Addr,
    /// Number of the goroutine that started it; 0 if unknown.
    pub parent: u64,
    /// Its stack.
    pub stack: AddrRange,
    /// Address of the `runtime.m` it runs on; 0 if none.
    pub m: Addr,
    /// Address of the `runtime.m` it is bound to; 0 if none.
    pub locked_m: Addr,
    /// Where it goes on when it is scheduled.
    pub sched: SavedContext,
    /// Stack pointer when it entered a system call; 0 outside.
    pub syscall_sp: Addr,
    /// Program counter when it entered a system call.
    pub syscall_pc: Addr,
    /// Innermost defer record; 0 if none.
    pub defers: Addr,
    /// Innermost panic; 0 if none.
    pub panics: Addr,
    /// First of the `runtime.sudog`s it waits with; 0 if none.
    pub waiting: Addr,
    /// Profiler labels; 0 if none.
    pub labels: Addr,
    /// Whether it was stopped between two instructions, not at a call.
    pub async_safe_point: bool,
    /// Vector registers of a goroutine stopped between two instructions; 0 if none.
    pub x_regs: Addr,
    /// Whether it belongs to the runtime.
    pub system: bool,
    /// Whether it is calling back into user code from the runtime (finalizers, cleanups).
    running_user_code: bool,
}

impl Goroutine {
    /// Whether it is alive: it has a stack that can hold roots.
    pub fn is_live(&self) -> bool {
        !matches!(
            self.status,
            GStatus::Dead | GStatus::Idle | GStatus::Unknown(_)
        )
    }
}

/// All goroutines that are not dead, in the order of their descriptors' creation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Goroutines {
    /// The goroutines.
    pub list: Vec<Goroutine>,
    /// What they wait for: texts by [`Goroutine::wait_reason`].
    pub reasons: WaitReasons,
    /// Dead descriptors, kept for reuse.
    pub dead: usize,
    /// Descriptors that could not be read, or that make no sense.
    pub unreadable: usize,
}

/// More goroutines than this are taken for damage.
const MAX_GOROUTINES: u64 = 1 << 28;

/// The runtime stops growing a stack at a gigabyte; it doubles.
const MAX_STACK: u64 = 1 << 31;

/// Why there is no list of goroutines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GoroutineError {
    /// A struct of the runtime has an unknown shape.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The list is not in the dump.
    #[error("the list of goroutines cannot be read: {0}")]
    Fault(#[from] Fault),
    /// A variable of the runtime cannot be found.
    #[error("{0} cannot be found (wrong binary, or the dump is cut short)")]
    Missing(&'static str),
}

/// Addresses of the runtime's package-level variables by full name.
pub type Globals<'a> = dyn Fn(&str) -> Option<Addr> + 'a;

impl Goroutines {
    /// Reads `runtime.allgs`. `minor` is the Go version's second number, for the wait reasons of binaries without
    /// symbols.
    // runtime/proc.go: allgs
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        globals: &Globals<'_>,
        pclntab: &Pclntab<'_>,
        minor: u32,
    ) -> Result<Goroutines, GoroutineError> {
        let layout = GLayout::resolve(source)?;
        let size = find_size(source, "runtime.g").unwrap_or(GLayout::MIN_SIZE);
        let allgs = globals("runtime.allgs").ok_or(GoroutineError::Missing("runtime.allgs"))?;
        let (data, len) = slice_at(space, allgs)?;
        let reader = Reader {
            space,
            layout: &layout,
            size,
        };
        let mut all = Goroutines::default();
        let mut seen = FxHashSet::default();
        for i in 0..len.min(MAX_GOROUTINES) {
            match pointer_at(space, data, i)
                .ok()
                // A list that names one again was overwritten.
                .filter(|a| a.0 != 0 && seen.insert(*a))
                .and_then(|addr| reader.read(addr))
            {
                Some(g) if g.is_live() => all.list.push(g),
                Some(g) if matches!(g.status, GStatus::Unknown(_)) => all.unreadable += 1,
                Some(_) => all.dead += 1,
                // The list itself ends here: nothing behind it can be right.
                None if pointer_at(space, data, i).is_err() => {
                    let rest = (len.min(MAX_GOROUTINES) - i) as usize;
                    let found = reader.search(&mut seen);
                    all.unreadable += rest.saturating_sub(found.len());
                    all.list
                        .extend(found.into_iter().filter(Goroutine::is_live));
                    break;
                }
                None => all.unreadable += 1,
            }
        }
        all.reasons = WaitReasons::read(space, globals("runtime.waitReasonStrings"), minor);
        all.mark_system(space, globals, pclntab);
        Ok(all)
    }

    /// What `g` waits for, if it waits.
    pub fn wait_reason(&self, g: &Goroutine) -> Option<&str> {
        let waits = matches!(g.status, GStatus::Waiting | GStatus::Leaked);
        if waits && g.wait_reason != 0 {
            Some(self.reasons.text(g.wait_reason))
        } else {
            None
        }
    }

    /// The goroutine whose descriptor is at `addr`.
    pub fn at(&self, addr: Addr) -> Option<&Goroutine> {
        self.list.iter().find(|g| g.addr == addr)
    }

    // runtime/traceback.go: isSystemGoroutine
    fn mark_system(&mut self, space: &AddressSpace, globals: &Globals<'_>, pclntab: &Pclntab<'_>) {
        // runtime/mfinal.go: fingRunningFinalizer, go1.20+; before, a bool of its own.
        let finalizing = match (
            globals("runtime.fingStatus"),
            globals("runtime.fingRunning"),
        ) {
            (Some(status), _) => space.u32(status).is_ok_and(|s| s & 2 != 0),
            (None, Some(running)) => space.u8(running).is_ok_and(|r| r != 0),
            (None, None) => false,
        };
        let mut known = rustc_hash::FxHashMap::default();
        for g in &mut self.list {
            let (kind, runtime) =
                *known
                    .entry(g.start)
                    .or_insert_with(|| match pclntab.find(g.start) {
                        Some(f) => (f.kind(), f.name().starts_with("runtime.")),
                        None => (FuncKind::Normal, false),
                    });
            g.system = match kind {
                FuncKind::RuntimeMain | FuncKind::CoroStart | FuncKind::HandleAsyncEvent => false,
                FuncKind::RunFinalizers => !finalizing,
                FuncKind::RunCleanups => !g.running_user_code,
                _ => runtime,
            };
        }
    }
}

/// Where something is whose scheduling state would lead back to it if it were a goroutine, by address.
// runtime/runtime2.go: gobuf.g
fn self_references(space: &AddressSpace, layout: &GLayout) -> Vec<Addr> {
    let Some(own) = layout.sched_g else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for region in space.written() {
        let Ok(bytes) = space.slice(region.start, region.len as usize) else {
            continue;
        };
        let words = (0..).zip(space.encoding().words(bytes));
        found.extend(words.filter_map(|(i, word): (u64, u64)| {
            let at = region.start.0 + i * space.word_size();
            (word != 0 && word == at.wrapping_sub(own.offset)).then_some(Addr(word))
        }));
    }
    found
}

layout! {
    /// Offsets in `runtime.m`.
    // runtime/runtime2.go: m
    struct MLayout = "runtime.m" {
        g0: "g0",
        gsignal: ? "gsignal",
        alllink: "alllink",
    }
}

/// The descriptors of all goroutines on the heap, of dead ones and of threads' own too, each with its stack, as far as the
/// runtime's lists can be read.
pub(crate) fn all_stacks(
    space: &AddressSpace,
    source: &dyn StructSource,
    globals: &Globals<'_>,
) -> Vec<(Addr, AddrRange)> {
    let Ok(layout) = GLayout::resolve(source) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if let Some(Ok((data, len))) = globals("runtime.allgs").map(|at| slice_at(space, at)) {
        // Where the list ends nothing behind it can be right.
        let listed = (0..len.min(MAX_GOROUTINES)).map_while(|i| pointer_at(space, data, i).ok());
        all.extend(listed);
        if (all.len() as u64) < len {
            all.extend(self_references(space, &layout));
        }
    }
    if let (Some(allm), Ok(layout)) = (globals("runtime.allm"), MLayout::resolve(source)) {
        let (mut next, mut seen) = (space.ptr(allm), FxHashSet::default());
        while let Ok(m) = next
            && m.0 != 0
            && all.len() < MAX_GOROUTINES as usize
        {
            let own = [Some(layout.g0), layout.gsignal].into_iter().flatten();
            let before = all.len();
            all.extend(own.filter_map(|g| g.ptr(space, m).ok()));
            if all.len() == before || !seen.insert(m) {
                break;
            }
            next = layout.alllink.ptr(space, m);
        }
    }
    let stack = |g: Addr| -> Result<(Addr, AddrRange), Fault> {
        let (start, end) = (
            layout.stack_lo.ptr(space, g)?,
            layout.stack_hi.ptr(space, g)?,
        );
        Ok((g, AddrRange { start, end }))
    };
    all.into_iter().filter_map(|g| stack(g).ok()).collect()
}

struct Reader<'a> {
    space: &'a AddressSpace,
    layout: &'a GLayout,
    size: u64,
}

impl Reader<'_> {
    /// All goroutines that are somewhere in the memory of the dump and not among those `seen`, by address: their scheduling
    /// state leads back to them.
    // runtime/proc.go: newproc1, malg
    fn search(&self, seen: &mut FxHashSet<Addr>) -> Vec<Goroutine> {
        let mut found = self_references(self.space, self.layout);
        found.retain(|at| seen.insert(*at));
        let read = |at: &Addr| self.read(*at).filter(|g| !g.stack.is_empty());
        found.iter().filter_map(read).collect()
    }

    fn read(&self, addr: Addr) -> Option<Goroutine> {
        let l = self.layout;
        let bytes = self.space.bytes(addr, self.size as usize).ok()?;
        let int = |f: FieldAt| f.of(&bytes, self.space.encoding());
        let at = |f: FieldAt| Some(Addr(int(f)?));
        let flag = |f: Option<FieldAt>| f.and_then(int).is_some_and(|v| v != 0);
        let status = int(l.status)? as u32;
        let stack = AddrRange {
            start: at(l.stack_lo)?,
            end: at(l.stack_hi)?,
        };
        let g = Goroutine {
            addr,
            id: int(l.goid)?,
            status: GStatus::from_raw(status & !SCAN_BIT),
            scanning: status & SCAN_BIT != 0,
            wait_reason: int(l.wait_reason)? as u8,
            wait_since: int(l.wait_since)? as i64,
            created_at: at(l.gopc)?,
            start: at(l.startpc)?,
            parent: l.parent_goid.and_then(int).unwrap_or(0),
            stack,
            m: at(l.m)?,
            locked_m: at(l.locked_m)?,
            sched: SavedContext {
                pc: at(l.sched_pc)?,
                sp: at(l.sched_sp)?,
                lr: at(l.sched_lr)?,
                bp: at(l.sched_bp)?,
                ctxt: at(l.sched_ctxt)?,
            },
            syscall_sp: at(l.syscall_sp)?,
            syscall_pc: at(l.syscall_pc)?,
            defers: at(l.defer)?,
            panics: at(l.panic)?,
            waiting: at(l.waiting)?,
            labels: at(l.labels)?,
            async_safe_point: flag(Some(l.async_safe_point)),
            x_regs: l.x_regs.and_then(at).unwrap_or_default(),
            system: false,
            running_user_code: flag(l.running_cleanups),
        };
        let sane =
            !g.is_live() || (g.stack.start.0 != 0 && (1..=MAX_STACK).contains(&g.stack.len()));
        sane.then_some(g)
    }
}
