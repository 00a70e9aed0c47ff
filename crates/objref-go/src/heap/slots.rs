//! Which slots of a span hold objects: by the allocator, by the last collection, and by how far both have come.

use objref_mem::{Addr, AddressSpace, Fault, FaultKind};

use super::GcPhase;
use super::arena::{Arenas, low_bits};
use super::bits::{INLINE_MARKS, max_in_span};
use super::classes::SIZE_CLASSES;
use super::span::{PAGE, RawSpan};
use crate::specials::{MAX_SPECIALS, SpecialKind, Specials};

/// How far the sweeping of a span has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sweep {
    /// Its allocation bits are the marks of the last collection that was completed.
    #[default]
    Swept,
    /// The marks of the last collection stand beside its allocation bits.
    Awaited,
    /// A thread was in the middle of it.
    UnderWay,
}

/// What a span's bitmaps say, a bit a slot; and memory for those of the next span.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) sweep: Sweep,
    /// In use by the allocator's predicate.
    pub(super) allocated: Vec<u64>,
    /// Of these, objects: made, and not found dead by a collection that has yet to sweep them.
    pub(super) live: Vec<u64>,
    /// Of these, found live by the last collection that was completed.
    pub(super) survived: Vec<u64>,
    /// Of `allocated`, taken by a thread that has yet to make an object of it.
    pub(super) unmade: Vec<u64>,
    /// Whether the bits and the span's own count may differ, because a thread was between writing one and the other, or
    /// because the bits are not in the dump.
    pub(super) unsettled: bool,
    /// Whether bits that tell which slots are in use are not in the dump: each may be.
    pub(super) lost: bool,
    /// The allocation bits.
    bits: Vec<u64>,
    /// The marks of the last collection.
    marks: Vec<u64>,
}

impl Slots {
    /// Slots in use.
    pub(super) fn count(&self) -> u64 {
        count(&self.allocated)
    }
}

pub(super) fn count(words: &[u64]) -> u64 {
    words.iter().map(|w| u64::from(w.count_ones())).sum()
}

pub(super) struct SlotReader<'a> {
    pub(super) space: &'a AddressSpace,
    pub(super) arenas: &'a Arenas,
    pub(super) specials: Option<Specials<'a>>,
    pub(super) sweepgen: u32,
    pub(super) phase: GcPhase,
}

impl SlotReader<'_> {
    /// Reads what the span's bitmaps say.
    pub(super) fn read(&self, span: &RawSpan, slots: &mut Slots) {
        let Slots {
            sweep,
            allocated,
            live,
            survived,
            unmade,
            unsettled,
            lost,
            bits,
            marks,
        } = slots;
        *sweep = self.sweep(span);
        *lost = !self.alloc_bits(span, bits);
        let unmarked = !self.marks(span, marks);
        // The marks have become the allocation bits already; only the span's generation is yet to say so.
        // runtime/mgcsweep.go: (*sweepLocked).sweep
        let is_swept =
            *sweep == Sweep::UnderWay && span.freeindex == 0 && marks.iter().all(|w| *w == 0);
        // Else nobody knows what the collection found dead, or it is gone.
        let is_told = !(unmarked || is_swept);
        for words in [&mut *allocated, live, survived, unmade] {
            words.clear();
        }
        for (first, (&bits, &marks)) in (0..).step_by(64).zip(bits.iter().zip(&*marks)) {
            let below = |n: u64| match n.saturating_sub(first).min(64) {
                0 => 0,
                n => low_bits(n),
            };
            // A slot is in use below `freeindex`, and above it when its bit says so.
            // runtime/mbitmap.go: isFree
            let in_use = (below(span.freeindex) | bits) & below(span.nelems);
            let words = match sweep {
                // Slots that a processor has taken, but which hold no object yet: neither header nor pointer bits are
                // written, and the contents are those of what was there before. The collector learns of the object when it
                // is made, by an index of its own; while it marks, from go1.26 on, by the mark that a new object gets.
                // runtime/malloc.go: mallocgc, freeIndexForScan
                Sweep::Swept => {
                    let made = below(span.freeindex_for_scan.unwrap_or(u64::MAX));
                    let unmade = in_use & !(made | bits | marks);
                    (in_use, in_use & !unmade, in_use & bits, unmade)
                }
                Sweep::Awaited if is_told => (in_use, in_use & marks, in_use & marks, 0),
                // It may have reset the index: a slot that is marked is in use anyway.
                Sweep::UnderWay if is_told => (in_use | marks, marks, marks, 0),
                _ => (in_use, in_use, in_use, 0),
            };
            allocated.push(words.0);
            live.push(words.1);
            survived.push(words.2);
            unmade.push(words.3);
        }
        *unsettled = match sweep {
            Sweep::Swept => *lost || self.is_half_counted(span, allocated),
            _ => *lost || !is_told || *sweep == Sweep::UnderWay,
        };
        if *sweep != Sweep::Swept {
            match is_told {
                true => self.revive(span, live, allocated),
                false => *lost |= !is_swept,
            }
        }
    }

    /// What the sweep will mark because its finalizer is yet to run.
    // runtime/mgcsweep.go: (*sweepLocked).sweep
    fn revive(&self, span: &RawSpan, live: &mut [u64], allocated: &[u64]) {
        let Some(specials) = &self.specials else {
            return;
        };
        let mut left = MAX_SPECIALS;
        specials.each(span.specials, &mut left, |special| {
            let slot = special.offset / span.elem_size;
            let word = (slot / 64) as usize;
            if special.kind == SpecialKind::Finalizer
                && let (Some(live), Some(allocated)) = (live.get_mut(word), allocated.get(word))
            {
                *live |= 1 << (slot % 64) & allocated;
            }
            Ok(())
        });
    }

    // runtime/mheap.go: mspan.sweepgen
    fn sweep(&self, span: &RawSpan) -> Sweep {
        // All spans are swept before marking begins.
        match self.sweepgen.wrapping_sub(span.sweepgen) {
            1 if self.phase == GcPhase::Off => Sweep::UnderWay,
            // In a cache since before the sweep began: as if it were 2.
            2 | u32::MAX if self.phase == GcPhase::Off => Sweep::Awaited,
            _ => Sweep::Swept,
        }
    }

    /// Whether a processor has taken a slot and not yet counted it.
    // runtime/malloc.go: nextFreeFast, nextFree; mallocgcLarge
    fn is_half_counted(&self, span: &RawSpan, allocated: &[u64]) -> bool {
        let cached = span.sweepgen.wrapping_sub(self.sweepgen) == 3;
        (cached || span.size_class() == 0) && count(allocated) == span.alloc_count + 1
    }

    pub(super) fn has_inline_marks(&self, span: &RawSpan) -> bool {
        if span.elem_size > max_in_span(self.space.word_size()) {
            return false;
        }
        let known = self.arenas.has_inline_marks(self.space, span.start);
        known.unwrap_or_else(|| {
            inline_class(self.space, span.start) == Some((span.size_class(), span.is_noscan()))
        })
    }

    /// Reads the span's allocation bits: all, if they are not in the dump. Whether they are, as far as there are any.
    fn alloc_bits(&self, span: &RawSpan, bits: &mut Vec<u64>) -> bool {
        let Err(fault) = self.bitmap(span, span.alloc_bits, bits) else {
            return true;
        };
        // What is behind the last slot is never looked at.
        bits.fill(u64::MAX);
        !span.has_record() || fault.kind == FaultKind::Unmapped
    }

    /// Reads the marks of the last collection. Whether they are in the dump.
    fn marks(&self, span: &RawSpan, marks: &mut Vec<u64>) -> bool {
        let known = self.bitmap(span, span.gcmark_bits, marks).is_ok();
        if !self.has_inline_marks(span) {
            return known;
        }
        // {scans [63]u8, owned u8, marks [63]u8, class u8}
        let at = Addr(span.start + span.bytes() - INLINE_MARKS + 64);
        match self.space.bytes(at, 63) {
            Ok(bytes) => {
                add(marks, &bytes);
                known
            }
            Err(_) => false,
        }
    }

    /// Reads the bitmap at `at` of the span's slots into words: zeros, if it is not in the dump.
    fn bitmap(&self, span: &RawSpan, at: Addr, words: &mut Vec<u64>) -> Result<(), Fault> {
        words.clear();
        words.resize(span.word_count(), 0);
        let bytes = span.nelems.div_ceil(8) as usize;
        add(words, &self.space.bytes(at, bytes)?);
        Ok(())
    }
}

/// Sets the bits that are kept in these bytes.
fn add(words: &mut [u64], bytes: &[u8]) {
    let (whole, rest) = bytes.as_chunks::<8>();
    for (word, bytes) in words.iter_mut().zip(whole) {
        *word |= u64::from_le_bytes(*bytes);
    }
    if let Some(word) = words.get_mut(whole.len()) {
        let bits = (0..).step_by(8).zip(rest);
        *word |= bits.fold(0, |word, (at, byte)| word | u64::from(*byte) << at);
    }
}

/// The size class, and whether there are no pointers, of the objects in the page at `start`, if the page ends as those do
/// in which the collector keeps marks: {scans [63]u8, owned u8, marks [63]u8, class u8}.
// runtime/mgcmark_greenteagc.go: spanInlineMarkBits, gcUsesSpanInlineMarkBits
pub(super) fn inline_class(space: &AddressSpace, start: u64) -> Option<(u8, bool)> {
    let tail = space
        .bytes(Addr(start + PAGE - INLINE_MARKS), INLINE_MARKS as usize)
        .ok()?;
    let (class, noscan) = (tail[127] >> 1, tail[127] & 1 != 0);
    let size = *SIZE_CLASSES.get(usize::from(class))?;
    if !(16..=max_in_span(space.word_size())).contains(&size) || tail[63] > 1 {
        return None;
    }
    let slots = inline_slots(size, noscan, space.word_size()) as usize;
    // No slot is marked that there is not.
    let beyond = |bits: &[u8]| {
        let ones = bits.iter().enumerate().skip(slots / 8);
        ones.fold(0u32, |sum, (i, byte)| {
            sum + match i == slots / 8 {
                true => u32::from(byte >> (slots % 8) != 0),
                false => u32::from(*byte != 0),
            }
        })
    };
    (beyond(&tail[..63]) + beyond(&tail[64..127]) == 0).then_some((class, noscan))
}

/// How many slots of `size` bytes a page with inline marks has.
// runtime/mheap.go: (*mheap).initSpan
pub(super) fn inline_slots(size: u64, noscan: bool, word: u64) -> u64 {
    let bits = if noscan { 0 } else { PAGE / word / 8 };
    (PAGE - INLINE_MARKS - bits) / size
}
