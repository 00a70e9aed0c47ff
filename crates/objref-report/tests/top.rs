//! What retains the most, and the dominator tree, as text.

use objref_analysis::*;
use objref_report::{TextOptions, json, top_text, tree_text};

fn amount(bytes: u64, objects: u64) -> Amount {
    Amount { bytes, objects }
}

fn top_example(by: TopBy, rows: Vec<TopRow>) -> TopReport {
    TopReport {
        schema_version: TOP_SCHEMA_VERSION,
        tool: Tool::this(),
        core: "dumps/service.core.zst".into(),
        by,
        focus: Some("a|b".into()),
        live: amount(4_000_000, 30_000),
        rows,
        left_out: Omitted {
            rows: 1,
            amount: amount(1_000, 10),
        },
        filtered: Omitted {
            rows: 12,
            amount: amount(2_000, 20),
        },
        idle_roots: 3,
        ..TopReport::default()
    }
}

fn rows() -> Vec<TopRow> {
    let state = |state: &str, count| StateCount {
        state: state.into(),
        count,
    };
    vec![
        TopRow {
            name: "example.org/app/with/a/long/path/server.(*Handler[go.shape.struct { example.org/app.x int }]).serve()"
                .into(),
            root_kind: Some("stack".into()),
            goroutines: 1_200,
            states: vec![state("IO wait", 1_199), state("running", 1)],
            longest_wait_ns: Some(300_000_000_000),
            retained: amount(3_000_000, 29_000),
            ..TopRow::default()
        },
        TopRow {
            name: "main.cache\u{1b}[31m".into(),
            root_kind: Some("global".into()),
            shallow: Some(amount(100, 2)),
            retained: amount(999_000, 990),
            object: Some(TopObject {
                address: "0xc000012340".into(),
                certainty: "exact".into(),
                held_by: HeldBy::Object {
                    address: "0xc000010000".into(),
                    name: "example.org/app.Server".into(),
                    step: Some("cache *app.Cache".into()),
                },
            }),
            ..TopRow::default()
        },
        TopRow {
            name: "(shared by several roots)".into(),
            root_kind: Some("shared".into()),
            retained: amount(100, 1),
            object: Some(TopObject {
                address: "0xc000012348".into(),
                certainty: "unknown".into(),
                held_by: HeldBy::Shared,
            }),
            ..TopRow::default()
        },
    ]
}

#[test]
fn top_texts() {
    for by in [TopBy::Root, TopBy::Package, TopBy::Object] {
        let mut out = Vec::new();
        top_text(&top_example(by, rows()), &TextOptions::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(format!("by {}", by.word()), text);
    }
}

#[test]
fn a_tree_that_does_not_fit() {
    let row = |depth: u32, name: &str, cut| UnfoldedRow {
        name: name.into(),
        depth,
        retained: amount(1_000_000 >> depth, 100),
        recursion_levels: (depth == 2).then_some(1_000),
        cut,
        ..UnfoldedRow::default()
    };
    let long = "byName map[string]map[example.org/app.Key]*example.org/app/with/a/path.Session";
    let report = Unfolded {
        schema_version: UNFOLDED_SCHEMA_VERSION,
        from: Some("main.server".into()),
        live: amount(4_000_000, 30_000),
        shown: amount(1_000_000, 100),
        min_percent: 1.0,
        limit: Some(100),
        cut_by_depth: true,
        frames: vec![
            row(0, "main.server", false),
            row(1, "*main.Server", false),
            row(2, "next *main.node", false),
            row(3, long, false),
            row(2, "(12 smaller frames)", true),
            row(1, "(deeper: 1 frame)", true),
        ],
        ..Unfolded::default()
    };
    for shorten in [true, false] {
        let options = TextOptions {
            shorten,
            ..TextOptions::default()
        };
        let mut out = Vec::new();
        tree_text(&report, &options, &mut out).unwrap();
        insta::assert_snapshot!(format!("tree {shorten}"), String::from_utf8(out).unwrap());
    }
    let mut out = Vec::new();
    json(&report, &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<Unfolded>(&out).unwrap(), report);
}

#[test]
fn json_reads_back() {
    let report = top_example(TopBy::Root, rows());
    let mut out = Vec::new();
    json(&report, &mut out).unwrap();
    assert_eq!(serde_json::from_slice::<TopReport>(&out).unwrap(), report);
}
