//! Variables by what is in them.

use std::borrow::Cow;

use objref_mem::{Addr, AddressSpace, Fault, FaultKind};

use crate::heap::arena_base;
use crate::layout::{FieldAt, StructSource, layout, pointer_at};
use crate::module::{AddrRange, Module};

layout! {
    // runtime/mheap.go: mheap
    struct HeapShape = "runtime.mheap" {
        lock: "lock",
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

/// Of the beginning of a long list this many entries are looked at, and as many of the whole.
const SAMPLE: u64 = 50;
const MAX_LEN: u64 = 1 << 32;
const MAX_CHAIN: usize = 1 << 20;
const PAGE: u64 = 8192;

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
        let (encoding, size) = (self.space.encoding(), self.space.word_size());
        self.parts.iter().flat_map(move |(start, bytes)| {
            let words = encoding.words(bytes).enumerate();
            words.map(move |(i, value)| (start.add(i as u64 * size), value))
        })
    }

    /// `N` words one behind the other, from every word on.
    fn runs<const N: usize>(&self) -> impl Iterator<Item = (Addr, [u64; N])> {
        let (encoding, size) = (self.space.encoding(), self.space.word_size() as usize);
        self.parts.iter().flat_map(move |(start, bytes)| {
            let runs = bytes.windows(N * size).step_by(size).enumerate();
            runs.map(move |(i, run)| {
                let word = |n| encoding.word(run, (n * size) as u64).unwrap_or(0);
                (start.add((i * size) as u64), std::array::from_fn(word))
            })
        })
    }

    /// All that may be slices: address, first element, length.
    fn slices(&self) -> impl Iterator<Item = (Addr, Addr, u64)> {
        self.runs().filter_map(|(at, [data, len, cap])| {
            let fits = self.aligned(data) && 0 < len && len <= cap && cap < MAX_LEN;
            fits.then_some((at, Addr(data), len))
        })
    }

    /// Whether this may be a pointer to words.
    fn aligned(&self, address: u64) -> bool {
        address != 0 && address.is_multiple_of(self.space.word_size())
    }

    fn ptr(&self, at: Addr) -> Option<Addr> {
        self.space.ptr(at).ok().filter(|a| self.aligned(a.0))
    }

    /// Element `i` of a list of pointers.
    fn element(&self, data: Addr, i: u64) -> Option<Addr> {
        self.ptr(data.add(i.checked_mul(self.space.word_size())?))
    }

    fn get(&self, field: FieldAt, base: Addr) -> Option<u64> {
        self.read(field, base).ok()
    }

    fn read(&self, field: FieldAt, base: Addr) -> Result<u64, Fault> {
        field.read(self.space, base)
    }

    /// `mheap_`: the spans that it lists are the ones that its arenas have at their addresses.
    pub(super) fn mheap(&self) -> Option<Addr> {
        let heap = HeapShape::resolve(self.source).ok()?;
        let span = SpanShape::resolve(self.source).ok()?;
        let arena = ArenaShape::resolve(self.source).ok()?;
        let base = arena_base(self.space, self.source);
        let confirms = |arenas: Addr, at: Addr| -> Option<bool> {
            let start = self.get(span.start, at).filter(|start| start % PAGE == 0)?;
            let shift = self.space.arch().arena_shift();
            let arena_at = self.element(arenas, start.wrapping_sub(base) >> shift)?;
            let page = start % (1 << shift) / PAGE;
            Some(self.element(arena.spans.at(arena_at), page)? == at)
        };
        only(self.slices().filter_map(|(at, data, len)| {
            let mheap = Addr(at.0.checked_sub(heap.allspans.offset)?);
            let arenas = self.ptr(heap.arenas.at(mheap))?;
            let sample = (0..len.min(SAMPLE)).filter_map(|i| self.element(data, i));
            sample
                .into_iter()
                .any(|span| confirms(arenas, span) == Some(true))
                .then_some(mheap)
        }))
    }

    /// `mheap_`, whose lock is at `lock`, where the dump has not enough of what it lists: it has spans and arenas.
    pub(super) fn locked_mheap(&self, lock: Addr) -> Option<Addr> {
        let heap = HeapShape::resolve(self.source).ok()?;
        let mheap = Addr(lock.0.checked_sub(heap.lock.offset)?);
        self.ptr(heap.arenas.at(mheap))?;
        self.slices()
            .any(|(at, ..)| at == heap.allspans.at(mheap))
            .then_some(mheap)
    }

    /// `allgs`: every element is a `g` whose scheduling state points back to it. While the collector marks, it has a
    /// copy, which may be shorter. `named` are the variables among which code says it is: of what is listed there the dump
    /// may lack some.
    pub(super) fn allgs(&self, named: &[Addr]) -> Option<Addr> {
        let g = GShape::resolve(self.source).ok()?;
        let is_g = |at: Addr| -> Result<bool, Fault> {
            let (lo, hi) = (self.read(g.lo, at)?, self.read(g.hi, at)?);
            let own = self.read(g.own, at)?;
            Ok(lo <= hi && (own == at.0 || own == 0) && self.read(g.goid, at)? < 1 << 40)
        };
        let is_element = |data: Addr, i: u64| -> Result<bool, Fault> {
            let at = pointer_at(self.space, data, i)?;
            match i {
                0 => Ok(self.read(g.own, at)? == at.0),
                _ => is_g(at),
            }
        };
        // Code uses its three words. Where the length and what follows might be a list, its own address stands before.
        let is_named = |at: Addr| {
            let before = Addr(at.0.wrapping_sub(self.space.word_size()));
            named.contains(&at) && !named.contains(&before)
        };
        let longest = |may_lack: bool| {
            let holds = |data, i| is_element(data, i).unwrap_or(may_lack);
            self.slices()
                .filter(|(at, ..)| !may_lack || is_named(*at))
                .filter(|&(_, data, len)| sample(len).all(|i| holds(data, i)))
                .max_by_key(|&(at, _, len)| (len, std::cmp::Reverse(at)))
        };
        let found = longest(true).or_else(|| longest(false))?;
        Some(found.0)
    }

    /// `allp`: every element is a `p` that knows its place in the list. There is a copy from go1.24 on; `named` are the
    /// variables among which code says it is, if it says anything.
    pub(super) fn allp(&self, named: &[Addr]) -> Option<Addr> {
        let p = PShape::resolve(self.source).ok()?;
        const DEAD: u64 = 4;
        let is_p = |i: u64, at: Addr| {
            let status = self.get(p.status, at)?;
            let cache = self.ptr(p.mcache.at(at));
            let is_there = |at| match self.space.word(at) {
                Ok(_) => true,
                Err(fault) => fault.kind == FaultKind::NotInCore,
            };
            let cached = status == DEAD || cache.is_some_and(is_there);
            Some(self.get(p.id, at)? == i && status <= DEAD && cached)
        };
        let found: Vec<_> = self
            .slices()
            .filter(|&(_, data, len)| {
                len <= 1 << 16
                    && (0..len.min(SAMPLE))
                        .all(|i| self.element(data, i).and_then(|p| is_p(i, p)) == Some(true))
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
    /// `named` by code, and then the dump may lack the end of it; else the longest chain.
    pub(super) fn allm(&self, named: &[Addr]) -> Option<Addr> {
        let m = MShape::resolve(self.source).ok()?;
        let g = GShape::resolve(self.source).ok()?;
        let is_m = |at: Addr| -> Result<bool, Fault> {
            let g0 = self.space.ptr(m.g0.at(at))?;
            Ok(self.space.ptr(g.m.at(g0))? == at)
        };
        let chain = |head: Addr| {
            let mut at = Some(head);
            let mut len = 0;
            while let Some(this) = at {
                len += 1;
                match is_m(this) {
                    Ok(true) if len <= MAX_CHAIN => {}
                    // The dump lacks the rest. Of a chain of which it has nothing only code can tell.
                    Err(_) if !named.is_empty() => return len,
                    Ok(false) if !named.is_empty() => return len - 1,
                    _ => return 0,
                }
                at = self.ptr(m.alllink.at(this));
            }
            len
        };
        let candidates = self.words().filter_map(|(at, value)| {
            let may = self.aligned(value) && (named.is_empty() || named.contains(&at));
            let len = if may { chain(Addr(value)) } else { 0 };
            (len > 0).then_some((len, std::cmp::Reverse(at)))
        });
        candidates.max().map(|(_, at)| at.0)
    }

    /// `allfin`: of the variables that the queueing of finalizers uses, the one with the longest chain of blocks. If
    /// there is no block, any of them that is nil.
    pub(super) fn allfin(&self, named: &[Addr]) -> Option<Addr> {
        let block = FinBlockShape::resolve(self.source).ok()?;
        // {fn, arg, nret, fint, ot}
        let entry = 5 * self.space.word_size();
        let chain = |head: Addr| {
            let mut at = Some(head);
            let mut len = 0;
            while let Some(this) = at {
                len += 1;
                match self.read(block.cnt, this) {
                    Ok(count) if count <= block.fin.size / entry && len <= MAX_CHAIN => {}
                    Err(fault) if fault.kind == FaultKind::NotInCore => return len,
                    _ => return 0,
                }
                at = self.ptr(block.alllink.at(this));
            }
            len
        };
        let aligned = named.iter().filter(|at| self.aligned(at.0));
        let values: Vec<(Addr, Addr)> = aligned
            .filter_map(|&at| Some((at, self.space.ptr(at).ok()?)))
            .collect();
        let longest = values
            .iter()
            .filter_map(|&(at, head)| {
                let len = if self.aligned(head.0) { chain(head) } else { 0 };
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
        (0 < next && next < MAX_LEN && 0 < most && most < MAX_LEN && self.aligned(sched.0))
            .then_some(sched)
    }

    /// `waitReasonStrings`: an array of strings whose first two have not changed since the beginning.
    // runtime/runtime2.go: waitReasonStrings
    pub(super) fn wait_reasons(&self) -> Option<Addr> {
        const SECOND: &[u8] = b"GC assist marking";
        self.runs().find_map(|(at, [_, no_text, data, len])| {
            let fits = no_text == 0 && len == SECOND.len() as u64;
            let text = fits.then(|| self.space.bytes(Addr(data), SECOND.len()).ok())?;
            (text? == SECOND).then_some(at)
        })
    }
}

/// Entries of a list that tell whether it is as long as it says: the first ones, and some of all up to the last.
fn sample(len: u64) -> impl Iterator<Item = u64> {
    let spread = (1..=SAMPLE)
        .map(move |part| (len - 1) / SAMPLE * part + (len - 1) % SAMPLE * part / SAMPLE);
    (0..len.min(SAMPLE)).chain(spread)
}

/// The only one; `None` if there are several, because then nothing tells which is right.
fn only(mut candidates: impl Iterator<Item = Addr>) -> Option<Addr> {
    let first = candidates.next()?;
    candidates.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests;
