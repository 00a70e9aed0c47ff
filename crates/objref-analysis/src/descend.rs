//! Down the breadth-first tree, from each object to those below it.
//!
//! Something is wanted of every object that follows from what it is of its parent and from the step that leads to it: the
//! frame that it is drawn in, the kind of root that holds it. Few pairs of such a value and a step serve many objects, which
//! are merged by them.

use objref_go::ObjId;
use objref_snapshot::{Snapshot, StepId};

use crate::Amount;
use crate::merge::{BATCH, Key, Merge, PARALLEL, Values, merge};

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
        descent,
        level: 0,
    };
    let roots = first.len();
    let first = Values::Few(first);
    let mut above = match roots < PARALLEL {
        true => way.narrow(tree.level(0), &first, 0..roots),
        false => way.wide(tree.level(0), first, |start| start..roots),
    };
    // Narrow levels are many, and go on where the one before ended.
    let mut at = tree.roots();
    let mut parents = tree.parents_at(at);
    for level in 1..tree.depth() {
        let (start, objects) = (tree.levels[level] as usize, tree.level(level));
        let first = tree.levels[level - 1];
        let place = |parent: u32| (parent - first) as usize;
        way.level = level as u32;
        above = if objects.len() < PARALLEL {
            if at != start {
                parents = tree.parents_at(start);
            }
            at = start + objects.len();
            way.narrow(objects, &above, parents.by_ref().map(place))
        } else {
            way.wide(objects, above, |inside| {
                tree.parents_at(start + inside).map(place)
            })
        };
    }
}

/// A descent on its way.
struct Way<'s, D> {
    snapshot: &'s Snapshot,
    descent: &'s mut D,
    level: u32,
}

impl<D: Descent> Way<'_, D> {
    /// The values of the `objects` of a level, by one thread. `values` are those of the level above, and `parents` tells of
    /// each object where among those stands the one that it hangs from.
    fn narrow(
        &mut self,
        objects: &[u32],
        values: &Values,
        parents: impl Iterator<Item = usize>,
    ) -> Values {
        let mut this = Vec::with_capacity(objects.len());
        let Way {
            snapshot,
            descent,
            level,
        } = self;
        look_up(snapshot, objects, parents, |object, parent, step, bytes| {
            let value = descent.follow(values.get(parent), step);
            descent.add(value, Amount { bytes, objects: 1 }, *level);
            descent.place(object, value);
            this.push(value);
        });
        Values::Few(this)
    }

    /// The same by all threads; `parents` tells it for the objects from the given one on.
    fn wide<P: Iterator<Item = usize>>(
        &mut self,
        objects: &[u32],
        values: Values,
        parents: impl Fn(usize) -> P + Sync,
    ) -> Values {
        let mut level = Level {
            way: self,
            values,
            parents,
        };
        merge(objects, &mut level)
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

impl<D, I, P> Merge for Level<'_, '_, D, P>
where
    D: Descent,
    I: Iterator<Item = usize>,
    P: Fn(usize) -> I + Sync,
{
    type Key = (u32, StepId);

    #[inline]
    fn keys(&self, first: usize, objects: &[u32], mut visit: impl FnMut(Self::Key, u64)) {
        let parents = (self.parents)(first);
        look_up(
            self.way.snapshot,
            objects,
            parents,
            |_, parent, step, bytes| {
                visit((self.values.get(parent), step), bytes);
            },
        );
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

/// Calls `visit` with each of `objects`, its parent, the step from there and its size.
#[inline]
fn look_up(
    snapshot: &Snapshot,
    objects: &[u32],
    mut parents: impl Iterator<Item = usize>,
    mut visit: impl FnMut(u32, usize, StepId, u64),
) {
    let mut batch = [(StepId(0), 0); BATCH];
    for objects in objects.chunks(BATCH) {
        for (entry, &object) in batch.iter_mut().zip(objects) {
            let bytes = snapshot.objects.size(ObjId(object));
            *entry = (snapshot.step(object), bytes);
        }
        for (&object, &(step, bytes)) in objects.iter().zip(&batch) {
            // There are as many parents as objects.
            let Some(parent) = parents.next() else { return };
            visit(object, parent, step, bytes);
        }
    }
}
