//! From the snapshot's breadth-first tree to the frames of a flame graph.

use objref_go::{ObjId, RootKind};
use objref_snapshot::{Holder, INSIDE, Snapshot, StackNode, short};
use rustc_hash::FxHashMap;

use crate::stack_states::StackStates;
use crate::{FrameTree, ROOT_FRAME, thousands};

/// Who keeps what alive: each reachable object once, under the shortest chain that holds it.
pub fn frame_tree(snapshot: &Snapshot) -> FrameTree {
    let mut tree = FrameTree::new();
    let steps: Vec<u32> = snapshot
        .steps
        .texts()
        .iter()
        .map(|text| tree.intern(text))
        .collect();
    let mut roots = RootFrames {
        snapshot,
        states: StackStates::new(snapshot),
        frames: FxHashMap::default(),
    };
    // Per object its frame; only those of holders are read again.
    let mut frame_of = vec![ROOT_FRAME; snapshot.tree.parent.len()];
    for root in &snapshot.roots {
        frame_of[root.target.0 as usize] = roots.frame(&mut tree, root.holder);
    }
    for level in 0..snapshot.tree.depth() {
        for &object in snapshot.tree.level(level) {
            let above = match level {
                0 => frame_of[object as usize],
                _ => frame_of[snapshot.tree.parent[object as usize] as usize],
            };
            let frame = match snapshot.step(object) {
                INSIDE => above,
                step => tree.child(above, steps[step.0 as usize]),
            };
            frame_of[object as usize] = frame;
            tree.add(frame, snapshot.objects.size(ObjId(object)), 1, level as u32);
        }
    }
    tree
}

/// Frames of roots, made when first asked for.
struct RootFrames<'a> {
    snapshot: &'a Snapshot,
    states: StackStates<'a>,
    frames: FxHashMap<Holder, u32>,
}

impl RootFrames<'_> {
    fn frame(&mut self, tree: &mut FrameTree, holder: Holder) -> u32 {
        // Callers first; stacks can be deep.
        let mut missing = Vec::new();
        let mut next = Some(holder);
        let mut above = ROOT_FRAME;
        while let Some(holder) = next {
            if let Some(frame) = self.frames.get(&holder) {
                above = *frame;
                break;
            }
            missing.push(holder);
            next = match holder {
                Holder::Stack(node) => self.snapshot.stacks.parent(node).map(Holder::Stack),
                _ => None,
            };
        }
        while let Some(holder) = missing.pop() {
            let name = match holder {
                Holder::Variable(index) => short(&self.snapshot.variables[index as usize]),
                Holder::Runtime(kind) => root_kind_frame(kind).to_owned(),
                Holder::Stack(node) => self.function(node),
            };
            let name = tree.intern(&name);
            above = tree.child(above, name);
            tree.set_barrier(above);
            self.frames.insert(holder, above);
        }
        above
    }

    /// A function on a merged stack, with the number of goroutines that stand in it and what they all do.
    fn function(&self, node: StackNode) -> String {
        let stacks = &self.snapshot.stacks;
        let name = stacks.name(node);
        let mut text = match name.starts_with("goroutine ") {
            true => name.to_owned(),
            false => format!("{}()", short(name)),
        };
        let goroutines = stacks.goroutines(node);
        if goroutines > 1 {
            text.push_str(&format!(" ×{}", thousands(u64::from(goroutines))));
        }
        if let Some(state) = self.states.text(node) {
            text.push_str(&format!(" {state}"));
        }
        text
    }
}

/// The frame of what the runtime itself holds.
fn root_kind_frame(kind: RootKind) -> &'static str {
    match kind {
        RootKind::Global => "(globals)",
        RootKind::Finalizer => "(finalizers)",
        RootKind::FinalizerQueue => "(finalizers due to run)",
        RootKind::Cleanup => "(cleanups)",
        RootKind::CleanupQueue => "(cleanups due to run)",
        RootKind::WeakHandle => "(weak pointer handles)",
        RootKind::TinyBlock => "(open tiny allocator blocks)",
        RootKind::SystemStack => "(system stacks of running threads)",
    }
}

/// The name of a kind of root in tables and JSON; `None` stands for stacks.
pub(crate) fn root_kind_name(kind: Option<RootKind>) -> &'static str {
    match kind {
        None => "stack",
        Some(RootKind::Global) => "global",
        Some(RootKind::Finalizer) => "finalizer",
        Some(RootKind::FinalizerQueue) => "finalizer queue",
        Some(RootKind::Cleanup) => "cleanup",
        Some(RootKind::CleanupQueue) => "cleanup queue",
        Some(RootKind::WeakHandle) => "weak handle",
        Some(RootKind::TinyBlock) => "tiny block",
        Some(RootKind::SystemStack) => "system stack",
    }
}
