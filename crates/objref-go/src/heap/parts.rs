//! The tables of objects as plain values, and back.

use serde::{Deserialize, Serialize};

use super::bits::PointerBits;
use super::span::PAGE;
use super::table::{ObjectTable, Span, SpanTotals};

/// A span as it is kept without the dump: where its objects are, not where their pointers are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SpanPart {
    start: u64,
    elem_size: u64,
    npages: u32,
    nelems: u32,
    allocated: u32,
    noscan: bool,
    header: bool,
    size_class: u8,
}

/// No address of a process lies beyond: the kernel gives out 47 bits, 57 on demand.
const MAX_ADDRESS: u64 = 1 << 57;
/// The slots of the smallest size class. runtime/sizeclasses.go
const SMALLEST: u64 = 8;
/// Stretches of 64 MiB with few pages in use that are taken for possible; the table of pages has room for each.
const MAX_SPARSE: u64 = 1 << 12;

impl ObjectTable {
    /// The spans.
    pub fn parts(&self) -> Vec<SpanPart> {
        let part = |span: &Span| SpanPart {
            start: span.start,
            elem_size: span.elem_size,
            npages: span.npages,
            nelems: span.nelems,
            allocated: span.allocated,
            noscan: span.noscan,
            header: self.data_offset(span) != 0,
            size_class: span.size_class,
        };
        self.spans.iter().map(part).collect()
    }

    /// Which slots hold objects: a bit each, in words of their own for each span.
    pub fn live(&self) -> Vec<u64> {
        self.words.iter().map(|word| word.live).collect()
    }

    /// The tables over such parts; `None` if they contradict each other.
    pub fn from_parts(parts: &[SpanPart], live: &[u64], totals: SpanTotals) -> Option<ObjectTable> {
        let mut words = live;
        let (mut end, mut chunks, mut pages, mut last_chunk) = (0, 0u64, 0u64, u64::MAX);
        let mut spans = Vec::with_capacity(parts.len());
        for part in parts {
            let bytes = u64::from(part.npages) * PAGE;
            let slots = part.elem_size.checked_mul(u64::from(part.nelems))?;
            let room = match part.size_class {
                0 => part.nelems == 1,
                _ => (SMALLEST..=u64::from(u32::MAX)).contains(&part.elem_size) && slots <= bytes,
            };
            if part.start < end
                || !part.start.is_multiple_of(PAGE)
                || part.start.checked_add(bytes)? > MAX_ADDRESS
                || bytes == 0
                || part.elem_size == 0
                || !room
            {
                return None;
            }
            end = part.start + bytes;
            let (first, last) = (part.start >> 26, (end - 1) >> 26);
            chunks += last - first + u64::from(first != last_chunk);
            (last_chunk, pages) = (last, pages + u64::from(part.npages));
            let count = part.nelems.div_ceil(64) as usize;
            let (mine, rest) = words.split_at_checked(count)?;
            words = rest;
            let tail = part.nelems % 64;
            if tail != 0 && mine.last()? >> tail != 0 {
                return None;
            }
            spans.push(Span {
                start: part.start,
                elem_size: part.elem_size,
                npages: part.npages,
                nelems: part.nelems,
                allocated: part.allocated,
                noscan: part.noscan,
                size_class: part.size_class,
                // Only whether there is a header is asked of a table; pointers are read from a heap.
                bits: match (part.header, part.noscan) {
                    (true, _) => PointerBits::Header,
                    (_, true) => PointerBits::NoScan,
                    _ => PointerBits::Arena,
                },
                ..Span::default()
            });
        }
        let first = spans.first().map_or(0, |span| span.start);
        let sparse = chunks > MAX_SPARSE + pages / 64 || (end - first) >> 26 > 1 << 24;
        if !words.is_empty() || sparse {
            return None;
        }
        ObjectTable::new(spans, live, totals)
    }
}
