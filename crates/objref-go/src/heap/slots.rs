//! Which slots of a span hold objects: by the allocator, by the last collection, and by how far both have come.

use objref_mem::{Addr, AddressSpace};

use super::GcPhase;
use super::arena::{Arenas, low_bits};
use super::bits::{INLINE_MARKS, max_in_span};
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
    /// Whether the bits and the span's own count may differ, because a thread was between writing one and the other.
    pub(super) unsettled: bool,
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
        let bits = self.bitmap(span.alloc_bits, span.nelems);
        let marks = self.marked(span);
        let allocated = in_use(span, &bits);
        let nothing = || vec![0; bits.len()];
        match sweep {
            Sweep::Swept => {
                let unmade = unmade(span, &allocated, &bits, &marks);
                Slots {
                    sweep,
                    live: without(&allocated, &unmade),
                    survived: both(&bits, &allocated),
                    unsettled: self.is_half_counted(span, &allocated),
                    unmade,
                    allocated,
                }
            }
            // The marks have become the allocation bits already; only the span's generation is yet to say so.
            // runtime/mgcsweep.go: (*sweepLocked).sweep
            Sweep::UnderWay if span.freeindex == 0 && marks.iter().all(|w| *w == 0) => Slots {
                sweep,
                live: allocated.clone(),
                survived: allocated.clone(),
                unmade: nothing(),
                unsettled: true,
                allocated,
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
                    unsettled: sweep == Sweep::UnderWay,
                    allocated,
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
        span.elem_size <= max_in_span(self.space.word_size())
            && self.arenas.has_inline_marks(self.space, span.start)
    }

    fn marked(&self, span: &RawSpan) -> Vec<u64> {
        let mut marked = self.bitmap(span.gcmark_bits, span.nelems);
        if self.has_inline_marks(span) {
            // {scans [63]u8, owned u8, marks [63]u8, class u8}
            let at = Addr(span.start + span.npages * PAGE - INLINE_MARKS + 64);
            if let Ok(bytes) = self.space.bytes(at, 63) {
                for (i, byte) in bytes.iter().enumerate() {
                    if let Some(word) = marked.get_mut(i / 8) {
                        *word |= u64::from(*byte) << (i % 8 * 8);
                    }
                }
            }
        }
        marked
    }

    /// `bits` bits at `at` as words; zero where the dump lacks them.
    fn bitmap(&self, at: Addr, bits: u64) -> Vec<u64> {
        let words = bits.div_ceil(64) as usize;
        let mut out = vec![0; words];
        let bytes = bits.div_ceil(8) as usize;
        if at.0 != 0
            && let Ok(data) = self.space.bytes(at, bytes)
        {
            for (i, byte) in data.iter().enumerate() {
                out[i / 8] |= u64::from(*byte) << (i % 8 * 8);
            }
        }
        out
    }
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
