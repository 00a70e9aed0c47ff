//! Annotations of a GitHub workflow: lines that its runner reads from the output of a step.

use std::io::{self, Write};

use objref_analysis::{CheckReport, RuleReport};

use super::{by_weight, offence};
use crate::restore::clean;

/// GitHub shows no more of a step.
// docs.github.com: "Usage limits for workflow annotations", 10 of a level per step
const MOST: usize = 10;

/// Writes annotations, ten at most: what there is no room for is in [`markdown`](super::markdown()), which belongs into
/// the step's summary.
///
/// # Errors
///
/// What `out` says.
pub fn github(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let rules = by_weight(report).into_iter();
    let mut lines: Vec<String> = rules
        .filter(|rule| rule.fails() || rule.warns())
        .map(|rule| annotation(report, rule))
        .collect();
    lines.extend(report.warnings.iter().map(|warning| {
        let title = warning.rule.as_deref().unwrap_or("policy");
        line("warning", report, warning.line, title, &warning.text)
    }));
    let more = lines.len().saturating_sub(MOST);
    if more > 0 {
        lines.truncate(MOST - 1);
        let text = format!("{} more: see the summary of this step", more + 1);
        let level = if report.passed { "warning" } else { "error" };
        lines.push(line(level, report, 0, "objref check", &text));
    }
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}

fn annotation(report: &CheckReport, rule: &RuleReport) -> String {
    let level = if rule.fails() { "error" } else { "warning" };
    let mut text = rule.text();
    if let Some(offender) = rule.offenders.first() {
        text.push_str(&format!(
            "\n{}\n{}\nsignature {}",
            offence(offender),
            offender.way_text(),
            offender.signature
        ));
    }
    let more = rule.offenders.len() as u64 + rule.offenders_left_out;
    if more > 1 {
        text.push_str(&format!("\nand {} more", more - 1));
    }
    line(level, report, rule.line, &rule.name, &text)
}

fn line(level: &str, report: &CheckReport, at: u32, title: &str, text: &str) -> String {
    let mut place = String::new();
    if let Some(policy) = report.policy.as_ref().filter(|_| at > 0) {
        place = format!("file={},line={at},", property(policy));
    }
    format!("::{level} {place}title={}::{}", property(title), data(text))
}

// actions/toolkit packages/core/src/command.ts: escapeData, escapeProperty
fn data(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(clean).collect();
    lines.join("\n").replace('%', "%25").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_command_the_runner() {
        assert_eq!(data("50% \r\n::error::x"), "50%25 %0A::error::x");
        assert_eq!(property("a:b,c\n"), "a%3Ab%2Cc");
        let report = CheckReport {
            policy: Some("a,b.toml".to_owned()),
            ..CheckReport::default()
        };
        let line = line(
            "error",
            &report,
            3,
            "x::y",
            "z\u{1b}[0m\n::stop-commands::t",
        );
        assert_eq!(
            line,
            "::error file=a%2Cb.toml,line=3,title=x%3A%3Ay::z␛[0m%0A::stop-commands::t"
        );
    }
}
