//! The page: closed, complete, bounded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use objref_analysis::{
    Amount, Certain, Diagnostic, FrameTree, Metric, PruneOptions, ROOT_FRAME, Reconciliation,
    Summary, TypeReport, TypeRow, Typed,
};
use objref_report::{HtmlReport, HtmlTree, Order, html};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn add(tree: &mut FrameTree, path: &[&str], bytes: u64, objects: u64, level: u32) {
    let mut frame = ROOT_FRAME;
    for step in path {
        let name = tree.intern(step);
        frame = tree.child(frame, name);
    }
    tree.add(frame, bytes, objects, level);
}

fn example() -> FrameTree {
    let mut tree = FrameTree::new();
    add(&mut tree, &["main.small"], 16, 1, 0);
    add(&mut tree, &["main.cache"], 48, 1, 0);
    add(&mut tree, &["main.cache", "[key] string"], 160, 900, 1);
    add(
        &mut tree,
        &["main.cache", "[value] *main.Order"],
        6400,
        100,
        1,
    );
    for level in 1..=2000 {
        let path = ["main.head", "next *main.node", "next *main.node"];
        add(&mut tree, &path[..2 + (level > 1) as usize], 1, 1, level);
    }
    tree
}

fn page(trees: &[&FrameTree], change: impl FnOnce(&mut HtmlReport<'_>)) -> String {
    page_of(&Summary::default(), &TypeReport::default(), trees, change)
}

fn page_of(
    summary: &Summary,
    types: &TypeReport,
    trees: &[&FrameTree],
    change: impl FnOnce(&mut HtmlReport<'_>),
) -> String {
    let mut report = HtmlReport {
        title: "Who keeps what alive".to_owned(),
        summary,
        types,
        trees: trees
            .iter()
            .map(|tree| HtmlTree::shortest_paths(tree))
            .collect(),
        prune: PruneOptions::default(),
        metric: Metric::Bytes,
        order: Order::Size,
        roots_at_bottom: false,
    };
    change(&mut report);
    let mut out = Vec::new();
    html(&report, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is between the only `start` and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    assert_eq!(text.matches(start).count(), 1, "{start}");
    let (_, after) = text.split_once(start).unwrap();
    after.split_once(end).unwrap().0
}

fn data(page: &str) -> Value {
    let json = between(
        page,
        "<script id=\"data\" type=\"application/json\">",
        "</script>",
    );
    assert!(!json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
    serde_json::from_str(json).unwrap()
}

fn column(tree: &Value, name: &str) -> Vec<u64> {
    let values = tree[name].as_array().unwrap();
    values.iter().map(|value| value.as_u64().unwrap()).collect()
}

/// A frame by its path, with its own bytes and objects, whether it stands for others, and its levels of recursion.
type Row = (Vec<String>, u64, u64, bool, Option<u32>);

/// What a reader of the data sees, in its order.
fn read(data: &Value, tree: usize) -> Vec<Row> {
    let tree = &data["trees"][tree];
    let strings: Vec<&str> = data["strings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    let (depth, name) = (column(tree, "depth"), column(tree, "name"));
    let (bytes, objects) = (column(tree, "bytes"), column(tree, "objects"));
    let cut = column(tree, "cut");
    let levels: Vec<(u32, u32)> = serde_json::from_value(tree["levels"].clone()).unwrap();
    assert_eq!(strings.len(), data["colours"].as_array().unwrap().len());
    let mut path: Vec<String> = Vec::new();
    (0..depth.len())
        .map(|frame| {
            assert!(depth[frame] as usize <= path.len(), "no frame above");
            path.truncate(depth[frame] as usize);
            path.push(strings[name[frame] as usize].to_owned());
            let folded = levels.iter().find(|(f, _)| *f as usize == frame);
            (
                path.clone(),
                bytes[frame],
                objects[frame],
                cut.contains(&(frame as u64)),
                folded.map(|(_, levels)| *levels),
            )
        })
        .collect()
}

/// What is in a tree, the empty frames left out.
fn expected(tree: &FrameTree) -> Vec<Row> {
    let totals = tree.totals();
    let full = |f: &u32| totals.bytes[*f as usize] + totals.objects[*f as usize] > 0;
    let frames = tree.frames().filter(|f| *f == ROOT_FRAME || full(f));
    let mut rows: Vec<Row> = frames
        .map(|frame| {
            let mut path = vec![tree.name(frame).to_owned()];
            let mut above = frame;
            while above != ROOT_FRAME {
                above = tree.parent(above);
                path.insert(0, tree.name(above).to_owned());
            }
            (
                path,
                tree.self_bytes(frame),
                tree.self_objects(frame),
                tree.is_cut(frame),
                tree.recursion_levels(frame),
            )
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn all_frames_are_in_the_data_the_biggest_first() {
    let tree = example();
    let page = page(&[&tree, &tree], |_| {});
    let data = data(&page);
    for i in [0, 1] {
        let mut rows = read(&data, i);
        let names: Vec<&str> = rows
            .iter()
            .map(|row| row.0.last().unwrap().as_str())
            .collect();
        assert_eq!(
            names,
            [
                "all",
                "main.cache",
                "[value] *main.Order",
                "[key] string",
                "main.head",
                "next *main.node",
                "main.small"
            ]
        );
        rows.sort();
        assert_eq!(rows, expected(&tree));
    }
}

#[test]
fn siblings_stand_as_they_are_asked_to() {
    let names = |metric, order| {
        let page = page(&[&example()], |report| {
            report.metric = metric;
            report.order = order;
        });
        let rows = read(&data(&page), 0);
        let first = rows.iter().filter(|row| row.0.len() == 2);
        first.map(|row| row.0[1].clone()).collect::<Vec<_>>()
    };
    let (cache, head, small) = ("main.cache", "main.head", "main.small");
    assert_eq!(names(Metric::Bytes, Order::Size), [cache, head, small]);
    assert_eq!(names(Metric::Objects, Order::Size), [head, cache, small]);
    assert_eq!(names(Metric::Objects, Order::Name), [cache, head, small]);
}

#[test]
fn the_policy_lets_in_what_is_inside_and_nothing_else() {
    let page = page(&[&example()], |_| {});
    let policy = between(
        &page,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"",
        "\"",
    );
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    let script = between(&page, "<script>", "</script>");
    let style = between(&page, "<style>", "</style>");
    assert!(script.contains("\"use strict\"") && style.contains("#canvas"));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash(script),
            hash(style)
        )
    );
    // Nothing is left to be filled in, nothing is fetched, nothing is made of text.
    for never in [
        "{{",
        "src=",
        "http:",
        "https:",
        "url(",
        "@import",
        "innerHTML",
        "eval(",
        " style=",
    ] {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn the_same_bytes_every_time() {
    let first = page(&[&example()], |_| {});
    for _ in 0..10 {
        assert!(page(&[&example()], |_| {}) == first);
    }
}

#[test]
fn a_page_of_an_empty_tree() {
    let page = page(&[&FrameTree::new()], |_| {});
    assert_eq!(read(&data(&page), 0).len(), 1);
}

/// What the page says of a dump of which much is missing.
#[test]
fn what_the_numbers_rest_on() {
    let mut summary = Summary {
        reconciliation: Some(Reconciliation::new("allocated", 900, 1000)),
        diagnostics: vec![Diagnostic {
            code: "heap.spans".to_owned(),
            message: "spans make no sense".to_owned(),
            count: 12,
        }],
        ..Summary::default()
    };
    let amount = |bytes, objects| Amount { bytes, objects };
    let live = amount(800, 20);
    summary.core.missing_bytes = 4096;
    summary.heap.live = live;
    summary.heap.garbage = amount(100, 2);
    summary.heap.awaiting_sweep = amount(64, 1);
    summary.heap.typed = Typed::new(amount(600, 15), live);
    summary.goroutines.unreadable = 1;
    summary.goroutines.conservative_frames = 2;
    summary.goroutines.system_stacks = 1;
    let certain = |certainty: &str, amount| Certain {
        certainty: certainty.to_owned(),
        amount,
    };
    let types = TypeReport {
        live,
        certainty: vec![
            certain("exact", amount(600, 15)),
            certain("unknown", amount(200, 5)),
        ],
        ..TypeReport::default()
    };
    let trees = [&example()];
    let page = |summary: &Summary, types| {
        let data = data(&page_of(summary, types, &trees, |report| {
            report.prune.max_frames = 3;
        }));
        let notes = data["notes"].as_array().unwrap().iter();
        let lines = notes.map(|note| {
            let (level, text) = (note["level"].as_str(), note["text"].as_str());
            format!("{:<8}{}\n", level.unwrap(), text.unwrap())
        });
        lines.collect::<String>()
    };
    insta::assert_snapshot!("notes_when_things_are_wrong", page(&summary, &types));

    let mut summary = Summary {
        reconciliation: Some(Reconciliation::new("allocated", 800, 800)),
        ..Summary::default()
    };
    summary.heap.live = live;
    summary.heap.typed = Typed::new(live, live);
    insta::assert_snapshot!(
        "notes_when_all_is_well",
        page(&summary, &TypeReport::default())
    );
}

/// Names that differ, as long as the worst type parameters, below nodes that make a deep tree.
fn million() -> FrameTree {
    let mut tree = FrameTree::new();
    let mut ids = vec![ROOT_FRAME];
    for i in 1..1_000_000_u32 {
        let name = tree.intern(&format!("<{}>{i}", "x".repeat(i as usize % 61)));
        let frame = tree.child(ids[i as usize / 3], name);
        tree.add(frame, 16 + u64::from(i % 977), 1, 1);
        ids.push(frame);
    }
    tree
}

#[test]
fn a_million_frames_are_less_than_5_mb() {
    let tree = million();
    assert_eq!(tree.len(), 1_000_000);
    let totals = tree.totals();
    let rows: Vec<TypeRow> = (0..20_000)
        .map(|i| TypeRow {
            name: format!("{}{i}", "&".repeat(3000)),
            amount: Amount::default(),
            certainty: vec![Certain::default()],
        })
        .collect();
    let types = TypeReport {
        rows,
        ..TypeReport::default()
    };
    let trees = [&tree, &tree];
    let page = page_of(&Summary::default(), &types, &trees, |_| {});
    assert!(page.len() < 5_000_000, "{}", page.len());
    let data = data(&page);
    for i in [0, 1] {
        let rows = read(&data, i);
        assert!(rows.len() > 1000, "{}", rows.len());
        assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), totals.bytes[0]);
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), totals.objects[0]);
    }
    let shown = data["types"]["name"].as_array().unwrap().len() as u64;
    assert_eq!(shown + data["types"]["left_out"].as_u64().unwrap(), 20_000);
    let notes = data["notes"].to_string();
    assert!(notes.contains("of 1,000,000 frames are drawn"), "{notes}");

    // Who asks for few frames gets few, and the types do not make the page longer.
    let few = page_of(&Summary::default(), &types, &trees[..1], |report| {
        report.prune.max_frames = 1;
    });
    assert!(few.len() < 5_000_000, "{}", few.len());
    assert_eq!(read(&self::data(&few), 0).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_name_breaks_the_page(
        paths in prop::collection::vec((prop::collection::vec("[ -~]{0,9}", 1..4), 0u64..99, 0u64..3), 1..20)
    ) {
        let mut tree = FrameTree::new();
        for (path, bytes, objects) in &paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            add(&mut tree, &path, *bytes, *objects, path.len() as u32);
        }
        let page = page(&[&tree], |report| report.title = paths[0].0[0].clone());
        let data = data(&page);
        prop_assert_eq!(&data["title"], &paths[0].0[0]);
        let mut rows = read(&data, 0);
        rows.sort();
        prop_assert_eq!(rows, expected(&tree));
    }
}
