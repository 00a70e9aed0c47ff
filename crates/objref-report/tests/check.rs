//! What a check says when names are hostile, in every format: nothing of them is taken for markup or a command.

use objref_analysis::{
    Amount, CheckReport, Measured, Offender, PolicyWarning, RuleReport, RuleVerdict, Severity,
    SignatureRow, Signatures, Unit,
};
use objref_report::{TextOptions, check_text, github, junit, markdown, sarif};
use quick_xml::Reader;
use quick_xml::events::Event;

const HOSTILE: &str =
    "a]]><b/>&\"'\u{1b}[31m\u{0}\n::error::x\r|`*[l](http://e)<img src=x>@me %0A\u{fffe}\u{202e}";

fn report(rules: usize) -> CheckReport {
    let text = || HOSTILE.to_owned();
    let offender = || Offender {
        name: text(),
        measured: Measured {
            value: 7.0,
            unit: Unit::Count,
        },
        way: vec![text(), text()],
        ..Offender::default()
    };
    let rule = |n: usize| RuleReport {
        name: format!("{n} {HOSTILE}"),
        reason: Some(text()),
        severity: Severity::Error,
        line: n as u32 + 1,
        subject: text(),
        measure: "objects".to_owned(),
        verdict: RuleVerdict::Failed,
        measured: Some(Measured::default()),
        offenders: vec![offender()],
        suppressed: vec![Offender {
            suppressed: Some(text()),
            ..offender()
        }],
        ..RuleReport::default()
    };
    CheckReport {
        core: text(),
        policy: Some(text()),
        rules: (0..rules).map(rule).collect(),
        signatures: Signatures {
            known: Some(0),
            new: vec![SignatureRow {
                way: text(),
                held: Amount {
                    bytes: 9,
                    objects: 1,
                },
                ..SignatureRow::default()
            }],
            ..Signatures::default()
        },
        warnings: vec![PolicyWarning {
            line: 3,
            rule: Some(text()),
            text: text(),
        }],
        diagnostics: vec![text()],
        ..CheckReport::default()
    }
}

fn written(
    rules: usize,
    write: impl FnOnce(&CheckReport, &mut dyn std::io::Write) -> std::io::Result<()>,
) -> String {
    let mut out = Vec::new();
    write(&report(rules), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Nothing that steers a terminal, but line ends.
fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && c != '\n')
}

#[test]
fn text() {
    let text = written(1, |report, out| {
        check_text(report, &TextOptions::default(), out)
    });
    assert!(is_plain(&text), "{text:?}");
}

#[test]
fn xml_is_one_document_and_names_are_text_in_it() {
    let xml = written(2, |report, out| junit(report, out));
    assert!(is_plain(&xml) && !xml.contains('\u{fffe}'), "{xml:?}");
    let mut reader = Reader::from_str(&xml);
    let (mut names, mut depth) = (Vec::new(), 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                depth += 1;
                names.push(String::from_utf8(tag.name().as_ref().to_vec()).unwrap());
            }
            Event::End(_) => depth -= 1,
            Event::Empty(tag) => panic!("{tag:?}"),
            Event::Eof => break,
            _ => {}
        }
    }
    let case = ["testcase", "failure"];
    let expected = [
        &["testsuites", "testsuite"],
        &case[..],
        &case,
        &["system-err"],
    ]
    .concat();
    assert_eq!(
        (names, depth),
        (expected.iter().map(|s| (*s).to_owned()).collect(), 0)
    );
}

#[test]
fn annotations_are_ten_at_most_a_line_each() {
    let few = written(3, |report, out| github(report, out));
    assert_eq!(few.lines().count(), 4);
    let many = written(30, |report, out| github(report, out));
    let lines: Vec<&str> = many.lines().collect();
    assert_eq!(lines.len(), 10);
    for line in &lines {
        assert!(is_plain(line) && line.starts_with("::error "), "{line:?}");
        // The name's own command is behind ours.
        assert_eq!(
            line.matches("::error").count(),
            line.matches("::error::x").count() + 1
        );
        let (properties, _) = line["::error ".len()..].split_once("::").unwrap();
        assert!(!properties.contains("::"), "{line}");
    }
    assert_eq!(
        lines[9],
        "::error title=objref check::22 more: see the summary of this step"
    );
}

#[test]
fn markdown_has_no_markup_of_names() {
    let text = written(2, |report, out| markdown(report, out));
    assert!(is_plain(&text), "{text:?}");
    let mut in_code = false;
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        if in_code || fence {
            continue;
        }
        let outside: String = line.split("``").step_by(2).collect();
        for markup in ["<b", "<img", "](http", "@me"] {
            assert!(!outside.contains(markup), "{line}");
        }
        if line.starts_with('|') {
            let cells = line.replace("\\|", "").matches('|').count();
            assert!(matches!(cells, 4 | 5), "{line}");
        }
    }
    assert!(!in_code);
}

#[test]
fn sarif_has_messages_without_links() {
    let log: serde_json::Value =
        serde_json::from_str(&written(2, |report, out| sarif(report, out))).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        let text = result["message"]["text"].as_str().unwrap();
        assert!(is_plain(text) && !text.contains("]("), "{text:?}");
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        assert!(
            !uri.as_str().unwrap().contains([' ', '"', '<', '\n']),
            "{uri}"
        );
    }
    assert!(results[1]["suppressions"][0]["justification"].is_string());
}
