//! One object and what is in it, on the committed dumps.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ZOO: &str = "zoo-1.27.3.core.zst";
const OLD: &str = "zoo-1.19.13.core.zst";
const SERVICE: &str = "service-1.26.6.core.zst";

fn objref(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

fn object(args: &[&str]) -> String {
    let (status, out, err) = objref(&[&["object"], args].concat());
    assert_eq!((status, &*err), (0, ""), "{args:?}");
    out
}

fn json(args: &[&str]) -> Value {
    let (status, out, err) = objref(&[args, &["--format", "json"]].concat());
    assert_eq!((status, &*err), (0, ""), "{args:?}");
    serde_json::from_str(&out).unwrap()
}

fn hex(step: &Value) -> String {
    format!("{:#x}", step["address"].as_u64().unwrap())
}

/// The object that a root refers to in these words.
fn held(core: &str, root: &str, words: &str) -> String {
    let found = json(&["why", core, root]);
    let references = found["answer"]["references"].as_array().unwrap().clone();
    let is = |step: &&Value| step["text"].as_str().unwrap().starts_with(words);
    hex(references
        .iter()
        .find(is)
        .unwrap_or_else(|| panic!("{words}")))
}

/// The first object of a type.
fn first(core: &str, name: &str) -> String {
    let found = json(&["why", core, name]);
    let example = &found["answer"]["groups"][0]["example"]["steps"];
    hex(example.as_array().unwrap().last().unwrap())
}

#[test]
fn whole_outputs() {
    for (name, core, at) in [
        ("session", SERVICE, first(SERVICE, "main.Session")),
        ("map", SERVICE, first(SERVICE, "map[string][]*main.Session")),
        ("boxes", ZOO, held(ZOO, "main.boxes", "[]interface")),
        ("old-boxes", OLD, held(OLD, "main.boxes", "[]interface")),
        ("old-map", OLD, held(OLD, "main.maps", "Ifaces")),
        ("new-map", ZOO, held(ZOO, "main.maps", "Ifaces")),
        ("channel", ZOO, held(ZOO, "main.chans", "Structs")),
    ] {
        let text = object(&[core, &at, "-n", "25", "--depth", "3"]);
        insta::assert_snapshot!(name, text);
    }
    let leaf = first(ZOO, "main.Leaf");
    insta::assert_snapshot!("raw", object(&[ZOO, &leaf, "--raw"]));
}

/// Every entry of a map is found once, whatever its layout.
#[test]
fn maps_have_as_many_entries_as_they_say() {
    for core in [ZOO, OLD] {
        for name in [
            "Large", "Growing", "Deleted", "Structs", "Ifaces", "BigBoth", "Ints",
        ] {
            let at = held(core, "main.maps", name);
            let found = json(&["object", core, &at, "-n", "5000"]);
            let value = &found["value"];
            assert_eq!(value["kind"], "map", "{core} {name}");
            let entries = value["entries"].as_array().unwrap();
            assert_eq!(
                value["len"].as_u64().unwrap(),
                entries.len() as u64,
                "{core} {name}"
            );
            let keys: std::collections::BTreeSet<String> =
                entries.iter().map(|entry| entry[0].to_string()).collect();
            assert_eq!(keys.len(), entries.len(), "{core} {name}: keys differ");
        }
    }
}

#[test]
fn an_index_knows_all_but_values() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("x.objref");
    let index = index.to_str().unwrap();
    assert_eq!(objref(&["index", ZOO, "-o", index]).0, 0);
    let at = held(ZOO, "main.maps", "Large");
    let whole = json(&["object", ZOO, &at]);
    let mut alone = json(&["object", index, &at]);
    assert_eq!(
        (&alone["value"], &alone["has_values"]),
        (&Value::Null, &Value::Bool(false))
    );
    assert!(object(&[index, &at]).contains("an index has none: give the core, too"));
    alone["value"] = whole["value"].clone();
    alone["has_values"] = Value::Bool(true);
    assert_eq!(alone, whole);
    // With the core beside it, it knows these, too.
    assert_eq!(json(&["object", ZOO, index, &at]), whole);
}

#[test]
fn what_is_no_object() {
    for (what, status, words) in [
        ("0x10", 3, "the process had no memory there"),
        ("main.Leaf", 2, "give an address"),
    ] {
        let (got, out, err) = objref(&["object", ZOO, what]);
        assert_eq!(
            (got, &*out, err.lines().count()),
            (status, "", 1),
            "{what}: {err}"
        );
        assert!(err.contains(words), "{err}");
    }
}
