//! SARIF 2.1.0, the format of static analysis results: a result for each offender.

use std::io::{self, Write};
use std::path::Path;

use objref_analysis::{CheckReport, Offender, RuleReport, RuleVerdict, Severity};
use serde_json::{Value, json as value};

use super::offence;
use crate::json;
use crate::restore::clean;

/// Steps of a way: GitHub takes 10,000 locations of a thread flow, and shows as many.
// docs.github.com: "SARIF results exceed one or more limits"
const STEPS: usize = 1000;
/// Results that GitHub takes of a run.
const RESULTS: usize = 25_000;

/// Writes what a check found as a SARIF log: rules that do not hold, and those that are suppressed, with signatures as
/// fingerprints and the ways as code flows from the root to the object.
///
/// # Errors
///
/// What `out` says.
pub fn sarif(report: &CheckReport, out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<Value> = report.rules.iter().map(descriptor).collect();
    let mut results: Vec<Value> = Vec::new();
    for (index, rule) in report.rules.iter().enumerate() {
        results.extend(of_rule(report, index, rule));
    }
    results.truncate(RESULTS);
    let notifications: Vec<Value> = report
        .warnings
        .iter()
        .map(|warning| {
            let rule = warning.rule.as_ref().map(|rule| format!("{rule}: "));
            let text = format!("{}{}", rule.unwrap_or_default(), warning.text);
            value!({
                "level": "warning",
                "message": { "text": clean(&text) },
                "locations": [location(report, warning.line)],
            })
        })
        .collect();
    let log = value!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": report.tool.name,
                "semanticVersion": report.tool.version,
                "rules": rules,
            }},
            "automationDetails": { "id": "objref/check/" },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolConfigurationNotifications": notifications,
            }],
            "results": results,
        }],
    });
    json(&log, out)
}

fn descriptor(rule: &RuleReport) -> Value {
    let text = clean(&rule.name);
    let about = rule.reason.clone();
    let about = about.unwrap_or_else(|| format!("{}: at most {}", rule.subject, rule.limit.text()));
    value!({
        "id": text,
        "name": text,
        "shortDescription": { "text": text },
        "fullDescription": { "text": clean(&about) },
        "defaultConfiguration": { "level": level(rule) },
        "properties": { "tags": ["memory", "leak"] },
    })
}

fn level(rule: &RuleReport) -> &'static str {
    match rule.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn of_rule(report: &CheckReport, index: usize, rule: &RuleReport) -> Vec<Value> {
    let mut all: Vec<Value> = rule
        .offenders
        .iter()
        .chain(&rule.suppressed)
        .map(|offender| result(report, index, rule, Some(offender)))
        .collect();
    // A share of something, of which nobody in particular is to blame.
    if rule.verdict == RuleVerdict::Failed && rule.offenders.is_empty() {
        all.push(result(report, index, rule, None));
    }
    all
}

fn result(
    report: &CheckReport,
    index: usize,
    rule: &RuleReport,
    offender: Option<&Offender>,
) -> Value {
    let mut text = rule.text();
    let mut result = value!({
        "ruleId": clean(&rule.name),
        "ruleIndex": index,
        "level": level(rule),
        "locations": [location(report, rule.line)],
    });
    if let Some(offender) = offender {
        text.push_str(&format!("\n{}\n{}", offence(offender), offender.way_text()));
        // Of several rules, each has its own.
        let fingerprint = format!("{}:{}", rule.name, offender.signature);
        result["partialFingerprints"] = value!({
            "objrefSignature/v1": offender.signature,
            "primaryLocationLineHash": clean(&fingerprint),
        });
        result["codeFlows"] =
            value!([{ "threadFlows": [{ "locations": flow(report, rule, offender) }] }]);
        if let Some(reason) = &offender.suppressed {
            result["suppressions"] = value!([{
                "kind": "external",
                "status": "accepted",
                "justification": clean(reason),
            }]);
        }
    }
    // `[text](link)` would be a link.
    let text = text.replace("](", "] (");
    let lines: Vec<String> = text.lines().map(clean).collect();
    result["message"] = value!({ "text": lines.join("\n") });
    result
}

/// The way from the root to the object; of goroutines the calls, the first function first.
fn flow(report: &CheckReport, rule: &RuleReport, offender: &Offender) -> Vec<Value> {
    let step = |name: &str, place: Value| {
        let mut location = place;
        let name = clean(name);
        location["message"] = value!({ "text": name });
        location["logicalLocations"] = value!([{ "fullyQualifiedName": name }]);
        value!({ "location": location })
    };
    if !offender.stack.is_empty() {
        let calls = offender.stack.iter().rev().take(STEPS);
        return calls
            .map(|frame| match frame.line {
                0 => step(&frame.function, location(report, rule.line)),
                line => step(&frame.function, place(&frame.file, line)),
            })
            .collect();
    }
    let names = offender.way.iter().take(STEPS);
    names
        .map(|name| step(name, location(report, rule.line)))
        .collect()
}

/// Nothing in a heap has a place in a file; the rule that it breaks has.
fn location(report: &CheckReport, line: u32) -> Value {
    place(
        report.policy.as_deref().unwrap_or("objref.toml"),
        line.max(1),
    )
}

fn place(file: &str, line: u32) -> Value {
    value!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(file) },
            "region": { "startLine": line },
        },
    })
}

/// A path as a URI: relative if it is relative.
fn uri(path: &str) -> String {
    let scheme = if Path::new(path).is_absolute() {
        "file://"
    } else {
        ""
    };
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut out = scheme.to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'@' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_as_uris() {
        assert_eq!(uri("./ci/heap rules.toml"), "ci/heap%20rules.toml");
        assert_eq!(uri("/a/b:c"), "file:///a/b%3Ac");
        assert_eq!(uri("ä"), "%C3%A4");
    }
}
