//! The objects of the heap as tables: from an address to an object and back, without the dump.

use std::ops::Range;

use objref_mem::{Addr, room};
use serde::{Deserialize, Serialize};

use super::bits::{HEADER, PointerBits};
use super::classes::fills_slot;
use super::pages::PageTable;
use super::span::PAGE;

/// The highest bit of [`Span::kind`]: whether objects start with a header.
const HEADER_BIT: u32 = 9;

/// An allocated object of the heap: dense, in address order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct ObjId(pub u32);

/// A span of the heap that holds objects: one line of memory, as hardly anything else of a large heap is looked at so often.
#[derive(Clone, Debug, Default)]
#[repr(align(64))]
pub struct Span {
    /// Address of the first slot.
    pub start: u64,
    /// Size of a slot in bytes.
    pub elem_size: u64,
    /// Pages of 8 KiB.
    pub npages: u32,
    /// Number of slots.
    pub nelems: u32,
    /// Slots in use by the predicate the allocator itself uses, garbage not yet swept included.
    pub allocated: u32,
    /// Whether objects here hold no pointers.
    pub noscan: bool,
    /// The size class; 0 for a large object.
    pub size_class: u8,
    /// Type of a large object, or 0.
    pub large_type: Addr,
    /// Whether the dump lacks the span's record: where slots start and end was guessed.
    pub guessed: bool,
    /// Whether all slots hold objects: then the id of one says which slot it is, and the other way round.
    pub(super) full: bool,
    pub(super) bits: PointerBits,
    pub(super) first_word: u32,
    /// Id of its first object.
    pub(super) first_id: u32,
    /// Fixed-point reciprocal: `(offset * reciprocal) >> 32` is `offset / elem_size` within a small span.
    pub(super) reciprocal: u32,
    /// See [`Span::kind`].
    pub(super) kind: u16,
}

const _: () = assert!(size_of::<Span>() == 64);

/// An object, with the span it was found in.
#[derive(Clone, Copy, Debug)]
pub struct Object<'h> {
    /// The object.
    pub id: ObjId,
    /// Its span.
    pub span: &'h Span,
    /// Address of its slot.
    pub at: u64,
}

/// A slot of a span.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    /// Index of the span.
    pub(super) span: u32,
    pub(super) index: u32,
}

/// 64 slots of a span: which are allocated, and the id of the first allocated one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlotWord {
    pub(super) live: u64,
    pub(super) first_id: u32,
}

impl SlotWord {
    /// The id of the object in this slot of the 64, if there is one.
    #[inline]
    pub(super) fn id(&self, slot: u32) -> Option<ObjId> {
        let bit = 1u64 << slot;
        let rank = (self.live & (bit - 1)).count_ones();
        (self.live & bit != 0).then(|| ObjId(self.first_id + rank))
    }
}

/// Bytes and number of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Size of the slots.
    pub bytes: u64,
    /// Number of slots.
    pub objects: u64,
}

impl Tally {
    /// Counts one object of `bytes`.
    pub fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.objects += 1;
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.objects += other.objects;
    }
}

/// What the spans add up to.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct SpanTotals {
    /// Spans that hold objects, and their bytes.
    pub in_use: Tally,
    /// Spans for stacks and the collector, and their bytes.
    pub manual: Tally,
    /// Span records that wait for use.
    pub dead: u64,
    /// Records that make no sense and were left out.
    pub damaged: u64,
    /// Records that are not in the dump.
    pub lost: u64,
    /// Spans whose record is not in the dump, made up from what is in their pages and what points to them.
    pub guessed: Tally,
    /// Spans of which it is not in the dump which slots are in use: all count as if they were.
    pub lost_bitmaps: Tally,
    /// Spans of which it is not in the dump where pointers are: every word was taken for one.
    pub lost_pointers: Tally,
    /// Spans whose bitmap disagrees with their own count of allocated objects, and no thread was about to make them agree.
    pub miscounted: u64,
    /// Allocated by the allocator's own predicate.
    pub allocated: Tally,
    /// Of `allocated`: found dead by the last collection, but not yet swept.
    pub condemned: Tally,
    /// Of `allocated`: taken by threads that had yet to make objects of them.
    pub unmade: Tally,
    /// Free slots in spans that are in use.
    pub free: Tally,
}

/// The heap's objects and the tables that lead from an address to an object and back.
#[derive(Debug)]
pub struct ObjectTable {
    pub(super) spans: Vec<Span>,
    pub(super) words: Vec<SlotWord>,
    /// For every 64th id, the span that holds it.
    id_to_span: Vec<u32>,
    /// Of each span, the id of its first object: apart from the rest, since one is looked for among several.
    first_ids: Vec<u32>,
    pub(super) pages: PageTable,
    objects: u32,
    /// Sums over all spans.
    pub totals: SpanTotals,
}

impl ObjectTable {
    /// The tables over `spans`, in address order and not overlapping; `live` are their slots that hold objects, a bit
    /// each, in words of their own for each span; what follows from both is filled in. `None` for more objects than ids.
    pub(super) fn new(mut spans: Vec<Span>, live: &[u64], totals: SpanTotals) -> Option<Self> {
        if live.len() > u32::MAX as usize {
            return None;
        }
        let mut words = room(live.len());
        let mut id_to_span = Vec::new();
        let mut id: u64 = 0;
        for (number, span) in spans.iter_mut().enumerate() {
            span.first_word = words.len() as u32;
            span.first_id = id as u32;
            span.reciprocal = match span.size_class {
                0 => 0,
                _ => (u64::from(u32::MAX) / span.elem_size) as u32 + 1,
            };
            let header = matches!(span.bits, PointerBits::Header);
            span.kind = u16::from(span.size_class)
                | u16::from(span.noscan) << 8
                | u16::from(header) << HEADER_BIT;
            for live in &live[words.len()..][..span.word_count()] {
                words.push(SlotWord {
                    live: *live,
                    first_id: id as u32,
                });
                id += u64::from(live.count_ones());
            }
            if id > u64::from(u32::MAX - 255) {
                return None;
            }
            span.full = id - u64::from(span.first_id) == u64::from(span.nelems);
            id_to_span.resize((id as usize).div_ceil(64), number as u32);
        }
        let first_ids = spans.iter().map(|span| span.first_id).collect();
        let pages = PageTable::new(&spans);
        Some(Self {
            spans,
            words,
            id_to_span,
            first_ids,
            pages,
            objects: id as u32,
            totals,
        })
    }

    /// Number of objects: ids are `0..len`.
    pub fn len(&self) -> usize {
        self.objects as usize
    }

    /// Whether there is no object at all.
    pub fn is_empty(&self) -> bool {
        self.objects == 0
    }

    /// The spans that hold objects, in address order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The objects of the span with this index in [`ObjectTable::spans`].
    pub fn ids(&self, span: usize) -> Range<u32> {
        let next = self.spans.get(span + 1);
        self.spans[span].first_id..next.map_or(self.objects, |next| next.first_id)
    }

    /// The object whose slot contains `addr`; `None` for free slots and everything outside the heap.
    #[inline]
    pub fn find(&self, addr: u64) -> Option<ObjId> {
        self.resolve(addr).map(|o| o.id)
    }

    /// As [`Heap::find`], with the object's span and the address of its slot.
    #[inline]
    pub fn resolve(&self, addr: u64) -> Option<Object<'_>> {
        let (id, slot, _) = self.place(addr)?;
        Some(self.object(id, slot))
    }

    /// The object whose slot contains `addr`, the slot, and whether objects there are known to hold no pointers.
    // In the loop over all references.
    #[inline(always)]
    pub(super) fn place(&self, addr: u64) -> Option<(ObjId, Slot, bool)> {
        let page = self.pages.page(addr)?;
        let span = page.span;
        let (id, slot) = match page.slot(addr) {
            Some(index) => (page.id(index, &self.words)?, Slot { span, index }),
            None => self.place_in(span, addr)?,
        };
        Some((id, slot, page.is_of_leaves()))
    }

    /// The object and the slot, where the span has to be asked.
    #[inline(never)]
    fn place_in(&self, span: u32, addr: u64) -> Option<(ObjId, Slot)> {
        let index = self.spans[span as usize].index(addr)?;
        let slot = Slot { span, index };
        Some((self.in_slot(slot)?, slot))
    }

    /// The object in a slot, if there is one.
    fn in_slot(&self, Slot { span, index }: Slot) -> Option<ObjId> {
        let span = &self.spans[span as usize];
        if span.full {
            return Some(ObjId(span.first_id + index));
        }
        self.words[(span.first_word + index / 64) as usize].id(index % 64)
    }

    /// An object whose slot is known.
    #[inline]
    pub(super) fn object(&self, id: ObjId, slot: Slot) -> Object<'_> {
        let span = &self.spans[slot.span as usize];
        let at = span.start + u64::from(slot.index) * span.elem_size;
        Object { id, span, at }
    }

    /// The span an address lies in, if it is one that holds objects.
    pub fn span_at(&self, addr: u64) -> Option<&Span> {
        Some(&self.spans[self.pages.span(addr)? as usize])
    }

    /// The object's span and the address of its slot.
    #[inline]
    pub fn locate(&self, id: ObjId) -> (&Span, u64) {
        let span = self.span(id);
        (span, self.address_in(span, id))
    }

    /// Address of the slot of an object of `span`.
    #[inline]
    fn address_in(&self, span: &Span, id: ObjId) -> u64 {
        let rank = id.0 - span.first_id;
        let index = match span.full {
            true => rank,
            false => self.index_of(span, id),
        };
        span.start + u64::from(index) * span.elem_size
    }

    /// Index of the slot of an object of `span`, some of whose slots hold none.
    fn index_of(&self, span: &Span, id: ObjId) -> u32 {
        let words = &self.words[span.first_word as usize..][..span.word_count()];
        let rank = id.0 - span.first_id;
        match words.get(rank as usize / 64) {
            // Many are full to here.
            Some(word) if word.live == u64::MAX && word.first_id == id.0 - rank % 64 => rank,
            _ => {
                let w = words.partition_point(|w| w.first_id <= id.0) - 1;
                w as u32 * 64 + select(words[w].live, id.0 - words[w].first_id)
            }
        }
    }

    /// The object, where it is likely to be in the span with the index `near`; that is then the index of its own.
    #[inline]
    pub(super) fn object_near(&self, id: ObjId, near: &mut usize) -> Object<'_> {
        let ids = self.first_ids.get(*near..*near + 2);
        if !ids.is_some_and(|ids| (ids[0]..ids[1]).contains(&id.0)) {
            *near = self.span_number(id);
        }
        let span = &self.spans[*near];
        let at = self.address_in(span, id);
        Object { id, span, at }
    }

    /// The object's span.
    #[inline]
    pub fn span(&self, id: ObjId) -> &Span {
        &self.spans[self.span_number(id)]
    }

    /// Index of the object's span.
    #[inline]
    fn span_number(&self, id: ObjId) -> usize {
        let group = id.0 as usize / 64;
        let first = self.id_to_span[group] as usize;
        let behind = &self.first_ids[first + 1..];
        // Often the first or one of the next; seldom, where thousands of spans hold nothing, far behind it.
        let near = behind.iter().take(4).position(|next| *next > id.0);
        near.map_or_else(|| self.far_span(id, first), |n| first + n)
    }

    /// As [`ObjectTable::span_number`], where it is not one of those behind `first`, but maybe far behind it.
    #[inline(never)]
    fn far_span(&self, id: ObjId, first: usize) -> usize {
        let last = self.id_to_span.get(id.0 as usize / 64 + 1);
        let end = last.map_or(self.first_ids.len(), |last| *last as usize + 1);
        first + self.first_ids[first + 1..end].partition_point(|next| *next <= id.0)
    }

    /// Address of the object's slot.
    #[inline]
    pub fn address(&self, id: ObjId) -> u64 {
        self.locate(id).1
    }

    /// Size of the object's slot in bytes.
    #[inline]
    pub fn size(&self, id: ObjId) -> u64 {
        self.span(id).elem_size
    }

    /// Every object in address order: id, address of the slot, span.
    pub fn objects(&self) -> impl Iterator<Item = (ObjId, u64, &Span)> {
        self.spans.iter().flat_map(move |span| {
            let words = &self.words[span.first_word as usize..][..span.word_count()];
            words.iter().enumerate().flat_map(move |(w, word)| {
                ones(word.live).enumerate().map(move |(rank, bit)| {
                    let index = w as u64 * 64 + u64::from(bit);
                    (
                        ObjId(word.first_id + rank as u32),
                        span.start + index * span.elem_size,
                        span,
                    )
                })
            })
        })
    }

    /// Where in the slot the program's data starts: behind the allocation header, if there is one.
    #[inline]
    pub fn data_offset(&self, span: &Span) -> u64 {
        u64::from(span.kind >> HEADER_BIT) * HEADER
    }
}

impl Span {
    /// Size of its pages in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.npages) * PAGE
    }

    /// Index of the slot that contains `addr`, which lies in the span's pages; `None` past the last slot.
    #[inline]
    pub(super) fn index(&self, addr: u64) -> Option<u32> {
        let offset = addr - self.start;
        // Exact for every offset in a small span (runtime/mbitmap.go: divideByElemSize); 0 for single objects.
        let index = (offset.wrapping_mul(u64::from(self.reciprocal)) >> 32) as u32;
        // A chunk of a user arena ends before its pages do.
        let beyond = self.reciprocal == 0 && offset >= self.elem_size;
        (index < self.nelems && !beyond).then_some(index)
    }

    /// Whether the span's own pages say where its objects have pointers: then they are not all zeros while one is in use.
    pub fn keeps_bits(&self) -> bool {
        matches!(self.bits, PointerBits::InSpan { .. })
    }

    /// Whether the slots are blocks that several tiny objects share.
    // runtime/malloc.go: tinySpanClass
    pub fn is_tiny(&self) -> bool {
        self.noscan && self.elem_size == 16
    }

    /// Size class, whether objects hold no pointers, and where in the slot their data starts, in one number.
    #[inline]
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Whether an allocation of `size` bytes, its header included, would have got a slot of this span's size.
    #[inline]
    pub fn is_filled_by(&self, size: u64) -> bool {
        fills_slot(size, self.elem_size, self.size_class, self.noscan)
    }

    pub(super) fn word_count(&self) -> usize {
        (self.nelems as usize).div_ceil(64)
    }
}

/// Position of the `rank`-th set bit.
#[inline]
fn select(word: u64, mut rank: u32) -> u32 {
    // Most spans are full.
    if word == u64::MAX {
        return rank;
    }
    let mut at = 0;
    for width in [32, 16, 8, 4, 2, 1] {
        let below = ((word >> at) & ((1 << width) - 1)).count_ones();
        if rank >= below {
            rank -= below;
            at += width;
        }
    }
    at
}

/// Positions of the set bits, ascending.
#[inline]
pub(super) fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}
