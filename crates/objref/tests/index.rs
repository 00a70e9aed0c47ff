//! An index says what the dump that it was made from says, and nothing that is broken in it is taken for true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use objref_mem::Input;
use objref_snapshot::Index;

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
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
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

/// Makes the sum of each section right.
fn seal(index: &mut [u8]) {
    let word = |index: &[u8], at: usize| {
        u64::from_le_bytes(index[at..at + 8].try_into().unwrap()) as usize
    };
    let end = index.len() - 16;
    for entry in (word(index, end)..end).step_by(24) {
        let (start, len) = (word(index, entry + 8), word(index, entry + 16));
        let sum = crc32fast::hash(&index[start..start + len]);
        index[entry + 4..entry + 8].copy_from_slice(&sum.to_le_bytes());
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
                index.retained(&snapshot).map(|_| ())
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
