//! Down the breadth-first tree, from each object to those below it.
//!
//! Something is wanted of every object that follows from what it is of its parent and from the step that leads to it: the
//! frame that it is drawn in, the kind of root that holds it. Few pairs of such a value and a step serve many objects, which
//! are merged by them.

use std::mem;

use objref_graph::{BfsTree, Positions};
use objref_snapshot::{INSIDE, Snapshot, StepId};

use crate::Amount;
use crate::merge::{BATCH, Key, Merge, PARALLEL, Values, merge};
use crate::sizes::Sizes;

/// What becomes of the values.
pub(crate) trait Descent: Sync {
    /// The value of objects below `above` by `step`.
    fn follow(&mut self, above: u32, step: StepId) -> u32;

    /// So much more has this value, `level` references away from a root.
    fn add(&mut self, value: u32, amount: Amount, level: u32);

    /// Whether [`Descent::place`] does anything: otherwise it need not be told.
    fn is_placed(&self) -> bool {
        false
    }

    /// This is the value of the object. Objects come in no order.
    fn place(&self, _object: u32, _value: u32) {}
}

/// Takes `descent` to every reachable object, nearest first. `first` are the values above the objects that roots refer
/// to.
pub(crate) fn descend<D: Descent>(snapshot: &Snapshot, first: Vec<u32>, descent: &mut D) {
    let tree = &snapshot.tree;
    if tree.depth() == 0 {
        return;
    }
    let mut way = Way {
        snapshot,
        sizes: Sizes::new(&snapshot.objects),
        descent,
        level: 0,
    };
    let mut above = Values::Few(first);
    let (mut batch, mut this) = (Batch::default(), Vec::new());
    if tree.roots() < PARALLEL {
        let mut parents = Parents::of_roots(0);
        way.narrow(tree.level(0), &above, &mut parents, &mut batch, &mut this);
        above = Values::Few(mem::take(&mut this));
    } else {
        above = way.wide(tree.level(0), above, Parents::of_roots);
    }
    // Narrow levels are many, and go on where the one before ended.
    let mut at = tree.roots();
    let mut parents = Parents::of(tree, at, 0);
    for level in 1..tree.depth() {
        let (start, objects) = (tree.levels[level] as usize, tree.level(level));
        let first = tree.levels[level - 1];
        way.level = level as u32;
        if objects.len() < PARALLEL {
            if at != start {
                parents = Parents::of(tree, start, first);
            }
            at = start + objects.len();
            parents.first = first;
            way.narrow(objects, &above, &mut parents, &mut batch, &mut this);
            let values = Values::Few(mem::take(&mut this));
            if let Values::Few(done) = mem::replace(&mut above, values) {
                // Its memory serves the next level.
                this = done;
            }
        } else {
            above = way.wide(objects, above, |inside| {
                Parents::of(tree, start + inside, first)
            });
        }
    }
}

/// Tells of one object after the other where among the values of the level above that of its parent stands.
struct Parents<'s> {
    /// Where the parents stand in the order of the search; `None` for roots, above each of which there is a value of its own.
    positions: Option<Positions<'s>>,
    /// Where the level above starts; the index of the next root.
    first: u32,
}

impl<'s> Parents<'s> {
    /// Of the objects that stand from `position` on; the level above them starts at `first`.
    fn of(tree: &'s BfsTree, position: usize, first: u32) -> Self {
        Parents {
            positions: Some(tree.parents_at(position)),
            first,
        }
    }

    /// Of the roots from this one on.
    fn of_roots(first: usize) -> Self {
        Parents {
            positions: None,
            first: first as u32,
        }
    }

    #[inline]
    fn fill(&mut self, to: &mut [u32]) {
        match &mut self.positions {
            Some(positions) => {
                positions.fill(to);
                to.iter_mut().for_each(|position| *position -= self.first);
            }
            None => {
                to.iter_mut()
                    .zip(self.first..)
                    .for_each(|(to, root)| *to = root);
                self.first += to.len() as u32;
            }
        }
    }
}

/// What is looked up of objects, some at a time: none of the loads waits for another.
struct Batch {
    /// The values of what they hang from.
    above: [u32; BATCH],
    steps: [StepId; BATCH],
    bytes: [u64; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            above: [0; BATCH],
            steps: [INSIDE; BATCH],
            bytes: [0; BATCH],
        }
    }
}

/// A descent on its way.
struct Way<'s, D> {
    snapshot: &'s Snapshot,
    sizes: Sizes<'s>,
    descent: &'s mut D,
    level: u32,
}

impl<D: Descent> Way<'_, D> {
    /// Puts the values of the `objects` of a level into `this`, by one thread. `values` are those of the level above.
    fn narrow(
        &mut self,
        objects: &[u32],
        values: &Values,
        parents: &mut Parents<'_>,
        batch: &mut Batch,
        this: &mut Vec<u32>,
    ) {
        this.clear();
        for objects in objects.chunks(BATCH) {
            self.look_up(objects, values, parents, batch);
            for (index, &object) in objects.iter().enumerate() {
                let value = self.descent.follow(batch.above[index], batch.steps[index]);
                let bytes = batch.bytes[index];
                let amount = Amount { bytes, objects: 1 };
                self.descent.add(value, amount, self.level);
                self.descent.place(object, value);
                this.push(value);
            }
        }
    }

    /// The values of the `objects` of a level, by all threads; `parents` are those of the objects from the given one on.
    fn wide<'p>(
        &mut self,
        objects: &[u32],
        values: Values,
        parents: impl Fn(usize) -> Parents<'p> + Sync,
    ) -> Values {
        let mut level = Level {
            way: self,
            values,
            parents,
        };
        merge(objects, &mut level)
    }

    /// Looks up what there is to know of `objects`, [`BATCH`] at most.
    #[inline]
    fn look_up(
        &self,
        objects: &[u32],
        values: &Values,
        parents: &mut Parents<'_>,
        batch: &mut Batch,
    ) {
        let above = &mut batch.above[..objects.len()];
        parents.fill(above);
        values.gather(above);
        self.snapshot.steps_to(objects, &mut batch.steps);
        self.sizes.gather(objects, &mut batch.bytes);
    }
}

/// A level of a descent.
struct Level<'w, 's, D, P> {
    way: &'w mut Way<'s, D>,
    /// The values of the level above.
    values: Values,
    parents: P,
}

impl Key for (u32, StepId) {
    #[inline]
    fn mix(self) -> u32 {
        self.0.wrapping_mul(31) ^ self.1.0
    }
}

impl<'p, D, P> Merge for Level<'_, '_, D, P>
where
    D: Descent,
    P: Fn(usize) -> Parents<'p> + Sync,
{
    type Key = (u32, StepId);

    #[inline]
    fn keys(&self, first: usize, objects: &[u32], mut visit: impl FnMut(Self::Key, u64)) {
        let mut parents = (self.parents)(first);
        let mut batch = Batch::default();
        for objects in objects.chunks(BATCH) {
            self.way
                .look_up(objects, &self.values, &mut parents, &mut batch);
            let related = batch.above.iter().zip(&batch.steps).zip(&batch.bytes);
            for (_, ((&above, &step), &bytes)) in objects.iter().zip(related) {
                visit((above, step), bytes);
            }
        }
    }

    fn settle(&mut self, (above, step): Self::Key, amount: Amount) -> u32 {
        let Way { descent, level, .. } = &mut *self.way;
        let value = descent.follow(above, step);
        descent.add(value, amount, *level);
        value
    }

    fn is_placed(&self) -> bool {
        self.way.descent.is_placed()
    }

    #[inline]
    fn place(&self, object: u32, _: Self::Key, value: u32) {
        self.way.descent.place(object, value);
    }
}
