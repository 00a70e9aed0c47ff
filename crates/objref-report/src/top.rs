//! What retains the most, as text.

use std::io::{self, Write};

use objref_analysis::{
    HeldBy, TopBy, TopObject, TopReport, TopRow, duration, iec, short, thousands,
};

use crate::text::{Page, Style, TextOptions, count, percent};

/// Writes what retains the most for people, one row a line, the name last.
///
/// # Errors
///
/// What `out` says.
pub fn top_text(report: &TopReport, options: &TextOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out, options);
    let objects = count(report.live.objects, "object", "objects");
    let title = format!("{} live in {objects}", iec(report.live.bytes));
    page.title(&title)?;
    page.paragraph(Style::Dim, meaning(report.by), 0)?;
    writeln!(page.out)?;
    match report.by {
        TopBy::Root | TopBy::Goroutine => roots(&mut page, report)?,
        TopBy::Type | TopBy::Package => sets(&mut page, report)?,
        TopBy::Object => objects_held(&mut page, report)?,
    }
    let notes = notes(report);
    if !notes.is_empty() {
        writeln!(page.out)?;
    }
    for note in notes {
        page.paragraph(Style::Dim, &note, 2)?;
    }
    Ok(())
}

fn meaning(by: TopBy) -> &'static str {
    match by {
        TopBy::Root => {
            "retained: what would be freed if the root alone went away; the rows add up to all"
        }
        TopBy::Goroutine => {
            "retained: what would be freed if all goroutines that started with the function ended"
        }
        TopBy::Type => {
            "retained: what its objects retain, each byte once, without what only several of them together hold; \
             types hold each other, so that the rows do not add up"
        }
        TopBy::Package => {
            "retained: what its objects retain, each byte once, without what only several of them together hold; \
             packages hold each other, so that the rows do not add up"
        }
        TopBy::Object => {
            "retained: what would be freed if the object went away; objects hold each other, so that the rows do not \
             add up"
        }
    }
}

fn roots(page: &mut Page<'_>, report: &TopReport) -> io::Result<()> {
    let name = match report.by {
        TopBy::Goroutine => "goroutines by the function they started with",
        _ => "root",
    };
    let rows = report.rows.iter().map(|row| {
        let mut cells = retained(row, report);
        cells.push(format!("{}{}", short(&row.name), goroutines(row)));
        cells
    });
    let mut rows: Vec<_> = rows.collect();
    page.ranking(&["retained", "%", "objects", name], &mut rows, &[])
}

fn sets(page: &mut Page<'_>, report: &TopReport) -> io::Result<()> {
    let rows = report.rows.iter().map(|row| {
        let own = row.shallow.unwrap_or_default();
        vec![
            iec(row.retained.bytes),
            percent(row.retained.bytes, report.live.bytes),
            iec(own.bytes),
            percent(own.bytes, report.live.bytes),
            thousands(own.objects),
            match report.by {
                TopBy::Package => row.name.clone(),
                _ => short(&row.name),
            },
        ]
    });
    let mut rows: Vec<_> = rows.collect();
    let head = ["retained", "%", "shallow", "%", "objects", report.by.word()];
    page.ranking(&head, &mut rows, &[])
}

fn objects_held(page: &mut Page<'_>, report: &TopReport) -> io::Result<()> {
    let (mut rows, mut details) = (Vec::new(), Vec::new());
    for row in &report.rows {
        let Some(object) = &row.object else { continue };
        let mut cells = retained(row, report);
        cells.push(iec(row.shallow.unwrap_or_default().bytes));
        cells.extend([object.address.clone(), short(&row.name)]);
        rows.push(cells);
        details.push(held_by(object));
    }
    let head = ["retained", "%", "objects", "shallow", "address", "type"];
    page.ranking(&head, &mut rows, &details)
}

/// Bytes, their part of all, objects.
fn retained(row: &TopRow, report: &TopReport) -> Vec<String> {
    vec![
        iec(row.retained.bytes),
        percent(row.retained.bytes, report.live.bytes),
        thousands(row.retained.objects),
    ]
}

/// ` ×100 [chan send, ≥ 5 min]`, ` ×3 [IO wait ×2, select]`.
fn goroutines(row: &TopRow) -> String {
    let mut text = String::new();
    if row.goroutines > 1 {
        text.push_str(&format!(" ×{}", thousands(row.goroutines)));
    }
    let many = row.states.len() > 1;
    let states = row.states.iter().map(|s| match s.count {
        n if many && n > 1 => format!("{} ×{}", s.state, thousands(n)),
        _ => s.state.clone(),
    });
    let mut states: Vec<String> = states.collect();
    if let Some(longest) = row.longest_wait_ns.and_then(duration) {
        states.push(format!("≥ {longest}"));
    }
    if !states.is_empty() {
        text.push_str(&format!(" [{}]", states.join(", ")));
    }
    text
}

fn held_by(object: &TopObject) -> String {
    let by = |step: &Option<String>, holder: String| match step {
        Some(step) => format!("{step} of {holder}"),
        None => format!("only through {holder}"),
    };
    match &object.held_by {
        HeldBy::Object {
            address,
            name,
            step,
        } => by(step, format!("{address} {}", short(name))),
        HeldBy::Root { name, step } => by(step, short(name)),
        HeldBy::Shared => "held by several roots".to_owned(),
    }
}

fn notes(report: &TopReport) -> Vec<String> {
    let (one, many) = match report.by {
        TopBy::Root => ("root", "roots"),
        TopBy::Type => ("type", "types"),
        TopBy::Package => ("package", "packages"),
        TopBy::Goroutine => ("function", "functions"),
        TopBy::Object => ("object", "objects"),
    };
    let mut notes = Vec::new();
    if report.left_out.rows > 0 {
        let what = count(
            report.left_out.rows,
            &format!("more {one}"),
            &format!("more {many}"),
        );
        let bytes = iec(report.left_out.amount.bytes);
        notes.push(format!("{what} with {bytes} not shown (-n 0 shows all)"));
    }
    if report.filtered.rows > 0 {
        let by = [("--focus", &report.focus), ("--ignore", &report.ignore)];
        let by = by
            .iter()
            .filter_map(|(option, pattern)| Some(format!("{option} {}", pattern.as_ref()?)));
        let by: Vec<String> = by.collect();
        notes.push(format!(
            "{} with {} left out by {}",
            count(report.filtered.rows, one, many),
            iec(report.filtered.amount.bytes),
            by.join(" and ")
        ));
    }
    if report.rows.iter().any(|row| row.is_shared()) {
        let way = "objref tree --from shared unfolds what several roots share";
        notes.push(way.to_owned());
    }
    if report.idle_roots > 0 {
        let what = count(
            report.idle_roots,
            &format!("more {one}"),
            &format!("more {many}"),
        );
        let hold = if report.idle_roots == 1 {
            "retains"
        } else {
            "retain"
        };
        notes.push(format!(
            "{what} {hold} nothing: others hold the same objects, too"
        ));
    }
    notes
}
