//! ELF notes: the framing, and what the kernel and gdb put into those of a core.

use object::elf::{NT_ARM_TLS, NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS, NT_SIGINFO};

use crate::addr::Addr;
use crate::arch::Arch;
use crate::bytes::{at, until_nul};
use crate::encoding::Encoding;
use crate::registers::Registers;

/// One note: owner, type, descriptor.
pub(crate) struct Note<'a> {
    /// Without the NUL at the end.
    pub(crate) name: &'a [u8],
    pub(crate) kind: u32,
    pub(crate) desc: &'a [u8],
}

impl Note<'_> {
    pub(crate) fn is_gnu_build_id(&self) -> bool {
        self.name == b"GNU" && self.kind == 3
    }

    // cmd/link/internal/ld/elf.go: ELF_NOTE_GOBUILDID_TAG
    pub(crate) fn is_go_build_id(&self) -> bool {
        self.name == b"Go" && self.kind == 4
    }
}

/// Iterates over the notes of one segment or section; ends at the first that does not fit.
pub(crate) struct Notes<'a> {
    data: &'a [u8],
    encoding: Encoding,
    align: u64,
    damaged: bool,
}

impl<'a> Notes<'a> {
    /// `align` is the segment's: 8 for some GNU notes, everything else means 4.
    pub(crate) fn new(data: &'a [u8], align: u64, encoding: Encoding) -> Self {
        Self {
            data,
            encoding,
            align: if align == 8 { 8 } else { 4 },
            damaged: false,
        }
    }

    /// Whether the iteration ended because a note reaches beyond the data.
    pub(crate) fn damaged(&self) -> bool {
        self.damaged
    }

    fn parse(&self) -> Option<(Note<'a>, u64)> {
        let name_len = u64::from(self.encoding.u32(self.data, 0)?);
        let desc_len = u64::from(self.encoding.u32(self.data, 4)?);
        let kind = self.encoding.u32(self.data, 8)?;
        // The lengths are 32 bits wide: no sum of them overflows.
        let desc_at = (12 + name_len).next_multiple_of(self.align);
        let name = until_nul(at(self.data, 12, name_len)?);
        let desc = at(self.data, desc_at, desc_len)?;
        Some((
            Note { name, kind, desc },
            (desc_at + desc_len).next_multiple_of(self.align),
        ))
    }
}

impl<'a> Iterator for Notes<'a> {
    type Item = Note<'a>;

    fn next(&mut self) -> Option<Note<'a>> {
        if self.data.is_empty() {
            return None;
        }
        let Some((note, len)) = self.parse() else {
            self.damaged = true;
            self.data = &[];
            return None;
        };
        self.data = usize::try_from(len)
            .ok()
            .and_then(|n| self.data.get(n..))
            .unwrap_or(&[]);
        Some(note)
    }
}

/// One thread (a kernel task) of the dumped process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Thread {
    /// The kernel's thread id (`gettid`), which is the Go runtime's `m.procid`.
    pub tid: u32,
    /// The signal the thread was taking, 0 for none (`pr_cursig`).
    pub signal: u16,
    /// Its registers when it was stopped.
    pub regs: Registers,
}

/// One mapping of a file, from `NT_FILE`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MappedFile {
    /// First address.
    pub start: Addr,
    /// The address after the last.
    pub end: Addr,
    /// Offset in the file of the byte at `start`, in bytes.
    pub file_offset: u64,
    /// As the kernel names it; may end in ` (deleted)`.
    pub path: String,
}

/// The process, from `NT_PRPSINFO`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The process id.
    pub pid: u32,
    /// The command's name, at most 15 bytes of it.
    pub name: String,
    /// The command line, arguments separated by spaces, at most 79 bytes of it.
    pub args: String,
}

/// The signal that ended the process, from `NT_SIGINFO`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SignalInfo {
    /// The signal's number; 0 when a debugger took the dump from a process that went on.
    pub signo: i32,
    /// `si_code`: who sent it; positive values come from the kernel.
    pub code: i32,
    /// The address of the fault, for the signals that have one and came from the kernel.
    pub addr: Option<Addr>,
}

/// Everything we know from the notes of a core.
#[derive(Debug, Default)]
pub(crate) struct CoreNotes {
    pub(crate) threads: Vec<Thread>,
    pub(crate) auxv: Vec<(u64, u64)>,
    pub(crate) files: Vec<MappedFile>,
    pub(crate) process: Option<ProcessInfo>,
    pub(crate) signal: Option<SignalInfo>,
    /// The types of the first notes, which tell the writer; 0 where there are fewer.
    pub(crate) first: [u32; 3],
    /// Notes that were cut short or made no sense.
    pub(crate) damaged: u32,
}

impl CoreNotes {
    /// Adds the notes of one `PT_NOTE` segment.
    pub(crate) fn read(&mut self, arch: Arch, data: &[u8], align: u64) {
        let e = arch.encoding();
        let mut notes = Notes::new(data, align, e);
        for note in &mut notes {
            if let Some(unset) = self.first.iter_mut().find(|kind| **kind == 0) {
                *unset = note.kind;
            }
            let understood = match (note.name, note.kind) {
                (b"CORE", k) if k == NT_PRSTATUS.0 => self.thread(arch, note.desc),
                (b"CORE", k) if k == NT_PRPSINFO.0 => self.process(arch, note.desc),
                (b"CORE", k) if k == NT_SIGINFO.0 => self.signal(e, note.desc),
                (b"CORE", k) if k == NT_AUXV.0 => self.auxv(e, note.desc),
                (b"CORE", k) if k == NT_FILE.0 => self.mapped_files(e, note.desc),
                (b"LINUX", k) if k == NT_ARM_TLS.0 => self.arm_tls(e, note.desc),
                _ => Some(()),
            };
            self.damaged += u32::from(understood.is_none());
        }
        self.damaged += u32::from(notes.damaged());
    }

    // struct elf_prstatus: siginfo 12, cursig u16 @12, then two words, pid ppid pgrp sid u32, four pairs
    // of words, regs.
    fn thread(&mut self, arch: Arch, desc: &[u8]) -> Option<()> {
        let e = arch.encoding();
        let pid = 16 + 2 * e.word_size();
        let regs = pid + 16 + 8 * e.word_size();
        let signal = e.u16(desc, 12)?;
        let tid = e.u32(desc, pid)?;
        let regs = Registers::parse(arch, desc.get(regs as usize..)?)?;
        self.threads.push(Thread { tid, signal, regs });
        Some(())
    }

    // The notes of a thread follow its NT_PRSTATUS.
    fn arm_tls(&mut self, e: Encoding, desc: &[u8]) -> Option<()> {
        let base = e.word(desc, 0)?;
        self.threads.last_mut()?.regs.set_tls_base(base);
        Some(())
    }

    // struct elf_prpsinfo: 4 chars, flag word, uid gid, pid ppid pgrp sid u32, fname[16], psargs[80].
    fn process(&mut self, arch: Arch, desc: &[u8]) -> Option<()> {
        let text = |offset, len| {
            let raw = until_nul(at(desc, offset, len)?);
            Some(String::from_utf8_lossy(raw).trim_end().to_owned())
        };
        let e = arch.encoding();
        let at = 2 * e.word_size() + 2 * arch.user_id_size();
        let pid = e.u32(desc, at)?;
        let info = ProcessInfo {
            pid,
            name: text(at + 16, 16)?,
            args: text(at + 32, 80)?,
        };
        self.process.get_or_insert(info);
        Some(())
    }

    // siginfo_t: signo, errno, code i32, a union aligned to words.
    fn signal(&mut self, e: Encoding, desc: &[u8]) -> Option<()> {
        const FAULTS: [i32; 5] = [4, 5, 7, 8, 11]; // ILL TRAP BUS FPE SEGV
        let signo = e.i32(desc, 0)?;
        let code = e.i32(desc, 8)?;
        let addr = e.word(desc, 12u64.next_multiple_of(e.word_size()))?;
        let addr = (FAULTS.contains(&signo) && code > 0).then_some(Addr(addr));
        self.signal.get_or_insert(SignalInfo { signo, code, addr });
        Some(())
    }

    fn auxv(&mut self, e: Encoding, desc: &[u8]) -> Option<()> {
        let mut words = e.words(desc);
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == 0 {
                break;
            }
            self.auxv.push((key, value));
        }
        Some(())
    }

    // Words: count, page size, count × (start, end, offset in pages); count × name with NUL.
    fn mapped_files(&mut self, e: Encoding, desc: &[u8]) -> Option<()> {
        let word = e.word_size();
        let count = e.word(desc, 0)?;
        let page_size = e.word(desc, word)?;
        let table = at(desc, 2 * word, count.checked_mul(3 * word)?)?;
        let mut names = desc.get(2 * word as usize + table.len()..)?;
        for entry in table.chunks_exact(3 * word as usize) {
            let path = until_nul(names);
            names = names.get(path.len() + 1..).unwrap_or(&[]);
            self.files.push(MappedFile {
                start: Addr(e.word(entry, 0)?),
                end: Addr(e.word(entry, word)?),
                file_offset: e.word(entry, 2 * word)?.wrapping_mul(page_size),
                path: String::from_utf8_lossy(path).into_owned(),
            });
        }
        Some(())
    }
}
