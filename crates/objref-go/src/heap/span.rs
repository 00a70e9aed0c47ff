//! Spans as the runtime keeps them, read into flat records.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use objref_mem::{Addr, AddressSpace, Fault, FaultKind, Region};
use rayon::prelude::*;

use super::classes::SIZE_CLASSES;
use crate::layout::{FieldAt, LayoutError, StructSource, layout};

layout! {
    /// Offsets in mheap.
    // runtime/mheap.go: mheap
    pub(super) struct HeapLayout = "runtime.mheap" {
        allspans: "allspans",
        arenas: "arenas",
        sweepgen: "sweepgen",
    }
}

layout! {
    /// Offsets in mspan.
    // runtime/mheap.go: mspan
    struct SpanLayout = "runtime.mspan" {
        start_addr: "startAddr",
        npages: "npages",
        freeindex: "freeindex",
        // go1.20+, and late releases of go1.18 and go1.19
        freeindex_for_scan: ? "freeIndexForScan",
        nelems: "nelems",
        alloc_bits: "allocBits",
        gcmark_bits: "gcmarkBits",
        sweepgen: "sweepgen",
        alloc_count: "allocCount",
        spanclass: "spanclass",
        state: "state.s.value | state.s | state",
        elemsize: "elemsize",
        specials: "specials",
        large_type: ? "largeType",
        user_arena: ? "isUserArenaChunk",
    }
}

/// Size of a runtime page, in bytes.
// runtime/malloc.go: pageShift
pub(super) const PAGE: u64 = 8192;
/// Most objects a small span can hold: one page of 8-byte objects... times the pages of the largest class.
const MAX_ELEMS: u64 = 1 << 16;
/// Arenas where words are of 64 bits; where they are smaller, so many of them.
// runtime/malloc.go: heapArenaBytes
const ARENA_SHIFT: u32 = 26;
/// More than any release keeps of bitmaps in a small span.
const MAX_IN_SPAN_BITMAPS: u64 = 1024;

/// What a span is used for.
// runtime/mheap.go: mSpanState
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanState {
    /// Not in use; the struct waits to be used again.
    Dead,
    /// Holds objects of the garbage-collected heap.
    InUse,
    /// Managed by hand: stacks and the collector's own memory.
    Manual,
}

/// An mspan as read from the dump, before it is placed in the heap's tables.
#[derive(Clone, Debug)]
pub(super) struct RawSpan {
    /// Where the record lies.
    pub(super) at: Addr,
    pub(super) state: SpanState,
    pub(super) start: u64,
    pub(super) npages: u64,
    pub(super) freeindex: u64,
    /// What the collector takes for `freeindex`: it follows when an object is made.
    pub(super) freeindex_for_scan: Option<u64>,
    pub(super) nelems: u64,
    pub(super) alloc_bits: Addr,
    pub(super) gcmark_bits: Addr,
    pub(super) sweepgen: u32,
    pub(super) alloc_count: u64,
    pub(super) spanclass: u8,
    pub(super) elem_size: u64,
    pub(super) specials: Addr,
    pub(super) large_type: Addr,
    pub(super) user_arena: bool,
    /// Of a span whose record the dump lacks: whether its pages tell which words are pointers, as those with one do.
    pub(super) keeps_pointers: bool,
}

/// The records of spans that the dump has.
pub(super) struct Records {
    /// Of each record that is listed: in place, since all of them are tens of megabytes.
    listed: Vec<Option<RawSpan>>,
    /// Those that were found elsewhere.
    found: Vec<RawSpan>,
    /// Records that make no sense.
    pub(super) damaged: u64,
    /// Records that are not in the dump, as far as the table tells how many there were.
    pub(super) lost: u64,
}

impl Records {
    pub(super) fn spans(&self) -> impl Iterator<Item = &RawSpan> {
        self.listed.iter().flatten().chain(&self.found)
    }
}

/// Reads every span in `mheap.allspans`, the table at `all`. Where that or records are not in the dump, memory is searched
/// for the records that are.
pub(super) fn read_spans(
    space: &AddressSpace,
    source: &dyn StructSource,
    all: (Addr, u64),
) -> Result<Records, ReadError> {
    let layout = SpanLayout::resolve(source)?;
    let size = source.size_of("runtime.mspan").ok_or(LayoutError {
        name: "runtime.mspan",
        path: "size",
    })?;
    // A program without spans does not get as far as to be dumped: the variable is in a hole.
    let count = Some(all.1).filter(|n| (1..=1 << 32).contains(n));
    let count = count.ok_or(ReadError::Senseless)?;
    let mut pointers = table(space, all.0, count);
    let lost = count - pointers.len() as u64;
    let listed = pointers.len() as u64;
    // A record counts once, however often a damaged table names it.
    pointers.par_sort_unstable();
    pointers.dedup();
    let mapped = Mapped::new(space);
    let unread = AtomicU64::new(0);
    let read = |at: &Addr| {
        read_span(space, &layout, size, *at).unwrap_or_else(|fault| {
            let beyond = fault.kind != FaultKind::Overflow;
            unread.fetch_add(beyond.into(), Relaxed);
            None
        })
    };
    let mut records = Records {
        listed: pointers.par_iter().map(read).collect(),
        found: Vec::new(),
        damaged: 0,
        lost: lost + unread.load(Relaxed),
    };
    mapped.retain(&mut records.listed);
    let spans = records.spans().count() as u64;
    records.damaged = listed - unread.load(Relaxed) - spans;
    if records.lost > 0 {
        records.found = carve(space, &layout, size, &mapped, &pointers);
        records.lost = records.lost.saturating_sub(records.found.len() as u64);
    }
    if records.spans().next().is_none() && records.lost == 0 {
        return Err(ReadError::Senseless);
    }
    Ok(records)
}

/// The pointers in the table of `count` records at `at`, as far as the dump has it.
fn table(space: &AddressSpace, at: Addr, count: u64) -> Vec<Addr> {
    let word = space.word_size();
    let end = at.0.saturating_add(count.saturating_mul(word));
    let mut pointers = Vec::new();
    let mut next = space.data_from(at);
    while let Some(here) = next.filter(|a| a.0 < end) {
        let Ok(bytes) = space.rest(here) else { break };
        let bytes = &bytes[..bytes.len().min((end - here.0) as usize)];
        // A word that the end of what there is cuts through is lost.
        let skip = ((at.0.wrapping_sub(here.0)) % word) as usize;
        let whole = bytes.get(skip..).unwrap_or_default();
        let whole = &whole[..whole.len() / word as usize * word as usize];
        let words = space.encoding().words(whole);
        pointers.extend(words.filter(|w| *w != 0).map(Addr));
        next = space.data_from(here.add(bytes.len() as u64));
    }
    pointers
}

/// Records that are looked at together.
const RECORDS: usize = 1 << 10;
/// Bytes that are searched at a time.
const PIECE: usize = 1 << 20;

/// All memory that the process wrote to and the core has, in pieces for all threads: where each starts, and its bytes.
pub(super) fn pieces(space: &AddressSpace) -> Vec<(Addr, &[u8])> {
    let bytes = |region: Region| {
        let bytes = space.slice(region.start, region.len as usize);
        let pieces = bytes.unwrap_or_default().chunks(PIECE);
        (0..)
            .zip(pieces)
            .map(move |(i, bytes)| (region.start.add(i * PIECE as u64), bytes))
    };
    space.written().flat_map(bytes).collect()
}

/// The records of spans in use that are somewhere in the memory of the dump, but not among the `known` ones, in the order
/// of their addresses. A record is hardly taken for one by mistake: the class has to agree with the size of slots, and
/// these have to fill pages that there are.
fn carve(
    space: &AddressSpace,
    layout: &SpanLayout,
    size: u64,
    mapped: &Mapped,
    known: &[Addr],
) -> Vec<RawSpan> {
    let piece = |(start, bytes): (Addr, &[u8])| -> Vec<RawSpan> {
        let word = space.word_size();
        let first = layout.start_addr.offset % word;
        let words = space
            .encoding()
            .words(bytes.get(first as usize..).unwrap_or_default());
        let candidates = words.enumerate().filter(|(_, w)| *w != 0 && w % PAGE == 0);
        candidates
            .filter_map(|(i, _)| {
                let field = start.add(first + i as u64 * word);
                let at = Addr(field.0.checked_sub(layout.start_addr.offset)?);
                let span = read_span(space, layout, size, at).ok()??;
                let fits = match span.state {
                    SpanState::Dead => false,
                    SpanState::InUse => span.is_of_its_class(),
                    SpanState::Manual => span.is_manual(),
                };
                (fits && mapped.covers(&span) && known.binary_search(&at).is_err()).then_some(span)
            })
            .collect()
    };
    pieces(space).into_par_iter().flat_map_iter(piece).collect()
}

/// Ranges of addresses in which the process had something, adjacent ones merged: start and end.
struct Mapped(Vec<(u64, u64)>);

impl Mapped {
    fn new(space: &AddressSpace) -> Mapped {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for region in space.regions() {
            let end = region.start.0.saturating_add(region.len);
            match ranges.last_mut() {
                Some(last) if last.1 == region.start.0 => last.1 = end,
                _ => ranges.push((region.start.0, end)),
            }
        }
        Mapped(ranges)
    }

    /// Leaves out what is in use where the process had no memory. A span that lies in an arena with others may have been
    /// left out of the dump together with its segment.
    fn retain(&self, spans: &mut [Option<RawSpan>]) {
        let arena = |addr: u64| addr >> ARENA_SHIFT;
        let known = spans.par_chunks(RECORDS).flat_map_iter(|spans| {
            let used = spans.iter().flatten();
            let used = used.filter(|s| s.state == SpanState::InUse && self.covers(s));
            let mut arenas: Vec<u64> = used.map(|s| arena(s.start)).collect();
            // Most stand together.
            arenas.dedup();
            arenas
        });
        let mut arenas: Vec<u64> = known.collect();
        arenas.par_sort_unstable();
        arenas.dedup();
        let inside = |addr: u64| arenas.binary_search(&arena(addr)).is_ok();
        spans.par_iter_mut().for_each(|span| {
            span.take_if(|s| {
                let is_inside = || inside(s.start) && inside(s.start + s.bytes().max(1) - 1);
                s.state != SpanState::Dead && !self.covers(s) && !is_inside()
            });
        });
    }

    fn covers(&self, span: &RawSpan) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= span.start);
        let end = span.start + span.bytes();
        self.0[..after].last().is_some_and(|range| end <= range.1)
    }
}

/// Why the span table could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A struct of the heap has an unknown shape.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The heap's own tables are not in the dump.
    #[error("the heap's span table cannot be read: {0}")]
    Fault(#[from] Fault),
    /// The heap's own tables were overwritten.
    #[error(
        "the heap's span table makes no sense (overwritten, a hole in the dump, or the wrong binary)"
    )]
    Senseless,
    /// Ids are 32 bits wide.
    #[error("the heap holds more than 4,294,967,040 objects")]
    TooManyObjects,
}

/// `Ok(None)` when the record makes no sense.
fn read_span(
    space: &AddressSpace,
    l: &SpanLayout,
    size: u64,
    at: Addr,
) -> Result<Option<RawSpan>, Fault> {
    let record = space.bytes(at, size as usize)?;
    let get = |f: FieldAt| f.of(&record, space.encoding()).unwrap_or(0);
    let state = match get(l.state) as u8 {
        0 => SpanState::Dead,
        1 => SpanState::InUse,
        2 => SpanState::Manual,
        _ => return Ok(None),
    };
    let span = RawSpan {
        at,
        state,
        start: get(l.start_addr),
        npages: get(l.npages),
        freeindex: get(l.freeindex),
        freeindex_for_scan: l.freeindex_for_scan.map(get),
        nelems: get(l.nelems),
        alloc_bits: Addr(get(l.alloc_bits)),
        gcmark_bits: Addr(get(l.gcmark_bits)),
        sweepgen: get(l.sweepgen) as u32,
        alloc_count: get(l.alloc_count),
        spanclass: get(l.spanclass) as u8,
        elem_size: get(l.elemsize),
        specials: Addr(get(l.specials)),
        large_type: l.large_type.map_or(Addr(0), |f| Addr(get(f))),
        user_arena: l.user_arena.is_some_and(|f| get(f) != 0),
        keeps_pointers: false,
    };
    let end = 1 << space.arch().heap_address_bits();
    Ok(span.is_sane(end).then_some(span))
}

impl RawSpan {
    /// `last` is the end of the addresses that the heap can have.
    fn is_sane(&self, last: u64) -> bool {
        let bytes = u32::try_from(self.npages).map(|n| u64::from(n) * PAGE).ok();
        let end = bytes.and_then(|b| self.start.checked_add(b));
        let (Some(bytes), Some(end)) = (bytes, end) else {
            return false;
        };
        if end > last || !self.start.is_multiple_of(PAGE) {
            return false;
        }
        self.state != SpanState::InUse || self.is_filled(bytes)
    }

    /// Whether the slots fill the span's `bytes` as the allocator cuts them.
    // runtime/mheap.go: (*mheap).initSpan; runtime/arena.go
    fn is_filled(&self, bytes: u64) -> bool {
        let sane = self.elem_size >= 8 && self.elem_size.is_multiple_of(8);
        if !sane || self.nelems == 0 || self.nelems > MAX_ELEMS {
            return false;
        }
        let slots = self.elem_size.checked_mul(self.nelems);
        let Some(rest) = slots.and_then(|slots| bytes.checked_sub(slots)) else {
            return false;
        };
        if self.size_class() == 0 {
            // A chunk of a user arena keeps its pointer bits at its end: a 64th.
            return self.nelems == 1 && rest <= bytes / 32;
        }
        // No more is left over than a slot and the bitmaps, and the fixed-point reciprocal of a slot's size is exact.
        rest < self.elem_size + MAX_IN_SPAN_BITMAPS
            && (self.nelems == 1 || bytes < (1 << 32) / self.elem_size)
    }

    /// Whether the slots are as large as those of its class.
    fn is_of_its_class(&self) -> bool {
        match usize::from(self.size_class()) {
            0 => self.elem_size <= self.bytes(),
            class => SIZE_CLASSES.get(class) == Some(&self.elem_size),
        }
    }

    /// Whether it has nothing of what only spans of objects have.
    // runtime/mheap.go: (*mheap).initSpan
    fn is_manual(&self) -> bool {
        let of_objects = [
            self.nelems,
            self.freeindex,
            self.freeindex_for_scan.unwrap_or(0),
            u64::from(self.spanclass),
            self.alloc_bits.0,
            self.gcmark_bits.0,
            self.specials.0,
        ];
        self.npages > 0 && of_objects == [0; 7]
    }

    /// Whether the dump has the span's record. Without it, what is known was guessed from what is in the pages.
    pub(super) fn has_record(&self) -> bool {
        self.at.0 != 0
    }

    /// Whether the collector never looks for pointers here.
    pub(super) fn is_noscan(&self) -> bool {
        self.spanclass & 1 != 0
    }

    /// 0 for large objects and user arena chunks.
    pub(super) fn size_class(&self) -> u8 {
        self.spanclass >> 1
    }

    /// Size of its pages in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.npages * PAGE
    }

    /// Words with a bit for each slot.
    pub(super) fn word_count(&self) -> usize {
        self.nelems.div_ceil(64) as usize
    }
}
