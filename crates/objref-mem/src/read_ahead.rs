//! Telling the system what of a file will be wanted, before anybody waits for it.
//!
//! Who reads a mapped file waits for each piece that is not in memory, and the system reads on by itself no further than
//! its read-ahead goes, which for most disks is 128 KiB. Here one thread asks for all of the file, from its start to its
//! end, while others read what is there already.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::thread;

/// Bytes that are asked for at once: of more, the system takes no notice.
// mm/readahead.c: force_page_cache_ra; include/linux/mm.h: VM_READAHEAD_PAGES
#[cfg(target_os = "linux")]
const STEP: u64 = 128 << 10;

/// Bytes of which the first says whether they have to be asked for: files are in memory whole, or up to somewhere.
#[cfg(target_os = "linux")]
const PART: u64 = 2 << 20;

/// Has the system read `file` into memory, if there is room for it. Returns at once.
pub(crate) fn read_ahead(file: File) {
    let fits = |file: &fs::Metadata| available().is_some_and(|room| file.blocks() * 512 <= room);
    if file.metadata().is_ok_and(|file| fits(&file)) {
        let named = thread::Builder::new().name("read ahead".to_owned());
        // Without it everything takes longer, and is the same.
        let _ = named.spawn(move || advise(&file));
    }
}

/// Memory that is to be had without anything being written to a disk, in bytes.
// proc(5): /proc/meminfo
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(target_os = "linux")]
fn advise(file: &File) -> io::Result<()> {
    use rustix::fs::{Advice, fadvise};
    let mut at = 0;
    while let Some(start) = next_data(file, at)? {
        at = (start / PART + 1) * PART;
        if is_in_memory(file, start) {
            continue;
        }
        each_stretch(file, start..at, |stretch| {
            for from in stretch.clone().step_by(STEP as usize) {
                let len = (stretch.end - from).min(STEP).try_into().ok();
                fadvise(file, from, len, Advice::WillNeed)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether the byte at `at` can be read without a look at the disk.
#[cfg(target_os = "linux")]
fn is_in_memory(file: &File, at: u64) -> bool {
    use std::io::IoSliceMut;

    use rustix::io::{ReadWriteFlags, preadv2};
    let mut byte = [0];
    let to = &mut [IoSliceMut::new(&mut byte)];
    preadv2(file, to, at, ReadWriteFlags::NOWAIT).is_ok()
}

/// Where the file goes on from `at` with what is no hole; `None` at its end.
#[cfg(target_os = "linux")]
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    match seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => Ok(None),
        start => Ok(Some(start?)),
    }
}

/// Calls `visit` with what of a part of a file is no hole, in its order.
#[cfg(target_os = "linux")]
fn each_stretch(
    file: &File,
    part: Range<u64>,
    mut visit: impl FnMut(Range<u64>) -> io::Result<()>,
) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let mut at = part.start;
    while let Some(start) = next_data(file, at)?.filter(|start| *start < part.end) {
        at = seek(file, SeekFrom::Hole(start))?.min(part.end);
        visit(start..at)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_are_passed_over() -> io::Result<()> {
        const MIB: u64 = 1 << 20;
        let file = tempfile::tempfile()?;
        for at in [0, 3 * MIB, 4 * MIB - 1] {
            file.write_all_at(&[1; 9], at)?;
        }
        file.set_len(8 * MIB)?;
        let mut stretches = Vec::new();
        each_stretch(&file, 0..8 * MIB, |stretch| {
            stretches.push(stretch);
            Ok(())
        })?;
        let has = |at: u64| stretches.iter().any(|stretch| stretch.contains(&at));
        assert!(has(8) && has(3 * MIB) && has(4 * MIB + 7), "{stretches:?}");
        // Where files have no holes, all is one stretch.
        let holes = file.metadata()?.blocks() * 512 < 8 * MIB;
        assert_eq!(has(6 * MIB), !holes, "{stretches:?}");
        assert_eq!(next_data(&file, 6 * MIB)?.is_none(), holes);
        let mut first = None;
        each_stretch(&file, MIB..4 * MIB - 2, |stretch| {
            first = first.take().or(Some(stretch));
            Ok(())
        })?;
        let first = first.unwrap_or_default();
        assert!(first.start >= MIB && first.end <= 4 * MIB - 2, "{first:?}");
        assert!(is_in_memory(&file, 0));
        advise(&file)
    }

    #[test]
    fn the_system_says_how_much_memory_there_is() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
