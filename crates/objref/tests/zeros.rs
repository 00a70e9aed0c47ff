//! Zeros in place of variables: whoever wrote the dump lost pages, and nothing in it says so.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use objref_go::{AddrRange, GoProcess, StructSource};
use objref_mem::{Core, Image, Input, Segment};
use serde_json::Value;

const PAGE: u64 = 4096;

/// A core to be emptied in places.
struct Scene {
    dir: tempfile::TempDir,
    exe: PathBuf,
    core: Vec<u8>,
    process: GoProcess,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
        let path = |kind: &str| folder.join(format!("{name}.{kind}.zst"));
        let core = Core::parse(Input::open(&path("core")).unwrap()).unwrap();
        let image = Image::parse(Input::open(&path("exe")).unwrap()).unwrap();
        Scene {
            dir: tempfile::tempdir().unwrap(),
            exe: path("exe"),
            core: core.input().bytes().to_vec(),
            process: GoProcess::open(core, Arc::new(image), false).unwrap(),
        }
    }

    /// Where in the core the whole pages of `range` lie but for those of what nothing can be read without.
    fn pages(&self, range: AddrRange) -> Vec<Range<usize>> {
        let needed = [
            ("runtime.mheap_", "runtime.mheap"),
            ("runtime.firstmoduledata", "runtime.moduledata"),
            ("runtime.buildVersion", "string"),
        ];
        let needed = needed.iter().filter_map(|(name, ty)| {
            let at = self.process.global(name)?.0;
            let size = self.process.layouts().size_of(ty).unwrap_or(16);
            Some(at / PAGE..(at + size).div_ceil(PAGE))
        });
        let needed: Vec<_> = needed.collect();
        let mut segments = self.process.core.segments().iter();
        let around = |s: &&Segment| s.addr <= range.start && range.start.0 < s.addr.0 + s.present;
        let segment = segments.find(around).expect("variables are in the core");
        (range.start.0.div_ceil(PAGE)..range.end.0 / PAGE)
            .filter(|page| !needed.iter().any(|needed| needed.contains(page)))
            .map(|page| (segment.file_offset + page * PAGE - segment.addr.0) as usize)
            .map(|at| at..at + PAGE as usize)
            .collect()
    }

    /// What is said once the ranges of the core are zeros.
    fn summary(&mut self, zeros: &[Range<usize>]) -> Value {
        let mut bytes = self.core.clone();
        for range in zeros {
            bytes[range.clone()].fill(0);
        }
        let core = self.dir.path().join("core");
        fs::write(&core, bytes).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_objref"))
            .args(["summary", "--format", "json"])
            .args([&core, &self.exe])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Codes of what is said with every number, with how many.
fn said(summary: &Value) -> Vec<(&str, u64)> {
    let all = summary["diagnostics"].as_array().unwrap().iter();
    all.map(|d| (d["code"].as_str().unwrap(), d["count"].as_u64().unwrap()))
        .collect()
}

#[test]
fn in_initialised_variables_they_are_told_by_the_binary() {
    for name in ["zoo-1.19.13", "goroutines-1.26.6-pie", "zoo-1.27.3"] {
        let mut scene = Scene::new(name);
        let module = &scene.process.modules[0];
        let pages = [scene.pages(module.noptrdata), scene.pages(module.data)].concat();
        assert!(!pages.is_empty(), "{name}");
        let whole = scene.summary(&[]);
        assert!(said(&whole).is_empty(), "{name}: {:?}", said(&whole));
        // Pages that were nearly empty cannot be told.
        let told: Vec<u64> = pages
            .iter()
            .step_by(3)
            .map(|page| {
                let summary = scene.summary(std::slice::from_ref(page));
                let zeros = said(&summary)
                    .into_iter()
                    .find(|(code, _)| *code == "roots.data-zeros");
                let bytes = zeros.map_or(0, |(_, bytes)| bytes);
                assert_eq!(
                    summary["missing"]["root_bytes"].as_u64().unwrap_or(0),
                    bytes
                );
                bytes
            })
            .collect();
        assert!(
            told.iter().all(|bytes| [0, PAGE].contains(bytes)),
            "{name}: {told:?}"
        );
        let share = told.iter().filter(|bytes| **bytes > 0).count() * 100 / told.len();
        assert!(share >= 50, "{name}: of {} pages {share} %", told.len());
    }
}

/// The linker puts small variables together, the program's and the runtime's.
#[test]
fn in_all_others_they_are_told_by_the_runtime() {
    for (name, share) in [
        ("zoo-1.19.13", 25),
        ("zoo-1.24.11", 50),
        ("goroutines-1.27.3", 20),
    ] {
        let mut scene = Scene::new(name);
        let pages = scene.pages(scene.process.modules[0].bss);
        let (whole, emptied) = (scene.summary(&[]), scene.summary(&pages));
        let live = |summary: &Value| summary["heap"]["live"]["bytes"].as_u64().unwrap();
        let lost = live(&whole) - live(&emptied);
        assert!(
            live(&emptied) * 100 < live(&whole) * share,
            "{name}: {lost} bytes lost"
        );
        let said = said(&emptied);
        let bytes = |wanted| {
            said.iter()
                .find(|(code, _)| *code == wanted)
                .map(|(_, bytes)| *bytes)
        };
        assert!(
            bytes("roots.data-zeros") >= Some(2 * PAGE),
            "{name}: {said:?}"
        );
        // What the last collection found live and is reached no more; a little was not before.
        assert!(bytes("garbage.undecided") >= Some(lost), "{name}: {said:?}");
    }
}
