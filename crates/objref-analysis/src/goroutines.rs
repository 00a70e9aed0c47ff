//! From the snapshot to the listing of goroutines.

use std::cmp::Reverse;

use objref_go::{Goroutine, ObjId};
use objref_snapshot::{CallId, NO_GOROUTINE, Snapshot, Trace};
use regex::Regex;
use rustc_hash::FxHashMap;

use crate::{
    Amount, CreatorCount, Frame, GOROUTINES_SCHEMA_VERSION, GoroutineGroup, GoroutineReport,
    GoroutineRow, GroupBy, LabelCount, Stack, StateCount, Tool, label_set,
};

/// Which goroutines to list, and how.
#[derive(Clone, Debug, Default)]
pub struct GoroutineOptions {
    /// Each by itself, those of the runtime too.
    pub all: bool,
    /// Those of the runtime too.
    pub system: bool,
    /// By what to put them together.
    pub group_by: GroupBy,
    /// Only those with a function on their stacks that this matches.
    pub filter: Option<Regex>,
    /// So many groups or goroutines at most.
    pub limit: Option<usize>,
}

/// The goroutines of the dump.
pub fn goroutines(snapshot: &Snapshot, options: &GoroutineOptions) -> GoroutineReport {
    let list = &snapshot.goroutines.list;
    let system_hidden = !options.all && !options.system;
    let mut lister = Lister {
        snapshot,
        heap: first_reached(snapshot),
        stacks: Vec::new(),
        stack_ids: FxHashMap::default(),
    };
    let mut matches = FxHashMap::default();
    let selected: Vec<u32> = (0..list.len() as u32)
        .filter(|g| !(system_hidden && list[*g as usize].system))
        .filter(|g| match &options.filter {
            Some(filter) => lister.matches(*g, filter, &mut matches),
            None => true,
        })
        .collect();
    let mut report = GoroutineReport {
        schema_version: GOROUTINES_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        total: list.len() as u64,
        system: list.iter().filter(|g| g.system).count() as u64,
        selected: selected.len() as u64,
        unreadable: snapshot.goroutines.unreadable as u64,
        partly_read: snapshot.traces.of.iter().filter(|t| !t.whole).count() as u64,
        system_hidden,
        filter: options.filter.as_ref().map(|f| f.as_str().to_owned()),
        group_by: options.group_by,
        ..GoroutineReport::default()
    };
    let limit = options.limit.unwrap_or(usize::MAX);
    if options.all {
        let mut selected = selected;
        selected.sort_by_key(|g| list[*g as usize].id);
        report.left_out = selected.len().saturating_sub(limit) as u64;
        selected.truncate(limit);
        report.goroutines = selected.iter().map(|g| lister.row(*g)).collect();
    } else {
        let mut groups = lister.group(&selected, options.group_by);
        report.left_out = groups.len().saturating_sub(limit) as u64;
        groups.truncate(limit);
        report.groups = groups.iter().map(|group| lister.sum_up(group)).collect();
    }
    report.stacks = lister.stacks;
    report
}

/// Per goroutine: the objects whose shortest path from a root starts on it.
fn first_reached(snapshot: &Snapshot) -> Vec<Amount> {
    let tree = &snapshot.tree;
    let mut sums = vec![Amount::default(); snapshot.goroutines.list.len()];
    let mut owner = vec![NO_GOROUTINE; tree.nodes()];
    for root in &snapshot.roots {
        owner[root.target.0 as usize] = root.place.goroutine;
    }
    for level in 0..tree.depth() {
        for &object in tree.level(level) {
            if level > 0 {
                owner[object as usize] = owner[tree.parents()[object as usize] as usize];
            }
            if let Some(sum) = sums.get_mut(owner[object as usize] as usize) {
                sum.bytes += snapshot.objects.size(ObjId(object));
                sum.objects += 1;
            }
        }
    }
    sums
}

/// Goroutines that have something in common.
struct Group {
    key: String,
    members: Vec<u32>,
}

struct Lister<'a> {
    snapshot: &'a Snapshot,
    heap: Vec<Amount>,
    stacks: Vec<Stack>,
    stack_ids: FxHashMap<(Option<Trace>, bool), usize>,
}

impl<'a> Lister<'a> {
    fn goroutine(&self, index: u32) -> &'a Goroutine {
        &self.snapshot.goroutines.list[index as usize]
    }

    /// Whether a function on the goroutine's stack matches; `known` has what was found for traces before.
    fn matches(&self, g: u32, filter: &Regex, known: &mut FxHashMap<Trace, bool>) -> bool {
        let traces = &self.snapshot.traces;
        let mut at = traces.of[g as usize].innermost;
        let mut passed = Vec::new();
        let mut found = false;
        while let Some(trace) = at {
            if let Some(hit) = known.get(&trace) {
                found = *hit;
                break;
            }
            passed.push(trace);
            if filter.is_match(traces.function(traces.call(trace))) {
                found = true;
                break;
            }
            at = traces.parent(trace);
        }
        known.extend(passed.into_iter().map(|trace| (trace, found)));
        found
    }

    /// The largest groups first; of equal ones, the one with the smallest goroutine.
    fn group(&self, selected: &[u32], by: GroupBy) -> Vec<Group> {
        let traces = &self.snapshot.traces;
        let mut states: FxHashMap<&str, u64> = FxHashMap::default();
        let mut ids: FxHashMap<u64, usize> = FxHashMap::default();
        let mut groups: Vec<Group> = Vec::new();
        for &g in selected {
            let of = &traces.of[g as usize];
            let key = match by {
                GroupBy::Stack => stack_key(of.innermost, of.complete),
                GroupBy::Creator => of.created.map_or(u64::MAX, |call| u64::from(call.0)),
                GroupBy::Label => u64::from(of.labels),
                GroupBy::Wait => {
                    let next = states.len() as u64;
                    *states.entry(self.snapshot.state(g)).or_insert(next)
                }
            };
            let next = groups.len();
            let group = *ids.entry(key).or_insert(next);
            if group == next {
                groups.push(Group {
                    key: self.key(g, by),
                    members: Vec::new(),
                });
            }
            groups[group].members.push(g);
        }
        for group in &mut groups {
            group.members.sort_by_key(|g| self.goroutine(*g).id);
        }
        groups.sort_by_key(|group| {
            let first = self.goroutine(group.members[0]).id;
            (Reverse(group.members.len()), first)
        });
        groups
    }

    fn key(&self, g: u32, by: GroupBy) -> String {
        let of = &self.snapshot.traces.of[g as usize];
        match by {
            GroupBy::Stack => String::new(),
            GroupBy::Creator => match of.created {
                Some(call) => {
                    let frame = self.frame(call);
                    format!("{} {}:{}", frame.function, frame.file, frame.line)
                }
                None => "(not started by a go statement)".to_owned(),
            },
            GroupBy::Label => match &self.snapshot.traces.labels[of.labels as usize][..] {
                [] => "(no labels)".to_owned(),
                labels => label_set(labels),
            },
            GroupBy::Wait => self.snapshot.state(g).to_owned(),
        }
    }

    fn sum_up(&mut self, group: &Group) -> GoroutineGroup {
        let traces = &self.snapshot.traces;
        let mut sum = GoroutineGroup {
            key: group.key.clone(),
            count: group.members.len() as u64,
            first_id: self.goroutine(group.members[0]).id,
            ..GoroutineGroup::default()
        };
        let (mut states, mut creators) = (Counter::default(), Counter::default());
        let (mut labels, mut stacks) = (Counter::default(), Counter::default());
        for &g in &group.members {
            let (goroutine, of) = (self.goroutine(g), &traces.of[g as usize]);
            states.add(self.snapshot.state(g));
            creators.add(of.created);
            labels.add(of.labels);
            stacks.add((of.innermost, of.complete));
            if let Some(wait) = self.snapshot.waited(g) {
                sum.longest_wait_ns = sum.longest_wait_ns.max(Some(wait));
                sum.shortest_wait_ns = Some(sum.shortest_wait_ns.map_or(wait, |w| w.min(wait)));
            }
            sum.stack_bytes += goroutine.stack.len();
            sum.heap_first_reached_bytes += self.heap[g as usize].bytes;
            sum.heap_first_reached_objects += self.heap[g as usize].objects;
        }
        let counted = |(state, count): (&str, u64)| StateCount {
            state: state.to_owned(),
            count,
        };
        sum.states = states.sorted().into_iter().map(counted).collect();
        let created = |(call, count): (Option<CallId>, u64)| {
            let at = self.frame(call?);
            Some(CreatorCount { at, count })
        };
        sum.created_by = creators.sorted().into_iter().filter_map(created).collect();
        let labelled = |(set, count): (u32, u64)| LabelCount {
            labels: traces.labels[set as usize].clone(),
            count,
        };
        sum.labels = labels.sorted().into_iter().map(labelled).collect();
        sum.labels.retain(|set| !set.labels.is_empty());
        let stacks = stacks.sorted();
        sum.distinct_stacks = stacks.len() as u64;
        if let Some(((trace, complete), count)) = stacks.first() {
            sum.stack = self.stack(*trace, *complete);
            sum.stack_count = *count;
        }
        sum
    }

    fn row(&mut self, g: u32) -> GoroutineRow {
        let goroutine = self.goroutine(g);
        let of = self.snapshot.traces.of[g as usize];
        let reason = self.snapshot.goroutines.wait_reason(goroutine);
        let heap = self.heap[g as usize];
        GoroutineRow {
            id: goroutine.id,
            status: goroutine.status.name().to_owned(),
            wait_reason: reason.map(str::to_owned),
            wait_ns: self.snapshot.waited(g),
            locked_to_thread: goroutine.locked_m.0 != 0,
            system: goroutine.system,
            parent_id: goroutine.parent,
            created_by: of.created.map(|call| self.frame(call)),
            labels: self.snapshot.traces.labels[of.labels as usize].clone(),
            stack_bytes: goroutine.stack.len(),
            heap_first_reached_bytes: heap.bytes,
            heap_first_reached_objects: heap.objects,
            stack: self.stack(of.innermost, of.complete),
        }
    }

    /// Index of the stack in the report.
    fn stack(&mut self, trace: Option<Trace>, complete: bool) -> usize {
        if let Some(known) = self.stack_ids.get(&(trace, complete)) {
            return *known;
        }
        let traces = &self.snapshot.traces;
        let mut frames = Vec::new();
        let mut at = trace;
        while let Some(trace) = at {
            frames.push(self.frame(traces.call(trace)));
            at = traces.parent(trace);
        }
        let id = self.stacks.len();
        self.stacks.push(Stack { frames, complete });
        self.stack_ids.insert((trace, complete), id);
        id
    }

    fn frame(&self, call: CallId) -> Frame {
        let traces = &self.snapshot.traces;
        let (file, line) = traces.file_line(call);
        let function = traces.function(call);
        Frame {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
            inlined: traces.is_inlined(call),
            internal: is_internal(function) || traces.is_wrapper(call),
        }
    }
}

fn stack_key(trace: Option<Trace>, complete: bool) -> u64 {
    trace.map_or(u64::from(u32::MAX), |t| u64::from(t.0)) << 1 | u64::from(complete)
}

/// Whether Go's own tracebacks leave the function out.
// runtime/traceback.go: showfuncinfo, isExportedRuntime
pub(crate) fn is_internal(function: &str) -> bool {
    let Some(name) = function.strip_prefix("runtime.") else {
        return !function.contains('.');
    };
    name != "gopanic" && !name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Counts what is equal, and keeps the order of first occurrence.
pub(crate) struct Counter<T> {
    counts: FxHashMap<T, (usize, u64)>,
}

impl<T> Default for Counter<T> {
    fn default() -> Self {
        Counter {
            counts: FxHashMap::default(),
        }
    }
}

impl<T: Copy + Eq + std::hash::Hash> Counter<T> {
    pub(crate) fn add(&mut self, item: T) {
        let next = self.counts.len();
        self.counts.entry(item).or_insert((next, 0)).1 += 1;
    }

    /// The most frequent first.
    pub(crate) fn sorted(self) -> Vec<(T, u64)> {
        let mut all: Vec<_> = self.counts.into_iter().collect();
        all.sort_by_key(|(_, (first, count))| (Reverse(*count), *first));
        all.into_iter()
            .map(|(item, (_, count))| (item, count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_tracebacks_leave_out() {
        for name in [
            "runtime.gopark",
            "runtime.goexit",
            "runtime.(*hchan).x",
            "_rt0",
        ] {
            assert!(is_internal(name), "{name}");
        }
        for name in [
            "runtime.Gosched",
            "main.main",
            "runtime.gopanic",
            "runtime/debug.Stack",
        ] {
            assert!(!is_internal(name), "{name}");
        }
    }

    #[test]
    fn counters_put_the_most_frequent_first_and_the_first_of_equals() {
        let mut counter = Counter::default();
        for item in ["b", "a", "c", "c"] {
            counter.add(item);
        }
        assert_eq!(counter.sorted(), [("c", 2), ("b", 1), ("a", 1)]);
    }
}
