//! Profiler labels of goroutines.

use objref_mem::{Addr, AddressSpace, Fault};

/// More labels than this on one goroutine are taken for damage.
const MAX_LABELS: u64 = 1 << 12;
/// Longer keys and values are cut.
const MAX_TEXT: u64 = 1 << 10;
/// A string: pointer and length.
const STRING: u64 = 16;
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
    let len = space.u64(at.add(8))?.min(MAX_TEXT);
    if len == 0 {
        return Ok(String::new());
    }
    space.string(space.ptr(at)?, len as usize)
}

/// A slice of pairs of strings.
// runtime/pprof/label.go: LabelSet, go1.24+
fn list(space: &AddressSpace, slice: Addr, found: &mut Vec<(String, String)>) -> Result<(), Fault> {
    let (data, len) = (space.ptr(slice)?, space.u64(slice.add(8))?);
    for i in 0..len.min(MAX_LABELS) {
        let at = data.add(i * 2 * STRING);
        found.push((string(space, at)?, string(space, at.add(STRING))?));
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
    let b = u32::from(space.u8(hmap.add(9))?).min(MAX_LABELS.ilog2());
    tables(space, space.ptr(hmap.add(16))?, 1 << b, found)?;
    let old = space.ptr(hmap.add(24))?;
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
    const KEYS: u64 = BUCKET;
    const VALUES: u64 = KEYS + BUCKET * STRING;
    const OVERFLOW: u64 = VALUES + BUCKET * STRING;
    /// Smaller values of `tophash` mark slots that are empty or were moved.
    const MIN_TOP: u8 = 5;
    for i in 0..count.max(1) {
        let mut at = buckets.add(i * (OVERFLOW + 8));
        for _ in 0..MAX_CHAIN {
            if at.0 == 0 || found.len() as u64 >= MAX_LABELS {
                break;
            }
            for slot in 0..BUCKET {
                if space.u8(at.add(slot))? >= MIN_TOP {
                    let key = string(space, at.add(KEYS + slot * STRING))?;
                    let value = string(space, at.add(VALUES + slot * STRING))?;
                    found.push((key, value));
                }
            }
            at = space.ptr(at.add(OVERFLOW))?;
        }
    }
    Ok(())
}
