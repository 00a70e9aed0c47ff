//! The picture: complete, well-formed, and the same every time.

use std::collections::BTreeMap;

use objref_analysis::{FrameTree, Metric, ROOT_FRAME};
use objref_report::{FlameOptions, Order, flame_svg, folded};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;

fn add(tree: &mut FrameTree, path: &[&str], bytes: u64, objects: u64, level: u32) {
    let mut frame = ROOT_FRAME;
    for (i, step) in path.iter().enumerate() {
        let name = tree.intern(step);
        frame = tree.child(frame, name);
        if i == 0 {
            tree.set_barrier(frame);
        }
    }
    tree.add(frame, bytes, objects, level);
}

fn example() -> FrameTree {
    let mut tree = FrameTree::new();
    add(&mut tree, &["main.cache"], 48, 1, 0);
    add(
        &mut tree,
        &["main.cache", "[value] *main.Order"],
        64_000,
        1000,
        2,
    );
    add(
        &mut tree,
        &["main.cache", "[value] *main.Order", "lines []main.Line"],
        3_200_000,
        997,
        3,
    );
    add(&mut tree, &["main.cache", "[key] string"], 16_000, 1000, 2);
    for level in 1..=2000 {
        add(&mut tree, &["main.head", "next *main.node"], 32, 1, level);
    }
    let name = tree.intern("next *main.node");
    let head = tree.intern("main.head");
    let frame = tree.child(ROOT_FRAME, head);
    let frame = tree.child(frame, name);
    tree.child(frame, name);
    add(
        &mut tree,
        &[
            "net/http.(*Server).Serve",
            "main.handle × 12",
            "buf []uint8",
        ],
        49_152,
        12,
        0,
    );
    // Everything that could confuse somebody on the way.
    add(
        &mut tree,
        &["main.odd", "struct { A int; B map[string]chan<- int }"],
        512,
        2,
        1,
    );
    add(&mut tree, &["main.odd", "len 12"], 512, 2, 1);
    add(&mut tree, &["main.odd", "len 12", "7"], 512, 2, 1);
    add(&mut tree, &["main.odd", "len"], 512, 1, 1);
    add(&mut tree, &["main.odd", "a_[k]"], 512, 1, 1);
    add(&mut tree, &["main.odd", "tag `json:\"a&b\"`\tx"], 512, 1, 1);
    add(&mut tree, &["main.odd", "# comment"], 512, 1, 1);
    add(&mut tree, &["main.odd", "?"], 8, 1, 1);
    tree
}

fn draw(tree: &FrameTree, options: &FlameOptions) -> String {
    let mut out = Vec::new();
    flame_svg(tree, options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A frame as a reader of the file sees it.
#[derive(Debug, PartialEq)]
struct Drawn {
    title: String,
    y: u64,
    x: u64,
    width: u64,
}

/// Parses the file to its end and lists its frames.
fn frames(svg: &str) -> Vec<Drawn> {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let (mut drawn, mut title, mut in_title) = (Vec::new(), String::new(), false);
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Eof => return drawn,
            Event::Start(tag) if tag.name().as_ref() == b"title" => {
                in_title = true;
                title.clear();
            }
            Event::End(tag) if tag.name().as_ref() == b"title" => in_title = false,
            Event::Text(text) if in_title => title.push_str(&text.decode().unwrap()),
            Event::GeneralRef(entity) if in_title => {
                title.push_str(match entity.decode().unwrap().as_ref() {
                    "lt" => "<",
                    "gt" => ">",
                    "amp" => "&",
                    "quot" => "\"",
                    "apos" => "'",
                    other => panic!("entity {other}"),
                });
            }
            Event::Empty(tag) if tag.name().as_ref() == b"rect" => {
                let attributes: BTreeMap<String, String> = tag
                    .attributes()
                    .map(|a| {
                        let a = a.unwrap();
                        let key = String::from_utf8(a.key.as_ref().to_vec()).unwrap();
                        (key, String::from_utf8(a.value.to_vec()).unwrap())
                    })
                    .collect();
                if let Some(width) = attributes.get("fg:w") {
                    drawn.push(Drawn {
                        title: title.clone(),
                        y: attributes["y"].parse().unwrap(),
                        x: attributes["fg:x"].parse().unwrap(),
                        width: width.parse().unwrap(),
                    });
                }
            }
            _ => {}
        }
    }
}

#[test]
fn svg() {
    let options = FlameOptions {
        title: "who keeps what alive".into(),
        subtitle: Some("3.2 MiB live <b>".into()),
        notes: "objref core --exe bin -->".into(),
        script: false,
        ..FlameOptions::default()
    };
    insta::assert_snapshot!(draw(&example(), &options).replace("<g>", "\n<g>"));
}

#[test]
fn every_frame_is_there_with_its_numbers() {
    for metric in [Metric::Bytes, Metric::Objects] {
        for order in [Order::Size, Order::Name] {
            for roots_at_bottom in [false, true] {
                let tree = example();
                let options = FlameOptions {
                    metric,
                    order,
                    roots_at_bottom,
                    ..FlameOptions::default()
                };
                let drawn = frames(&draw(&tree, &options));
                check(&tree, metric, &drawn);
            }
        }
    }
}

fn check(tree: &FrameTree, metric: Metric, drawn: &[Drawn]) {
    let totals = tree.totals();
    let visible = |f: &u32| match metric {
        Metric::Bytes => totals.bytes[*f as usize] > 0,
        Metric::Objects => totals.objects[*f as usize] > 0,
    };
    // A frame's name, its value and the number of its objects all meet in one title.
    let mut expected: Vec<(String, u64)> = tree
        .frames()
        .filter(visible)
        .map(|f| {
            let (bytes, objects) = (totals.bytes[f as usize], totals.objects[f as usize]);
            let name = tree.label(f).replace('\t', "␉");
            match metric {
                Metric::Bytes => (format!("{name}|{bytes}|{objects}"), bytes),
                Metric::Objects => (format!("{name}|{bytes}|{objects}"), objects),
            }
        })
        .collect();
    let own = match metric {
        Metric::Bytes => tree.self_bytes(ROOT_FRAME),
        Metric::Objects => tree.self_objects(ROOT_FRAME),
    };
    if own > 0 {
        let (bytes, objects) = (tree.self_bytes(ROOT_FRAME), tree.self_objects(ROOT_FRAME));
        expected.push((format!("(held by no frame)|{bytes}|{objects}"), own));
    }
    let mut found: Vec<(String, u64)> = drawn
        .iter()
        .map(|frame| {
            let (name, numbers) = frame.title.rsplit_once(" (").expect("a note");
            let numbers = numbers.replace(',', "");
            let words: Vec<&str> = numbers.split(' ').collect();
            let before = |unit: &str| {
                let at = words
                    .iter()
                    .position(|w| w.trim_end_matches('s') == unit)
                    .unwrap();
                words[at - 1].to_owned()
            };
            (
                format!("{name}|{}|{}", before("byte"), before("object")),
                frame.width,
            )
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);

    // Those of the first level lie side by side and are as wide as the whole.
    let all = drawn.iter().find(|f| f.title.starts_with("all (")).unwrap();
    let height = 16;
    let mut first: Vec<&Drawn> = drawn
        .iter()
        .filter(|f| f.y.abs_diff(all.y) == height)
        .collect();
    first.sort_by_key(|f| f.x);
    let mut x = 0;
    for frame in first {
        assert_eq!(frame.x, x);
        x += frame.width;
    }
    assert_eq!(x, all.width);
}

#[test]
fn the_biggest_first_or_by_name() {
    let first_level = |order| {
        let options = FlameOptions {
            order,
            ..FlameOptions::default()
        };
        let drawn = frames(&draw(&example(), &options));
        let top = drawn.iter().map(|f| f.y).min().unwrap();
        let mut first: Vec<_> = drawn.into_iter().filter(|f| f.y == top + 16).collect();
        first.sort_by_key(|f| f.x);
        let name = |f: Drawn| f.title.split_once(" (").unwrap().0.to_owned();
        first.into_iter().map(name).collect::<Vec<_>>()
    };
    let (cache, head) = ("main.cache", "main.head");
    assert_eq!(
        first_level(Order::Size),
        [cache, head, "net/http.(*Server).Serve", "main.odd"]
    );
    assert_eq!(
        first_level(Order::Name),
        [cache, head, "main.odd", "net/http.(*Server).Serve"]
    );
}

#[test]
fn the_script_is_inside() {
    let svg = draw(&example(), &FlameOptions::default());
    assert!(svg.contains("function search("));
    assert!(!svg.contains("<script xlink:href") && !svg.contains(" src="));
    frames(&svg);
}

#[test]
fn the_same_bytes_every_time() {
    let draw = || draw(&example(), &FlameOptions::default());
    let first = draw();
    for _ in 0..10 {
        assert!(draw() == first);
    }
}

#[test]
fn an_empty_tree_is_an_error() {
    let error = flame_svg(&FrameTree::new(), &FlameOptions::default(), &mut Vec::new());
    assert_eq!(
        error.unwrap_err().to_string(),
        "nothing to draw: no bytes in the tree"
    );
}

#[test]
fn folded_lines() {
    let mut out = Vec::new();
    folded(&example(), Metric::Bytes, &mut out).unwrap();
    insta::assert_snapshot!(String::from_utf8(out).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_name_breaks_the_picture(
        steps in prop::collection::vec(("[ ;_\\[\\]kx0-9.<&{}()\"'-]{1,6}", 0u8..4, 1u64..99), 1..20)
    ) {
        let mut tree = FrameTree::new();
        for (name, depth, bytes) in &steps {
            let trimmed = format!("x{}", name.trim());
            let names = ["a;b", name, " 5", &trimmed, "x_[k]"];
            add(&mut tree, &names[..*depth as usize + 1], *bytes, 1, 1);
        }
        tree.add(ROOT_FRAME, 5, 1, 0);
        let drawn = frames(&draw(&tree, &FlameOptions::default()));
        check(&tree, Metric::Bytes, &drawn);
    }
}
