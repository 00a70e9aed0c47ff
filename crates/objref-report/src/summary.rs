//! The page of numbers, as text.

use std::io::{self, Write};

use objref_analysis::{Amount, Binary, Core, Go, SpanAmount, Summary, iec, thousands};

use crate::text::{Page, Style, TextOptions, count, percent};

/// Writes the summary for people: what was dumped, whether the numbers can be trusted, what the heap
/// is made of and what holds it, the biggest first.
///
/// # Errors
///
/// What `out` says.
pub fn summary_text(
    summary: &Summary,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    program(&mut page, summary)?;
    heap(&mut page, summary)?;
    roots(&mut page, summary)?;
    goroutines(&mut page, summary)?;
    runtime(&mut page, summary)?;
    warnings(&mut page, summary)
}

/// Joins what there is to say with commas.
fn facts(facts: impl IntoIterator<Item = Option<String>>) -> String {
    facts
        .into_iter()
        .flatten()
        .filter(|f| !f.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Which Go built the program.
pub(crate) fn go_line(go: &Go) -> String {
    facts([
        Some(format!("{} {}", go.version, go.arch).trim().to_owned()),
        (!go.experiments.is_empty()).then(|| format!("with {}", go.experiments.join(" "))),
        (!go.layout_source.is_empty()).then(|| format!("layouts from {}", go.layout_source)),
    ])
}

/// The dump.
pub(crate) fn core_line(core: &Core) -> String {
    facts([
        Some(format!("{}: {}", core.path, core.kind)),
        Some(iec(core.bytes)),
        Some(count(core.threads, "thread", "threads")),
        core.pid.map(|pid| format!("pid {pid}")),
        core.signal
            .as_ref()
            .map(|s| format!("ended by {} ({})", s.name, s.number)),
    ])
}

/// The program.
pub(crate) fn binary_line(binary: &Binary) -> String {
    facts([
        Some(binary.path.clone()),
        binary.build_id.as_ref().map(|id| format!("build id {id}")),
        (!binary.dwarf).then(|| "no DWARF".to_owned()),
        binary
            .debug_file
            .as_ref()
            .map(|path| format!("DWARF from {path}")),
    ])
}

fn program(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    let (core, binary, go) = (&summary.core, &summary.binary, &summary.go);
    let name = core
        .command
        .as_deref()
        .or(binary.module.as_deref())
        .unwrap_or(&binary.path);
    let title = page.styled(Style::Heading, name);
    writeln!(page.out, "{title}")?;
    page.paragraph(Style::Plain, &go_line(go), 0)?;
    page.paragraph(Style::Plain, &format!("core    {}", core_line(core)), 8)?;
    page.paragraph(Style::Plain, &format!("binary  {}", binary_line(binary)), 8)?;
    if core.missing_bytes > 0 {
        let missing = core.missing_bytes;
        let text = format!(
            "the core is cut short: {} B ({}) are missing",
            thousands(missing),
            iec(missing)
        );
        page.paragraph(Style::Warning, &text, 2)?;
    }
    Ok(())
}

fn heap(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    let heap = &summary.heap;
    page.heading("Heap")?;
    let row = |name: &str, amount: Amount, whole: u64, of: &str| {
        let share = match percent(amount.bytes, whole) {
            share if share.is_empty() => share,
            share => format!("{share} of {of}"),
        };
        let (bytes, objects) = (thousands(amount.bytes), thousands(amount.objects));
        vec![name.to_owned(), iec(amount.bytes), bytes, objects, share]
    };
    let typed = Amount {
        bytes: heap.typed.bytes,
        objects: heap.typed.objects,
    };
    let untyped = Amount {
        bytes: heap.live.bytes.saturating_sub(typed.bytes),
        objects: heap.live.objects.saturating_sub(typed.objects),
    };
    let allocated = heap.allocated.bytes;
    let mut rows = vec![
        row("live", heap.live, allocated, "allocated"),
        row("  of known type", typed, heap.live.bytes, "live"),
        row("  of unknown type", untyped, heap.live.bytes, "live"),
        row("garbage", heap.garbage, allocated, "allocated"),
    ];
    for (name, amount) in [
        ("  awaiting its sweep", heap.awaiting_sweep),
        ("  being allocated", heap.being_allocated),
    ] {
        if amount.objects > 0 {
            rows.push(row(name, amount, heap.garbage.bytes, "garbage"));
        }
    }
    rows.push(row("allocated", heap.allocated, 0, ""));
    rows.push(row("free slots", heap.free, 0, ""));
    page.table(&["", "", "bytes", "objects", ""], &rows)?;
    missing(page, summary)?;
    match &summary.reconciliation {
        Some(found) => {
            let text = format!(
                "objref found {} B {}; the runtime counts {} B: {}",
                thousands(found.found_bytes),
                found.what,
                thousands(found.runtime_bytes),
                found.verdict
            );
            let style = if found.share() <= 0.005 {
                Style::Good
            } else {
                Style::Warning
            };
            page.paragraph(style, &text, 2)
        }
        None => page.paragraph(
            Style::Warning,
            "the runtime's own counters could not be read: nothing to compare with",
            2,
        ),
    }
}

/// What is not in the dump, beside what is.
fn missing(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    let Some(missing) = &summary.missing else {
        return Ok(());
    };
    let amount = |bytes: u64, objects: u64| (bytes > 0).then_some(Amount { bytes, objects });
    let pages = amount(missing.heap_bytes, 0);
    let live = amount(missing.live_bytes, missing.live_objects);
    let here = live.map(|live| Amount {
        bytes: summary.heap.live.bytes.saturating_sub(live.bytes),
        objects: summary.heap.live.objects,
    });
    let undecided = amount(missing.undecided_bytes, missing.undecided_objects);
    let new = amount(missing.undecided_new_bytes, missing.undecided_new_objects);
    let rows = [
        ("pages of the heap not in the dump", pages),
        (
            "pages in use with nothing but zeros",
            amount(missing.zero_bytes, 0),
        ),
        ("live, but not in the dump", live),
        ("live, and in the dump", here),
        (
            "live, of a size that is a guess",
            amount(missing.guessed_bytes, missing.guessed_objects),
        ),
        ("garbage, or held by what is missing", new),
        ("  live at the last collection", undecided),
        (
            "variables and stacks not in the dump",
            amount(missing.root_bytes, 0),
        ),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .filter_map(|(name, amount)| {
            let Amount { bytes, objects } = amount?;
            let objects = if objects > 0 {
                thousands(objects)
            } else {
                String::new()
            };
            Some(vec![name.to_owned(), iec(bytes), thousands(bytes), objects])
        })
        .collect();
    page.heading("Missing")?;
    page.table(&["", "", "bytes", "objects"], &rows)
}

fn roots(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    page.heading("What holds it, by the shortest way")?;
    let mut roots: Vec<_> = summary.roots.iter().collect();
    // Stable: equally big kinds stay in the order in which they are searched.
    roots.sort_by_key(|root| std::cmp::Reverse(root.bytes));
    let rows: Vec<Vec<String>> = roots
        .iter()
        .map(|root| {
            vec![
                root.kind.clone(),
                iec(root.bytes),
                thousands(root.bytes),
                thousands(root.objects),
                thousands(root.references),
                percent(root.bytes, summary.heap.live.bytes),
            ]
        })
        .collect();
    page.table(
        &["root", "", "bytes", "objects", "references", "of live"],
        &rows,
    )
}

fn goroutines(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    let goroutines = &summary.goroutines;
    page.heading(&count(goroutines.total, "goroutine", "goroutines"))?;
    let mut by_status: Vec<_> = goroutines.by_status.iter().collect();
    by_status.sort_by_key(|s| std::cmp::Reverse(s.count));
    let rows: Vec<Vec<String>> = by_status
        .iter()
        .map(|s| vec![s.status.clone(), thousands(s.count)])
        .collect();
    page.table(&["", ""], &rows)?;
    let conservative = facts([
        (goroutines.conservative_frames > 0)
            .then(|| count(goroutines.conservative_frames, "frame", "frames")),
        (goroutines.system_stacks > 0)
            .then(|| count(goroutines.system_stacks, "system stack", "system stacks")),
    ]);
    if !conservative.is_empty() {
        let text =
            format!("scanned conservatively, as stopped between two instructions: {conservative}");
        page.paragraph(Style::Plain, &text, 2)?;
    }
    if goroutines.unreadable > 0 {
        let stacks = count(goroutines.unreadable, "stack", "stacks");
        page.line(
            Style::Warning,
            &format!("{stacks} could be read in part only"),
        )?;
    }
    Ok(())
}

fn runtime(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    let (runtime, spans) = (&summary.runtime, &summary.heap.spans);
    page.heading("Runtime")?;
    let span = |name: &str, amount: SpanAmount| {
        let (bytes, spans) = (thousands(amount.bytes), thousands(amount.count));
        vec![name.to_owned(), iec(amount.bytes), bytes, spans]
    };
    page.table(
        &["spans", "", "bytes", "number"],
        &[
            span("in use", spans.in_use),
            span("manual (stacks)", spans.manual),
            span("free", spans.free),
        ],
    )?;
    let size = |what: &str, bytes: Option<u64>| bytes.map(|bytes| format!("{what} {}", iec(bytes)));
    let gc = facts([
        runtime
            .gc_phase
            .as_ref()
            .map(|phase| format!("collector {phase}")),
        runtime
            .num_gc
            .map(|n| count(n, "cycle done", "cycles done")),
        size("next at", runtime.next_gc_bytes),
        runtime.gc_percent.map(|p| match p {
            ..0 => "GOGC=off".to_owned(),
            _ => format!("GOGC={p}"),
        }),
        size("GOMEMLIMIT", runtime.memory_limit_bytes),
    ]);
    if gc.is_empty() {
        Ok(())
    } else {
        page.paragraph(Style::Plain, &gc, 2)
    }
}

fn warnings(page: &mut Page<'_>, summary: &Summary) -> io::Result<()> {
    if summary.diagnostics.is_empty() {
        return Ok(());
    }
    page.heading("Warnings")?;
    for diagnostic in &summary.diagnostics {
        let text = format!("{} [{}]", diagnostic.text(), diagnostic.code);
        page.paragraph(Style::Warning, &text, 2)?;
    }
    Ok(())
}
