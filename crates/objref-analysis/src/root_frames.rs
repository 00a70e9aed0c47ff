//! The frames of roots.

use objref_go::RootKind;
use objref_snapshot::{Holder, Snapshot, StackNode, short};
use rustc_hash::FxHashMap;

use crate::stack_states::StackStates;
use crate::{FrameTree, ROOT_FRAME, thousands};

/// Frames of roots, made when first asked for.
pub(crate) struct RootFrames<'a> {
    snapshot: &'a Snapshot,
    states: StackStates<'a>,
    frames: FxHashMap<Holder, u32>,
}

impl<'a> RootFrames<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        RootFrames {
            snapshot,
            states: StackStates::new(snapshot),
            frames: FxHashMap::default(),
        }
    }

    /// The frame of `holder`, below those of its callers.
    pub(crate) fn frame(&mut self, tree: &mut FrameTree, holder: Holder) -> u32 {
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
