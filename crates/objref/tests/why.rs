//! Who holds what, on the committed dumps.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn dumps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps")
}

/// Status, what it wrote and what it said.
fn objref(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .current_dir(dumps())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn why(core: &str, what: &str, more: &[&str]) -> String {
    let mut args = vec!["why", core, what];
    args.extend(more);
    let (status, out, err) = objref(&args);
    assert_eq!((status, &*err), (0, ""), "{args:?}");
    out
}

fn why_json(core: &str, what: &str, more: &[&str]) -> Value {
    let more = [&["--format", "json"], more].concat();
    serde_json::from_str(&why(core, what, &more)).unwrap()
}

fn hex(value: &Value) -> String {
    format!("{:#x}", value["address"].as_u64().unwrap())
}

const ZOO: &str = "zoo-1.27.3.core.zst";
const OLD: &str = "zoo-1.19.13.core.zst";
const SERVICE: &str = "service-1.26.6.core.zst";

/// The address of what a root refers to first.
fn first_of(core: &str, root: &str) -> String {
    hex(&why_json(core, root, &[])["answer"]["references"][0])
}

/// The address of the last object on the way to the first of a type's biggest group.
fn example_of(core: &str, name: &str) -> String {
    let found = why_json(core, name, &[]);
    let steps = found["answer"]["groups"][0]["example"]["steps"]
        .as_array()
        .unwrap()
        .clone();
    hex(steps.last().unwrap())
}

#[test]
fn objects() {
    for (name, core, object) in [
        ("session", SERVICE, example_of(SERVICE, "main.Session")),
        ("list", ZOO, example_of(ZOO, "main.listNode")),
        ("leaf", ZOO, example_of(ZOO, "main.Leaf")),
        ("old-leaf", OLD, example_of(OLD, "main.Leaf")),
    ] {
        insta::assert_snapshot!(format!("object-{name}"), why(core, &object, &["-k", "5"]));
    }
}

#[test]
fn types() {
    for (name, core, ty) in [
        ("bytes", SERVICE, "[]byte"),
        ("sessions", SERVICE, "*main.Session"),
        ("strings", ZOO, "string"),
        ("leaves", ZOO, "main.Leaf"),
        ("maps", OLD, "map[string]*main.Leaf"),
        ("several", OLD, "main\\.[kL]eaf|main.Row"),
    ] {
        insta::assert_snapshot!(format!("type-{name}"), why(core, ty, &[]));
    }
}

#[test]
fn roots() {
    for (name, core, root) in [
        ("variable", ZOO, "main.chans"),
        ("function", ZOO, "main.parkSelect"),
        ("finalizers", OLD, "(finalizer)"),
    ] {
        insta::assert_snapshot!(format!("root-{name}"), why(core, root, &[]));
    }
}

#[test]
fn a_graph() {
    let object = example_of(SERVICE, "main.Session");
    insta::assert_snapshot!(why(SERVICE, &object, &["--format", "dot"]));
}

/// Every step of every path is a reference that the object itself, or the root, is said to have; and no two paths have
/// a root or an object in common but the last.
#[test]
fn paths_are_chains_of_references_and_have_nothing_in_common() {
    let (_, rows, _) = objref(&["objects", ZOO]);
    // What nothing keeps alive alone has a chance of several paths.
    let shared: Vec<&str> = rows
        .lines()
        .filter(|row| row.ends_with("\tshared"))
        .map(|row| row.split('\t').next().unwrap())
        .collect();
    assert!(shared.len() > 20);
    let mut most = 0;
    for leaf in shared.iter().step_by(shared.len() / 12) {
        let found = why_json(ZOO, leaf, &["-k", "4"]);
        let answer = &found["answer"];
        assert_eq!(hex(&answer["object"]), **leaf);
        let mut seen = std::collections::HashSet::new();
        let paths = answer["paths"].as_array().unwrap();
        most = most.max(paths.len());
        assert!(!paths.is_empty());
        let mut length = 0;
        for path in paths {
            let root = path["root"]["name"].as_str().unwrap().to_owned();
            assert!(seen.insert(root.clone()) || root.contains("()"), "{root}");
            let steps = path["steps"].as_array().unwrap();
            assert_eq!(path["references"].as_u64().unwrap(), steps.len() as u64);
            assert!(steps.len() >= length, "the shortest first");
            length = steps.len();
            assert_eq!(hex(steps.last().unwrap()), **leaf);
            for step in &steps[..steps.len() - 1] {
                assert!(seen.insert(hex(step)), "{leaf}: {} twice", hex(step));
            }
            // The root is said to refer to the first.
            let roots = why_json(ZOO, &root, &[]);
            let references = roots["answer"]["references"].as_array().unwrap();
            let all = roots["answer"]["left_out"] == 0;
            let named = references.iter().any(|step| hex(step) == hex(&steps[0]));
            assert!(named || !all, "{root} and {}", hex(&steps[0]));
        }
    }
    assert!(most > 1, "some have more than one");
}

#[test]
fn an_address_inside_of_an_object_is_the_object_s() {
    let list = first_of(ZOO, "main.chain");
    let inside = u64::from_str_radix(&list[2..], 16).unwrap() + 9;
    let text = why(ZOO, &format!("{inside:#x}"), &[]);
    assert!(
        text.contains("9 bytes into it") && text.contains(&list),
        "{text}"
    );
}

#[test]
fn what_is_excluded_holds_nothing() {
    let found = why_json(ZOO, "(finalizer)", &[]);
    let closure = hex(&found["answer"]["references"][0]);
    let paths = |more: &[&str]| {
        let found = why_json(ZOO, &closure, more);
        found["answer"]["paths"].as_array().unwrap().clone()
    };
    assert_eq!(paths(&[])[0]["root"]["kind"], "finalizer");
    assert!(
        paths(&["--exclude", "finalizer"])
            .iter()
            .all(|p| p["root"]["kind"] != "finalizer")
    );
    for core in [ZOO, OLD] {
        let with = why_json(core, "sync.poolLocal", &[]);
        assert!(with["answer"]["amount"]["objects"].as_u64().unwrap() > 0);
        assert_eq!(with["answer"]["excluded"]["objects"], 0);
        let without = why_json(core, "sync.poolLocal", &["--exclude", "weak,pool"]);
        let answer = &without["answer"];
        assert_eq!(answer["amount"], answer["excluded"]);
        assert_eq!(answer["groups"].as_array().unwrap().len(), 0);
    }
}

#[test]
fn an_index_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("x.objref");
    let index = index.to_str().unwrap();
    assert_eq!(objref(&["index", ZOO, "-o", index]).0, 0);
    let leaf = example_of(ZOO, "main.Leaf");
    for what in [&*leaf, "string", "main.Leaf", "main.chans"] {
        for more in [&[][..], &["--exclude", "weak,finalizer,pool"]] {
            assert_eq!(
                why(index, what, more),
                why(ZOO, what, more),
                "{what} {more:?}"
            );
        }
    }
}

#[test]
fn what_is_no_object() {
    let (_, rows, _) = objref(&["objects", ZOO]);
    let first = rows.lines().nth(1).unwrap().split('\t').next().unwrap();
    let heap = u64::from_str_radix(&first[2..], 16).unwrap();
    for (what, words) in [
        ("0x10".to_owned(), "the process had no memory there"),
        ("0xfoo".to_owned(), "is no address"),
        ("main.Lef".to_owned(), "there is main.Leaf"),
        (
            "xyzzy".to_owned(),
            "no reachable object's type and no root is called xyzzy",
        ),
        ("main\\.(chains?|chans)".to_owned(), "2 roots match"),
        (format!("{:#x}", heap + 8184), "slots of 1152 B"),
    ] {
        let (status, out, err) = objref(&["why", ZOO, &what]);
        assert_eq!((status, &*out), (3, ""), "{what}");
        assert!(
            err.contains(words) && err.lines().count() == 1,
            "{what}: {err}"
        );
    }
}
