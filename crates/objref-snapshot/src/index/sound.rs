//! Whether what an index says can be true: every number that leads somewhere leads to something.

use objref_graph::NONE;

use super::IndexError;
use crate::roots::{Holder, NO_GOROUTINE, Root};
use crate::snapshot::Snapshot;

/// What is checked, and whether it holds.
type Check = (&'static str, fn(&Snapshot) -> bool);

/// Checks a snapshot that was read from a file.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), IndexError> {
    // One after the other: the later ones rely on what the earlier ones have found to be so.
    let checks: [Check; 6] = [
        ("tree", |snapshot| {
            snapshot.tree.nodes() == snapshot.objects.len()
        }),
        ("views", views),
        ("steps", steps),
        ("roots", roots),
        ("stacks", |snapshot| {
            snapshot.stacks.is_sound(snapshot.goroutines.list.len())
        }),
        ("traces", |snapshot| {
            snapshot.traces.is_sound(snapshot.goroutines.list.len())
        }),
    ];
    match checks.into_iter().find(|(_, holds)| !holds(snapshot)) {
        Some((what, _)) => Err(IndexError::Damaged { what }),
        None => Ok(()),
    }
}

fn views(snapshot: &Snapshot) -> bool {
    let (views, types) = (&snapshot.views, snapshot.types.len());
    views.column.len() == snapshot.objects.len()
        && !views.distinct.is_empty()
        && views
            .distinct
            .iter()
            .all(|view| (view.ty.0 as usize) < types)
        && views.column.iter().all(|view| view != NONE)
}

fn steps(snapshot: &Snapshot) -> bool {
    let parents = snapshot.tree.parents();
    snapshot.step_of.len() == snapshot.objects.len()
        && snapshot
            .step_of
            .iter()
            .zip(parents)
            .all(|(step, parent)| (step == NONE) == (*parent == NONE))
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
