//! The histogram of types.

use objref_analysis::*;
use objref_report::{TextOptions, json, types_text};

fn amount(bytes: u64, objects: u64) -> Amount {
    Amount { bytes, objects }
}

fn certain(word: &str, bytes: u64, objects: u64) -> Certain {
    Certain {
        certainty: word.to_owned(),
        amount: amount(bytes, objects),
    }
}

fn example() -> TypeReport {
    let row = |name: &str, certainty: Vec<Certain>| TypeRow {
        name: name.to_owned(),
        amount: amount(
            certainty.iter().map(|c| c.amount.bytes).sum(),
            certainty.iter().map(|c| c.amount.objects).sum(),
        ),
        certainty,
    };
    TypeReport {
        schema_version: TYPES_SCHEMA_VERSION,
        tool: Tool::this(),
        core: "dumps/service.core.zst".into(),
        live: amount(4_000_000, 30_000),
        certainty: vec![
            certain("exact", 1_000_000, 9_000),
            certain("inferred", 2_999_000, 20_990),
            certain("shape", 0, 0),
            certain("unknown", 1_000, 10),
        ],
        rows: vec![
            row(
                "[]map.group[string]*example.org/app/with/a/long/path/server.Session[go.shape.int]",
                vec![
                    certain("exact", 1_000_000, 9_000),
                    certain("inferred", 1_999_000, 990),
                ],
            ),
            row("string", vec![certain("inferred", 999_000, 19_999)]),
            row("?", vec![certain("unknown", 1_000, 10)]),
        ],
        left_out: 2,
        left_out_amount: amount(1_000, 1),
        unknown: vec![UnknownRow {
            reason: "behind unsafe.Pointer".into(),
            holder: "runtime.timer › arg unsafe.Pointer".into(),
            slot: 96,
            amount: amount(1_000, 10),
            heads: 4,
            example: "0xc000010000".into(),
        }],
        unknown_left_out: 1,
        ..TypeReport::default()
    }
}

#[test]
fn text() {
    let mut out = Vec::new();
    types_text(&example(), &TextOptions::default(), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

#[test]
fn json_reads_back() {
    let mut out = Vec::new();
    json(&example(), &mut out).unwrap();
    assert_eq!(
        serde_json::from_slice::<TypeReport>(&out).unwrap(),
        example()
    );
}
