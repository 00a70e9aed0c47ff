//! Profiler labels of goroutines.

use objref_mem::{Addr, AddressSpace, Fault};

use crate::layout::slice_at;

/// More labels than this on one goroutine are taken for damage.
const MAX_LABELS: u64 = 1 << 12;
/// Longer keys and values are cut.
const MAX_TEXT: u64 = 1 << 10;
/// Entries of a bucket of a map as it was before 1.24.
// internal/abi/map_noswiss.go: MapBucketCount
const BUCKET: u64 = 8;
/// Longest chain of overflow buckets that is followed.
const MAX_CHAIN: usize = 1 << 10;

/// The labels behind `g.labels`, sorted by key. `minor` is the Go version's second number.
pub fn read_labels(
    space: &AddressSpace,
    labels: Addr,
    minor: u32,
) -> Result<Vec<(String, String)>, Fault> {
    let mut found = Vec::new();
    if labels.0 == 0 {
        return Ok(found);
    }
    if minor >= 24 {
        list(space, labels, &mut found)?;
    } else {
        map(space, space.ptr(labels)?, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn string(space: &AddressSpace, at: Addr) -> Result<String, Fault> {
    match slice_at(space, at)? {
        (_, 0) => Ok(String::new()),
        (data, len) => space.string(data, len.min(MAX_TEXT) as usize),
    }
}

/// A slice of pairs of strings.
// runtime/pprof/label.go: LabelSet, go1.24+
fn list(space: &AddressSpace, slice: Addr, found: &mut Vec<(String, String)>) -> Result<(), Fault> {
    let (data, len) = slice_at(space, slice)?;
    for i in 0..len.min(MAX_LABELS) {
        let size = 2 * space.word_size();
        let at = data.add(i * 2 * size);
        found.push((string(space, at)?, string(space, at.add(size))?));
    }
    Ok(())
}

/// A map from strings to strings, buckets of 8 slots.
// runtime/pprof/label.go: labelMap; runtime/map.go: hmap, bmap; up to go1.23
fn map(space: &AddressSpace, hmap: Addr, found: &mut Vec<(String, String)>) -> Result<(), Fault> {
    if hmap.0 == 0 {
        return Ok(());
    }
    // {count int; flags u8; B u8; noverflow u16; hash0 u32; buckets, oldbuckets; …}
    let word = space.word_size();
    let b = u32::from(space.u8(hmap.add(word + 1))?).min(MAX_LABELS.ilog2());
    tables(space, space.ptr(hmap.add(word + 8))?, 1 << b, found)?;
    let old = space.ptr(hmap.add(2 * word + 8))?;
    if old.0 != 0 {
        tables(space, old, (1 << b) / 2, found)?;
    }
    Ok(())
}

fn tables(
    space: &AddressSpace,
    buckets: Addr,
    count: u64,
    found: &mut Vec<(String, String)>,
) -> Result<(), Fault> {
    // {tophash [8]u8; keys, values [8]string; overflow *bmap}
    let size = 2 * space.word_size();
    let keys = BUCKET;
    let values = keys + BUCKET * size;
    let overflow = values + BUCKET * size;
    /// Smaller values of `tophash` mark slots that are empty or were moved.
    const MIN_TOP: u8 = 5;
    for i in 0..count.max(1) {
        let mut at = buckets.add(i * (overflow + space.word_size()));
        for _ in 0..MAX_CHAIN {
            if at.0 == 0 || found.len() as u64 >= MAX_LABELS {
                break;
            }
            for slot in 0..BUCKET {
                if space.u8(at.add(slot))? >= MIN_TOP {
                    let key = string(space, at.add(keys + slot * size))?;
                    let value = string(space, at.add(values + slot * size))?;
                    found.push((key, value));
                }
            }
            at = space.ptr(at.add(overflow))?;
        }
    }
    Ok(())
}
