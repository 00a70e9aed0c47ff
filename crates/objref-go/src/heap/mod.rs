//! The garbage-collected heap: spans, the objects in them, and where their pointers are.
//!
//! An object's id is its rank among the allocated slots of the whole heap, in address order. Address and size are
//! computed from the id, never stored.

mod arena;
mod bits;
mod classes;
mod evidence;
mod mask;
mod pages;
mod slots;
mod span;

use objref_mem::{Addr, AddressSpace};
use rayon::prelude::*;

pub(crate) use arena::arena_base;
pub use classes::SIZE_CLASSES;
use classes::fills_slot;
pub use evidence::{Evidence, Miscount, Miss};
pub use span::{ReadError, SpanState};

use crate::layout::StructSource;
use crate::rtype::RuntimeTypes;
use crate::specials::Specials;
use arena::Arenas;
use bits::PointerBits;
use mask::TypeMasks;
use pages::PageTable;
use slots::SlotReader;
use span::{HeapLayout, PAGE, RawSpan, read_spans};

/// An allocated object of the heap: dense, in address order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjId(pub u32);

/// A span of the heap that holds objects.
#[derive(Clone, Debug)]
pub struct Span {
    /// Address of the first slot.
    pub start: u64,
    /// Size of a slot in bytes.
    pub elem_size: u64,
    /// Pages of 8 KiB.
    pub npages: u64,
    /// Number of slots.
    pub nelems: u32,
    /// Slots in use by the predicate the allocator itself uses, garbage not yet swept included.
    pub allocated: u32,
    /// Whether objects here hold no pointers.
    pub noscan: bool,
    /// The size class; 0 for a large object.
    pub size_class: u8,
    /// Head of the list of special records; 0 if none.
    pub specials: Addr,
    /// Type of a large object, or 0.
    pub large_type: Addr,
    bits: PointerBits,
    first_word: u32,
    /// Fixed-point reciprocal: `(offset * reciprocal) >> 32` is `offset / elem_size` within a small span.
    reciprocal: u32,
}

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

/// A span's slots on the way into the tables.
struct Placed {
    live: Vec<u64>,
    allocated: u64,
    unmade: u64,
    miscounted: bool,
    bits: PointerBits,
}

/// 64 slots of a span: which are allocated, and the id of the first allocated one.
#[derive(Clone, Copy, Debug, Default)]
struct SlotWord {
    live: u64,
    first_id: u32,
}

/// Bytes and number of objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanTotals {
    /// Spans that hold objects, and their bytes.
    pub in_use: Tally,
    /// Spans for stacks and the collector, and their bytes.
    pub manual: Tally,
    /// Span records that wait for use.
    pub dead: u64,
    /// Records that make no sense and were left out.
    pub damaged: u64,
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
pub struct Heap {
    spans: Vec<Span>,
    words: Vec<SlotWord>,
    /// For every 64th id, the span that holds it.
    id_to_span: Vec<u32>,
    pages: PageTable,
    objects: u32,
    masks: TypeMasks,
    arenas: Arenas,
    /// Sums over all spans.
    pub totals: SpanTotals,
}

/// In which phase the collector was.
// runtime/mgc.go: _GCoff, _GCmark, _GCmarktermination
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcPhase {
    /// Not marking; sweeping may be under way.
    Off,
    /// Marking.
    Mark,
    /// The short stop at the end of marking.
    MarkTermination,
}

/// Where the heap is, and what was going on.
#[derive(Clone, Copy, Debug)]
pub struct HeapState {
    /// Address of `runtime.mheap_`.
    pub mheap: Addr,
    /// In which phase the collector was.
    pub phase: GcPhase,
    /// The Go version's second number, for the kinds of special records of binaries without symbols.
    pub minor: u32,
}

impl Heap {
    /// Reads the heap.
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        types: &RuntimeTypes,
        state: HeapState,
    ) -> Result<Heap, ReadError> {
        let HeapState { mheap, phase, .. } = state;
        let layout = HeapLayout::resolve(source)?;
        let (raw, damaged) = read_spans(space, source, layout.allspans.slice(space, mheap)?)?;
        let sweepgen = layout.sweepgen.read(space, mheap)? as u32;
        let arenas = Arenas::new(space, source, layout.arenas.at(mheap))?;
        let mut totals = SpanTotals {
            damaged,
            ..SpanTotals::default()
        };
        let mut in_use = Vec::with_capacity(raw.len());
        for span in raw {
            let bytes = span.npages * PAGE;
            match span.state {
                SpanState::Dead => totals.dead += 1,
                SpanState::Manual => totals.manual.add(bytes),
                SpanState::InUse => {
                    totals.in_use.add(bytes);
                    in_use.push(span);
                }
            }
        }
        in_use.par_sort_unstable_by_key(|s| (s.start, s.at));
        let before = in_use.len();
        in_use.dedup_by(|next, kept| next.start < kept.start + kept.npages * PAGE);
        totals.damaged += (before - in_use.len()) as u64;

        let reader = SlotReader {
            space,
            arenas: &arenas,
            specials: Specials::new(space, source, state.minor),
            sweepgen,
            phase,
        };
        let placed = in_use.par_iter().map(|span| {
            let slots = reader.read(span);
            Placed {
                allocated: slots.count(),
                unmade: slots::count(&slots.unmade),
                miscounted: slots.count() != span.alloc_count && !slots.unsettled,
                live: slots.live,
                bits: reader.pointer_bits(span),
            }
        });
        let slots: Vec<Placed> = placed.collect();
        let mut heap = Heap {
            spans: Vec::with_capacity(in_use.len()),
            words: Vec::new(),
            id_to_span: Vec::new(),
            pages: PageTable::default(),
            objects: 0,
            masks: TypeMasks::default(),
            arenas,
            totals,
        };
        heap.place(in_use, slots)?;
        heap.masks = TypeMasks::collect(space, types, &heap);
        Ok(heap)
    }

    fn place(&mut self, raw: Vec<RawSpan>, slots: Vec<Placed>) -> Result<(), ReadError> {
        self.pages = PageTable::new(&raw);
        self.words.reserve(slots.iter().map(|s| s.live.len()).sum());
        let mut id: u64 = 0;
        for (raw, slots) in raw.iter().zip(slots) {
            let first_word = self.words.len() as u32;
            for live in &slots.live {
                self.words.push(SlotWord {
                    live: *live,
                    first_id: id as u32,
                });
                id += u64::from(live.count_ones());
            }
            if id > u64::from(u32::MAX - 255) || self.words.len() > u32::MAX as usize {
                return Err(ReadError::TooManyObjects);
            }
            self.id_to_span
                .resize((id as usize).div_ceil(64), self.spans.len() as u32);
            let live = slots::count(&slots.live);
            let totals = &mut self.totals;
            let tally = |objects: u64| Tally {
                bytes: objects * raw.elem_size,
                objects,
            };
            totals.allocated += tally(slots.allocated);
            totals.unmade += tally(slots.unmade);
            totals.condemned += tally(slots.allocated - slots.unmade - live);
            totals.free += tally(raw.nelems - slots.allocated);
            totals.miscounted += u64::from(slots.miscounted);
            self.spans.push(Span {
                start: raw.start,
                elem_size: raw.elem_size,
                npages: raw.npages,
                nelems: raw.nelems as u32,
                allocated: slots.allocated as u32,
                noscan: raw.is_noscan(),
                size_class: raw.size_class(),
                specials: raw.specials,
                large_type: raw.large_type,
                bits: slots.bits,
                first_word,
                reciprocal: if raw.size_class() == 0 {
                    0
                } else {
                    (u64::from(u32::MAX) / raw.elem_size) as u32 + 1
                },
            });
        }
        self.objects = id as u32;
        Ok(())
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

    /// The object whose slot contains `addr`; `None` for free slots and everything outside the heap.
    #[inline]
    pub fn find(&self, addr: u64) -> Option<ObjId> {
        self.resolve(addr).map(|o| o.id)
    }

    /// As [`Heap::find`], with the object's span and the address of its slot.
    #[inline]
    pub fn resolve(&self, addr: u64) -> Option<Object<'_>> {
        let span = &self.spans[self.pages.span(addr)? as usize];
        let index = span.index(addr)?;
        let word = self.words[(span.first_word + index / 64) as usize];
        let bit = 1u64 << (index % 64);
        if word.live & bit == 0 {
            return None;
        }
        let id = ObjId(word.first_id + (word.live & (bit - 1)).count_ones());
        let at = span.start + u64::from(index) * span.elem_size;
        Some(Object { id, span, at })
    }

    /// The span an address lies in, if it is one that holds objects.
    pub fn span_at(&self, addr: u64) -> Option<&Span> {
        Some(&self.spans[self.pages.span(addr)? as usize])
    }

    /// The object's span and the address of its slot.
    #[inline]
    pub fn locate(&self, id: ObjId) -> (&Span, u64) {
        let span = self.span(id);
        let words = &self.words[span.first_word as usize..][..span.word_count()];
        let w = words.partition_point(|w| w.first_id <= id.0) - 1;
        let index = w as u64 * 64 + u64::from(select(words[w].live, id.0 - words[w].first_id));
        (span, span.start + index * span.elem_size)
    }

    /// The object's span.
    #[inline]
    pub fn span(&self, id: ObjId) -> &Span {
        let group = id.0 as usize / 64;
        let s = self.id_to_span[group] as usize;
        let last = self.id_to_span.get(group + 1);
        let end = last.map_or(self.spans.len(), |last| *last as usize + 1);
        // Often the first; seldom, where thousands of spans hold nothing, far behind it.
        let later = &self.spans[s + 1..end];
        let passed = if later.len() < 8 {
            later
                .iter()
                .take_while(|span| self.first_id(span) <= id.0)
                .count()
        } else {
            later.partition_point(|span| self.first_id(span) <= id.0)
        };
        &self.spans[s + passed]
    }

    #[inline]
    fn first_id(&self, span: &Span) -> u32 {
        self.words[span.first_word as usize].first_id
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

    /// Calls `visit` for each object of `spans`, which are some of this heap's, that may hold pointers and that `marks`
    /// has a bit for, by its id. In address order: there is nothing to be searched for.
    #[inline]
    pub fn marked<'h>(
        &'h self,
        spans: &'h [Span],
        marks: &[u64],
        mut visit: impl FnMut(Object<'h>),
    ) {
        for span in spans.iter().filter(|span| !span.noscan) {
            let words = &self.words[span.first_word as usize..][..span.word_count()];
            for (w, word) in words.iter().enumerate() {
                let live = word.live.count_ones();
                for rank in ones(bits_from(marks, word.first_id, live)) {
                    let index = w as u64 * 64 + u64::from(select(word.live, rank));
                    visit(Object {
                        id: ObjId(word.first_id + rank),
                        span,
                        at: span.start + index * span.elem_size,
                    });
                }
            }
        }
    }

    /// Calls `visit(offset, value)` for each non-nil pointer word of the object, `offset` in bytes from the slot's start.
    ///
    /// The words are exactly those that the collector would look at. Words that the dump lacks are skipped.
    #[inline]
    pub fn pointers(&self, space: &AddressSpace, id: ObjId, visit: impl FnMut(u64, u64)) {
        let (span, at) = self.locate(id);
        self.pointers_at(space, span, at, visit);
    }

    /// Where in the slot the program's data starts: behind the allocation header, if there is one.
    #[inline]
    pub fn data_offset(&self, span: &Span) -> u64 {
        if matches!(span.bits, PointerBits::Header) {
            bits::HEADER
        } else {
            0
        }
    }

    /// The type descriptor the runtime itself keeps for the object at `at`: of the object or, for arrays, of the element.
    pub fn stored_type(&self, space: &AddressSpace, span: &Span, at: u64) -> Option<Addr> {
        let ty = match span.bits {
            PointerBits::Header => space.ptr(Addr(at)).ok()?,
            PointerBits::Large => span.large_type,
            _ => return None,
        };
        (ty.0 != 0).then_some(ty)
    }
}

impl Span {
    /// Index of the slot that contains `addr`, which lies in the span's pages; `None` past the last slot.
    #[inline]
    fn index(&self, addr: u64) -> Option<u32> {
        let offset = addr - self.start;
        // Exact for every offset in a small span (runtime/mbitmap.go: divideByElemSize); 0 for single objects.
        let index = (offset.wrapping_mul(u64::from(self.reciprocal)) >> 32) as u32;
        // A chunk of a user arena ends before its pages do.
        let beyond = self.reciprocal == 0 && offset >= self.elem_size;
        (index < self.nelems && !beyond).then_some(index)
    }

    /// Whether the slots are blocks that several tiny objects share.
    // runtime/malloc.go: tinySpanClass
    pub fn is_tiny(&self) -> bool {
        self.noscan && self.elem_size == 16
    }

    /// Whether an allocation of `size` bytes, its header included, would have got a slot of this span's size.
    #[inline]
    pub fn is_filled_by(&self, size: u64) -> bool {
        fills_slot(size, self.elem_size, self.size_class, self.noscan)
    }

    fn word_count(&self) -> usize {
        (self.nelems as usize).div_ceil(64)
    }
}

/// `count` bits of `marks` from `at` on, at most 64; what is beyond its end is not set.
#[inline]
fn bits_from(marks: &[u64], at: u32, count: u32) -> u64 {
    let word = |index: u32| marks.get(index as usize).copied().unwrap_or(0);
    let both = u128::from(word(at / 64 + 1)) << 64 | u128::from(word(at / 64));
    (both >> (at % 64)) as u64 & ((1u128 << count) - 1) as u64
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
fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}
