//! What the allocator and the last collection wrote down about each slot, apart from what the heap's tables are made of.

use objref_mem::AddressSpace;

use super::slots::{SlotReader, Slots, Sweep};
use super::span::{HeapLayout, PAGE, read_spans};
use super::{Heap, HeapState, ObjId, ReadError, Span, SpanState, Tally, ones};
use crate::layout::StructSource;
use crate::specials::Specials;

/// A span's bitmaps.
#[derive(Debug)]
struct SpanEvidence {
    /// Bit per slot: survived the last collection.
    survived: Vec<u64>,
    /// Bit per slot: in use by the allocator's predicate.
    allocated: Vec<u64>,
    /// Bit per slot: in use, but no object yet.
    unmade: Vec<u64>,
    /// The span's own count of slots in use.
    count: u64,
    /// Whether a thread was about to change one or the other.
    unsettled: bool,
}

/// What the runtime itself says about the slots of the heap.
#[derive(Debug)]
pub struct Evidence {
    /// In the order of the heap's spans; `None` for one that cannot be read again.
    spans: Vec<Option<SpanEvidence>>,
    /// Pages that are managed by hand, sorted: (first address, one past the last).
    manual: Vec<(u64, u64)>,
    /// Spans that await their sweep.
    pub awaiting_sweep: u64,
    /// Spans that were being swept.
    pub under_sweep: u64,
}

/// A span whose bits disagree with its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miscount {
    /// Address of the span's first slot.
    pub span: u64,
    /// Slots in use by its bits.
    pub bits: u64,
    /// Slots in use by its count.
    pub count: u64,
}

/// Where a pointer leads that leads to no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Miss {
    /// Into a slot that is free.
    FreeSlot,
    /// Into a slot that the last collection found dead, but that is not yet swept.
    Unmarked,
    /// Behind the last slot of a span.
    SpanTail,
    /// Into pages of the heap that nothing uses.
    FreePage,
}

impl Heap {
    /// Reads the spans' bitmaps again, this time apart.
    pub fn evidence(
        &self,
        space: &AddressSpace,
        source: &dyn StructSource,
        state: HeapState,
    ) -> Result<Evidence, ReadError> {
        let HeapState { mheap, phase, .. } = state;
        let layout = HeapLayout::resolve(source)?;
        let records = read_spans(space, source, layout.allspans.slice(space, mheap)?)?;
        let sweepgen = layout.sweepgen.read(space, mheap)? as u32;
        let reader = SlotReader {
            space,
            arenas: &self.arenas,
            specials: Specials::new(space, source, state.minor),
            sweepgen,
            phase,
        };
        let mut evidence = Evidence {
            spans: self.spans.iter().map(|_| None).collect(),
            manual: Vec::new(),
            awaiting_sweep: 0,
            under_sweep: 0,
        };
        let mut slots = Slots::default();
        for span in records.spans() {
            if span.state == SpanState::Manual {
                let end = span.start + span.bytes();
                evidence.manual.push((span.start, end));
            }
            let index = self.spans.binary_search_by_key(&span.start, |s| s.start);
            let (SpanState::InUse, Ok(index)) = (span.state, index) else {
                continue;
            };
            reader.read(span, &mut slots);
            evidence.awaiting_sweep += u64::from(slots.sweep == Sweep::Awaited);
            evidence.under_sweep += u64::from(slots.sweep == Sweep::UnderWay);
            evidence.spans[index] = Some(SpanEvidence {
                survived: slots.survived.clone(),
                allocated: slots.allocated.clone(),
                unmade: slots.unmade.clone(),
                count: span.alloc_count,
                unsettled: slots.unsettled,
            });
        }
        evidence.manual.sort_unstable();
        Ok(evidence)
    }
}

impl Evidence {
    /// Calls `visit` with every object of the heap, in address order, and whether it survived the last collection
    /// (`None`: not known; `false`: allocated since).
    pub fn objects(&self, heap: &Heap, mut visit: impl FnMut(ObjId, &Span, u64, Option<bool>)) {
        for (span, evidence) in heap.spans.iter().zip(&self.spans) {
            let known = evidence.as_ref();
            let words = &heap.words[span.first_word as usize..][..span.word_count()];
            for (w, word) in words.iter().enumerate() {
                let survived = known.map(|e| e.survived.get(w).copied().unwrap_or(0));
                for (rank, bit) in ones(word.live).enumerate() {
                    let at = span.start + (w as u64 * 64 + u64::from(bit)) * span.elem_size;
                    let survived = survived.map(|s| s >> bit & 1 != 0);
                    visit(ObjId(word.first_id + rank as u32), span, at, survived);
                }
            }
        }
    }

    /// Everything that the last collection found live: in bytes, what the runtime calls `heapMarked`.
    pub fn survivors(&self, heap: &Heap) -> Tally {
        let mut sum = Tally::default();
        for (span, evidence) in heap.spans.iter().zip(&self.spans) {
            let words = evidence.iter().flat_map(|e| &e.survived);
            let objects: u64 = words.map(|w| u64::from(w.count_ones())).sum();
            sum += Tally {
                bytes: objects * span.elem_size,
                objects,
            };
        }
        sum
    }

    /// Spans whose bits disagree with their own count, and no thread was about to make them agree.
    pub fn miscounted(&self, heap: &Heap) -> Vec<Miscount> {
        let mut found = Vec::new();
        for (span, evidence) in heap.spans.iter().zip(&self.spans) {
            let Some(evidence) = evidence.as_ref().filter(|e| !e.unsettled) else {
                continue;
            };
            let bits = evidence.allocated.iter().map(|w| u64::from(w.count_ones()));
            let miscount = Miscount {
                span: span.start,
                bits: bits.sum(),
                count: evidence.count,
            };
            if miscount.bits != miscount.count {
                found.push(miscount);
            }
        }
        found
    }

    /// What is wrong with a pointer to no object: the miss, and the address and size of the slot. `None` if it leads
    /// out of the heap, or to where an object is being made: the allocator itself has such a pointer.
    pub fn miss(&self, heap: &Heap, value: u64) -> Option<(Miss, u64, u64)> {
        let Some(index) = heap.pages.span(value) else {
            let page = value / PAGE * PAGE;
            return (heap.pages.covers(value) && !self.is_manual(value)).then_some((
                Miss::FreePage,
                page,
                PAGE,
            ));
        };
        let span = &heap.spans[index as usize];
        let Some(slot) = span.index(value) else {
            return Some((Miss::SpanTail, value, 0));
        };
        let at = span.start + u64::from(slot) * span.elem_size;
        let evidence = self.spans[index as usize].as_ref();
        let is = |bits: fn(&SpanEvidence) -> &Vec<u64>| {
            let word = evidence.and_then(|e| bits(e).get(slot as usize / 64));
            word.is_some_and(|word| word >> (slot % 64) & 1 != 0)
        };
        if is(|e| &e.unmade) {
            return None;
        }
        let miss = match is(|e| &e.allocated) {
            false => Miss::FreeSlot,
            true => Miss::Unmarked,
        };
        Some((miss, at, span.elem_size))
    }

    fn is_manual(&self, addr: u64) -> bool {
        let after = self.manual.partition_point(|(start, _)| *start <= addr);
        after > 0 && addr < self.manual[after - 1].1
    }
}
