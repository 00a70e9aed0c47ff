//! For people.

use std::io::{self, Write};

use objref_analysis::{
    CheckReport, Offender, RuleReport, RuleVerdict, SignatureRow, iec, thousands,
};

use super::{PATHS, by_weight, headline, offence, place};
use crate::text::{Page, Style, TextOptions, count};
use crate::why::write_path;

/// Ways of a list that are shown.
const ROWS: usize = 10;
/// Calls of a stack that are shown.
const CALLS: usize = 12;

/// Writes what a check found for people.
///
/// # Errors
///
/// What `out` says.
pub fn check_text(
    report: &CheckReport,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    let (word, style) = match report.passed {
        true => ("PASSED", Style::Good),
        false => ("FAILED", Style::Warning),
    };
    let word = page.styled(style, word);
    let live = &report.live;
    let text = format!(
        "  {}; {} live in {}",
        headline(report),
        iec(live.bytes),
        count(live.objects, "object", "objects")
    );
    let text = page.styled(Style::Plain, &text);
    writeln!(page.out, "{word}{text}")?;
    for rule in by_weight(report) {
        write_rule(&mut page, report, rule)?;
    }
    signatures(&mut page, report)?;
    if !report.warnings.is_empty() {
        page.heading("About the policy")?;
        for warning in &report.warnings {
            let place = place(report, warning.line).unwrap_or_default();
            let rule = warning.rule.as_ref().map(|rule| format!(" rule '{rule}'"));
            let text = format!("{place}{}: {}", rule.unwrap_or_default(), warning.text);
            page.paragraph(Style::Warning, &text, 2)?;
        }
    }
    Ok(())
}

fn write_rule(page: &mut Page<'_>, report: &CheckReport, rule: &RuleReport) -> io::Result<()> {
    let (word, style) = match rule.verdict {
        RuleVerdict::Passed => ("ok  ", Style::Good),
        RuleVerdict::NotApplicable => ("--  ", Style::Dim),
        RuleVerdict::Failed if rule.fails() => ("FAIL", Style::Warning),
        RuleVerdict::Failed => ("warn", Style::Warning),
    };
    let word = page.styled(style, word);
    let failed = rule.verdict == RuleVerdict::Failed;
    writeln!(page.out)?;
    let name = page.styled(
        if failed { Style::Heading } else { Style::Plain },
        &rule.name,
    );
    writeln!(page.out, "{word}  {name}")?;
    page.paragraph(Style::Plain, &format!("    {}", rule.text()), 6)?;
    if failed {
        for text in [&rule.reason, &place(report, rule.line)]
            .into_iter()
            .flatten()
        {
            page.paragraph(Style::Dim, &format!("    {text}"), 6)?;
        }
    }
    for (number, offender) in rule.offenders.iter().enumerate() {
        write_offender(page, number, offender)?;
    }
    if rule.offenders_left_out > 0 {
        let text = format!("… {} more not shown", thousands(rule.offenders_left_out));
        page.line(Style::Dim, &format!("    {text}"))?;
    }
    for offender in &rule.suppressed {
        let reason = offender.suppressed.as_deref().unwrap_or_default();
        let text = format!(
            "    exempt: {}, {} {}: {reason}",
            offence(offender),
            offender.signature,
            offender.way_text()
        );
        page.paragraph(Style::Dim, &text, 6)?;
    }
    Ok(())
}

fn write_offender(page: &mut Page<'_>, number: usize, offender: &Offender) -> io::Result<()> {
    writeln!(page.out)?;
    let text = format!(
        "{}. {}   signature {}",
        number + 1,
        offence(offender),
        offender.signature
    );
    page.line(Style::Plain, &text)?;
    match (&offender.path, &offender.stack[..]) {
        (Some(path), _) if number < PATHS => write_path(page, path),
        (_, [_, ..]) if number < PATHS => {
            for frame in offender.stack.iter().take(CALLS) {
                let text = format!("   {}  {}:{}", frame.function, frame.file, frame.line);
                page.line(Style::Plain, &text)?;
            }
            match offender.stack.len().saturating_sub(CALLS) {
                0 => Ok(()),
                more => page.line(Style::Dim, &format!("   … {more} more calls")),
            }
        }
        _ => page.paragraph(Style::Dim, &format!("   {}", offender.way_text()), 5),
    }
}

fn signatures(page: &mut Page<'_>, report: &CheckReport) -> io::Result<()> {
    let found = &report.signatures;
    let mut text = format!(
        "{} {} or more",
        count(found.all.len() as u64, "way holds", "ways hold"),
        iec(found.threshold)
    );
    if let Some(known) = found.known {
        text.push_str(&format!(
            ": {} known, {} new, {} gone",
            thousands(known),
            thousands(found.new.len() as u64),
            thousands(found.gone.len() as u64)
        ));
    }
    page.heading(&text)?;
    let rows = match found.known {
        None => lines("", &found.all),
        Some(_) => [lines("new", &found.new), lines("gone", &found.gone)].concat(),
    };
    if rows.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<Vec<String>> = rows.iter().take(ROWS).cloned().collect();
    page.ranking(&["", "held", "signature", "way"], &mut shown, &[])?;
    match rows.len().saturating_sub(ROWS) {
        0 => Ok(()),
        more => page.line(
            Style::Dim,
            &format!("… {} more not shown", thousands(more as u64)),
        ),
    }
}

fn lines(word: &str, rows: &[SignatureRow]) -> Vec<Vec<String>> {
    let row = |row: &SignatureRow| {
        let held = match (row.held.bytes, row.before) {
            (0, Some(before)) => before.bytes,
            (held, _) => held,
        };
        vec![
            word.to_owned(),
            iec(held),
            row.signature.to_string(),
            row.way.clone(),
        ]
    };
    rows.iter().map(row).collect()
}
