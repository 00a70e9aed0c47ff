//! What has changed between dumps: text, picture and lines.

use objref_analysis::{
    Amount, Change, DiffDump, DiffGoroutines, DiffGroup, DiffReport, DiffRow, DiffStep, DiffTable,
    Fates, FrameTree, Heap, JoinedTree, Metric, ROOT_FRAME, Relation, Sureness,
};
use objref_report::{FlameOptions, TextOptions, diff_folded, diff_svg, diff_text};
use quick_xml::Reader;
use quick_xml::events::Event;

fn tree(held: &[(&[&str], u64)]) -> FrameTree {
    let mut tree = FrameTree::new();
    for (path, bytes) in held {
        let mut frame = ROOT_FRAME;
        for (level, step) in path.iter().enumerate() {
            let name = tree.intern(step);
            frame = tree.child(frame, name);
            if level == 0 {
                tree.set_barrier(frame);
            }
        }
        tree.add(frame, *bytes, bytes / 16, path.len() as u32);
    }
    tree
}

fn before() -> FrameTree {
    tree(&[
        (&["main.same", "a *main.A"], 320),
        (&["main.leak", "[] *main.Session"], 320),
        (&["main.gone", "next struct { A; B }"], 160),
        (&["main.shrinks", "[value] main.T"], 1600),
        (&["main.almost", "x"], 1_000_000),
    ])
}

fn after() -> FrameTree {
    tree(&[
        (&["main.same", "a *main.A"], 320),
        (&["main.leak", "[] *main.Session"], 640),
        (&["main.new", "a *main.A"], 480),
        (&["main.shrinks", "[value] main.T"], 160),
        (&["main.almost", "x"], 1_000_016),
    ])
}

/// Title and colour of each frame.
fn frames(svg: &str) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(svg);
    let (mut frames, mut title, mut inside) = (Vec::new(), String::new(), false);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(e) if e.name().as_ref() == b"title" => {
                title.clear();
                inside = true;
            }
            Event::End(e) if e.name().as_ref() == b"title" => inside = false,
            Event::Text(text) if inside => title.push_str(&text.decode().unwrap()),
            Event::GeneralRef(entity) if inside => {
                title.push_str(&format!("&{};", entity.decode().unwrap()));
            }
            Event::Empty(e) if e.name().as_ref() == b"rect" && !title.is_empty() => {
                let fill = e.attributes().flatten().find(|a| a.key.as_ref() == b"fill");
                let fill = String::from_utf8(fill.unwrap().value.into_owned()).unwrap();
                frames.push((std::mem::take(&mut title), fill));
            }
            Event::Eof => return frames,
            _ => {}
        }
    }
}

fn draw(trees: &[&FrameTree], metric: Metric) -> String {
    let (joined, _) = JoinedTree::join(trees);
    let options = FlameOptions {
        metric,
        ..FlameOptions::default()
    };
    let mut out = Vec::new();
    diff_svg(&joined, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn grown_is_red_shrunk_is_blue_and_siblings_stand_by_name_either_way() {
    let kind = |fill: &str| {
        let parts = fill
            .trim_start_matches("rgb(")
            .trim_end_matches(')')
            .split(',');
        let parts: Vec<u8> = parts.map(|part| part.parse().unwrap()).collect();
        match parts[0].cmp(&parts[2]) {
            std::cmp::Ordering::Greater => "red",
            std::cmp::Ordering::Less => "blue",
            std::cmp::Ordering::Equal => "grey",
        }
    };
    let roots = |svg: &str| -> Vec<(String, &str)> {
        let all = frames(svg).into_iter();
        let roots = all.filter(|(title, _)| title.starts_with("main."));
        let name = |title: &str| title.split(' ').next().unwrap().to_owned();
        roots
            .map(|(title, fill)| (name(&title), kind(&fill)))
            .collect()
    };
    let (before, after) = (before(), after());
    for metric in [Metric::Bytes, Metric::Objects] {
        let there = draw(&[&before, &after], metric);
        let expected = ["red", "blue", "red", "red", "grey", "blue"];
        let names = ["almost", "gone", "leak", "new", "same", "shrinks"];
        let expected = names.iter().zip(expected);
        let expected: Vec<_> = expected.map(|(n, c)| (format!("main.{n}"), c)).collect();
        assert_eq!(roots(&there), expected);
        let back = roots(&draw(&[&after, &before], metric));
        let turned = expected.into_iter().map(|(name, colour)| match colour {
            "red" => (name, "blue"),
            "blue" => (name, "red"),
            same => (name, same),
        });
        assert_eq!(back, turned.collect::<Vec<_>>());
    }
}

#[test]
fn titles_say_what_was_and_what_is() {
    let svg = draw(&[&before(), &after()], Metric::Bytes);
    let titles: Vec<String> = frames(&svg).into_iter().map(|(title, _)| title).collect();
    insta::assert_snapshot!(titles.join("\n"));
}

#[test]
fn of_three_dumps_only_what_grew_in_every_step_is_red() {
    let wave = |bytes| tree(&[(&["main.wave"], bytes), (&["main.leak"], bytes / 2)]);
    let stairs = [
        wave(100),
        tree(&[(&["main.wave"], 400), (&["main.leak"], 60)]),
        wave(200),
    ];
    let svg = draw(&stairs.iter().collect::<Vec<_>>(), Metric::Bytes);
    let fills: Vec<(bool, String)> = frames(&svg)
        .into_iter()
        .map(|(title, fill)| (title.starts_with("main.leak"), fill))
        .collect();
    for (is_leak, fill) in &fills[1..] {
        assert_eq!(*is_leak, fill != "rgb(230,230,230)", "{fills:?}");
    }
}

#[test]
fn inferno_reads_the_lines_as_a_differential_flame_graph() {
    let (joined, _) = JoinedTree::join(&[&before(), &after()]);
    let mut lines = Vec::new();
    diff_folded(&joined, Metric::Bytes, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    insta::assert_snapshot!(lines);

    let mut options = inferno::flamegraph::Options::default();
    let mut svg = Vec::new();
    inferno::flamegraph::from_lines(&mut options, lines.lines(), &mut svg).unwrap();
    let svg = String::from_utf8(svg).unwrap();
    for title in ["main.leak (640 samples", "main.new (480 samples"] {
        assert!(svg.contains(title), "{title}");
    }
}

fn amount(bytes: u64) -> Amount {
    Amount {
        bytes,
        objects: bytes / 16,
    }
}

fn row(path: &[&str], before: u64, after: u64, fates: Option<Fates>) -> DiffRow {
    DiffRow {
        path: path.iter().map(|name| (*name).to_owned()).collect(),
        growth: Change::between(amount(before), amount(after)),
        amounts: vec![amount(before), amount(after)],
        fates,
        ..DiffRow::default()
    }
}

fn one_process() -> DiffReport {
    let dump = |bytes, num_gc| DiffDump {
        core: "server.core".to_owned(),
        go_version: "go1.26.6".to_owned(),
        heap: Heap {
            live: amount(bytes),
            ..Heap::default()
        },
        goroutines: 12,
        num_gc: Some(num_gc),
        ..DiffDump::default()
    };
    let fates = |survived, new, freed, moved_here, moved_away| {
        Some(Fates {
            survived: amount(survived),
            new: amount(new),
            freed: amount(freed),
            moved_here: amount(moved_here),
            moved_away: amount(moved_away),
        })
    };
    DiffReport {
        dumps: vec![dump(3200, 7), dump(48_000, 9)],
        steps: vec![DiffStep {
            relation: Relation::SameProcess,
            sureness: Sureness::Certain,
            reasons: vec!["the runtime began in the same nanosecond".to_owned()],
            elapsed_ns: Some(754_000_000_000),
            collections: Some(2),
            backwards: false,
            growth: Change::between(amount(3200), amount(48_000)),
        }],
        growth: Change::between(amount(3200), amount(48_000)),
        fates: fates(1600, 46_240, 1440, 160, 160),
        types: DiffTable {
            rows: vec![
                row(
                    &["example.com/shop/main.Session"],
                    0,
                    46_240,
                    fates(0, 46_240, 0, 0, 0),
                ),
                row(&["[]uint8"], 1440, 0, fates(0, 0, 1440, 0, 0)),
            ],
            not_listed: 1,
            ..DiffTable::default()
        },
        roots: DiffTable {
            rows: vec![row(
                &["main.sessions"],
                1600,
                46_240,
                fates(1600, 44_480, 0, 160, 0),
            )],
            left_out: 1,
            left_out_growth: Change {
                bytes: -160,
                objects: -10,
            },
            ..DiffTable::default()
        },
        paths: DiffTable {
            rows: vec![row(
                &["main.sessions", "[]*main.Session", "[] *main.Session"],
                0,
                46_240,
                fates(0, 46_240, 0, 0, 0),
            )],
            ..DiffTable::default()
        },
        goroutines: DiffGoroutines {
            counts: vec![10, 9],
            groups: vec![DiffGroup {
                functions: vec!["net/http.(*conn).serve".to_owned(), "main.main".to_owned()],
                state: "IO wait".to_owned(),
                growth: -1,
                counts: vec![3, 2],
                example: 17,
                started: Some(1),
                ended: Some(2),
            }],
            ..DiffGoroutines::default()
        },
        ..DiffReport::default()
    }
}

fn text(report: &DiffReport) -> String {
    let mut out = Vec::new();
    diff_text(report, &TextOptions::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn one_process_at_two_times() {
    insta::assert_snapshot!(text(&one_process()));
}

#[test]
fn the_wrong_order_is_said() {
    let mut report = one_process();
    report.steps[0].backwards = true;
    report.steps[0].collections = Some(0);
    let text = text(&report);
    assert!(text.contains("the first is the later one"), "{text}");
    assert!(text.contains("no collection"), "{text}");
    assert!(!text.contains("Go uses slots again"), "{text}");
}
