//! From the snapshot's breadth-first tree to the frames of a flame graph.

use objref_go::ObjId;
use objref_snapshot::{INSIDE, Retained, Snapshot};

use crate::dominated::retained_by_set;
use crate::root_frames::RootFrames;
use crate::{FrameTree, ROOT_FRAME};

/// Who keeps what alive: each reachable object once, under the shortest chain that holds it. With what everything
/// retains, each frame knows what its own objects do.
pub fn frame_tree(snapshot: &Snapshot, retained: Option<&Retained>) -> FrameTree {
    let mut roots = RootFrames::new(snapshot);
    let (mut tree, frame_of) = place(snapshot, &mut roots);
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

/// The tree, and per object its frame; [`ROOT_FRAME`] for those that are not reached.
pub(crate) fn place(snapshot: &Snapshot, roots: &mut RootFrames<'_>) -> (FrameTree, Vec<u32>) {
    let mut tree = FrameTree::new();
    let steps: Vec<u32> = snapshot
        .steps
        .texts()
        .iter()
        .map(|text| tree.intern(text))
        .collect();
    let mut frame_of = vec![ROOT_FRAME; snapshot.tree.parent.len()];
    for root in &snapshot.roots {
        frame_of[root.target.0 as usize] = roots.frame(&mut tree, root.holder);
    }
    // One after the other, objects often hang from one frame by one step.
    let mut last = (ROOT_FRAME, INSIDE, ROOT_FRAME);
    for level in 0..snapshot.tree.depth() {
        for &object in snapshot.tree.level(level) {
            let above = match level {
                0 => frame_of[object as usize],
                _ => frame_of[snapshot.tree.parent[object as usize] as usize],
            };
            let frame = match snapshot.step(object) {
                INSIDE => above,
                step if (above, step) == (last.0, last.1) => last.2,
                step => {
                    let frame = tree.child(above, steps[step.0 as usize]);
                    last = (above, step, frame);
                    frame
                }
            };
            frame_of[object as usize] = frame;
            tree.add(frame, snapshot.objects.size(ObjId(object)), 1, level as u32);
        }
    }
    (tree, frame_of)
}
