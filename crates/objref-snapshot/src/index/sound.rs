//! Whether what an index says can be true: every number that leads somewhere leads to something.

use objref_graph::{NONE, ROOT};

use super::IndexError;
use crate::roots::{Holder, NO_GOROUTINE, Root};
use crate::snapshot::Snapshot;

/// Checks a snapshot that was read from a file.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), IndexError> {
    let goroutines = snapshot.goroutines.list.len();
    for (what, holds) in [
        ("tree", tree(snapshot)),
        ("types", snapshot.types.is_sound()),
        ("views", views(snapshot)),
        ("steps", steps(snapshot)),
        ("roots", roots(snapshot)),
        ("stacks", snapshot.stacks.is_sound(goroutines)),
        ("traces", snapshot.traces.is_sound(goroutines)),
    ] {
        if !holds {
            return Err(IndexError::Damaged { what });
        }
    }
    Ok(())
}

/// Levels are parts of the order, in which each object stands once, and one level behind its parent; those of one level
/// stand in the order of their parents.
fn tree(snapshot: &Snapshot) -> bool {
    let (tree, objects) = (&snapshot.tree, snapshot.objects.len());
    let ends_right = tree.levels.first() == Some(&0)
        && tree
            .levels
            .last()
            .is_some_and(|end| *end as usize == tree.order.len())
        && tree.levels.is_sorted_by(|a, b| a < b);
    if !ends_right || tree.parent.len() != objects {
        return false;
    }
    let mut level_of = vec![NONE; objects];
    for level in 0..tree.depth() {
        for &object in tree.level(level) {
            match level_of.get_mut(object as usize) {
                Some(of) if *of == NONE => *of = level as u32,
                _ => return false,
            }
        }
    }
    let near = tree
        .parent
        .iter()
        .zip(&level_of)
        .all(|(&parent, &level)| match parent {
            NONE => level == NONE,
            ROOT => level == 0,
            parent => match level_of.get(parent as usize) {
                Some(&above) => above != NONE && level != NONE && above + 1 == level,
                None => false,
            },
        });
    near && (1..tree.depth()).all(|level| {
        let mut parents = tree.level(level - 1).iter();
        let mut last = NONE;
        tree.level(level).iter().all(|object| {
            let parent = tree.parent[*object as usize];
            let same = std::mem::replace(&mut last, parent) == parent;
            same || parents.any(|above| *above == parent)
        })
    })
}

fn views(snapshot: &Snapshot) -> bool {
    let (views, types) = (&snapshot.views, snapshot.types.len());
    views.column.len() == snapshot.objects.len()
        && !views.distinct.is_empty()
        && views
            .distinct
            .iter()
            .all(|view| (view.ty.0 as usize) < types)
        && views
            .column
            .iter()
            .all(|view| (*view as usize) < views.distinct.len())
}

fn steps(snapshot: &Snapshot) -> bool {
    let texts = snapshot.steps.texts().len();
    let reached = |object: usize| snapshot.tree.is_reached(object as u32);
    snapshot.step_of.len() == snapshot.objects.len()
        && snapshot
            .step_of
            .iter()
            .enumerate()
            .all(|(object, step)| (step.0 as usize) < texts || (step.0 == NONE && !reached(object)))
}

fn roots(snapshot: &Snapshot) -> bool {
    let root = |root: &Root| {
        let holder = match root.holder {
            Holder::Variable(index) => (index as usize) < snapshot.variables.len(),
            Holder::Stack(node) => (node.0 as usize) < snapshot.stacks.len(),
            Holder::Runtime(_) => true,
        };
        holder
            && snapshot.objects.len() > root.target.0 as usize
            && snapshot.steps.texts().len() > root.step.0 as usize
            && (root.place.goroutine == NO_GOROUTINE
                || snapshot.goroutines.list.len() > root.place.goroutine as usize)
    };
    let first = match snapshot.tree.depth() {
        0 => &[],
        _ => snapshot.tree.level(0),
    };
    snapshot
        .roots
        .iter()
        .map(|root| root.target.0)
        .eq(first.iter().copied())
        && snapshot.roots.iter().chain(&snapshot.other_roots).all(root)
}
