//! An ELF executable or shared object: the file that a part of the process was loaded from.

use std::sync::Arc;

use object::elf::{
    DF_1_PIE, DT_FLAGS_1, PT_DYNAMIC, PT_INTERP, PT_LOAD, PT_NOTE, PT_PHDR, SHT_NOBITS, SHT_NOTE,
    SHT_SYMTAB, STT_FUNC, STT_OBJECT, STT_TLS,
};

use crate::addr::{LinkAddr, LoadBias};
use crate::arch::{self, Arch};
use crate::bytes::{at, available, until_nul};
use crate::core::Core;
use crate::elf::{ElfKind, Header, Permissions, ProgramHeader, SectionHeader};
use crate::error::ImageError;
use crate::input::Input;
use crate::load_bias;
use crate::notes::{Note, Notes};

/// A loaded part of the file: one `PT_LOAD`. `file_size <= mem_size`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ImageSegment {
    /// First address, before the load bias.
    pub addr: LinkAddr,
    /// Bytes in memory; those beyond `file_size` start as zero (bss).
    pub mem_size: u64,
    /// Where its bytes start in the file.
    pub file_offset: u64,
    /// Bytes in the file, as far as they are really there.
    pub file_size: u64,
    /// What the program may do with it.
    pub flags: Permissions,
}

/// A section of the file.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Section<'a> {
    /// Its name; empty when it is not UTF-8.
    pub name: &'a str,
    /// Its address before the load bias; 0 when it is not loaded.
    pub addr: LinkAddr,
    /// Its size in bytes, in the file when it has bytes there, else in memory.
    pub size: u64,
    /// `sh_flags`; `0x800` is `SHF_COMPRESSED`.
    pub flags: u64,
    /// `sh_type`
    pub kind: u32,
    /// `sh_addralign`
    pub align: u64,
    /// Its bytes in the file as they stand there, not decompressed; empty for `.bss`.
    pub data: &'a [u8],
}

/// What a symbol stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum SymbolKind {
    /// A variable.
    Object,
    /// A function.
    Function,
    /// A thread-local variable: the address is an offset.
    ThreadLocal,
    /// Anything else.
    Other,
}

/// An entry of `.symtab`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Symbol<'a> {
    /// Its name, mangled as it is.
    pub name: &'a str,
    /// Its address before the load bias.
    pub addr: LinkAddr,
    /// Its size in bytes; 0 when it is not known.
    pub size: u64,
    /// What it stands for.
    pub kind: SymbolKind,
}

/// A parsed executable or shared object. Only the headers are read.
#[derive(Debug)]
pub struct Image {
    input: Arc<Input>,
    arch: Arch,
    header: Header,
    program_headers: Vec<ProgramHeader>,
    segments: Vec<ImageSegment>,
    sections: Vec<SectionHeader>,
    /// Index of the section with the names of sections.
    section_names: u32,
    /// Where its debug information is if not here.
    debug_file: Option<Box<Image>>,
}

impl Image {
    /// Reads the headers. Missing or damaged section headers are no error: the file then has no
    /// sections.
    ///
    /// # Errors
    ///
    /// [`ImageError`]: not ELF, a core, another architecture, headers cut off.
    pub fn parse(input: Arc<Input>) -> Result<Self, ImageError> {
        let data = input.bytes();
        let path = || input.path().to_path_buf();
        let fail = |e| ImageError::from_header(path(), e);
        let header = Header::parse(data).map_err(fail)?;
        if !matches!(header.kind, ElfKind::Executable | ElfKind::SharedObject) {
            return Err(ImageError::NotAnImage {
                path: path(),
                kind: header.kind,
            });
        }
        let Some(arch) = Arch::from_elf(header.machine, header.encoding) else {
            let arch = arch::name_of(header.machine, header.encoding);
            return Err(ImageError::Unsupported { path: path(), arch });
        };
        let program_headers = header.program_headers(data).map_err(fail)?;
        let segments = program_headers
            .iter()
            .filter(|ph| ph.kind == PT_LOAD.0)
            .map(|ph| ImageSegment {
                addr: LinkAddr(ph.vaddr),
                mem_size: ph.memsz,
                file_offset: ph.offset,
                file_size: available(data, ph.offset, ph.filesz.min(ph.memsz)).len() as u64,
                flags: Permissions(ph.flags & 7),
            })
            .collect();
        let (sections, section_names) = header.section_headers(data);
        Ok(Self {
            input,
            arch,
            header,
            program_headers,
            segments,
            sections,
            section_names,
            debug_file: None,
        })
    }

    /// Bytes that the headers promise beyond the end of the file: it was cut short.
    pub fn missing(&self) -> u64 {
        let size = self.input.bytes().len() as u64;
        let loads = self
            .program_headers
            .iter()
            .filter(|ph| ph.kind == PT_LOAD.0);
        let loads = loads.map(|ph| ph.offset.saturating_add(ph.filesz));
        // The first section stands for none.
        let sections = self
            .sections
            .iter()
            .skip(1)
            .filter(|s| s.kind != SHT_NOBITS.0);
        let sections = sections.map(|s| s.offset.saturating_add(s.size));
        let ends = loads.chain(sections).chain([self.header.shoff]);
        ends.max().unwrap_or(0).saturating_sub(size)
    }

    /// The architecture the file was built for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The kind of file: [`ElfKind::Executable`] or [`ElfKind::SharedObject`].
    pub fn kind(&self) -> ElfKind {
        self.header.kind
    }

    /// Whether this is a position-independent executable, as opposed to a shared library.
    pub fn is_pie(&self) -> bool {
        self.header.kind == ElfKind::SharedObject
            && (self.program_header(PT_INTERP.0).is_some() || self.has_pie_flag())
    }

    fn has_pie_flag(&self) -> bool {
        let Some(ph) = self.program_header(PT_DYNAMIC.0) else {
            return false;
        };
        let dynamic = available(self.input.bytes(), ph.offset, ph.filesz);
        let words: Vec<u64> = self.arch.encoding().words(dynamic).collect();
        words
            .chunks_exact(2)
            .any(|entry| entry[0] == DT_FLAGS_1.0 as u64 && entry[1] & DF_1_PIE.0 != 0)
    }

    /// Where the program starts; 0 in most shared libraries.
    pub fn entry(&self) -> LinkAddr {
        LinkAddr(self.header.entry)
    }

    /// Where the program headers are loaded: `PT_PHDR`, else the segment that covers them.
    pub fn phdr_vaddr(&self) -> Option<LinkAddr> {
        if let Some(ph) = self.program_header(PT_PHDR.0) {
            return Some(LinkAddr(ph.vaddr));
        }
        let phoff = self.header.phoff;
        self.segments.iter().find_map(|s| {
            let inside = phoff
                .checked_sub(s.file_offset)
                .filter(|&n| n < s.file_size)?;
            Some(s.addr.add(inside))
        })
    }

    fn program_header(&self, kind: u32) -> Option<&ProgramHeader> {
        self.program_headers.iter().find(|ph| ph.kind == kind)
    }

    /// The loaded parts in the order of the file, which is by address.
    pub fn segments(&self) -> &[ImageSegment] {
        &self.segments
    }

    /// All sections in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().map(|s| self.section_of(s))
    }

    /// The first section of that name.
    pub fn section(&self, name: &str) -> Option<Section<'_>> {
        self.sections().find(|s| s.name == name)
    }

    /// Whether there is a section of that name.
    pub fn has_section(&self, name: &str) -> bool {
        self.section(name).is_some()
    }

    fn section_of(&self, s: &SectionHeader) -> Section<'_> {
        let name = self
            .sections
            .get(self.section_names as usize)
            .and_then(|names| self.string(names, s.name))
            .unwrap_or("");
        let data = self.section_data(s);
        Section {
            name,
            addr: LinkAddr(s.addr),
            size: s.size,
            flags: s.flags,
            kind: s.kind,
            align: s.align,
            data,
        }
    }

    fn section_data(&self, s: &SectionHeader) -> &[u8] {
        if s.kind == SHT_NOBITS.0 {
            return &[];
        }
        available(self.input.bytes(), s.offset, s.size)
    }

    fn string(&self, table: &SectionHeader, offset: u32) -> Option<&str> {
        let raw = self.section_data(table).get(offset as usize..)?;
        str::from_utf8(until_nul(raw)).ok()
    }

    /// The linker's build id (`.note.gnu.build-id`), raw bytes.
    pub fn gnu_build_id(&self) -> Option<&[u8]> {
        self.note(|n| n.is_gnu_build_id())
    }

    /// The Go build id (`.note.go.buildid`).
    pub fn go_build_id(&self) -> Option<&str> {
        str::from_utf8(self.note(|n| n.is_go_build_id())?).ok()
    }

    /// The descriptor of a note, looked for in the segments and then in the sections.
    fn note<'a>(&'a self, wanted: impl Fn(&Note<'a>) -> bool) -> Option<&'a [u8]> {
        let data = self.input.bytes();
        let segments = self
            .program_headers
            .iter()
            .filter(|ph| ph.kind == PT_NOTE.0);
        let segments = segments.map(|ph| (available(data, ph.offset, ph.filesz), ph.align));
        let sections = self.sections.iter().filter(|s| s.kind == SHT_NOTE.0);
        let sections = sections.map(|s| (self.section_data(s), s.align));
        segments
            .chain(sections)
            .flat_map(|(data, align)| Notes::new(data, align, self.arch.encoding()))
            .find(wanted)
            .map(|n| n.desc)
    }

    /// The symbols of `.symtab` that are defined in this file and have a name in UTF-8, in the
    /// order of the file. Those of the attached debug file when this one is stripped; else none.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        let file = match &self.debug_file {
            Some(debug) if self.symbol_table().is_none() => debug,
            _ => self,
        };
        file.own_symbols()
    }

    fn symbol_table(&self) -> Option<&SectionHeader> {
        self.sections.iter().find(|s| s.kind == SHT_SYMTAB.0)
    }

    fn own_symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        let table = self.symbol_table();
        let entries = table.map_or(&[][..], |t| self.section_data(t));
        let names = table.and_then(|t| self.sections.get(t.link as usize));
        // Elf64_Sym: name u32, info u8, other u8, shndx u16, value u64, size u64
        // Elf32_Sym: name u32, value u32, size u32, info u8, other u8, shndx u16
        let e = self.arch.encoding();
        let (len, value, info) = match e.word_size() {
            8 => (24, 8, 4),
            _ => (16, 4, 12),
        };
        entries.chunks_exact(len).filter_map(move |raw| {
            if e.u16(raw, info + 2)? == 0 {
                return None;
            }
            let name = self.string(names?, e.u32(raw, 0)?)?;
            let kind = match raw[info as usize] & 15 {
                k if k == STT_OBJECT.0 => SymbolKind::Object,
                k if k == STT_FUNC.0 => SymbolKind::Function,
                k if k == STT_TLS.0 => SymbolKind::ThreadLocal,
                _ => SymbolKind::Other,
            };
            let addr = LinkAddr(e.word(raw, value)?);
            let size = e.word(raw, value + e.word_size())?;
            (!name.is_empty()).then_some(Symbol {
                name,
                addr,
                size,
                kind,
            })
        })
    }

    /// The file with its debug information, if one was attached.
    pub fn debug_file(&self) -> Option<&Image> {
        self.debug_file.as_deref()
    }

    pub(crate) fn set_debug_file(&mut self, debug: Image) {
        self.debug_file = Some(Box::new(debug));
    }

    /// The file.
    pub fn input(&self) -> &Arc<Input> {
        &self.input
    }

    /// What has to be added to this file's addresses in the process of `core`: 0 for a fixed
    /// executable, from the auxiliary vector for a position-independent one, from the file table
    /// for a shared library.
    ///
    /// # Errors
    ///
    /// [`ImageError::OtherArch`]; [`ImageError::NotLoaded`] when nothing in the core agrees with
    /// this file.
    pub fn load_bias(&self, core: &Core) -> Result<LoadBias, ImageError> {
        let path = || self.input.path().to_path_buf();
        if self.arch != core.arch() {
            let (image, core) = (self.arch.name(), core.arch().name());
            return Err(ImageError::OtherArch {
                path: path(),
                image,
                core,
            });
        }
        load_bias::find(self, core).ok_or_else(|| ImageError::NotLoaded { path: path() })
    }

    /// `len` bytes of the file at an address before the load bias, as they were linked: not
    /// relocated, not as the process left them. `None` when they are not all in one segment.
    pub fn link_bytes(&self, addr: LinkAddr, len: u64) -> Option<&[u8]> {
        self.segments.iter().find_map(|s| {
            let inside = addr.0.checked_sub(s.addr.0)?;
            if inside.checked_add(len)? > s.file_size {
                return None;
            }
            at(self.input.bytes(), s.file_offset.checked_add(inside)?, len)
        })
    }
}
