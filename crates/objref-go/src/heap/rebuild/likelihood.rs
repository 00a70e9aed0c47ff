//! How likely it is that pages are one span of a kind, by what points to them and by what is in them.

use super::guess::{Guess, Keeps};
use super::row::Row;
use super::targets::Extent;
use super::{Look, Looks, Surroundings, WORDS};
use crate::heap::bits::HEADER;
use crate::heap::classes::fills_slot;

/// The logarithm of how likely something that looks like a pointer leads into the middle of an object, and to a given word
/// there.
pub(super) fn astray(words: f64) -> f64 {
    (0.03 / words).ln()
}

// Logarithms of how likely things are.
/// A pointer into the middle of an object, to where in another one leads, too: to a field.
const REPEATED: f64 = -2.5;
/// An object that is all zero.
const EMPTY_OBJECT: f64 = -3.5;
/// An object that ends with zeros.
const EMPTY_END: f64 = -0.5;
/// What looks like the end of a frame, in objects.
const FRAME: f64 = -6.0;
/// An object that is too short for the slice that somebody has of it.
const TOO_SHORT: f64 = -2.0;
/// An object of zeros that a slice of bytes fills: a buffer.
const FILLED: f64 = 6.0;
/// A slot as large as what is in it needs, as against any.
const TYPE_FITS: f64 = 3.0;
/// A slot that is smaller, or of another class.
const TOO_LARGE: f64 = -10.0;
/// A free slot that starts with a type, of elements perhaps; a slot in use that is larger than its type: an array.
const TYPE: f64 = 2.0;
const MAYBE_ARRAY: f64 = 0.0;
/// A free slot with something in it that is no type, where slots have one.
const NO_TYPE: f64 = -1.5;
/// What looks like a pointer, where there is none: in an object, and in a free slot, which may be of another time.
const POINTER_IN_NONE: f64 = -3.0;
const POINTER_IN_FREE: f64 = -0.3;
/// More of the latter say no more.
const MAX_OLD: u32 = 100;
/// A page that ends with a bitmap that fits.
const BITS: f64 = 4.0;
/// A number where the bitmap has a pointer; an object without any.
const NO_POINTER: f64 = -4.0;
const NO_BITS: f64 = -4.0;
/// An object with something in it, but without what looks like a pointer, where objects have some: they are nil.
const ALL_NIL: f64 = -2.0;
/// A slot with what looks like a pointer, but is none by the bitmap.
const NOT_MARKED: f64 = -1.5;

impl Row<'_> {
    /// The logarithm of how likely the span from `page` on is as it is guessed.
    pub(super) fn score(&self, heap: &Surroundings<'_>, page: usize, guess: &Guess) -> f64 {
        let pages = &self.pages[page..page + guess.npages as usize];
        let frames: u64 = pages.iter().map(|page| page.frames).sum();
        let slots: f64 = (0..guess.slots)
            .map(|slot| self.slot(heap, page, guess, slot))
            .sum();
        self.fields(page, guess) + slots + frames as f64 * FRAME
    }

    /// The same for where pointers lead in slots. To the start of each or not, and hardly anywhere else, but for some fields:
    /// then it is the same ones in many slots.
    pub(super) fn fields(&self, page: usize, guess: &Guess) -> f64 {
        let words = guess.words() as usize;
        let npages = guess.npages as usize;
        let end = words * guess.slots as usize;
        let stray = astray((npages * WORDS) as f64);
        if guess.slots == 1 {
            let start = guess.start_of_data() / 8;
            let start = u32::from(self.any(page, start, start + 1, |p| &p.hits));
            let all: u32 = (page..page + npages).map(|page| self.hits(page)).sum();
            return f64::from(all - start) * stray - 2f64.ln();
        }
        let mut counts = vec![0u32; words.min(end)];
        let mut behind = 0;
        for (i, page) in self.pages[page..page + npages].iter().enumerate() {
            for (j, word) in page.hits.iter().enumerate() {
                let mut word = *word;
                while word != 0 {
                    let at = i * WORDS + j * 64 + word.trailing_zeros() as usize;
                    word &= word - 1;
                    match at < end {
                        true => counts[at % words] += 1,
                        false => behind += 1,
                    }
                }
            }
        }
        let slots = guess.slots as f64;
        let some = |n: u32| -choose(slots, f64::from(n)) - (slots + 1.0).ln();
        let start = (guess.start_of_data() / 8) as usize;
        let mut score = some(counts[start.min(counts.len() - 1)]) + f64::from(behind) * stray;
        for (i, n) in counts.iter().enumerate() {
            if *n > 0 && i != start {
                score += (f64::from(*n - 1) * REPEATED + astray(words as f64))
                    .max(f64::from(*n) * stray);
            }
        }
        score
    }

    /// The same for what is in a slot, and what is told of its size.
    fn slot(&self, heap: &Surroundings<'_>, page: usize, guess: &Guess, slot: u64) -> f64 {
        let words = guess.words();
        let (from, to) = (slot * words, (slot + 1) * words);
        let start = from + guess.start_of_data() / 8;
        let hit = self.any(page, start, start + 1, |p| &p.hits);
        let empty = !self.any(page, from, to, |p| &p.content);
        let mut score = match hit {
            true if empty => EMPTY_OBJECT,
            true if words > 8 && !self.any(page, to - words / 4, to, |p| &p.content) => EMPTY_END,
            _ => 0.0,
        };
        let at = guess.start + start * 8;
        let capacity = self.extents.of(at, Extent::Capacity);
        if guess.keeps == Keeps::Types && !empty {
            let fits =
                |size: u64| fills_slot(size.saturating_add(HEADER), words * 8, guess.class, false);
            score += match (heap.header(guess.start + from * 8), hit) {
                (Some(size), _) if size > words * 8 - HEADER => TOO_LARGE,
                (Some(size), true)
                    if fits(size) || capacity.is_some_and(|n| fits(size.saturating_mul(n))) =>
                {
                    TYPE_FITS
                }
                (Some(size), false) if fits(size) => TYPE_FITS,
                (Some(_), true) => MAYBE_ARRAY,
                (Some(_), false) => TYPE,
                (None, true) => astray(WORDS as f64),
                (None, false) => NO_TYPE,
            };
        } else if hit {
            score += match capacity {
                Some(n) if n > words * 8 => TOO_SHORT,
                Some(n) if n == words * 8 && empty => FILLED,
                _ => 0.0,
            };
        }
        let least = self.extents.of(at, Extent::AtLeast);
        if hit && least.is_some_and(|size| size > words * 8) {
            score += TOO_LARGE;
        }
        if hit && let Some(size) = self.extents.of(at, Extent::Size) {
            let size = size.saturating_add(guess.start_of_data());
            score += match fills_slot(size, words * 8, guess.class, false) {
                true => TYPE_FITS,
                false => TOO_LARGE,
            };
        }
        score
    }

    /// How well what is in a page fits objects without pointers: what looks like one in an object that something points to
    /// hardly is none.
    pub(super) fn no_pointers(&self, page: usize, looks: &Looks, guess: &Guess) -> f64 {
        let words = guess.words() as usize;
        let (mut inside, mut others) = (0u32, 0u32);
        for (slot, looks) in looks.chunks(words).enumerate() {
            let pointers = looks.iter().filter(|look| **look == Look::Heap).count() as u32;
            let from = (slot * words) as u64;
            match self.any(page, from, from + looks.len() as u64, |p| &p.hits) {
                true => inside += pointers,
                false => others += pointers,
            }
        }
        f64::from(inside) * POINTER_IN_NONE + f64::from(others.min(MAX_OLD)) * POINTER_IN_FREE
    }

    /// The same for objects with pointers.
    pub(super) fn pointers(&self, page: usize, looks: &Looks, guess: &Guess) -> f64 {
        let words = guess.words() as usize;
        let slots = looks.chunks(words).enumerate();
        let without = slots.filter(|(slot, looks)| {
            let from = (slot * words) as u64;
            let is_pointer = |look: &Look| matches!(look, Look::Heap | Look::Elsewhere);
            !looks.iter().any(is_pointer)
                && looks.contains(&Look::Number)
                && self.any(page, from, from + looks.len() as u64, |p| &p.hits)
        });
        without.count() as f64 * ALL_NIL
    }

    /// How well the bitmap at the end of a page fits slots as they are guessed, as a logarithm: each object has pointers, or
    /// it would be elsewhere, and what the bitmap calls pointers are some.
    // runtime/mbitmap.go: heapBitsInSpan
    pub(super) fn kept_bits(
        &self,
        heap: &Surroundings<'_>,
        page: usize,
        looks: &Looks,
        guess: &Guess,
    ) -> f64 {
        let words = guess.words() as usize;
        // See `told`.
        let Some(bits) = heap.bitmap(guess.start).filter(|_| words > 1) else {
            return f64::NEG_INFINITY;
        };
        let is_set = |i: usize| bits[i / 64] >> (i % 64) & 1 != 0;
        let mut score = 0.0;
        for slot in 0..guess.slots as usize {
            let (mut any, mut unmarked) = (false, false);
            for (i, look) in looks.iter().enumerate().skip(slot * words).take(words) {
                match (is_set(i), look) {
                    (true, Look::Number) => score += NO_POINTER,
                    (true, _) => any = true,
                    (false, Look::Heap) => unmarked = true,
                    (false, _) => {}
                }
            }
            score += f64::from(u8::from(unmarked)) * NOT_MARKED;
            let start = (slot * words) as u64;
            if !any && self.any(page, start, start + 1, |p| &p.hits) {
                score += NO_BITS;
            }
        }
        let behind = guess.slots as usize * words..WORDS;
        score + behind.filter(|i| is_set(*i)).count() as f64 * NO_POINTER + BITS
    }
}

/// The logarithm of the number of ways to take `k` of `n`.
fn choose(n: f64, k: f64) -> f64 {
    let factorial = |n: f64| match n {
        n if n < 1.5 => 0.0,
        // Stirling
        n => n * n.ln() - n + 0.5 * (2.0 * std::f64::consts::PI * n).ln() + 1.0 / (12.0 * n),
    };
    factorial(n) - factorial(k) - factorial(n - k)
}
