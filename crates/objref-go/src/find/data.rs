//! Variables by what is in them.

use std::borrow::Cow;

use objref_mem::{Addr, AddressSpace};

use crate::heap::arena_base;
use crate::layout::{FieldAt, StructSource, layout};
use crate::module::{AddrRange, Module};

layout! {
    // runtime/mheap.go: mheap
    struct HeapShape = "runtime.mheap" {
        allspans: "allspans",
        arenas: "arenas",
    }
}

layout! {
    // runtime/mheap.go: mspan
    struct SpanShape = "runtime.mspan" { start: "startAddr" }
}

layout! {
    // runtime/mheap.go: heapArena
    struct ArenaShape = "runtime.heapArena" { spans: "spans" }
}

layout! {
    // runtime/runtime2.go: g
    struct GShape = "runtime.g" {
        lo: "stack.lo",
        hi: "stack.hi",
        own: "sched.g",
        goid: "goid",
        m: "m",
    }
}

layout! {
    // runtime/runtime2.go: m
    struct MShape = "runtime.m" {
        g0: "g0",
        alllink: "alllink",
    }
}

layout! {
    // runtime/runtime2.go: p
    struct PShape = "runtime.p" {
        id: "id",
        status: "status",
        mcache: "mcache",
    }
}

layout! {
    // runtime/mfinal.go: finBlock, finblock (up to go1.24)
    struct FinBlockShape = "runtime.finBlock | runtime.finblock" {
        alllink: "alllink",
        cnt: "cnt",
        fin: "fin",
    }
}

layout! {
    // runtime/mgcpacer.go: gcControllerState
    struct ControllerShape = "runtime.gcControllerState" {
        gc_percent: "gcPercent.value | gcPercent",
        heap_minimum: "heapMinimum",
    }
}

layout! {
    // runtime/runtime2.go: schedt
    struct SchedShape = "runtime.schedt" {
        lock: "lock",
        mnext: "mnext",
        maxmcount: "maxmcount",
    }
}

/// The data of the module that the runtime is in.
pub(super) struct Data<'a> {
    space: &'a AddressSpace,
    source: &'a dyn StructSource,
    /// Ranges of variables, with their bytes.
    parts: Vec<(Addr, Cow<'a, [u8]>)>,
}

/// Of long lists this many entries are looked at.
const SAMPLE: u64 = 50;
const MAX_LEN: u64 = 1 << 32;
const MAX_CHAIN: usize = 1 << 20;
const WORD: u64 = 8;
const PAGE: u64 = 8192;
const PAGES_PER_ARENA: u64 = 8192;
const ARENA_SHIFT: u32 = 26;

impl<'a> Data<'a> {
    pub(super) fn new(
        space: &'a AddressSpace,
        source: &'a dyn StructSource,
        module: &Module,
    ) -> Self {
        let ranges: [AddrRange; 4] = [module.noptrdata, module.data, module.bss, module.noptrbss];
        let parts = ranges
            .into_iter()
            .filter_map(|range| {
                // A range that the dump has only in part serves as far as it goes.
                let bytes = space.bytes(range.start, range.len() as usize);
                Some((
                    range.start,
                    bytes
                        .or_else(|_| space.rest(range.start).map(Cow::Borrowed))
                        .ok()?,
                ))
            })
            .collect();
        Data {
            space,
            source,
            parts,
        }
    }

    /// All words: address, value.
    fn words(&self) -> impl Iterator<Item = (Addr, u64)> {
        self.parts.iter().flat_map(|(start, bytes)| {
            bytes
                .chunks_exact(WORD as usize)
                .enumerate()
                .map(|(i, word)| {
                    let value = u64::from_le_bytes(word.try_into().unwrap_or_default());
                    (start.add(i as u64 * WORD), value)
                })
        })
    }

    /// All that may be slices: address, first element, length.
    fn slices(&self) -> impl Iterator<Item = (Addr, Addr, u64)> {
        self.parts.iter().flat_map(|(start, bytes)| {
            bytes
                .windows(24)
                .step_by(WORD as usize)
                .enumerate()
                .filter_map(|(i, w)| {
                    let word = |at: usize| {
                        u64::from_le_bytes(w[at..at + 8].try_into().unwrap_or_default())
                    };
                    let (data, len, cap) = (word(0), word(8), word(16));
                    let fits =
                        data != 0 && data % WORD == 0 && 0 < len && len <= cap && cap < MAX_LEN;
                    fits.then(|| (start.add(i as u64 * WORD), Addr(data), len))
                })
        })
    }

    fn ptr(&self, at: Addr) -> Option<Addr> {
        self.space
            .ptr(at)
            .ok()
            .filter(|a| a.0 != 0 && a.0 % WORD == 0)
    }

    fn get(&self, field: FieldAt, base: Addr) -> Option<u64> {
        field.read(self.space, base).ok()
    }

    /// `mheap_`: the spans that it lists are the ones that its arenas have at their addresses.
    pub(super) fn mheap(&self) -> Option<Addr> {
        let heap = HeapShape::resolve(self.source).ok()?;
        let span = SpanShape::resolve(self.source).ok()?;
        let arena = ArenaShape::resolve(self.source).ok()?;
        let base = arena_base(self.space, self.source);
        let confirms = |arenas: Addr, at: Addr| -> Option<bool> {
            let start = self.get(span.start, at).filter(|start| start % PAGE == 0)?;
            let index = start.wrapping_sub(base) >> ARENA_SHIFT;
            let arena_at = self.ptr(arenas.add(index.checked_mul(WORD)?))?;
            let entry = arena
                .spans
                .at(arena_at)
                .add(start / PAGE % PAGES_PER_ARENA * WORD);
            Some(self.ptr(entry)? == at)
        };
        only(self.slices().filter_map(|(at, data, len)| {
            let mheap = Addr(at.0.checked_sub(heap.allspans.offset)?);
            let arenas = self.ptr(heap.arenas.at(mheap))?;
            let sample = (0..len.min(SAMPLE)).filter_map(|i| self.ptr(data.add(i * WORD)));
            sample
                .into_iter()
                .any(|span| confirms(arenas, span) == Some(true))
                .then_some(mheap)
        }))
    }

    /// `allgs`: every element is a `g` whose scheduling state points back to it. While the collector marks, it has a
    /// copy, which may be shorter.
    pub(super) fn allgs(&self) -> Option<Addr> {
        let g = GShape::resolve(self.source).ok()?;
        let is_g = |at: Addr| {
            let (lo, hi) = (self.get(g.lo, at)?, self.get(g.hi, at)?);
            let own = self.get(g.own, at)?;
            Some(lo <= hi && (own == at.0 || own == 0) && self.get(g.goid, at)? < 1 << 40)
        };
        self.slices()
            .filter(|&(_, data, len)| {
                let first = self
                    .ptr(data)
                    .and_then(|g0| self.get(g.own, g0).map(|own| own == g0.0));
                first == Some(true)
                    && (0..len.min(SAMPLE))
                        .all(|i| self.ptr(data.add(i * WORD)).and_then(is_g) == Some(true))
            })
            .max_by_key(|&(at, _, len)| (len, std::cmp::Reverse(at)))
            .map(|(at, ..)| at)
    }

    /// `allp`: every element is a `p` that knows its place in the list. There is a copy from go1.24 on; `named` are the
    /// variables among which code says it is, if it says anything.
    pub(super) fn allp(&self, named: &[Addr]) -> Option<Addr> {
        let p = PShape::resolve(self.source).ok()?;
        const DEAD: u64 = 4;
        let is_p = |i: u64, at: Addr| {
            let status = self.get(p.status, at)?;
            let cache = self.ptr(p.mcache.at(at));
            let cached = status == DEAD || cache.is_some_and(|c| self.space.u64(c).is_ok());
            Some(self.get(p.id, at)? == i && status <= DEAD && cached)
        };
        let found: Vec<_> = self
            .slices()
            .filter(|&(_, data, len)| {
                len <= 1 << 16
                    && (0..len.min(SAMPLE)).all(|i| {
                        self.ptr(data.add(i * WORD)).and_then(|p| is_p(i, p)) == Some(true)
                    })
            })
            .collect();
        if let Some((at, ..)) = found.iter().find(|(at, ..)| named.contains(at)) {
            return Some(*at);
        }
        let (at, data, len) = *found.first()?;
        found
            .iter()
            .all(|(_, d, l)| (*d, *l) == (data, len))
            .then_some(at)
    }

    /// `allm`: the head of a chain of `m`s, each of which its system goroutine knows. Where code tells, among
    /// `named` by code; else the longest chain.
    pub(super) fn allm(&self, named: &[Addr]) -> Option<Addr> {
        let m = MShape::resolve(self.source).ok()?;
        let g = GShape::resolve(self.source).ok()?;
        let is_m = |at: Addr| self.ptr(m.g0.at(at)).and_then(|g0| self.ptr(g.m.at(g0))) == Some(at);
        let chain = |head: Addr| {
            let mut at = Some(head);
            let mut len = 0;
            while let Some(this) = at {
                if !is_m(this) || len > MAX_CHAIN {
                    return 0;
                }
                len += 1;
                at = self.ptr(m.alllink.at(this));
            }
            len
        };
        let candidates = self.words().filter_map(|(at, value)| {
            let may = value != 0 && value % WORD == 0 && (named.is_empty() || named.contains(&at));
            let len = if may { chain(Addr(value)) } else { 0 };
            (len > 0).then_some((len, std::cmp::Reverse(at)))
        });
        candidates.max().map(|(_, at)| at.0)
    }

    /// `allfin`: of the variables that the queueing of finalizers uses, the one with the longest chain of blocks. If
    /// there is no block, any of them that is nil.
    pub(super) fn allfin(&self, named: &[Addr]) -> Option<Addr> {
        let block = FinBlockShape::resolve(self.source).ok()?;
        const ENTRY: u64 = 40;
        let chain = |head: Addr| {
            let mut at = Some(head);
            let mut len = 0;
            while let Some(this) = at {
                let count = self.get(block.cnt, this);
                if count.is_none_or(|n| n > block.fin.size / ENTRY) || len > MAX_CHAIN {
                    return 0;
                }
                len += 1;
                at = self.ptr(block.alllink.at(this));
            }
            len
        };
        let aligned = named.iter().filter(|at| at.0 % WORD == 0);
        let values: Vec<(Addr, Addr)> = aligned
            .filter_map(|&at| Some((at, self.space.ptr(at).ok()?)))
            .collect();
        let longest = values
            .iter()
            .filter_map(|&(at, head)| {
                let len = if head.0 % WORD == 0 && head.0 != 0 {
                    chain(head)
                } else {
                    0
                };
                (len > 0).then_some((len, std::cmp::Reverse(at)))
            })
            .max();
        match longest {
            Some((_, at)) => Some(at.0),
            None => values
                .iter()
                .find(|(_, head)| head.0 == 0)
                .map(|(at, _)| *at),
        }
    }

    /// Whether the pacer may be at `at`: the smallest heap follows from GOGC.
    // runtime/mgcpacer.go: setGCPercent: heapMinimum = defaultHeapMinimum * GOGC / 100
    pub(super) fn is_controller(&self, at: Addr) -> bool {
        const DEFAULT_MINIMUM: [u64; 2] = [4 << 20, 512 << 10];
        let Ok(shape) = ControllerShape::resolve(self.source) else {
            return false;
        };
        let (Some(percent), Some(minimum)) = (
            self.get(shape.gc_percent, at),
            self.get(shape.heap_minimum, at),
        ) else {
            return false;
        };
        match percent as u32 as i32 {
            percent if percent < 0 => true,
            percent => DEFAULT_MINIMUM
                .iter()
                .any(|d| d * percent as u64 / 100 == minimum),
        }
    }

    /// `sched`, whose lock is at `lock`: it has given out fewer numbers for threads than there may be.
    pub(super) fn sched(&self, lock: Addr) -> Option<Addr> {
        let shape = SchedShape::resolve(self.source).ok()?;
        let sched = Addr(lock.0.checked_sub(shape.lock.offset)?);
        let (next, most) = (
            self.get(shape.mnext, sched)?,
            self.get(shape.maxmcount, sched)?,
        );
        (0 < next && next < MAX_LEN && 0 < most && most < MAX_LEN && sched.0.is_multiple_of(WORD))
            .then_some(sched)
    }

    /// `waitReasonStrings`: an array of strings whose first two have not changed since the beginning.
    // runtime/runtime2.go: waitReasonStrings
    pub(super) fn wait_reasons(&self) -> Option<Addr> {
        const SECOND: &[u8] = b"GC assist marking";
        self.parts.iter().find_map(|(start, bytes)| {
            bytes
                .windows(32)
                .step_by(WORD as usize)
                .enumerate()
                .find_map(|(i, w)| {
                    let word = |at: usize| {
                        u64::from_le_bytes(w[at..at + 8].try_into().unwrap_or_default())
                    };
                    let fits = word(8) == 0 && word(24) == SECOND.len() as u64;
                    let text = fits.then(|| self.space.bytes(Addr(word(16)), SECOND.len()).ok())?;
                    (text? == SECOND).then(|| start.add(i as u64 * WORD))
                })
        })
    }
}

/// The only one; `None` if there are several, because then nothing tells which is right.
fn only(mut candidates: impl Iterator<Item = Addr>) -> Option<Addr> {
    let first = candidates.next()?;
    candidates.all(|other| other == first).then_some(first)
}
