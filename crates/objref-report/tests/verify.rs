//! The checks against the runtime's own evidence.

use objref_analysis::*;
use objref_report::{TextOptions, json, verify_text};

fn example(wrong: bool) -> Verification {
    let check = |code: &str, verdict, text: &str, objects, bytes| Check {
        code: code.to_owned(),
        verdict,
        text: text.to_owned(),
        objects,
        bytes,
        examples: Vec::new(),
    };
    let path = |n: usize| (0..n).map(|i| format!("step{i} *main.T")).collect();
    let mut free = check(
        "pointers.free-slot",
        Verdict::Holds,
        "live pointers into free slots",
        0,
        0,
    );
    if wrong {
        free.verdict = Verdict::Contradicts;
        (free.objects, free.bytes) = (1234, 59_232);
        free.examples = vec![
            Example {
                address: 0xc0_0001_4000,
                type_name: "pointer 0xc000014008 at offset 8 of example.org/app/x.T 0xc000100000"
                    .into(),
                bytes: 48,
                path: path(3),
            },
            Example {
                path: path(40),
                ..Example::default()
            },
        ];
    }
    Verification {
        schema_version: VERIFY_SCHEMA_VERSION,
        tool: Tool {
            name: "objref".into(),
            version: "0.1.0".into(),
        },
        core: "core".into(),
        contradictions: u64::from(wrong),
        checks: vec![
            free,
            check(
                "cycle.survivors-unreachable",
                Verdict::Note,
                "objects that survived",
                2,
                48,
            ),
            check(
                "counters.heap-marked",
                Verdict::Skipped,
                "between the two",
                0,
                0,
            ),
        ],
        conservative_frames: vec![ConservativeFrames {
            what: Scanned::Frame,
            at: Frame {
                function: "example.org/app/server.(*Server).loop".into(),
                file: "/src/app/server.go".into(),
                line: 12,
                ..Frame::default()
            },
            count: 3,
            goroutine: 18,
        }],
    }
}

fn text(verification: &Verification) -> String {
    let mut out = Vec::new();
    verify_text(verification, &TextOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn notes_are_no_contradiction() {
    insta::assert_snapshot!(text(&example(false)));
}

#[test]
fn contradictions_with_examples() {
    insta::assert_snapshot!(text(&example(true)));
}

#[test]
fn json_reads_back() {
    let example = example(true);
    let mut out = Vec::new();
    json(&example, &mut out).unwrap();
    assert_eq!(
        serde_json::from_slice::<Verification>(&out).unwrap(),
        example
    );
}
