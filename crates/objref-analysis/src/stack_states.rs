//! What the goroutines on a merged stack do, where all of them do the same.

use objref_snapshot::{Snapshot, StackNode};

use crate::duration;

/// What the goroutines that stand in a function or below it have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State<'a> {
    /// No goroutine yet.
    Nobody,
    /// All of them, and the longest time known in nanoseconds.
    All(&'a str, Option<u64>),
    /// Nothing.
    Mixed,
}

impl State<'_> {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (State::Nobody, state) | (state, State::Nobody) => state,
            (State::All(a, long), State::All(b, other)) if a == b => State::All(a, long.max(other)),
            _ => State::Mixed,
        }
    }
}

/// States by function on the merged stacks.
pub(crate) struct StackStates<'a> {
    snapshot: &'a Snapshot,
    of: Vec<State<'a>>,
}

impl<'a> StackStates<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let stacks = &snapshot.stacks;
        let mut of = vec![State::Nobody; stacks.len()];
        for (g, node) in (0..).zip(stacks.innermost()) {
            let state = State::All(snapshot.state(g), snapshot.waited(g));
            let below = &mut of[node.0 as usize];
            *below = below.join(state);
        }
        // Callers stand before callees.
        for node in (0..of.len()).rev() {
            if let Some(caller) = stacks.parent(StackNode(node as u32)) {
                let above = caller.0 as usize;
                of[above] = of[above].join(of[node]);
            }
        }
        StackStates { snapshot, of }
    }

    /// `[chan receive, ≥ 12 min]` for the outermost function whose goroutines all do the same.
    pub(crate) fn text(&self, node: StackNode) -> Option<String> {
        let caller = self.snapshot.stacks.parent(node);
        let told =
            caller.is_some_and(|caller| matches!(self.of[caller.0 as usize], State::All(..)));
        match self.of[node.0 as usize] {
            State::All(state, longest) if !told => Some(match longest.and_then(duration) {
                Some(longest) => format!("[{state}, ≥ {longest}]"),
                None => format!("[{state}]"),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_common() {
        let recv = State::All("chan receive", Some(7));
        assert_eq!(State::Nobody.join(recv), recv);
        assert_eq!(recv.join(State::All("chan receive", None)), recv);
        assert_eq!(recv.join(State::All("sleep", Some(9))), State::Mixed);
        assert_eq!(State::Mixed.join(State::Nobody), State::Mixed);
    }
}
