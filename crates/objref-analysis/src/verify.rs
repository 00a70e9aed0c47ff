//! From the snapshot to the checks against the runtime's own evidence.

use std::collections::BTreeSet;

use objref_go::{GcPhase, MemStats, Miss, ObjId, Tally};
use objref_snapshot::{
    CallId, ConservativePlace, Dump, Findings, Holder, INSIDE, Retained, Snapshot, short,
};
use rustc_hash::FxHashMap;

use crate::root_frames::root_kind_name;
use crate::{
    Check, ConservativeFrames, Example, Frame, Scanned, Tool, VERIFY_SCHEMA_VERSION, Verdict,
    Verification, thousands,
};

/// Examples per check.
const EXAMPLES: usize = 3;
/// A page of the smallest objects; other spans have fewer slots.
// runtime/sizeclasses.go
const MAX_SLOTS: u64 = 1024;
/// A difference of at most this part of what the collector counted while it marked is only noted.
const MARK_TOLERANCE: u64 = 100;

/// Checks the graph. `None` if the heap's own tables cannot be read a second time.
pub fn verify(dump: &Dump, snapshot: &Snapshot) -> Option<Verification> {
    let found = dump.evidence(snapshot).ok()?;
    let stats = snapshot.facts.counters.as_ref().ok();
    let mut checks = vec![slots(&found)];
    checks.extend(
        [
            (Miss::FreeSlot, "pointers.free-slot", "into free slots"),
            (
                Miss::Unmarked,
                "pointers.unmarked",
                "to objects that the last cycle found dead",
            ),
            (
                Miss::SpanTail,
                "pointers.span-tail",
                "behind the last slot of a span",
            ),
            (
                Miss::FreePage,
                "pointers.free-page",
                "into pages of the heap that nothing uses",
            ),
        ]
        .map(|(miss, code, text)| dangling(dump, snapshot, &found, miss, code, text)),
    );
    checks.push(lost(dump, snapshot, &found));
    checks.push(new_objects(&found));
    checks.extend(counters(snapshot, &found, stats));
    checks.push(conservative(&found, snapshot));
    checks.push(dominators(dump, snapshot));
    Some(Verification {
        schema_version: VERIFY_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        contradictions: count(&checks, Verdict::Contradicts),
        checks,
        conservative_frames: conservative_frames(snapshot),
    })
}

fn count(checks: &[Check], verdict: Verdict) -> u64 {
    checks.iter().filter(|c| c.verdict == verdict).count() as u64
}

fn contradicts(objects: u64) -> Verdict {
    match objects {
        0 => Verdict::Holds,
        _ => Verdict::Contradicts,
    }
}

/// The allocation bits of every span count what the span itself counts.
fn slots(found: &Findings) -> Check {
    let spans = found.miscounted.len() as u64;
    let examples = found.miscounted.iter().take(EXAMPLES).map(|m| Example {
        address: m.span,
        type_name: format!("span: {} by its bits, {} by its count", m.bits, m.count),
        ..Example::default()
    });
    Check {
        code: "slots.count".to_owned(),
        verdict: contradicts(spans),
        text: "spans whose allocation bits disagree with their own count".to_owned(),
        objects: spans,
        bytes: 0,
        examples: examples.collect(),
    }
}

/// No pointer of a reached object or a root leads to what holds no object.
fn dangling(
    dump: &Dump,
    snapshot: &Snapshot,
    found: &Findings,
    miss: Miss,
    code: &str,
    text: &str,
) -> Check {
    let inner = found.dangling.iter().filter(|d| d.target.miss == miss);
    let roots = found.dangling_roots.iter().filter(|(_, t)| t.miss == miss);
    let mut slots = BTreeSet::new();
    let mut examples = Vec::new();
    for (index, target) in roots {
        slots.insert((target.at, target.size));
        let root = &snapshot.dangling_roots[*index];
        if examples.len() < EXAMPLES {
            examples.push(Example {
                address: target.at,
                type_name: format!("pointer {:#x} at {:#x}", root.value, root.word.0),
                bytes: target.size,
                path: vec![holder(snapshot, root.holder)],
            });
        }
    }
    for dangling in inner {
        slots.insert((dangling.target.at, dangling.target.size));
        if examples.len() < EXAMPLES {
            let from = describe(dump, snapshot, dangling.from);
            examples.push(Example {
                address: dangling.target.at,
                type_name: format!(
                    "pointer {:#x} at offset {} of {} {:#x}",
                    dangling.value, dangling.offset, from.type_name, from.address
                ),
                bytes: dangling.target.size,
                path: from.path,
            });
        }
    }
    Check {
        code: code.to_owned(),
        verdict: contradicts(slots.len() as u64),
        text: format!("live pointers {text}"),
        objects: slots.len() as u64,
        bytes: slots.iter().map(|(_, size)| size).sum(),
        examples,
    }
}

/// What the last cycle found live is reached, or was dropped since.
fn lost(dump: &Dump, snapshot: &Snapshot, found: &Findings) -> Check {
    let bytes = found.lost.iter().map(|id| snapshot.objects.size(*id)).sum();
    let heads = match found.lost_heads.is_empty() {
        true => &found.lost,
        false => &found.lost_heads,
    };
    let mut heads = heads.clone();
    heads.sort_by_key(|id| std::cmp::Reverse(snapshot.objects.size(*id)));
    Check {
        code: "cycle.survivors-unreachable".to_owned(),
        verdict: match found.lost.len() {
            0 => Verdict::Holds,
            _ => Verdict::Note,
        },
        text: "objects that survived the last cycle and are unreachable now: dropped since, \
               unless objref misses a reference"
            .to_owned(),
        objects: found.lost.len() as u64,
        bytes,
        examples: heads
            .iter()
            .take(EXAMPLES)
            .map(|id| describe(dump, snapshot, *id))
            .collect(),
    }
}

/// What is reached was found live by the last cycle, or was allocated since.
fn new_objects(found: &Findings) -> Check {
    let text = format!(
        "reached objects were allocated since the last cycle, all others ({}) survived it",
        thousands(found.reached_survivors.objects)
    );
    Check {
        code: "cycle.allocated-since".to_owned(),
        verdict: match found.under_sweep {
            0 => Verdict::Holds,
            _ => Verdict::Skipped,
        },
        text,
        objects: found.reached_new.objects,
        bytes: found.reached_new.bytes,
        examples: Vec::new(),
    }
}

fn counters(snapshot: &Snapshot, found: &Findings, stats: Option<&MemStats>) -> Vec<Check> {
    let check = |code: &str, verdict, text: String, tally: Tally| Check {
        code: code.to_owned(),
        verdict,
        text,
        objects: tally.objects,
        bytes: tally.bytes,
        examples: Vec::new(),
    };
    let Some(stats) = stats else {
        let text = "the runtime's own counters cannot be read".to_owned();
        return vec![check("counters", Verdict::Skipped, text, Tally::default())];
    };
    let ours = snapshot.objects.totals.allocated;
    let difference = Tally {
        bytes: ours.bytes.abs_diff(stats.heap_alloc),
        objects: ours.objects.abs_diff(stats.heap_objects),
    };
    // A thread that was stopped while it took a new span to allocate from, or swept one, has counted its slots in one
    // of the two places.
    // runtime/mcache.go: refill; mgcsweep.go: (*sweepLocked).sweep
    let in_flight = snapshot.facts.core.threads * MAX_SLOTS;
    let allocated = match difference {
        Tally {
            bytes: 0,
            objects: 0,
        } => Verdict::Holds,
        d if d.objects > 0 && d.objects <= in_flight => Verdict::Note,
        _ => Verdict::Contradicts,
    };
    let text = format!(
        "off HeapAlloc {} and HeapObjects {}",
        thousands(stats.heap_alloc),
        thousands(stats.heap_objects)
    );
    let mut checks = vec![check("counters.heap-alloc", allocated, text, difference)];

    // Scanning counts an object as marked, and what has a finalizer is scanned once more, as a root.
    // runtime/mgcmark.go: scanobject, markrootSpans
    let expected = found.survivors.bytes + found.finalizable.bytes;
    let marked = Tally {
        bytes: expected.abs_diff(stats.heap_marked),
        objects: 0,
    };
    let verdict = match marked.bytes {
        _ if found.phase != GcPhase::Off || stats.num_gc == 0 => Verdict::Skipped,
        0 => Verdict::Holds,
        bytes if bytes <= stats.heap_marked / MARK_TOLERANCE => Verdict::Note,
        _ => Verdict::Contradicts,
    };
    let text = format!(
        "between heapMarked ({}) and the survivors ({}), those with finalizers ({}) counted twice",
        thousands(stats.heap_marked),
        thousands(found.survivors.bytes),
        thousands(found.finalizable.bytes)
    );
    checks.push(check("counters.heap-marked", verdict, text, marked));

    if let Some(live) = stats.heap_live {
        let verdict = match live >= stats.heap_marked {
            true => Verdict::Holds,
            false => Verdict::Contradicts,
        };
        let text = format!(
            "in heapLive ({}) beyond what the last cycle marked: allocated since, or set aside",
            thousands(live)
        );
        let since = Tally {
            bytes: live.saturating_sub(stats.heap_marked),
            objects: 0,
        };
        checks.push(check("counters.heap-live", verdict, text, since));
    }
    checks
}

/// The dominator tree is one: checked by its properties, not by finding it again.
fn dominators(dump: &Dump, snapshot: &Snapshot) -> Check {
    let retained = Retained::of(dump, snapshot);
    let flaw = retained.certify(dump, snapshot).err();
    Check {
        code: "retained.dominators".to_owned(),
        verdict: contradicts(u64::from(flaw.is_some())),
        text: match flaw {
            None => "flaws in the dominator tree that retained sizes come from".to_owned(),
            Some(flaw) => format!("flaw in the dominator tree: {flaw}"),
        },
        ..Check::default()
    }
}

/// What only words that may not be pointers hold.
fn conservative(found: &Findings, snapshot: &Snapshot) -> Check {
    Check {
        code: "stacks.conservative".to_owned(),
        verdict: match found.reached_conservatively.objects {
            0 => Verdict::Holds,
            _ => Verdict::Note,
        },
        text: format!(
            "objects found first through one of {} frames or stacks scanned conservatively",
            thousands(snapshot.traces.conservative.len() as u64)
        ),
        objects: found.reached_conservatively.objects,
        bytes: found.reached_conservatively.bytes,
        examples: Vec::new(),
    }
}

/// The most frequent first, then by goroutine.
fn conservative_frames(snapshot: &Snapshot) -> Vec<ConservativeFrames> {
    let traces = &snapshot.traces;
    let mut by_call: FxHashMap<ConservativePlace, (u64, u64)> = FxHashMap::default();
    for frame in &traces.conservative {
        let goroutine = snapshot.goroutines.list.get(frame.goroutine as usize);
        let goroutine = goroutine.map_or(0, |g| g.id);
        let (count, first) = by_call.entry(frame.place).or_insert((0, goroutine));
        *count += 1;
        *first = goroutine.min(*first);
    }
    let mut all: Vec<_> = by_call.into_iter().collect();
    all.sort_by_key(|(place, (count, first))| (std::cmp::Reverse(*count), *first, *place));
    let frame = |call: CallId| {
        let (file, line) = traces.file_line(call);
        Frame {
            function: traces.function(call).to_owned(),
            file: file.to_owned(),
            line,
            inlined: traces.is_inlined(call),
            ..Frame::default()
        }
    };
    all.into_iter()
        .map(|(place, (count, goroutine))| {
            let (what, at) = match place {
                ConservativePlace::Frame(call) => (Scanned::Frame, frame(call)),
                ConservativePlace::Stack => (Scanned::Stack, Frame::default()),
                ConservativePlace::SystemStack => (Scanned::SystemStack, Frame::default()),
            };
            ConservativeFrames {
                what,
                at,
                count,
                goroutine,
            }
        })
        .collect()
}

/// An object with what is known of it.
fn describe(dump: &Dump, snapshot: &Snapshot, id: ObjId) -> Example {
    let (span, address) = snapshot.objects.locate(id);
    let (process, bytes) = (&dump.process, span.elem_size);
    let stored = || {
        let stored = dump.heap.stored_type(&process.space, span, address)?;
        let ty = process.types.read(&process.space, stored)?;
        process.types.name(&process.space, &ty)
    };
    let unknown = || match span.noscan {
        true => "? (without pointers)".to_owned(),
        false => "?".to_owned(),
    };
    Example {
        address,
        type_name: snapshot
            .type_name(id.0)
            .or_else(stored)
            .unwrap_or_else(unknown),
        bytes,
        path: path(snapshot, id),
    }
}

/// The shortest way from a root: the root, then each step.
fn path(snapshot: &Snapshot, id: ObjId) -> Vec<String> {
    /// Longer ways are cut in the middle by reports; a list has no end.
    const MAX: usize = 1000;
    let tree = &snapshot.tree;
    if !tree.is_reached(id.0) {
        return Vec::new();
    }
    let mut steps = Vec::new();
    let mut at = id.0;
    for _ in 0..MAX {
        if snapshot.step(at) != INSIDE {
            steps.push(snapshot.steps.text(snapshot.step(at)).to_owned());
        }
        let parent = tree.parents()[at as usize];
        if parent as usize >= tree.nodes() {
            let root = snapshot.roots.iter().find(|r| r.target.0 == at);
            steps.extend(root.map(|r| holder(snapshot, r.holder)));
            break;
        }
        at = parent;
    }
    steps.reverse();
    steps
}

fn holder(snapshot: &Snapshot, holder: Holder) -> String {
    match holder {
        Holder::Variable(index) => short(&snapshot.variables[index as usize]),
        Holder::Stack(node) => format!("{}()", short(snapshot.stacks.name(node))),
        Holder::Runtime(kind) => format!("({})", root_kind_name(Some(kind))),
    }
}
