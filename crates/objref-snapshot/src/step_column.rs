//! A column of labels that becomes one of steps.

use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use objref_graph::{FarLabels, FarLabelsFrom, Labels, NONE};
use objref_mem::settled;
use rayon::prelude::*;

use crate::numbers::Numbers;
use crate::step::StepId;

/// Where in their parents the references to objects are, of which the steps take the place.
pub(crate) struct Column {
    /// Labels; steps, unless there are so many that they are in `long`.
    cells: Vec<AtomicU16>,
    far: FarLabels,
    /// Steps, once there are more than a cell can say; until then empty.
    long: Vec<AtomicU32>,
}

impl Column {
    pub(crate) fn new(labels: Labels) -> Column {
        let (cells, far) = labels.into_parts();
        Column {
            cells,
            far,
            long: Vec::new(),
        }
    }

    /// What the cells of objects say whose steps are not known yet.
    #[inline]
    pub(crate) fn cells(&self, objects: &[u32], to: &mut [u16]) {
        for (to, object) in to.iter_mut().zip(objects) {
            *to = self.cells[*object as usize].load(Relaxed);
        }
    }

    /// What tells labels of objects by their cells, from this position in the tree on.
    pub(crate) fn far_from(&self, position: usize) -> FarLabelsFrom<'_> {
        self.far.from(position as u32)
    }

    /// Makes room for this many steps.
    pub(crate) fn make_room(&mut self, steps: usize) {
        if steps > usize::from(u16::MAX) && self.long.is_empty() {
            let cells = self.cells.par_iter().map(|cell| match cell.load(Relaxed) {
                u16::MAX => NONE,
                cell => cell.into(),
            });
            self.long = cells.map(AtomicU32::new).collect();
        }
    }

    /// Where steps of objects belong if all fit into cells; nothing if not.
    pub(crate) fn short(&self) -> &[AtomicU16] {
        match self.long.is_empty() {
            true => &self.cells,
            false => &[],
        }
    }

    #[inline]
    pub(crate) fn set(&self, object: u32, step: StepId) {
        match self.long.get(object as usize) {
            Some(cell) => cell.store(step.0, Relaxed),
            None => self.cells[object as usize].store(step.0 as u16, Relaxed),
        }
    }

    pub(crate) fn into_numbers(self) -> Numbers {
        match self.long.is_empty() {
            true => Numbers::Short(settled(self.cells)),
            // In place.
            false => Numbers::Long(self.long.into_iter().map(AtomicU32::into_inner).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_the_place_of_labels_whatever_their_number() {
        for steps in [100, 65_535, 65_536, 100_000] {
            let reached = |n: usize| !n.is_multiple_of(5);
            let label = |n: usize| (n % 60_000) as u16;
            let step = |n: usize| (n % steps) as u32;
            let cells = (0..200_000).map(|n| if reached(n) { label(n) } else { u16::MAX });
            let mut column = Column {
                cells: cells.map(AtomicU16::new).collect(),
                far: FarLabels::default(),
                long: Vec::new(),
            };
            for n in (0..200_000).filter(|n| reached(*n)) {
                let mut cell = [0];
                column.cells(&[n as u32], &mut cell);
                assert_eq!(cell, [label(n)]);
                column.make_room((n + 1).min(steps));
                assert_eq!(column.short().is_empty(), n.min(steps - 1) >= 65_535);
                column.set(n as u32, StepId(step(n)));
            }
            let numbers = column.into_numbers();
            assert_eq!(matches!(numbers, Numbers::Long(_)), steps > 65_535);
            let expected = (0..200_000).map(|n| if reached(n) { step(n) } else { NONE });
            assert!(numbers.iter().eq(expected));
        }
    }
}
