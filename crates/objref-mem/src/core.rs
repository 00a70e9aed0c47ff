//! An ELF core: segments, threads, and what the notes say about the process.

use std::sync::Arc;

use object::elf::{NT_AUXV, NT_PRPSINFO, NT_PRSTATUS, PT_LOAD, PT_NOTE};

use crate::addr::Addr;
use crate::arch::{self, Arch};
use crate::bytes::available;
use crate::elf::{ElfKind, Header, Permissions, ProgramHeader};
use crate::error::CoreError;
use crate::input::Input;
use crate::notes::{CoreNotes, MappedFile, ProcessInfo, SignalInfo, Thread};

const AT_PAGESZ: u64 = 6;

/// A part of the process's memory as the core describes it: one `PT_LOAD`.
///
/// `present <= file_size <= mem_size`, and `addr + mem_size` does not overflow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Segment {
    /// First address.
    pub addr: Addr,
    /// Bytes in the process.
    pub mem_size: u64,
    /// Where its bytes start in the core, decompressed.
    pub file_offset: u64,
    /// Bytes in the core as the program header promises them.
    pub file_size: u64,
    /// Bytes that really are in the core: less than `file_size` when it was truncated.
    pub present: u64,
    /// What the process could do with the memory.
    pub flags: Permissions,
}

/// What the program headers promise beyond the end of the file: the core was truncated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Missing {
    /// Bytes of memory missing in total.
    pub bytes: u64,
    /// The address ranges, first address and length; sorted, adjacent ones merged.
    pub ranges: Vec<(Addr, u64)>,
    /// Bytes of notes missing. gdb writes them last: then threads and registers are lost first.
    pub notes: u64,
}

/// Who wrote the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Writer {
    /// The Linux kernel, when the process crashed.
    Kernel,
    /// gdb: `gcore` or `generate-core-file`.
    Gdb,
    /// QEMU, when a process that it emulates crashed.
    Qemu,
    /// Something else, or a core that lost its notes.
    Other,
}

impl Writer {
    /// A name for reports: `"kernel"`, `"gdb"`, `"qemu"`, `"other"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Gdb => "gdb",
            Self::Qemu => "qemu",
            Self::Other => "other",
        }
    }
}

/// A parsed core. Only headers and notes are read; the memory stays in the mapped file.
#[derive(Debug)]
pub struct Core {
    input: Arc<Input>,
    arch: Arch,
    segments: Vec<Segment>,
    notes: CoreNotes,
    writer: Writer,
    missing: Missing,
}

impl Core {
    /// Reads the headers and notes. A truncated core is fine as long as its headers are there:
    /// see [`Core::missing`]. Damaged notes are skipped: see [`Core::damaged_notes`].
    ///
    /// # Errors
    ///
    /// [`CoreError`]: not ELF, no core, another architecture, headers cut off.
    pub fn parse(input: Arc<Input>) -> Result<Self, CoreError> {
        let data = input.bytes();
        let path = || input.path().to_path_buf();
        let fail = |e| CoreError::from_header(path(), e);
        let header = Header::parse(data).map_err(fail)?;
        if header.kind != ElfKind::Core {
            return Err(CoreError::NotACore {
                path: path(),
                kind: header.kind,
            });
        }
        let Some(arch) = Arch::from_elf(header.machine, header.encoding) else {
            let arch = arch::name_of(header.machine, header.encoding);
            return Err(CoreError::Unsupported { path: path(), arch });
        };
        let program_headers = header.program_headers(data).map_err(fail)?;

        let mut notes = CoreNotes::default();
        let mut segments = Vec::new();
        let mut missing_notes = 0u64;
        for ph in &program_headers {
            if ph.kind == PT_NOTE.0 {
                let present = available(data, ph.offset, ph.filesz);
                missing_notes = missing_notes.saturating_add(ph.filesz - present.len() as u64);
                notes.read(arch, present, ph.align);
            } else if ph.kind == PT_LOAD.0 && ph.memsz.max(ph.filesz) > 0 {
                segments.push(Segment::new(ph, data));
            }
        }
        segments.sort_by_key(|s| s.addr);
        let writer = match notes.first {
            // Where the kernel has the signal.
            [first, _, third] if first == NT_PRSTATUS.0 && third == NT_AUXV.0 => Writer::Qemu,
            [first, ..] if first == NT_PRSTATUS.0 => Writer::Kernel,
            // BFD also gives every segment a section header named "load".
            [first, ..] if first == NT_PRPSINFO.0 && header.shoff != 0 => Writer::Gdb,
            _ => Writer::Other,
        };
        let missing = Missing {
            notes: missing_notes,
            ..Missing::of(&segments)
        };
        Ok(Self {
            input,
            arch,
            segments,
            notes,
            writer,
            missing,
        })
    }

    /// Whether more than memory and threads can be told of the process: see [`Arch::is_supported`].
    ///
    /// # Errors
    ///
    /// [`CoreError::Unsupported`].
    pub fn check_arch(&self) -> Result<(), CoreError> {
        match self.arch.is_supported() {
            true => Ok(()),
            false => Err(CoreError::Unsupported {
                path: self.input.path().to_path_buf(),
                arch: self.arch.name().to_owned(),
            }),
        }
    }

    /// The architecture of the process.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The process's memory, sorted by address. In a malformed core they may overlap.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The threads in the order of their notes. In a kernel core the first is the one that took
    /// the signal; gdb puts the thread it stood in first.
    pub fn threads(&self) -> &[Thread] {
        &self.notes.threads
    }

    /// The value of an auxiliary vector entry (`AT_…`).
    pub fn auxv(&self, key: u64) -> Option<u64> {
        self.notes
            .auxv
            .iter()
            .find(|(k, _)| *k == key)
            .map(|(_, v)| *v)
    }

    /// Bytes of a page in the process.
    pub fn page_size(&self) -> u64 {
        self.auxv(AT_PAGESZ)
            .filter(|n| n.is_power_of_two())
            .unwrap_or(self.arch.default_page_size())
    }

    /// The process's file mappings in the order of the note, which is by address.
    pub fn mapped_files(&self) -> &[MappedFile] {
        &self.notes.files
    }

    /// Name, arguments and id of the process.
    pub fn process(&self) -> Option<&ProcessInfo> {
        self.notes.process.as_ref()
    }

    /// The signal that ended the process.
    pub fn signal(&self) -> Option<&SignalInfo> {
        self.notes.signal.as_ref()
    }

    /// Who wrote the core, by the order of its notes: the kernel and QEMU start with `NT_PRSTATUS`, gdb
    /// with `NT_PRPSINFO`.
    pub fn writer(&self) -> Writer {
        self.writer
    }

    /// What was cut off.
    pub fn missing(&self) -> &Missing {
        &self.missing
    }

    /// Notes that were cut short or made no sense.
    pub fn damaged_notes(&self) -> u32 {
        self.notes.damaged
    }

    /// The core file.
    pub fn input(&self) -> &Arc<Input> {
        &self.input
    }

    /// The bytes at `addr` that the core itself has, without any help from the binary; `None`
    /// when they are not all in one segment. For checking the binary against the core.
    pub fn present_bytes(&self, addr: Addr, len: u64) -> Option<&[u8]> {
        let after = self.segments.partition_point(|s| s.addr <= addr);
        let segment = self.segments[..after].last()?;
        let offset = addr.0 - segment.addr.0;
        if offset.checked_add(len)? > segment.present {
            return None;
        }
        crate::bytes::at(self.input.bytes(), segment.file_offset + offset, len)
    }
}

impl Segment {
    fn new(ph: &ProgramHeader, data: &[u8]) -> Self {
        // A size that would pass the end of the address space is cut there.
        let room = u64::MAX - ph.vaddr;
        let mem_size = ph.memsz.max(ph.filesz).min(room);
        let file_size = ph.filesz.min(mem_size);
        Self {
            addr: Addr(ph.vaddr),
            mem_size,
            file_offset: ph.offset,
            file_size,
            present: available(data, ph.offset, file_size).len() as u64,
            flags: Permissions(ph.flags & 7),
        }
    }
}

impl Missing {
    fn of(sorted: &[Segment]) -> Self {
        let mut missing = Self::default();
        for s in sorted {
            let len = s.file_size - s.present;
            if len == 0 {
                continue;
            }
            let start = s.addr.add(s.present);
            missing.bytes = missing.bytes.saturating_add(len);
            match missing.ranges.last_mut() {
                Some((a, n)) if a.0.checked_add(*n) == Some(start.0) => *n += len,
                _ => missing.ranges.push((start, len)),
            }
        }
        missing
    }
}
