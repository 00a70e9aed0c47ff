//! A walk through the dominator tree of the objects, depth first.

use objref_snapshot::{Dominator, Retained, Snapshot};

use crate::Amount;

/// No object.
const NONE: u32 = u32::MAX;

/// A moment of the walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Visit {
    /// Before what the object dominates.
    Enter(u32),
    /// After it.
    Leave(u32),
}

/// Visits each reachable object, and between entering and leaving it all that it dominates.
pub(crate) fn walk(snapshot: &Snapshot, retained: &Retained, mut visit: impl FnMut(Visit)) {
    let above = |object| match retained.dominator(object) {
        Some(Dominator::Object(above)) => Some(above),
        _ => None,
    };
    let order = &snapshot.tree.order;
    let objects = snapshot.objects.len();
    let (mut first, mut next) = (vec![NONE; objects], vec![NONE; objects]);
    for &object in order.iter().rev() {
        if let Some(above) = above(object) {
            next[object as usize] = first[above as usize];
            first[above as usize] = object;
        }
    }
    for &top in order.iter().filter(|object| above(**object).is_none()) {
        let mut at = top;
        'below: loop {
            visit(Visit::Enter(at));
            if first[at as usize] != NONE {
                at = first[at as usize];
                continue;
            }
            loop {
                visit(Visit::Leave(at));
                if next[at as usize] != NONE {
                    at = next[at as usize];
                    break;
                }
                match above(at) {
                    Some(above) => at = above,
                    None => break 'below,
                }
            }
        }
    }
}

/// What each of `sets` sets of objects retains: what those of its objects do that no other of them dominates.
pub(crate) fn retained_by_set(
    snapshot: &Snapshot,
    retained: &Retained,
    sets: usize,
    set_of: impl Fn(u32) -> u32,
) -> Vec<Amount> {
    let mut sums = vec![Amount::default(); sets];
    // Per set: how many of its objects the walk is below, and what it had passed when it came to the first of them.
    let mut open = vec![(0u32, 0u64); sets];
    let mut passed = 0;
    walk(snapshot, retained, |visit| match visit {
        Visit::Enter(object) => {
            let set = set_of(object) as usize;
            if open[set].0 == 0 {
                open[set].1 = passed;
                sums[set].bytes += retained.bytes(object);
            }
            open[set].0 += 1;
            passed += 1;
        }
        Visit::Leave(object) => {
            let set = set_of(object) as usize;
            open[set].0 -= 1;
            if open[set].0 == 0 {
                sums[set].objects += passed - open[set].1;
            }
        }
    });
    sums
}
