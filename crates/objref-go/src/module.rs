//! moduledata: what the linker told the runtime about text, data, types and pointer masks.

use std::borrow::Cow;

use objref_mem::{Addr, AddressSpace, Fault};
use serde::{Deserialize, Serialize};

use crate::gcprog;
use crate::layout::{LayoutError, StructSource, layout, pointer_at};

layout! {
    /// Offsets in moduledata.
    // runtime/symtab.go: moduledata
    struct ModuleLayout = "runtime.moduledata" {
        funcnametab: "funcnametab",
        cutab: "cutab",
        filetab: "filetab",
        pctab: "pctab",
        pclntable: "pclntable",
        ftab: "ftab",
        minpc: "minpc",
        maxpc: "maxpc",
        text: "text",
        etext: "etext",
        noptrdata: "noptrdata",
        enoptrdata: "enoptrdata",
        data: "data",
        edata: "edata",
        bss: "bss",
        ebss: "ebss",
        noptrbss: "noptrbss",
        enoptrbss: "enoptrbss",
        types: "types",
        etypes: "etypes",
        gofunc: "gofunc",
        textsectmap: "textsectmap",
        gcdatamask: "gcdatamask",
        gcbssmask: "gcbssmask",
        gcdata: ? "gcdata",
        gcbss: ? "gcbss",
        modulename: "modulename",
        next: "next",
    }
}

/// A half-open range of inferior addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddrRange {
    /// First address.
    pub start: Addr,
    /// First address after the range.
    pub end: Addr,
}

impl AddrRange {
    /// Whether `a` lies in the range.
    #[inline]
    pub fn contains(self, a: Addr) -> bool {
        self.start <= a && a < self.end
    }

    /// Length in bytes.
    pub fn len(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether the range holds no address.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A Go slice in the inferior: first element and element count.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawSlice {
    /// Address of the first element.
    pub data: Addr,
    /// Number of elements.
    pub len: u64,
}

/// One part of a text segment that the linker had to split (large arm64 binaries).
// runtime/symtab.go: textsect
#[derive(Clone, Copy, Debug)]
pub struct TextSection {
    /// Offset of the section as the function table counts it.
    pub vaddr: u64,
    /// End of the section as the function table counts it.
    pub end: u64,
    /// Where the section was loaded.
    pub base: Addr,
}

/// A module of the inferior: the program itself, a plugin, or a shared library.
#[derive(Clone, Debug)]
pub struct Module {
    /// Address of the moduledata struct.
    pub addr: Addr,
    /// The module's name; empty for the main module of a static binary.
    pub name: String,
    /// `funcnametab`: function names, NUL-terminated.
    pub funcnametab: RawSlice,
    /// `cutab`: u32 per (compilation unit, file number), an offset into `filetab`.
    pub cutab: RawSlice,
    /// `filetab`: file names, NUL-terminated.
    pub filetab: RawSlice,
    /// `pctab`: the pc-value tables.
    pub pctab: RawSlice,
    /// `pclntable`: the `_func` records.
    pub pclntable: RawSlice,
    /// `ftab`: {entryoff u32, funcoff u32} sorted by entry, one more than there are functions.
    pub ftab: RawSlice,
    /// Lowest and one past the highest code address with function data.
    pub pcs: AddrRange,
    /// The text segment.
    pub text: AddrRange,
    /// Initialised data without pointers.
    pub noptrdata: AddrRange,
    /// Initialised data; `gcdatamask` has a bit for each word.
    pub data: AddrRange,
    /// Zeroed data; `gcbssmask` has a bit for each word.
    pub bss: AddrRange,
    /// Zeroed data without pointers.
    pub noptrbss: AddrRange,
    /// Type descriptors.
    pub types: AddrRange,
    /// Base of funcdata offsets.
    pub gofunc: Addr,
    /// Text sections when there is more than one; empty otherwise.
    pub text_sections: Vec<TextSection>,
    /// Pointer mask of `data`, one bit a word.
    pub gcdatamask: Mask,
    /// Pointer mask of `bss`, one bit a word.
    pub gcbssmask: Mask,
}

impl Module {
    /// The code address that methods in type descriptors tell by its offset; `None` for a function that was left out.
    // runtime/symtab.go: (*moduledata).textAddr; runtime/type.go: −1 is an unreachable method
    pub(crate) fn text_addr(&self, offset: u32) -> Option<Addr> {
        if offset == u32::MAX {
            return None;
        }
        let offset = u64::from(offset);
        let section = self.text_sections.iter().rfind(|s| s.vaddr <= offset);
        Some(match section {
            Some(s) => s.base.add(offset - s.vaddr),
            None => self.text.start.add(offset),
        })
    }
}

/// A pointer mask in the inferior: one bit a word, least significant first.
// runtime/stack.go: bitvector
#[derive(Clone, Copy, Debug, Default)]
pub struct Mask {
    /// Number of bits.
    pub bits: u64,
    /// Address of the first byte.
    pub data: Addr,
    /// Address of the program that it was made from: that lies in the binary, the mask itself in memory of the runtime.
    pub program: Option<Addr>,
}

impl Mask {
    /// The first `bits` bits of the mask, read or made again.
    // runtime/mbitmap.go: progToPointerMask
    pub(crate) fn read(self, space: &AddressSpace, bits: u64) -> Result<Cow<'_, [u8]>, Fault> {
        match (
            space.bytes(self.data, bits.div_ceil(8) as usize),
            self.program,
        ) {
            (Err(_), Some(program)) => gcprog::run(space, program, bits).map(Cow::Owned),
            (mask, _) => mask,
        }
    }
}

/// More modules than this in the list means that it loops or is overwritten.
const MAX_MODULES: usize = 4096;

/// Why the modules could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// moduledata has a shape this program does not know.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// moduledata is not in the dump.
    #[error("the runtime's module data cannot be read: {0}")]
    Fault(#[from] Fault),
    /// A module's addresses make no sense.
    #[error("the module data at {0} makes no sense (overwritten, or the wrong binary)")]
    Senseless(Addr),
}

/// The chain of modules that starts at `first` (`runtime.firstmoduledata`).
pub(crate) fn read_modules(
    space: &AddressSpace,
    source: &dyn StructSource,
    first: Addr,
) -> Result<Vec<Module>, ModuleError> {
    let layout = ModuleLayout::resolve(source)?;
    let mut modules = Vec::new();
    let mut at = first;
    while at.0 != 0 && modules.len() < MAX_MODULES {
        let module = match read_module(space, &layout, at) {
            Ok(m) => m,
            // The first module is indispensable; a damaged plugin's is not.
            Err(e) if modules.is_empty() => return Err(e),
            Err(_) => break,
        };
        at = layout.next.ptr(space, at)?;
        modules.push(module);
    }
    Ok(modules)
}

fn read_module(space: &AddressSpace, l: &ModuleLayout, at: Addr) -> Result<Module, ModuleError> {
    let ptr = |f: crate::layout::FieldAt| f.ptr(space, at);
    let range = |a, b| -> Result<AddrRange, Fault> {
        Ok(AddrRange {
            start: ptr(a)?,
            end: ptr(b)?,
        })
    };
    let slice = |f: crate::layout::FieldAt| -> Result<RawSlice, Fault> {
        let (data, len) = f.slice(space, at)?;
        Ok(RawSlice { data, len })
    };
    type Field = crate::layout::FieldAt;
    let mask = |f: Field, program: Option<Field>, over: AddrRange| -> Result<Mask, Fault> {
        // The runtime makes the masks when it starts: where the dump lacks this page, the binary knows of none yet.
        // runtime/symtab.go: modulesinit; runtime/mbitmap.go: progToPointerMask
        let bits = match u64::from(space.u32(f.at(at))?) {
            0 => over.len() / space.word_size(),
            bits => bits,
        };
        Ok(Mask {
            program: program.and_then(|f| ptr(f).ok()).filter(|at| at.0 != 0),
            bits,
            data: space.ptr(f.at(at).add(space.word_size()))?,
        })
    };
    let (data, bss) = (range(l.data, l.edata)?, range(l.bss, l.ebss)?);
    let name = slice(l.modulename)?;
    let module = Module {
        addr: at,
        name: space
            .string(name.data, name.len.min(4096) as usize)
            .unwrap_or_default(),
        funcnametab: slice(l.funcnametab)?,
        cutab: slice(l.cutab)?,
        filetab: slice(l.filetab)?,
        pctab: slice(l.pctab)?,
        pclntable: slice(l.pclntable)?,
        ftab: slice(l.ftab)?,
        pcs: range(l.minpc, l.maxpc)?,
        text: range(l.text, l.etext)?,
        noptrdata: range(l.noptrdata, l.enoptrdata)?,
        data,
        bss,
        noptrbss: range(l.noptrbss, l.enoptrbss)?,
        types: range(l.types, l.etypes)?,
        gofunc: ptr(l.gofunc)?,
        text_sections: read_text_sections(space, slice(l.textsectmap)?)?,
        gcdatamask: mask(l.gcdatamask, l.gcdata, data)?,
        gcbssmask: mask(l.gcbssmask, l.gcbss, bss)?,
    };
    let sane = module.pcs.start < module.pcs.end
        && module.text.start <= module.pcs.start
        && module.types.start < module.types.end
        && module.data.start <= module.data.end
        && module.bss.start <= module.bss.end;
    if sane {
        Ok(module)
    } else {
        Err(ModuleError::Senseless(at))
    }
}

fn read_text_sections(space: &AddressSpace, map: RawSlice) -> Result<Vec<TextSection>, Fault> {
    if map.len <= 1 || map.len > 1 << 16 {
        return Ok(Vec::new());
    }
    (0..map.len)
        .map(|i| {
            let word = |n| pointer_at(space, map.data, 3 * i + n);
            Ok(TextSection {
                vaddr: word(0)?.0,
                end: word(1)?.0,
                base: word(2)?,
            })
        })
        .collect()
}
