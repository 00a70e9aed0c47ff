//! The goroutines, as text.

use std::io::{self, Write};

use objref_analysis::{
    CreatorCount, Frame, GoroutineGroup, GoroutineReport, GoroutineRow, GroupBy, LabelCount, Stack,
    StateCount, duration, iec, label_set, short, thousands,
};

use crate::text::{INDENT, Page, Style, TextOptions, count};

/// Writes the goroutines for people, like Go's own tracebacks, but put together.
///
/// # Errors
///
/// What `out` says.
pub fn goroutines_text(
    report: &GoroutineReport,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    page.title(&title(report))?;
    for text in notes(report) {
        page.paragraph(Style::Dim, &text, 2)?;
    }
    for group in &report.groups {
        page.heading(&group_heading(group, report.group_by))?;
        group_body(&mut page, report, group)?;
    }
    for row in &report.goroutines {
        page.heading(&row_heading(row))?;
        row_body(&mut page, report, row)?;
    }
    if report.left_out > 0 {
        let (one, many) = match report.goroutines.is_empty() {
            true => ("more group", "more groups"),
            false => ("more goroutine", "more goroutines"),
        };
        let text = format!(
            "{} not shown (-n 0 shows all)",
            count(report.left_out, one, many)
        );
        writeln!(page.out)?;
        page.line(Style::Dim, &text)?;
    }
    Ok(())
}

fn title(report: &GoroutineReport) -> String {
    let mut title = count(report.selected, "goroutine", "goroutines");
    if let Some(filter) = &report.filter {
        title.push_str(&format!(" with {filter} on the stack"));
    }
    if !report.groups.is_empty() {
        let groups = report.groups.len() as u64 + report.left_out;
        let groups = count(groups, "group", "groups");
        title.push_str(&format!(" in {groups} by {}", report.group_by.name()));
    }
    title
}

fn notes(report: &GoroutineReport) -> Vec<String> {
    let mut notes = Vec::new();
    if report.system_hidden && report.system > 0 {
        notes.push(format!(
            "{} of the runtime hidden (--system shows them)",
            thousands(report.system)
        ));
    }
    if report.partly_read > 0 {
        let stacks = count(report.partly_read, "stack", "stacks");
        notes.push(format!("{stacks} could be read in part only"));
    }
    if report.unreadable > 0 {
        let goroutines = count(report.unreadable, "goroutine", "goroutines");
        notes.push(format!("{goroutines} could not be read at all"));
    }
    notes
}

fn group_heading(group: &GoroutineGroup, by: GroupBy) -> String {
    let mut heading = format!("{} × ", thousands(group.count));
    match &group.states[..] {
        _ if by == GroupBy::Creator => heading.push_str(&short_place(&group.key)),
        _ if !group.key.is_empty() => heading.push_str(&group.key),
        [only] => heading.push_str(&only.state),
        states => heading.push_str(&list(states, |s: &StateCount| {
            format!("{} ×{}", s.state, thousands(s.count))
        })),
    }
    if let Some(longest) = group.longest_wait_ns.and_then(duration) {
        heading.push_str(&format!(", for ≥ {longest}"));
        let shortest = group.shortest_wait_ns.and_then(duration);
        if shortest.as_ref() != Some(&longest) {
            let shortest = shortest.map_or("0 s".to_owned(), |s| s);
            heading.push_str(&format!(" (newest ≥ {shortest})"));
        }
    }
    heading
}

fn group_body(
    page: &mut Page<'_>,
    report: &GoroutineReport,
    group: &GoroutineGroup,
) -> io::Result<()> {
    if report.group_by != GroupBy::Stack {
        if report.group_by != GroupBy::Wait {
            let states = list(&group.states, |s: &StateCount| {
                format!("{} ×{}", s.state, thousands(s.count))
            });
            page.paragraph(Style::Plain, &states, 2)?;
        }
        if group.distinct_stacks > 1 {
            let text = format!(
                "{} different stacks; {} × the most frequent:",
                thousands(group.distinct_stacks),
                thousands(group.stack_count)
            );
            page.line(Style::Dim, &text)?;
        }
    }
    stack(page, &report.stacks[group.stack], report.system_hidden)?;
    if report.group_by != GroupBy::Creator {
        let many = group.created_by.len() > 1;
        for CreatorCount { at, count } in group.created_by.iter().take(SHOWN) {
            let times = match many {
                true => format!("{} × ", thousands(*count)),
                false => String::new(),
            };
            let text = format!("{times}created by {}", short(&at.function));
            frame(page, Style::Dim, &text, at)?;
        }
        more(page, group.created_by.len(), "creators")?;
    }
    if report.group_by != GroupBy::Label && !group.labels.is_empty() {
        let labels = list(&group.labels, |set: &LabelCount| {
            format!("{} ×{}", label_set(&set.labels), thousands(set.count))
        });
        page.paragraph(Style::Dim, &format!("labels {labels}"), 2)?;
    }
    let objects = group.heap_first_reached_objects;
    memory(
        page,
        group.stack_bytes,
        group.heap_first_reached_bytes,
        objects,
    )
}

fn row_heading(row: &GoroutineRow) -> String {
    let mut state = match &row.wait_reason {
        Some(reason) => reason.clone(),
        None => row.status.clone(),
    };
    if let Some(wait) = row.wait_ns.and_then(duration) {
        state.push_str(&format!(", ≥ {wait}"));
    }
    if row.locked_to_thread {
        state.push_str(", locked to thread");
    }
    let mut heading = format!("goroutine {} [{state}]", row.id);
    if !row.labels.is_empty() {
        heading.push_str(&format!(" {}", label_set(&row.labels)));
    }
    heading
}

fn row_body(page: &mut Page<'_>, report: &GoroutineReport, row: &GoroutineRow) -> io::Result<()> {
    stack(page, &report.stacks[row.stack], true)?;
    if let Some(at) = &row.created_by {
        let mut text = format!("created by {}", short(&at.function));
        if row.parent_id != 0 {
            text.push_str(&format!(" in goroutine {}", row.parent_id));
        }
        frame(page, Style::Dim, &text, at)?;
    }
    let objects = row.heap_first_reached_objects;
    memory(page, row.stack_bytes, row.heap_first_reached_bytes, objects)
}

/// Items of a list that has no end are shown up to this number.
const SHOWN: usize = 3;

/// The first items, and how many more there are.
fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    let mut parts: Vec<String> = items.iter().take(SHOWN).map(text).collect();
    if items.len() > SHOWN {
        parts.push(format!("{} more", thousands((items.len() - SHOWN) as u64)));
    }
    parts.join(", ")
}

fn more(page: &mut Page<'_>, items: usize, what: &str) -> io::Result<()> {
    match items.checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(n) => page.line(Style::Dim, &format!("{} more {what}", thousands(n as u64))),
    }
}

fn memory(page: &mut Page<'_>, stack: u64, heap: u64, objects: u64) -> io::Result<()> {
    let mut text = format!("{} of stack", iec(stack));
    if objects > 0 {
        let objects = count(objects, "object", "objects");
        text.push_str(&format!(
            ", nearest root of {} heap in {objects}",
            iec(heap)
        ));
    }
    page.paragraph(Style::Dim, &text, 2)
}

/// The frames; those that Go's tracebacks leave out only if there are no others, or on demand.
fn stack(page: &mut Page<'_>, stack: &Stack, hide: bool) -> io::Result<()> {
    let hide = hide && stack.frames.iter().any(|f| !f.internal);
    for at in stack.frames.iter().filter(|f| !(hide && f.internal)) {
        frame(page, Style::Plain, &short(&at.function), at)?;
    }
    if !stack.complete {
        page.line(Style::Warning, "(the rest of the stack could not be read)")?;
    }
    Ok(())
}

/// A function to the left and its place to the right.
fn frame(page: &mut Page<'_>, style: Style, function: &str, at: &Frame) -> io::Result<()> {
    if at.file.is_empty() {
        return page.line(style, function);
    }
    let file = at.file.rsplit('/').next().unwrap_or(&at.file);
    let place = format!("{file}:{}", at.line);
    let room = page.options.width.max(40) - INDENT;
    let (left, right) = (function.chars().count(), place.chars().count());
    if left + 2 + right <= room {
        let gap = " ".repeat(room - left - right);
        return page.line(style, &format!("{function}{gap}{place}"));
    }
    let left = room.saturating_sub(right + 3).max(20);
    let mut cut: String = function.chars().take(left).collect();
    if left < function.chars().count() {
        cut.push('…');
    } else {
        cut.push(' ');
    }
    page.line(style, &format!("{cut}  {place}"))
}

/// Full names and paths as text shows them.
fn short_place(key: &str) -> String {
    let parts: Vec<String> = key
        .split(' ')
        .map(|part| match part.strip_prefix('/') {
            Some(path) => path.rsplit('/').next().unwrap_or(path).to_owned(),
            None => short(part),
        })
        .collect();
    parts.join(" ")
}
