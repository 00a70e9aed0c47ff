//! The labels of the edges by which nodes were reached first, in two bytes a node.
//!
//! Nearly all labels are small. Where one is too large for its cell, the cell says so, and the label is in a list by the
//! place of its node in the order of the search. There the targets of one node stand one behind the other, so that labels
//! which grow evenly, as those of a long row do, are one entry.

use std::mem;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

/// Labels of edges are below this.
pub const LABELS: u32 = (1 << 31) - 1;

/// In a cell: the node was not reached.
pub(crate) const NOWHERE: u16 = u16::MAX;
/// In a cell, with the number of a piece: claimed by it. More than any label, less than [`NOWHERE`].
pub(crate) const CLAIMED: u16 = 0xFE00;
/// In a cell: a root, to which no edge leads.
pub(crate) const OF_ROOT: u16 = CLAIMED - 1;
/// In a cell: the label is in the list.
const FAR: u16 = CLAIMED - 2;

/// Per node, the label of the edge by which it was reached first.
#[derive(Debug)]
pub struct Labels {
    cells: Vec<AtomicU16>,
    far: FarLabels,
}

/// Labels that are too large for a cell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FarLabels(Vec<Run>);

/// [`FarLabels`] that are asked for in the order of the search.
#[derive(Clone, Debug)]
pub struct FarLabelsFrom<'a>(&'a [Run]);

/// Labels of nodes that stand one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Where the first of them stands.
    position: u32,
    len: u32,
    label: u32,
    /// By how much each is larger than the one before it.
    growth: u32,
}

/// What a cell says of a label.
#[inline]
pub(crate) fn cell(label: u32) -> u16 {
    label.min(u32::from(FAR)) as u16
}

impl Labels {
    pub(crate) fn new(cells: Vec<AtomicU16>, far: FarLabels) -> Labels {
        Labels { cells, far }
    }

    /// Whether the node was reached.
    #[inline]
    pub fn is_reached(&self, node: u32) -> bool {
        self.cells[node as usize].load(Relaxed) != NOWHERE
    }

    /// The label of the edge to the node, which stands at `position` in the order of the search; `None` for a root and for
    /// what was not reached.
    pub fn label(&self, node: u32, position: u32) -> Option<u32> {
        let cell = self.cells[node as usize].load(Relaxed);
        (cell <= FAR).then(|| self.far.label(cell, position))
    }

    /// Per node two bytes, `u16::MAX` where it was not reached, and what tells the label by them and the node's place.
    pub fn into_parts(self) -> (Vec<AtomicU16>, FarLabels) {
        (self.cells, self.far)
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        let cells = |labels: &Self| -> Vec<u16> {
            let cells = labels.cells.iter();
            cells.map(|cell| cell.load(Relaxed)).collect()
        };
        cells(self) == cells(other) && self.far == other.far
    }
}

impl Eq for Labels {}

impl FarLabels {
    /// Appends the label of the node at `position`, which is behind all others, if it is too large for a cell.
    #[inline]
    pub(crate) fn push(&mut self, position: u32, label: u32) {
        if cell(label) == FAR {
            self.append(position, label);
        }
    }

    fn append(&mut self, position: u32, label: u32) {
        if let Some(last) = self.0.last_mut().filter(|last| last.end() == position) {
            if last.len == 1 && label >= last.label {
                last.growth = label - last.label;
            }
            if last.at(position) == Some(label) {
                last.len += 1;
                return;
            }
        }
        self.0.push(Run {
            position,
            len: 1,
            label,
            growth: 0,
        });
    }

    /// Appends labels of nodes behind all others, and leaves none of them.
    pub(crate) fn extend(&mut self, next: &mut FarLabels) {
        self.0.append(&mut mem::take(next).0);
    }

    /// Whether the label is in the list.
    #[inline]
    pub fn is_far(cell: u16) -> bool {
        cell >= FAR
    }

    /// The label of the node at `position` of which its cell says this.
    #[inline]
    pub fn label(&self, cell: u16, position: u32) -> u32 {
        match cell {
            FAR => self.from(position).find(position),
            near => near.into(),
        }
    }

    /// The labels of nodes from `position` on.
    pub fn from(&self, position: u32) -> FarLabelsFrom<'_> {
        let before = self.0.partition_point(|run| run.end() <= position);
        FarLabelsFrom(&self.0[before..])
    }
}

impl FarLabelsFrom<'_> {
    /// As [`FarLabels::label`]. Positions do not descend from one call to the next.
    #[inline]
    pub fn label(&mut self, cell: u16, position: u32) -> u32 {
        match cell {
            FAR => self.find(position),
            near => near.into(),
        }
    }

    fn find(&mut self, position: u32) -> u32 {
        while let [run, behind @ ..] = self.0
            && run.end() <= position
        {
            self.0 = behind;
        }
        let run = self.0.first().filter(|run| run.position <= position);
        run.and_then(|run| run.at(position)).unwrap_or(LABELS)
    }
}

impl Run {
    fn end(&self) -> u32 {
        self.position + self.len
    }

    /// The label at this position, were the run as long.
    fn at(&self, position: u32) -> Option<u32> {
        let growth = self.growth.checked_mul(position - self.position)?;
        self.label.checked_add(growth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_what_it_was_given(
            parts in prop::collection::vec(
                (0u32..3, prop_oneof![0u32..9, 60_000u32..70_000, LABELS - 9..LABELS], 0u32..70_000, 1usize..9),
                0..40,
            ),
            split in 0usize..200,
            step in 1usize..4,
        ) {
            // Some nodes further on, some labels that grow evenly.
            let (mut position, mut given) = (0, Vec::new());
            for (skip, label, growth, len) in parts {
                position += skip;
                for n in 0..len as u32 {
                    given.push((position, (label + n * growth).min(LABELS - 1)));
                    position += 1;
                }
            }
            let (first, second) = given.split_at(split.min(given.len()));
            let [mut far, mut behind] = [first, second].map(|part| {
                let mut far = FarLabels::default();
                part.iter().for_each(|(position, label)| far.push(*position, *label));
                far
            });
            far.extend(&mut behind);
            for (position, label) in &given {
                prop_assert_eq!(far.label(cell(*label), *position), *label);
            }
            let rest = given.get(split..).unwrap_or_default();
            let mut from = far.from(rest.first().map_or(0, |(position, _)| *position));
            for (position, label) in rest.iter().step_by(step) {
                prop_assert_eq!(from.label(cell(*label), *position), *label);
            }
        }
    }

    #[test]
    fn a_long_row_is_one_entry() {
        let mut far = FarLabels::default();
        (0..1000).for_each(|n| far.push(n, (1 << 20) + 2 * n));
        assert_eq!(far.0.len(), 1);
    }
}
