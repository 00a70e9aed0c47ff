//! JUnit's XML, as CI systems read it: a test case for each rule.

use std::io::{self, Write};

use objref_analysis::{CheckReport, Offender, RuleReport, RuleVerdict};
use quick_xml::Writer;
use quick_xml::events::{BytesCData, BytesDecl, BytesText, Event};

use super::{counts, offence, place};
use crate::restore::clean;

/// Writes what a check found as a test suite.
///
/// # Errors
///
/// What `out` says.
pub fn junit(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Vec::new();
    let mut writer = Writer::new_with_indent(&mut text, b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let [failed, _, _, skipped] = counts(report).map(|n| n.to_string());
    let tests = report.rules.len().to_string();
    let suite = [
        ("tests", tests.as_str()),
        ("failures", failed.as_str()),
        ("errors", "0"),
    ];
    writer
        .create_element("testsuites")
        .with_attribute(("name", "objref check"))
        .with_attributes(suite)
        .write_inner_content(|writer| {
            let name = xml_text(&report.core);
            writer
                .create_element("testsuite")
                .with_attribute(("name", name.as_str()))
                .with_attributes(suite)
                .with_attribute(("skipped", skipped.as_str()))
                // A check has no duration that would be the same twice.
                .with_attribute(("time", "0"))
                .write_inner_content(|writer| {
                    report
                        .rules
                        .iter()
                        .try_for_each(|rule| case(writer, report, rule))?;
                    warnings(writer, report)
                })?;
            Ok(())
        })?;
    text.push(b'\n');
    out.write_all(&text)
}

fn case(
    writer: &mut Writer<&mut Vec<u8>>,
    report: &CheckReport,
    rule: &RuleReport,
) -> io::Result<()> {
    let name = xml_text(&rule.name);
    let class = xml_text(report.policy.as_deref().unwrap_or("objref check"));
    let element = writer
        .create_element("testcase")
        .with_attribute(("name", name.as_str()))
        .with_attribute(("classname", class.as_str()))
        .with_attribute(("time", "0"));
    let message = xml_text(&rule.text());
    let details = details(report, rule);
    element.write_inner_content(|writer| {
        match rule.verdict {
            RuleVerdict::Failed if rule.fails() => {
                writer
                    .create_element("failure")
                    .with_attribute(("message", message.as_str()))
                    .with_attribute(("type", "objref.rule"))
                    .write_text_content(BytesText::new(&details))?;
            }
            RuleVerdict::NotApplicable => {
                writer
                    .create_element("skipped")
                    .with_attribute(("message", message.as_str()))
                    .write_empty()?;
            }
            RuleVerdict::Failed | RuleVerdict::Passed => {
                let word = if rule.warns() { "warning: " } else { "" };
                writer
                    .create_element("system-out")
                    .write_text_content(BytesText::new(&format!("{word}{message}\n{details}")))?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// What is said of the policy, and of the heap.
fn warnings(writer: &mut Writer<&mut Vec<u8>>, report: &CheckReport) -> io::Result<()> {
    let mut text = String::new();
    for warning in &report.warnings {
        let place = place(report, warning.line).unwrap_or_default();
        let rule = warning.rule.as_ref().map(|rule| format!(" rule '{rule}'"));
        let rule = rule.unwrap_or_default();
        text.push_str(&format!("warning: {place}{rule}: {}\n", warning.text));
    }
    for diagnostic in &report.diagnostics {
        text.push_str(&format!("warning: {diagnostic}\n"));
    }
    if text.is_empty() {
        return Ok(());
    }
    let text = xml_lines(&text);
    writer
        .create_element("system-err")
        .write_inner_content(|writer| {
            for part in BytesCData::escaped(&text) {
                writer.write_event(Event::CData(part))?;
            }
            Ok(())
        })?;
    Ok(())
}

/// The offenders, a paragraph each.
fn details(report: &CheckReport, rule: &RuleReport) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for about in [&rule.reason, &place(report, rule.line)]
        .into_iter()
        .flatten()
    {
        line(about.clone());
    }
    for (number, offender) in rule.offenders.iter().enumerate() {
        line(format!("\n{}. {}", number + 1, offence(offender)));
        line(format!("signature {}", offender.signature));
        way(offender).into_iter().for_each(&mut line);
    }
    if rule.offenders_left_out > 0 {
        line(format!("\nand {} more", rule.offenders_left_out));
    }
    for offender in &rule.suppressed {
        let reason = offender.suppressed.as_deref().unwrap_or_default();
        line(format!("\nexempt: {}: {reason}", offence(offender)));
        line(format!("signature {}", offender.signature));
    }
    xml_lines(&text)
}

fn way(offender: &Offender) -> Vec<String> {
    match &offender.stack[..] {
        [] => offender
            .way
            .iter()
            .map(|name| format!("  {name}"))
            .collect(),
        stack => {
            let frame =
                |f: &objref_analysis::Frame| format!("  {} {}:{}", f.function, f.file, f.line);
            stack.iter().map(frame).collect()
        }
    }
}

/// On one line, without what XML has no character for.
fn xml_text(text: &str) -> String {
    clean(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn xml_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(xml_text).collect();
    lines.join("\n")
}
