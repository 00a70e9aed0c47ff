//! What other programs read: profiles, graphs, JSON; whole, of committed dumps. What changes in them is to
//! be looked at, and then kept with
//!
//! ```sh
//! INSTA_UPDATE=always cargo test -p objref --test formats
//! ```

#[path = "../../objref-report/tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use support::profile::Profile;
use support::schema::Schema;

/// What it writes for a dump; paths are relative to `fixtures/dumps`.
fn written(name: &str, args: &[&str]) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    let (core, exe) = (format!("{name}.core.zst"), format!("{name}.exe.zst"));
    // What a command is asked about stands behind the core.
    let (about, options): (Vec<&str>, Vec<&str>) =
        args.iter().partition(|arg| arg.starts_with('='));
    let output = Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(options)
        .args([&core, "--exe", &exe])
        .args(about.iter().map(|about| &about[1..]))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?} {name}: {stderr}");
    output.stdout
}

/// Text without what every release changes.
fn normal(text: &[u8]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    String::from_utf8(text.to_vec())
        .unwrap()
        .replace(&format!("objref {version}"), "objref (ours)")
        .replace(
            &format!("\"version\": \"{version}\""),
            "\"version\": \"(ours)\"",
        )
}

const DUMP: &str = "service-1.26.6";

#[test]
fn profiles() {
    let all = Profile::read(&written(DUMP, &["--format", "pprof"]));
    let live: Value =
        serde_json::from_slice(&written(DUMP, &["summary", "--format", "json"])).unwrap();
    for (i, unit) in ["objects", "bytes"].iter().enumerate() {
        let sum: i64 = all.sample.iter().map(|sample| sample.value[i]).sum();
        assert_eq!(live["heap"]["live"][unit], sum);
    }
    let args = ["--format", "pprof", "--max-frames", "25"];
    let profile = Profile::read(&written(DUMP, &args));
    insta::assert_snapshot!(normal(profile.text().as_bytes()));
}

#[test]
fn speedscope() {
    let args = ["--format", "speedscope", "--max-frames", "25"];
    insta::assert_snapshot!(normal(&written(DUMP, &args)));
}

#[test]
fn graphs() {
    insta::assert_snapshot!(normal(&written(DUMP, &["--format", "dot"])));
}

#[test]
fn trees_for_programs() {
    let args = ["--format", "tree-json", "--max-frames", "10"];
    insta::assert_snapshot!(normal(&written(DUMP, &args)));
}

#[test]
fn the_tree_of_dominators() {
    let args = ["--tree", "dominator", "--format", "tree-json"];
    let tree: Value = serde_json::from_slice(&written(DUMP, &args)).unwrap();
    assert_eq!(tree["tree"], "dominator");
    let frames = tree["frames"].as_array().unwrap();
    let own: u64 = frames.iter().filter_map(|f| f["bytes"].as_u64()).sum();
    assert_eq!(frames[0]["total_bytes"], own);
    let profile = Profile::read(&written(
        DUMP,
        &["--tree", "dominator", "--format", "pprof"],
    ));
    assert_eq!(
        profile.sample.iter().map(|s| s.value[1]).sum::<i64>() as u64,
        own
    );
    assert!(profile.text().contains("cum: what would be freed with it"));
}

/// Reports with fields that a part of them and its kind make up together: no part can be closed by itself.
const TAGGED: [&str; 2] = ["why", "object"];

/// The published schema, with no room for fields that it does not describe.
fn schema(name: &str) -> Value {
    fn close(schema: &mut Value) {
        if let Value::Object(fields) = schema {
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), false.into());
            }
            fields.values_mut().for_each(close);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let text = fs::read_to_string(path.join(format!("{name}.json"))).unwrap();
    let mut schema = serde_json::from_str(&text).unwrap();
    if !TAGGED.contains(&name) {
        close(&mut schema);
    }
    schema
}

/// What an argument stands for: `@object` for the address of one, `@type` for a type that every dump has.
fn named(dump: &str, arg: &str) -> String {
    match arg {
        "@type" => "=string".to_owned(),
        "@object" => {
            let listing = String::from_utf8(written(dump, &["objects"])).unwrap();
            let row = listing.lines().find(|row| row.contains("\tmain."));
            format!("={}", row.unwrap().split('\t').next().unwrap())
        }
        arg => arg.to_owned(),
    }
}

#[test]
fn json_is_as_its_schema_says() {
    let commands: [(&str, &[&str]); 13] = [
        ("summary", &["summary", "--format", "json"]),
        ("goroutines", &["goroutines", "--format", "json"]),
        ("goroutines", &["goroutines", "--all", "--format", "json"]),
        ("types", &["types", "--unknown", "--format", "json"]),
        ("verify", &["verify", "--format", "json"]),
        ("tree", &["--format", "tree-json"]),
        ("tree", &["--tree", "dominator", "--format", "tree-json"]),
        ("top", &["top", "--format", "json"]),
        ("top", &["top", "--by", "object", "--format", "json"]),
        ("unfolded", &["tree", "--format", "json"]),
        ("why", &["why", "--format", "json", "@type"]),
        ("why", &["why", "--format", "json", "@object"]),
        (
            "object",
            &["object", "--raw", "--format", "json", "@object"],
        ),
    ];
    for (name, args) in commands {
        let schema = Schema::new(schema(name));
        for dump in [DUMP, "zoo-1.19.13", "goroutines-1.26.6-pie"] {
            let args: Vec<String> = args.iter().map(|arg| named(dump, arg)).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let mut json: Value = serde_json::from_slice(&written(dump, &args)).unwrap();
            if let Err(error) = schema.check(&json) {
                panic!("{args:?} {dump}: {error}");
            }
            // A schema that takes anything would say nothing.
            let version = json["schema_version"].take();
            assert!(schema.check(&json).is_err(), "{name}");
            json["schema_version"] = version;
            json["unheard_of"] = 1.into();
            assert_eq!(
                schema.check(&json).is_err(),
                !TAGGED.contains(&name),
                "{name}"
            );
        }
    }
}
