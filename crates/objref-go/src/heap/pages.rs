//! From addresses to spans.

use objref_mem::room;

use super::span::PAGE;

/// From an address to the span that covers it: two levels, the first indexed by 64 MiB of address space.
#[derive(Debug, Default)]
pub(super) struct PageTable {
    first_chunk: u64,
    /// Per 64 MiB: index of a block of 8192 entries in `spans`; `NONE`; or, with `WHOLE` set, the one span that covers
    /// all of it.
    chunks: Vec<u32>,
    /// Per page of 8 KiB: index of the span, or `NONE`.
    spans: Vec<u32>,
}

const NONE: u32 = u32::MAX;
const WHOLE: u32 = 1 << 31;
const CHUNK_SHIFT: u32 = 26;
const PAGES_PER_CHUNK: u64 = (1 << CHUNK_SHIFT) / PAGE;

impl PageTable {
    /// `spans` (start, pages) in address order, not overlapping.
    pub(super) fn new(spans: impl DoubleEndedIterator<Item = (u64, u64)> + Clone) -> PageTable {
        let (Some((first, _)), Some((last, pages))) =
            (spans.clone().next(), spans.clone().next_back())
        else {
            return PageTable::default();
        };
        let first_chunk = first >> CHUNK_SHIFT;
        let last_chunk = (last + pages * PAGE - 1) >> CHUNK_SHIFT;
        let mut blocks = 0;
        let mut seen = None;
        for (start, pages) in spans.clone() {
            let last = (start + pages * PAGE - 1) >> CHUNK_SHIFT;
            // At most its first and its last chunk are not covered by it alone.
            for chunk in [start >> CHUNK_SHIFT, last] {
                blocks += usize::from(seen != Some(chunk));
                seen = Some(chunk);
            }
        }
        let mut table = PageTable {
            first_chunk,
            chunks: vec![NONE; (last_chunk - first_chunk + 1) as usize],
            spans: room(blocks * PAGES_PER_CHUNK as usize),
        };
        for (i, (start, pages)) in spans.enumerate() {
            let mut page = start / PAGE;
            let end = page + pages;
            while page < end {
                let chunk = (page / PAGES_PER_CHUNK - first_chunk) as usize;
                if page.is_multiple_of(PAGES_PER_CHUNK) && end - page >= PAGES_PER_CHUNK {
                    table.chunks[chunk] = i as u32 | WHOLE;
                    page += PAGES_PER_CHUNK;
                    continue;
                }
                if table.chunks[chunk] == NONE {
                    table.chunks[chunk] = (table.spans.len() as u64 / PAGES_PER_CHUNK) as u32;
                    table
                        .spans
                        .resize(table.spans.len() + PAGES_PER_CHUNK as usize, NONE);
                }
                let base = u64::from(table.chunks[chunk]) * PAGES_PER_CHUNK;
                let stop = end.min((page / PAGES_PER_CHUNK + 1) * PAGES_PER_CHUNK);
                let from = (base + page % PAGES_PER_CHUNK) as usize;
                table.spans[from..from + (stop - page) as usize].fill(i as u32);
                page = stop;
            }
        }
        table
    }

    /// Whether the address is in a stretch of 64 MiB in which there are spans.
    pub(super) fn covers(&self, addr: u64) -> bool {
        let chunk = (addr >> CHUNK_SHIFT).wrapping_sub(self.first_chunk);
        self.chunks
            .get(chunk as usize)
            .is_some_and(|block| *block != NONE)
    }

    #[inline]
    pub(super) fn span(&self, addr: u64) -> Option<u32> {
        let chunk = (addr >> CHUNK_SHIFT).wrapping_sub(self.first_chunk);
        let block = *self.chunks.get(chunk as usize)?;
        if block & WHOLE != 0 {
            return (block != NONE).then_some(block & !WHOLE);
        }
        let page = (addr / PAGE) % PAGES_PER_CHUNK;
        let span = self.spans[(u64::from(block) * PAGES_PER_CHUNK + page) as usize];
        (span != NONE).then_some(span)
    }
}
