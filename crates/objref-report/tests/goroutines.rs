//! The listing of goroutines.

use objref_analysis::*;
use objref_report::{TextOptions, goroutines_text, json};

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
        inlined: false,
        internal: function.starts_with("runtime."),
    }
}

fn example() -> GoroutineReport {
    let state = |state: &str, count| StateCount {
        state: state.to_owned(),
        count,
    };
    let created = |function, line, count| CreatorCount {
        at: frame(function, "/src/app/server.go", line),
        count,
    };
    let label = |value: &str, count| LabelCount {
        labels: vec![("tenant".to_owned(), value.to_owned())],
        count,
    };
    GoroutineReport {
        schema_version: GOROUTINES_SCHEMA_VERSION,
        tool: Tool {
            name: "objref".into(),
            version: "0.1.0".into(),
        },
        core: "dumps/service.core.zst".into(),
        total: 12_345,
        system: 5,
        selected: 12_340,
        unreadable: 2,
        partly_read: 1,
        system_hidden: true,
        groups: vec![
            GoroutineGroup {
                count: 12_000,
                first_id: 18,
                states: vec![state("chan receive", 11_999), state("runnable", 1)],
                longest_wait_ns: Some(7_500_000_000_000),
                shortest_wait_ns: Some(180_000_000_000),
                created_by: vec![
                    created("example.org/app/server.(*Server).Serve", 88, 11_000),
                    created("example.org/app/server.(*Server).retry", 99, 1000),
                ],
                labels: vec![label("a", 7000), label("b", 5000)],
                stack_bytes: 12_000 * 2048,
                heap_first_reached_bytes: 3_000_000,
                heap_first_reached_objects: 45_000,
                stack: 0,
                stack_count: 12_000,
                distinct_stacks: 1,
                ..GoroutineGroup::default()
            },
            GoroutineGroup {
                count: 1,
                first_id: 1,
                states: vec![state("select (no cases)", 1)],
                stack_bytes: 8192,
                stack: 1,
                stack_count: 1,
                distinct_stacks: 1,
                ..GoroutineGroup::default()
            },
        ],
        left_out: 3,
        stacks: vec![
            Stack {
                frames: vec![
                    frame("runtime.gopark", "/go/src/runtime/proc.go", 402),
                    frame("example.org/app/server.handle", "/src/app/server.go", 12),
                    frame(
                        "example.org/app/generic.Pool[go.shape.struct { example.org/app/x.A int }].Get",
                        "/src/app/generic/pool.go",
                        7,
                    ),
                ],
                complete: true,
            },
            Stack {
                frames: vec![frame("main.main", "", 0)],
                complete: false,
            },
        ],
        ..GoroutineReport::default()
    }
}

fn text(report: &GoroutineReport) -> String {
    let mut out = Vec::new();
    goroutines_text(report, &TextOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn groups_by_stack() {
    insta::assert_snapshot!(text(&example()));
}

#[test]
fn groups_by_something_else() {
    let mut report = example();
    report.group_by = GroupBy::Creator;
    report.groups.truncate(1);
    report.groups[0].key = "example.org/app/server.(*Server).Serve /src/app/server.go:88".into();
    report.groups[0].distinct_stacks = 9;
    report.groups[0].stack_count = 11_000;
    insta::assert_snapshot!(text(&report));
}

#[test]
fn groups_by_label() {
    let mut report = example();
    report.group_by = GroupBy::Label;
    report.groups.truncate(1);
    let labels = [("path", "/items"), ("tenant", "a b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    report.groups[0].key = label_set(&labels);
    let text = text(&report);
    assert!(
        text.contains(r#"12,000 × {path: /items, tenant: "a b"}, for"#),
        "{text}"
    );
}

#[test]
fn each_goroutine() {
    let mut report = example();
    report.groups.clear();
    report.left_out = 0;
    report.goroutines = vec![GoroutineRow {
        id: 18,
        status: "waiting".into(),
        wait_reason: Some("chan receive".into()),
        wait_ns: Some(61_000_000_000),
        locked_to_thread: true,
        parent_id: 1,
        created_by: Some(frame("main.main", "/src/app/main.go", 10)),
        labels: vec![("tenant".into(), "a".into())],
        stack_bytes: 2048,
        ..GoroutineRow::default()
    }];
    insta::assert_snapshot!(text(&report));
}

#[test]
fn json_reads_back() {
    let report = example();
    let mut out = Vec::new();
    json(&report, &mut out).unwrap();
    assert_eq!(
        serde_json::from_slice::<GoroutineReport>(&out).unwrap(),
        report
    );
}
