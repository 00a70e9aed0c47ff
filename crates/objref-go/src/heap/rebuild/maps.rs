//! Arrays of maps' buckets, up to Go 1.23: how large they are, by what is in them.
//!
//! A map knows how many buckets it has, but only its type knows how large these are, and a map does not lead to its type.
//! Yet it knows how many entries it has, and buckets begin with which of their cells are in use. So it is the size with which
//! there are as many entries as the map says.

use objref_mem::{Addr, AddressSpace, FaultKind};

use crate::heap::classes::SIZE_CLASSES;
use crate::heap::span::PAGE;

/// A map, by its header.
// runtime/map.go: hmap{count int, flags, B uint8, noverflow uint16, hash0 uint32, buckets, oldbuckets, …}
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Map {
    /// Where its buckets are.
    pub(super) buckets: u64,
    /// The logarithm of how many there are, those for overflow left out.
    exponent: u64,
    /// Its entries.
    count: u64,
    /// How many buckets for overflow it uses; `None` if the map does not know.
    overflow: Option<u64>,
    /// Whether some of these are still in the buckets that it had before it grew.
    grows: bool,
}

/// Cells of a bucket.
// internal/abi/map.go: MapBucketCount
const CELLS: u64 = 8;
/// The sizes that buckets may have: bytes of hashes, keys of a byte at least, elements, and a pointer; what is larger than 128
/// bytes lies elsewhere.
// cmd/compile/internal/reflectdata: MapBucketType; internal/abi/map.go: MapMaxKeyBytes, MapMaxElemBytes
const SIZES: std::ops::RangeInclusive<u64> = 24..=8 + 2 * CELLS * 128 + 8;
/// The least hash of a cell in use. Before the map grows, others are 0, behind which there is nothing, or 1.
// runtime/map.go: minTopHash, emptyRest, emptyOne
const IN_USE: u8 = 5;
const EMPTY: u8 = 1;
/// How many sizes may fit for long.
const TIMES: u64 = 8;

impl Map {
    /// The map that has these words, if it is one that has more than one bucket.
    pub(super) fn new(count: u64, state: u64, buckets: u64, old: u64) -> Option<Map> {
        let (flags, exponent, seed) = (state & 0xff, state >> 8 & 0xff, state >> 32);
        let sound = flags < 16 && (1..32).contains(&exponent) && seed != 0;
        let map = Map {
            buckets,
            exponent,
            count,
            // runtime/map.go: (*hmap).incrnoverflow
            overflow: (exponent < 16).then_some(state >> 16 & 0xffff),
            grows: old != 0,
        };
        (sound && (1..=CELLS << exponent).contains(&count)).then_some(map)
    }

    /// How many bytes there are of buckets of `size` bytes. Those for overflow fill the slot.
    // runtime/map.go: makeBucketArray
    fn bytes(&self, size: u64) -> u64 {
        let buckets = 1 << self.exponent;
        match self.exponent {
            0..4 => buckets * size,
            exponent => slot((buckets + (1 << (exponent - 4))) * size) / size * size,
        }
    }

    /// How many bytes the buckets have at least.
    pub(super) fn at_least(&self) -> u64 {
        self.bytes(*SIZES.start())
    }

    /// How many buckets there are at most, those for overflow included, each of which was made for an entry.
    pub(super) fn most_buckets(&self) -> u64 {
        (1 << self.exponent) + self.count
    }

    /// How many bytes the buckets have, if only one size fits what is in them. Looks at some times as many buckets as there
    /// can be: of the wrong size the first few tell. With fewer entries than buckets one may by
    /// chance; a map that has just grown has three times as many.
    // runtime/map.go: overLoadFactor
    pub(super) fn size(&self, space: &AddressSpace) -> Option<u64> {
        if self.grows || self.count <= 1 << self.exponent {
            return None;
        }
        let mut left = TIMES * self.most_buckets() + SIZES.count() as u64;
        let mut sizes = SIZES
            .step_by(8)
            .filter(|size| self.fits(space, *size, &mut left));
        let size = sizes.next()?;
        let is_only = sizes.next().is_none();
        (is_only && left > 0).then(|| self.bytes(size))
    }

    /// Whether there are as many entries as the map says, and as many buckets for overflow, if its buckets have `size` bytes;
    /// `left` is how many may still be looked at. Buckets for overflow that are not in the dump may be full, and end their list.
    fn fits(&self, space: &AddressSpace, size: u64, left: &mut u64) -> bool {
        let (mut used, mut lost) = (0, 0);
        // Each bucket for overflow was made for an entry; lists may go round.
        let most = self.overflow.unwrap_or(self.count);
        let mut overflow = 0;
        for i in 0..1 << self.exponent {
            let mut bucket = self.buckets.wrapping_add(i * size);
            loop {
                *left = left.saturating_sub(1);
                let Some(cells) = cells(space, bucket).filter(|_| *left > 0) else {
                    return false;
                };
                used += cells;
                match space.word(Addr(bucket.wrapping_add(size - 8))) {
                    Ok(0) => break,
                    Ok(next) if used <= self.count && overflow < most => bucket = next,
                    _ => return false,
                }
                overflow += 1;
                if is_lost(space, bucket) {
                    lost += 1;
                    break;
                }
            }
        }
        let all = self.overflow.is_none_or(|all| match lost {
            0 => overflow == all,
            // Behind these there may be more.
            _ => overflow <= all,
        });
        let room = match lost {
            0 => 0,
            _ => CELLS * (most - overflow + lost),
        };
        all && (used..=used + room).contains(&self.count)
    }
}

/// Whether the process had something at `at` that the dump has not.
fn is_lost(space: &AddressSpace, at: u64) -> bool {
    let fault = space.slice(Addr(at), CELLS as usize).err();
    at.is_multiple_of(8) && fault.is_some_and(|fault| fault.kind == FaultKind::NotInCore)
}

/// How large the slot is that so many bytes are in.
// runtime/msize.go: roundupsize
fn slot(bytes: u64) -> u64 {
    let class = SIZE_CLASSES.iter().find(|size| **size >= bytes);
    class.copied().unwrap_or(bytes.next_multiple_of(PAGE))
}

/// How many cells of the bucket at `at` are in use, if it may be one.
fn cells(space: &AddressSpace, at: u64) -> Option<u64> {
    let hashes = space.slice(Addr(at), CELLS as usize).ok()?;
    let last = hashes.iter().rposition(|hash| *hash != 0);
    let until = last.map_or(0, |last| last + 1);
    let in_use = |hash: &&u8| **hash >= IN_USE;
    let sound = hashes[..until]
        .iter()
        .all(|hash| *hash == EMPTY || *hash >= IN_USE);
    (at.is_multiple_of(8) && sound).then(|| hashes.iter().filter(in_use).count() as u64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use objref_mem::{Core, Input};

    use super::*;

    const BUCKETS: u64 = 0xc0_0000_2000;
    /// Of a map of strings to numbers.
    const SIZE: u64 = 8 + 8 * 16 + 8 * 8 + 8;
    /// 16 buckets, and as many for overflow as fill 4096 bytes.
    const ALL: u64 = 19;

    fn map(count: u64, exponent: u64, old: u64) -> Map {
        Map::new(count, 1 << 32 | 1 << 16 | exponent << 8, BUCKETS, old).unwrap()
    }

    /// Buckets with three entries each, one of which was deleted; the last one has eight, and two more in one for overflow.
    fn buckets() -> Vec<u8> {
        let mut bytes = vec![0; (ALL * SIZE) as usize];
        for (i, bucket) in bytes.chunks_mut(SIZE as usize).enumerate() {
            let entries = match i {
                0..15 => 3,
                15 => 8,
                16 => 2,
                _ => 0,
            };
            for entry in 0..entries {
                bucket[entry] = IN_USE + (i * 37 + entry * 11) as u8 % 200;
                let key = 8 + entry * 16;
                bucket[key..key + 8]
                    .copy_from_slice(&(0xc0_0001_0000 + i as u64 * 64).to_le_bytes());
                bucket[key + 8] = 12;
                bucket[136 + entry * 8] = entry as u8;
            }
            if i == 7 {
                bucket[1] = EMPTY;
            }
            if i == 15 {
                let next = BUCKETS + 16 * SIZE;
                bucket[SIZE as usize - 8..].copy_from_slice(&next.to_le_bytes());
            }
        }
        bytes
    }

    fn size(map: Map, bytes: &[u8]) -> Option<u64> {
        let core = objref_synth::CoreBuilder::new();
        let core = core.segment(BUCKETS, objref_synth::RW, bytes.to_vec());
        let input = Input::from_bytes(Path::new("core"), &core.build()).unwrap();
        map.size(&AddressSpace::new(&Core::parse(input).unwrap(), &[]))
    }

    #[test]
    fn buckets_are_as_large_as_there_are_entries() {
        let bytes = buckets();
        const COUNT: u64 = 15 * 3 + 10 - 1;
        assert_eq!(size(map(COUNT, 4, 0), &bytes), Some(ALL * SIZE));
        // Others than these, or only some of these.
        assert_eq!(size(map(COUNT - 1, 4, 0), &bytes), None);
        assert_eq!(size(map(COUNT + 1, 4, 0), &bytes), None);
        assert_eq!(size(map(COUNT, 5, 0), &bytes), None);
        assert_eq!(size(map(COUNT, 4, BUCKETS), &bytes), None);
        assert_eq!(size(map(COUNT, 4, 0), &bytes[..bytes.len() / 2]), None);
        let mut more = map(COUNT, 4, 0);
        more.overflow = Some(2);
        assert_eq!(size(more, &bytes), None);
        more.overflow = None;
        assert_eq!(size(more, &bytes), Some(ALL * SIZE));
        let mut round = bytes.clone();
        let next = (17 * SIZE - 8) as usize;
        round[next..next + 8].copy_from_slice(&(BUCKETS + 16 * SIZE).to_le_bytes());
        assert_eq!(size(map(COUNT, 4, 0), &round), None);
    }

    #[test]
    fn buckets_for_overflow_may_be_lost() {
        // The last bucket goes on where the dump does not.
        const LOST: u64 = BUCKETS + 0x10_0000;
        let mut bytes = buckets();
        bytes[(16 * SIZE - 8) as usize..][..8].copy_from_slice(&LOST.to_le_bytes());
        let core = objref_synth::CoreBuilder::new();
        let core = core.segment(BUCKETS, objref_synth::RW, bytes);
        let core = core.partial(LOST, objref_synth::RW, [], 0x1000);
        let input = Input::from_bytes(Path::new("core"), &core.build()).unwrap();
        let space = AddressSpace::new(&Core::parse(input).unwrap(), &[]);
        let size = |count, overflow| {
            let mut map = map(count, 4, 0);
            map.overflow = Some(overflow);
            map.size(&space)
        };
        const THERE: u64 = 15 * 3 + 8 - 1;
        assert_eq!(size(THERE + 2, 1), Some(ALL * SIZE));
        assert_eq!(size(THERE + CELLS, 1), Some(ALL * SIZE));
        // As many as there is room for in one bucket, or in two.
        assert_eq!(size(THERE + CELLS + 1, 1), None);
        assert_eq!(size(THERE + CELLS + 1, 2), Some(ALL * SIZE));
        assert_eq!(size(THERE - 1, 1), None);
        assert_eq!(size(THERE, 0), None);
    }

    #[test]
    fn where_more_sizes_fit_none_is_told() {
        let mut bytes = vec![0; 8192];
        bytes[..3].fill(IN_USE);
        assert_eq!(size(map(3, 1, 0), &bytes), None);
    }

    #[test]
    fn more_entries_than_there_is_room_for_are_not_a_map() {
        let state = |flags: u64, exponent: u64| 0x9e37_79b9 << 32 | 3 << 16 | exponent << 8 | flags;
        let map = |count, state| Map::new(count, state, BUCKETS, 0);
        assert_eq!(map(100, state(4, 3)), None);
        let bytes = |exponent, size| map(9, state(4, exponent)).unwrap().bytes(size);
        // As many more as fit the slot, of 8192 bytes and of seven pages.
        assert_eq!(
            (bytes(1, 208), bytes(5, 208), bytes(8, 208)),
            (416, 39 * 208, 275 * 208)
        );
        for (count, state) in [
            (129, state(4, 4)),
            (0, state(4, 4)),
            (1, state(99, 4)),
            (1, state(0, 0)),
            (1, 0x400),
        ] {
            assert_eq!(map(count, state), None);
        }
        assert_eq!(map(u64::MAX, u64::MAX), None);
    }
}
