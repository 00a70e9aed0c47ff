//! What the memory of the dump tells of pages: where pointers lead, what is told of what is there, and where stacks are.

use std::sync::atomic::{AtomicU64, Ordering};

use objref_mem::{Addr, AddressSpace};
use rayon::prelude::*;

use super::maps::Map;
use super::{WORDS, covers};
use crate::heap::span::{PAGE, pieces};
use crate::module::AddrRange;

/// What points to a page.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// A bit for each word that something points to.
    pub(super) words: [AtomicU64; WORDS / 64],
    /// How many words in it look like the end of a frame: where the frame above has its own, and where to return to.
    pub(super) frames: AtomicU64,
}

/// A frame is smaller.
const MAX_FRAME: u64 = 1 << 16;
/// The smallest stack, and the largest.
// runtime/stack.go: stackMin; runtime/proc.go: maxstacksize
const STACKS: std::ops::RangeInclusive<u64> = 1 << 11..=1 << 30;
/// How far a stack's guard is from its end: by release, and by how much room the compiler was told to leave.
// runtime/stack.go: stackGuard; internal/runtime/sys: StackGuardMultiplier
const GUARDS: [u64; 5] = [928, 1728, 1856, 2528, 2784];
/// No slice has more elements, as far as is looked at.
const MAX_CAPACITY: u64 = 1 << 32;

/// The stack whose ends are the first two of the words, if it is one: they are what a goroutine's descriptor begins
/// with, and one of its two guards comes next.
// runtime/runtime2.go: g{stack{lo, hi}, stackguard0, stackguard1, …}
fn stack([lo, hi, first, second]: [u64; 4]) -> Option<(u64, u64)> {
    let size = hi.wrapping_sub(lo);
    let is_guard = |guard: u64| GUARDS.contains(&guard.wrapping_sub(lo));
    let sound = size.is_power_of_two()
        && STACKS.contains(&size)
        && lo.is_multiple_of(*STACKS.start())
        && (is_guard(first) || is_guard(second));
    sound.then_some((lo, hi))
}

/// The capacity of a slice that has these words behind its address, if it is one. What is an address is not meant: behind a
/// text stands anything.
fn capacity(len: u64, capacity: u64, mapped: &[(u64, u64)]) -> Option<u64> {
    let sound = len <= capacity && (1..MAX_CAPACITY).contains(&capacity);
    (sound && !covers(mapped, capacity)).then_some(capacity)
}

/// Whether a map's table has `state` as its first word and `mask` behind its groups, each of which has eight cells.
// internal/runtime/maps/table.go: table{used, capacity, growthLeft uint16, localDepth uint8, index int, groups}; group.go:
// groupsReference{data, lengthMask}
fn is_table(state: u64, mask: u64) -> bool {
    let [used, capacity, left] = [0, 16, 32].map(|shift| state >> shift & 0xffff);
    let groups = mask.wrapping_add(1);
    groups.is_power_of_two() && groups.checked_mul(8) == Some(capacity) && used + left <= capacity
}

/// The words from the `i`th of `bytes` on, zeros where these end.
fn words_at<const N: usize>(space: &AddressSpace, bytes: &[u8], i: usize) -> [u64; N] {
    let rest = bytes
        .get(i * space.word_size() as usize..)
        .unwrap_or_default();
    let mut words = space.encoding().words(rest);
    std::array::from_fn(|_| words.next().unwrap_or(0))
}

/// The stacks in `ranges` that goroutines' descriptors anywhere in memory tell of, as (descriptor, first address, one past
/// the last): the lists of these may be lost.
pub(super) fn stacks(space: &AddressSpace, ranges: &[(u64, u64)]) -> Vec<(u64, u64, u64)> {
    let piece = |(start, bytes): (Addr, &[u8])| -> Vec<(u64, u64, u64)> {
        let words = space.encoding().words(bytes).enumerate();
        let candidates = words.filter(|(_, lo)| *lo != 0 && lo.is_multiple_of(*STACKS.start()));
        let stacks = candidates.filter_map(|(i, _)| {
            let (lo, hi) = stack(words_at(space, bytes, i))?;
            Some((start.0 + i as u64 * space.word_size(), lo, hi))
        });
        stacks
            .filter(|s| ranges.iter().any(|r| r.0 <= s.1 && s.2 <= r.1))
            .collect()
    };
    pieces(space).into_par_iter().flat_map_iter(piece).collect()
}

/// What something in the memory of the dump tells of `pages`, which ascend, and by where they start the capacities
/// of what looks like slices. `text` is where code is, `mapped` all memory, `sizes` are of objects that are known.
pub(super) fn targets(
    space: &AddressSpace,
    ranges: &[(u64, u64)],
    text: &[AddrRange],
    mapped: &[(u64, u64)],
    pages: &[u64],
    sizes: impl Iterator<Item = (u64, u64)>,
) -> (Vec<Targets>, Extents) {
    let targets: Vec<Targets> = pages.iter().map(|_| Targets::default()).collect();
    let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else {
        return (targets, Extents::default());
    };
    let size = space.word_size();
    let target = |addr: u64| Some(&targets[pages.binary_search(&(addr / PAGE * PAGE)).ok()?]);
    // The frame pointer of the caller, which is further up, and behind it where to return to. One such pair may be the end of
    // one closure and the start of the next.
    let is_code = |addr: u64| text.iter().any(|t| t.contains(Addr(addr)));
    let is_frame = |at: u64, above: u64, pc: u64| {
        (1..MAX_FRAME).contains(&above.wrapping_sub(at)) && is_code(pc)
    };
    let piece = |(start, bytes): (Addr, &[u8])| {
        let (mut slices, mut maps) = (Vec::new(), Vec::new());
        let (mut before, mut first_before) = (0, 0);
        for (i, value) in space.encoding().words(bytes).enumerate() {
            let previous = std::mem::replace(&mut before, value);
            let count = std::mem::replace(&mut first_before, previous);
            if !(first.0..last.1).contains(&value) {
                continue;
            }
            let [_, next, then] = words_at(space, bytes, i);
            let place = start.0 + i as u64 * size;
            if is_frame(place, value, next)
                && let Some((above, pc)) = space
                    .word(Addr(value))
                    .ok()
                    .zip(space.word(Addr(value.wrapping_add(size))).ok())
                && is_frame(value, above, pc)
                && let Some(target) = target(place)
            {
                target.frames.fetch_add(1, Ordering::Relaxed);
            }
            // One past a stack is where something else is.
            if stack([previous, value, next, then]).is_some() {
                continue;
            }
            let Some(target) = target(value) else {
                continue;
            };
            let word = (value % PAGE / 8) as usize;
            target.words[word / 64].fetch_or(1 << (word % 64), Ordering::Relaxed);
            maps.extend(Map::new(count, previous, value, next));
            let room = match is_table(count, next) {
                true => Some(next + 1),
                false => capacity(next, then, mapped),
            };
            slices.extend(room.map(|room| (value, Extent::Capacity, room)));
        }
        (slices, maps)
    };
    let found: (Vec<_>, Vec<_>) = pieces(space).into_par_iter().map(piece).unzip();
    let mut maps: Vec<Map> = found.1.into_iter().flatten().collect();
    // The small ones first: all together have no more buckets than there is memory for, what only looks like maps may.
    maps.par_sort_unstable_by_key(|map| (map.most_buckets(), *map));
    maps.dedup();
    let room = (pages.len() * WORDS) as u64;
    let real = maps.iter().scan(0u64, |all, map| {
        *all = all.saturating_add(map.most_buckets());
        (*all <= room).then_some(())
    });
    let real = real.count();
    let size_of = |(i, map): (usize, &Map)| (i < real).then(|| map.size(space))?;
    let buckets: Vec<_> = maps.par_iter().enumerate().map(size_of).collect();
    let mut all: Vec<_> = found.0.into_iter().flatten().collect();
    all.extend(maps.iter().zip(buckets).map(|(map, size)| match size {
        Some(size) => (map.buckets, Extent::Size, size),
        None => (map.buckets, Extent::AtLeast, map.at_least()),
    }));
    all.extend(sizes.map(|(at, size)| (at, Extent::Size, size)));
    // Of what contradicts itself the least.
    all.par_sort_unstable();
    all.dedup_by_key(|s| (s.0, s.1));
    // What leads inside of what is known leads to a field, or to a bucket for overflow.
    for (start, _, size) in all.iter().filter(|extent| extent.1 == Extent::Size) {
        let inside = start + 1..start.saturating_add(*size);
        let from = pages.partition_point(|page| page + PAGE <= inside.start);
        let pages = pages[from..].iter().zip(&targets[from..]);
        for (page, target) in
            pages.take_while(|(page, _)| inside.contains(&(**page).max(inside.start)))
        {
            for word in (0..WORDS).filter(|word| inside.contains(&(page + *word as u64 * 8))) {
                target.words[word / 64].fetch_and(!(1 << (word % 64)), Ordering::Relaxed);
            }
        }
    }
    (targets, Extents(all))
}

/// What is told of the length of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// It is a slice: how many elements there is room for.
    Capacity,
    /// It is known what it is: how many bytes it has.
    Size,
    /// It is the buckets of a map: how many bytes these have at least.
    AtLeast,
}

/// By where they start and what is told: the extents, ascending.
#[derive(Debug, Default)]
pub(super) struct Extents(Vec<(u64, Extent, u64)>);

impl Extents {
    /// What is told of something that starts at `addr`.
    pub(super) fn of(&self, addr: u64, what: Extent) -> Option<u64> {
        let at = self
            .0
            .binary_search_by_key(&(addr, what), |e| (e.0, e.1))
            .ok()?;
        Some(self.0[at].2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_text_is_no_capacity() {
        let binary = [(0x40_0000, 0x60_0000)];
        assert_eq!(capacity(3, 4, &binary), Some(4));
        assert_eq!(capacity(0x1000, 0x40_0000, &[]), Some(0x40_0000));
        for (len, room) in [(5, 4), (0, 0), (71, 0x4d_7cef), (71, 0xc0_0000_2000)] {
            assert_eq!(capacity(len, room, &binary), None);
        }
    }

    #[test]
    fn a_table_has_eight_cells_in_each_group() {
        let state = |used: u64, capacity: u64, left: u64| used | capacity << 16 | left << 32;
        assert!(is_table(state(90, 128, 22), 15));
        assert!(is_table(state(0, 16, 14) | 3 << 48, 1));
        for (state, mask) in [
            (state(90, 128, 22), 16),
            (state(120, 128, 22), 15),
            (state(90, 120, 2), 14),
            (0, u64::MAX),
            (u64::MAX, 1),
        ] {
            assert!(!is_table(state, mask));
        }
    }

    #[test]
    fn a_stack_is_known_by_its_guard() {
        let lo = 0xc00_0080_0800;
        let descriptor = |size: u64, guards: [u64; 2]| stack([lo, lo + size, guards[0], guards[1]]);
        let guard = lo + 928;
        assert_eq!(descriptor(2048, [guard, guard]), Some((lo, lo + 2048)));
        // Asked to stop, or of a thread.
        let request = 0xffff_ffff_ffff_fade;
        assert_eq!(
            descriptor(1 << 15, [request, guard]),
            Some((lo, lo + (1 << 15)))
        );
        assert_eq!(
            descriptor(1 << 15, [guard, u64::MAX]),
            Some((lo, lo + (1 << 15)))
        );
        // Pointers to objects one behind the other.
        assert_eq!(descriptor(2048, [lo + 4096, lo + 6144]), None);
        assert_eq!(descriptor(3000, [guard, guard]), None);
        assert_eq!(stack([0, 0, 928, 928]), None);
        assert_eq!(stack([u64::MAX, 1, 2, 3]), None);
    }
}
