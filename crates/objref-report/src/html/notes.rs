//! What the page says in words: the numbers on top, and what all numbers rest on.

use objref_analysis::{FrameTree, Summary, TypeReport, iec, thousands};
use serde::Serialize;

use super::HtmlTree;
use crate::restore::printable;
use crate::summary::{binary_line, core_line, go_line};
use crate::text::{count, percent};

/// A number that says something by itself.
#[derive(Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
    detail: String,
}

/// Something to know about all numbers.
#[derive(Serialize)]
pub(super) struct Note {
    pub(super) level: Level,
    text: String,
}

/// How much that matters, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Numbers are, or may be, wrong.
    Warning,
    /// What is not covered, or less sure.
    Note,
    /// What was checked and is well.
    Good,
}

impl Note {
    fn new(level: Level, text: &str) -> Self {
        Self {
            level,
            text: text.chars().map(printable).collect(),
        }
    }

    /// What of a tree is not in the picture.
    pub(super) fn of_picture(tree: &HtmlTree<'_>, shown: &FrameTree) -> Option<Self> {
        let drawn = shown.frames().filter(|&frame| !shown.is_cut(frame)).count();
        let left_out = tree.tree.len() - drawn;
        (left_out > 0).then(|| {
            let text = format!(
                "{}: {} of {} frames are drawn by themselves; what the others hold is in the grey frames, so that \
                 all sums are right.",
                tree.title,
                thousands(drawn as u64),
                thousands(tree.tree.len() as u64)
            );
            Self::new(Level::Note, &text)
        })
    }
}

/// The numbers on top.
pub(super) fn facts(summary: &Summary) -> Vec<Fact> {
    let heap = &summary.heap;
    let objects = |n| count(n, "object", "objects");
    let fact = |name, value: String, detail: String| Fact {
        name,
        value,
        detail,
    };
    let mut facts = vec![
        fact("Live", iec(heap.live.bytes), objects(heap.live.objects)),
        fact(
            "Garbage",
            iec(heap.garbage.bytes),
            objects(heap.garbage.objects),
        ),
        fact(
            "Of known type",
            percent(heap.typed.bytes, heap.live.bytes),
            "of the live bytes".to_owned(),
        ),
    ];
    facts.push(match &summary.reconciliation {
        Some(found) => fact(
            "Against the runtime's count",
            found.verdict.clone(),
            format!("{} {}", iec(found.found_bytes), found.what),
        ),
        None => fact(
            "Against the runtime's count",
            "?".to_owned(),
            "its counters could not be read".to_owned(),
        ),
    });
    let most = summary.goroutines.by_status.iter().max_by_key(|s| s.count);
    facts.push(fact(
        "Goroutines",
        thousands(summary.goroutines.total),
        most.map(|s| format!("{} in {}", thousands(s.count), s.status))
            .unwrap_or_default(),
    ));
    for fact in &mut facts {
        fact.detail = fact.detail.chars().map(printable).collect();
    }
    facts
}

/// What was read, and by whom.
pub(super) fn origin(summary: &Summary) -> Vec<String> {
    let tool = format!("{} {}", summary.tool.name, summary.tool.version);
    let command = summary.core.command.clone().unwrap_or_default();
    [
        command,
        go_line(&summary.go),
        format!("core {}", core_line(&summary.core)),
        format!("binary {}", binary_line(&summary.binary)),
        format!("written by {tool}"),
    ]
    .into_iter()
    .filter(|line| !line.is_empty())
    .map(|line| line.chars().map(printable).collect())
    .collect()
}

/// What was not covered, not typed, not sure.
pub(super) fn notes(summary: &Summary, types: &TypeReport) -> Vec<Note> {
    let mut notes: Vec<Note> = summary
        .diagnostics
        .iter()
        .map(|d| Note::new(Level::Warning, &format!("{} [{}]", d.text(), d.code)))
        .collect();
    let mut say = |level, text: &str| notes.push(Note::new(level, text));
    compared(summary, &mut say);
    covered(summary, &mut say);
    typed(summary, types, &mut say);
    scanned(summary, &mut say);
    say(
        Level::Note,
        "Memory of C libraries (cgo), and what a program maps itself, is neither a root nor an object here.",
    );
    notes
}

fn compared(summary: &Summary, say: &mut impl FnMut(Level, &str)) {
    let Some(found) = &summary.reconciliation else {
        let text = "The runtime's own counters could not be read: there is nothing to compare the numbers with.";
        return say(Level::Warning, text);
    };
    let level = match found.share() {
        share if share <= 0.005 => Level::Good,
        _ => Level::Warning,
    };
    let text = format!(
        "Found {} bytes {}; the runtime itself counts {}: {}.",
        thousands(found.found_bytes),
        found.what,
        thousands(found.runtime_bytes),
        found.verdict
    );
    say(level, &text);
}

fn covered(summary: &Summary, say: &mut impl FnMut(Level, &str)) {
    match summary.core.missing_bytes {
        0 => say(Level::Good, "No byte that the core promises is missing."),
        missing => {
            let text = format!(
                "The core is cut short: {} bytes ({}) are missing.",
                thousands(missing),
                iec(missing)
            );
            say(Level::Warning, &text);
        }
    }
    if let Some(missing) = summary.missing.filter(|missing| missing.heap_bytes > 0) {
        let bytes = thousands(missing.heap_bytes);
        say(
            Level::Warning,
            &format!("{bytes} bytes of the heap are not in the dump."),
        );
    }
    let heap = &summary.heap;
    let mut parts = Vec::new();
    for (amount, what) in [
        (heap.awaiting_sweep, "awaits its sweep"),
        (heap.being_allocated, "was just being allocated"),
    ] {
        if amount.objects > 0 {
            parts.push(format!("{} of it {what}", iec(amount.bytes)));
        }
    }
    if heap.garbage.objects > 0 {
        let mut text = format!(
            "Not in the picture: {} of garbage, allocated but reachable from no root",
            iec(heap.garbage.bytes)
        );
        if !parts.is_empty() {
            text.push_str(&format!(" ({})", parts.join(", ")));
        }
        text.push('.');
        say(Level::Note, &text);
    }
}

fn typed(summary: &Summary, types: &TypeReport, say: &mut impl FnMut(Level, &str)) {
    let heap = &summary.heap;
    let bytes = heap.live.bytes.saturating_sub(heap.typed.bytes);
    let objects = heap.live.objects.saturating_sub(heap.typed.objects);
    if objects == 0 {
        say(Level::Good, "Every live object has a type.");
    } else {
        let text = format!(
            "{} ({} of what is live) in {} have no type: their frames are called ?.",
            iec(bytes),
            percent(bytes, heap.live.bytes),
            count(objects, "object", "objects"),
        );
        say(Level::Note, &text);
    }
    let mut by: Vec<String> = Vec::new();
    for certain in types.certainty.iter().filter(|c| c.amount.objects > 0) {
        let share = percent(certain.amount.bytes, types.live.bytes);
        by.push(format!("{} {share}", certain.certainty));
    }
    if !by.is_empty() {
        let text = format!("How sure the types are, by bytes: {}.", by.join(", "));
        say(Level::Note, &text);
    }
}

fn scanned(summary: &Summary, say: &mut impl FnMut(Level, &str)) {
    let goroutines = &summary.goroutines;
    if goroutines.unreadable > 0 {
        let stacks = count(goroutines.unreadable, "stack", "stacks");
        let text =
            format!("{stacks} could be read in part only: what they hold beyond is missing.");
        say(Level::Warning, &text);
    }
    let mut conservative = Vec::new();
    if goroutines.conservative_frames > 0 {
        conservative.push(count(goroutines.conservative_frames, "frame", "frames"));
    }
    if goroutines.system_stacks > 0 {
        let stacks = count(goroutines.system_stacks, "system stack", "system stacks");
        conservative.push(stacks);
    }
    if conservative.is_empty() {
        return say(
            Level::Good,
            "No stack was scanned conservatively: each of their pointers is one.",
        );
    }
    let text = format!(
        "Scanned conservatively, as the collector does with code that was stopped between two instructions: {}. \
         Each of their words may be a pointer, or may only look like one.",
        conservative.join(" and ")
    );
    say(Level::Note, &text);
}
