//! From a core and its binary to the snapshot that all answers are made of.

use anyhow::Result;
use objref_snapshot::{LoadOptions, Progress, Snapshot};

use crate::args::{CommonArgs, Goroutines};
use crate::inputs::Inputs;
use crate::progress::Reporter;

impl Progress for Reporter {
    fn phase(&self, name: &str) {
        Reporter::phase(self, name);
    }
}

/// Reads the heap.
pub(crate) fn load(
    inputs: Inputs,
    args: &CommonArgs,
    goroutines: Goroutines,
    reporter: &Reporter,
) -> Result<Snapshot> {
    let options = LoadOptions {
        force: args.force,
        goroutines_each: goroutines == Goroutines::Each,
    };
    Ok(Snapshot::load(
        inputs.core,
        inputs.image,
        &options,
        reporter,
    )?)
}
