//! What retains what, on a committed dump. Whole outputs are kept with
//!
//! ```sh
//! INSTA_UPDATE=always cargo test -p objref --test investigate
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const SERVICE: &str = "service-1.26.6";

fn objref(command: &str, dump: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .arg(command)
        .arg(format!("{dump}.core.zst"))
        .args(["--exe", &format!("{dump}.exe.zst")])
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(command: &str, dump: &str, args: &[&str]) -> String {
    let output = objref(command, dump, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(command: &str, dump: &str, args: &[&str]) -> Value {
    let json = text(command, dump, &[args, &["--format", "json"]].concat());
    serde_json::from_str(&json).unwrap()
}

fn failure(command: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = objref(command, SERVICE, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr.trim_end().to_owned())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap()
}

fn bytes(value: &Value) -> u64 {
    value["bytes"].as_u64().unwrap()
}

#[test]
fn texts() {
    for by in ["root", "type", "package", "goroutine", "object"] {
        let shown = text("top", SERVICE, &["--by", by, "-n", "8"]);
        insta::assert_snapshot!(format!("top-{by}"), shown);
    }
    insta::assert_snapshot!("tree", text("tree", SERVICE, &["--min", "2"]));
    let from = text("tree", SERVICE, &["--from", "main.Session", "-n", "6"]);
    insta::assert_snapshot!("tree-of-a-type", from);
}

#[test]
fn roots_add_up_to_the_live_heap() {
    for dump in [SERVICE, "zoo-1.27.3", "goroutines-1.26.6-pie"] {
        let report = json("top", dump, &[]);
        let rows = list(&report, "rows");
        for what in ["bytes", "objects"] {
            let sum: u64 = rows
                .iter()
                .map(|r| r["retained"][what].as_u64().unwrap())
                .sum();
            assert_eq!(Some(sum), report["live"][what].as_u64(), "{dump} {what}");
        }
        // Each row again, from the first level of the tree.
        let tree = json("tree", dump, &["--min", "0"]);
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        let tops = list(&tree, "frames").iter().filter(|f| f["depth"] == 0);
        for frame in tops {
            let name = frame["name"].as_str().unwrap();
            let name = name.split(" ×").next().unwrap().split(" [").next().unwrap();
            *expected.entry(name.to_owned()).or_default() += bytes(&frame["retained"]);
        }
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for row in rows {
            let name = row["name"].as_str().unwrap();
            let short = name.rsplit('/').next().unwrap();
            *seen.entry(short.to_owned()).or_default() += bytes(&row["retained"]);
        }
        assert_eq!(seen, expected, "{dump}");
    }
}

/// Against the listing of all objects, by the definition.
#[test]
fn a_type_retains_what_its_topmost_objects_do() {
    let report = json("top", SERVICE, &["--by", "type"]);
    let tsv = text("objects", SERVICE, &[]);
    let mut lines = tsv.lines();
    let head: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| head.iter().position(|h| *h == name).unwrap();
    let (address, ty) = (column("address"), column("type"));
    let (size, retained, idom) = (column("size"), column("retained"), column("idom"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();
    let at: BTreeMap<&str, &Vec<&str>> = rows.iter().map(|row| (row[address], row)).collect();
    for name in [
        "main.Session",
        "main.User",
        "container/list.Element",
        "main.Product",
    ] {
        let of_type = rows.iter().filter(|row| row[ty] == name);
        let (mut objects, mut own, mut set) = (0, 0, 0);
        for row in of_type {
            objects += 1;
            own += row[size].parse::<u64>().unwrap();
            let mut above = at.get(row[idom]);
            while let Some(row) = above.filter(|row| row[ty] != name) {
                above = at.get(row[idom]);
            }
            if above.is_none() {
                set += row[retained].parse::<u64>().unwrap();
            }
        }
        let found = list(&report, "rows").iter().find(|row| row["name"] == name);
        let found = found.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(
            found["shallow"]["objects"].as_u64(),
            Some(objects),
            "{name}"
        );
        assert_eq!(bytes(&found["shallow"]), own, "{name}");
        assert_eq!(bytes(&found["retained"]), set, "{name}");
        assert!(objects > 0 && set > own, "{name}");
        // The tree of the type starts with the same objects.
        let tree = json("tree", SERVICE, &["--from", name]);
        assert_eq!(tree["shown"], found["retained"], "{name}");
    }
    // Own bytes of all types are all bytes.
    let all = list(&report, "rows")
        .iter()
        .map(|row| bytes(&row["shallow"]));
    assert_eq!(all.sum::<u64>(), bytes(&report["live"]));
}

#[test]
fn children_add_up_to_what_is_above_them() {
    for args in [
        &["--min", "1"][..],
        &["--min", "0.5", "--no-merge"],
        &["--from", "(shared", "-n", "30"],
        &["--from", "main.Server", "--depth", "3"],
    ] {
        let report = json("tree", SERVICE, args);
        let frames = list(&report, "frames");
        let mut below: Vec<u64> = frames.iter().map(|f| bytes(&f["own"])).collect();
        let mut top = 0;
        for (i, frame) in frames.iter().enumerate() {
            match frame["parent"].as_u64() {
                Some(parent) => {
                    assert!((parent as usize) < i, "{args:?}");
                    let deeper = frames[parent as usize]["depth"].as_u64().unwrap() + 1;
                    assert_eq!(frame["depth"].as_u64(), Some(deeper), "{args:?}");
                    below[parent as usize] += bytes(&frame["retained"]);
                }
                None => top += bytes(&frame["retained"]),
            }
        }
        let retained: Vec<u64> = frames.iter().map(|f| bytes(&f["retained"])).collect();
        assert_eq!(below, retained, "{args:?}");
        assert_eq!(top, bytes(&report["shown"]), "{args:?}");
        assert!(frames.len() > 3, "{args:?}");
    }
}

#[test]
fn objects_by_address() {
    let report = json("top", SERVICE, &["--by", "object", "-n", "3"]);
    let rows = list(&report, "rows");
    assert_eq!(rows.len(), 3);
    for row in rows {
        let address = row["object"]["address"].as_str().unwrap();
        let tree = json("tree", SERVICE, &["--from", address]);
        assert_eq!(tree["shown"], row["retained"], "{address}");
        let first = tree["frames"][0]["name"].as_str().unwrap();
        assert!(first.starts_with(address), "{first}");
    }
}

#[test]
fn rows_to_keep_and_to_leave_out() {
    let all = json("top", SERVICE, &["--by", "type"]);
    let focus = json("top", SERVICE, &["--by", "type", "--focus", "Session"]);
    let ignore = json("top", SERVICE, &["--by", "type", "--ignore", "Session"]);
    let len = |report: &Value| list(report, "rows").len();
    assert!(len(&focus) > 1 && len(&ignore) > 1);
    assert_eq!(len(&focus) + len(&ignore), len(&all));
    assert_eq!(
        focus["filtered"]["rows"].as_u64(),
        Some(len(&ignore) as u64)
    );
    let kept = list(&focus, "rows")
        .iter()
        .map(|row| bytes(&row["shallow"]));
    let kept: u64 = kept.sum();
    assert_eq!(kept + bytes(&focus["filtered"]), bytes(&all["live"]));

    // Of objects, all that sessions alone keep alive.
    let objects = json(
        "top",
        SERVICE,
        &["--by", "object", "--focus", r"^main\.Session$"],
    );
    let of_type = list(&all, "rows")
        .iter()
        .find(|r| r["name"] == "main.Session")
        .unwrap();
    let filtered = bytes(&objects["filtered"]);
    assert_eq!(bytes(&all["live"]) - filtered, bytes(&of_type["retained"]));
}

#[test]
fn names_that_nothing_has() {
    for (command, args, expected) in [
        (
            "top",
            &["--by", "type", "--focus", r"main\.Sesion$"][..],
            r"nothing matches main\.Sesion$; there is main.Session, ",
        ),
        ("top", &["--ignore", "xyzzy"], "nothing matches xyzzy"),
        (
            "tree",
            &["--from", "main.Sesion"],
            "no root and no type is called main.Sesion; there is main.Session, ",
        ),
        (
            "tree",
            &["--from", "0x10"],
            "0x10: not in the heap's objects",
        ),
        ("tree", &["--from", "0xyz"], "0xyz: not an address"),
        (
            "tree",
            &["--from", "main."],
            " roots and types have main. in their names; there is ",
        ),
    ] {
        let (status, line) = failure(command, args);
        assert_eq!(status, Some(3), "{args:?}: {line}");
        assert!(line.contains(expected), "{args:?}: {line}");
    }
    let (status, line) = failure("top", &["--sort", "shallow"]);
    let expected = "objref: a root has no size of its own: --sort retained or objects";
    assert_eq!((status, line.as_str()), (Some(2), expected));
}
