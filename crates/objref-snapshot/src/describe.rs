//! The words by which each object is held in the tree.
//!
//! All threads look for the keys of steps, a piece of the tree each; what a piece found first is numbered when those
//! before it are, so that the numbers are those that one thread would give. Steps to most places have been numbered
//! before, and are known at once.

use std::borrow::Cow;
use std::sync::atomic::Ordering::Relaxed;

use objref_go::ObjId;
use objref_graph::{BATCH, BfsTree, FarLabels, Labels, NONE};
use objref_mem::Addr;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::follow::{Offset, remainder};
use crate::known::{At, Known, Place, Step, Values};
use crate::numbers::Numbers;
use crate::roots::Root;
use crate::step::{Container, Deciding, Describer, Reference, StepId, StepKey, Steps};
use crate::step_column::Column;

/// Objects per piece of work.
const PIECE: usize = 1 << 14;

/// Pieces that are worked on before new steps are numbered: few while most are new, as many later for each thread as keep
/// all of them busy.
const AT_ONCE: (usize, usize) = (4, 8);

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
        let mut column = Column::new(labels);
        column.make_room(self.steps.texts().len());
        for root in roots {
            column.set(root.target.0, root.step);
        }
        let values = Values::new(self.describer);
        let mut known = Known::default();
        let (mut at_once, most) = (AT_ONCE.0, AT_ONCE.1 * rayon::current_num_threads());
        let mut first = tree.roots();
        while first < tree.order.len() {
            let end = tree.order.len().min(first + at_once * PIECE);
            let naming = Naming {
                describer: self.describer,
                tree,
                column: &column,
                values: &values,
                by_key: &self.by_key,
            };
            let pieces = tree.order[first..end].par_chunks(PIECE).enumerate();
            let keys =
                pieces.map(|(piece, objects)| naming.keys(first + piece * PIECE, objects, &known));
            let found: Vec<Found> = keys.collect();
            let mut number = |found: &Found| {
                let steps = found.keys.iter().map(|key| self.step(*key));
                let steps: Vec<StepId> = steps.collect();
                if let Some(learned) = &found.learned {
                    known.learn(learned, &steps);
                }
                steps
            };
            let numbered: Vec<Vec<StepId>> = found.iter().map(&mut number).collect();
            column.make_room(self.steps.texts().len());
            found.par_iter().zip(numbered).for_each(|(found, steps)| {
                for &(object, index) in &found.left {
                    column.set(object, steps[index as usize]);
                }
            });
            (first, at_once) = (end, most.min(at_once * 2));
        }
        column.into_numbers()
    }
}

/// What steps are named by.
#[derive(Clone, Copy)]
struct Naming<'a, 'p> {
    describer: Describer<'a, 'p>,
    tree: &'a BfsTree,
    column: &'a Column,
    values: &'a Values,
    /// Those that have been numbered.
    by_key: &'a FxHashMap<StepKey, StepId>,
}

/// The keys of those steps to the objects of a piece that were not known.
struct Keys<'k> {
    /// Each once, in the order in which they are met.
    keys: Vec<StepKey>,
    /// The objects, and the index of each one's key.
    left: Vec<(u32, u32)>,
    indices: FxHashMap<StepKey, u32>,
    /// Most pieces learn nothing.
    known: Cow<'k, Known>,
}

/// What came of the [`Keys`] of a piece.
struct Found {
    keys: Vec<StepKey>,
    left: Vec<(u32, u32)>,
    /// What is known now, if that is more than before.
    learned: Option<Known>,
}

/// An object that others hang from.
struct Parent {
    /// [`NONE`] for a start.
    object: ObjId,
    container: Option<Container>,
    /// Of the values in it: see [`Describer::container`].
    size: u64,
    /// Where its data starts, once somebody asked.
    start: Option<Addr>,
}

impl Default for Parent {
    fn default() -> Parent {
        Parent {
            object: ObjId(NONE),
            container: None,
            size: u64::MAX,
            start: None,
        }
    }
}

/// An object whose step is not known at once.
struct Child {
    object: u32,
    /// Where in the parent the reference is.
    label: u32,
    /// The same in the first of the values in it.
    place: Place,
}

impl Naming<'_, '_> {
    /// The keys of the steps to `objects`, of which the first stands at `first` in the order of the tree. Steps that are known
    /// are in the column at once.
    fn keys(self, first: usize, objects: &[u32], known: &Known) -> Found {
        let mut keys = Keys {
            keys: Vec::new(),
            left: Vec::new(),
            indices: FxHashMap::default(),
            known: Cow::Borrowed(known),
        };
        let mut above = self.tree.parent_nodes_at(first);
        let mut far = self.column.far_from(first);
        let mut parent = Parent::default();
        let (mut parents, mut numbers, mut cells) = ([0; BATCH], [0; BATCH], [0; BATCH]);
        for (batch, objects) in objects.chunks(BATCH).enumerate() {
            // Here no load waits for another.
            let len = above.fill(&mut parents);
            let views = &self.describer.infer.views;
            views.numbers(&parents[..len], &mut numbers);
            self.column.cells(objects, &mut cells);
            let (short, known, values) = (self.column.short(), &*keys.known, self.values);
            let (mut left, mut count) = ([0; BATCH], 0);
            let related = objects.iter().zip(&numbers).zip(&cells);
            for (index, ((&object, &number), &cell)) in related.enumerate() {
                let step = known.short(values.near(number, cell));
                match (step, short.get(object as usize)) {
                    (Some(step), Some(to)) if !FarLabels::is_far(cell) => to.store(step, Relaxed),
                    _ => {
                        left[count % BATCH] = index;
                        count += 1;
                    }
                }
            }
            for &index in &left[..count] {
                let (number, cell) = (numbers[index], cells[index]);
                let label = far.label(cell, (first + batch * BATCH + index) as u32);
                let place = match FarLabels::is_far(cell) {
                    false => self.values.near(number, cell),
                    true => self.values.far(number, label),
                };
                let child = Child {
                    object: objects[index],
                    label,
                    place,
                };
                // Children of one parent stand together.
                let above = ObjId(parents[index]);
                if parent.object != above {
                    parent = self.parent(above);
                }
                match self.search(&mut keys, &child, &mut parent) {
                    Step::Known(step) => self.column.set(child.object, step),
                    Step::New(index) => keys.left.push((child.object, index)),
                }
            }
        }
        Found {
            keys: keys.keys,
            left: keys.left,
            learned: match keys.known {
                Cow::Owned(known) => Some(known),
                Cow::Borrowed(_) => None,
            },
        }
    }

    /// What is known of an object that others hang from.
    fn parent(self, object: ObjId) -> Parent {
        let (container, size) = self.describer.container(object);
        Parent {
            object,
            container,
            size,
            start: None,
        }
    }

    /// The step to an object.
    fn search(self, keys: &mut Keys<'_>, child: &Child, parent: &mut Parent) -> Step {
        let describer = self.describer;
        let inside = Offset(child.label).bytes();
        let container = inside.and(parent.container);
        let inside = inside.unwrap_or(0);
        let holder = parent.object;
        let start = &mut parent.start;
        let mut word = || {
            let start = *start.get_or_insert_with(|| describer.data(holder));
            Addr(start.0.wrapping_add(inside))
        };
        let reference = || Reference {
            container,
            offset: remainder(inside, parent.size),
            target: ObjId(child.object),
        };
        let at = match (keys.known.at(child.place), container) {
            (Some(at), _) => at,
            (None, Some(container)) => self.at(keys, child.place, container, reference().offset),
            (None, None) => At::Target,
        };
        match at {
            At::One(step) => step,
            At::TypeWord => {
                let word = word();
                let before = describer.infer.word(Addr(word.0.wrapping_sub(8)));
                let before = before.unwrap_or(0);
                if let Some(step) = keys.known.typed(child.place, before) {
                    return step;
                }
                let step = self.step(
                    keys,
                    describer.key(&reference(), || describer.pointer(word)),
                );
                if self.values.remember(child.place) {
                    keys.known.to_mut().set_typed(child.place, before, step);
                }
                step
            }
            At::Target => self.step(
                keys,
                describer.key(&reference(), || describer.pointer(word())),
            ),
        }
    }

    /// The step of all references at this place, or what decides.
    fn at(self, keys: &mut Keys<'_>, place: Place, container: Container, offset: u64) -> At {
        let at = match self.describer.deciding(container, offset) {
            Deciding::Nothing(key) => At::One(self.step(keys, key)),
            Deciding::TypeWord => At::TypeWord,
            Deciding::Target => At::Target,
        };
        if self.values.remember(place) {
            keys.known.to_mut().set(place, at);
        }
        at
    }

    fn step(self, keys: &mut Keys<'_>, key: StepKey) -> Step {
        match self.by_key.get(&key) {
            Some(step) => Step::Known(*step),
            None => Step::New(*keys.indices.entry(key).or_insert_with(|| {
                keys.keys.push(key);
                keys.keys.len() as u32 - 1
            })),
        }
    }
}
