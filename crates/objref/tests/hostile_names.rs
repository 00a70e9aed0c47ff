//! A program whose types, fields, functions, variables, labels and files have names that try to be more than text
//! (`scripts/fixturelib/hostile.py`): whatever is written of it is what its format says, and steers no terminal.
//! What other programs say to it, `scripts/check_names.py` knows.

#[path = "../../objref-report/tests/support/profile.rs"]
#[allow(dead_code, reason = "other tests need all of it")]
mod profile;
mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use profile::Profile;
use quick_xml::Reader;
use quick_xml::events::Event;
use regex::Regex;
use serde_json::Value;
use support::{schema, xsd};

/// A name that a user can give to a file.
const FILE: &[u8] = b"<img src=x onerror=ran=1>\"';,:\x1b[31m\n::error::\xff&amp;";
const POLICY: &str = r#"
[signatures]
min_share = "0%"
min_bytes = 0
[[rule]]
name = "<b>`|types\u001b[31m\n::error::said"
type = '/^main\./'
max_objects = 0
[[rule]]
name = "types of others"
type = '/evil/'
max_objects = 0
[[rule]]
name = "variables"
root = '/^main\./'
max_bytes = 0
[[rule]]
name = "paths"
path = '/./'
max_objects = 0
[[rule]]
name = "goroutines"
label = '/./'
max_goroutines = 0
"#;

/// A folder with the dump under a hostile name, and the policy.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new(dump: &str) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        for kind in ["core", "exe"] {
            let file = fs::canonicalize(dumps().join(format!("{dump}.{kind}.zst"))).unwrap();
            std::os::unix::fs::symlink(file, dir.path().join(named(kind))).unwrap();
        }
        fs::write(dir.path().join(named("toml")), POLICY).unwrap();
        Scene(dir)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_objref"));
        for arg in args {
            match *arg {
                "CORE" => command.arg(named("core")).arg("--exe").arg(named("exe")),
                // Another program, to compare with.
                "BOTH" => {
                    let other = |kind| dumps().join(format!("service-1.26.6.{kind}.zst"));
                    command.arg("--force").arg(other("core")).arg(named("core"));
                    command
                        .arg("--exe")
                        .arg(other("exe"))
                        .arg("--exe")
                        .arg(named("exe"))
                }
                "INDEX" => command.arg(named("objref")),
                "POLICY" => command.arg("--policy").arg(named("toml")),
                arg => command.arg(arg),
            };
        }
        command.current_dir(self.0.path()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What it writes; a check that fails is no failure.
    fn write(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{args:?}: {stderr}"
        );
        tame(&stderr);
        String::from_utf8(output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }
}

fn dumps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps")
}

fn named(kind: &str) -> PathBuf {
    let name = [FILE, b".", kind.as_bytes()].concat();
    OsStr::from_bytes(&name).into()
}

fn hostile() -> Scene {
    Scene::new("hostile-1.27.3")
}

/// Nothing in it steers a terminal: no control characters, none that turn the direction of the text.
fn tame(text: &str) {
    for line in text.split('\n') {
        let steers = |c: char| {
            c.is_control() && c != '\t'
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        if let Some(c) = line.chars().find(|c| steers(*c)) {
            panic!("{c:?} in {line:?}");
        }
    }
}

/// `text` without the colours that we ourselves write.
fn without_colours(text: &str) -> String {
    Regex::new("\x1b\\[[0-9;]*m")
        .unwrap()
        .replace_all(text, "")
        .into_owned()
}

/// An object of a type of the program.
fn object(scene: &Scene) -> String {
    let rows = scene.write(&["objects", "CORE"]);
    let row = rows
        .lines()
        .find(|row| row.contains("titl") && row.contains("main."));
    row.unwrap().split('\t').next().unwrap().to_owned()
}

#[test]
fn text_is_nothing_but_text() {
    let scene = hostile();
    let address = object(&scene);
    for (args, names) in [
        (&["summary", "CORE"][..], false),
        (&["types", "CORE"], true),
        (&["types", "--unknown", "CORE"], true),
        (&["goroutines", "CORE"], true),
        (&["goroutines", "--all", "CORE"], true),
        (&["goroutines", "--group-by", "label", "CORE"], true),
        (&["top", "CORE", "-n", "0"], false),
        (&["top", "--by", "type", "CORE", "-n", "0"], true),
        (&["top", "--by", "package", "CORE", "-n", "0"], false),
        (&["top", "--by", "goroutine", "CORE", "-n", "0"], false),
        (&["top", "--by", "object", "CORE", "-n", "0"], true),
        (&["tree", "CORE"], true),
        (&["why", "CORE", "string"], false),
        (&["why", "CORE", &address], true),
        (&["object", "CORE", &address], true),
        (&["object", "--raw", "CORE", &address], true),
        (&["verify", "CORE"], false),
        (&["check", "CORE", "POLICY"], true),
        (&["diff", "BOTH"], true),
        (&["objects", "CORE"], true),
        (&["--format", "folded", "CORE"], true),
    ] {
        let plain = scene.write(args);
        tame(&plain);
        assert_eq!(plain.contains("titl"), names, "{args:?}: {plain}");
        let coloured = scene.write(&[args, &["--color", "always"]].concat());
        tame(&without_colours(&coloured));
    }
}

/// Elements with their attributes.
fn vocabulary(xml: &str) -> BTreeSet<String> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_comments = true;
    let mut words = BTreeSet::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                for attribute in tag.attributes() {
                    let key = attribute.unwrap().key.as_ref().to_vec();
                    words.insert(format!("{name} {}", String::from_utf8(key).unwrap()));
                }
                words.insert(name);
            }
            Event::Eof => return words,
            _ => {}
        }
    }
}

#[test]
fn pictures_have_no_element_but_ours() {
    let (scene, service) = (hostile(), Scene::new("service-1.26.6"));
    for args in [
        &["CORE", "--format", "svg", "--min-width", "0"][..],
        &[
            "CORE",
            "--format",
            "svg",
            "--tree",
            "dominator",
            "--min-width",
            "0",
        ],
        &["diff", "BOTH", "--format", "svg", "--min-width", "0"],
    ] {
        let args = [args, &["--title", "</text><script>alert(1)</script>"]].concat();
        let svg = scene.write(&args);
        assert!(svg.contains("titl"), "{args:?}");
        tame(&svg);
        let known = vocabulary(&service.write(&args));
        let words = vocabulary(&svg);
        assert!(
            words.is_subset(&known),
            "{args:?}: {:?}",
            words.difference(&known)
        );
    }
}

#[test]
fn the_page_has_a_policy_and_two_scripts() {
    let page = hostile().write(&[
        "CORE",
        "--format",
        "html",
        "--title",
        "</title><script>alert(1)</script>",
    ]);
    tame(&page);
    let policy =
        Regex::new(r#"<meta http-equiv="Content-Security-Policy" content="([^"]*)">"#).unwrap();
    let policy = &policy.captures(&page).expect("a policy")[1];
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'sha256-"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe-eval") && !policy.contains('*'),
        "{policy}"
    );
    let scripts = page.to_ascii_lowercase().matches("<script").count();
    assert_eq!((scripts, page.matches("</script>").count()), (2, 2));
    assert!(!page.to_ascii_lowercase().contains("<img") && page.contains("titl"));
}

#[test]
fn json_is_as_its_schema_says() {
    let scene = hostile();
    let address = object(&scene);
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, args) in [
        ("summary", &["summary", "CORE"][..]),
        ("types", &["types", "--unknown", "CORE"]),
        ("goroutines", &["goroutines", "--all", "CORE"]),
        ("top", &["top", "--by", "root", "CORE"]),
        ("unfolded", &["tree", "CORE"]),
        ("why", &["why", "CORE", "string"]),
        ("object", &["object", "CORE", &address]),
        ("verify", &["verify", "CORE"]),
        ("check", &["check", "CORE", "POLICY"]),
        ("diff", &["diff", "BOTH"]),
    ] {
        let text = scene.write(&[args, &["--format", "json"]].concat());
        let json: Value = serde_json::from_str(&text).unwrap();
        let schema = schema::read(&schemas.join(format!("{name}.json")));
        schema::validate(&schema, &json).unwrap_or_else(|error| panic!("{name}: {error}"));
        tame(&text);
    }
    let tree = scene.write(&["CORE", "--format", "tree-json"]);
    let schema = schema::read(&schemas.join("tree.json"));
    schema::validate(&schema, &serde_json::from_str(&tree).unwrap()).unwrap();
    tame(&tree);
    assert!(tree.contains("titl"));
}

#[test]
fn lines_and_columns_are_what_they_seem() {
    let scene = hostile();
    let json: Value =
        serde_json::from_str(&scene.write(&["summary", "CORE", "--format", "json"])).unwrap();
    let live = |unit: &str| json["heap"]["live"][unit].as_u64().unwrap();

    let folded = scene.write(&["CORE", "--format", "folded", "--min-width", "0"]);
    let counts = folded
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
    assert_eq!(counts.sum::<u64>(), live("bytes"));

    let rows = scene.write(&["objects", "CORE"]);
    let mut rows = rows.lines().map(|row| row.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let mut count = 0;
    for row in rows {
        assert_eq!(row.len(), header.len(), "{row:?}");
        assert!(row[0].starts_with("0x"), "{row:?}");
        count += 1;
    }
    assert_eq!(count, live("objects"));
}

#[test]
fn profiles_are_read() {
    let scene = hostile();
    let output = scene.run(&["CORE", "--format", "pprof"]);
    let profile = Profile::read(&output.stdout);
    profile.string_table.iter().for_each(|name| tame(name));
    assert!(
        profile
            .string_table
            .iter()
            .any(|name| name.contains("titl"))
    );

    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../objref-report/tests/speedscope/file-format-schema.json");
    let text = scene.write(&["CORE", "--format", "speedscope"]);
    schema::validate(
        &schema::read(&schema),
        &serde_json::from_str(&text).unwrap(),
    )
    .unwrap();
    tame(&text);
    assert!(text.contains("titl"));
}

#[test]
fn reports_of_a_check_are_what_their_formats_say() {
    let scene = hostile();
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats_of_others");
    let report = |format: &str| {
        let report = scene.write(&["check", "CORE", "POLICY", "--format", format]);
        assert!(report.contains("titl"), "{report}");
        tame(&report);
        report
    };
    let junit = xsd::Schema::read(&formats.join("junit-10.xsd"));
    junit.validate(&report("junit")).unwrap();

    let sarif = schema::read(&formats.join("sarif-schema-2.1.0.json"));
    schema::validate(&sarif, &serde_json::from_str(&report("sarif")).unwrap()).unwrap();

    let annotation =
        Regex::new(r"^::(error|warning) ([a-z]+=[^:,]*)(,[a-z]+=[^:,]*)*::.*$").unwrap();
    let github = report("github");
    assert_eq!(github.lines().count(), 5, "{github}");
    for line in github.lines() {
        assert!(annotation.is_match(line), "{line}");
    }

    // A line of Markdown without what stands in code and what is escaped.
    let code = Regex::new(r"```.*?```|`[^`\n]*`|\\.").unwrap();
    let markdown = report("markdown").replace('\n', "\u{b6}");
    let markdown = code.replace_all(&markdown, "");
    for tag in ["<script", "<img", "<svg", "](j", "<b>"] {
        assert!(!markdown.contains(tag), "{tag}: {markdown}");
    }
}

#[test]
fn an_index_has_the_same_names() {
    let scene = hostile();
    scene.write(&["index", "CORE", "-o", "INDEX"]);
    for args in [
        &["types"][..],
        &["goroutines", "--all"],
        &["--format", "folded"],
        &["top", "-n", "0"],
    ] {
        let from_core = scene.write(&[args, &["CORE"]].concat());
        assert_eq!(
            scene.write(&[args, &["INDEX"]].concat()),
            from_core,
            "{args:?}"
        );
    }
}
