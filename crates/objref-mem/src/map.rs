//! The one place of the workspace with `unsafe`: mapping a file into memory, what the kernel does to
//! those who read a mapped file that has gone, memory in large pages, memory that is a file's, memory
//! that is fetched before it is needed, and memory that stays where it is when threads are done with it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use bytemuck::Zeroable;
use memmap2::{Mmap, MmapMut};

use crate::read_ahead::read_ahead;
use crate::spill;
use crate::watch::{self, Watch};

/// A file in memory, watched for as long as it is there; or bytes of no file.
#[derive(Debug)]
pub(crate) struct Map {
    // Dropped first: nothing is read any more.
    bytes: Mmap,
    watch: Option<Watch>,
}

impl Map {
    /// A copy of `bytes`. Pages of zeros stay untouched, which costs no memory.
    pub(crate) fn of_bytes(bytes: &[u8]) -> io::Result<Map> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut map = MmapMut::map_anon(bytes.len())?;
        let pages = map.chunks_mut(ZEROS.len()).zip(bytes.chunks(ZEROS.len()));
        for (to, from) in pages.filter(|(_, from)| *from != &ZEROS[..from.len()]) {
            to.copy_from_slice(from);
        }
        Ok(Map {
            bytes: map.make_read_only()?,
            watch: None,
        })
    }
}

impl Map {
    /// Has the system read the file into memory, if there is room for it. Returns at once.
    pub(crate) fn read_ahead(&self) {
        if let Some(Ok(file)) = self.watch.as_ref().map(Watch::file) {
            read_ahead(file);
        }
    }
}

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Maps the whole of `file` read-only; `name` is for messages. An empty file gives an empty map.
///
/// The pages are loaded when they are first read, so the cost does not depend on the size.
///
/// # Errors
///
/// Whatever `fstat` and `mmap` report, for example `ENODEV` for something that cannot be mapped.
#[allow(unsafe_code)]
pub(crate) fn map_file(file: File, name: &Path) -> io::Result<Map> {
    // SAFETY: the map is private and read-only and its bytes are only ever copied out or parsed
    // as integers and UTF-8 with checks, so any content is fine. What Rust cannot rule out is
    // another process that changes the file under us. If it overwrites bytes, we may see old and
    // new bytes mixed: wrong numbers, no undefined layout, since no reference to anything but
    // `u8` is made and every length that was read is checked where it is used; that the file has
    // changed is known in the end (`inputs_unchanged`). If it truncates the file, touching a page
    // behind the new end raises SIGBUS, which ends the process (`end_cleanly_on_signals`).
    let bytes = unsafe { Mmap::map(&file)? };
    let watch = Watch::new(file, name, bytes.as_ptr_range())?;
    Ok(Map {
        bytes,
        watch: Some(watch),
    })
}

/// What was to be done about each signal before us; SIGBUS first.
static BEFORE: [(libc::c_int, OnceLock<libc::sigaction>); 4] = [
    (libc::SIGBUS, OnceLock::new()),
    (libc::SIGINT, OnceLock::new()),
    (libc::SIGTERM, OnceLock::new()),
    (libc::SIGHUP, OnceLock::new()),
];

/// For programs: from now on a signal leaves no [`Unfinished`](crate::Unfinished) file behind.
///
/// Reading an [`Input`](crate::Input) whose file was cut short meanwhile raises SIGBUS, which
/// then is one line on standard error and exit status 3. Any other SIGBUS, and SIGINT, SIGTERM and
/// SIGHUP, end the process as before; those that are ignored remain so.
#[allow(unsafe_code)]
pub fn end_cleanly_on_signals() {
    for (signal, before) in &BEFORE {
        // SAFETY: both structs are plain C, for which all zeros is a value, and live through the
        // calls; the handler has the signature that SA_SIGINFO asks for.
        unsafe {
            let mut found: libc::sigaction = MaybeUninit::zeroed().assume_init();
            if libc::sigaction(*signal, ptr::null(), &raw mut found) != 0
                || found.sa_sigaction == libc::SIG_IGN
                || before.set(found).is_err()
            {
                continue;
            }
            let mut ours: libc::sigaction = MaybeUninit::zeroed().assume_init();
            ours.sa_sigaction = on_signal as *const () as libc::sighandler_t;
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(*signal, &raw const ours, ptr::null_mut());
        }
    }
}

/// Only what signal-safety(7) allows: no lock, no allocation; lists of which links are only added.
#[allow(unsafe_code)]
extern "C" fn on_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    static ENDING: AtomicBool = AtomicBool::new(false);
    // SAFETY: the kernel hands a valid `siginfo_t` to a handler with SA_SIGINFO, and it has an
    // address where SIGBUS comes from the kernel, that is, with a positive code. The lines and
    // paths that are passed on live as long as the process, and paths end with a NUL. Everything
    // called is on the list of signal-safety(7).
    unsafe {
        let fault = (signal == libc::SIGBUS && (*info).si_code > 0).then(|| (*info).si_addr());
        let line = fault.and_then(|at| watch::line_about(at as usize));
        if ENDING.swap(true, Ordering::AcqRel) {
            // Another thread is about to end us.
            loop {
                libc::pause();
            }
        }
        watch::each_unfinished(|path| {
            libc::unlink(path.as_ptr());
        });
        if let Some(line) = line {
            // Nobody is left to be told that it cannot be written.
            let _ = libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
            libc::_exit(3);
        }
        if fault.is_some() {
            // It happens again when we return, and whoever was there before us sees to it.
            if let Some(before) = BEFORE[0].1.get() {
                libc::sigaction(signal, before, ptr::null_mut());
            }
            ENDING.store(false, Ordering::Release);
        } else {
            // Somebody sent it: it is delivered again when we return.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

/// Has the processor fetch the line of `byte` while it goes on: who reads it soon after need not wait as long.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn prefetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which changes nothing that a program can see, and the address is that of a byte.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(byte).cast()) };
    }
    // No more than a load that nobody waits for.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}

/// Size of a large page, and where one can start.
const LARGE_PAGE: usize = 2 << 20;

/// An empty vector with room for `len`, in large pages where the system has them.
///
/// For columns that are read all over: in pages of 4 KiB the processor spends more time on finding out where a page is
/// than on what it came for.
pub fn room<T>(len: usize) -> Vec<T> {
    let room = Vec::with_capacity(len);
    in_large_pages(&room);
    room
}

/// `len` zeros, in large pages as [`room`] is. They take no memory until they are written to, by whatever thread.
pub fn zeros<T: Zeroable>(len: usize) -> Vec<T> {
    let zeros = bytemuck::zeroed_vec(len);
    in_large_pages(&zeros);
    zeros
}

/// The numbers as they are now, where they lie: no other thread can change them any more.
#[allow(unsafe_code)]
pub fn settled(numbers: Vec<AtomicU16>) -> Vec<u16> {
    let mut numbers = ManuallyDrop::new(numbers);
    let (start, len, capacity) = (numbers.as_mut_ptr(), numbers.len(), numbers.capacity());
    // SAFETY: an atomic number has the size, alignment and bits of a plain one, and who had these gave them away.
    unsafe { Vec::from_raw_parts(start.cast(), len, capacity) }
}

/// Asks for large pages for memory that nobody has written to yet.
// Linux, Documentation/admin-guide/mm/transhuge.rst
#[allow(unsafe_code)]
fn in_large_pages<T>(room: &Vec<T>) {
    let start = room.as_ptr().addr().next_multiple_of(LARGE_PAGE);
    let end = room.as_ptr().addr() + room.capacity() * size_of::<T>();
    let bytes = end.saturating_sub(start) / LARGE_PAGE * LARGE_PAGE;
    #[cfg(target_os = "linux")]
    if bytes > 0 && size_of::<T>() > 0 {
        let first = room
            .as_ptr()
            .wrapping_byte_add(start - room.as_ptr().addr());
        // SAFETY: whole pages inside of an allocation that is borrowed here; the advice changes nothing but how the system
        // backs them. Whether it is followed does not matter.
        unsafe { libc::madvise(first.cast_mut().cast(), bytes, libc::MADV_HUGEPAGE) };
    }
}

/// The program's allocator: the system's, but what is above the limit of [`limit_memory`](crate::limit_memory) lies in a file.
#[derive(Clone, Copy, Debug)]
pub struct Spilling;

/// Addresses that are kept free for the file: more than it will ever be, as none is used twice.
pub(crate) const ROOM: usize = 1 << 42;

// SAFETY: a piece comes either from the system's allocator, to which it goes back, or is a part of the reserved addresses
// which is given out once, has a place of its own in the file, and is as long as was asked for, at a page's start; what is
// cut off its end is not used again.
// Which of both it is is told by its address. Nothing here allocates or panics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Spilling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match in_file(layout) {
            Some(piece) => piece,
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match in_file(layout) {
            // What was never written to in a file is zero.
            Some(piece) => piece,
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if layout.size() >= spill::COUNTED {
            if let Some((file, offset)) = spill::place(piece.addr()) {
                drop_pages(file, offset, piece, layout.size());
                spill::give_back(layout.size());
                return;
            }
            spill::freed(layout.size());
        }
        // SAFETY: it came from there, as all pieces do that are not in the file.
        unsafe { System.dealloc(piece, layout) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let small = layout.size().max(size) < spill::COUNTED;
        if small || spill::place(piece.addr()).is_none() && spill::may_grow(layout.size(), size) {
            // SAFETY: the caller's promise is passed on; the piece came from there.
            return unsafe { System.realloc(piece, layout, size) };
        }
        if let Some((file, offset)) = spill::place(piece.addr())
            && (spill::COUNTED..=layout.size()).contains(&size)
        {
            // It stays where it is, without its end.
            let [kept, had] = [size, layout.size()].map(|n| n.next_multiple_of(spill::PAGE));
            if kept < had {
                drop_pages(file, offset + kept, piece.wrapping_add(kept), had - kept);
                spill::give_back(had - kept);
            }
            return piece;
        }
        // SAFETY: the caller promises that the size is one that a layout may have; both pieces are as long as what is copied,
        // and do not overlap, as both are in use.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(piece, new, size.min(layout.size()));
                self.dealloc(piece, layout);
            }
            new
        }
    }
}

/// A piece in the file, if that is where it belongs.
#[allow(unsafe_code)]
fn in_file(layout: Layout) -> Option<*mut u8> {
    if layout.size() < spill::COUNTED || layout.align() > spill::PAGE {
        return None;
    }
    let (file, offset, address) = spill::take(layout.size())?;
    let place = ptr::without_provenance_mut::<libc::c_void>(address);
    // SAFETY: the addresses are reserved for this file, and for this piece alone; the file is as long, since its room was
    // taken just now, and nobody else knows it.
    let piece = unsafe {
        libc::mmap(
            place,
            layout.size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_FIXED,
            file,
            offset as libc::off_t,
        )
    };
    if piece == libc::MAP_FAILED {
        spill::stays(layout.size());
        return None;
    }
    Some(piece.cast())
}

/// From now on the system's allocator gives back at once what was a piece of this size or more, instead of keeping it for
/// others. Unless told it learns to keep ever larger ones.
// mallopt(3): M_MMAP_THRESHOLD
#[allow(unsafe_code)]
pub fn give_back_from(size: usize) {
    // SAFETY: a call with numbers, which only changes where later pieces come from.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, size as libc::c_int);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = size;
}

/// Keeps addresses free; returns the first of them.
#[allow(unsafe_code)]
pub(crate) fn reserve() -> io::Result<usize> {
    // SAFETY: new addresses, which nobody can read or write.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            ROOM,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    match start == libc::MAP_FAILED {
        true => Err(io::Error::last_os_error()),
        false => Ok(start.expose_provenance()),
    }
}

/// Takes room on the disk for a part of a file; whether there is any.
#[allow(unsafe_code)]
pub(crate) fn allocate(file: libc::c_int, offset: usize, size: usize) -> bool {
    // SAFETY: a call with numbers; the file is open as long as the process lives.
    unsafe { libc::fallocate(file, 0, offset as libc::off_t, size as libc::off_t) == 0 }
}

/// Gives back what a part of the file has of memory and disk.
#[allow(unsafe_code)]
fn drop_pages(file: libc::c_int, offset: usize, piece: *mut u8, size: usize) {
    let size = size.next_multiple_of(spill::PAGE);
    // SAFETY: the piece is not used any more, and the addresses remain reserved. That either fails costs room, no more.
    unsafe {
        libc::mmap(
            piece.cast(),
            size,
            libc::PROT_NONE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
            -1,
            0,
        );
        let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        libc::fallocate(file, hole, offset as libc::off_t, size as libc::off_t);
    }
}

/// Whether the file is one of a file system that is in memory.
#[allow(unsafe_code)]
pub(crate) fn is_in_memory(file: &File) -> io::Result<bool> {
    // SAFETY: a plain C struct, for which all zeros is a value, and which lives through the call.
    unsafe {
        let mut found: libc::statfs = MaybeUninit::zeroed().assume_init();
        if libc::fstatfs(file.as_raw_fd(), &raw mut found) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(found.f_type == libc::TMPFS_MAGIC || found.f_type == RAMFS_MAGIC)
    }
}

// Linux, include/uapi/linux/magic.h
const RAMFS_MAGIC: libc::c_long = 0x8584_58f6;
