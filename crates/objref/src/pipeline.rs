//! From a core and its binary to the snapshot that all answers are made of.

use anyhow::{Result, anyhow};
use objref_analysis::thousands;
use objref_mem::Input;
use objref_snapshot::{Dump, LoadOptions, Progress, Retained, Snapshot, SnapshotError};

use crate::args::{CommonArgs, Goroutines};
use crate::inputs::Inputs;
use crate::progress::Reporter;

impl Progress for Reporter {
    fn phase(&self, name: &str) {
        Reporter::phase(self, name);
    }
}

/// What a command has to say something about.
pub(crate) struct Subject {
    pub(crate) dump: Dump,
    pub(crate) snapshot: Snapshot,
}

impl Subject {
    /// What everything retains.
    pub(crate) fn retained(&self, reporter: &Reporter) -> Retained {
        Reporter::phase(reporter, "dominators");
        Retained::of(&self.dump, &self.snapshot)
    }

    /// Reads the heap.
    pub(crate) fn load(
        inputs: Inputs,
        args: &CommonArgs,
        goroutines: Goroutines,
        reporter: &Reporter,
    ) -> Result<Self> {
        let options = LoadOptions {
            goroutines_each: goroutines == Goroutines::Each,
        };
        let shortfall = shortfall(&inputs);
        let load = || -> Result<Self, SnapshotError> {
            let dump = Dump::open(inputs.core, inputs.image, args.force, reporter)?;
            let snapshot = dump.snapshot(&options, reporter)?;
            Ok(Self { dump, snapshot })
        };
        match shortfall {
            Some((what, way)) => load().map_err(|error| anyhow!("{what}, and: {error}; {way}")),
            None => Ok(load()?),
        }
    }
}

/// What the files lack, which may be why they cannot be read, and what to do about it.
fn shortfall(inputs: &Inputs) -> Option<(String, &'static str)> {
    let (core, image) = (&inputs.core, &inputs.image);
    for input in [core.input(), image.input()] {
        if let Some(damage) = input.damage() {
            let what = format!(
                "{}: cannot be decompressed to its end: {damage}",
                input.path().display()
            );
            return Some((what, "take a whole one"));
        }
    }
    let cut = |input: &Input, lost: u64| {
        let (path, lost) = (input.path().display(), thousands(lost));
        format!("{path}: cut short, {lost} bytes are missing")
    };
    let missing = core.missing();
    match (missing.bytes.saturating_add(missing.notes), image.missing()) {
        (0, 0) => None,
        (0, lost) => Some((cut(image.input(), lost), "copy the binary again")),
        (lost, _) => Some((
            cut(core.input(), lost),
            "write the core again with room for all of it (ulimit -c unlimited)",
        )),
    }
}
