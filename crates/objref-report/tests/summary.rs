//! The page of numbers.

use objref_analysis::*;
use objref_report::{TextOptions, json, summary_text};

fn example() -> Summary {
    let live = Amount {
        bytes: 23_183_408,
        objects: 412_034,
    };
    let garbage = Amount {
        bytes: 1_689_344,
        objects: 20_113,
    };
    let allocated = Amount {
        bytes: 24_872_752,
        objects: 432_147,
    };
    Summary {
        schema_version: SCHEMA_VERSION,
        tool: Tool {
            name: "objref".into(),
            version: "0.1.0".into(),
        },
        core: Core {
            path: "dumps/service.core.zst".into(),
            kind: "kernel".into(),
            bytes: 220_513_280,
            missing_bytes: 0,
            signal: Some(Signal {
                number: 6,
                name: "SIGABRT".into(),
            }),
            threads: 12,
            pid: Some(4711),
            command: Some("/usr/bin/service -listen :8080".into()),
        },
        binary: Binary {
            path: "bin/service".into(),
            build_id: Some("9f3c1b6d9a1e4f05b1c2d3e4f5061728394a5b6c".into()),
            go_build_id: Some("abc/def".into()),
            module: Some("example.org/service".into()),
            dwarf: true,
            debug_file: None,
        },
        go: Go {
            version: "go1.26.1".into(),
            arch: "amd64".into(),
            experiments: vec!["greenteagc".into()],
            layout_source: "DWARF".into(),
        },
        heap: Heap {
            live,
            garbage,
            awaiting_sweep: Amount {
                bytes: 400_000,
                objects: 5_000,
            },
            being_allocated: Amount {
                bytes: 48,
                objects: 1,
            },
            free: Amount {
                bytes: 3_000_000,
                objects: 51_200,
            },
            allocated,
            typed: Typed::new(
                Amount {
                    bytes: 23_100_000,
                    objects: 411_000,
                },
                live,
            ),
            spans: Spans {
                in_use: SpanAmount {
                    count: 3412,
                    bytes: 28_311_552,
                },
                manual: SpanAmount {
                    count: 212,
                    bytes: 1_736_704,
                },
                free: SpanAmount {
                    count: 120,
                    bytes: 4_194_304,
                },
            },
        },
        missing: None,
        goroutines: Goroutines {
            total: 10_012,
            by_status: vec![
                StatusCount {
                    status: "running".into(),
                    count: 2,
                },
                StatusCount {
                    status: "chan receive".into(),
                    count: 9_998,
                },
                StatusCount {
                    status: "select".into(),
                    count: 12,
                },
            ],
            unreadable: 0,
            conservative_frames: 0,
            system_stacks: 0,
        },
        roots: vec![
            RootKind {
                kind: "global".into(),
                references: 4102,
                objects: 402_034,
                bytes: 22_000_000,
            },
            RootKind {
                kind: "stack".into(),
                references: 31_000,
                objects: 10_000,
                bytes: 1_183_400,
            },
            RootKind {
                kind: "finalizer".into(),
                references: 3,
                objects: 0,
                bytes: 0,
            },
            RootKind {
                kind: "cleanup".into(),
                references: 1,
                objects: 1,
                bytes: 8,
            },
        ],
        runtime: RuntimeCounters {
            heap_alloc_bytes: Some(24_872_752),
            heap_objects: Some(432_147),
            num_gc: Some(42),
            gc_phase: Some("off".into()),
            next_gc_bytes: Some(46_366_816),
            gc_percent: Some(100),
            ..RuntimeCounters::default()
        },
        reconciliation: Some(Reconciliation::new("allocated", 24_872_752, 24_872_752)),
        diagnostics: vec![],
    }
}

fn broken() -> Summary {
    let mut summary = example();
    summary.core.missing_bytes = 1_048_576;
    summary.core.command = None;
    summary.core.signal = None;
    summary.binary.dwarf = false;
    summary.reconciliation = None;
    summary.goroutines.unreadable = 1;
    summary.goroutines.conservative_frames = 3;
    summary.goroutines.system_stacks = 1;
    summary.runtime = RuntimeCounters::default();
    summary.heap = Heap::default();
    summary.diagnostics = vec![
        Diagnostic {
            code: "go.version-untested".into(),
            message: "go1.31 is newer than the newest version this was tested with, go1.27; \
                      what cannot be read is counted below"
                .into(),
            count: 1,
        },
        Diagnostic {
            code: "heap.unmapped".into(),
            message: "spans have memory that is not in the core".into(),
            count: 1234,
        },
    ];
    summary
}

fn text(summary: &Summary, options: TextOptions) -> String {
    let mut out = Vec::new();
    summary_text(summary, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn as_text() {
    let text = text(&example(), TextOptions::default());
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn as_text_when_things_are_wrong() {
    let text = text(&broken(), TextOptions::default());
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    insta::assert_snapshot!(text);
}

#[test]
fn colours_change_nothing_but_colours() {
    let plain = text(&broken(), TextOptions::default());
    let coloured = text(
        &broken(),
        TextOptions {
            colour: true,
            ..TextOptions::default()
        },
    );
    assert_ne!(plain, coloured);
    let mut stripped = coloured;
    for code in ["1", "2", "32", "33", "0"] {
        stripped = stripped.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn as_json() {
    let mut out = Vec::new();
    json(&example(), &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}
