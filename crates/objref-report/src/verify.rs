//! The checks of the graph, as text.

use std::io::{self, Write};

use objref_analysis::{Check, Example, Scanned, Verdict, Verification, short, thousands};

use crate::text::{Page, Style, TextOptions, count};

/// Writes the checks for people.
///
/// # Errors
///
/// What `out` says.
pub fn verify_text(
    verification: &Verification,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    let (style, title) = match verification.contradictions {
        0 => match notes(verification) {
            0 => (Style::Good, NOTHING.to_owned()),
            n => (
                Style::Plain,
                format!("{NOTHING}; {} to look at", count(n, "note", "notes")),
            ),
        },
        n => (
            Style::Warning,
            format!(
                "{} the graph of the heap",
                count(n, "check contradicts", "checks contradict")
            ),
        ),
    };
    let title = page.styled(style, &title);
    writeln!(page.out, "{title}")?;
    page.heading("Checks")?;
    for check in &verification.checks {
        write_check(&mut page, check)?;
    }
    if !verification.conservative_frames.is_empty() {
        page.heading("Scanned conservatively")?;
        for frames in &verification.conservative_frames {
            let at = match frames.what {
                Scanned::Stack => "whole stack".to_owned(),
                Scanned::SystemStack => "system stack of a running thread".to_owned(),
                Scanned::Frame => {
                    let file = frames.at.file.rsplit('/').next().unwrap_or_default();
                    format!("{} {file}:{}", short(&frames.at.function), frames.at.line)
                }
            };
            let first = match frames.goroutine {
                0 => String::new(),
                goroutine => format!(", first in goroutine {goroutine}"),
            };
            let text = format!("{} × {at}{first}", thousands(frames.count));
            page.paragraph(Style::Plain, &text, 2)?;
        }
    }
    Ok(())
}

const NOTHING: &str = "Nothing contradicts the graph of the heap";

fn notes(verification: &Verification) -> u64 {
    let notes = verification.checks.iter();
    notes.filter(|c| c.verdict == Verdict::Note).count() as u64
}

fn write_check(page: &mut Page<'_>, check: &Check) -> io::Result<()> {
    let (style, word) = match check.verdict {
        Verdict::Holds => (Style::Plain, "ok"),
        Verdict::Contradicts => (Style::Warning, "WRONG"),
        Verdict::Note => (Style::Plain, "note"),
        Verdict::Skipped => (Style::Dim, "skipped"),
    };
    let amount = match (check.objects, check.bytes) {
        (0, 0) => "0".to_owned(),
        (0, bytes) => format!("{} B", thousands(bytes)),
        (objects, 0) => thousands(objects),
        (objects, bytes) => format!("{} ({} B)", thousands(objects), thousands(bytes)),
    };
    let text = format!("{word:<7} {amount} {} [{}]", check.text, check.code);
    page.paragraph(style, &text, 8)?;
    for example in &check.examples {
        write_example(page, example)?;
    }
    Ok(())
}

/// Steps of a way that are shown at each end.
const ENDS: usize = 6;

fn write_example(page: &mut Page<'_>, example: &Example) -> io::Result<()> {
    let size = match example.bytes {
        0 => String::new(),
        bytes => format!(", {} B", thousands(bytes)),
    };
    let text = format!(
        "        {:#x}{size}: {}",
        example.address,
        short(&example.type_name)
    );
    page.line(Style::Dim, &text)?;
    if example.path.is_empty() {
        return Ok(());
    }
    let path = match example.path.len().checked_sub(2 * ENDS) {
        Some(left_out @ 1..) => format!(
            "{} › … {} steps … › {}",
            example.path[..ENDS].join(" › "),
            thousands(left_out as u64),
            example.path[ENDS + left_out..].join(" › ")
        ),
        _ => example.path.join(" › "),
    };
    page.line(Style::Dim, &format!("          {path}"))
}
