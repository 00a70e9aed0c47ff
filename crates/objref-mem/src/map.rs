//! The one place of the workspace with `unsafe`: mapping a file into memory.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// Maps the whole of `file` read-only. An empty file gives an empty map.
///
/// The map must be of a regular file that nobody shortens while the tool runs: see the safety
/// note. The pages are loaded when they are first read, so the cost does not depend on the size.
///
/// # Errors
///
/// Whatever `fstat` and `mmap` report, for example `ENODEV` for something that cannot be mapped.
#[allow(unsafe_code)]
pub(crate) fn map_file(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is private and read-only and its bytes are only ever copied out or parsed
    // as integers and UTF-8 with checks, so any content is fine. What Rust cannot rule out is
    // another process that changes the file under us. If it overwrites bytes, we may see old and
    // new bytes mixed: wrong numbers, no undefined layout, since no reference to anything but
    // `u8` is made and every length that was read is checked where it is used. If it truncates
    // the file, touching a page behind the new end raises SIGBUS, which ends the process without
    // having done harm. Dumps are finished files and decompressed input lives in an unlinked
    // temporary file that nobody else can open, so we take that risk and state it in the
    // documentation of `Input::open`.
    unsafe { Mmap::map(file) }
}
