//! The one place of the workspace with `unsafe`: mapping a file into memory, and memory in large pages.

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

/// Size of a large page, and where one can start.
const LARGE_PAGE: usize = 2 << 20;

/// An empty vector with room for `len`, in large pages where the system has them.
///
/// For columns that are read all over: in pages of 4 KiB the processor spends more time on finding out where a page is
/// than on what it came for.
// Linux, Documentation/admin-guide/mm/transhuge.rst
#[allow(unsafe_code)]
pub fn room<T>(len: usize) -> Vec<T> {
    let room: Vec<T> = Vec::with_capacity(len);
    let start = room.as_ptr().addr().next_multiple_of(LARGE_PAGE);
    let end = room.as_ptr().addr() + room.capacity() * size_of::<T>();
    let bytes = end.saturating_sub(start) / LARGE_PAGE * LARGE_PAGE;
    #[cfg(target_os = "linux")]
    if bytes > 0 && size_of::<T>() > 0 {
        let first = room
            .as_ptr()
            .wrapping_byte_add(start - room.as_ptr().addr());
        // SAFETY: whole pages inside of what was allocated just now; the advice changes nothing but how the system backs
        // them. Whether it is followed does not matter.
        unsafe { libc::madvise(first.cast_mut().cast(), bytes, libc::MADV_HUGEPAGE) };
    }
    room
}
