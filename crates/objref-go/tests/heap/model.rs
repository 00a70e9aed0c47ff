//! Heaps made by hand, and what a reader must find in them, the slow way: slot by slot, word by word.

use std::collections::BTreeMap;
use std::path::Path;

use objref_go::{FieldAt, GcPhase, HeapState, SIZE_CLASSES, StructSource};
use objref_mem::{Addr, AddressSpace, Core, Input};
use proptest::prelude::*;

pub(crate) const PAGE: u64 = 8192;
pub(crate) const HEAP: u64 = 0xc0_0000_0000;
pub(crate) const META: u64 = 0x7f00_0000_0000;
const MHEAP: u64 = META;
const ALLSPANS: u64 = META + 0x1000;
pub(crate) const SPANS: u64 = META + 0x1_0000;
const BITMAPS: u64 = META + 0x10_0000;
const TYPES: u64 = META + 0x20_0000;
const ARENA: u64 = META + 0x40_0000;
const SPECIALS: u64 = META + 0x6c_0000;
const SPECIAL_SIZE: u64 = 32;
/// `mheap.sweepgen`.
const SWEEPGEN: u32 = 8;
const META_SIZE: u64 = 0x80_0000;
pub(crate) const SPAN_SIZE: u64 = 160;
/// The entry of `HEAP` in the table of arenas is the last word but one of the first page.
const ARENA_ENTRY: u64 = META + 0xff0;
pub(crate) const HEAP_PAGES: u64 = 256;
const BITMAP_SIZE: u64 = 1 << 21;

pub(crate) const AT_REST: HeapState = HeapState {
    mheap: Addr(MHEAP),
    phase: GcPhase::Off,
    minor: 24,
};

/// How pointer bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    TwoBits,
    OneBit,
    PerObject,
    GreenTea,
}

impl StructSource for Era {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let at = |offset, size| Some(FieldAt { offset, size });
        match (name, path) {
            ("runtime.mheap", "allspans") => at(0, 24),
            ("runtime.mheap", "arenas") => at(24, 8),
            ("runtime.mheap", "sweepgen") => at(32, 4),
            ("runtime.mspan", "startAddr") => at(0, 8),
            ("runtime.mspan", "npages") => at(8, 8),
            ("runtime.mspan", "freeindex") => at(16, 2),
            ("runtime.mspan", "nelems") => at(18, 2),
            ("runtime.mspan", "allocCount") => at(20, 2),
            ("runtime.mspan", "spanclass") => at(22, 1),
            ("runtime.mspan", "state") => at(23, 1),
            ("runtime.mspan", "sweepgen") => at(24, 4),
            ("runtime.mspan", "elemsize") => at(32, 8),
            ("runtime.mspan", "allocBits") => at(40, 8),
            ("runtime.mspan", "gcmarkBits") => at(48, 8),
            ("runtime.mspan", "specials") => at(56, 8),
            ("runtime.mspan", "largeType") => at(64, 8),
            ("runtime.mspan", "freeIndexForScan") if *self != Era::TwoBits => at(72, 2),
            ("runtime.special", "next") => at(0, 8),
            ("runtime.special", "offset") => at(8, 8),
            ("runtime.special", "kind") => at(16, 1),
            ("runtime.heapArena", "bitmap") if matches!(self, Era::OneBit | Era::TwoBits) => {
                at(0, BITMAP_SIZE)
            }
            ("runtime.heapArena", "noMorePtrs") if *self == Era::OneBit => at(BITMAP_SIZE, 16384),
            ("runtime.heapArena", "pageUseSpanInlineMarkBits") if *self == Era::GreenTea => {
                at(16, 1024)
            }
            ("internal/abi.Type", "Size_") => at(0, 8),
            ("internal/abi.Type", "PtrBytes") => at(8, 8),
            ("internal/abi.Type", "TFlag") => at(20, 1),
            ("internal/abi.Type", "Kind_") => at(23, 1),
            ("internal/abi.Type", "GCData") => at(32, 8),
            ("internal/abi.Type", "Str") => at(40, 4),
            _ => None,
        }
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        match name {
            "runtime.mspan" => Some(SPAN_SIZE),
            "internal/abi.Type" => Some(48),
            _ => None,
        }
    }

    fn constant(&self, _name: &str) -> Option<i64> {
        None
    }
}

/// How far the sweep of a span has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sweep {
    Done,
    /// As `Done`, and a processor allocates from it.
    Cached,
    Awaited,
    /// As `Awaited`, in a cache since before the sweep began.
    Stale,
    Begun,
    /// The index is reset, the bitmaps are not yet exchanged.
    Reset,
    /// All but the span's generation is as if it were done.
    Exchanged,
}

impl Sweep {
    fn generation(self) -> u32 {
        match self {
            Sweep::Done => SWEEPGEN,
            Sweep::Cached => SWEEPGEN + 3,
            Sweep::Awaited => SWEEPGEN - 2,
            Sweep::Stale => SWEEPGEN + 1,
            Sweep::Begun | Sweep::Reset | Sweep::Exchanged => SWEEPGEN - 1,
        }
    }

    /// Whether the marks decide.
    fn is_ahead(self) -> bool {
        !matches!(self, Sweep::Done | Sweep::Cached | Sweep::Exchanged)
    }

    fn any() -> impl Strategy<Value = Sweep> {
        use Sweep::{Awaited, Begun, Cached, Done, Exchanged, Reset, Stale};
        prop_oneof![
            3 => Just(Done), 2 => Just(Cached), 2 => Just(Awaited), 1 => Just(Stale), 1 => Just(Begun),
            1 => Just(Reset), 1 => Just(Exchanged),
        ]
    }
}

/// A span as the test wants it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) gap: u64,
    /// 0 is a large object.
    pub(crate) class: usize,
    pub(crate) pages: u64,
    pub(crate) noscan: bool,
    pub(crate) sweep: Sweep,
    pub(crate) freeindex: u64,
    /// Slots below `freeindex` that the collector has not been told of.
    pub(crate) unmade: u64,
    pub(crate) seed: u64,
    /// Words of the type of its objects, and which are pointers.
    pub(crate) type_words: u64,
    pub(crate) type_mask: u64,
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (
        (
            0..3u64,
            0..SIZE_CLASSES.len(),
            1..9u64,
            any::<bool>(),
            Sweep::any(),
        ),
        (
            any::<u64>(),
            prop_oneof![2 => Just(0), 1 => 0..4u64],
            any::<u64>(),
            1..60u64,
            any::<u64>(),
        ),
    )
        .prop_map(
            |((gap, class, pages, noscan, sweep), (freeindex, unmade, seed, type_words, mask))| {
                let elem = SIZE_CLASSES[class];
                Plan {
                    gap,
                    class,
                    // As many pages as the first slot needs, and no more than the reciprocal allows.
                    pages: pages.max(elem.div_ceil(PAGE)),
                    noscan,
                    sweep,
                    freeindex,
                    unmade,
                    seed,
                    type_words,
                    type_mask: mask & (u64::MAX >> (64 - type_words)),
                }
            },
        )
        .prop_filter("too large for the reciprocal", |p| {
            let elem = SIZE_CLASSES[p.class];
            p.class == 0 || p.pages * PAGE < (1 << 32) / elem
        })
}

struct Memory(BTreeMap<u64, Vec<u8>>);

impl Memory {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let (start, segment) = self.0.range_mut(..=at).next_back().unwrap();
        let from = (at - start) as usize;
        segment[from..from + bytes.len()].copy_from_slice(bytes);
    }

    fn word(&mut self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn bit(&mut self, at: u64, bit: u64) {
        let (start, segment) = self.0.range_mut(..=at).next_back().unwrap();
        segment[(at - start + bit / 8) as usize] |= 1 << (bit % 8);
    }
}

#[derive(Clone, Copy)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

/// What is in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Alive,
    Free,
    Dead,
    Unmade,
}

/// What the reader must find.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Slot address to its size and what is there.
    pub(crate) slots: BTreeMap<u64, (u64, Slot)>,
    /// Live objects to their pointers.
    pub(crate) pointers: BTreeMap<u64, Vec<(u64, u64)>>,
    pub(crate) allocated: u64,
    pub(crate) unmade: u64,
    pub(crate) spans: u64,
}

pub(crate) fn build(era: Era, plans: &[Plan]) -> (AddressSpace, Model) {
    let mut memory = Memory(BTreeMap::from([
        (META, vec![0; META_SIZE as usize]),
        (HEAP, vec![0; (HEAP_PAGES * PAGE) as usize]),
    ]));
    let mut model = Model::default();
    let index = HEAP.wrapping_sub(0xffff_8000_0000_0000) >> 26;
    memory.word(MHEAP + 24, ARENA_ENTRY.wrapping_sub(index * 8));
    memory.word(ARENA_ENTRY, ARENA);
    memory.put(MHEAP + 32, &SWEEPGEN.to_le_bytes());
    let (mut page, mut count, mut specials) = (0, 0, 0);
    for plan in plans {
        let mut dice = Dice(plan.seed);
        page += plan.gap;
        let (start, bytes) = (HEAP + page * PAGE, plan.pages * PAGE);
        if page + plan.pages > HEAP_PAGES {
            break;
        }
        page += plan.pages;
        let large = plan.class == 0;
        let elem = if large {
            bytes
        } else {
            SIZE_CLASSES[plan.class]
        };
        let small = elem <= 512;
        let per_object = matches!(era, Era::PerObject | Era::GreenTea);
        // Only one-page spans of small objects have their marks inside, and not those of the smallest.
        // runtime/mgcmark_greenteagc.go: gcUsesSpanInlineMarkBits
        let inline = era == Era::GreenTea && (16..=512).contains(&elem) && plan.pages == 1;
        let in_span = per_object && small && !plan.noscan;
        let tail = 128 * (u64::from(in_span) * plan.pages + u64::from(inline));
        let elems = if large { 1 } else { (bytes - tail) / elem };
        let free = plan.freeindex % (elems + 1);
        let record = SPANS + count * SPAN_SIZE;
        let bits = BITMAPS + count * 4096;
        let marks = bits + 2048;
        let ty = TYPES + count * 256;
        if in_span && plan.pages > 1 {
            // The runtime has no such spans.
            page -= plan.pages;
            continue;
        }
        count += 1;

        memory.word(ALLSPANS + (count - 1) * 8, record);
        memory.word(record, start);
        memory.word(record + 8, plan.pages);
        let made = free.saturating_sub(plan.unmade);
        let index = match plan.sweep {
            Sweep::Reset | Sweep::Exchanged => 0,
            _ => free,
        };
        memory.put(record + 16, &(index as u16).to_le_bytes());
        memory.put(record + 72, &(made as u16).to_le_bytes());
        memory.put(record + 18, &(elems as u16).to_le_bytes());
        memory.put(
            record + 22,
            &[(plan.class as u8) << 1 | u8::from(plan.noscan), 1],
        );
        memory.put(record + 24, &plan.sweep.generation().to_le_bytes());
        memory.word(record + 32, elem);
        memory.word(record + 40, bits);
        memory.word(record + 48, marks);
        let words = plan
            .type_words
            .min((elem - if large { 0 } else { 8 }) / 8)
            .max(1);
        let mask = plan.type_mask & (u64::MAX >> (64 - words));
        if large {
            memory.word(record + 64, ty);
        }
        memory.word(ty, words * 8);
        memory.word(ty + 8, (64 - u64::from(mask.leading_zeros())) * 8);
        memory.put(ty + 23, &[25]);
        memory.word(ty + 32, ty + 64);
        memory.word(ty + 64, mask);
        if inline {
            memory.bit(ARENA + 16, (start / PAGE) % 8192);
        }

        let (mut allocated, mut head) = (0, 0);
        for i in 0..elems {
            let at = start + i * elem;
            // Of a sweep that has begun, a span without any mark says nothing.
            let pinned = i == 0 && matches!(plan.sweep, Sweep::Begun | Sweep::Reset);
            let bit = dice.roll().is_multiple_of(3) || pinned;
            if bit {
                memory.bit(bits, i);
            }
            let how = if pinned { 0 } else { dice.roll() % 5 };
            let marked = (bit || i < free) && (how == 0 || (how == 1 && inline));
            // Where the index is gone, a mark says as much.
            let in_use = bit || i < index || marked && plan.sweep.is_ahead();
            let mut alive = in_use;
            allocated += u16::from(in_use);
            if plan.sweep.is_ahead() {
                if marked {
                    match how {
                        0 => memory.bit(marks, i),
                        _ => memory.bit(start + bytes - 64, i),
                    }
                } else if alive && how == 2 && specials < 8192 {
                    // Dead, but its finalizer has yet to run; other records keep nothing.
                    let at = SPECIALS + specials * SPECIAL_SIZE;
                    let kind = 1 + dice.roll() as u8 % 2;
                    memory.word(at, head);
                    memory.word(at + 8, i * elem + dice.roll() % elem);
                    memory.put(at + 16, &[kind]);
                    (head, specials) = (at, specials + 1);
                    alive = kind == 1;
                } else {
                    alive = false;
                }
            } else {
                // The collector marks what is made while it marks, and moves no index.
                let marking = plan.unmade == 3 && marked && plan.sweep != Sweep::Exchanged;
                if alive && !bit && i >= made && era != Era::TwoBits && index > 0 {
                    match how {
                        0 if marking => memory.bit(marks, i),
                        1 if marking => memory.bit(start + bytes - 64, i),
                        _ => alive = false,
                    }
                }
            }
            let slot = match (alive, in_use) {
                (true, _) => Slot::Alive,
                (_, false) => Slot::Free,
                _ if plan.sweep.is_ahead() => Slot::Dead,
                _ => Slot::Unmade,
            };
            model.unmade += u64::from(slot == Slot::Unmade);
            model.slots.insert(at, (elem, slot));
            let header = per_object && !plan.noscan && !small && !large;
            let mut expected = Vec::new();
            let mut more = true;
            let scan_words = dice.roll() % (elem / 8 + 1);
            for w in 0..elem / 8 {
                let offset = w * 8;
                if header && w == 0 {
                    memory.word(at, ty);
                    continue;
                }
                let value = match dice.roll() % 3 {
                    0 => 0,
                    _ => 0x1000 + dice.roll(),
                };
                memory.word(at + offset, value);
                let word = (at + offset) / 8;
                let chance = dice.roll().is_multiple_of(2);
                let pointer = match era {
                    _ if plan.noscan => false,
                    Era::TwoBits => {
                        // Low nibble: pointers; high nibble: more follow. Behind the first word without that are the
                        // bits of an object that was here before.
                        let place = word % (1 << 23);
                        let scanned = w < scan_words;
                        if chance {
                            memory.bit(ARENA + place / 4, place % 4);
                        }
                        if scanned || (w > scan_words && dice.roll().is_multiple_of(2)) {
                            memory.bit(ARENA + place / 4, place % 4 + 4);
                        }
                        chance && scanned
                    }
                    Era::OneBit => {
                        let place = word % (1 << 23);
                        // A group of 64 words may say that no more follow in the same object.
                        if w > 0 && place % 64 == 0 && i % 5 == 1 {
                            memory.bit(ARENA + BITMAP_SIZE, place / 64 - 1);
                        }
                        if chance {
                            memory.bit(ARENA, place);
                        }
                        chance
                    }
                    _ if small => {
                        if chance {
                            let bitmap = start + bytes - tail;
                            memory.bit(bitmap, (at - start) / 8 + w);
                        }
                        chance
                    }
                    _ => {
                        let first = if large { 0 } else { 1 };
                        mask >> ((w - first) % words) & 1 != 0
                    }
                };
                more &= !(era == Era::OneBit && w > 0 && word % 64 == 0 && i % 5 == 1);
                if pointer && value != 0 && (more || era != Era::OneBit) {
                    expected.push((offset, value));
                }
            }
            if alive {
                model.pointers.insert(at, expected);
            }
        }
        model.allocated += u64::from(allocated);
        memory.word(record + 56, head);
        // A processor that has taken a slot is about to count it; a sweep is about to count anew.
        let counted = match plan.sweep {
            Sweep::Cached => allocated - u16::from(allocated > 0 && plan.unmade == 1),
            Sweep::Begun | Sweep::Reset | Sweep::Exchanged => 0,
            _ => allocated,
        };
        memory.put(record + 20, &counted.to_le_bytes());
    }
    model.spans = count;
    memory.word(MHEAP, ALLSPANS);
    memory.word(MHEAP + 8, count);
    let mut core = objref_synth::CoreBuilder::new();
    for (at, bytes) in memory.0 {
        core = core.segment(at, objref_synth::RW, bytes);
    }
    let input = Input::from_bytes(Path::new("core"), &core.build()).unwrap();
    (AddressSpace::new(&Core::parse(input).unwrap(), &[]), model)
}
