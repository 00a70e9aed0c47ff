//! The program as a user meets it: what it says when it cannot do what was asked, and its status.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn objref(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The status and the one line on standard error.
fn failure(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = objref(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty(), "{args:?}");
    let line = stderr
        .strip_suffix('\n')
        .unwrap_or_else(|| panic!("{args:?}: {stderr}"));
    assert!(!line.contains('\n'), "{args:?}: {stderr}");
    (output.status.code().unwrap(), line.to_owned())
}

/// Headers of an ELF file of type `kind` for amd64, with nothing behind them.
fn elf(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = kind;
    bytes[18] = 62;
    bytes[20] = 1;
    bytes[52] = 64;
    bytes[54] = 56;
    bytes
}

#[test]
fn input_that_cannot_be_used_is_status_3() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("text"), "not ELF at all").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::write(dir.join("exe"), elf(2)).unwrap();
    fs::write(dir.join("core"), elf(4)).unwrap();
    fs::write(dir.join("core2"), elf(4)).unwrap();
    fs::write(dir.join("bad.zst"), b"\x28\xb5\x2f\xfd not really").unwrap();

    for (args, expected) in [
        (&["gone"][..], "gone: No such file or directory"),
        (&["."], ".: not a regular file"),
        (&["text"], "text: "),
        (&["empty"], "empty: "),
        (&["bad.zst"], "bad.zst: "),
        (
            &["exe"],
            "exe: an executable, not a core; name the core: objref CORE --exe exe",
        ),
        (&["summary", "exe"], "exe: an executable, not a core"),
        (&["objects", "exe"], "exe: an executable, not a core"),
        (&["core", "core2"], "core, core2: both are cores"),
        (
            &["core", "--exe", "gone"],
            "gone: No such file or directory",
        ),
        (
            &["core"],
            "core: does not say which binary it is of; name it: --exe BIN",
        ),
    ] {
        let (status, line) = failure(dir, args);
        assert_eq!(status, 3, "{args:?}: {line}");
        let expected = format!("objref: {expected}");
        assert!(line.starts_with(&expected), "{args:?}: {line}");
    }
}

#[test]
fn output_that_cannot_be_written_is_known_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let (status, line) = failure(dir.path(), &["gone", "-o", "no/such/dir/ref.svg"]);
    assert_eq!(status, 3);
    let what = "no/such/dir/ref.svg: cannot be written: entity not found";
    assert_eq!(
        line,
        format!("objref: {what}; choose another place with -o")
    );
}

#[test]
fn a_failure_leaves_files_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("ref.svg");
    fs::write(&old, "old").unwrap();
    failure(dir.path(), &["gone", "-o", "ref.svg"]);
    assert_eq!(fs::read(&old).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_command_line_without_sense_is_status_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["core", "-o", "ref.png"][..],
        &["summary", "core", "-o", "ref.svg"],
        &["core", "bin", "--exe", "other"],
        &["-v", "summary", "core"],
    ] {
        let (status, line) = failure(dir.path(), args);
        assert_eq!(status, 2, "{args:?}: {line}");
    }
    for args in [
        &[][..],
        &["--no-such-option"],
        &["summary"],
        &["a", "b", "c"],
    ] {
        assert_eq!(objref(dir.path(), args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["--help"][..],
        &["-h"],
        &["summary", "--help"],
        &["--version"],
    ] {
        let output = objref(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            output.stderr.is_empty() && !output.stdout.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn stats_say_what_each_phase_cost() {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    let dump = ["service-1.26.6.core.zst", "--exe", "service-1.26.6.exe.zst"];
    let run = |stats: &str| {
        let mut args = vec!["summary"];
        args.extend(dump);
        args.push(stats);
        let output = objref(&dumps, &args);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let stats: serde_json::Value = serde_json::from_str(&run("--stats=json")).unwrap();
    let phases = stats["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|p| p["name"].as_str().unwrap()).collect();
    for name in ["binary", "heap", "roots", "graph", "names", "add up"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let sum = |what: &str| {
        phases
            .iter()
            .map(|p| p[what].as_f64().unwrap())
            .sum::<f64>()
    };
    assert!(sum("wall_seconds") <= stats["all"]["wall_seconds"].as_f64().unwrap());
    assert!(stats["objects"].as_u64().unwrap() > 30_000);
    assert!(stats["all"]["anonymous_peak_bytes"].as_u64().unwrap() > 100_000);

    let text = run("--stats");
    for name in names {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
}
