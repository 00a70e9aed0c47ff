//! What of a level is explored: the nodes that may have edges.
//!
//! Which of them have none is known by the edges that lead there, and kept in a bit by the order of the search.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::explore::BATCH;

/// Which places in the order are of nodes that have no edges, a bit each.
#[derive(Clone, Copy)]
pub(crate) struct Leaves<'c>(pub(crate) &'c [AtomicU64]);

impl<'c> Leaves<'c> {
    /// To say it of the places from this one on, of which it has not been said.
    pub(crate) fn from(self, place: u32) -> LeavesFrom<'c> {
        LeavesFrom {
            words: &self.0[place as usize / 64..],
            bits: 0,
            bit: 1 << (place % 64),
        }
    }
}

/// Says which places are of leaves, one after the other.
pub(crate) struct LeavesFrom<'c> {
    words: &'c [AtomicU64],
    /// Of the first of the words.
    bits: u64,
    /// That of the next place; 0 if it is in the next word.
    bit: u64,
}

impl LeavesFrom<'_> {
    #[inline]
    pub(crate) fn push(&mut self, is_leaf: bool) {
        if self.bit == 0 {
            self.put();
            self.words = &self.words[1..];
            (self.bits, self.bit) = (0, 1);
        }
        self.bits |= if is_leaf { self.bit } else { 0 };
        self.bit <<= 1;
    }

    fn put(&self) {
        if self.bits != 0 {
            self.words[0].fetch_or(self.bits, Relaxed);
        }
    }
}

impl Drop for LeavesFrom<'_> {
    fn drop(&mut self) {
        self.put();
    }
}

/// Nodes to explore, which stand near each other in the order.
pub(crate) struct Nodes {
    pub(crate) nodes: [u32; BATCH],
    /// Of each, how far behind the first place that was looked at it stands.
    pub(crate) places: [u32; BATCH],
}

impl Default for Nodes {
    fn default() -> Self {
        Nodes {
            nodes: [0; BATCH],
            places: [0; BATCH],
        }
    }
}

impl Nodes {
    /// The nodes from `at` on that are not leaves, as many as are explored together but none from `end` on; `at` is then
    /// behind them. Returns how many.
    pub(crate) fn fill(
        &mut self,
        order: &[u32],
        leaves: Leaves<'_>,
        at: &mut usize,
        end: usize,
    ) -> usize {
        let (first, mut len) = (*at, 0);
        while *at < end && len < BATCH {
            let others = !leaves.0[*at / 64].load(Relaxed) >> (*at % 64);
            let ahead = (64 - *at % 64).min(end - *at);
            let mut others = others & (u64::MAX >> (64 - ahead));
            let (nodes, mut next) = (&order[*at..*at + ahead], *at + ahead);
            while others != 0 {
                let place = others.trailing_zeros() as usize;
                if len == BATCH {
                    next = *at + place;
                    break;
                }
                self.nodes[len] = nodes[place];
                self.places[len] = (*at - first + place) as u32;
                len += 1;
                others &= others - 1;
            }
            *at = next;
        }
        len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_but_leaves_are_explored_in_order(
            are_leaves in prop::collection::vec(prop_oneof![3 => Just(true), 1 => Just(false)], 0..400),
            start in 0usize..400,
            split in 0usize..400,
        ) {
            let words: Vec<_> = (0..7).map(|_| AtomicU64::new(0)).collect();
            let leaves = Leaves(&words);
            let split = split.min(are_leaves.len());
            for (first, part) in [(0, &are_leaves[..split]), (split, &are_leaves[split..])] {
                let mut from = leaves.from(first as u32);
                part.iter().for_each(|is_leaf| from.push(*is_leaf));
            }
            let end = are_leaves.len();
            let order: Vec<u32> = (0..end as u32).map(|place| place * 3).collect();
            let (mut found, mut nodes) = (Vec::new(), Nodes::default());
            let mut at = start.min(end);
            while at < end {
                let first = at;
                let len = nodes.fill(&order, leaves, &mut at, end);
                prop_assert!(len == BATCH || at == end);
                for (&node, place) in nodes.nodes[..len].iter().zip(&nodes.places) {
                    prop_assert_eq!(node, order[first + *place as usize]);
                    prop_assert!(first + (*place as usize) < at);
                    found.push(node);
                }
            }
            let others = (start.min(end)..end).filter(|place| !are_leaves[*place]);
            prop_assert!(found.into_iter().eq(others.map(|place| order[place])));
        }
    }
}
