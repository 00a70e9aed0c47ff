//! Pages of the heap whose records are not in the dump: where objects in them start, by what points to them.
//!
//! A core that was cut short has the heap itself, which lies low, and often not the runtime's records of it, which lie
//! high. Some pages say themselves what is in them (see [`super::slots::inline_class`]). Of the others it is found out how
//! they are most likely divided. Nearly every pointer in the memory of a process leads to the start of an object, so that
//! the size of slots shows in where pointers lead. From Go 1.22 on it shows, too, in bitmaps at the end of pages and in
//! types at the start of slots, which then also tell where pointers are. How many slots there are of each size, the runtime
//! counts in variables. What nobody points to is in no span that is made up here: it is not live.

mod census;
mod guess;
mod likelihood;
mod maps;
mod row;
mod targets;
mod workbuf;

use std::ops::Range;

use objref_mem::{Addr, AddressSpace, Permissions, Region, RegionKind};
use rayon::prelude::*;

use super::arena::{Arenas, Scheme};
use super::bits::max_in_span;
use super::classes::SIZE_CLASSES;
use super::span::{PAGE, RawSpan};
use crate::module::AddrRange;
use crate::rtype::RuntimeTypes;
pub use census::Census;
use census::Priors;
use guess::{Guess, Keeps};
use row::{Bits, Row};
use targets::{Targets, targets};
use workbuf::is_work;

/// What is known of the heap beside its own tables, for when these are not in the dump.
#[derive(Clone, Debug, Default)]
pub struct Landmarks {
    /// Addresses of objects.
    pub inside: Vec<u64>,
    /// Addresses most of which are of objects.
    pub pointed_to: Vec<u64>,
    /// The goroutines' stacks: their pages hold no objects.
    pub stacks: Vec<AddrRange>,
    /// Size of a goroutine's descriptor, or 0.
    pub descriptor: u64,
    /// Objects whose sizes are known: where they are, and how many bytes they have.
    pub sized: Vec<(u64, u64)>,
    /// Where code is.
    pub text: Vec<AddrRange>,
    /// What the allocator counted.
    pub census: Census,
}

/// Words of a page.
const WORDS: usize = (PAGE / 8) as usize;
/// Groups of 64 words in a page.
const GROUPS: u64 = WORDS as u64 / 64;
/// No stack is larger.
// runtime/proc.go: main: maxstackceiling = 2 * maxstacksize
const MAX_STACK: u64 = 2_000_000_000;
/// Pages that are divided together.
const TOGETHER: usize = 1 << 13;

/// Spans for those pages of the heap that are in the dump and in none of the spans `known`, which ascend, or `manual`.
pub(super) fn rebuild(
    space: &AddressSpace,
    types: &RuntimeTypes,
    arenas: &Arenas,
    known: &[&RawSpan],
    manual: Vec<(u64, u64)>,
    landmarks: Landmarks,
    sweepgen: u32,
) -> Vec<RawSpan> {
    let of = |s: &&RawSpan| (s.start, s.start + s.bytes());
    let inside = known.iter().map(|s| s.start).chain(landmarks.inside);
    let ranges = ranges(space, inside.collect(), landmarks.pointed_to);
    let mut taken: Vec<(u64, u64)> = known.iter().map(of).chain(manual).collect();
    // The pages of a stack are all its own: runtime/stack.go.
    let described = targets::stacks(space, &ranges);
    // Where the dump lacks descriptors, what is read may be something else.
    let stacks = landmarks.stacks.iter();
    let stacks = stacks.filter(|s| !s.is_empty() && s.len() <= MAX_STACK);
    let stacks = stacks.map(|s| (s.start.0, s.end.0));
    let stacks = stacks.chain(described.iter().map(|s| (s.1, s.2)));
    taken.extend(stacks.map(|s| (s.0 / PAGE * PAGE, up(s.1, PAGE))));
    taken.sort_unstable();
    let around = ranges.first().map_or(0, |r| r.0)
        ..ranges
            .last()
            .map_or(0, |r| up(r.1, 1 << space.arch().arena_shift()));
    let mut pages = free_pages(space, &ranges, &taken);
    pages.retain(|page| !is_work(space, &around, *page));
    // Larger ones are damage.
    let largest = SIZE_CLASSES[SIZE_CLASSES.len() - 1];
    let descriptors = described.iter().map(|s| (s.0, landmarks.descriptor));
    let sized = descriptors
        .chain(landmarks.sized)
        .filter(|d| d.0 < around.end && (1..=largest).contains(&d.1));
    let mapped = stretches(space, |flags| !flags.none());
    let text = &landmarks.text;
    let (targets, extents) = targets(space, &ranges, text, &mapped, &pages, sized);
    let heap = Surroundings {
        space,
        types,
        arenas,
        constant: stretches(space, |flags| !flags.writable() && !flags.none()),
        mapped,
        heap: around,
        priors: Priors::new(&landmarks.census, known),
    };
    let divide = |(pages, targets): (&[u64], &[Targets])| {
        let mut spans = Vec::new();
        let mut at = 0;
        while at < pages.len() {
            let next = pages[at..].windows(2).position(|p| p[0] + PAGE != p[1]);
            let end = next.map_or(pages.len(), |n| at + n + 1);
            let row = Row::new(space, pages[at], &targets[at..end], &extents);
            spans.extend(row.divide(&heap));
            at = end;
        }
        spans
    };
    let groups = pages.par_chunks(TOGETHER).zip(targets.par_chunks(TOGETHER));
    let mut guesses: Vec<Guess> = groups.flat_map_iter(divide).collect();
    heap.priors.settle(&mut guesses, |guess| {
        let at = pages.partition_point(|page| *page < guess.start);
        let row = Row::new(space, guess.start, &targets[at..=at], &extents);
        let mut others = Vec::new();
        row.spans_at(&heap, 0, |score, other| others.push((score, other)));
        (others, row.is_zero(0))
    });
    guesses
        .into_iter()
        .map(|guess| guess.span(sweepgen))
        .collect()
}

/// What a word looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Zero,
    /// It leads into the heap.
    Heap,
    /// It leads to other memory: code, types, variables, constant texts.
    Elsewhere,
    /// It is a number.
    Number,
}

/// The looks of a page's words.
type Looks = [Look; WORDS];

/// What is the same for all pages.
struct Surroundings<'a> {
    space: &'a AddressSpace,
    types: &'a RuntimeTypes,
    arenas: &'a Arenas,
    /// Memory that the process could not write, types among it: (first address, one past the last), ascending.
    constant: Vec<(u64, u64)>,
    /// All memory, in the same form.
    mapped: Vec<(u64, u64)>,
    /// Where the heap is.
    heap: Range<u64>,
    priors: Priors,
}

impl Surroundings<'_> {
    fn is_constant(&self, addr: u64) -> bool {
        covers(&self.constant, addr)
    }

    /// The size of the type, or of the elements' if it is an array, that an object in `slot` may begin with.
    fn header(&self, slot: u64) -> Option<u64> {
        let ty = self.space.word(Addr(slot)).ok()?;
        let ty = self
            .is_constant(ty)
            .then(|| self.types.read(self.space, Addr(ty)))??;
        (ty.ptr_bytes > 0).then_some(ty.size)
    }

    /// Where slots of `size` bytes may keep which words are pointers.
    fn keeps(&self, size: u64) -> &'static [Keeps] {
        // What is looked at is the same where words are of 32 bits, but bitmaps and numbers are not.
        let wide = self.space.word_size() == 8;
        match self.arenas.scheme {
            Scheme::PerObject if !wide => &[Keeps::Nothing],
            Scheme::PerObject if size <= max_in_span(self.space.word_size()) => {
                &[Keeps::NoPointers, Keeps::Bits]
            }
            Scheme::PerObject => &[Keeps::NoPointers, Keeps::Types],
            _ => &[Keeps::NoPointers, Keeps::Nothing],
        }
    }

    /// How many slots of `size` bytes there are in so many pages.
    // runtime/mheap.go: (*mheap).initSpan
    fn slots(&self, size: u64, npages: u64, keeps: Keeps) -> u64 {
        let bits = match keeps {
            Keeps::Bits => PAGE / self.space.word_size() / 8,
            _ => 0,
        };
        (npages * PAGE - bits) / size
    }

    /// What the page at `start` ends with, if objects in it can have a bitmap there.
    fn bitmap(&self, start: u64) -> Option<Bits> {
        let at = Addr(start + PAGE - PAGE / 64);
        let bytes = self.space.slice(at, (PAGE / 64) as usize).ok();
        let bytes = bytes.filter(|_| self.keeps(PAGE / 64).contains(&Keeps::Bits))?;
        let mut words = self.space.encoding().words(bytes);
        Some(std::array::from_fn(|_| words.next().unwrap_or(0)))
    }

    /// What the words of `page` look like.
    fn looks(&self, page: u64) -> Looks {
        let mut looks = [Look::Zero; WORDS];
        if let Ok(bytes) = self.space.slice(Addr(page), PAGE as usize) {
            for (look, word) in looks.iter_mut().zip(self.space.encoding().words(bytes)) {
                *look = match word {
                    0 => Look::Zero,
                    _ if self.heap.contains(&word) => Look::Heap,
                    _ if covers(&self.mapped, word) => Look::Elsewhere,
                    _ => Look::Number,
                };
            }
        }
        looks
    }
}

/// The next multiple of `unit`.
fn up(addr: u64, unit: u64) -> u64 {
    addr.checked_next_multiple_of(unit).unwrap_or(u64::MAX)
}

/// Whether one of `stretches`, which ascend, covers `addr`.
fn covers(stretches: &[(u64, u64)], addr: u64) -> bool {
    let after = stretches.partition_point(|r| r.0 <= addr);
    stretches[..after].last().is_some_and(|r| addr < r.1)
}

/// Where the memory of the process is that is of a kind, as (first address, one past the last), ascending.
fn stretches(space: &AddressSpace, of: fn(Permissions) -> bool) -> Vec<(u64, u64)> {
    let stretch = |r: Region| (r.start.0, r.start.0.saturating_add(r.len));
    space
        .regions()
        .filter(|r| of(r.flags))
        .map(stretch)
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
