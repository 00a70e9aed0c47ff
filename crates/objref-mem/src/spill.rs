//! Where large pieces of memory go once there is a limit.
//!
//! A piece is counted from 32 KiB on. What would take those in memory above the limit gets a place in an unlinked temporary
//! file instead, which the kernel keeps in memory as long as nobody else wants it. The file's room is taken when
//! the piece is, so that writing to it cannot fail later.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::map::{ROOM, reserve};

/// Smaller pieces are not counted: there are many, and little in them.
pub(crate) const COUNTED: usize = 32 << 10;
/// Smaller pieces stay in memory.
const SPILLED: usize = 256 << 10;
/// Where pieces start in the file.
pub(crate) const PAGE: usize = 4096;
/// What pieces that are not counted take, stacks and the program itself: measured for heaps of some thousand up to 24 million
/// objects.
const UNCOUNTED: usize = 16 << 20;

/// The limit of this process, if there is one.
static SPILL: OnceLock<Spill> = OnceLock::new();

/// A limit, and what there is of either kind.
#[derive(Debug)]
struct Spill {
    limit: usize,
    file: File,
    /// Where in memory the file has its place.
    start: usize,
    /// How much of that has been given out; none of it twice.
    used: AtomicUsize,
    /// Bytes of the pieces that are counted and in memory.
    kept: AtomicUsize,
    /// Bytes of the pieces in the file, and the most there were.
    spilled: AtomicUsize,
    most: AtomicUsize,
    /// Whether a piece had to stay in memory that should not have.
    failed: AtomicBool,
}

/// From now on about `bytes` of memory are used at most; the rest is in a temporary file in `dir`. Takes effect where
/// [`Spilling`](crate::Spilling) is the program's allocator, and once.
///
/// # Errors
///
/// If there can be no file in `dir`, or it would be in memory itself; if the system does not give out the addresses.
pub fn limit_memory(bytes: u64, dir: &Path) -> io::Result<()> {
    let file = tempfile::tempfile_in(dir)?;
    if crate::map::is_in_memory(&file)? {
        return Err(io::Error::other("files there are in memory themselves"));
    }
    let start = reserve()?;
    crate::map::give_back_from(SPILLED);
    // A second limit would be one too many; nobody sets one.
    let _ = SPILL.set(Spill {
        limit: (bytes as usize).saturating_sub(UNCOUNTED),
        file,
        start,
        used: AtomicUsize::new(0),
        kept: AtomicUsize::new(0),
        spilled: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    });
    Ok(())
}

/// What came of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spilled {
    /// The most bytes that were in the file at a time.
    pub most: u64,
    /// Whether it was kept; not if there was no room for the file.
    pub kept: bool,
}

/// What came of the limit; `None` if there is none.
pub fn spilled() -> Option<Spilled> {
    SPILL.get().map(|spill| Spilled {
        most: spill.most.load(Relaxed) as u64,
        kept: !spill.failed.load(Relaxed),
    })
}

/// Takes a place in the file for a piece of `size` bytes: the file's descriptor, the offset in it, and the address. `None` if
/// it is to be in memory, where it is counted.
pub(crate) fn take(size: usize) -> Option<(i32, usize, usize)> {
    let spill = SPILL.get()?;
    let kept = spill.kept.fetch_add(size, Relaxed).saturating_add(size);
    if size < SPILLED || kept <= spill.limit {
        return None;
    }
    let pages = size.next_multiple_of(PAGE);
    let offset = spill.used.fetch_add(pages, Relaxed);
    let descriptor = spill.file.as_raw_fd();
    let fits = offset.saturating_add(pages) <= ROOM;
    if !fits || !crate::map::allocate(descriptor, offset, pages) {
        spill.failed.store(true, Relaxed);
        return None;
    }
    spill.kept.fetch_sub(size, Relaxed);
    let spilled = spill.spilled.fetch_add(pages, Relaxed) + pages;
    spill.most.fetch_max(spilled, Relaxed);
    Some((descriptor, offset, spill.start + offset))
}

/// Where in the file the piece at this address is, and the file's descriptor; `None` if it is in memory.
pub(crate) fn place(address: usize) -> Option<(i32, usize)> {
    let spill = SPILL.get()?;
    let offset = address.checked_sub(spill.start)?;
    (offset < ROOM).then(|| (spill.file.as_raw_fd(), offset))
}

/// A piece of `size` bytes is not in the file any more.
pub(crate) fn give_back(size: usize) {
    if let Some(spill) = SPILL.get() {
        spill
            .spilled
            .fetch_sub(size.next_multiple_of(PAGE), Relaxed);
    }
}

/// A piece of `size` bytes, for which there was a place in the file, cannot be there.
pub(crate) fn stays(size: usize) {
    give_back(size);
    if let Some(spill) = SPILL.get() {
        spill.failed.store(true, Relaxed);
        spill.kept.fetch_add(size, Relaxed);
    }
}

/// A piece of `size` bytes is not in memory any more. What was there before the limit was not counted.
pub(crate) fn freed(size: usize) {
    if let Some(spill) = SPILL.get() {
        let less = |kept: usize| Some(kept.saturating_sub(size));
        let _ = spill.kept.fetch_update(Relaxed, Relaxed, less);
    }
}

/// Whether a piece in memory may become one of `new` bytes where it was one of `old`; then it is counted as such.
pub(crate) fn may_grow(old: usize, new: usize) -> bool {
    let Some(spill) = SPILL.get() else {
        return true;
    };
    let kept = spill.kept.load(Relaxed);
    let grown = kept.saturating_sub(old).saturating_add(new);
    if new > old && new >= SPILLED && grown > spill.limit && !spill.failed.load(Relaxed) {
        return false;
    }
    if old >= COUNTED {
        freed(old);
    }
    if new >= COUNTED {
        spill.kept.fetch_add(new, Relaxed);
    }
    true
}
