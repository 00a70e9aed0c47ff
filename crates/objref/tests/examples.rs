//! Every example in the help and in the README, run as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(name: &str) -> PathBuf {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    fs::canonicalize(dumps.join(name)).unwrap()
}

/// A folder with the files that examples speak of.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // `exe` is what the program was called when it ran; examples without --exe find it by that.
    for (name, file) in [
        ("core", "service-1.26.6.core.zst"),
        ("core2", "service-1.26.6.core.zst"),
        ("core3", "service-1.26.6.core.zst"),
        ("server", "service-1.26.6.exe.zst"),
        ("exe", "service-1.26.6.exe.zst"),
    ] {
        symlink(fixture(file), dir.path().join(name)).unwrap();
    }
    let policy = "[[rule]]\nname = \"heap\"\nmax_live = \"64 MiB\"\n";
    fs::write(dir.path().join("objref.toml"), policy).unwrap();
    dir
}

fn shell(dir: &Path, line: &str) -> Output {
    let bin = Path::new(env!("CARGO_BIN_EXE_objref")).parent().unwrap();
    Command::new("sh")
        .args(["-c", line])
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .current_dir(dir)
        .output()
        .unwrap()
}

/// The help of the command, or of all.
fn help(command: &str) -> String {
    let output = shell(Path::new("."), &format!("objref {command} --help"));
    String::from_utf8(output.stdout).unwrap()
}

fn commands() -> Vec<String> {
    let help = help("");
    let (_, list) = help.split_once("\nCommands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Lines that start with `objref`, without what is said about them.
fn examples(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with("objref "))
        .map(|line| line.split("  ").next().unwrap_or(line).to_owned())
        .collect()
}

/// Stands for an object in the examples.
const ADDRESS: &str = "0xc000123000";

/// The address of an object of the dump in `dir`.
fn an_object(dir: &Path) -> String {
    let listing = shell(dir, "objref objects core | sed -n 2p | cut -f1");
    String::from_utf8(listing.stdout).unwrap().trim().to_owned()
}

#[test]
fn every_example_runs() {
    let mut all = BTreeSet::new();
    for command in commands().iter().map(String::as_str).chain([""]) {
        let help = help(command);
        let (_, listed) = help
            .split_once("\nExamples:\n")
            .unwrap_or_else(|| panic!("{command}"));
        let listed = examples(listed);
        assert!(!listed.is_empty(), "{command}: {help}");
        all.extend(listed);
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, use_it) = readme.split_once("\n## Use it\n").unwrap();
    let (_, code) = use_it.split_once("```\n").unwrap();
    all.extend(examples(code.split_once("```").unwrap().0));

    for line in all {
        let dir = folder();
        let line = line.replace(ADDRESS, &an_object(dir.path()));
        let before = fs::read_dir(dir.path()).unwrap().count();
        let output = shell(dir.path(), &line);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {stderr}");
        let written: Vec<PathBuf> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(
            !output.stdout.is_empty() || written.len() > before,
            "{line}"
        );
        for file in written {
            assert!(
                fs::metadata(&file).unwrap().len() > 0,
                "{line}: {}",
                file.display()
            );
        }
    }
}

#[test]
fn completions_and_manual_pages() {
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| -> String {
        let output = shell(dir.path(), line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for sh in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&format!("objref completions {sh}"));
        for word in ["goroutines", "max-frames"] {
            assert!(script.contains(word), "{sh}: {word}");
        }
    }
    run("objref completions bash -o objref.bash && bash -n objref.bash");

    run("objref man -o pages");
    let mut expected: BTreeSet<String> = commands()
        .iter()
        .map(|command| format!("objref-{command}.1"))
        .collect();
    expected.insert("objref.1".to_owned());
    let pages: BTreeSet<String> = fs::read_dir(dir.path().join("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(pages, expected);
    for page in pages {
        let text = fs::read_to_string(dir.path().join("pages").join(&page)).unwrap();
        let name = page.trim_end_matches(".1");
        let title = format!(".TH {} 1 ", name.to_uppercase());
        assert!(text.starts_with(&title), "{text}");
        assert!(text.contains(".SH \"EXAMPLES\""), "{text}");
        let command = name.trim_start_matches("objref").trim_start_matches('-');
        assert!(run(&format!("objref man {command}")) == text, "{page}");
    }

    let output = shell(dir.path(), "objref man nothing");
    assert_eq!(output.status.code(), Some(2));
    let output = shell(dir.path(), "objref man summary -o pages");
    assert_eq!(output.status.code(), Some(2));
}
