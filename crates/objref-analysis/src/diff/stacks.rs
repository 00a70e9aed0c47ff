//! Goroutines by what is the same in every dump: their functions and their state.

use objref_snapshot::{Snapshot, Trace};
use rustc_hash::{FxHashMap, FxHashSet};

use super::rows::is_listed;
use crate::goroutines::is_internal;
use crate::{DiffGoroutines, DiffGroup};

/// Goroutines in the same functions, in the same state.
pub(super) struct StackGroup {
    pub(super) key: StackKey,
    /// Their numbers, ascending.
    pub(super) ids: Vec<u64>,
}

/// What goroutines of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StackKey {
    /// The innermost first.
    pub(super) functions: Vec<String>,
    pub(super) state: String,
}

/// The program's own goroutines.
pub(super) fn stack_groups(snapshot: &Snapshot) -> Vec<StackGroup> {
    let list = &snapshot.goroutines.list;
    // Lines differ where functions do not.
    let mut by_trace: FxHashMap<(Option<Trace>, &str), Vec<u64>> = FxHashMap::default();
    for (g, goroutine) in (0..).zip(list).filter(|(_, g)| !g.system) {
        let trace = snapshot.traces.of[g as usize].innermost;
        let ids = by_trace.entry((trace, snapshot.state(g))).or_default();
        ids.push(goroutine.id);
    }
    let mut groups: FxHashMap<StackKey, Vec<u64>> = FxHashMap::default();
    for ((trace, state), ids) in by_trace {
        let key = StackKey {
            functions: functions(snapshot, trace),
            state: state.to_owned(),
        };
        groups.entry(key).or_default().extend(ids);
    }
    let groups = groups.into_iter().map(|(key, mut ids)| {
        ids.sort_unstable();
        StackGroup { key, ids }
    });
    let mut groups: Vec<StackGroup> = groups.collect();
    groups.sort_by(|a, b| a.key.cmp(&b.key));
    groups
}

/// The functions that Go's own tracebacks show, or all if they show none.
fn functions(snapshot: &Snapshot, innermost: Option<Trace>) -> Vec<String> {
    let traces = &snapshot.traces;
    let mut all = Vec::new();
    let mut at = innermost;
    while let Some(trace) = at {
        let call = traces.call(trace);
        let function = traces.function(call);
        let shown = !is_internal(function) && !traces.is_wrapper(call);
        all.push((function.to_owned(), shown));
        at = traces.parent(trace);
    }
    let any = all.iter().any(|(_, shown)| *shown);
    let all = all.into_iter().filter(|(_, shown)| *shown || !any);
    all.map(|(function, _)| function).collect()
}

/// Joins the groups of all dumps. `one_process`: numbers mean the same goroutine.
pub(super) fn compare(
    dumps: &[&[StackGroup]],
    one_process: bool,
    limit: Option<usize>,
) -> DiffGoroutines {
    let mut joined: FxHashMap<&StackKey, Vec<&[u64]>> = FxHashMap::default();
    for (dump, groups) in dumps.iter().enumerate() {
        for group in *groups {
            let empty = || vec![&[] as &[u64]; dumps.len()];
            joined.entry(&group.key).or_insert_with(empty)[dump] = &group.ids;
        }
    }
    let known = |groups: &[StackGroup]| -> FxHashSet<u64> {
        groups
            .iter()
            .flat_map(|group| &group.ids)
            .copied()
            .collect()
    };
    let (first, last) = (0, dumps.len() - 1);
    let known = one_process.then(|| (known(dumps[first]), known(dumps[last])));
    let mut report = DiffGoroutines::default();
    for (key, ids) in joined {
        let counts: Vec<u64> = ids.iter().map(|ids| ids.len() as u64).collect();
        let not_in = |ids: &[u64], other: &FxHashSet<u64>| {
            ids.iter().filter(|id| !other.contains(*id)).count() as u64
        };
        let started = known.as_ref().map(|(old, _)| not_in(ids[last], old));
        let ended = known.as_ref().map(|(_, new)| not_in(ids[first], new));
        let churn = started.max(ended).unwrap_or(0) > 0;
        if !is_listed(&counts, churn) {
            report.not_listed += 1;
            continue;
        }
        let example = ids.iter().rev().find_map(|ids| ids.first());
        report.groups.push(DiffGroup {
            functions: key.functions.clone(),
            state: key.state.clone(),
            growth: counts[last] as i64 - counts[first] as i64,
            counts,
            example: example.copied().unwrap_or_default(),
            started,
            ended,
        });
    }
    report.groups.sort_by(|a, b| {
        let key =
            |g: &DiffGroup| std::cmp::Reverse((g.growth.unsigned_abs(), g.started.max(g.ended)));
        let name = (&a.functions, &a.state).cmp(&(&b.functions, &b.state));
        key(a).cmp(&key(b)).then(name)
    });
    let shown = limit.unwrap_or(usize::MAX).min(report.groups.len());
    report.left_out = report.groups.split_off(shown).len() as u64;
    report.counts = dumps
        .iter()
        .map(|groups| groups.iter().map(|group| group.ids.len() as u64).sum())
        .collect();
    report
}
