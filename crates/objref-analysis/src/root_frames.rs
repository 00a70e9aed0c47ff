//! The frames of roots.

use objref_go::RootKind;
use objref_snapshot::{Holder, Snapshot, StackNode, short};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::stack_states::StackStates;
use crate::{FrameTree, ROOT_FRAME, thousands};

/// Frames of roots, made when first asked for.
pub(crate) struct RootFrames<'a> {
    snapshot: &'a Snapshot,
    /// What goroutines do; `None` if names do not say how many there are and what they do.
    states: Option<StackStates<'a>>,
    frames: FxHashMap<Holder, u32>,
    /// Roots whose callers have no frames.
    tops: FxHashSet<Holder>,
}

impl<'a> RootFrames<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self::starting_at(snapshot, FxHashSet::default())
    }

    /// Frames without those of the callers of `tops`.
    pub(crate) fn starting_at(snapshot: &'a Snapshot, tops: FxHashSet<Holder>) -> Self {
        RootFrames {
            tops,
            snapshot,
            states: Some(StackStates::new(snapshot)),
            frames: FxHashMap::default(),
        }
    }

    /// Frames with names that are the same in every dump.
    pub(crate) fn names_only(snapshot: &'a Snapshot) -> Self {
        RootFrames {
            tops: FxHashSet::default(),
            snapshot,
            states: None,
            frames: FxHashMap::default(),
        }
    }

    /// The holders that have a frame, and that.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (Holder, u32)> {
        self.frames.iter().map(|(holder, frame)| (*holder, *frame))
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
                _ if self.tops.contains(&holder) => None,
                Holder::Stack(node) => self.snapshot.stacks.parent(node).map(Holder::Stack),
                _ => None,
            };
        }
        while let Some(holder) = missing.pop() {
            let mut name = short(&full_name(self.snapshot, holder));
            if let Holder::Stack(node) = holder {
                name.push_str(&self.goroutines(node));
            }
            let name = tree.intern(&name);
            above = tree.child(above, name);
            tree.set_barrier(above);
            self.frames.insert(holder, above);
        }
        above
    }

    /// The number of goroutines that stand in a function, and what they all do: ` ×100 [sleep]`.
    fn goroutines(&self, node: StackNode) -> String {
        let mut text = String::new();
        let Some(states) = &self.states else {
            return text;
        };
        let goroutines = self.snapshot.stacks.goroutines(node);
        if goroutines > 1 {
            text.push_str(&format!(" ×{}", thousands(u64::from(goroutines))));
        }
        if let Some(state) = states.text(node) {
            text.push_str(&format!(" {state}"));
        }
        text
    }
}

/// A root's name in full: the variable, the function, the kind.
pub(crate) fn full_name(snapshot: &Snapshot, holder: Holder) -> String {
    match holder {
        Holder::Variable(index) => snapshot.variables[index as usize].clone(),
        Holder::Stack(node) => match snapshot.stacks.name(node) {
            name if name.starts_with("goroutine ") => name.to_owned(),
            name => format!("{name}()"),
        },
        Holder::Runtime(kind) => root_kind_frame(kind).to_owned(),
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

/// The names of all that the runtime itself may hold.
pub(crate) fn runtime_roots() -> impl Iterator<Item = String> {
    RootKind::ALL
        .map(|kind| root_kind_frame(kind).to_owned())
        .into_iter()
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
