//! Cores that come through a pipe: as the kernel hands them to a `core_pattern` with `|`, without holes.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn dump(kind: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    folder.join(format!("service-1.26.6.{kind}.zst"))
}

fn objref(core: &Path, stdin: Stdio) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(["summary", "--format", "json"])
        .args([core, &dump("exe")])
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What it says about bytes that come through a pipe.
fn piped(bytes: &[u8]) -> Output {
    let mut child = objref("/dev/stdin".as_ref(), Stdio::piped());
    // It reads all of them before it writes anything.
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

/// A report but for the name of the core.
fn report(output: Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["core"]["path"] = Value::Null;
    report
}

#[test]
fn the_report_is_that_of_the_file() {
    let from_file = report(
        objref(&dump("core"), Stdio::null())
            .wait_with_output()
            .unwrap(),
    );
    let core = objref_mem::Input::open(&dump("core")).unwrap();
    assert_eq!(report(piped(core.bytes())), from_file);
    // Compressed on the way, as with systemd, and as what the shell redirects.
    let packed = std::fs::read(dump("core")).unwrap();
    assert_eq!(report(piped(&packed)), from_file);
    let redirected = Stdio::from(File::open(dump("core")).unwrap());
    let redirected = objref("/dev/stdin".as_ref(), redirected);
    assert_eq!(report(redirected.wait_with_output().unwrap()), from_file);
}

/// Whoever reads the pipe first takes no more than he has been told: `head -c`.
#[test]
fn what_was_cut_off_on_the_way_is_stated() {
    let core = objref_mem::Input::open(&dump("core")).unwrap();
    let bytes = core.bytes();
    for percent in [30, 60, 90] {
        let part = &bytes[..bytes.len() * percent / 100];
        let report = report(piped(part));
        let missing = report["core"]["missing_bytes"].as_u64().unwrap();
        assert_eq!(missing, (bytes.len() - part.len()) as u64, "{percent} %");
        let said = report["diagnostics"].as_array().unwrap().iter();
        let said: Vec<_> = said.filter(|d| d["code"] == "core.truncated").collect();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0]["count"].as_u64(), Some(missing));
    }
    // Nothing at all, and too little.
    for part in [&[][..], &bytes[..4096]] {
        let output = piped(part);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
