//! From the snapshot's breadth-first tree to the frames of a flame graph.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use objref_snapshot::{INSIDE, Retained, Snapshot, StepId};

use crate::descend::{Descent, descend};
use crate::dominated::retained_by_set;
use crate::root_frames::RootFrames;
use crate::{Amount, FrameTree, ROOT_FRAME};

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
    // Frames of roots come first, whatever hangs from them. The first level is in the order of the roots.
    let holders = snapshot.roots.iter().map(|root| root.holder);
    let first: Vec<u32> = holders
        .map(|holder| roots.frame(&mut tree, holder))
        .collect();
    let objects = if wanted { snapshot.objects.len() } else { 0 };
    let mut frames = Frames {
        tree,
        steps,
        last: (ROOT_FRAME, INSIDE, ROOT_FRAME),
        frame_of: (0..objects).map(|_| AtomicU32::new(ROOT_FRAME)).collect(),
    };
    descend(snapshot, first, &mut frames);
    let frame_of = frames.frame_of.into_iter().map(AtomicU32::into_inner);
    (frames.tree, frame_of.collect())
}

/// From frame to frame.
struct Frames {
    tree: FrameTree,
    /// Per step the name of its frame.
    steps: Vec<u32>,
    /// One after the other, objects often hang from one frame by one step.
    last: (u32, StepId, u32),
    /// Per object its frame, if that is wanted.
    frame_of: Vec<AtomicU32>,
}

impl Descent for Frames {
    fn follow(&mut self, above: u32, step: StepId) -> u32 {
        if step == INSIDE {
            return above;
        }
        if (above, step) != (self.last.0, self.last.1) {
            let frame = self.tree.child(above, self.steps[step.0 as usize]);
            self.last = (above, step, frame);
        }
        self.last.2
    }

    fn add(&mut self, frame: u32, amount: Amount, level: u32) {
        self.tree.add(frame, amount.bytes, amount.objects, level);
    }

    fn is_placed(&self) -> bool {
        !self.frame_of.is_empty()
    }

    fn place(&self, object: u32, frame: u32) {
        if let Some(of) = self.frame_of.get(object as usize) {
            of.store(frame, Relaxed);
        }
    }
}
