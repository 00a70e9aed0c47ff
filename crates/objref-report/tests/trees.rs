//! A tree of frames for other programs: complete, well-formed, and the same every time.

mod support;

use objref_analysis::{FrameTree, Metric, ROOT_FRAME, Summary, TreeKind, TreeReport};
use objref_report::{
    DotEdge, DotGraph, DotNode, Order, PprofOptions, dot, frame_graph, json, pprof, speedscope,
};
use proptest::prelude::*;
use support::profile::{Function, Profile};
use support::schema::Schema;

fn add(tree: &mut FrameTree, path: &[&str], bytes: u64, objects: u64, level: u32) -> u32 {
    let mut frame = ROOT_FRAME;
    for (i, step) in path.iter().enumerate() {
        let name = tree.intern(step);
        frame = tree.child(frame, name);
        if i == 0 {
            tree.set_barrier(frame);
        }
    }
    tree.add(frame, bytes, objects, level);
    frame
}

/// Names that would steer a terminal, end a string, a line, a frame or a comment.
fn hostile() -> String {
    let bytes = b"\x1b[31m\"q\" 'a';b\\n\n\t\xff\xfe </x>--> \xc2\x9b \xe2\x80\xae %s {} | &lt;";
    String::from_utf8_lossy(bytes).into_owned()
}

fn example() -> FrameTree {
    let mut tree = FrameTree::new();
    let cache = add(&mut tree, &["main.cache"], 48, 1, 0);
    let order = add(
        &mut tree,
        &["main.cache", "[value] *main.Order"],
        640,
        10,
        2,
    );
    add(&mut tree, &["main.cache", "[key] string"], 160, 10, 2);
    for level in 1..=3 {
        let mut path = vec!["main.head"];
        path.extend(vec!["next *main.node"; level]);
        add(&mut tree, &path, 32, 1, level as u32);
    }
    // A function that calls itself, and an object under it that others have by the same name.
    let path = ["main.f()", "main.f()", "[value] *main.Order"];
    add(&mut tree, &path, 64, 1, 0);
    add(&mut tree, &["main.odd", &hostile()], 512, 2, 1);
    add(&mut tree, &["main.odd", ""], 8, 1, 1);
    tree.add(ROOT_FRAME, 5, 1, 0);
    tree.add_retained(cache, 848);
    tree.add_retained(order, 640);
    tree
}

fn profile_bytes(tree: &FrameTree) -> Vec<u8> {
    let options = PprofOptions {
        binary: "/srv/bin/server".into(),
        build_id: Some("1234abcd".into()),
        tree: TreeKind::Path,
        comments: vec![
            "core of a server".into(),
            "warning: 3 pages\nare missing".into(),
        ],
    };
    let mut out = Vec::new();
    pprof(tree, &options, &mut out).unwrap();
    out
}

fn profile(tree: &FrameTree) -> Profile {
    Profile::read(&profile_bytes(tree))
}

#[test]
fn profiles() {
    let profile = profile(&example());
    insta::assert_snapshot!(profile.text());

    assert_eq!(profile.string_table[0], "");
    assert_eq!(profile.time_nanos, 0);
    assert!(profile.mapping[0].has_functions && profile.mapping[0].has_inline_frames);
    assert!(profile.location.iter().all(|l| l.mapping_id == 1));
    // A name is one function wherever it stands.
    let order = |f: &&Function| profile.string(f.name) == "[value] *main.Order";
    assert_eq!(profile.function.iter().filter(order).count(), 1);
}

#[test]
fn a_profile_without_retained_sizes_has_no_column_of_zeros() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["main.cache"], 48, 1, 0);
    let profile = profile(&tree);
    assert_eq!(profile.sample_type.len(), 2);
    assert_eq!(profile.sample[0].value, [1, 48]);
    assert!(!profile.text().contains("retained"));
}

#[test]
fn a_number_that_pprof_cannot_hold_is_the_greatest_it_can() {
    let mut tree = FrameTree::new();
    add(&mut tree, &["main.cache"], u64::MAX, 1, 0);
    assert_eq!(profile(&tree).sample[0].value, [1, i64::MAX]);
}

fn speedscope_json(tree: &FrameTree, metric: Metric) -> serde_json::Value {
    let mut out = Vec::new();
    speedscope(tree, "a \"server\"", metric, Order::Size, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn speedscope_profiles() {
    let file = speedscope_json(&example(), Metric::Bytes);
    let mut shown = file.clone();
    shown["exporter"] = "objref (version)".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
    let other = speedscope_json(&example(), Metric::Objects);
    assert_eq!(other["activeProfileIndex"], 1);
    assert_eq!(other["profiles"], file["profiles"]);
}

/// The schema is that of the npm package speedscope 1.25.0.
#[test]
fn speedscope_has_a_schema() {
    let schema = include_str!("speedscope/file-format-schema.json");
    let schema = Schema::new(serde_json::from_str(schema).unwrap());
    let mut file = speedscope_json(&example(), Metric::Bytes);
    schema.check(&file).unwrap();
    let empty = speedscope_json(&FrameTree::new(), Metric::Bytes);
    schema.check(&empty).unwrap();
    file["profiles"][0]["unit"] = "objects".into();
    assert!(schema.check(&file).is_err());
}

fn dot_text(graph: &DotGraph) -> String {
    let mut out = Vec::new();
    dot(graph, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn graphs() {
    insta::assert_snapshot!(dot_text(&frame_graph(
        &example(),
        "a \"server\"",
        Metric::Bytes
    )));
}

#[test]
fn any_graph_can_be_drawn() {
    let node = |name: &str| DotNode {
        lines: vec![name.into(), hostile()],
        ..DotNode::default()
    };
    let edge = |from, to| DotEdge {
        from,
        to,
        label: hostile(),
        weight: u64::MAX,
    };
    let graph = DotGraph {
        title: hostile(),
        nodes: vec![node("a"), node(""), DotNode::default()],
        // There and back, twice, to itself, to nowhere.
        edges: vec![edge(0, 1), edge(1, 0), edge(1, 0), edge(2, 2), edge(0, 3)],
    };
    insta::assert_snapshot!(dot_text(&graph));
    insta::assert_snapshot!(dot_text(&DotGraph::default()), @r##"
    digraph {
        rankdir=LR nodesep=0.1 ranksep=0.3
        label="" labelloc=t fontname="sans-serif"
        node [shape=box style=filled color="#808080" fontname="sans-serif"]
        edge [color="#606060" fontsize=9 fontname="sans-serif"]
    }
    "##);
}

#[test]
fn trees_for_programs() {
    let mut report = TreeReport::new(&example(), TreeKind::Path, &Summary::default());
    let mut out = Vec::new();
    json(&report, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    insta::assert_snapshot!(text);
    // Names are as they are, whatever is in them.
    let back: TreeReport = serde_json::from_str(&text).unwrap();
    assert_eq!(back, report);
    assert!(report.frames.iter().any(|frame| frame.name == hostile()));
    let own: u64 = report.frames.drain(..).map(|frame| frame.bytes).sum();
    assert_eq!(own, example().totals().bytes[0]);
}

#[test]
fn the_same_bytes_every_time() {
    let speedscope = || speedscope_json(&example(), Metric::Bytes).to_string();
    let graph = || dot_text(&frame_graph(&example(), "", Metric::Bytes));
    let first = (profile_bytes(&example()), speedscope(), graph());
    for _ in 0..10 {
        assert!((profile_bytes(&example()), speedscope(), graph()) == first);
    }
}

/// The strings of a file of graphviz, as it reads them.
fn strings(dot: &str) -> Vec<String> {
    let (mut strings, mut open, mut chars) = (Vec::new(), None::<String>, dot.chars());
    while let Some(c) = chars.next() {
        match (&mut open, c) {
            (None, '"') => open = Some(String::new()),
            (None, c) => assert!(c.is_ascii_graphic() || c == ' ' || c == '\n', "{c:?}"),
            (Some(_), '"') => strings.extend(open.take()),
            (Some(text), '\\') => text.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('"' | '\\')) => c,
                other => panic!("{other:?} in {dot}"),
            }),
            (Some(text), '&') => {
                assert!(chars.as_str().starts_with("amp;"), "{dot}");
                chars.nth(3);
                text.push('&');
            }
            (Some(text), c) => text.push(c),
        }
    }
    assert_eq!(open, None, "{dot}");
    strings
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_name_breaks_anything(
        steps in prop::collection::vec(("[ ;\\\\\"'\n\x1b\u{9b}\\]<>&n%-]{0,9}", 0u8..4, 1u64..99), 1..20)
    ) {
        let mut tree = FrameTree::new();
        for (name, depth, bytes) in &steps {
            let names = ["a", name, "b", &format!("x{name}")];
            add(&mut tree, &names[..*depth as usize + 1], *bytes, 1, 1);
        }
        let bytes: u64 = steps.iter().map(|(.., bytes)| bytes).sum();

        let profile = profile(&tree);
        let sum: i64 = profile.sample.iter().map(|sample| sample.value[1]).sum();
        prop_assert_eq!(sum as u64, bytes);
        for sample in &profile.sample {
            for name in profile.stack(sample) {
                prop_assert!(!name.is_empty() && !name.contains(char::is_control));
            }
        }

        let file = speedscope_json(&tree, Metric::Bytes);
        let weights = file["profiles"][0]["weights"].as_array().unwrap();
        prop_assert_eq!(weights.iter().filter_map(|w| w.as_u64()).sum::<u64>(), bytes);
        prop_assert_eq!(file["profiles"][0]["endValue"].as_u64(), Some(bytes));

        let written = strings(&dot_text(&frame_graph(&tree, "", Metric::Bytes)));
        let printable = |name: &str| match name {
            "" => "?".to_owned(),
            name => name.chars().map(objref_report::printable).collect(),
        };
        for frame in tree.frames() {
            let label = format!("{}\n", printable(&tree.label(frame)));
            prop_assert!(written.iter().any(|text| text.starts_with(&label)), "{label:?}");
        }
    }
}
