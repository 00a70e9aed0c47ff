//! Whole outputs on the committed dumps, as they are: what changes in them is to be looked at, and then kept with
//!
//! ```sh
//! INSTA_UPDATE=always cargo test -p objref --test whole_outputs
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest and the newest of each, gdb's, a position-independent one, one with C in it.
const DUMPS: [&str; 6] = [
    "zoo-1.19.13",
    "zoo-1.27.3",
    "zoo-1.26.6-gcore",
    "service-1.26.6",
    "goroutines-1.26.6-pie",
    "cgo-1.26.6",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps")
}

/// What it writes for a dump; paths are relative to `fixtures/dumps`.
fn written(name: &str, before: &[&str], after: &[&str]) -> String {
    let (core, exe) = (
        format!("{name}.core.zst"),
        format!("{}.exe.zst", name.trim_end_matches("-gcore")),
    );
    let output = Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(before)
        .args([&core, "--exe", &exe])
        .args(after)
        .current_dir(folder())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{name}: {stderr}");
    assert_eq!(stderr, "", "{name}");
    String::from_utf8(output.stdout).unwrap()
}

/// The text without what every release changes.
fn normal(text: &str) -> String {
    text.replace(
        &format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION")),
        "\"version\": \"(ours)\"",
    )
}

/// The first `n` lines, and how many there are.
fn head(text: &str, n: usize) -> String {
    let mut head: String = text
        .lines()
        .take(n)
        .map(|line| format!("{line}\n"))
        .collect();
    head.push_str(&format!("({} lines)\n", text.lines().count()));
    head
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap()
}

/// The frames of a picture by level, each with its name and bytes.
fn frames(svg: &str) -> Vec<(u64, String, u64)> {
    let mut all = Vec::new();
    for group in svg.split("<g>").skip(1) {
        let title = group
            .split_once("<title>")
            .unwrap()
            .1
            .split_once("</title>")
            .unwrap()
            .0;
        let (name, rest) = title.rsplit_once(" (").unwrap();
        let bytes = number(rest.split(' ').next().unwrap());
        let y = group
            .split_once(" y=\"")
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0;
        all.push((y.parse::<u64>().unwrap(), name.to_owned(), bytes));
    }
    all
}

#[test]
fn summaries() {
    for name in DUMPS {
        insta::assert_snapshot!(format!("{name}.txt"), written(name, &["summary"], &[]));
        let json = written(name, &["summary"], &["--format", "json"]);
        insta::assert_snapshot!(format!("{name}.json"), normal(&json));
    }
}

#[test]
fn folded_stacks() {
    for name in DUMPS {
        let folded = written(name, &[], &["--format", "folded", "--min-width", "0.2"]);
        insta::assert_snapshot!(format!("{name}.folded"), folded);
    }
}

#[test]
fn rows_of_objects() {
    for name in ["zoo-1.19.13", "zoo-1.27.3"] {
        let rows = written(name, &["objects"], &[]);
        insta::assert_snapshot!(format!("{name}.tsv"), head(&rows, 40));
    }
}

#[test]
fn pictures() {
    for name in DUMPS {
        let svg = written(name, &[], &[]);
        assert!(
            svg.starts_with("<?xml") && svg.ends_with("</svg>\n"),
            "{name}"
        );
        let frames = frames(&svg);
        let top = frames.iter().map(|f| f.0).min().unwrap();
        let all = frames.iter().find(|f| f.0 == top).unwrap().2;
        let levels: std::collections::BTreeSet<u64> = frames.iter().map(|f| f.0).collect();
        let first = *levels.iter().nth(1).unwrap();
        let first: Vec<_> = frames.iter().filter(|f| f.0 == first).collect();
        assert_eq!(first.iter().map(|f| f.2).sum::<u64>(), all, "{name}");
        let json = written(name, &["summary"], &["--format", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            json.pointer("/heap/live/bytes").unwrap().as_u64(),
            Some(all),
            "{name}"
        );
        // The frames as text: that is what a change must be judged by.
        let mut text = String::new();
        for (_, name, bytes) in first {
            text.push_str(&format!("{bytes:>12}  {name}\n"));
        }
        insta::assert_snapshot!(format!("{name}.first-level"), text);
    }
}

/// What a reader of the page finds in it, without its script.
#[test]
fn pages() {
    for name in ["service-1.26.6", "zoo-1.19.13"] {
        let page = written(name, &[], &["--format", "html", "--min-width", "1"]);
        let (_, json) = page.split_once("type=\"application/json\">").unwrap();
        let data: serde_json::Value =
            serde_json::from_str(json.split_once("</script>").unwrap().0).unwrap();
        let list = |at: &serde_json::Value, name: &str| at[name].as_array().unwrap().clone();
        let text = |value: &serde_json::Value| match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        let mut shown = text(&data["title"]) + "\n\n";
        for fact in list(&data, "facts") {
            let (name, value, detail) = (&fact["name"], &fact["value"], &fact["detail"]);
            shown.push_str(&format!(
                "{}: {}; {}\n",
                text(name),
                text(value),
                text(detail)
            ));
        }
        shown.push('\n');
        for note in list(&data, "notes") {
            shown.push_str(&format!(
                "{:<8}{}\n",
                text(&note["level"]),
                text(&note["text"])
            ));
        }
        let strings = list(&data, "strings");
        let called = |id: &serde_json::Value| text(&strings[id.as_u64().unwrap() as usize]);
        for tree in list(&data, "trees") {
            shown.push_str(&format!("\n{}\n", text(&tree["title"])));
            let (depth, names) = (list(&tree, "depth"), list(&tree, "name"));
            let (bytes, objects) = (list(&tree, "bytes"), list(&tree, "objects"));
            for i in 0..depth.len() {
                let indent = "  ".repeat(depth[i].as_u64().unwrap() as usize);
                let (bytes, objects) = (text(&bytes[i]), text(&objects[i]));
                shown.push_str(&format!(
                    "{bytes:>9} {objects:>7}  {indent}{}\n",
                    called(&names[i])
                ));
            }
        }
        shown.push_str("\nTypes\n");
        let types = &data["types"];
        for (i, name) in list(types, "name").iter().enumerate().take(20) {
            let (bytes, objects) = (&list(types, "bytes")[i], &list(types, "objects")[i]);
            let certainty = called(&list(types, "certainty")[i]);
            let (bytes, objects) = (text(bytes), text(objects));
            shown.push_str(&format!(
                "{bytes:>9} {objects:>7}  {} ({certainty})\n",
                called(name)
            ));
        }
        insta::assert_snapshot!(format!("{name}.html"), shown);
    }
}

#[test]
fn ten_runs_are_the_same() {
    let args: [&[&str]; 5] = [
        &[],
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "3"],
        &["--threads", "8"],
    ];
    for name in ["zoo-1.27.3", "service-1.26.6"] {
        for format in ["svg", "html", "folded", "json", "tsv"] {
            let first = written(name, &[], &["--format", format]);
            for i in 0..9 {
                let mut after = vec!["--format", format];
                after.extend(args[i % args.len()]);
                assert!(written(name, &[], &after) == first, "{name} {after:?}");
            }
        }
    }
}

/// The kernel's dump and gdb's of two runs of the same program.
#[test]
fn two_dumps_of_one_program_agree() {
    let roots = |name: &str| -> BTreeMap<String, u64> {
        let folded = written(name, &[], &["--format", "folded", "--min-width", "0"]);
        let mut roots = BTreeMap::new();
        for line in folded.lines() {
            let (stack, bytes) = line.rsplit_once(' ').unwrap();
            let root = stack.split(';').next().unwrap();
            *roots.entry(root.to_owned()).or_default() += number(bytes);
        }
        roots
    };
    let (kernel, gdb) = (roots("zoo-1.26.6"), roots("zoo-1.26.6-gcore"));
    let all: u64 = kernel.values().sum();
    // The program's own variables with a thousandth of all; stacks and the runtime's tables differ from run to run.
    let own = |(root, bytes): &(&String, &u64)| {
        root.starts_with("main.") && !root.contains("()") && **bytes * 1000 > all
    };
    let own: Vec<_> = kernel.iter().filter(own).collect();
    assert!(own.len() > 10);
    for (root, bytes) in own {
        let other = gdb.get(root).copied().unwrap_or(0);
        let off = bytes.abs_diff(other) as f64 / *bytes as f64;
        assert!(off < 0.05, "{root}: {bytes} and {other}");
    }
}
