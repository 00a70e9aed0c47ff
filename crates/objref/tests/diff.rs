//! `objref diff`: pairs of the committed dumps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn fixture(name: &str) -> String {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    dumps.join(name).to_str().unwrap().to_owned()
}

fn objref(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .output()
        .unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = objref(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The core and the binary of a dump.
fn dump(name: &str) -> (String, String) {
    let exe = name.trim_end_matches("-gcore");
    (
        fixture(&format!("{name}.core.zst")),
        fixture(&format!("{exe}.exe.zst")),
    )
}

fn diff(old: &str, new: &str, more: &[&str]) -> Value {
    let ((old, old_exe), (new, new_exe)) = (dump(old), dump(new));
    let mut args = vec!["diff", &old, &new, "--exe", &old_exe, "--exe", &new_exe];
    args.extend(["--format", "json"]);
    args.extend(more);
    serde_json::from_str(&stdout(&args)).unwrap()
}

fn relation(report: &Value) -> (&str, &str) {
    let step = &report["steps"][0];
    (
        step["relation"].as_str().unwrap(),
        step["sureness"].as_str().unwrap(),
    )
}

/// Every table adds up to the growth of the whole.
fn adds_up(report: &Value) {
    for table in ["types", "roots", "paths"] {
        let table = &report[table];
        for unit in ["bytes", "objects"] {
            let rows = table["rows"].as_array().unwrap().iter();
            let sum: i64 = rows.map(|row| row["growth"][unit].as_i64().unwrap()).sum();
            let rest = ["left_out_growth", "not_listed_growth"]
                .map(|rest| table[rest][unit].as_i64().unwrap());
            assert_eq!(
                sum + rest[0] + rest[1],
                report["growth"][unit].as_i64().unwrap()
            );
        }
    }
}

#[test]
fn a_dump_and_itself() {
    for name in ["zoo-1.26.6", "zoo-1.26.6-stripped", "goroutines-1.26.6-pie"] {
        let report = diff(name, name, &["-q"]);
        let sure = if name.ends_with("stripped") {
            "likely"
        } else {
            "certain"
        };
        assert_eq!(relation(&report), ("same_process", sure), "{name}");
        for table in ["types", "roots", "paths"] {
            assert_eq!(report[table]["rows"].as_array().unwrap().len(), 0, "{name}");
        }
        assert_eq!(report["goroutines"]["groups"].as_array().unwrap().len(), 0);
        assert_eq!(
            report["fates"]["survived"],
            report["dumps"][0]["heap"]["live"]
        );
        adds_up(&report);
    }
}

#[test]
fn two_runs_of_one_build() {
    let report = diff("zoo-1.26.6", "zoo-1.26.6-gcore", &[]);
    assert_eq!(relation(&report), ("other_process", "certain"));
    assert!(report["fates"].is_null());
    adds_up(&report);
    let told = diff("zoo-1.26.6", "zoo-1.26.6-gcore", &["--same-process"]);
    assert_eq!(relation(&told), ("same_process", "told"));
    assert!(!told["fates"].is_null());
    let told = diff("zoo-1.26.6", "zoo-1.26.6", &["--no-same-process"]);
    assert_eq!(relation(&told), ("other_process", "told"));
    assert!(told["fates"].is_null());
}

#[test]
fn two_builds_of_one_program() {
    let there = diff("zoo-1.25.5", "zoo-1.27.3", &[]);
    assert_eq!(relation(&there), ("other_build", "certain"));
    adds_up(&there);
    let back = diff("zoo-1.27.3", "zoo-1.25.5", &[]);
    for table in ["types", "roots", "paths"] {
        let rows = |report: &Value, sign: i64| -> Vec<(String, i64)> {
            let rows = report[table]["rows"].as_array().unwrap().iter();
            rows.map(|row| {
                (
                    row["path"].to_string(),
                    sign * row["growth"]["bytes"].as_i64().unwrap(),
                )
            })
            .collect()
        };
        assert_eq!(rows(&there, 1), rows(&back, -1));
        assert!(!rows(&there, 1).is_empty());
    }
}

#[test]
fn different_programs_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("diff.svg");
    fs::write(&out, "kept").unwrap();
    let ((old, old_exe), (new, new_exe)) = (dump("zoo-1.26.6"), dump("service-1.26.6"));
    let args = [
        "diff",
        &old,
        &new,
        "--exe",
        &old_exe,
        "--exe",
        &new_exe,
        "-o",
        out.to_str().unwrap(),
    ];
    let output = objref(&args);
    assert_eq!(output.status.code(), Some(3));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("objref.test/zoo") && stderr.contains("objref.test/service"),
        "{stderr}"
    );
    assert!(
        stderr.contains("--force") && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "kept");
    let report = diff("zoo-1.26.6", "service-1.26.6", &["--force"]);
    assert_eq!(relation(&report), ("other_program", "certain"));
    adds_up(&report);
}

#[test]
fn an_index_does_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let index = |name: &str, redact: bool| -> PathBuf {
        let (core, exe) = dump(name);
        let path = dir.path().join(format!("{name}.objref"));
        let mut args = vec!["index", &core, "--exe", &exe, "-o", path.to_str().unwrap()];
        args.extend(redact.then_some("--redact"));
        stdout(&args);
        path
    };
    let (old, new) = (index("zoo-1.25.5", false), index("zoo-1.27.3", false));
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let ((old_core, old_exe), (new_core, new_exe)) = (dump("zoo-1.25.5"), dump("zoo-1.27.3"));
    let expected = stdout(&[
        "diff", &old_core, &new_core, "--exe", &old_exe, "--exe", &new_exe,
    ]);
    assert_eq!(stdout(&["diff", old, new]), expected);
    assert_eq!(stdout(&["diff", old, new, "--threads", "1"]), expected);
    assert_eq!(
        stdout(&["diff", old, &new_core, "--exe", &new_exe]),
        expected
    );
    assert_eq!(
        stdout(&["diff", &old_core, new, "--exe", &old_exe]),
        expected
    );
    // Who ran what where is left out, what tells processes apart is not.
    let redacted = index("zoo-1.26.6", true);
    let (core, exe) = dump("zoo-1.26.6");
    let report = stdout(&[
        "diff",
        redacted.to_str().unwrap(),
        &core,
        "--exe",
        &exe,
        "--format",
        "json",
    ]);
    assert_eq!(
        relation(&serde_json::from_str(&report).unwrap()),
        ("same_process", "certain")
    );
}

#[test]
fn command_lines_that_make_no_sense() {
    let ((a, exe), (b, _)) = (dump("zoo-1.26.6"), dump("zoo-1.26.6-gcore"));
    for args in [
        &["diff", &a][..],
        &["diff", &a, &b, "--exe", &exe, "--exe", &exe, "--exe", &exe],
        &["diff", &a, &b, "--exe", &exe, "-o", "x.html"],
        &["diff", &a, &b, "--exe", &exe, "--format", "html"],
    ] {
        assert_eq!(objref(args).status.code(), Some(2), "{args:?}");
    }
    for args in [
        &["diff", &a, &exe, "--exe", &exe][..],
        &["diff", &a, "/nonexistent", "--exe", &exe],
        &["diff", &a, &b, "--exe", &exe, "-o", "/nonexistent/x.svg"],
        &["diff", &a, &dump("zoo-1.27.3").0, "--exe", &exe],
    ] {
        let output = objref(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn whole_outputs() {
    let run = |format: &str, n: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_objref"))
            .args([
                "diff",
                "zoo-1.25.5.core.zst",
                "zoo-1.27.3.core.zst",
                "--exe",
                "zoo-1.25.5.exe.zst",
            ])
            .args([
                "--exe",
                "zoo-1.27.3.exe.zst",
                "--format",
                format,
                "-n",
                n,
                "--min-width",
                "0.5",
            ])
            .current_dir(fixture(""))
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    insta::assert_snapshot!("diff.txt", run("text", "10"));
    insta::assert_snapshot!("diff.folded", run("folded", "0"));
    assert_eq!(run("svg", "0"), run("svg", "0"));
}
