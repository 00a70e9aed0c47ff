//! What has changed from one dump to the next, as text.

use std::io::{self, Write};

use objref_analysis::{
    Amount, Change, DiffDump, DiffGoroutines, DiffReport, DiffRow, DiffStep, DiffTable, Fates,
    Metric, duration, iec, short, thousands,
};

use crate::text::{Page, Style, TextOptions, count};

/// Writes what has changed for people, the greatest change of each table first.
///
/// # Errors
///
/// What `out` says.
pub fn diff_text(
    report: &DiffReport,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    page.title(&headline(report))?;
    relations(&mut page, report)?;
    if let Some(fates) = &report.fates {
        fates_of_all(&mut page, fates, report.steps[0].collections)?;
    }
    totals(&mut page, report)?;
    let what = match report.dumps.len() {
        2 => "",
        _ => ", what grew in every step",
    };
    page.heading(&format!("By type{what}"))?;
    table(&mut page, report, &report.types, &Names::Last)?;
    page.heading(&format!("By root{what}"))?;
    table(&mut page, report, &report.roots, &Names::Last)?;
    page.heading(&format!("By path{what}"))?;
    table(&mut page, report, &report.paths, &Names::Path)?;
    page.heading(&format!("Goroutines by stack and state{what}"))?;
    goroutines(&mut page, &report.goroutines)
}

/// `+1.2 MiB live (+4.0 %), +1,234 objects`
fn headline(report: &DiffReport) -> String {
    let (first, last) = (&report.dumps[0], &report.dumps[report.dumps.len() - 1]);
    let (before, after) = (first.heap.live, last.heap.live);
    format!(
        "{} live, {}: {} -> {}; {} objects",
        signed_bytes(report.growth.bytes),
        share(before.bytes, after.bytes),
        iec(before.bytes),
        iec(after.bytes),
        signed(report.growth.objects),
    )
}

fn relations(page: &mut Page<'_>, report: &DiffReport) -> io::Result<()> {
    let steps = &report.steps;
    let words = |step: &DiffStep| {
        let reasons = step.reasons.join(", ");
        format!(
            "{} ({}: {reasons})",
            step.relation.words(),
            step.sureness.word()
        )
    };
    // Often the same is to be said of all steps.
    if steps.iter().all(|step| words(step) == words(&steps[0])) {
        page.paragraph(Style::Plain, &words(&steps[0]), 2)?;
    } else {
        for (i, step) in steps.iter().enumerate() {
            let text = format!("[{}] and [{}]: {}", i + 1, i + 2, words(step));
            page.paragraph(Style::Plain, &text, 2)?;
        }
    }
    for (i, step) in steps.iter().enumerate() {
        let (pair, first) = match steps.len() {
            1 => ("in between".to_owned(), "the first".to_owned()),
            _ => (
                format!("between [{}] and [{}]", i + 1, i + 2),
                format!("[{}]", i + 1),
            ),
        };
        if step.backwards {
            let text = format!("{first} is the later one: what is said to have grown has shrunk");
            page.paragraph(Style::Warning, &text, 2)?;
        }
        let mut between = Vec::new();
        between.extend(step.elapsed_ns.and_then(duration));
        between.extend(step.collections.map(|n| match n {
            0 => "no collection".to_owned(),
            n => count(n, "collection", "collections"),
        }));
        if !between.is_empty() {
            page.line(Style::Dim, &format!("{pair}: {}", between.join(", ")))?;
        }
    }
    Ok(())
}

fn fates_of_all(page: &mut Page<'_>, fates: &Fates, collections: Option<u64>) -> io::Result<()> {
    let amount = |what: &str, amount: Amount| {
        let objects = count(amount.objects, "object", "objects");
        format!("{what} {} in {objects}", iec(amount.bytes))
    };
    let mut parts = vec![
        amount("survived", fates.survived),
        amount("new", fates.new),
        amount("freed", fates.freed),
    ];
    if fates.moved_here.objects > 0 {
        let what = match collections {
            Some(0) => "moved (came, went)",
            _ => "moved or replaced (came, went)",
        };
        parts.push(amount(what, fates.moved_here));
    }
    page.paragraph(Style::Plain, &parts.join("; "), 2)?;
    if collections != Some(0) {
        let limit = "Go uses slots again: what was freed and replaced in its slot by an object of the same type, held \
                     along a path of the same names, counts as survived.";
        page.paragraph(Style::Dim, limit, 2)?;
    }
    Ok(())
}

fn totals(page: &mut Page<'_>, report: &DiffReport) -> io::Result<()> {
    writeln!(page.out)?;
    let dumps = &report.dumps;
    let mut head = vec![String::new()];
    head.extend(columns(dumps.len()));
    head.push("growth".to_owned());
    let row = |name: &str, of: &dyn Fn(&DiffDump) -> Option<u64>, bytes: bool| {
        let values: Option<Vec<u64>> = dumps.iter().map(of).collect();
        let values = values?;
        let shown = |n: &u64| if bytes { iec(*n) } else { thousands(*n) };
        let change = |change: i64| match bytes {
            true => signed_bytes(change),
            false => signed(change),
        };
        let mut cells = vec![name.to_owned()];
        cells.extend(values.iter().map(shown));
        cells.push(change(difference(values[0], values[values.len() - 1])));
        Some(cells)
    };
    let rows = [
        row("live", &|d| Some(d.heap.live.bytes), true),
        row("live objects", &|d| Some(d.heap.live.objects), false),
        row("garbage", &|d| Some(d.heap.garbage.bytes), true),
        row("goroutines", &|d| Some(d.goroutines), false),
        row("collections", &|d| d.num_gc, false),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().flatten().collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    page.table(&head, &rows)?;
    for (column, dump) in columns(dumps.len()).iter().zip(dumps) {
        page.line(
            Style::Dim,
            &format!("{column}: {} ({})", dump.core, dump.go_version),
        )?;
    }
    Ok(())
}

/// Heads for the numbers of each dump.
fn columns(dumps: usize) -> Vec<String> {
    match dumps {
        2 => vec!["before".to_owned(), "after".to_owned()],
        _ => (1..=dumps).map(|n| format!("[{n}]")).collect(),
    }
}

/// What a row is called.
enum Names {
    /// By its last name.
    Last,
    /// By that, and below it all names from the root down.
    Path,
}

fn table(
    page: &mut Page<'_>,
    report: &DiffReport,
    table: &DiffTable,
    names: &Names,
) -> io::Result<()> {
    let with_fates = report.fates.is_some();
    let dumps = columns(report.dumps.len());
    let mut head = vec!["growth", "", "objects"];
    head.extend(dumps.iter().map(String::as_str));
    let moved = table.rows.iter().filter_map(|row| row.fates);
    let moved = moved
        .into_iter()
        .any(|fates| fates.moved_here != fates.moved_away);
    if with_fates {
        head.extend(["new", "freed"]);
    }
    if moved {
        head.extend(["came", "went"]);
    }
    head.push("");
    let mut rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| cells(row, report.metric, moved))
        .collect();
    let details: Vec<String> = match names {
        Names::Last => Vec::new(),
        Names::Path => table.rows.iter().map(|row| row.path.join(" -> ")).collect(),
    };
    if rows.is_empty() {
        page.line(Style::Plain, "nothing")?;
    } else {
        page.ranking(&head, &mut rows, &details)?;
    }
    let unlisted = match report.dumps.len() {
        2 => "unchanged",
        _ => "did not grow in every step",
    };
    let mut notes = Vec::new();
    if table.left_out > 0 {
        notes.push(format!(
            "{} more with {} (-n 0 shows all)",
            thousands(table.left_out),
            growth(table.left_out_growth, report.metric)
        ));
    }
    if table.not_listed > 0 {
        let sum = match report.dumps.len() {
            2 => String::new(),
            _ => format!(" ({})", growth(table.not_listed_growth, report.metric)),
        };
        notes.push(format!("{} {unlisted}{sum}", thousands(table.not_listed)));
    }
    match notes.is_empty() {
        true => Ok(()),
        false => page.line(Style::Dim, &notes.join("; ")),
    }
}

fn growth(change: Change, metric: Metric) -> String {
    match metric {
        Metric::Bytes => signed_bytes(change.bytes),
        Metric::Objects => format!("{} objects", signed(change.objects)),
    }
}

/// `moved`: also what came from other rows and went to them.
fn cells(row: &DiffRow, metric: Metric, moved: bool) -> Vec<String> {
    let (first, last) = (row.amounts[0], row.amounts[row.amounts.len() - 1]);
    let share = match metric {
        Metric::Bytes => share(first.bytes, last.bytes),
        Metric::Objects => share(first.objects, last.objects),
    };
    let mut cells = vec![
        signed_bytes(row.growth.bytes),
        share,
        signed(row.growth.objects),
    ];
    cells.extend(row.amounts.iter().map(|amount| match metric {
        Metric::Bytes => iec(amount.bytes),
        Metric::Objects => thousands(amount.objects),
    }));
    if let Some(fates) = &row.fates {
        let mut shown = vec![fates.new, fates.freed];
        if moved {
            shown.extend([fates.moved_here, fates.moved_away]);
        }
        let objects = shown.iter().map(|amount| amount.objects);
        cells.extend(objects.map(|n| if n == 0 { "-".to_owned() } else { thousands(n) }));
    }
    let name = row.path.last().map_or(String::new(), |name| short(name));
    cells.push(name);
    cells
}

fn goroutines(page: &mut Page<'_>, report: &DiffGoroutines) -> io::Result<()> {
    let told = report.groups.first().is_some_and(|g| g.started.is_some());
    let dumps = columns(report.counts.len());
    let mut head = vec!["growth"];
    head.extend(dumps.iter().map(String::as_str));
    if told {
        head.extend(["started", "ended"]);
    }
    head.push("");
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut details = Vec::new();
    for group in &report.groups {
        let mut cells = vec![signed(group.growth)];
        cells.extend(group.counts.iter().map(|n| thousands(*n)));
        if told {
            cells.extend([group.started, group.ended].map(|n| match n.unwrap_or(0) {
                0 => "-".to_owned(),
                n => thousands(n),
            }));
        }
        cells.push(format!(
            "[{}], e.g. goroutine {}",
            group.state, group.example
        ));
        rows.push(cells);
        let functions: Vec<String> = group.functions.iter().map(|name| short(name)).collect();
        details.push(functions.join(" <- "));
    }
    match rows.is_empty() {
        true => page.line(Style::Plain, "nothing")?,
        false => page.ranking(&head, &mut rows, &details)?,
    }
    let mut notes = Vec::new();
    if report.left_out > 0 {
        let more = count(report.left_out, "more group", "more groups");
        notes.push(format!("{more} (-n 0 shows all)"));
    }
    if report.not_listed > 0 {
        let what = match report.counts.len() {
            2 => "unchanged",
            _ => "did not grow in every step",
        };
        notes.push(format!(
            "{} {what}",
            count(report.not_listed, "group", "groups")
        ));
    }
    match notes.is_empty() {
        true => Ok(()),
        false => page.line(Style::Dim, &notes.join("; ")),
    }
}

fn difference(before: u64, after: u64) -> i64 {
    let less = i128::from(after) - i128::from(before);
    i64::try_from(less).unwrap_or(if less < 0 { i64::MIN } else { i64::MAX })
}

/// `+1,234`, `-5`, `0`.
pub(crate) fn signed(n: i64) -> String {
    with_sign(n, thousands(n.unsigned_abs()))
}

/// `+1.2 MiB`, `-5 B`, `0 B`.
pub(crate) fn signed_bytes(n: i64) -> String {
    with_sign(n, iec(n.unsigned_abs()))
}

fn with_sign(n: i64, text: String) -> String {
    match n {
        0 => text,
        n if n < 0 => format!("-{text}"),
        _ => format!("+{text}"),
    }
}

/// By how much something has grown: `+4.0 %`, `new`, `gone`; of what is more than ten times as much, `×12`.
pub(crate) fn share(before: u64, after: u64) -> String {
    let part = before.abs_diff(after) as f64 / before.max(1) as f64 * 100.0;
    let sign = if after < before { '-' } else { '+' };
    match (before, after) {
        (before, after) if before == after => String::new(),
        (0, _) => "new".to_owned(),
        (_, 0) => "gone".to_owned(),
        (before, after) if after / before >= 10 => format!("×{}", thousands(after / before)),
        _ if part < 0.05 => format!("{sign}<0.1 %"),
        // 99.97 is not all of it.
        _ if sign == '-' && part >= 99.95 => "->99.9 %".to_owned(),
        _ => format!("{sign}{part:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_have_signs() {
        assert_eq!([signed(5), signed(-1234), signed(0)], ["+5", "-1,234", "0"]);
        assert_eq!(signed_bytes(-2048), "-2.0 KiB");
        assert_eq!(signed_bytes(i64::MIN), "-8.0 EiB");
        assert_eq!(difference(u64::MAX, 0), i64::MIN);
        let shares = [
            (0, 5),
            (5, 0),
            (5, 5),
            (10, 11),
            (10, 35),
            (10, 9),
            (10, 1000),
            (1_000_000, 1_000_001),
        ];
        let shares = shares.map(|(before, after)| share(before, after));
        assert_eq!(
            shares,
            [
                "new", "gone", "", "+10.0 %", "+250.0 %", "-10.0 %", "×100", "+<0.1 %"
            ]
        );
    }
}
