//! Down the breadth-first tree, from each object to those below it.

use objref_go::ObjId;
use objref_snapshot::{Snapshot, StepId};
use rayon::prelude::*;

/// Objects that are fetched while those before them are visited.
const PIECE: usize = 1 << 15;

/// An object on the way down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passing {
    pub(crate) object: u32,
    /// Shallow size.
    pub(crate) bytes: u64,
    /// The step from its parent, or from the root.
    pub(crate) step: StepId,
    /// How many references away from a root it is.
    pub(crate) level: u32,
    /// Where it stands in the order of the tree.
    pub(crate) place: usize,
    parent: u32,
}

/// Calls `visit` with every reachable object, nearest first, and with what it returned for the object's parent; `None`
/// for those that roots refer to.
///
/// One after the other, but what has to be fetched from all over memory is fetched before, by all threads.
pub(crate) fn descend<T: Copy + Send>(
    snapshot: &Snapshot,
    mut visit: impl FnMut(Option<T>, &Passing) -> T + Send,
) {
    let tree = &snapshot.tree;
    let fetch = |objects: &[u32]| -> Vec<Passing> {
        let fetched = objects
            .par_iter()
            .with_min_len(PIECE / 8)
            .map(|&object| Passing {
                object,
                bytes: snapshot.objects.size(ObjId(object)),
                step: snapshot.step(object),
                parent: tree.parent[object as usize],
                level: 0,
                place: 0,
            });
        fetched.collect()
    };
    let mut pieces = tree.order.chunks(PIECE);
    let mut next = pieces.next().map(fetch);
    let (mut place, mut level) = (0, 0);
    // Children stand in the order of their parents: whose turn it is among those of the level above.
    let (mut above, mut turn, mut this): (Vec<T>, usize, Vec<T>) = (Vec::new(), 0, Vec::new());
    while let Some(piece) = next.take() {
        let ahead = pieces.next();
        let visit_piece = || {
            for mut passing in piece {
                if place == tree.levels[level + 1] as usize {
                    level += 1;
                    turn = 0;
                    std::mem::swap(&mut above, &mut this);
                    this.clear();
                }
                let from = match level {
                    0 => None,
                    _ => {
                        let parents = tree.level(level - 1);
                        while parents[turn] != passing.parent {
                            turn += 1;
                        }
                        Some(above[turn])
                    }
                };
                (passing.level, passing.place) = (level as u32, place);
                this.push(visit(from, &passing));
                place += 1;
            }
        };
        ((), next) = rayon::join(visit_piece, || ahead.map(fetch));
    }
}
