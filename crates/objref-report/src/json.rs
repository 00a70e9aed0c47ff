//! Any report for programs.

use std::io::{self, Write};

use serde::Serialize;

/// Writes `report` as indented JSON with a newline at its end.
///
/// # Errors
///
/// What `out` says.
pub fn json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
