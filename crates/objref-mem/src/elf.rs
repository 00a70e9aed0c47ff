//! The ELF headers that cores and images share: of either class and byte order, lengths not trusted.

use std::fmt;

use object::elf::{
    ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFDATA2MSB, ET_CORE, ET_DYN, ET_EXEC, PN_XNUM, PT_NOTE,
};

use crate::bytes::at;
use crate::encoding::Encoding;

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
    pub(crate) encoding: Encoding,
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

/// The kind by the first bytes; `None` when it is not ELF.
pub(crate) fn kind(data: &[u8]) -> Option<ElfKind> {
    if data.get(..4)? != b"\x7fELF" {
        return None;
    }
    let big_endian = data.get(5) == Some(&ELFDATA2MSB.0);
    Some(match Encoding::new(big_endian, true).u16(data, 16)? {
        k if k == ET_CORE.0 => ElfKind::Core,
        k if k == ET_EXEC.0 => ElfKind::Executable,
        k if k == ET_DYN.0 => ElfKind::SharedObject,
        other => ElfKind::Other(other),
    })
}

/// How the file is written, by its first bytes.
fn encoding(data: &[u8]) -> Result<Encoding, HeaderError> {
    let wide = match data.get(4) {
        Some(&c) if c == ELFCLASS32.0 => false,
        Some(&c) if c == ELFCLASS64.0 => true,
        _ => return Err(HeaderError::Malformed("neither of 32 nor of 64 bits")),
    };
    match data.get(5) {
        Some(&o) if o == ELFDATA2LSB.0 => Ok(Encoding::new(false, wide)),
        Some(&o) if o == ELFDATA2MSB.0 => Ok(Encoding::new(true, wide)),
        _ => Err(HeaderError::Malformed("of no known byte order")),
    }
}

impl Header {
    pub(crate) fn parse(data: &[u8]) -> Result<Self, HeaderError> {
        let size = data.len() as u64;
        if data.get(..4) != Some(b"\x7fELF") {
            return Err(HeaderError::NotElf);
        }
        let cut = |len| HeaderError::BeyondEof {
            what: "file header",
            end: len,
            size,
        };
        let kind = kind(data).ok_or_else(|| cut(64))?;
        let e = encoding(data)?;
        // Three words behind the first 24 bytes, then a flag of 4 bytes.
        let [entry, phoff, shoff, rest] = [0, 1, 2, 3].map(|n| 24 + n * e.word_size());
        let len = rest + 16;
        let parse = || {
            Some(Self {
                encoding: e,
                kind,
                machine: e.u16(data, 18)?,
                entry: e.word(data, entry)?,
                phoff: e.word(data, phoff)?,
                shoff: e.word(data, shoff)?,
                phentsize: e.u16(data, rest + 6)?,
                phnum: e.u16(data, rest + 8)?,
                shentsize: e.u16(data, rest + 10)?,
                shnum: e.u16(data, rest + 12)?,
                shstrndx: e.u16(data, rest + 14)?,
            })
        };
        parse().ok_or_else(|| cut(len))
    }

    /// All program headers. When there are more than 65,534, their number is in section header 0;
    /// the kernel writes that last, so a truncated core has lost it: then the table is taken to
    /// end where the notes begin, as the kernel lays it out.
    pub(crate) fn program_headers(&self, data: &[u8]) -> Result<Vec<ProgramHeader>, HeaderError> {
        if self.phnum == 0 {
            return Ok(Vec::new());
        }
        let stride = u64::from(self.phentsize);
        let len = ProgramHeader::size(self.encoding);
        if stride < len {
            return Err(HeaderError::Malformed(
                "program headers of an impossible size",
            ));
        }
        let entry = |i: u64| {
            let offset = self.phoff.checked_add(i.checked_mul(stride)?)?;
            ProgramHeader::parse(at(data, offset, len)?, self.encoding)
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
                .ok_or_else(|| {
                    beyond(
                        self.shoff
                            .saturating_add(SectionHeader::size(self.encoding)),
                    )
                })?
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
        let len = SectionHeader::size(self.encoding);
        if self.shoff == 0 || stride < len {
            return None;
        }
        let offset = self.shoff.checked_add(i.checked_mul(stride)?)?;
        SectionHeader::parse(at(data, offset, len)?, self.encoding)
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
    /// Bytes of one in the file.
    pub(crate) fn size(e: Encoding) -> u64 {
        if e.is_wide() { 56 } else { 32 }
    }

    // Elf64_Phdr {type, flags, 6 words}, Elf32_Phdr {type, 5 words, flags, align}
    pub(crate) fn parse(raw: &[u8], e: Encoding) -> Option<Self> {
        let word = |n: u64| e.word(raw, n * e.word_size());
        let (flags, align) = if e.is_wide() { (4, 6) } else { (24, 7) };
        Some(Self {
            kind: e.u32(raw, 0)?,
            flags: e.u32(raw, flags)?,
            offset: word(1)?,
            vaddr: word(2)?,
            filesz: word(4)?,
            memsz: word(5)?,
            align: word(align)?,
        })
    }
}

impl SectionHeader {
    fn size(e: Encoding) -> u64 {
        16 + 6 * e.word_size()
    }

    // {name, type, 4 words, link, info, 2 words}
    fn parse(raw: &[u8], e: Encoding) -> Option<Self> {
        let after = |words: u64| 8 + words * e.word_size();
        Some(Self {
            name: e.u32(raw, 0)?,
            kind: e.u32(raw, 4)?,
            flags: e.word(raw, after(0))?,
            addr: e.word(raw, after(1))?,
            offset: e.word(raw, after(2))?,
            size: e.word(raw, after(3))?,
            link: e.u32(raw, after(4))?,
            info: e.u32(raw, after(4) + 4)?,
            align: e.word(raw, after(4) + 8)?,
        })
    }
}
