//! Files that others may change while we read them, and files of ours that must not stay behind.
//!
//! Both are known to the whole process, in lists that a signal handler may walk at any moment: links
//! are added and never removed, and reading one is no more than a load.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::input::InputError;

/// A list that only grows. Its links are never freed: some bytes for each file that was opened.
struct Chain<T: 'static>(OnceLock<&'static Link<T>>);

struct Link<T: 'static> {
    value: T,
    next: Chain<T>,
}

impl<T: Sync> Chain<T> {
    fn push(&self, value: T) -> &'static T {
        let link: &'static Link<T> = Box::leak(Box::new(Link {
            value,
            next: Chain(OnceLock::new()),
        }));
        let mut end = self;
        while end.0.set(link).is_err() {
            match end.0.get() {
                Some(taken) => end = &taken.next,
                None => std::hint::spin_loop(),
            }
        }
        &link.value
    }

    fn iter(&self) -> impl Iterator<Item = &'static T> {
        std::iter::successors(self.0.get(), |link| link.next.0.get()).map(|link| &link.value)
    }
}

static INPUTS: Chain<Watched> = Chain(OnceLock::new());
static UNFINISHED: Chain<Left> = Chain(OnceLock::new());

/// A file that is, or was, mapped.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What to say when it has gone.
    line: Vec<u8>,
    start: AtomicUsize,
    /// 0 once it is mapped no longer.
    end: AtomicUsize,
    /// While it is open: the file, and what it was like at first.
    file: Mutex<Option<(File, Stamp)>>,
    changed: AtomicBool,
}

/// What changes when somebody writes into a file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Stamp {
        Stamp {
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

impl Watched {
    /// Looks at the file again, if it is still open.
    fn look(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((file, before)) = &*file
            && file.metadata().is_ok_and(|now| Stamp::of(&now) != *before)
        {
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}

/// Watches a mapped file as long as it lives.
#[derive(Debug)]
pub(crate) struct Watch(&'static Watched);

impl Watch {
    /// `file` is mapped at `bytes`.
    pub(crate) fn new(file: File, path: &Path, bytes: Range<*const u8>) -> io::Result<Watch> {
        let before = Stamp::of(&file.metadata()?);
        let name: String = path
            .to_string_lossy()
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        let line = format!(
            "objref: {name}: cannot be read any more: it was cut short while it was in use, or its disk fails; \
             try again with a copy that nobody changes\n"
        );
        Ok(Watch(INPUTS.push(Watched {
            path: path.to_owned(),
            line: line.into_bytes(),
            start: AtomicUsize::new(bytes.start as usize),
            end: AtomicUsize::new(bytes.end as usize),
            file: Mutex::new(Some((file, before))),
            changed: AtomicBool::new(false),
        })))
    }
}

impl Watch {
    /// The file.
    pub(crate) fn file(&self) -> io::Result<File> {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        match &*file {
            Some((file, _)) => file.try_clone(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.end.store(0, Ordering::Release);
        self.0.look();
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        *file = None;
    }
}

/// What to say of the file that is mapped at `address`. For signal handlers.
pub(crate) fn line_about(address: usize) -> Option<&'static [u8]> {
    let hit = INPUTS.iter().find(|input| {
        let end = input.end.load(Ordering::Acquire);
        (input.start.load(Ordering::Relaxed)..end).contains(&address)
    })?;
    Some(&hit.line)
}

/// Whether all files that were opened as inputs, closed ones included, are as they were then. To be
/// asked before what was found in them is given away.
///
/// # Errors
///
/// [`InputError::Changed`], with the first one that is not.
pub fn inputs_unchanged() -> Result<(), InputError> {
    for input in INPUTS.iter() {
        input.look();
        if input.changed.load(Ordering::Relaxed) {
            let path = input.path.clone();
            return Err(InputError::Changed { path });
        }
    }
    Ok(())
}

/// A file that is removed when a signal ends the process: see
/// [`end_cleanly_on_signals`](crate::end_cleanly_on_signals). Drop it when the file is complete.
#[derive(Debug)]
pub struct Unfinished(&'static Left);

#[derive(Debug)]
struct Left {
    path: CString,
    unfinished: AtomicBool,
}

impl Unfinished {
    /// The file at `path`.
    pub fn new(path: &Path) -> Unfinished {
        Unfinished(UNFINISHED.push(Left {
            // No path of a file that exists has a NUL in it.
            path: CString::new(path.as_os_str().as_bytes()).unwrap_or_default(),
            unfinished: AtomicBool::new(true),
        }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.unfinished.store(false, Ordering::Release);
    }
}

/// The files that are unfinished now. For signal handlers.
pub(crate) fn each_unfinished(mut visit: impl FnMut(&'static CStr)) {
    for file in UNFINISHED.iter() {
        if file.unfinished.load(Ordering::Acquire) {
            visit(&file.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_keep_what_threads_add() {
        static CHAIN: Chain<usize> = Chain(OnceLock::new());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    (0..100)
                        .for_each(|i| assert_eq!(*CHAIN.push(thread * 100 + i), thread * 100 + i))
                });
            }
        });
        let mut all: Vec<usize> = CHAIN.iter().copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..400));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri maps no files")]
    fn only_addresses_of_what_is_mapped_have_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a\x1bb");
        std::fs::write(&path, [7; 5000]).unwrap();
        let map = crate::map::map_file(File::open(&path).unwrap(), &path).unwrap();
        let at = map.as_ptr() as usize;
        let line = line_about(at + 4999).unwrap();
        assert!(line.ends_with(b"\n") && !line.contains(&0x1b));
        assert!(line_about(at + 5000).is_none_or(|other| other != line));
        drop(map);
        assert!(line_about(at).is_none_or(|other| other != line));
    }
}
