//! Which type's entry is at an offset of `.debug_info`.

/// Offsets that share a block are looked through; a block has a few types of Go.
const BLOCK: u32 = 256;

/// The offsets of entries, in order.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    offsets: Vec<u32>,
    /// For each block from that of the first offset on, how many offsets are before it.
    before: Vec<u32>,
}

impl Entries {
    /// `offsets` must be sorted.
    pub(crate) fn new(offsets: Vec<u32>) -> Entries {
        let mut before = Vec::new();
        if let Some(first) = offsets.first() {
            for (at, offset) in offsets.iter().enumerate() {
                let block = (offset / BLOCK - first / BLOCK) as usize;
                before.resize(before.len().max(block + 1), at as u32);
            }
            before.push(offsets.len() as u32);
        }
        Entries { offsets, before }
    }

    /// The rank of the entry at this offset.
    pub(crate) fn find(&self, offset: u32) -> Option<usize> {
        let first = self.offsets.first()? / BLOCK;
        let block = (offset / BLOCK).checked_sub(first)? as usize;
        let range = *self.before.get(block)? as usize..*self.before.get(block + 1)? as usize;
        let start = range.start;
        let at = self.offsets[range].binary_search(&offset).ok()?;
        Some(start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::Entries;

    #[test]
    fn those_that_are_there_are_found_and_no_others() {
        let all = [7, 255, 256, 300, 511, 2048, 2049, 9000, 1 << 21];
        for first in 0..all.len() {
            let offsets = &all[first..];
            let entries = Entries::new(offsets.to_vec());
            let near = offsets
                .iter()
                .flat_map(|at| [at.wrapping_sub(1), *at, at.wrapping_add(1)]);
            for at in near.chain([0, 600, 1 << 20]) {
                assert_eq!(
                    entries.find(at),
                    offsets.iter().position(|o| *o == at),
                    "{at}"
                );
            }
        }
        assert_eq!(Entries::new(Vec::new()).find(0), None);
    }
}
