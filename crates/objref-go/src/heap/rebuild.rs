//! Pages of the heap whose records are not in the dump: where objects in them start, by what points to them.
//!
//! A core that was cut short has the heap itself, which lies low, and often not the runtime's records of it, which lie
//! high. Some pages say themselves what is in them (see [`inline_class`]). Of the others it is found out how they are
//! most likely divided: nearly every pointer in the memory of a process leads to the start of an object, so that the
//! size of slots shows in where pointers lead. What nobody points to is in no span that is made up here: it is not live.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use objref_mem::{Addr, AddressSpace, RegionKind};
use rayon::prelude::*;

use super::arena::{Arenas, Scheme, low_bits};
use super::bits::{HEADER, max_in_span};
use super::classes::{CLASS_PAGES, SIZE_CLASSES};
use super::slots::{inline_class, inline_slots};
use super::span::{PAGE, RawSpan, SpanState, pieces};
use crate::module::AddrRange;

/// What is known of the heap beside its own tables, for when these are not in the dump.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    /// Addresses of objects.
    pub inside: Vec<u64>,
    /// Addresses most of which are of objects.
    pub pointed_to: Vec<u64>,
    /// The goroutines' stacks: their pages hold no objects.
    pub stacks: Vec<AddrRange>,
}

/// Words of a page.
const WORDS: usize = (PAGE / 8) as usize;
/// Groups of 64 words in a page.
const GROUPS: u64 = WORDS as u64 / 64;
/// Pages that are divided together.
const TOGETHER: usize = 1 << 13;

/// What points to a page.
#[derive(Debug, Default)]
struct Targets {
    /// A bit for each word that something points to.
    words: [AtomicU64; WORDS / 64],
    /// Whether something points between words: to a byte of a text.
    between: AtomicBool,
    /// The largest capacity of what looks like a slice that starts with the page.
    capacity: AtomicU64,
}

/// Spans for those pages of the heap that are in the dump and in none of the spans `known`, which ascend, or `manual`.
pub(super) fn rebuild(
    space: &AddressSpace,
    arenas: &Arenas,
    known: &[RawSpan],
    manual: Vec<(u64, u64)>,
    landmarks: Landmarks,
    sweepgen: u32,
) -> Vec<RawSpan> {
    let of = |s: &RawSpan| (s.start, s.start + s.npages * PAGE);
    let inside = known.iter().map(|s| s.start).chain(landmarks.inside);
    let ranges = ranges(space, inside.collect(), landmarks.pointed_to);
    let mut taken: Vec<(u64, u64)> = known.iter().map(of).chain(manual).collect();
    // The pages of a stack are all its own: runtime/stack.go.
    let stacks = landmarks.stacks.iter().filter(|s| !s.is_empty());
    taken.extend(stacks.map(|s| (s.start.0 / PAGE * PAGE, s.end.0.next_multiple_of(PAGE))));
    taken.sort_unstable();
    let pages = free_pages(space, &ranges, &taken);
    let targets = targets(space, &ranges, &pages);
    let heap = Surroundings {
        space,
        arenas,
        constant: constant(space),
    };
    let divide = |(pages, targets): (&[u64], &[Targets])| {
        let mut spans = Vec::new();
        let mut at = 0;
        while at < pages.len() {
            let next = pages[at..].windows(2).position(|p| p[0] + PAGE != p[1]);
            let end = next.map_or(pages.len(), |n| at + n + 1);
            let row = Row::new(space, pages[at], &targets[at..end]);
            spans.extend(row.divide(&heap));
            at = end;
        }
        spans
    };
    let groups = pages.par_chunks(TOGETHER).zip(targets.par_chunks(TOGETHER));
    let guesses = groups.flat_map_iter(divide);
    guesses.map(|guess| guess.span(sweepgen)).collect()
}

/// What is the same for all pages.
struct Surroundings<'a> {
    space: &'a AddressSpace,
    arenas: &'a Arenas,
    /// Memory that the process could not write, types among it: (first address, one past the last), ascending.
    constant: Vec<(u64, u64)>,
}

impl Surroundings<'_> {
    /// Whether an object at `slot` may begin with its type.
    fn has_header(&self, slot: u64) -> bool {
        let Ok(ty) = self.space.word(Addr(slot)) else {
            return false;
        };
        let after = self.constant.partition_point(|r| r.0 <= ty);
        self.constant[..after].last().is_some_and(|r| ty < r.1)
    }
}

fn constant(space: &AddressSpace) -> Vec<(u64, u64)> {
    let constant = space
        .regions()
        .filter(|r| !r.flags.writable() && !r.flags.none());
    constant
        .map(|r| (r.start.0, r.start.0.saturating_add(r.len)))
        .collect()
}

/// The stretches of writable memory in which something of the heap lies, as (first address, one past the last).
fn ranges(space: &AddressSpace, mut inside: Vec<u64>, mut pointed_to: Vec<u64>) -> Vec<(u64, u64)> {
    inside.sort_unstable();
    pointed_to.sort_unstable();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for region in space.regions().filter(|r| r.flags.writable()) {
        let end = region.start.0.saturating_add(region.len);
        match ranges.last_mut() {
            Some(last) if last.1 == region.start.0 => last.1 = end,
            _ => ranges.push((region.start.0, end)),
        }
    }
    let count = |places: &[u64], &(start, end): &(u64, u64)| {
        places.partition_point(|a| *a < end) - places.partition_point(|a| *a < start)
    };
    // Where nearly nothing is left of the heap, it is where most variables point to.
    let most = ranges
        .iter()
        .copied()
        .max_by_key(|range| count(&pointed_to, range));
    ranges.retain(|range| count(&inside, range) > 0);
    match most {
        Some(most) if ranges.is_empty() && count(&pointed_to, &most) > 0 => vec![most],
        _ => ranges,
    }
}

/// The pages in `ranges` that the dump has and nothing in `taken` covers, ascending.
fn free_pages(space: &AddressSpace, ranges: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<u64> {
    let mut pages = Vec::new();
    let mut next_taken = 0;
    for region in space.regions().filter(|r| r.kind == RegionKind::Core) {
        let (start, end) = (region.start.0, region.start.0.saturating_add(region.len));
        let inside = ranges.partition_point(|r| r.1 <= start);
        if ranges.get(inside).is_none_or(|r| r.0 > start) {
            continue;
        }
        let mut page = start.next_multiple_of(PAGE);
        while page + PAGE <= end {
            while taken.get(next_taken).is_some_and(|t| t.1 <= page) {
                next_taken += 1;
            }
            match taken.get(next_taken) {
                Some(t) if t.0 < page + PAGE => page = t.1.max(page + PAGE),
                _ => {
                    pages.push(page);
                    page += PAGE;
                }
            }
            page = page.next_multiple_of(PAGE);
        }
    }
    pages
}

/// Which words of `pages` something in the memory of the dump points to.
fn targets(space: &AddressSpace, ranges: &[(u64, u64)], pages: &[u64]) -> Vec<Targets> {
    let targets: Vec<Targets> = pages.iter().map(|_| Targets::default()).collect();
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return targets;
    };
    pieces(space).into_par_iter().for_each(|(_, bytes)| {
        let word_at = |i: usize| {
            space
                .encoding()
                .words(&bytes[i.min(bytes.len())..])
                .next()
                .unwrap_or(0)
        };
        for (i, value) in space.encoding().words(bytes).enumerate() {
            if (first.0..last.1).contains(&value)
                && let Ok(page) = pages.binary_search(&(value / PAGE * PAGE))
            {
                let word = (value % PAGE / 8) as usize;
                let target = &targets[page];
                target.words[word / 64].fetch_or(1 << (word % 64), Ordering::Relaxed);
                let next = (i + 1) * space.word_size() as usize;
                if value % PAGE == 0
                    && let (len, capacity) = (word_at(next), word_at(next + 8))
                    && len <= capacity
                    && capacity < last.1 - first.0
                {
                    target.capacity.fetch_max(capacity, Ordering::Relaxed);
                }
                if value % 8 != 0 {
                    target.between.store(true, Ordering::Relaxed);
                }
            }
        }
    });
    targets
}

/// A span that nobody has a record of.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Guess {
    start: u64,
    npages: u64,
    /// The size class; 0 for one object that fills the pages.
    class: u8,
    noscan: bool,
    /// Where in a slot pointers to it lead: behind its header, if there is one.
    start_of_data: u64,
    slots: u64,
}

impl Guess {
    fn span(self, sweepgen: u32) -> RawSpan {
        let class = usize::from(self.class);
        RawSpan {
            at: Addr(0),
            state: SpanState::InUse,
            start: self.start,
            npages: self.npages,
            freeindex: self.slots,
            freeindex_for_scan: None,
            nelems: self.slots,
            alloc_bits: Addr(0),
            gcmark_bits: Addr(0),
            sweepgen,
            alloc_count: self.slots,
            spanclass: self.class << 1 | u8::from(self.noscan),
            elem_size: match class {
                0 => self.npages * PAGE,
                class => SIZE_CLASSES[class],
            },
            specials: Addr(0),
            large_type: Addr(0),
            user_arena: false,
            has_headers: self.start_of_data > 0,
        }
    }
}

/// A bit for each word of a page.
type Bits = [u64; WORDS / 64];

/// Pages one behind the other.
struct Row {
    start: u64,
    pages: Vec<Page>,
}

struct Page {
    /// Words that something points to.
    hits: Bits,
    /// Words that are not zero.
    content: Bits,
    between: bool,
    capacity: u64,
}

/// The logarithm of how likely something that looks like a pointer leads into the middle of an object, and to a given word
/// there.
fn astray(words: f64) -> f64 {
    (0.03 / words).ln()
}

// Logarithms of how likely things are.
/// A page that is full of something and in no object.
const LEFT_OVER: f64 = -3.0;
/// An object that is all zero.
const EMPTY_OBJECT: f64 = -3.5;
/// An object that ends with zeros.
const EMPTY_END: f64 = -0.5;
/// A free slot with something in it; with nothing.
const USED_BEFORE: f64 = -1.2;
const NEVER_USED: f64 = -0.36;
/// A large object that ends where the slice does that somebody has of it, as against one that does not.
const TOLD: f64 = 6.0;
/// A span of several pages.
const SEVERAL: f64 = -1.0;
/// How many pages with something that points to them one object may go on over.
const MAX_TOUCHED: usize = 3;

impl Row {
    fn new(space: &AddressSpace, start: u64, targets: &[Targets]) -> Row {
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
                between: targets.between.load(Ordering::Relaxed),
                capacity: targets.capacity.load(Ordering::Relaxed),
            }
        };
        let pages = (start..).step_by(PAGE as usize).zip(targets).map(page);
        Row {
            start,
            pages: pages.collect(),
        }
    }

    /// The most likely way to divide the pages into spans; pages that nothing points to are left out.
    fn divide(&self, heap: &Surroundings<'_>) -> Vec<Guess> {
        let &Surroundings { space, arenas, .. } = heap;
        let headers = arenas.scheme == Scheme::PerObject;
        let len = self.pages.len();
        // From each page on: how likely the best way is, and how it begins.
        let mut best: Vec<(f64, Option<Guess>)> = vec![(0.0, None); len + 1];
        for page in (0..len).rev() {
            let start = self.start + page as u64 * PAGE;
            if arenas.may_have_inline_marks()
                && let Some((class, noscan)) = inline_class(space, start)
            {
                let size = SIZE_CLASSES[usize::from(class)];
                let slots = inline_slots(size, noscan, space.word_size());
                let guess = Guess {
                    start,
                    npages: 1,
                    class,
                    noscan,
                    start_of_data: 0,
                    slots,
                };
                best[page] = (best[page + 1].0, Some(guess));
                continue;
            }
            let nothing = if self.is_zero(page) { 0.0 } else { LEFT_OVER };
            if !self.is_touched(page) {
                best[page] = (nothing + best[page + 1].0, None);
                continue;
            }
            let mut found = (f64::NEG_INFINITY, None);
            for class in 1..SIZE_CLASSES.len() {
                let npages = usize::from(CLASS_PAGES[class]);
                if page + npages > len {
                    continue;
                }
                let size = SIZE_CLASSES[class];
                let large = headers && size > max_in_span(space.word_size());
                for start_of_data in [0, HEADER].into_iter().take(1 + usize::from(large)) {
                    let guess = Guess {
                        start,
                        npages: npages as u64,
                        class: class as u8,
                        noscan: false,
                        start_of_data,
                        slots: npages as u64 * PAGE / size,
                    };
                    let score = self.score(heap, page, &guess) + best[page + npages].0;
                    if score > found.0 {
                        found = (score, Some(guess));
                    }
                }
            }
            // One large object, up to a page that something points to, but not over pages of zeros.
            let mut touched = 0;
            // So far at least, if it is a slice of bytes.
            let filled = page + self.pages[page].capacity.div_ceil(PAGE) as usize;
            for npages in 1..=len - page {
                let end = page + npages;
                let whole = end == filled;
                let ends = whole || end == len || self.is_touched(end) || self.is_zero(end);
                if ends && npages > 4 {
                    let guess = Guess {
                        start,
                        npages: npages as u64,
                        class: 0,
                        noscan: false,
                        start_of_data: 0,
                        slots: 1,
                    };
                    let told = if whole { TOLD } else { 0.0 };
                    let score = self.score(heap, page, &guess) + told + best[end].0;
                    if score > found.0 {
                        found = (score, Some(guess));
                    }
                }
                touched += usize::from(end < len && self.is_touched(end));
                if touched > MAX_TOUCHED || end < len && self.is_zero(end) && end >= filled {
                    break;
                }
            }
            best[page] = found;
        }
        let (mut page, mut spans) = (0, Vec::new());
        while page < len {
            match best[page].1 {
                Some(guess) => {
                    page += guess.npages as usize;
                    spans.push(guess);
                }
                None => page += 1,
            }
        }
        spans
    }

    fn is_touched(&self, page: usize) -> bool {
        self.pages[page].hits != Bits::default()
    }

    fn is_zero(&self, page: usize) -> bool {
        self.pages[page].content == Bits::default()
    }

    /// Whether one of `bits` is set of the words from `from` up to `to`, counted from the start of `page`.
    fn any(&self, page: usize, from: u64, to: u64, bits: fn(&Page) -> &Bits) -> bool {
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

    /// The logarithm of how likely the span from `page` on is as it is guessed: as many of its slots in use as may be, and
    /// any of them.
    fn score(&self, heap: &Surroundings<'_>, page: usize, guess: &Guess) -> f64 {
        let npages = guess.npages as usize;
        let pages = &self.pages[page..page + npages];
        let words = guess.span(0).elem_size / 8;
        let ones = |page: &Page| page.hits.iter().map(|w| w.count_ones()).sum::<u32>();
        let hits: u32 = pages.iter().map(ones).sum();
        // Small texts share a slot of two words.
        let shared = words == 2 && pages[0].between;
        let (mut starts, mut inside, mut score) = (0, 0, 0.0);
        for slot in 0..guess.slots {
            let (from, to) = (slot * words, (slot + 1) * words);
            let start = from + guess.start_of_data / 8;
            let hit = self.any(page, start, start + 1, |p| &p.hits)
                && (guess.start_of_data == 0 || heap.has_header(guess.start + from * 8));
            let second = shared && self.any(page, start + 1, start + 2, |p| &p.hits);
            starts += u32::from(hit || second);
            inside += u32::from(hit) + u32::from(second);
            let empty = !self.any(page, from, to, |p| &p.content);
            score += match hit || second {
                true if empty => EMPTY_OBJECT,
                true if words > 8 && !self.any(page, to - words / 4, to, |p| &p.content) => {
                    EMPTY_END
                }
                true => 0.0,
                false if empty => NEVER_USED,
                false => USED_BEFORE,
            };
        }
        let slots = guess.slots as f64;
        let several = if npages > 1 { SEVERAL } else { 0.0 };
        f64::from(hits - inside) * astray(npages as f64 * WORDS as f64)
            - choose(slots, f64::from(starts))
            - (slots + 1.0).ln()
            + several
            + score
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
