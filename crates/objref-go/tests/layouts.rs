//! The built-in tables against the DWARF of the binaries in `fixtures/dumps`.

use std::path::{Path, PathBuf};

use objref_dwarf::DebugInfo;
use objref_go::{BuiltInLayout, DwarfLayout, GoVersion, StructSource};
use objref_mem::{Image, Input};

/// `$OBJREF_DUMPS`, for a run on others.
fn folder() -> PathBuf {
    match std::env::var_os("OBJREF_DUMPS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps"),
    }
}

/// The version in the name: `zoo-1.26.6-nogreentea.exe.zst`; a variant may be an experiment.
fn version(name: &str) -> Option<GoVersion> {
    let mut parts = name.strip_suffix(".exe.zst")?.split('-').skip(1);
    let number = parts.next()?;
    let experiment = match parts.next().unwrap_or_default() {
        "noallochdr" => "noallocheaders",
        "greentea" => "greenteagc",
        "nogreentea" => "nogreenteagc",
        other => other,
    };
    GoVersion::parse(&format!("go{number} X:{experiment}"))
}

#[test]
fn the_tables_agree_with_the_binaries() {
    let mut compared = 0;
    for entry in
        std::fs::read_dir(folder()).expect("fixtures/dumps; scripts/make_fixtures.py makes it")
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(version) = version(name).filter(|_| !name.contains("stripped")) else {
            continue;
        };
        let input = Input::open(&path).unwrap();
        let debug = DebugInfo::load(&input).unwrap();
        let arch = Image::parse(input).unwrap().arch();
        let table = BuiltInLayout::new(&version, arch).unwrap();
        let dwarf = DwarfLayout(&debug);
        for (of, path, at) in table.fields() {
            if let Some(expected) = dwarf.field(of, path) {
                assert_eq!(at, expected, "{name}: {of}.{path}");
                compared += 1;
            }
            // The linker leaves out of DWARF what nothing refers to.
            assert!(
                dwarf.size_of(of).is_none() || dwarf.field(of, path).is_some(),
                "{name}: {of}.{path} is not there"
            );
        }
    }
    assert!(compared > 500, "{compared} fields compared");
}
