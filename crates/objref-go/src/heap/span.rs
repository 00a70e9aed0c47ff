//! Spans as the runtime keeps them, read into flat records.

use objref_mem::{Addr, AddressSpace, Fault};
use rayon::prelude::*;

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
}

/// Reads every span in `mheap.allspans`. Damaged records are counted in the second value and left out.
pub(super) fn read_spans(
    space: &AddressSpace,
    source: &dyn StructSource,
    all: (Addr, u64),
) -> Result<(Vec<RawSpan>, u64), ReadError> {
    let layout = SpanLayout::resolve(source)?;
    let size = source.size_of("runtime.mspan").ok_or(LayoutError {
        name: "runtime.mspan",
        path: "size",
    })?;
    let count = usize::try_from(all.1)
        .ok()
        .filter(|n| *n <= 1 << 32)
        .ok_or(ReadError::Senseless)?;
    let bytes = space.bytes(all.0, count * space.word_size() as usize)?;
    let mut pointers: Vec<Addr> = space.encoding().words(&bytes).map(Addr).collect();
    // A record counts once, however often a damaged table names it.
    pointers.par_sort_unstable();
    pointers.dedup();
    let mapped = Mapped::new(space);
    let spans: Vec<RawSpan> = pointers
        .par_iter()
        .filter_map(|&at| read_span(space, &layout, size, at).ok().flatten())
        .filter(|span| span.state == SpanState::Dead || mapped.covers(span))
        .collect();
    let damaged = (count - spans.len()) as u64;
    Ok((spans, damaged))
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

    fn covers(&self, span: &RawSpan) -> bool {
        let after = self.0.partition_point(|(start, _)| *start <= span.start);
        let end = span.start + span.npages * PAGE;
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
    #[error("the heap's span table makes no sense (overwritten, or the wrong binary)")]
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
    };
    let end = 1 << space.arch().heap_address_bits();
    Ok(span.is_sane(end).then_some(span))
}

impl RawSpan {
    /// `last` is the end of the addresses that the heap can have.
    fn is_sane(&self, last: u64) -> bool {
        let bytes = self.npages.checked_mul(PAGE);
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

    /// Whether the collector never looks for pointers here.
    pub(super) fn is_noscan(&self) -> bool {
        self.spanclass & 1 != 0
    }

    /// 0 for large objects and user arena chunks.
    pub(super) fn size_class(&self) -> u8 {
        self.spanclass >> 1
    }
}
