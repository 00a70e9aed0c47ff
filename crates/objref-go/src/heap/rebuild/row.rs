//! Pages one behind the other, and how they are most likely divided.

use std::sync::atomic::Ordering;

use objref_mem::{Addr, AddressSpace};

use super::guess::{Guess, Keeps};
use super::likelihood::astray;
use super::targets::{Extent, Extents, Targets};
use super::{GROUPS, Surroundings, WORDS};
use crate::heap::arena::low_bits;
use crate::heap::classes::{CLASS_PAGES, SIZE_CLASSES};
use crate::heap::slots::{inline_class, inline_slots};
use crate::heap::span::PAGE;

/// A bit for each word of a page.
pub(super) type Bits = [u64; WORDS / 64];

/// Pages one behind the other.
pub(super) struct Row<'a> {
    start: u64,
    pub(super) pages: Vec<Page>,
    pub(super) extents: &'a Extents,
}

pub(super) struct Page {
    /// Words that something points to.
    pub(super) hits: Bits,
    /// Words that are not zero.
    pub(super) content: Bits,
    pub(super) frames: u64,
}

// Logarithms of how likely things are.
/// The first of some pages in a row that are in no span.
const FREE_RUN: f64 = -1.5;
/// One of these that is full of something.
const LEFT_OVER: f64 = -1.5;
/// A large object that ends where the slice does that somebody has of it, as against one that does not.
const TOLD: f64 = 6.0;

/// No span of small objects has more pages.
const MOST_PAGES: usize = {
    let (mut most, mut class) = (0, 0);
    while class < CLASS_PAGES.len() {
        if CLASS_PAGES[class] > most {
            most = CLASS_PAGES[class];
        }
        class += 1;
    }
    most as usize
};
/// How many pages with something that points to them one object may go on over.
const MAX_TOUCHED: usize = 3;
/// How many places are looked at where a large object may end.
const MAX_ENDS: usize = 16;

impl Row<'_> {
    pub(super) fn new<'a>(
        space: &AddressSpace,
        start: u64,
        targets: &[Targets],
        extents: &'a Extents,
    ) -> Row<'a> {
        let page = |(at, targets): (u64, &Targets)| {
            let mut content = Bits::default();
            if let Ok(bytes) = space.slice(Addr(at), PAGE as usize) {
                for (i, word) in bytes.chunks_exact(8).enumerate() {
                    content[i / 64] |= u64::from(word != [0; 8]) << (i % 64);
                }
            }
            Page {
                hits: std::array::from_fn(|i| targets.words[i].load(Ordering::Relaxed)),
                content,
                frames: targets.frames.load(Ordering::Relaxed),
            }
        };
        let pages = (start..).step_by(PAGE as usize).zip(targets).map(page);
        Row {
            start,
            pages: pages.collect(),
            extents,
        }
    }

    /// The most likely way to divide the pages into spans; pages that nothing points to are left out.
    pub(super) fn divide(&self, heap: &Surroundings<'_>) -> Vec<Guess> {
        let len = self.pages.len();
        // From each page on: how likely the best way is, and how it begins.
        let mut best: Vec<(f64, Option<Guess>)> = vec![(0.0, None); len + 1];
        // The same behind a page that is in no span.
        let mut behind = best.clone();
        for page in (0..len).rev() {
            let (unused, rest) = (self.unused(page), behind[page + 1].0);
            let span = self.span_at(heap, page, &best);
            let better = |none: f64| match span {
                Some((score, guess)) if score > none => (score, Some(guess)),
                _ => (none, None),
            };
            best[page] = better(FREE_RUN + unused + rest);
            behind[page] = better(unused + rest);
        }
        let (mut page, mut spans) = (0, Vec::new());
        let mut table = &best;
        while page < len {
            match table[page].1 {
                Some(guess) => {
                    page += guess.npages as usize;
                    spans.push(guess);
                    table = &best;
                }
                None => {
                    page += 1;
                    table = &behind;
                }
            }
        }
        spans
    }

    /// How likely it is that a page is in no span, as a logarithm.
    fn unused(&self, page: usize) -> f64 {
        let hits = f64::from(self.hits(page));
        let stray = astray(WORDS as f64);
        match &self.pages[page] {
            page if page.frames > 0 || page.content == Bits::default() => hits * stray,
            _ => LEFT_OVER + hits * stray,
        }
    }

    /// The most likely span that starts with a page, and how likely it is, with what is behind it as in `best`.
    fn span_at(
        &self,
        heap: &Surroundings<'_>,
        page: usize,
        best: &[(f64, Option<Guess>)],
    ) -> Option<(f64, Guess)> {
        let mut found: Option<(f64, Guess)> = None;
        self.spans_at(heap, page, |score, guess| {
            let score = score + best[page + guess.npages as usize].0;
            if found.is_none_or(|(best, _)| score > best) {
                found = Some((score, guess));
            }
        });
        found
    }

    /// The span of one page that a page says itself that it is: it ends with its class, or with a bitmap for slots of one word.
    /// That is made once and has all bits set, even for itself, which none of other slots has.
    // runtime/mbitmap.go: (*mspan).initHeapBits
    fn told(&self, heap: &Surroundings<'_>, page: usize) -> Option<Guess> {
        let &Surroundings { space, arenas, .. } = heap;
        let start = self.start + page as u64 * PAGE;
        let inline = inline_class(space, start).filter(|_| arenas.may_have_inline_marks());
        let (class, keeps, slots) = match inline {
            Some((class, noscan)) => {
                let slots =
                    inline_slots(SIZE_CLASSES[usize::from(class)], noscan, space.word_size());
                let keeps = if noscan {
                    Keeps::NoPointers
                } else {
                    Keeps::Inline
                };
                (class, keeps, slots)
            }
            None => {
                let bits = heap.bitmap(start).filter(|_| self.is_touched(page))?;
                if bits != [u64::MAX; WORDS / 64] {
                    return None;
                }
                (1, Keeps::Bits, heap.slots(SIZE_CLASSES[1], 1, Keeps::Bits))
            }
        };
        Some(Guess {
            start,
            npages: 1,
            class,
            keeps,
            slots,
        })
    }

    /// Calls `found` with the spans that may start with a page, and how likely each is by itself.
    pub(super) fn spans_at(
        &self,
        heap: &Surroundings<'_>,
        page: usize,
        mut found: impl FnMut(f64, Guess),
    ) {
        let len = self.pages.len();
        let start = self.start + page as u64 * PAGE;
        if let Some(guess) = self.told(heap, page) {
            found(0.0, guess);
            return;
        }
        if !(page..len.min(page + MOST_PAGES)).any(|page| self.is_touched(page)) {
            return;
        }
        let looks = heap.looks(start);
        let mut consider = |told: f64, guess: Guess| {
            let kept = match guess.keeps {
                Keeps::Bits => self.kept_bits(heap, page, &looks, &guess),
                Keeps::NoPointers => self.no_pointers(page, &looks, &guess),
                Keeps::Nothing => self.pointers(page, &looks, &guess),
                _ => 0.0,
            };
            let score = self.score(heap, page, &guess) + kept + told + heap.priors.of(&guess);
            found(score, guess);
        };
        for class in 1..SIZE_CLASSES.len() {
            let npages = usize::from(CLASS_PAGES[class]);
            let end = page + npages;
            if end > len || !(page..end).any(|page| self.is_touched(page)) {
                continue;
            }
            let size = SIZE_CLASSES[class];
            for keeps in heap.keeps(size) {
                let guess = Guess {
                    start,
                    npages: npages as u64,
                    class: class as u8,
                    keeps: *keeps,
                    slots: heap.slots(size, npages as u64, *keeps),
                };
                consider(0.0, guess);
            }
        }
        // What nothing leads to the start of is no object.
        if !self.is_touched(page) {
            return;
        }
        self.large_at(page, |npages, told| {
            for keeps in [Keeps::NoPointers, Keeps::Nothing] {
                let guess = Guess {
                    start,
                    npages: npages as u64,
                    class: 0,
                    keeps,
                    slots: 1,
                };
                consider(told, guess);
            }
        });
    }

    /// Calls `consider` with how many pages one large object from `page` on may have, and how much speaks for it beside:
    /// it ends where the row does, before a page that something points to, or where zeros begin.
    fn large_at(&self, page: usize, mut consider: impl FnMut(usize, f64)) {
        let len = self.pages.len();
        let (mut touched, mut seen) = (0, 0);
        // So far, if that is known, or at least, if it is a slice of bytes.
        let start = self.start + page as u64 * PAGE;
        let of = |what| self.extents.of(start, what);
        let size = of(Extent::Size).or(of(Extent::Capacity)).unwrap_or(0);
        let filled = page + size.div_ceil(PAGE) as usize;
        for end in page + 1..=len {
            let whole = end == filled;
            let ends = whole
                || end == len
                || self.is_touched(end)
                || self.is_zero(end) && !self.is_zero(end - 1);
            if ends && end > page + 4 {
                consider(end - page, if whole { TOLD } else { 0.0 });
                seen += 1;
            }
            touched += usize::from(end < len && self.is_touched(end));
            if touched > MAX_TOUCHED || seen == MAX_ENDS {
                break;
            }
        }
    }

    pub(super) fn hits(&self, page: usize) -> u32 {
        self.pages[page].hits.iter().map(|w| w.count_ones()).sum()
    }

    fn is_touched(&self, page: usize) -> bool {
        self.pages[page].hits != Bits::default()
    }

    pub(super) fn is_zero(&self, page: usize) -> bool {
        self.pages[page].content == Bits::default()
    }

    /// Whether one of `bits` is set of the words from `from` up to `to`, counted from the start of `page`.
    pub(super) fn any(&self, page: usize, from: u64, to: u64, bits: fn(&Page) -> &Bits) -> bool {
        let mut at = from;
        while at < to {
            let (word, skip) = (at / 64, at % 64);
            let take = (64 - skip).min(to - at);
            let group =
                bits(&self.pages[page + (word / GROUPS) as usize])[(word % GROUPS) as usize];
            if group >> skip & low_bits(take) != 0 {
                return true;
            }
            at += take;
        }
        false
    }
}
