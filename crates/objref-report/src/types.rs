//! The histogram of types, as text.

use std::io::{self, Write};

use objref_analysis::{Amount, Certain, TypeGroup, TypeReport, iec, thousands};

use crate::text::{Page, Style, TextOptions, count, percent};

/// Writes the histogram for people, one type a line, the name last and in full, like `pprof -top`.
///
/// # Errors
///
/// What `out` says.
pub fn types_text(
    report: &TypeReport,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    let live = report.live;
    let objects = count(live.objects, "object", "objects");
    let title = format!(
        "{} live in {objects}, by {}",
        iec(live.bytes),
        report.group_by.word()
    );
    page.title(&title)?;
    let certain = report.certainty.iter().filter(|c| c.amount.objects > 0);
    let certain: Vec<String> = certain
        .map(|c| {
            let objects = count(c.amount.objects, "object", "objects");
            let share = percent(c.amount.bytes, live.bytes);
            format!("{} {share} of the bytes ({objects})", c.certainty)
        })
        .collect();
    page.paragraph(Style::Dim, &certain.join(", "), 2)?;
    writeln!(page.out)?;
    histogram(&mut page, report)?;
    if report.left_out > 0 {
        let (one, many) = match report.group_by {
            TypeGroup::Type => ("more type", "more types"),
            TypeGroup::Package => ("more package", "more packages"),
            TypeGroup::Kind => ("more kind", "more kinds"),
        };
        let what = count(report.left_out, one, many);
        let bytes = iec(report.left_out_amount.bytes);
        writeln!(page.out)?;
        page.line(
            Style::Dim,
            &format!("{what} with {bytes} not shown (-n 0 shows all)"),
        )?;
    }
    unknown(&mut page, report)
}

fn histogram(page: &mut Page<'_>, report: &TypeReport) -> io::Result<()> {
    let mut sum = 0;
    let rows: Vec<Vec<String>> = report
        .rows
        .iter()
        .map(|row| {
            sum += row.amount.bytes;
            let mut cells = amount(row.amount, report.live.bytes);
            cells.insert(2, percent(sum, report.live.bytes));
            cells.extend([words(&row.certainty), row.name.clone()]);
            cells
        })
        .collect();
    let name = report.group_by.word();
    page.list(
        &["bytes", "%", "sum %", "objects", "certainty", name],
        &rows,
    )
}

fn amount(amount: Amount, whole: u64) -> Vec<String> {
    vec![
        iec(amount.bytes),
        percent(amount.bytes, whole),
        thousands(amount.objects),
    ]
}

/// `exact`, or `exact, inferred` where not all objects are known equally well.
fn words(certainty: &[Certain]) -> String {
    let words: Vec<&str> = certainty.iter().map(|c| c.certainty.as_str()).collect();
    words.join(", ")
}

fn unknown(page: &mut Page<'_>, report: &TypeReport) -> io::Result<()> {
    if report.unknown.is_empty() {
        return Ok(());
    }
    page.heading("Without a type: what first refers to them")?;
    for row in &report.unknown {
        let objects = count(row.amount.objects, "object", "objects");
        let (bytes, slot) = (iec(row.amount.bytes), thousands(row.slot));
        let mut text = format!(
            "{bytes} in {objects}: {} × [{slot} B], {}",
            thousands(row.heads),
            row.reason
        );
        if row.amount.objects > row.heads {
            text.push_str(", and what hangs from them");
        }
        page.paragraph(Style::Plain, &text, 2)?;
        page.line(
            Style::Dim,
            &format!("  {}, e.g. {}", row.holder, row.example),
        )?;
    }
    if report.unknown_left_out > 0 {
        let more = count(report.unknown_left_out, "more reason", "more reasons");
        page.line(Style::Dim, &format!("{more} not shown (-n 0 shows all)"))?;
    }
    Ok(())
}
