//! Which slots of a span hold objects: by the allocator, by the last collection, and by how far both have come.

use objref_mem::{Addr, AddressSpace, Fault, FaultKind};

use super::GcPhase;
use super::arena::{Arenas, low_bits};
use super::bits::{INLINE_MARKS, max_in_span};
use super::classes::SIZE_CLASSES;
use super::span::{PAGE, RawSpan};
use crate::specials::{MAX_SPECIALS, SpecialKind, Specials};

/// How far the sweeping of a span has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    /// Its allocation bits are the marks of the last collection that was completed.
    Swept,
    /// The marks of the last collection stand beside its allocation bits.
    Awaited,
    /// A thread was in the middle of it.
    UnderWay,
}

/// What a span's bitmaps say; a bit a slot.
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
    pub(super) fn read(&self, span: &RawSpan) -> Slots {
        let sweep = self.sweep(span);
        let (bits, lost) = self.alloc_bits(span);
        let (marks, unmarked) = self.marked(span);
        let allocated = in_use(span, &bits);
        let nothing = || vec![0; bits.len()];
        // The marks have become the allocation bits already; only the span's generation is yet to say so.
        // runtime/mgcsweep.go: (*sweepLocked).sweep
        let is_swept =
            sweep == Sweep::UnderWay && span.freeindex == 0 && marks.iter().all(|w| *w == 0);
        match sweep {
            Sweep::Swept => {
                let unmade = unmade(span, &allocated, &bits, &marks);
                Slots {
                    sweep,
                    live: without(&allocated, &unmade),
                    survived: both(&bits, &allocated),
                    unsettled: lost || self.is_half_counted(span, &allocated),
                    unmade,
                    allocated,
                    lost,
                }
            }
            // Nobody knows what the collection found dead, or it is gone.
            Sweep::Awaited | Sweep::UnderWay if unmarked || is_swept => Slots {
                sweep,
                live: allocated.clone(),
                survived: allocated.clone(),
                unmade: nothing(),
                unsettled: true,
                allocated,
                lost: lost || !is_swept,
            },
            Sweep::Awaited | Sweep::UnderWay => {
                // A sweep that is under way may have reset the index: a slot that is marked is in use anyway.
                let allocated: Vec<u64> = match sweep {
                    Sweep::UnderWay => allocated.iter().zip(&marks).map(|(a, m)| a | m).collect(),
                    _ => allocated,
                };
                let mut live = both(&marks, &allocated);
                self.revive(span, &mut live);
                Slots {
                    sweep,
                    live: both(&live, &allocated),
                    survived: both(&marks, &allocated),
                    unmade: nothing(),
                    unsettled: lost || sweep == Sweep::UnderWay,
                    allocated,
                    lost,
                }
            }
        }
    }

    /// What the sweep will mark because its finalizer is yet to run.
    // runtime/mgcsweep.go: (*sweepLocked).sweep
    fn revive(&self, span: &RawSpan, live: &mut [u64]) {
        let Some(specials) = &self.specials else {
            return;
        };
        let mut left = MAX_SPECIALS;
        specials.each(span.specials, &mut left, |special| {
            let slot = special.offset / span.elem_size;
            if special.kind == SpecialKind::Finalizer
                && let Some(word) = live.get_mut((slot / 64) as usize)
            {
                *word |= 1 << (slot % 64);
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

    /// The span's allocation bits; all, if they are not in the dump.
    fn alloc_bits(&self, span: &RawSpan) -> (Vec<u64>, bool) {
        match self.bitmap(span.alloc_bits, span.nelems) {
            Ok(bits) => (bits, false),
            Err(fault) => {
                let words = span.nelems.div_ceil(64) as usize;
                let lost = span.has_record() && fault.kind != FaultKind::Unmapped;
                (below(span.nelems, words), lost)
            }
        }
    }

    /// The marks of the last collection, and whether they are not in the dump.
    fn marked(&self, span: &RawSpan) -> (Vec<u64>, bool) {
        let (mut marked, mut lost) = match self.bitmap(span.gcmark_bits, span.nelems) {
            Ok(marks) => (marks, false),
            Err(_) => (vec![0; span.nelems.div_ceil(64) as usize], true),
        };
        if self.has_inline_marks(span) {
            // {scans [63]u8, owned u8, marks [63]u8, class u8}
            let at = Addr(span.start + span.npages * PAGE - INLINE_MARKS + 64);
            match self.space.bytes(at, 63) {
                Ok(bytes) => {
                    for (i, byte) in bytes.iter().enumerate() {
                        if let Some(word) = marked.get_mut(i / 8) {
                            *word |= u64::from(*byte) << (i % 8 * 8);
                        }
                    }
                }
                Err(_) => lost = true,
            }
        }
        (marked, lost)
    }

    /// `bits` bits at `at` as words.
    fn bitmap(&self, at: Addr, bits: u64) -> Result<Vec<u64>, Fault> {
        let words = bits.div_ceil(64) as usize;
        let mut out = vec![0; words];
        let data = self.space.bytes(at, bits.div_ceil(8) as usize)?;
        for (i, byte) in data.iter().enumerate() {
            out[i / 8] |= u64::from(*byte) << (i % 8 * 8);
        }
        Ok(out)
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

/// A slot is in use below `freeindex`, and above it when its bit says so.
// runtime/mbitmap.go: isFree
fn in_use(span: &RawSpan, bits: &[u64]) -> Vec<u64> {
    let mut words = below(span.freeindex, bits.len());
    for (i, (word, bits)) in words.iter_mut().zip(bits).enumerate() {
        *word = (*word | bits) & low_bits((span.nelems - i as u64 * 64).min(64));
    }
    words
}

/// Slots that a processor has taken, but which hold no object yet: neither header nor pointer bits are written, and the
/// contents are those of what was there before. The collector learns of the object when it is made, by an index of its
/// own; while it marks, from go1.26 on, by the mark that a new object gets.
// runtime/malloc.go: mallocgc, freeIndexForScan
fn unmade(span: &RawSpan, allocated: &[u64], bits: &[u64], marks: &[u64]) -> Vec<u64> {
    let made = below(span.freeindex_for_scan.unwrap_or(u64::MAX), bits.len());
    let known = made.iter().zip(bits).zip(marks);
    allocated
        .iter()
        .zip(known)
        .map(|(allocated, ((made, bits), marks))| allocated & !(made | bits | marks))
        .collect()
}

/// The first `n` of the bits of `words` words.
fn below(n: u64, words: usize) -> Vec<u64> {
    let word = |i: usize| match n.saturating_sub(i as u64 * 64).min(64) {
        0 => 0,
        n => low_bits(n),
    };
    (0..words).map(word).collect()
}

fn both(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a & b).collect()
}

fn without(a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| a & !b).collect()
}
