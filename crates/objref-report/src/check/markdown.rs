//! Markdown, for the summary of a workflow's step or a comment.

use std::io::{self, Write};

use objref_analysis::{
    CheckReport, Offender, RuleReport, RuleVerdict, SignatureRow, iec, thousands,
};

use super::{by_weight, headline, offence, place};
use crate::restore::clean;

/// Ways of a list that are shown.
const ROWS: usize = 50;

/// Writes what a check found as Markdown.
///
/// # Errors
///
/// What `out` says.
pub fn markdown(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let word = if report.passed { "passed" } else { "failed" };
    writeln!(out, "## Heap check {word}: {}\n", headline(report))?;
    let live = report.live;
    writeln!(
        out,
        "{} live in {} objects of {}\n",
        iec(live.bytes),
        thousands(live.objects),
        code(&report.core)
    )?;
    if !report.rules.is_empty() {
        writeln!(out, "| | rule | found |\n|---|---|---|")?;
    }
    for rule in by_weight(report) {
        let word = match rule.verdict {
            RuleVerdict::Passed => "✅",
            RuleVerdict::NotApplicable => "➖",
            RuleVerdict::Failed if rule.fails() => "❌",
            RuleVerdict::Failed => "⚠️",
        };
        writeln!(
            out,
            "| {word} | {} | {} |",
            escaped(&rule.name),
            escaped(&rule.text())
        )?;
    }
    let failed = by_weight(report).into_iter();
    for rule in
        failed.filter(|rule| rule.verdict == RuleVerdict::Failed || !rule.suppressed.is_empty())
    {
        write_rule(out, report, rule)?;
    }
    signatures(out, report)?;
    if !report.warnings.is_empty() {
        writeln!(out, "\n### About the policy\n")?;
    }
    for warning in &report.warnings {
        let place = place(report, warning.line).unwrap_or_default();
        let rule = warning.rule.as_ref().map(|rule| format!(" rule '{rule}'"));
        let text = format!("{place}{}: {}", rule.unwrap_or_default(), warning.text);
        writeln!(out, "- {}", escaped(&text))?;
    }
    Ok(())
}

fn write_rule(out: &mut dyn Write, report: &CheckReport, rule: &RuleReport) -> io::Result<()> {
    writeln!(out, "\n### {}\n", escaped(&rule.name))?;
    writeln!(out, "{}", escaped(&rule.text()))?;
    for about in [&rule.reason, &place(report, rule.line)]
        .into_iter()
        .flatten()
    {
        writeln!(out, "\n{}", escaped(about))?;
    }
    for (number, offender) in rule.offenders.iter().enumerate() {
        let text = format!(
            "\n{}. {}, signature `{}`\n",
            number + 1,
            escaped(&offence(offender)),
            offender.signature
        );
        writeln!(out, "{text}\n{}", way(offender))?;
    }
    if rule.offenders_left_out > 0 {
        writeln!(out, "\nand {} more", thousands(rule.offenders_left_out))?;
    }
    for offender in &rule.suppressed {
        let reason = offender.suppressed.as_deref().unwrap_or_default();
        let text = format!("exempt: {}: {reason}", offence(offender));
        writeln!(
            out,
            "\n- {}, signature `{}`",
            escaped(&text),
            offender.signature
        )?;
    }
    Ok(())
}

/// The way, a name a line, as a block of code in a list.
fn way(offender: &Offender) -> String {
    let lines: Vec<String> = match &offender.stack[..] {
        [] => offender.way.iter().map(|name| clean(name)).collect(),
        stack => {
            let frame = |f: &objref_analysis::Frame| {
                clean(&format!("{} {}:{}", f.function, f.file, f.line))
            };
            stack.iter().map(frame).collect()
        }
    };
    // Longer than any run of backticks in it.
    let most = lines.iter().map(|line| backticks(line)).max().unwrap_or(0);
    let fence = "`".repeat(most.max(2) + 1);
    let mut text = format!("   {fence}text\n");
    for line in lines {
        text.push_str(&format!("   {line}\n"));
    }
    text.push_str(&format!("   {fence}"));
    text
}

fn signatures(out: &mut dyn Write, report: &CheckReport) -> io::Result<()> {
    let found = &report.signatures;
    let Some(known) = found.known else {
        return Ok(());
    };
    writeln!(
        out,
        "\n### Against the baseline: {} known, {} new, {} gone",
        thousands(known),
        found.new.len(),
        found.gone.len()
    )?;
    if found.new.is_empty() && found.gone.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n| | held | signature | way |\n|---|---|---|---|")?;
    let rows = |word, rows: &[SignatureRow], out: &mut dyn Write| -> io::Result<()> {
        for row in rows.iter().take(ROWS) {
            let held = match row.held.bytes {
                0 => row.before.map_or(0, |before| before.bytes),
                held => held,
            };
            let (held, way) = (iec(held), escaped(&row.way));
            writeln!(out, "| {word} | {held} | `{}` | {way} |", row.signature)?;
        }
        Ok(())
    };
    rows("new", &found.new, out)?;
    rows("gone", &found.gone, out)
}

/// `text` as it is: no markup, no HTML, no mention, no other cell.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Before a name, it would call somebody.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '!' | '~' | '{' | '}' => {
                out.extend(['\\', c]);
            }
            c => out.push(c),
        }
    }
    out
}

/// `text` as code in a line.
fn code(text: &str) -> String {
    let text = clean(text);
    let fence = "`".repeat(backticks(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

/// The longest run of backticks.
fn backticks(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text() {
        assert_eq!(
            escaped("a|b <img src=x> @me `x` [l](u)"),
            "a\\|b &lt;img src=x&gt; &#64;me \\`x\\` \\[l\\]\\(u\\)"
        );
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        let offender = Offender {
            way: vec!["```".to_owned(), "x\ny".to_owned()],
            ..Offender::default()
        };
        assert_eq!(way(&offender), "   ````text\n   ```\n   x␊y\n   ````");
    }
}
