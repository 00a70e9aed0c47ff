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
    each_stretch(file, |stretch| {
        for from in stretch.clone().step_by(STEP as usize) {
            let len = (stretch.end - from).min(STEP).try_into().ok();
            fadvise(file, from, len, Advice::WillNeed)?;
        }
        Ok(())
    })
}

#[cfg(not(target_os = "linux"))]
fn advise(_: &File) -> io::Result<()> {
    Ok(())
}

/// Calls `visit` with the parts of a file that are no holes, in their order.
#[cfg(target_os = "linux")]
fn each_stretch(
    file: &File,
    mut visit: impl FnMut(Range<u64>) -> io::Result<()>,
) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let mut at = 0;
    loop {
        let start = match seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => return Ok(()),
            start => start?,
        };
        at = seek(file, SeekFrom::Hole(start))?;
        visit(start..at)?;
    }
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
        each_stretch(&file, |stretch| {
            stretches.push(stretch);
            Ok(())
        })?;
        let has = |at: u64| stretches.iter().any(|stretch| stretch.contains(&at));
        assert!(has(8) && has(3 * MIB) && has(4 * MIB + 7), "{stretches:?}");
        // Where files have no holes, all is one stretch.
        let holes = file.metadata()?.blocks() * 512 < 8 * MIB;
        assert_eq!(has(6 * MIB), !holes, "{stretches:?}");
        advise(&file)
    }

    #[test]
    fn the_system_says_how_much_memory_there_is() {
        assert!(available().is_some_and(|bytes| bytes > 1 << 20));
    }
}
