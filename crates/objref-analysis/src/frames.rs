//! From the snapshot's breadth-first tree to the frames of a flame graph.

use objref_snapshot::{INSIDE, Retained, Snapshot};

use crate::descend::descend;
use crate::dominated::retained_by_set;
use crate::root_frames::RootFrames;
use crate::{FrameTree, ROOT_FRAME};

/// Who keeps what alive: each reachable object once, under the shortest chain that holds it. With what everything
/// retains, each frame knows what its own objects do.
pub fn frame_tree(snapshot: &Snapshot, retained: Option<&Retained>) -> FrameTree {
    let mut roots = RootFrames::new(snapshot);
    let (mut tree, frame_of) = place(snapshot, &mut roots, retained.is_some());
    let Some(retained) = retained else {
        return tree;
    };
    for (holder, frame) in roots.frames() {
        tree.add_retained(frame, retained.holder_bytes(holder));
    }
    let of = |object| frame_of[object as usize];
    let sums = retained_by_set(snapshot, retained, tree.len(), of);
    for (frame, sum) in (0..).zip(sums) {
        tree.add_retained(frame, sum.bytes);
    }
    tree
}

/// A tree without frames that knows the words of all steps, and per step the name of such a frame.
pub(crate) fn with_steps(snapshot: &Snapshot) -> (FrameTree, Vec<u32>) {
    let mut tree = FrameTree::new();
    let texts = snapshot.steps.texts().iter();
    let names = texts.map(|text| tree.intern(text)).collect();
    (tree, names)
}

/// The tree, and if they are wanted per object its frame; [`ROOT_FRAME`] for those that are not reached.
pub(crate) fn place(
    snapshot: &Snapshot,
    roots: &mut RootFrames<'_>,
    wanted: bool,
) -> (FrameTree, Vec<u32>) {
    let (mut tree, steps) = with_steps(snapshot);
    let objects = if wanted { snapshot.objects.len() } else { 0 };
    let mut frame_of = vec![ROOT_FRAME; objects];
    // One after the other, objects often hang from one frame by one step.
    let mut last = (ROOT_FRAME, INSIDE, ROOT_FRAME);
    // Frames of roots come first, whatever hangs from them. The first level is in the order of the roots.
    let holders = snapshot.roots.iter().map(|root| root.holder);
    let first: Vec<u32> = holders
        .map(|holder| roots.frame(&mut tree, holder))
        .collect();
    descend(snapshot, |above, passing| {
        let above = above.unwrap_or_else(|| first[passing.place]);
        let frame = match passing.step {
            INSIDE => above,
            step if (above, step) == (last.0, last.1) => last.2,
            step => {
                let frame = tree.child(above, steps[step.0 as usize]);
                last = (above, step, frame);
                frame
            }
        };
        if let Some(of) = frame_of.get_mut(passing.object as usize) {
            *of = frame;
        }
        tree.add(frame, passing.bytes, 1, passing.level);
        frame
    });
    (tree, frame_of)
}
