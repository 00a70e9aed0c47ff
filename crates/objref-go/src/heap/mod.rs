//! The garbage-collected heap: spans, the objects in them, and where their pointers are.
//!
//! An object's id is its rank among the allocated slots of the whole heap, in address order. Address and size are
//! computed from the id, never stored.

mod arena;
mod batch;
mod bits;
mod classes;
mod evidence;
mod mask;
mod pages;
mod parts;
mod rebuild;
mod slots;
mod span;
mod table;

use std::mem;
use std::sync::Arc;

use objref_mem::{Addr, AddressSpace, room, zeros};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub(crate) use arena::arena_base;
pub use batch::{Batch, Reference};
pub use classes::SIZE_CLASSES;
pub use evidence::{Evidence, Miscount, Miss};
pub use parts::SpanPart;
pub use rebuild::{Census, Landmarks};
pub use span::{ReadError, SpanState};
pub use table::{ObjId, Object, ObjectTable, Span, SpanTotals, Tally};

use crate::layout::StructSource;
use crate::rtype::RuntimeTypes;
use crate::specials::Specials;
use arena::Arenas;
use bits::PointerBits;
use mask::TypeMasks;
use rebuild::rebuild;
use slots::{SlotReader, Slots};
use span::{HeapLayout, PAGE, RawSpan, read_spans};
use table::{SlotWord, ones};

/// What was read of a span's slots, on the way into the tables.
struct Placed {
    live: u64,
    allocated: u64,
    unmade: u64,
    miscounted: bool,
    lost: bool,
    bits: PointerBits,
}

/// The heap: its objects, and where their pointers are.
#[derive(Debug)]
pub struct Heap {
    table: Arc<ObjectTable>,
    masks: TypeMasks,
    arenas: Arenas,
    /// Of the spans that have special records: their indices, and the heads of the lists.
    specials: Vec<(u32, Addr)>,
}

impl std::ops::Deref for Heap {
    type Target = ObjectTable;

    #[inline]
    fn deref(&self) -> &ObjectTable {
        &self.table
    }
}

/// In which phase the collector was.
// runtime/mgc.go: _GCoff, _GCmark, _GCmarktermination
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        landmarks: &dyn Fn() -> Landmarks,
    ) -> Result<Heap, ReadError> {
        let HeapState { mheap, phase, .. } = state;
        let layout = HeapLayout::resolve(source)?;
        let records = read_spans(space, source, layout.allspans.slice(space, mheap)?)?;
        let sweepgen = layout.sweepgen.read(space, mheap)? as u32;
        let arenas = Arenas::new(space, source, layout.arenas.at(mheap))?;
        let mut totals = SpanTotals {
            damaged: records.damaged,
            lost: records.lost,
            ..SpanTotals::default()
        };
        let (mut in_use, mut manual) = (Vec::new(), Vec::new());
        for span in records.spans() {
            let bytes = span.bytes();
            match span.state {
                SpanState::Dead => totals.dead += 1,
                SpanState::Manual => {
                    totals.manual.add(bytes);
                    manual.push((span.start, span.start + bytes));
                }
                SpanState::InUse => {
                    totals.in_use.add(bytes);
                    in_use.push(span);
                }
            }
        }
        in_use.par_sort_unstable_by_key(|s| (s.start, s.at));
        let before = in_use.len();
        in_use.dedup_by(|next, kept| next.start < kept.start + kept.bytes());
        totals.damaged += (before - in_use.len()) as u64;
        let made_up;
        if totals.lost > 0 {
            made_up = rebuild(
                space,
                types,
                &arenas,
                &in_use,
                manual,
                landmarks(),
                sweepgen,
            );
            for span in &made_up {
                totals.guessed.add(span.bytes());
            }
            in_use.extend(&made_up);
            in_use.par_sort_unstable_by_key(|s| s.start);
        }

        let reader = SlotReader {
            space,
            arenas: &arenas,
            specials: Specials::new(space, source, state.minor),
            sweepgen,
            phase,
        };
        let mut live = zeros(in_use.iter().map(|span| span.word_count()).sum());
        let mut rest = &mut live[..];
        let places = in_use.iter().map(|span| {
            let place;
            (place, rest) = mem::take(&mut rest).split_at_mut(span.word_count());
            place
        });
        let places: Vec<&mut [u64]> = places.collect();
        let placed = in_use.par_iter().zip(places);
        let placed = placed.map_init(Slots::default, |slots, (span, live)| {
            reader.read(span, slots);
            live.copy_from_slice(&slots.live);
            let allocated = slots.count();
            Placed {
                live: slots::count(live),
                allocated,
                unmade: slots::count(&slots.unmade),
                miscounted: allocated != span.alloc_count && !slots.unsettled,
                lost: slots.lost,
                bits: reader.pointer_bits(span),
            }
        });
        let placed: Vec<Placed> = placed.collect();
        let table = place(&in_use, placed, &live, totals)?;
        let heads = (0..).zip(in_use.iter().map(|span| span.specials));
        Ok(Heap {
            masks: TypeMasks::collect(space, types, &table),
            specials: heads.filter(|(_, head)| head.0 != 0).collect(),
            table: Arc::new(table),
            arenas,
        })
    }

    /// The tables by themselves, which need nothing of the dump.
    pub fn table(&self) -> &Arc<ObjectTable> {
        &self.table
    }

    /// The spans with special records, in address order, and the head of the list of each.
    pub(crate) fn specials(&self) -> impl Iterator<Item = (&Span, Addr)> {
        let heads = self.specials.iter();
        heads.map(|(span, head)| (&self.spans[*span as usize], *head))
    }

    /// Calls `visit(offset, value)` for each non-nil pointer word of the object, `offset` in bytes from the slot's start.
    ///
    /// The words are exactly those that the collector would look at. Words that the dump lacks are skipped.
    #[inline]
    pub fn pointers(&self, space: &AddressSpace, id: ObjId, visit: impl FnMut(u64, u64)) {
        let (span, at) = self.locate(id);
        self.pointers_at(space, span, at, visit);
    }

    /// The type descriptor the runtime itself keeps for the object at `at`: of the object or, for arrays, of the element.
    #[inline]
    pub fn stored_type(&self, space: &AddressSpace, span: &Span, at: u64) -> Option<Addr> {
        let ty = match span.bits {
            PointerBits::Header => space.ptr(Addr(at)).ok()?,
            PointerBits::Large => span.large_type,
            _ => return None,
        };
        (ty.0 != 0).then_some(ty)
    }
}

/// Puts the spans and their slots into tables; `live` as for [`ObjectTable::new`].
fn place(
    raw: &[&RawSpan],
    slots: Vec<Placed>,
    live: &[u64],
    mut totals: SpanTotals,
) -> Result<ObjectTable, ReadError> {
    let mut spans = room(raw.len());
    for (raw, slots) in raw.iter().zip(slots) {
        let tally = |objects: u64| Tally {
            bytes: objects * raw.elem_size,
            objects,
        };
        totals.allocated += tally(slots.allocated);
        totals.unmade += tally(slots.unmade);
        totals.condemned += tally(slots.allocated - slots.unmade - slots.live);
        totals.free += tally(raw.nelems - slots.allocated);
        totals.miscounted += u64::from(slots.miscounted);
        let bytes = raw.bytes();
        if slots.lost {
            totals.lost_bitmaps.add(bytes);
        }
        if slots.bits == PointerBits::Lost {
            totals.lost_pointers.add(bytes);
        }
        spans.push(Span {
            start: raw.start,
            elem_size: raw.elem_size,
            // No more: see `RawSpan::is_sane`, and a span that is made up is of pages that the dump has.
            npages: raw.npages as u32,
            nelems: raw.nelems as u32,
            allocated: slots.allocated as u32,
            noscan: raw.is_noscan(),
            size_class: raw.size_class(),
            large_type: raw.large_type,
            guessed: !raw.has_record(),
            bits: slots.bits,
            ..Span::default()
        });
    }
    ObjectTable::new(spans, live, totals).ok_or(ReadError::TooManyObjects)
}
