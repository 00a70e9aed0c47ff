//! From addresses to spans, and to objects where that takes no more than a page's entry.

use objref_mem::room;

use super::ObjId;
use super::span::PAGE;
use super::table::{SlotWord, Span};

/// From an address to the span that covers it: two levels, the first indexed by 64 MiB of address space.
#[derive(Debug, Default)]
pub(super) struct PageTable {
    first_chunk: u64,
    /// Per 64 MiB: index of a block of 8192 entries in `pages`; `NONE`; or, with `WHOLE` set, the one span that covers
    /// all of it.
    chunks: Vec<u32>,
    /// Per page of 8 KiB.
    pages: Vec<Page>,
}

/// A page of 8 KiB, with what it takes to get from an address in it to an object without a look at the span: most pointers
/// need no more, and a heap has many more spans than fit a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Index of the span that covers it, or `NONE`.
    pub(super) span: u32,
    /// Of the span, if it is [`FULL`] the id of its first object, and else its first word of slots.
    first: u32,
    /// As that of the span.
    reciprocal: u32,
    /// Number of the span's slots; 0 if the span has to be asked. With [`FULL`] if all of them hold objects, and with
    /// [`LEAVES`] if objects here are known to hold no pointers.
    slots: u16,
    /// How many pages of the span come before it.
    before: u16,
}

const NONE: u32 = u32::MAX;
const LEAVES: u16 = 1 << 15;
const FULL: u16 = 1 << 14;
const WHOLE: u32 = 1 << 31;
const CHUNK_SHIFT: u32 = 26;
const PAGES_PER_CHUNK: u64 = (1 << CHUNK_SHIFT) / PAGE;

impl Page {
    const NONE: Page = Page::of_span(NONE);

    /// Of which only the span is known.
    const fn of_span(span: u32) -> Page {
        Page {
            span,
            first: 0,
            reciprocal: 0,
            slots: 0,
            before: 0,
        }
    }

    /// The first page of the span with this index.
    fn first(index: u32, span: &Span) -> Page {
        let quick = span.reciprocal != 0 && span.npages <= u32::from(u16::MAX);
        let slots = match u16::try_from(span.nelems) {
            Ok(slots) if quick && slots < FULL => slots,
            _ => 0,
        };
        Page {
            span: index,
            first: match span.full {
                true => span.first_id,
                false => span.first_word,
            },
            reciprocal: span.reciprocal,
            slots: slots | if span.full { FULL } else { 0 } | if span.noscan { LEAVES } else { 0 },
            before: 0,
        }
    }

    /// Whether objects here are known to hold no pointers.
    #[inline]
    pub(super) fn is_of_leaves(&self) -> bool {
        self.slots & LEAVES != 0
    }

    /// Which slot of the span the address in this page lies in; `None` where that takes a look at the span.
    #[inline]
    pub(super) fn slot(&self, addr: u64) -> Option<u32> {
        let offset = addr % PAGE + u64::from(self.before) * PAGE;
        let index = ((offset * u64::from(self.reciprocal)) >> 32) as u32;
        (index < u32::from(self.slots & !(LEAVES | FULL))).then_some(index)
    }

    /// The id of the object in this slot of the span, if there is one; `words` are those of all spans.
    #[inline]
    pub(super) fn id(&self, slot: u32, words: &[SlotWord]) -> Option<ObjId> {
        match self.slots & FULL != 0 {
            true => Some(ObjId(self.first + slot)),
            false => words[(self.first + slot / 64) as usize].id(slot % 64),
        }
    }
}

impl PageTable {
    /// `spans` in address order, not overlapping.
    pub(super) fn new(spans: &[Span]) -> PageTable {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return PageTable::default();
        };
        let chunk_of = |addr: u64| addr >> CHUNK_SHIFT;
        let last_byte = |span: &Span| span.start + span.bytes() - 1;
        let first_chunk = chunk_of(first.start);
        let mut blocks = 0;
        let mut seen = None;
        for span in spans {
            // At most its first and its last chunk are not covered by it alone.
            for chunk in [span.start, last_byte(span)].map(chunk_of) {
                blocks += usize::from(seen != Some(chunk));
                seen = Some(chunk);
            }
        }
        let mut table = PageTable {
            first_chunk,
            chunks: vec![NONE; (chunk_of(last_byte(last)) - first_chunk + 1) as usize],
            pages: room(blocks * PAGES_PER_CHUNK as usize),
        };
        for (i, span) in spans.iter().enumerate() {
            table.cover(Page::first(i as u32, span), span);
        }
        table
    }

    /// Enters the pages of a span, of which `entry` is the first.
    fn cover(&mut self, mut entry: Page, span: &Span) {
        let mut page = span.start / PAGE;
        let end = page + u64::from(span.npages);
        while page < end {
            let chunk = (page / PAGES_PER_CHUNK - self.first_chunk) as usize;
            if page.is_multiple_of(PAGES_PER_CHUNK) && end - page >= PAGES_PER_CHUNK {
                self.chunks[chunk] = entry.span | WHOLE;
                page += PAGES_PER_CHUNK;
                continue;
            }
            if self.chunks[chunk] == NONE {
                self.chunks[chunk] = (self.pages.len() as u64 / PAGES_PER_CHUNK) as u32;
                let len = self.pages.len() + PAGES_PER_CHUNK as usize;
                self.pages.resize(len, Page::NONE);
            }
            let base = u64::from(self.chunks[chunk]) * PAGES_PER_CHUNK;
            let stop = end.min((page / PAGES_PER_CHUNK + 1) * PAGES_PER_CHUNK);
            let from = (base + page % PAGES_PER_CHUNK) as usize;
            for page in &mut self.pages[from..from + (stop - page) as usize] {
                *page = entry;
                entry.before = entry.before.wrapping_add(1);
            }
            page = stop;
        }
    }

    /// Whether the address is in a stretch of 64 MiB in which there are spans.
    pub(super) fn covers(&self, addr: u64) -> bool {
        let chunk = (addr >> CHUNK_SHIFT).wrapping_sub(self.first_chunk);
        self.chunks
            .get(chunk as usize)
            .is_some_and(|block| *block != NONE)
    }

    /// The entry of the page that the address is in, if a span covers it.
    #[inline]
    pub(super) fn page(&self, addr: u64) -> Option<Page> {
        let chunk = (addr >> CHUNK_SHIFT).wrapping_sub(self.first_chunk);
        let block = *self.chunks.get(chunk as usize)?;
        if block & WHOLE != 0 {
            return (block != NONE).then_some(Page::of_span(block & !WHOLE));
        }
        let page = (addr / PAGE) % PAGES_PER_CHUNK;
        let page = self.pages[(u64::from(block) * PAGES_PER_CHUNK + page) as usize];
        (page.span != NONE).then_some(page)
    }

    /// Index of the span that covers the address.
    #[inline]
    pub(super) fn span(&self, addr: u64) -> Option<u32> {
        Some(self.page(addr)?.span)
    }
}
