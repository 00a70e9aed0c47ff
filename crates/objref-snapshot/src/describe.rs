//! The words by which each object is held in the tree.
//!
//! All threads look for the keys of steps, a piece of the tree each; what a piece found first is numbered when those
//! before it are, so that the numbers are those that one thread would give. Steps to most places have been numbered
//! before, and are known at once.

use std::hint::black_box;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use objref_go::ObjId;
use objref_graph::{BATCH, BfsTree, FarLabels, Labels, NONE};
use objref_mem::Addr;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::numbers::Numbers;
use crate::roots::Root;
use crate::rounds::{Offset, remainder};
use crate::step::{Container, Deciding, Describer, Reference, StepId, StepKey, Steps};

/// Objects per piece of work.
const PIECE: usize = 1 << 14;

/// Pieces that are worked on before new steps are numbered: few while most are new, as many later as keep all threads busy.
const AT_ONCE: (usize, usize) = (4, 64);

/// Steps, numbered in the order in which they are met.
pub(crate) struct Vocabulary<'a, 'p> {
    pub(crate) describer: Describer<'a, 'p>,
    pub(crate) steps: Steps,
    by_key: FxHashMap<StepKey, StepId>,
}

impl<'a, 'p> Vocabulary<'a, 'p> {
    pub(crate) fn new(describer: Describer<'a, 'p>) -> Self {
        Vocabulary {
            describer,
            steps: Steps::default(),
            by_key: FxHashMap::default(),
        }
    }

    pub(crate) fn step(&mut self, key: StepKey) -> StepId {
        *self
            .by_key
            .entry(key)
            .or_insert_with(|| self.steps.intern(self.describer.text(key)))
    }

    /// Per object: the [`StepId`] of the step from its parent in the tree. `labels` say where in its parent the reference is.
    pub(crate) fn describe(&mut self, tree: &BfsTree, labels: Labels, roots: &[Root]) -> Numbers {
        let mut column = Column::new(labels.into_parts());
        column.make_room(self.steps.texts().len());
        for root in roots {
            column.set(root.target.0, root.step);
        }
        let mut known = Known::default();
        let (mut first, (mut at_once, most)) = (tree.roots(), AT_ONCE);
        while first < tree.order.len() {
            let end = tree.order.len().min(first + at_once * PIECE);
            let describer = self.describer;
            let pieces = tree.order[first..end].par_chunks(PIECE).enumerate();
            let keys = pieces.map(|(piece, objects)| {
                let first = first + piece * PIECE;
                keys(describer, tree, first, objects, &column, known.clone())
            });
            let found: Vec<Keys> = keys.collect();
            let mut number = |keys: &Keys| {
                let steps = keys.keys.iter().map(|key| self.step(*key));
                let steps: Vec<StepId> = steps.collect();
                known.learn(&keys.known, &steps);
                steps
            };
            let numbered: Vec<Vec<StepId>> = found.iter().map(&mut number).collect();
            column.make_room(self.steps.texts().len());
            found.par_iter().zip(numbered).for_each(|(keys, steps)| {
                for &(object, index) in &keys.left {
                    column.set(object, steps[index as usize]);
                }
            });
            (first, at_once) = (end, most.min(at_once * 2));
        }
        column.into_numbers()
    }
}

/// Where in their parents the references to objects are, of which the steps take the place.
struct Column {
    /// Labels; steps, unless there are so many that they are in `long`.
    cells: Vec<AtomicU16>,
    far: FarLabels,
    /// Steps, once there are more than a cell can say; until then empty.
    long: Vec<AtomicU32>,
}

impl Column {
    fn new((cells, far): (Vec<u16>, FarLabels)) -> Column {
        Column {
            // In place.
            cells: cells.into_iter().map(AtomicU16::new).collect(),
            far,
            long: Vec::new(),
        }
    }

    /// Where the reference to the object is, which stands at `position` in the tree and whose step is not known yet.
    #[inline]
    fn offset(&self, object: u32, position: usize) -> Offset {
        let cell = self.cells[object as usize].load(Relaxed);
        Offset(self.far.label(cell, position as u32))
    }

    /// Makes room for this many steps.
    fn make_room(&mut self, steps: usize) {
        if steps > usize::from(u16::MAX) && self.long.is_empty() {
            let cells = self.cells.par_iter().map(|cell| match cell.load(Relaxed) {
                u16::MAX => NONE,
                cell => cell.into(),
            });
            self.long = cells.map(AtomicU32::new).collect();
        }
    }

    #[inline]
    fn set(&self, object: u32, step: StepId) {
        match self.long.get(object as usize) {
            Some(cell) => cell.store(step.0, Relaxed),
            None => self.cells[object as usize].store(step.0 as u16, Relaxed),
        }
    }

    fn into_numbers(self) -> Numbers {
        // In place.
        match self.long.is_empty() {
            true => Numbers::Short(self.cells.into_iter().map(AtomicU16::into_inner).collect()),
            false => Numbers::Long(self.long.into_iter().map(AtomicU32::into_inner).collect()),
        }
    }
}

/// The keys of those steps to the objects of a piece that were not known.
struct Keys {
    /// Each once, in the order in which they are met.
    keys: Vec<StepKey>,
    /// The objects, and the index of each one's key.
    left: Vec<(u32, u32)>,
    indices: FxHashMap<StepKey, u32>,
    known: Known,
}

/// The steps to some places, each at the only index where it can be: most references are in one of a few.
#[derive(Clone)]
struct Known {
    places: Vec<(Place, Step)>,
    /// The same for places in interfaces, with the word that tells the type there.
    typed: Vec<((Place, u64), Step)>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            places: vec![(Place::NONE, Step::Target); PLACES],
            typed: vec![((Place::NONE, 0), Step::Target); PLACES],
        }
    }
}

impl Known {
    /// Takes over what a piece has come to know, whose keys have these steps.
    fn learn(&mut self, piece: &Known, steps: &[StepId]) {
        let numbered = |step| match step {
            Step::New(index) => Step::Known(steps[index as usize]),
            step => step,
        };
        for (known, (place, step)) in self.places.iter_mut().zip(&piece.places) {
            *known = (*place, numbered(*step));
        }
        for (known, (place, step)) in self.typed.iter_mut().zip(&piece.typed) {
            *known = (*place, numbered(*step));
        }
    }
}

/// What is known of the step to a place.
#[derive(Clone, Copy)]
enum Step {
    Known(StepId),
    /// It has no number yet: index of its key.
    New(u32),
    /// The word before the pointer decides.
    TypeWord,
    /// The target decides.
    Target,
}

/// A kind of value and an offset in it, in one number.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u64);

/// Places that are remembered.
const PLACES: usize = 1024;

impl Place {
    const NONE: Place = Place(u64::MAX);

    /// `None` for offsets that are too large to be remembered.
    #[inline]
    fn new(container: Container, offset: u64) -> Option<Place> {
        let Container { ty, many } = container;
        let value = u64::from(ty.0 << 1 | u32::from(many)) << 32;
        (offset < 1 << 32).then_some(Place(value | offset))
    }

    /// Where it can be among those remembered; `more` tells apart what is remembered of one place.
    #[inline]
    fn index(self, more: u64) -> usize {
        let value = (self.0 >> 32).wrapping_mul(31) ^ (more >> 3).wrapping_mul(7);
        (value ^ (self.0 as u32 / 8) as u64) as usize % PLACES
    }
}

impl Keys {
    fn new(known: Known) -> Keys {
        Keys {
            keys: Vec::new(),
            left: Vec::new(),
            indices: FxHashMap::default(),
            known,
        }
    }

    fn step(&mut self, key: StepKey) -> Step {
        Step::New(*self.indices.entry(key).or_insert_with(|| {
            self.keys.push(key);
            self.keys.len() as u32 - 1
        }))
    }

    /// The step of all references at this place, or what decides.
    #[inline]
    fn at(&mut self, describer: Describer<'_, '_>, container: Container, offset: u64) -> Step {
        let Some(place) = Place::new(container, offset) else {
            return Step::Target;
        };
        let at = place.index(0);
        let (known, step) = self.known.places[at];
        if known == place {
            return step;
        }
        let step = match describer.deciding(container, offset) {
            Deciding::Nothing(key) => self.step(key),
            Deciding::TypeWord => Step::TypeWord,
            Deciding::Target => Step::Target,
        };
        self.known.places[at] = (place, step);
        step
    }

    /// The step of a reference in an interface with this word before it; `key` tells its key.
    #[inline]
    fn typed(
        &mut self,
        container: Container,
        offset: u64,
        word: u64,
        key: impl FnOnce() -> StepKey,
    ) -> Step {
        let Some(place) = Place::new(container, offset) else {
            return self.step(key());
        };
        let at = place.index(word);
        let (known, step) = self.known.typed[at];
        if known == (place, word) {
            return step;
        }
        let step = self.step(key());
        self.known.typed[at] = ((place, word), step);
        step
    }
}

/// Children of one parent stand together, so that what is known of it is looked up once. `first` is where in the order of
/// the tree `objects` stand. Steps that are known are in the column at once.
fn keys(
    describer: Describer<'_, '_>,
    tree: &BfsTree,
    first: usize,
    objects: &[u32],
    column: &Column,
    known: Known,
) -> Keys {
    let mut keys = Keys::new(known);
    let mut above = tree.parents_at(first);
    let (mut parent, mut start, mut container, mut size) = (NONE, None, None, u64::MAX);
    let mut batch = [(NONE, Offset(0)); BATCH];
    let positions = (first..).step_by(BATCH);
    for (objects, first) in objects.chunks(BATCH).zip(positions) {
        // These loads do not wait for each other.
        let objects_above = objects.iter().zip(&mut above);
        for ((entry, (object, at)), position) in batch.iter_mut().zip(objects_above).zip(first..) {
            *entry = (tree.order[at as usize], column.offset(*object, position));
        }
        let batch = &batch[..objects.len()];
        let views = &describer.infer.views;
        black_box(batch.iter().fold(0, |all, (p, _)| all ^ views.touch(*p)));
        for (&object, &(above, offset)) in objects.iter().zip(batch) {
            if above != parent {
                (parent, start) = (above, None);
                (container, size) = describer.container(ObjId(parent));
            }
            let inside = offset.bytes();
            let known = inside.and(container);
            let inside = inside.unwrap_or(0);
            let offset = remainder(inside, size);
            let mut word = || {
                let start = *start.get_or_insert_with(|| describer.data(ObjId(parent)));
                Addr(start.0.wrapping_add(inside))
            };
            let step = known.map_or(Step::Target, |c| keys.at(describer, c, offset));
            let reference = Reference {
                container: known,
                offset,
                target: ObjId(object),
            };
            let step = match (step, known) {
                (Step::TypeWord, Some(container)) => {
                    let word = word();
                    let before = describer.infer.word(Addr(word.0.wrapping_sub(8)));
                    let key = || describer.key(&reference, || describer.pointer(word));
                    keys.typed(container, offset, before.unwrap_or(0), key)
                }
                (Step::Target | Step::TypeWord, _) => {
                    keys.step(describer.key(&reference, || describer.pointer(word())))
                }
                (step, _) => step,
            };
            match step {
                Step::Known(step) => column.set(object, step),
                Step::New(index) => keys.left.push((object, index)),
                // Those decide about keys, which have been asked for.
                Step::TypeWord | Step::Target => {}
            }
        }
    }
    keys
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
            let mut column = Column::new((cells.collect(), FarLabels::default()));
            for n in (0..200_000).filter(|n| reached(*n)) {
                assert_eq!(column.offset(n as u32, n).0, u32::from(label(n)));
                column.make_room((n + 1).min(steps));
                column.set(n as u32, StepId(step(n)));
            }
            let numbers = column.into_numbers();
            assert_eq!(matches!(numbers, Numbers::Long(_)), steps > 65_535);
            let expected = (0..200_000).map(|n| if reached(n) { step(n) } else { NONE });
            assert!(numbers.iter().eq(expected));
        }
    }
}
