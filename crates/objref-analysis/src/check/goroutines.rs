//! Goroutines for rules: those on the same functions together, whatever the lines.

use std::cmp::Reverse;

use objref_snapshot::{Snapshot, Trace};
use rustc_hash::FxHashMap;

use super::baseline::Stacked;
use crate::goroutines::is_internal;
use crate::policy::Subject;
use crate::{Frame, Pattern, Signature};

/// Goroutines of the program on the same functions, in the same state.
pub(super) struct Group {
    pub(super) signature: Signature,
    /// The first one first, without the runtime's own.
    pub(super) functions: Vec<String>,
    pub(super) state: String,
    pub(super) count: u64,
    /// Index of the first.
    pub(super) first: u32,
    /// By index of label sets, how many.
    labels: FxHashMap<u32, u64>,
}

/// All goroutines but the runtime's, the largest groups first.
pub(super) fn groups(snapshot: &Snapshot) -> Vec<Group> {
    let traces = &snapshot.traces;
    let mut numbers: FxHashMap<(Option<Trace>, &str), usize> = FxHashMap::default();
    let mut by_functions: FxHashMap<(Vec<String>, &str), usize> = FxHashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    let list = snapshot.goroutines.list.iter().enumerate();
    for (g, _) in list.filter(|(_, goroutine)| !goroutine.system) {
        let g = g as u32;
        let (of, state) = (&traces.of[g as usize], snapshot.state(g));
        let number = *numbers.entry((of.innermost, state)).or_insert_with(|| {
            let functions = functions(snapshot, of.innermost);
            let next = groups.len();
            let number = *by_functions
                .entry((functions.clone(), state))
                .or_insert(next);
            if number == next {
                groups.push(Group {
                    signature: Signature::of(
                        functions.iter().map(String::as_str),
                        ["goroutine", state],
                    ),
                    functions,
                    state: state.to_owned(),
                    count: 0,
                    first: g,
                    labels: FxHashMap::default(),
                });
            }
            number
        });
        groups[number].count += 1;
        *groups[number].labels.entry(of.labels).or_default() += 1;
    }
    groups.sort_by(|a, b| (Reverse(a.count), &a.functions).cmp(&(Reverse(b.count), &b.functions)));
    groups
}

/// The functions on a stack, the first one first, without the runtime's and those that the compiler made.
fn functions(snapshot: &Snapshot, innermost: Option<Trace>) -> Vec<String> {
    let traces = &snapshot.traces;
    let mut functions = Vec::new();
    let mut at = innermost;
    while let Some(trace) = at {
        let call = traces.call(trace);
        let function = traces.function(call);
        // Wrappers have numbers, and are not there when what they call is inlined into them.
        if !is_internal(function) && !traces.is_wrapper(call) {
            functions.push(function.to_owned());
        }
        at = traces.parent(trace);
    }
    functions.reverse();
    functions
}

impl Group {
    /// How many goroutines of the group are meant.
    pub(super) fn matching(&self, snapshot: &Snapshot, subject: &Subject) -> u64 {
        let Subject::Goroutines {
            function,
            state,
            label,
        } = subject
        else {
            return self.count;
        };
        if !is_meant(
            &self.functions,
            &self.state,
            function.as_ref(),
            state.as_ref(),
        ) {
            return 0;
        }
        let Some((key, value)) = label else {
            return self.count;
        };
        let has = |set: u32| {
            let labels = &snapshot.traces.labels[set as usize];
            let is = |(k, v): &(String, String)| k == key && value.as_ref().is_none_or(|w| w == v);
            labels.iter().any(is)
        };
        let meant = self.labels.iter().filter(|(set, _)| has(**set));
        meant.map(|(_, count)| count).sum()
    }

    /// The stack, the innermost call first.
    pub(super) fn stack(&self, snapshot: &Snapshot) -> Vec<Frame> {
        let traces = &snapshot.traces;
        let mut frames = Vec::new();
        let mut at = traces.of[self.first as usize].innermost;
        while let Some(trace) = at {
            let call = traces.call(trace);
            let (file, line) = traces.file_line(call);
            let function = traces.function(call);
            frames.push(Frame {
                function: function.to_owned(),
                file: file.to_owned(),
                line,
                inlined: traces.is_inlined(call),
                internal: is_internal(function) || traces.is_wrapper(call),
            });
            at = traces.parent(trace);
        }
        frames
    }
}

impl Stacked {
    /// How many goroutines of the group are meant.
    pub(super) fn matching(&self, subject: &Subject) -> u64 {
        match subject {
            Subject::Goroutines {
                function, state, ..
            } => match is_meant(
                &self.functions,
                &self.state,
                function.as_ref(),
                state.as_ref(),
            ) {
                true => self.count,
                false => 0,
            },
            _ => self.count,
        }
    }
}

fn is_meant(
    functions: &[String],
    state: &str,
    function: Option<&Pattern>,
    in_state: Option<&Pattern>,
) -> bool {
    function.is_none_or(|pattern| functions.iter().any(|f| pattern.matches_function(f)))
        && in_state.is_none_or(|pattern| pattern.matches(state))
}
