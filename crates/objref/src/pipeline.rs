//! From a core and its binary to answers. The rest of this crate knows no more than [`Source`].

use std::io;

use anyhow::{Result, bail};
use objref_analysis::{FrameTree, ObjectRow, Summary};

use crate::args::{CommonArgs, Goroutines};
use crate::inputs::Inputs;
use crate::progress::Reporter;

/// What can be asked of a dump.
pub(crate) trait Source {
    /// The numbers.
    fn summary(&self) -> Summary;

    /// Who keeps what alive, whole.
    fn frame_tree(&self) -> FrameTree;

    /// Calls `visit` with every reachable object, by address, until it fails.
    fn objects(&self, visit: &mut dyn FnMut(&ObjectRow<'_>) -> io::Result<()>) -> io::Result<()>;
}

/// Reads the heap.
pub(crate) fn load(
    inputs: Inputs,
    args: &CommonArgs,
    goroutines: Goroutines,
    reporter: &Reporter,
) -> Result<Box<dyn Source>> {
    let _ = (args.force, goroutines);
    reporter.phase("read the runtime");
    let path = inputs.core.input().path().display().to_string();
    let ids = inputs.image.build_ids();
    bail!("{path}: binary with {ids} found, but reading the heap is not part of this build yet")
}
