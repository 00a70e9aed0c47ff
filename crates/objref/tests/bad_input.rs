//! What is said, and done, when a dump or its binary is not what it should be: real dumps, cut and damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use objref_synth::{CoreBuilder, ImageBuilder, R, RW, RX, auxv, mapped_files, prstatus};

/// `$OBJREF_DUMPS`, for a run on others.
fn folder() -> PathBuf {
    match std::env::var_os("OBJREF_DUMPS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"),
    }
}

fn start(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_objref"));
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command
}

fn objref(dir: &Path, args: &[&str]) -> Output {
    start(dir, args).output().unwrap()
}

/// The one line that it fails with, status 3.
fn failure(dir: &Path, args: &[&str]) -> String {
    let output = objref(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    stderr
}

/// What it writes, and what it says while it does.
fn success(dir: &Path, args: &[&str]) -> (String, String) {
    let output = objref(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

/// A directory with the decompressed core and binary of a real program.
struct Real {
    dir: tempfile::TempDir,
    core: Vec<u8>,
    exe: Vec<u8>,
}

impl Real {
    /// A dump of the zoo as `core`, its binary as `exe`.
    fn zoo() -> Real {
        let mut names: Vec<_> = folder()
            .read_dir()
            .expect("fixtures/dumps; scripts/make_fixtures.py makes it")
            .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
            .filter(|name| name.starts_with("zoo") && name.ends_with(".exe.zst"))
            .filter(|name| !name.contains("stripped"))
            .collect();
        names.sort();
        let exe = folder().join(names.last().expect("a dump of the zoo"));
        let core = exe.to_str().unwrap().replace(".exe.zst", ".core.zst");
        let bytes = |path: &Path| objref_mem::Input::open(path).unwrap().bytes().to_vec();
        let real = Real {
            dir: tempfile::tempdir().unwrap(),
            core: bytes(core.as_ref()),
            exe: bytes(&exe),
        };
        real.write("core", &real.core);
        real.write("exe", &real.exe);
        real
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    fn write_cut(&self, name: &str, len: usize) {
        self.write(name, &self.core[..len]);
    }
}

/// A small program that is not written in Go: its binary and its core.
fn foreign() -> (Vec<u8>, Vec<u8>) {
    let code = [0xf4; 100];
    let image = ImageBuilder::executable(0x40_1000)
        .headers(0x40_0000)
        .segment(0x40_1000, RX, &code, 100)
        .symbol("main", 0x40_1000, 10, 2)
        .section(".comment", 1, 0, b"GCC: (GNU) 14.2.0\0")
        .build();
    let core = CoreBuilder::new()
        .note(prstatus(77, 11, &[0; 27]))
        .note(auxv(&[(3, 0x40_0040), (4, 56), (5, 2), (9, 0x40_1000)]))
        .note(mapped_files(&[
            (0x40_0000, 0x40_1000, 0, "/usr/bin/other"),
            (0x40_1000, 0x40_2000, 4096, "/usr/bin/other"),
        ]))
        .segment(0x40_0000, R, &image[..4096])
        .partial(0x40_1000, RX, [], 4096)
        .segment(0x7ff0_0000_0000, RW, [0; 8192])
        .build();
    (core, image)
}

#[test]
fn a_program_that_is_not_go() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (core, image) = foreign();
    fs::write(dir.join("core"), core).unwrap();
    fs::write(dir.join("other"), image).unwrap();
    for args in [
        &["core", "--exe", "other"][..],
        &["core", "--exe", "other", "--force"],
        // Found beside the core.
        &["core"],
        &["summary", "core", "other"],
        &["objects", "core", "other"],
    ] {
        let line = failure(dir, args);
        assert!(
            line.contains("other is not a Go program"),
            "{args:?}: {line}"
        );
    }
}

#[test]
fn other_architectures() {
    let dir = tempfile::tempdir().unwrap();
    let (_, image) = foreign();
    fs::write(dir.path().join("exe"), image).unwrap();
    // With a row in the table of architectures, and without; a header and nothing else.
    for (class, order, machine, name) in [
        (1, 1, [3, 0], "386"),
        (2, 2, [0, 22], "s390x"),
        (2, 1, [243, 0], "riscv64"),
    ] {
        let mut core = vec![0; 64];
        core[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order, 1]);
        core[16..18].copy_from_slice(if order == 1 { &[4, 0] } else { &[0, 4] });
        core[18..20].copy_from_slice(&machine);
        fs::write(dir.path().join("core"), core).unwrap();
        let line = format!("objref: core: linux/{name} cores are not supported yet\n");
        assert_eq!(failure(dir.path(), &["core"]), line);
        assert_eq!(
            failure(dir.path(), &["verify", "core", "--exe", "exe"]),
            line
        );
    }
}

#[test]
fn a_go_program_and_one_that_is_not() {
    let real = Real::zoo();
    let (core, image) = foreign();
    real.write("c.core", &core);
    real.write("c.exe", &image);
    let dir = real.path();
    let line = failure(dir, &["core", "--exe", "c.exe", "--force"]);
    assert!(line.contains("c.exe is not a Go program"), "{line}");
    failure(dir, &["core", "--exe", "c.exe"]);
    failure(dir, &["c.core", "--exe", "exe"]);
    failure(dir, &["c.core", "--exe", "exe", "--force"]);
}

#[test]
fn two_cores_two_binaries() {
    let real = Real::zoo();
    let dir = real.path();
    let line = failure(dir, &["core", "core"]);
    assert!(line.contains("both are cores"), "{line}");
    let line = failure(dir, &["exe", "exe"]);
    assert!(line.contains("objref CORE --exe exe"), "{line}");
}

#[test]
fn cut_anywhere() {
    let real = Real::zoo();
    let (dir, len) = (real.path(), real.core.len());
    let (whole, _) = success(dir, &["summary", "core", "exe", "--format", "json"]);
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let live = |json: &serde_json::Value| json.pointer("/heap/live/bytes").unwrap().as_u64();
    for keep in [
        len / 10,
        len / 4,
        len / 2,
        len / 4 * 3,
        len / 10 * 9,
        len / 100 * 97,
        len / 100 * 99,
        len - 4096,
        len - 1,
    ] {
        real.write_cut("cut", keep);
        let output = objref(dir, &["summary", "cut", "exe", "--format", "json"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(0) {
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let missing = json.pointer("/core/missing_bytes").unwrap().as_u64();
            assert!(missing > Some(0), "{keep} of {len}");
            assert!(live(&json) <= live(&whole), "{keep} of {len}");
            let codes = json["diagnostics"].as_array().unwrap();
            assert!(
                codes.iter().any(|d| d["code"] == "core.truncated"),
                "{keep} of {len}"
            );
            // The same in every form.
            let said = "bytes that the dump promises are beyond its end";
            for format in ["svg", "folded", "tsv"] {
                let (_, stderr) = success(dir, &["cut", "exe", "--format", format]);
                assert!(stderr.contains(said), "{format}: {stderr}");
            }
            let (text, _) = success(dir, &["summary", "cut", "exe"]);
            assert!(text.contains("the core is cut short"), "{text}");
        } else {
            assert_eq!(output.status.code(), Some(3), "{keep} of {len}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(
                stderr.contains("cut short") && stderr.contains("bytes are missing"),
                "{stderr}"
            );
        }
    }
}

#[test]
fn cut_in_the_headers_and_notes() {
    let real = Real::zoo();
    let dir = real.path();
    for keep in [3, 4, 20, 63, 64, 100, 1000, 5000, 20_000] {
        real.write_cut("cut", keep);
        let line = failure(dir, &["cut", "--exe", "exe"]);
        let said = ["truncated", "cut short", "not an ELF file"];
        assert!(said.iter().any(|s| line.contains(s)), "{keep}: {line}");
    }
}

#[test]
fn holes() {
    let real = Real::zoo();
    let (dir, len) = (real.path(), real.core.len());
    for (from, to) in [
        (len / 4, len / 2),
        (len / 2, len - 5000),
        (len / 50, len),
        (len - 900_000, len),
    ] {
        let mut core = real.core.clone();
        core[from..to].fill(0);
        real.write("holes", &core);
        let output = objref(dir, &["summary", "holes", "exe"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{from}..{to}: {stderr}"
        );
        assert!(stderr.lines().count() <= 1, "{stderr}");
    }
    // Nothing is left of the heap: no picture, and no success either.
    let mut core = real.core.clone();
    core[len / 50..].fill(0);
    real.write("holes", &core);
    let output = objref(dir, &["holes", "exe", "-o", "ref.svg"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(!dir.join("ref.svg").exists());
}

#[test]
fn damaged_compression() {
    let real = Real::zoo();
    let dir = real.path();
    let gzip = |bytes: &[u8]| {
        let mut out = Vec::new();
        let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
        std::io::Read::read_to_end(&mut encoder, &mut out).unwrap();
        out
    };
    let (core, exe) = (gzip(&real.core), gzip(&real.exe));
    real.write("core.gz", &core);
    real.write("exe.gz", &exe);
    let (whole, stderr) = success(dir, &["core.gz", "exe.gz", "--format", "folded"]);
    assert!(!whole.is_empty() && stderr.is_empty(), "{stderr}");
    // The heap lies low, and its records lie high.
    real.write("half.gz", &core[..core.len() / 2]);
    let (_, stderr) = success(dir, &["half.gz", "--exe", "exe", "--format", "folded"]);
    for code in ["[core.decompress]", "[heap.lost-records]", "[live.guessed]"] {
        assert!(stderr.contains(code), "{code}: {stderr}");
    }
    // No more than the headers.
    real.write("start.gz", &core[..4000]);
    let line = failure(dir, &["start.gz", "--exe", "exe"]);
    assert!(
        line.contains("start.gz: cannot be decompressed to its end"),
        "{line}"
    );
    // Everything but the checksum at the end.
    real.write("nearly.gz", &core[..core.len() - 6]);
    for format in ["svg", "folded", "tsv"] {
        let (_, stderr) = success(dir, &["nearly.gz", "exe", "--format", format]);
        assert!(stderr.contains("[core.decompress]"), "{format}: {stderr}");
    }
    let (json, _) = success(dir, &["summary", "nearly.gz", "exe", "--format", "json"]);
    assert!(json.contains("core.decompress"), "{json}");
    let (text, _) = success(dir, &["summary", "nearly.gz", "exe"]);
    assert!(text.contains("decompressed"), "{text}");
    real.write("half.exe.gz", &exe[..exe.len() / 2]);
    failure(dir, &["core", "--exe", "half.exe.gz"]);
    for garbage in [
        &b"\x28\xb5\x2f\xfd"[..],
        b"\x1f\x8b\x08\0\0\0\0\0",
        b"\x04\x22\x4d\x18",
        b"\xfd7zXZ\0",
    ] {
        let mut bytes = garbage.to_vec();
        bytes.extend((0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8));
        real.write("garbage", &bytes);
        let line = failure(dir, &["garbage", "--exe", "exe"]);
        assert!(line.contains("cannot decompress as"), "{line}");
        assert!(!line.contains("Error("), "{line}");
    }
}

#[test]
fn a_binary_cut_short() {
    let real = Real::zoo();
    let dir = real.path();
    for part in [10, 30, 60, 90, 99] {
        real.write("cut.exe", &real.exe[..real.exe.len() * part / 100]);
        let output = objref(dir, &["summary", "core", "cut.exe"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let all = stderr + &String::from_utf8(output.stdout).unwrap();
        assert!(
            matches!(output.status.code(), Some(0 | 3)),
            "{part} %: {all}"
        );
        assert!(
            all.contains("cut short") || all.contains("truncated"),
            "{part} %: {all}"
        );
    }
}

#[test]
fn the_wrong_binary_by_force_is_told_with_the_numbers() {
    let real = Real::zoo();
    let dir = real.path();
    // The same program as if built again: only its build ids differ.
    let mut other = real.exe.clone();
    let mut changed = 0;
    for at in 0..other.len() - 20 {
        // {name length 4, ..., name}: "GNU\0" of a note of kind 3, "Go\0\0" of one of kind 4
        if (&other[at..at + 8] == b"\x03\0\0\0GNU\0") || (&other[at..at + 8] == b"\x04\0\0\0Go\0\0")
        {
            other[at + 9] ^= 1;
            changed += 1;
        }
    }
    assert!(changed > 0);
    real.write("other", &other);
    let line = failure(dir, &["core", "--exe", "other"]);
    assert!(
        line.matches("uild id").count() >= 2 && line.contains("--force"),
        "{line}"
    );
    let (_, stderr) = success(dir, &["core", "--exe", "other", "--force"]);
    assert!(stderr.contains("[binary.other-build]"), "{stderr}");
    let (json, _) = success(
        dir,
        &["summary", "core", "other", "--force", "--format", "json"],
    );
    assert!(json.contains("binary.other-build"), "{json}");
}

#[test]
fn nothing_is_overwritten_and_nothing_left_behind() {
    let real = Real::zoo();
    let dir = real.path();
    real.write_cut("cut", 5000);
    real.write("ref.svg", b"precious");
    let before = fs::read_dir(dir).unwrap().count();
    failure(dir, &["cut", "--exe", "exe", "-o", "ref.svg"]);
    failure(dir, &["core", "--exe", "exe", "-o", "none/ref.svg"]);
    failure(dir, &["core", "--exe", "exe", "-o", "/dev/full"]);
    assert_eq!(fs::read(dir.join("ref.svg")).unwrap(), b"precious");
    assert_eq!(fs::read_dir(dir).unwrap().count(), before);
}

#[test]
fn a_full_disk_and_a_closed_pipe() {
    let real = Real::zoo();
    let dir = real.path();
    for args in [
        &["core", "exe"][..],
        &["core", "exe", "--format", "folded"],
        &["summary", "core", "exe"],
        &["summary", "core", "exe", "--format", "json"],
        &["objects", "core", "exe"],
    ] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = start(dir, args).stdout(full).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {stderr}");
        assert!(stderr.contains("No space left"), "{args:?}: {stderr}");

        let mut child = start(dir, args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        assert_eq!(stderr, "", "{args:?}");
    }
}

#[test]
fn any_width_and_depth() {
    let real = Real::zoo();
    let dir = real.path();
    let sum = |text: &str| -> u64 {
        let counts = text.lines().map(|line| line.rsplit_once(' ').unwrap().1);
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    };
    let (folded, _) = success(dir, &["core", "exe", "--format", "folded"]);
    let live = sum(&folded);
    for option in [
        "--min-width=0",
        "--min-width=1e-300",
        "--min-width=100",
        "--max-depth=0",
        "--max-depth=1",
        "--max-frames=1",
        "--max-frames=18446744073709551615",
    ] {
        let (folded, _) = success(dir, &["core", "exe", "--format", "folded", option]);
        assert_eq!(sum(&folded), live, "{option}");
        let (svg, _) = success(dir, &["core", "exe", option]);
        assert!(svg.ends_with("</svg>\n"), "{option}");
    }
}
