//! `--memory-limit`: the same bytes come out, and what is large is in a file meanwhile.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn dump(suffix: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    folder.join(format!("goroutines-1.27.3.{suffix}.zst"))
}

/// Runs `objref` with these arguments on a dump.
fn objref(arguments: &[&str], temporary: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(arguments)
        .arg(dump("core"))
        .arg("--exe")
        .arg(dump("exe"))
        .env("TMPDIR", temporary)
        .output()
        .unwrap()
}

/// What `--stats=json` says was spilled.
fn spilled(output: &Output) -> Option<u64> {
    let errors = String::from_utf8_lossy(&output.stderr);
    let stats: serde_json::Value = serde_json::from_str(&errors[errors.find('{')?..]).unwrap();
    stats["spilled_bytes"].as_u64()
}

#[test]
fn the_same_comes_out_with_a_limit() {
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for command in [
        &["--format", "svg"][..],
        &["--format", "svg", "--tree", "dominator"],
        &["types", "--format", "json"],
        &["verify"],
    ] {
        let free = objref(command, temporary.path());
        assert!(free.status.success(), "{command:?}: {free:?}");
        let mut limited = command.to_vec();
        limited.extend(["--stats=json", "--memory-limit", "1 MB"]);
        let limited = objref(&limited, temporary.path());
        assert!(limited.stdout == free.stdout, "{command:?}");
        assert!(spilled(&limited).unwrap() > 1_000_000, "{command:?}");
    }
    // Without a name, the file is gone with the process.
    assert!(
        std::fs::read_dir(temporary.path())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn what_fits_stays_in_memory() {
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let limit = ["summary", "--stats=json", "--memory-limit", "100GiB"];
    let output = objref(&limit, temporary.path());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(spilled(&output), Some(0));
    let none = objref(&["summary", "--stats=json"], temporary.path());
    assert_eq!(spilled(&none), None);
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused() {
    let output = objref(
        &["summary", "--memory-limit", "1GB"],
        Path::new("/nowhere/at/all"),
    );
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("/nowhere/at/all") && errors.contains("TMPDIR"));
    assert_eq!(errors.lines().count(), 1);
    // It would be no limit at all.
    if Path::new("/dev/shm").exists() {
        let output = objref(&["summary", "--memory-limit", "1GB"], Path::new("/dev/shm"));
        assert_eq!(output.status.code(), Some(3));
        assert!(String::from_utf8(output.stderr).unwrap().contains("memory"));
    }
    let output = objref(&["summary", "--memory-limit", "much"], Path::new("/tmp"));
    assert_eq!(output.status.code(), Some(2));
}
