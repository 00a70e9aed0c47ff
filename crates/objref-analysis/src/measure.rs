//! From the snapshot to its summary and its listing of objects.

use crate::descend::{Descent, descend};
use crate::root_frames::root_kind_name;
use crate::{
    Amount, Diagnostic, Goroutines, Heap, ObjectRow, Parent, Reconciliation, RootKind,
    RuntimeCounters, SCHEMA_VERSION, SpanAmount, Spans, StatusCount, Summary, Tool, Typed,
};
use objref_go::{GcPhase, ObjId, RootKind as GoRootKind, Tally};
use objref_snapshot::{Dominator, Holder, Retained, Snapshot, StepId, by_status, short};
use rayon::prelude::*;

/// Spans per piece of work, at least.
const SPANS: usize = 1 << 10;

/// The numbers of the dump.
pub fn summary(snapshot: &Snapshot) -> Summary {
    Summary {
        roots: roots(snapshot),
        ..overview(snapshot)
    }
}

/// As [`summary()`], but for what each kind of root holds, which takes another way through all objects: `roots` is empty.
pub fn overview(snapshot: &Snapshot) -> Summary {
    let runtime = runtime(snapshot);
    let heap = heap(snapshot, runtime.heap_idle_bytes);
    Summary {
        schema_version: SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.clone(),
        binary: snapshot.facts.binary.clone(),
        go: snapshot.facts.go.clone(),
        reconciliation: runtime
            .heap_alloc_bytes
            .map(|counted| Reconciliation::new("allocated", heap.allocated.bytes, counted)),
        heap,
        missing: snapshot.facts.missing,
        goroutines: goroutines(snapshot),
        roots: Vec::new(),
        runtime,
        diagnostics: diagnostics(snapshot),
    }
}

/// What has to be said with every number.
pub(crate) fn diagnostics(snapshot: &Snapshot) -> Vec<Diagnostic> {
    let noted = snapshot.diagnostics.iter().map(|d| Diagnostic {
        code: d.code.clone().into_owned(),
        message: d.message.clone(),
        count: d.count,
    });
    let counters = snapshot.facts.counters.as_ref().err();
    let unread = counters.map(|error| Diagnostic {
        code: "runtime.counters".to_owned(),
        message: error.clone(),
        count: 1,
    });
    noted.chain(unread).collect()
}

/// The heap; `idle` are its bytes that no span uses.
pub(crate) fn heap(snapshot: &Snapshot, idle: Option<u64>) -> Heap {
    let totals = &snapshot.objects.totals;
    let (live, typed) = live(snapshot);
    let amount = |t: Tally| Amount {
        bytes: t.bytes,
        objects: t.objects,
    };
    let spans = |t: Tally| SpanAmount {
        count: t.objects,
        bytes: t.bytes,
    };
    Heap {
        live,
        garbage: Amount {
            bytes: totals.allocated.bytes.saturating_sub(live.bytes),
            objects: totals.allocated.objects.saturating_sub(live.objects),
        },
        awaiting_sweep: amount(totals.condemned),
        being_allocated: amount(totals.unmade),
        free: amount(totals.free),
        allocated: amount(totals.allocated),
        typed: Typed::new(typed, live),
        spans: Spans {
            in_use: spans(totals.in_use),
            manual: spans(totals.manual),
            free: SpanAmount {
                count: totals.dead,
                bytes: idle.unwrap_or(0),
            },
        },
    }
}

/// What can be reached, and what of it has a type: in the order of addresses, where nothing has to be searched for.
fn live(snapshot: &Snapshot) -> (Amount, Amount) {
    let spans = snapshot.objects.spans().par_iter().enumerate();
    let counted = spans.with_min_len(SPANS).map(|(number, span)| {
        let (live, typed) = snapshot.reached_and_typed(snapshot.objects.ids(number));
        let amount = |objects| Amount {
            bytes: objects * span.elem_size,
            objects,
        };
        (amount(live), amount(typed))
    });
    let nothing = || (Amount::default(), Amount::default());
    counted.reduce(nothing, |(live, typed), (more, more_typed)| {
        (live + more, typed + more_typed)
    })
}

fn goroutines(snapshot: &Snapshot) -> Goroutines {
    let mut by_status: Vec<StatusCount> = by_status(&snapshot.goroutines)
        .into_iter()
        .map(|(status, count)| StatusCount {
            status: status.to_owned(),
            count,
        })
        .collect();
    by_status.sort_by_key(|s| std::cmp::Reverse(s.count));
    Goroutines {
        total: snapshot.goroutines.list.len() as u64,
        by_status,
        unreadable: snapshot.goroutines.unreadable as u64 + snapshot.stack_counts.partly_read,
        conservative_frames: snapshot.stack_counts.conservative_frames,
        system_stacks: snapshot.stack_counts.system_stacks,
    }
}

/// Kinds in the order in which they are searched.
const KINDS: [Option<GoRootKind>; 9] = [
    Some(GoRootKind::Global),
    None,
    Some(GoRootKind::SystemStack),
    Some(GoRootKind::Finalizer),
    Some(GoRootKind::FinalizerQueue),
    Some(GoRootKind::Cleanup),
    Some(GoRootKind::CleanupQueue),
    Some(GoRootKind::WeakHandle),
    Some(GoRootKind::TinyBlock),
];

/// `None` stands for stacks.
pub(crate) fn kind_of(holder: Holder) -> Option<GoRootKind> {
    match holder {
        Holder::Variable(_) => Some(GoRootKind::Global),
        Holder::Stack(_) => None,
        Holder::Runtime(kind) => Some(kind),
    }
}

/// What each of [`KINDS`] holds: every object takes the kind of its holder.
struct Kinds([Amount; KINDS.len()]);

impl Descent for Kinds {
    fn follow(&mut self, above: u32, _: StepId) -> u32 {
        above
    }

    fn add(&mut self, kind: u32, amount: Amount, _: u32) {
        let sum = &mut self.0[kind as usize];
        *sum = *sum + amount;
    }
}

fn roots(snapshot: &Snapshot) -> Vec<RootKind> {
    let position = |kind| KINDS.iter().position(|k| *k == kind).unwrap_or(0) as u32;
    let holders = snapshot.roots.iter().map(|root| root.holder);
    let first = holders.map(|holder| position(kind_of(holder))).collect();
    let mut kinds = Kinds([Amount::default(); KINDS.len()]);
    descend(snapshot, first, &mut kinds);
    KINDS
        .iter()
        .zip(kinds.0)
        .filter_map(|(kind, amount)| {
            let count = snapshot.root_counts.iter().find(|c| c.kind == *kind)?;
            Some(RootKind {
                kind: root_kind_name(*kind).to_owned(),
                references: count.references,
                objects: amount.objects,
                bytes: amount.bytes,
            })
        })
        .collect()
}

/// What the runtime itself counts.
pub(crate) fn runtime(snapshot: &Snapshot) -> RuntimeCounters {
    let phase = match snapshot.facts.gc_phase {
        GcPhase::Off => "off",
        GcPhase::Mark => "mark",
        GcPhase::MarkTermination => "mark termination",
    };
    let stats = snapshot.facts.counters.as_ref().ok();
    RuntimeCounters {
        heap_alloc_bytes: stats.map(|s| s.heap_alloc),
        heap_objects: stats.map(|s| s.heap_objects),
        heap_inuse_bytes: stats.and_then(|s| s.heap_inuse),
        stack_inuse_bytes: stats.map(|s| s.stack_inuse),
        num_gc: stats.map(|s| s.num_gc),
        gc_phase: Some(phase.to_owned()),
        heap_marked_bytes: stats.map(|s| s.heap_marked),
        heap_idle_bytes: stats.and_then(|s| Some(s.heap_free? + s.heap_released?)),
        heap_released_bytes: stats.and_then(|s| s.heap_released),
        next_gc_bytes: stats.and_then(|s| s.next_gc),
        gc_percent: stats.map(|s| s.gc_percent),
        memory_limit_bytes: stats.and_then(|s| s.memory_limit),
    }
}

/// Calls `visit` with every reachable object in address order, until it fails.
pub fn each_object<E>(
    snapshot: &Snapshot,
    retained: &Retained,
    mut visit: impl FnMut(&ObjectRow<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let distances = snapshot.tree.distances();
    let mut roots = rustc_hash::FxHashMap::default();
    for root in &snapshot.roots {
        roots.insert(root.target.0, root.holder);
    }
    for (id, address, span) in snapshot.objects.objects() {
        if !snapshot.is_reached(id.0) {
            continue;
        }
        let name = snapshot.type_name(id.0);
        let certainty = snapshot.certainty(id.0);
        let held_by = roots
            .get(&id.0)
            .map(|holder| holder_name(snapshot, *holder));
        let parent = match &held_by {
            Some(name) => Parent::Root(name),
            None => Parent::Object(
                snapshot
                    .objects
                    .address(ObjId(snapshot.tree.parents()[id.0 as usize])),
            ),
        };
        let dominator = retained.dominator(id.0);
        let root = match dominator {
            Some(Dominator::Holder(holder)) => Some(holder_name(snapshot, holder)),
            _ => None,
        };
        visit(&ObjectRow {
            address,
            size: span.elem_size,
            type_name: name.as_deref().unwrap_or("?"),
            certainty: certainty.word(),
            distance: distances[id.0 as usize],
            parent,
            retained: retained.bytes(id.0),
            dominator: match dominator {
                Some(Dominator::Object(above)) => {
                    Some(Parent::Object(snapshot.objects.address(ObjId(above))))
                }
                _ => root.as_deref().map(Parent::Root),
            },
        })?;
    }
    Ok(())
}

/// A root in a listing: the variable, the innermost function, the kind.
pub(crate) fn holder_name(snapshot: &Snapshot, holder: Holder) -> String {
    match holder {
        Holder::Variable(index) => short(&snapshot.variables[index as usize]),
        Holder::Stack(node) => format!("{}()", short(snapshot.stacks.name(node))),
        Holder::Runtime(kind) => format!("({})", root_kind_name(Some(kind))),
    }
}
