//! Rules held against committed dumps: whole reports in every format, baselines, and what is said of wrong policies.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::{schema, xsd};

const CORE: &str = "service-1.26.6.core.zst";

fn dumps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps")
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A folder with the policies and the dump of the service, so that no report has a path of this machine.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in [CORE, "service-1.26.6.exe.zst"] {
        let dump = fs::canonicalize(dumps().join(name)).unwrap();
        std::os::unix::fs::symlink(dump, dir.path().join(name)).unwrap();
    }
    for name in ["objref.toml", "passes.toml"] {
        fs::copy(tests().join("check").join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn objref(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Status, what it wrote and what it said.
fn check(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let args = [&["check", CORE, "--today", "2026-11-30"], args].concat();
    let output = objref(dir, &args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

/// The text without what every release changes.
fn normal(text: &str) -> String {
    text.replace(
        &format!("ersion\": \"{}\"", env!("CARGO_PKG_VERSION")),
        "ersion\": \"(ours)\"",
    )
}

#[test]
fn all_reports_of_one_run() {
    let dir = folder();
    let args = [
        "--policy",
        "objref.toml",
        "--report",
        "heap.sarif",
        "--report",
        "junit=heap.xml",
        "--report",
        "heap.md",
        "--report",
        "github=annotations",
        "--report",
        "heap.json",
    ];
    let (status, text, said) = check(dir.path(), &args);
    assert_eq!((status, said.as_str()), (1, ""));
    insta::assert_snapshot!("text", text);
    for (name, file) in [
        ("sarif", "heap.sarif"),
        ("junit", "heap.xml"),
        ("markdown", "heap.md"),
        ("github", "annotations"),
        ("json", "heap.json"),
    ] {
        insta::assert_snapshot!(name, normal(&read(dir.path(), file)));
    }
    let log: Value = serde_json::from_str(&read(dir.path(), "heap.sarif")).unwrap();
    let sarif = schema::read(&tests().join("formats_of_others/sarif-schema-2.1.0.json"));
    schema::validate(&sarif, &log).unwrap();
    let report: Value = serde_json::from_str(&read(dir.path(), "heap.json")).unwrap();
    let ours = tests().join("../../../docs/schemas/check.json");
    schema::validate(&schema::read(&ours), &report).unwrap();
    let xsd = xsd::Schema::read(&tests().join("formats_of_others/junit-10.xsd"));
    xsd.validate(&read(dir.path(), "heap.xml")).unwrap();

    // The main report, the same bytes whichever way it is asked for.
    let (_, sarif, _) = check(
        dir.path(),
        &["--policy", "objref.toml", "--format", "sarif"],
    );
    assert!(sarif == read(dir.path(), "heap.sarif"));
    let (_, _, _) = check(dir.path(), &["--policy", "objref.toml", "-o", "again.xml"]);
    assert!(read(dir.path(), "again.xml") == read(dir.path(), "heap.xml"));
}

/// The validators find what is wrong.
#[test]
fn validators_validate() {
    let sarif = schema::read(&tests().join("formats_of_others/sarif-schema-2.1.0.json"));
    assert!(schema::validate(&sarif, &serde_json::json!({"version": "2.1.0"})).is_err());
    let xsd = xsd::Schema::read(&tests().join("formats_of_others/junit-10.xsd"));
    let suite = |inner: &str| {
        format!("<testsuite name='a' tests='1' failures='0' errors='0'>{inner}</testsuite>")
    };
    xsd.validate(&suite(
        "<testcase name='a' time='0.5'><system-out>x</system-out></testcase>",
    ))
    .unwrap();
    for (inner, wrong) in [
        ("<testcase/>", "testcase: no name"),
        (
            "<testcase name='a'><nothing/></testcase>",
            "testcase: nothing in it",
        ),
        (
            "<testcase name='a' colour='b'/>",
            "testcase: attribute colour",
        ),
        ("text", "testsuite: text in it"),
    ] {
        assert_eq!(xsd.validate(&suite(inner)), Err(wrong.to_owned()));
    }
    assert!(
        xsd.validate("<testsuite name='a' tests='1' failures='0' errors='0' time='x'/>")
            .is_err()
    );
}

#[test]
fn an_index_says_the_same_as_its_core() {
    let dir = folder();
    let made = objref(dir.path(), &["index", CORE, "-o", "heap.objref"]);
    assert!(made.status.success());
    let args = [
        "--policy",
        "objref.toml",
        "--format",
        "json",
        "--write-baseline",
    ];
    let (_, of_core, _) = check(dir.path(), &[&args[..], &["core.json"]].concat());
    let line = [
        &["check", "heap.objref", "--today", "2026-11-30"],
        &args[..],
        &["index.json"],
    ]
    .concat();
    let of_index = String::from_utf8(objref(dir.path(), &line).stdout).unwrap();
    assert_eq!(of_core, of_index);
    assert_eq!(
        read(dir.path(), "core.json"),
        read(dir.path(), "index.json")
    );
}

#[test]
fn against_a_baseline() {
    let dir = folder();
    let dir = dir.path();
    let (status, text, _) = check(dir, &["--write-baseline", "before.json"]);
    assert_eq!(status, 0, "{text}");
    insta::assert_snapshot!("baseline", normal(&read(dir, "before.json")));
    let written: Value = serde_json::from_str(&read(dir, "before.json")).unwrap();
    let ours = tests().join("../../../docs/schemas/baseline.json");
    schema::validate(&schema::read(&ours), &written).unwrap();

    // The same heap again, and once more the same bytes.
    let (status, text, _) = check(
        dir,
        &["--baseline", "before.json", "--write-baseline", "b2.json"],
    );
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("0 new, 0 gone"), "{text}");
    assert_eq!(read(dir, "before.json"), read(dir, "b2.json"));

    // One that knows nothing of the sessions, and something that is gone.
    let mut changed = written.clone();
    let ways = changed["signatures"].as_array_mut().unwrap();
    ways.retain(|way| !way["way"].as_str().unwrap().contains("sessions"));
    ways.push(serde_json::json!({
        "signature": "ffffffffffffffff", "way": "main.old › *main.Old", "full": true, "bytes": 1 << 20, "objects": 9,
    }));
    changed["live"]["bytes"] = (1 << 20).into();
    changed["types"]["main.Session"] = serde_json::json!({"bytes": 1440, "objects": 10});
    changed["types"]
        .as_object_mut()
        .unwrap()
        .remove("main.User");
    fs::write(dir.join("changed.json"), changed.to_string()).unwrap();
    let (status, text, _) = check(dir, &["--baseline", "changed.json"]);
    assert_eq!(status, 1, "{text}");
    insta::assert_snapshot!("new_and_gone", text);

    fs::write(
        dir.join("growth.toml"),
        "[[rule]]\nname = \"heap\"\nmax_growth = \"10%\"\n\
         [[rule]]\nname = \"types\"\ntype = '/^main\\./'\nmax_growth = \"10%\"\nignore_below = \"50 KiB\"\n\
         [[rule]]\nname = \"absolute\"\ntype = \"main.Session\"\nmax_growth = \"1 MiB\"\n\
         [[rule]]\nname = \"root\"\nroot = \"main.server\"\nmax_growth = \"1%\"\n\
         [[rule]]\nname = \"goroutines\"\nfunction = \"main.report\"\nmax_growth = 5\n",
    )
    .unwrap();
    let args = ["--baseline", "changed.json", "--policy", "growth.toml"];
    let (status, text, _) = check(dir, &args);
    assert_eq!(status, 1);
    insta::assert_snapshot!("growth", text);

    // Of another program, of another time, of nothing at all.
    let mut other = written.clone();
    other["program"]["name"] = "example.com/cart".into();
    let mut newer = written;
    newer["schema_version"] = 2.into();
    for (name, text, said) in [
        (
            "other.json",
            other.to_string(),
            "other.json: a baseline of example.com/cart, but the dump is of objref.test/service; write one of this \
             program with --write-baseline",
        ),
        (
            "newer.json",
            newer.to_string(),
            "newer.json: a baseline of version 2, this program reads 1; write it again with --write-baseline",
        ),
        (
            "none.json",
            "{}".to_owned(),
            "none.json: no baseline: missing field `schema_version` at line 1 column 2; write one with objref check \
             CORE --write-baseline none.json",
        ),
    ] {
        fs::write(dir.join(name), text).unwrap();
        let (status, out, err) = check(dir, &["--baseline", name, "--report", "x.xml"]);
        assert_eq!((status, out.as_str()), (3, ""));
        assert_eq!(err, format!("objref: {said}\n"));
        assert!(!dir.join("x.xml").exists());
    }
}

#[test]
fn wrong_policies_are_told_before_the_dump_is_opened() {
    let dir = folder();
    fs::write(
        dir.path().join("wrong.toml"),
        "[[rule]]\nname = \"a\"\ntype = \"T\"\n  max_object = 0\n\n[[rule]]\nname = \"b\"\nmax_live = \"1 X\"\n",
    )
    .unwrap();
    let said = "objref: wrong.toml:4:3: unknown key 'max_object', did you mean 'max_objects'?; \
                wrong.toml:8:12: 'max_live' takes a size: \"24 MB\" or \"1.5GiB\"\n";
    for core in [CORE, "no-such-core"] {
        let output = objref(dir.path(), &["check", core, "--policy", "wrong.toml"]);
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said);
    }
    let (status, _, said) = check(dir.path(), &["--policy", "none.toml"]);
    assert_eq!(status, 3);
    assert!(
        said.starts_with("objref: none.toml: the policy cannot be read: "),
        "{said}"
    );
}

#[test]
fn command_lines_that_make_no_sense() {
    let dir = folder();
    for (args, said) in [
        (&[][..], "nothing to check against: give --policy FILE"),
        (
            &["--policy", "passes.toml", "--report", "out"],
            "say in which format",
        ),
        (
            &["--policy", "passes.toml", "--report", "junit="],
            "write where?",
        ),
        (
            &["--policy", "passes.toml", "-o", "x.pdf"],
            "x.pdf: no format has that extension",
        ),
        (
            &["--policy", "passes.toml", "--report", "text=-"],
            "two reports to standard output",
        ),
        (
            &["--policy", "passes.toml", "-o", "a.md", "--report", "a.md"],
            "two reports to a.md",
        ),
    ] {
        let (status, _, err) = check(dir.path(), args);
        assert_eq!(status, 2, "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
    let (status, _, _) = check(dir.path(), &["--today", "tomorrow"]);
    assert_eq!(status, 2);
}

#[test]
fn nothing_is_written_where_it_cannot_be() {
    let dir = folder();
    for option in [
        &["--report", "none/heap.xml"][..],
        &["--write-baseline", "none/heap.json"],
        &["-o", "none/heap.txt"],
    ] {
        let args = [&["--policy", "passes.toml", "--report", "good.md"], option].concat();
        let (status, out, err) = check(dir.path(), &args);
        assert_eq!((status, out.as_str()), (3, ""), "{option:?}");
        assert!(err.contains("cannot be written"), "{err}");
        // Not half of what was asked for either.
        assert!(!dir.path().join("good.md").exists(), "{option:?}");
    }
    let args = [
        "--policy",
        "passes.toml",
        "--report",
        "github=-",
        "-o",
        "/dev/null",
    ];
    let (status, out, _) = check(dir.path(), &args);
    assert_eq!((status, out.as_str()), (0, ""));
}

#[test]
fn suppressions_expire() {
    let dir = folder();
    let policy = "[[rule]]\nname = \"sessions\"\ntype = \"main.Session\"\nmax_objects = 0\n\
                  [[suppress]]\npath = \"/Session/\"\nreason = \"known\"\nexpires = 2026-12-31\n";
    fs::write(dir.path().join("until.toml"), policy).unwrap();
    for (today, status, said) in [
        ("2026-12-31", 0, "exempt: 999 main.Session"),
        ("2027-01-01", 1, "this suppression expired after 2026-12-31"),
    ] {
        let args = ["check", CORE, "--policy", "until.toml", "--today", today];
        let output = objref(dir.path(), &args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(said), "{text}");
    }
}
