//! The ELF headers that cores and images share: 64-bit, little-endian, lengths not trusted.

use std::fmt;

use object::elf::{
    ELFCLASS64, ELFDATA2LSB, EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64,
    ET_CORE, ET_DYN, ET_EXEC, PN_XNUM, PT_NOTE,
};

use crate::bytes::{self, at};

/// The kind of an ELF file, from its header's `e_type`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ElfKind {
    /// `ET_CORE`: a dump of a process.
    Core,
    /// `ET_EXEC`: an executable at fixed addresses.
    Executable,
    /// `ET_DYN`: a shared object or a position-independent executable.
    SharedObject,
    /// Anything else, with its `e_type`; 1 is a relocatable object file.
    Other(u16),
}

impl fmt::Display for ElfKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core => f.write_str("a core"),
            Self::Executable => f.write_str("an executable"),
            Self::SharedObject => f.write_str("a shared object or position-independent executable"),
            Self::Other(1) => f.write_str("a relocatable object file"),
            Self::Other(n) => write!(f, "an ELF file of type {n}"),
        }
    }
}

/// What a mapping may be used for: the low bits of `p_flags`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Permissions(pub u32);

impl Permissions {
    /// `PF_R`
    pub const fn readable(self) -> bool {
        self.0 & 4 != 0
    }
    /// `PF_W`
    pub const fn writable(self) -> bool {
        self.0 & 2 != 0
    }
    /// `PF_X`
    pub const fn executable(self) -> bool {
        self.0 & 1 != 0
    }
    /// None of them: a reservation (`PROT_NONE`).
    pub const fn none(self) -> bool {
        self.0 & 7 == 0
    }
}

impl fmt::Display for Permissions {
    /// As in `/proc/PID/maps`: `rw-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |on, c| if on { c } else { '-' };
        write!(
            f,
            "{}{}{}",
            bit(self.readable(), 'r'),
            bit(self.writable(), 'w'),
            bit(self.executable(), 'x')
        )
    }
}

/// What is wrong with the headers; the callers add the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    NotElf,
    Unsupported(String),
    BeyondEof {
        what: &'static str,
        end: u64,
        size: u64,
    },
    Malformed(&'static str),
}

/// The parts of the file header that we use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) kind: ElfKind,
    pub(crate) machine: u16,
    pub(crate) entry: u64,
    pub(crate) phoff: u64,
    phentsize: u16,
    phnum: u16,
    pub(crate) shoff: u64,
    shentsize: u16,
    shnum: u16,
    shstrndx: u16,
}

/// One program header, as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) vaddr: u64,
    pub(crate) filesz: u64,
    pub(crate) memsz: u64,
    pub(crate) align: u64,
}

/// One section header, as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SectionHeader {
    pub(crate) name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) addr: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
    pub(crate) align: u64,
}

const HEADER_SIZE: u64 = 64;
const SECTION_HEADER_SIZE: u64 = 64;

/// The kind by the first bytes, in either byte order; `None` when it is not ELF.
pub(crate) fn kind(data: &[u8]) -> Option<ElfKind> {
    if data.get(..4)? != b"\x7fELF" {
        return None;
    }
    let raw = at(data, 16, 2)?;
    let kind = if data[5] == 2 {
        u16::from_be_bytes([raw[0], raw[1]])
    } else {
        u16::from_le_bytes([raw[0], raw[1]])
    };
    Some(match kind {
        k if k == ET_CORE.0 => ElfKind::Core,
        k if k == ET_EXEC.0 => ElfKind::Executable,
        k if k == ET_DYN.0 => ElfKind::SharedObject,
        other => ElfKind::Other(other),
    })
}

/// The name of a machine for messages.
pub(crate) fn machine_name(machine: u16) -> String {
    let names = [
        (EM_X86_64, "amd64"),
        (EM_AARCH64, "arm64"),
        (EM_386, "386"),
        (EM_ARM, "arm"),
        (EM_PPC64, "ppc64"),
        (EM_RISCV, "riscv64"),
        (EM_S390, "s390x"),
    ];
    match names.iter().find(|(m, _)| m.0 == machine) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("machine {machine}"),
    }
}

impl Header {
    pub(crate) fn parse(data: &[u8]) -> Result<Self, HeaderError> {
        let size = data.len() as u64;
        if data.get(..4) != Some(b"\x7fELF") {
            return Err(HeaderError::NotElf);
        }
        let cut = || HeaderError::BeyondEof {
            what: "file header",
            end: HEADER_SIZE,
            size,
        };
        let kind = kind(data).ok_or_else(cut)?;
        if data[4] != ELFCLASS64.0 {
            return Err(HeaderError::Unsupported("a 32-bit ELF file".into()));
        }
        if data[5] != ELFDATA2LSB.0 {
            return Err(HeaderError::Unsupported("a big-endian ELF file".into()));
        }
        let parse = || {
            at(data, 0, HEADER_SIZE)?;
            Some(Self {
                kind,
                machine: bytes::u16(data, 18)?,
                entry: bytes::u64(data, 24)?,
                phoff: bytes::u64(data, 32)?,
                shoff: bytes::u64(data, 40)?,
                phentsize: bytes::u16(data, 54)?,
                phnum: bytes::u16(data, 56)?,
                shentsize: bytes::u16(data, 58)?,
                shnum: bytes::u16(data, 60)?,
                shstrndx: bytes::u16(data, 62)?,
            })
        };
        parse().ok_or_else(cut)
    }

    /// All program headers. When there are more than 65,534, their number is in section header 0;
    /// the kernel writes that last, so a truncated core has lost it: then the table is taken to
    /// end where the notes begin, as the kernel lays it out.
    pub(crate) fn program_headers(&self, data: &[u8]) -> Result<Vec<ProgramHeader>, HeaderError> {
        if self.phnum == 0 {
            return Ok(Vec::new());
        }
        let stride = u64::from(self.phentsize);
        if stride < ProgramHeader::SIZE {
            return Err(HeaderError::Malformed(
                "program headers of an impossible size",
            ));
        }
        let entry = |i: u64| {
            let offset = self.phoff.checked_add(i.checked_mul(stride)?)?;
            ProgramHeader::parse(at(data, offset, ProgramHeader::SIZE)?)
        };
        let size = data.len() as u64;
        let beyond = |end| HeaderError::BeyondEof {
            what: "program headers",
            end,
            size,
        };
        let count = if u64::from(self.phnum) == u64::from(PN_XNUM) {
            let zero = self.section_header(data, 0).filter(|s| s.info != 0);
            let by_notes = || {
                let first = entry(0).filter(|p| p.kind == PT_NOTE.0)?;
                Some(first.offset.checked_sub(self.phoff)? / stride)
            };
            zero.map(|s| u64::from(s.info))
                .or_else(by_notes)
                .ok_or_else(|| beyond(self.shoff.saturating_add(SECTION_HEADER_SIZE)))?
        } else {
            u64::from(self.phnum)
        };
        let end = count
            .checked_mul(stride)
            .and_then(|n| n.checked_add(self.phoff));
        match end {
            Some(end) if end <= size => {}
            end => return Err(beyond(end.unwrap_or(u64::MAX))),
        }
        Ok((0..count).map_while(entry).collect())
    }

    fn section_header(&self, data: &[u8], i: u64) -> Option<SectionHeader> {
        let stride = u64::from(self.shentsize);
        if self.shoff == 0 || stride < SECTION_HEADER_SIZE {
            return None;
        }
        let offset = self.shoff.checked_add(i.checked_mul(stride)?)?;
        SectionHeader::parse(at(data, offset, SECTION_HEADER_SIZE)?)
    }

    /// The section headers that are there, and the index of the one with their names.
    pub(crate) fn section_headers(&self, data: &[u8]) -> (Vec<SectionHeader>, u32) {
        let Some(zero) = self.section_header(data, 0) else {
            return (Vec::new(), 0);
        };
        let count = if self.shnum == 0 {
            zero.size
        } else {
            u64::from(self.shnum)
        };
        let names = if self.shstrndx == u16::MAX {
            zero.link
        } else {
            self.shstrndx.into()
        };
        // `map_while` ends at the end of the file, which bounds a wild count.
        (
            (0..count)
                .map_while(|i| self.section_header(data, i))
                .collect(),
            names,
        )
    }
}

impl ProgramHeader {
    pub(crate) const SIZE: u64 = 56;

    pub(crate) fn parse(raw: &[u8]) -> Option<Self> {
        Some(Self {
            kind: bytes::u32(raw, 0)?,
            flags: bytes::u32(raw, 4)?,
            offset: bytes::u64(raw, 8)?,
            vaddr: bytes::u64(raw, 16)?,
            filesz: bytes::u64(raw, 32)?,
            memsz: bytes::u64(raw, 40)?,
            align: bytes::u64(raw, 48)?,
        })
    }
}

impl SectionHeader {
    fn parse(raw: &[u8]) -> Option<Self> {
        Some(Self {
            name: bytes::u32(raw, 0)?,
            kind: bytes::u32(raw, 4)?,
            flags: bytes::u64(raw, 8)?,
            addr: bytes::u64(raw, 16)?,
            offset: bytes::u64(raw, 24)?,
            size: bytes::u64(raw, 32)?,
            link: bytes::u32(raw, 40)?,
            info: bytes::u32(raw, 44)?,
            align: bytes::u64(raw, 48)?,
        })
    }
}
