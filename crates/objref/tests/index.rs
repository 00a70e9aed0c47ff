//! An index says what the dump that it was made from says, and nothing that is broken in it is taken for true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use objref_mem::Input;
use objref_report::ObjectsTsv;
use objref_snapshot::{Index, Retained, Snapshot};

fn dump(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/dumps")
        .join(name)
}

fn objref(args: &[&str], files: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_objref"));
    command.args(args).args(files).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text.into_owned()
}

/// An index of a committed dump, in a directory of its own.
struct Indexed {
    dir: tempfile::TempDir,
    core: PathBuf,
}

impl Indexed {
    fn new(name: &str, more: &[&str]) -> Indexed {
        let dir = tempfile::tempdir().unwrap();
        let core = dump(name);
        let index = dir.path().join("x.objref");
        let mut args = vec!["index", "-o", index.to_str().unwrap()];
        args.extend(more);
        said(&objref(&args, &[&core]));
        Indexed { dir, core }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("x.objref")
    }
}

#[test]
fn it_says_what_the_dump_says() {
    for name in [
        "zoo-1.27.3.core.zst",
        "zoo-1.19.13.core.zst",
        "goroutines-1.27.3.core.zst",
    ] {
        let indexed = Indexed::new(name, &[]);
        for args in [
            &["objects"][..],
            &["summary"],
            &["summary", "--format", "json"],
            &["types", "--unknown"],
            &["goroutines", "--all"],
            &["--format", "folded"],
            &["--format", "svg", "--tree", "dominator"],
            &["--format", "html"],
        ] {
            let from_dump = said(&objref(args, &[&indexed.core]));
            assert_eq!(
                said(&objref(args, &[&indexed.path()])),
                from_dump,
                "{name} {args:?}"
            );
            // An index beside its core stands for it.
            if args == ["objects"] {
                let both = objref(args, &[&indexed.core, &indexed.path()]);
                assert_eq!(said(&both), from_dump, "{name} with both");
            }
        }
        // An index of an index is the same.
        let again = indexed.dir.path().join("again.objref");
        said(&objref(
            &["index", "-o", again.to_str().unwrap()],
            &[&indexed.path()],
        ));
        assert!(std::fs::read(&again).unwrap() == std::fs::read(indexed.path()).unwrap());
    }
}

#[test]
fn a_redacted_one_says_nothing_of_where_it_ran() {
    let indexed = Indexed::new("service-1.26.6.core.zst", &["--redact"]);
    let bytes = std::fs::read(indexed.path()).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
    let core = indexed.core.canonicalize().unwrap();
    assert!(!has("core.zst") && !has(core.parent().unwrap().to_str().unwrap()));
    assert!(!has("/src/") && !has("batch-42"));
    assert!(has("main.Session") && has("background.go"));
    let summary = said(&objref(&["summary"], &[&indexed.path()]));
    assert!(summary.contains("(redacted)"));
}

#[test]
fn it_is_kept_beside_the_core_and_made_again_when_it_is_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(dump(from), dir.path().join(to)).unwrap();
        dir.path().join(to)
    };
    let core = copy("zoo-1.27.3.core.zst", "a.core.zst");
    let exe = copy("zoo-1.27.3.exe.zst", "a.exe.zst");
    let kept = dir.path().join("a.core.zst.objref");
    let first = objref(&["summary", "--index"], &[&core, &exe]);
    let before = std::fs::read(&kept).unwrap();
    let again = objref(&["summary", "--index", "-v"], &[&core, &exe]);
    assert_eq!(said(&again), said(&first));
    assert!(String::from_utf8_lossy(&again.stderr).contains("open the index"));
    // One that was cut, and one of another dump.
    let other = Indexed::new("zoo-1.22.10.core.zst", &[]);
    for broken in [
        before[..before.len() / 2].to_vec(),
        std::fs::read(other.path()).unwrap(),
    ] {
        std::fs::write(&kept, broken).unwrap();
        let again = objref(&["summary", "--index"], &[&core, &exe]);
        assert_eq!(said(&again), said(&first));
        assert!(String::from_utf8_lossy(&again.stderr).contains("made again"));
        assert_eq!(std::fs::read(&kept).unwrap(), before);
    }
    let refused = objref(
        &["summary", "--exe", exe.to_str().unwrap()],
        &[&core, &other.path()],
    );
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not of this core"));
}

#[test]
fn damage_is_told_and_never_trusted() {
    let indexed = Indexed::new("zoo-1.27.3.core.zst", &[]);
    let whole = std::fs::read(indexed.path()).unwrap();
    let truth = said(&objref(&["types"], &[&indexed.path()]));
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut random = |below| dice.below(below);
    let broken = indexed.dir.path().join("broken.objref");
    for case in 0..60 {
        let mut bytes = whole.clone();
        match case % 3 {
            0 => bytes.truncate(random(whole.len())),
            1 => bytes[random(whole.len())] ^= 1 << random(8),
            _ => {
                let at = random(whole.len() - 8);
                bytes[at..at + 8].fill(0xff);
            }
        }
        std::fs::write(&broken, bytes).unwrap();
        let output = objref(&["types"], &[&broken]);
        // What a command does not read may be broken.
        match output.status.code() {
            Some(0) => assert_eq!(said(&output), truth),
            status => assert_eq!(status, Some(3), "case {case}"),
        }
    }
}

/// Numbers that look random and are the same every time.
// xorshift64
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn word(index: &[u8], at: usize) -> usize {
    u64::from_le_bytes(index[at..at + 8].try_into().unwrap()) as usize
}

/// Makes the sum of each section right.
fn seal(index: &mut [u8]) {
    let end = index.len() - 16;
    for entry in (word(index, end)..end).step_by(24) {
        let (start, len) = (word(index, entry + 8), word(index, entry + 16));
        let sum = crc32fast::hash(&index[start..start + len]);
        index[entry + 4..entry + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

/// One of those that are made of an index; its numbers may be anything.
fn reports(snapshot: &Snapshot, retained: &Retained, which: usize) {
    match which % 4 {
        0 => drop(objref_analysis::frame_tree(snapshot, Some(retained))),
        1 => drop(objref_analysis::dominator_tree(snapshot, retained.tree())),
        2 => {
            let mut rows = ObjectsTsv::new(std::io::sink()).unwrap();
            objref_analysis::each_object(snapshot, retained, |row| rows.row(row)).unwrap();
        }
        _ => {
            objref_analysis::types(snapshot, &objref_analysis::TypeOptions::default());
            objref_analysis::goroutines(snapshot, &objref_analysis::GoroutineOptions::default());
        }
    }
}

/// Somebody who wants to do harm writes sums, too.
#[test]
fn damage_under_right_sums_leads_nowhere() {
    let indexed = Indexed::new("cgo-1.26.6.core.zst", &[]);
    let whole = std::fs::read(indexed.path()).unwrap();
    let end = whole.len() - 16;
    let table = u64::from_le_bytes(whole[end..end + 8].try_into().unwrap()) as usize;
    let mut refused = BTreeSet::new();
    for section in (table..end).step_by(24) {
        let word = |at: usize| u64::from_le_bytes(whole[at..at + 8].try_into().unwrap()) as usize;
        let (start, len) = (word(section + 8), word(section + 16));
        for case in 0..48 {
            let value = [u64::MAX, 0x7fff_ffff, 1, 0x80][case % 4];
            let at = start + len.saturating_sub(8) * (case / 4) / 11;
            let mut bytes = whole.clone();
            let width = len.min([4, 8, 1][case % 3]);
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            seal(&mut bytes);
            let input = Input::from_bytes(Path::new("x"), &bytes).unwrap();
            if let Err(error) = Index::open(&input).and_then(|index| {
                let snapshot = index.snapshot()?;
                objref_analysis::summary(&snapshot);
                index.references(&snapshot)?;
                let retained = index.retained(&snapshot)?;
                reports(&snapshot, &retained, case);
                Ok(())
            }) {
                refused.insert(error.to_string());
            }
        }
    }
    for part in ["tree", "types", "views", "steps", "roots", "dominators"] {
        let said = format!("({part})");
        assert!(
            refused.iter().any(|error| error.contains(&said)),
            "{part}: {refused:?}"
        );
    }
}

/// Every command that opens an index, and one that has the core beside it: a broken one is refused in one line, or what is
/// broken is not read, or makes numbers that lead nowhere.
#[test]
fn no_command_falls_over_a_damaged_one() {
    let indexed = Indexed::new("cgo-1.26.6.core.zst", &[]);
    let whole = std::fs::read(indexed.path()).unwrap();
    let listed = said(&objref(&["objects"], &[&indexed.path()]));
    let address = listed.lines().nth(1).unwrap().split('\t').next().unwrap();
    let (core, exe) = (dump("cgo-1.26.6.core.zst"), dump("cgo-1.26.6.exe.zst"));
    let (core, exe) = (core.to_str().unwrap(), exe.to_str().unwrap());
    let (broken, sound) = (indexed.dir.path().join("broken"), indexed.path());
    let (broken, sound) = (broken.to_str().unwrap(), sound.to_str().unwrap());
    let out = indexed.dir.path().join("out.objref");
    let commands: [&[&str]; 19] = [
        &["--format", "svg", broken],
        &["--format", "svg", "--tree", "dominator", broken],
        &["--format", "html", broken],
        &["--format", "pprof", broken],
        &["--format", "dot", broken],
        &["--format", "tree-json", broken],
        &["summary", broken],
        &["summary", "--format", "json", broken],
        &["objects", broken],
        &["types", "--unknown", broken],
        &["goroutines", "--all", broken],
        &["top", broken],
        &["tree", broken],
        &["why", broken, "[]byte"],
        &["object", core, "--exe", exe, broken, address],
        &["check", "--write-baseline", "/dev/null", broken],
        &["index", "-o", out.to_str().unwrap(), broken],
        &["diff", broken, sound],
        &["diff", sound, broken],
    ];
    let mut dice = Dice(7);
    let mut refused = 0;
    for (i, command) in commands.iter().cycle().take(commands.len() * 6).enumerate() {
        let mut bytes = whole.clone();
        let at = dice.below(whole.len() - 8);
        match i / commands.len() {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << dice.below(8),
            // With right sums.
            _ => {
                let width = [1, 4, 8, 8][i % 4];
                let value = [u64::MAX, 0x7fff_ffff, 1, 0][dice.below(4)];
                let table = word(&whole, whole.len() - 16);
                let at = at.clamp(16, table - 8);
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
                seal(&mut bytes);
            }
        }
        std::fs::write(broken, bytes).unwrap();
        let output = objref(command, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0 | 1) => {}
            Some(3) => {
                refused += 1;
                assert_eq!(
                    stderr.lines().count(),
                    1,
                    "{command:?}, {i} at {at}: {stderr}"
                );
            }
            status => panic!("{command:?}, {i} at {at}: {status:?}: {stderr}"),
        }
    }
    assert!(refused > commands.len(), "{refused} refused");
}

#[test]
fn what_an_index_cannot_do_is_said() {
    let indexed = Indexed::new("zoo-1.27.3.core.zst", &[]);
    for (args, words) in [
        (
            &["verify"][..],
            "an index has no values; give the core, too",
        ),
        (
            &["--goroutines", "each", "--format", "svg"],
            "give the core",
        ),
    ] {
        let output = objref(args, &[&indexed.path()]);
        assert_eq!(output.status.code(), Some(3));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            error.contains(words) && error.lines().count() == 1,
            "{error}"
        );
    }
    let nowhere = objref(&["index"], &[&indexed.core]);
    assert_eq!(nowhere.status.code(), Some(2));
}
