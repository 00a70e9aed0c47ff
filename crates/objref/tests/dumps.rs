//! The program on the dumps in `fixtures/dumps`, against what the dumped programs said about
//! themselves and against itself.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// `$OBJREF_DUMPS`, for a run on others.
fn folder() -> PathBuf {
    match std::env::var_os("OBJREF_DUMPS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"),
    }
}

/// A dump, its binary and its truth.
struct Dump {
    name: String,
    core: String,
    exe: String,
    truth: Value,
}

/// All dumps; `scripts/make_fixtures.py` makes them.
fn dumps() -> Vec<Dump> {
    let mut dumps: Vec<Dump> = fs::read_dir(folder())
        .expect("fixtures/dumps; scripts/make_fixtures.py makes it")
        .filter_map(|entry| {
            let truth = entry.unwrap().path();
            let name = truth
                .file_name()?
                .to_str()?
                .strip_suffix(".truth.json")?
                .to_owned();
            let path = |suffix: &str| folder().join(format!("{name}.{suffix}.zst"));
            // A second dump of the same program shares its binary.
            let shared = path("exe").to_str()?.replace("-gcore", "");
            Some(Dump {
                core: path("core").to_str()?.to_owned(),
                exe: if path("exe").exists() {
                    path("exe").to_str()?.to_owned()
                } else {
                    shared
                },
                truth: serde_json::from_slice(&fs::read(&truth).unwrap()).unwrap(),
                name,
            })
        })
        .collect();
    dumps.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(dumps.len() > 3, "too few dumps in {}", folder().display());
    dumps
}

/// Those whose binary can be read.
fn readable() -> impl Iterator<Item = Dump> {
    dumps()
        .into_iter()
        .filter(|dump| !dump.name.contains("stripped"))
}

fn service() -> Dump {
    readable()
        .find(|dump| dump.name.starts_with("service"))
        .expect("a dump of the service")
}

fn objref(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_objref"))
        .args(args)
        .output()
        .unwrap()
}

/// What it writes when all is well.
fn written(args: &[&str]) -> String {
    let output = objref(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The status and the line that it fails with.
fn failure(args: &[&str]) -> (Option<i32>, String) {
    let output = objref(args);
    assert!(output.stdout.is_empty(), "{args:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    (output.status.code(), stderr)
}

fn number(json: &Value, pointer: &str) -> u64 {
    json.pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{pointer}"))
}

#[test]
fn the_numbers_are_those_of_the_program() {
    for dump in readable() {
        let text = written(&["summary", &dump.core, &dump.exe, "--format", "json"]);
        let json: Value = serde_json::from_str(&text).unwrap();
        let live = number(&json, "/heap/live/bytes");
        let truth = number(&dump.truth, "/heap_alloc");
        let missing = number(&dump.truth, "/heap_objects") - number(&json, "/heap/live/objects");
        // What package unique of Go 1.24 makes for each collection and drops: scripts/fixturelib/truth.py.
        let dropped = if dump.name.contains("-1.24.") { 4 } else { 0 };
        assert!(
            missing <= dropped && (live == truth || missing > 0),
            "{}: {live} live, {truth} by its own count; {missing} objects missing",
            dump.name
        );
        assert!(
            dump.truth["go_version"].as_str().unwrap().starts_with(
                json.pointer("/go/version")
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .split('-')
                    .next()
                    .unwrap()
            )
        );

        let folded = written(&[&dump.core, "--exe", &dump.exe, "--format", "folded"]);
        let count = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
        assert_eq!(
            folded.lines().map(count).sum::<u64>(),
            live,
            "{}",
            dump.name
        );
        let objects = written(&[&dump.core, &dump.exe, "--format=folded", "--metric=objects"]);
        let live = number(&json, "/heap/live/objects");
        assert_eq!(
            objects.lines().map(count).sum::<u64>(),
            live,
            "{}",
            dump.name
        );
    }
}

#[test]
fn types_add_up_however_they_are_put_together() {
    for dump in readable() {
        let text = written(&["summary", &dump.core, &dump.exe, "--format", "json"]);
        let summary: Value = serde_json::from_str(&text).unwrap();
        let live = |what: &str| number(&summary, &format!("/heap/live/{what}"));
        let typed = |what: &str| number(&summary, &format!("/heap/typed/{what}"));
        for by in ["type", "package", "kind"] {
            let args = [
                "types",
                &dump.core,
                &dump.exe,
                "--group",
                by,
                "--unknown",
                "--format=json",
            ];
            let report: Value = serde_json::from_str(&written(&args)).unwrap();
            for what in ["bytes", "objects"] {
                let sum = |list: &str| -> u64 {
                    let rows = report[list].as_array().unwrap();
                    rows.iter().map(|row| row[what].as_u64().unwrap()).sum()
                };
                assert_eq!(sum("rows"), live(what), "{}, by {by}", dump.name);
                assert_eq!(sum("certainty"), live(what), "{}, by {by}", dump.name);
                assert_eq!(
                    sum("unknown"),
                    live(what) - typed(what),
                    "{}, by {by}",
                    dump.name
                );
            }
        }
    }
}

#[test]
fn every_object_hangs_from_a_root() {
    for dump in readable() {
        let json = written(&["summary", &dump.core, &dump.exe, "--format", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        let tsv = written(&["objects", &dump.core, &dump.exe]);
        let mut lines = tsv.lines();
        let header = lines.next().unwrap();
        let columns = "address\tsize\ttype\tcertainty\tdistance\tparent\t";
        assert!(header.starts_with(columns), "{header}");
        let rows: Vec<Vec<&str>> = lines.map(|line| line.split('\t').collect()).collect();

        let distance: HashMap<&str, u64> = rows
            .iter()
            .map(|row| (row[0], row[4].parse().unwrap()))
            .collect();
        assert_eq!(
            distance.len(),
            rows.len(),
            "{}: an address twice",
            dump.name
        );
        assert_eq!(
            rows.len() as u64,
            number(&json, "/heap/live/objects"),
            "{}",
            dump.name
        );
        let bytes: u64 = rows.iter().map(|row| row[1].parse::<u64>().unwrap()).sum();
        assert_eq!(bytes, number(&json, "/heap/live/bytes"), "{}", dump.name);
        for row in &rows {
            match distance.get(row[5]) {
                Some(above) => assert_eq!(above + 1, distance[row[0]], "{}: {row:?}", dump.name),
                None => assert_eq!(distance[row[0]], 0, "{}: {row:?}", dump.name),
            }
        }
    }
}

#[test]
fn the_same_bytes_whatever_the_threads_and_the_order() {
    let Dump { core, exe, .. } = service();
    let first = written(&[&core, "--exe", &exe]);
    assert!(first.starts_with("<?xml") && first.ends_with("</svg>\n"));
    for args in [
        &[&core, "--exe", &exe][..],
        &[&exe, &core],
        &[&exe, "--exe", &core],
        &[&core, &exe, "--threads", "1"],
        &[&core, &exe, "--threads", "7"],
        // Found beside the core.
        &[&core],
    ] {
        assert!(written(args) == first, "{args:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ref.svg");
    assert_eq!(written(&[&core, &exe, "-o", file.to_str().unwrap()]), "");
    assert!(fs::read_to_string(&file).unwrap() == first);
}

#[test]
fn the_extension_decides() {
    let Dump { core, exe, .. } = service();
    let dir = tempfile::tempdir().unwrap();
    for (name, start) in [
        ("a.svg", "<?xml"),
        ("a.folded", ""),
        ("a.txt", "/"),
        ("a.json", "{\n"),
        ("a.tsv", "address\t"),
        ("noext", "<?xml"),
    ] {
        let file = dir.path().join(name);
        written(&[&core, &exe, "-o", file.to_str().unwrap()]);
        assert!(
            fs::read_to_string(&file).unwrap().starts_with(start),
            "{name}"
        );
    }
}

#[test]
fn verbose_goes_to_standard_error_and_quiet_to_nobody() {
    let Dump { core, exe, .. } = service();
    let verbose = objref(&[&core, &exe, "-v"]);
    let stderr = String::from_utf8(verbose.stderr).unwrap();
    assert!(stderr.lines().count() > 4);
    assert!(
        stderr.lines().all(|line| line.starts_with("objref: ")),
        "{stderr}"
    );
    assert!(verbose.stdout.starts_with(b"<?xml"));
    assert!(objref(&[&core, &exe, "-q"]).stderr.is_empty());
}

#[test]
fn the_wrong_binary_is_refused_unless_forced() {
    let Dump { core, name, .. } = service();
    let other = readable()
        .find(|dump| !dump.exe.contains("service"))
        .unwrap();
    let (status, line) = failure(&[&core, "--exe", &other.exe]);
    assert_eq!(status, Some(3), "{name}: {line}");
    assert!(
        line.matches("uild id").count() >= 2 && line.contains("--force"),
        "{line}"
    );
    // Nothing good can come of that, but nothing worse than one line either.
    let forced = objref(&[&core, "--exe", &other.exe, "--force"]);
    match forced.status.code() {
        Some(0) => {}
        Some(3) => assert_eq!(String::from_utf8(forced.stderr).unwrap().lines().count(), 1),
        other => panic!("{other:?}"),
    }
}

/// Finalizers, cleanups, weak pointers and deferred calls are in records of the runtime, which say what they hold.
#[test]
fn what_records_of_the_runtime_hold_has_types() {
    let zoos = readable().filter(|dump| dump.name.starts_with("zoo"));
    for dump in zoos {
        let text = written(&["objects", &dump.core, &dump.exe]);
        let rows = text.lines().map(|line| line.split('\t').collect());
        let rows: Vec<Vec<&str>> = rows.collect();
        let held = |by: &str| {
            let rows = rows.iter().filter(|row| row[5] == by);
            // Parameters without a name are not described, and with them the argument of a cleanup.
            let described = rows
                .clone()
                .filter(|row| by != "(cleanup)" || row[1] != "16");
            let untyped = described.filter(|row| row[3] == "unknown").count();
            (rows.count(), untyped)
        };
        for record in ["(finalizer)", "(finalizer queue)"] {
            let (all, untyped) = held(record);
            assert!(all > 0, "{}: nothing held by a {record}", dump.name);
            assert_eq!(untyped, 0, "{}: of {all} held by a {record}", dump.name);
        }
        for record in ["(cleanup)", "(weak handle)"] {
            let (all, untyped) = held(record);
            assert_eq!(untyped, 0, "{}: of {all} held by a {record}", dump.name);
        }
        let deferred = rows.iter().any(|row| row[2] == "runtime._defer");
        assert!(deferred, "{}: no record of a deferred call", dump.name);
    }
}

/// A copy of the binary without section headers: neither DWARF nor symbols can be found.
fn stripped(exe: &str, dir: &Path) -> String {
    let input = objref_mem::Input::open(Path::new(exe)).unwrap();
    let mut bytes = input.bytes().to_vec();
    // e_shoff; e_shnum, e_shstrndx
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    let copy = dir.join("stripped");
    fs::write(&copy, bytes).unwrap();
    copy.to_str().unwrap().to_owned()
}

/// Nothing but the code of a stripped binary says what its global variables hold.
#[test]
fn a_stripped_binary_has_types() {
    let all = dumps().into_iter();
    for dump in all.filter(|dump| dump.name.contains("stripped")) {
        let text = written(&["summary", &dump.core, &dump.exe, "--format", "json"]);
        let summary: Value = serde_json::from_str(&text).unwrap();
        let share = summary["heap"]["typed"]["share"].as_f64().unwrap();
        assert!(share > 0.97, "{}: {share} of the bytes typed", dump.name);
        let text = written(&["objects", &dump.core, &dump.exe]);
        for name in ["main.listNode", "main.doubleNode", "main.binaryNode"] {
            let of_type = |line: &&str| line.split('\t').nth(2) == Some(name);
            let found = text.lines().filter(of_type).count() as u64;
            let made = dump.truth["objects"][name].as_u64();
            assert_eq!(Some(found), made, "{}: {name}", dump.name);
        }
    }
}

#[test]
fn a_stripped_binary_has_the_same_graph() {
    let dir = tempfile::tempdir().unwrap();
    for dump in readable() {
        let stripped = stripped(&dump.exe, dir.path());
        // Address, size and distance from the roots; types and names differ.
        let objects = |exe: &str| -> Vec<String> {
            let text = written(&["objects", &dump.core, exe]);
            text.lines()
                .map(|line| {
                    let columns: Vec<&str> = line.split('\t').collect();
                    [columns[0], columns[1], columns[4]].join(" ")
                })
                .collect()
        };
        assert!(
            objects(&dump.exe) == objects(&stripped),
            "{}: other objects",
            dump.name
        );
        let summary = |exe: &str| -> Value {
            let text = written(&["summary", &dump.core, exe, "--format", "json"]);
            serde_json::from_str(&text).unwrap()
        };
        let (whole, part) = (summary(&dump.exe), summary(&stripped));
        for same in ["/roots", "/goroutines", "/runtime", "/reconciliation"] {
            assert_eq!(
                whole.pointer(same),
                part.pointer(same),
                "{}{same}",
                dump.name
            );
        }
        assert_eq!(part["binary"]["dwarf"], false);
        let source = part["go"]["layout_source"].as_str().unwrap();
        assert!(source.starts_with("built-in table go1."), "{source}");
        let codes: Vec<&str> = part["diagnostics"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|d| d["code"].as_str())
            .collect();
        assert!(codes.contains(&"binary.stripped"), "{codes:?}");
        assert!(
            !codes.contains(&"runtime.not-found"),
            "{}: {text}",
            dump.name,
            text = part["diagnostics"]
        );
    }
}

#[test]
fn a_truncated_core_is_told_and_used() {
    let Dump { core, exe, .. } = service();
    let whole = objref_mem::Input::open(Path::new(&core)).unwrap();
    let bytes = whole.bytes();
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut");
    // Somewhere there is too little left to go on with; until there, no more than a warning.
    for part in [99, 50, 10, 1] {
        fs::write(&cut, &bytes[..bytes.len() * part / 100]).unwrap();
        let output = objref(&["summary", cut.to_str().unwrap(), &exe, "--format", "json"]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => {
                let json: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert!(number(&json, "/core/missing_bytes") > 0);
                assert!(!json["diagnostics"].as_array().unwrap().is_empty());
            }
            Some(3) => assert_eq!(stderr.lines().count(), 1, "{stderr}"),
            other => panic!("{part} %: {other:?}: {stderr}"),
        }
    }
}
