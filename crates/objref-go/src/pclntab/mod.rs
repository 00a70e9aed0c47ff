//! pclntab: from a code address to its function, and from there to names, lines, frame sizes and stack maps.
//!
//! The tables survive `-s -w`: the runtime itself needs them to grow stacks and to collect garbage.

mod func;
mod inline;
mod pcvalue;

use std::borrow::Cow;

use objref_mem::{Addr, AddressSpace, Encoding};

pub(crate) use func::{
    FUNCDATA_ARGS_POINTER_MAPS, FUNCDATA_LOCALS_POINTER_MAPS, FUNCDATA_STACK_OBJECTS,
    PCDATA_STACK_MAP_INDEX,
};
pub use func::{Func, FuncFlags, FuncKind};
pub use inline::LogicalFrame;

use crate::layout::{LayoutError, StructSource, find_field, find_size, layout};
use crate::module::{AddrRange, Module, TextSection};

layout! {
    /// Offsets in a function's record; `npcdata` table offsets and `nfuncdata` funcdata offsets follow it.
    // runtime/runtime2.go: _func. 40 bytes up to go1.19, 44 with startLine from go1.20.
    pub(super) struct FuncLayout = "runtime._func" {
        name: "nameOff | nameoff",
        args: "args",
        deferreturn: "deferreturn",
        pcsp: "pcsp",
        pcfile: "pcfile",
        pcln: "pcln",
        npcdata: "npcdata",
        cu: "cuOffset",
        func_id: "funcID",
        flag: "flag",
        nfuncdata: "nfuncdata",
    }
}

layout! {
    /// Offsets in an entry of a function's inlining tree.
    // runtime/symtabinl.go: inlinedCall. 20 bytes up to go1.19, 16 from go1.20.
    pub(super) struct InlineLayout = "runtime.inlinedCall" {
        func_id: "funcID",
        name: "nameOff | func_",
        parent_pc: "parentPc",
    }
}

/// A function of the inferior: dense over all modules, in the order of their tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FuncId(pub u32);

/// The function tables of all modules.
///
/// Made once: it borrows the tables from the address space where they lie in one piece, and copies them otherwise.
#[derive(Debug)]
pub struct Pclntab<'a> {
    space: &'a AddressSpace,
    modules: Vec<ModuleTab<'a>>,
    skipped: usize,
    layout: FuncLayout,
    inline: InlineLayout,
    inline_size: u64,
    quantum: u32,
    wrapper_id: u8,
}

#[derive(Debug)]
struct ModuleTab<'a> {
    encoding: Encoding,
    pcs: AddrRange,
    text: Addr,
    sections: Vec<TextSection>,
    names: Cow<'a, [u8]>,
    cutab: Cow<'a, [u8]>,
    filetab: Cow<'a, [u8]>,
    pctab: Cow<'a, [u8]>,
    records: Cow<'a, [u8]>,
    ftab: Cow<'a, [u8]>,
    gofunc: Addr,
    rodata: Addr,
    first: u32,
    functions: u32,
}

/// An entry of `ftab`: {entryoff u32, funcoff u32}.
// runtime/symtab.go: functab, go1.18+
const FTAB_ENTRY: usize = 8;

impl<'a> Pclntab<'a> {
    /// Opens the tables of `modules`. `minor` is the Go version's second number, which decides the one id that has no
    /// name.
    pub fn new(
        space: &'a AddressSpace,
        source: &dyn StructSource,
        modules: &[Module],
        minor: u32,
    ) -> Result<Self, LayoutError> {
        let layout = FuncLayout::resolve(source)?;
        let inline = InlineLayout::resolve(source)?;
        let rodata = find_field(source, "runtime.moduledata", "rodata");
        let mut first = 0u32;
        let mut tabs = Vec::with_capacity(modules.len());
        for module in modules {
            let rodata = rodata
                .and_then(|f| f.ptr(space, module.addr).ok())
                .unwrap_or(module.types.start);
            let Some(tab) = ModuleTab::open(space, module, rodata, first) else {
                continue;
            };
            let Some(next) = first.checked_add(tab.functions) else {
                continue;
            };
            first = next;
            tabs.push(tab);
        }
        Ok(Pclntab {
            space,
            skipped: modules.len() - tabs.len(),
            modules: tabs,
            layout,
            inline,
            inline_size: find_size(source, "runtime.inlinedCall")
                .unwrap_or(16)
                .max(1),
            quantum: space.arch().instruction_size(),
            wrapper_id: func::wrapper_id(minor),
        })
    }

    /// The address space that the tables come from.
    pub fn space(&self) -> &'a AddressSpace {
        self.space
    }

    /// Modules whose tables could not be read; their functions are unknown.
    pub fn skipped_modules(&self) -> usize {
        self.skipped
    }

    /// Number of functions of all modules.
    pub fn len(&self) -> usize {
        self.modules.iter().map(|m| m.functions as usize).sum()
    }

    /// Whether no function is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The function whose code holds `pc`.
    // runtime/symtab.go: findfunc. The runtime's bucket table is a shortcut to the same answer.
    pub fn find(&self, pc: Addr) -> Option<Func<'_>> {
        let module = self.modules.iter().find(|m| m.pcs.contains(pc))?;
        let offset = module.text_offset(pc)?;
        // The last entry only marks the end of the text.
        let (mut low, mut high) = (0u32, module.functions);
        while low < high {
            let middle = low + (high - low) / 2;
            if module.entry_offset(middle)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Func::open(self, module, low.checked_sub(1)?)
    }

    /// The function with this id.
    pub fn func(&self, id: FuncId) -> Option<Func<'_>> {
        let module = self
            .modules
            .iter()
            .find(|m| id.0 >= m.first && id.0 - m.first < m.functions)?;
        Func::open(self, module, id.0 - module.first)
    }

    /// All functions, in table order.
    pub fn functions(&self) -> impl Iterator<Item = Func<'_>> {
        self.modules
            .iter()
            .flat_map(move |m| (0..m.functions).filter_map(move |i| Func::open(self, m, i)))
    }
}

impl<'a> ModuleTab<'a> {
    fn open(space: &'a AddressSpace, module: &Module, rodata: Addr, first: u32) -> Option<Self> {
        let bytes = |data: Addr, len: u64| space.bytes(data, usize::try_from(len).ok()?).ok();
        let entries = u32::try_from(module.ftab.len).ok()?;
        let cutab = module.cutab;
        Some(ModuleTab {
            encoding: space.encoding(),
            pcs: module.pcs,
            text: module.text.start,
            sections: module.text_sections.clone(),
            names: bytes(module.funcnametab.data, module.funcnametab.len)?,
            cutab: bytes(cutab.data, cutab.len.checked_mul(4)?)?,
            filetab: bytes(module.filetab.data, module.filetab.len)?,
            pctab: bytes(module.pctab.data, module.pctab.len)?,
            records: bytes(module.pclntable.data, module.pclntable.len)?,
            ftab: bytes(module.ftab.data, u64::from(entries) * FTAB_ENTRY as u64)?,
            gofunc: module.gofunc,
            rodata,
            first,
            functions: entries.checked_sub(1)?,
        })
    }

    fn entry_offset(&self, index: u32) -> Option<u32> {
        self.u32(&self.ftab, index as usize * FTAB_ENTRY)
    }

    /// The number at `at` of one of the tables, if it reaches so far.
    fn u32(&self, table: &[u8], at: usize) -> Option<u32> {
        self.encoding.u32(table, at as u64)
    }

    /// Code addresses as the table counts them: gaps between text sections are left out.
    // runtime/symtab.go: (*moduledata).textOff
    fn text_offset(&self, pc: Addr) -> Option<u32> {
        if self.sections.is_empty() {
            return u32::try_from(pc.0.checked_sub(self.text.0)?).ok();
        }
        let last = self.sections.len() - 1;
        self.sections.iter().enumerate().find_map(|(i, s)| {
            let into = pc.0.checked_sub(s.base.0)?;
            // The end of the last section counts as text: the table's last entry lies there.
            let len = s.end.checked_sub(s.vaddr)? + u64::from(i == last);
            (into < len).then(|| u32::try_from(s.vaddr + into).ok())?
        })
    }

    /// The inverse of [`ModuleTab::text_offset`].
    // runtime/symtab.go: (*moduledata).textAddr
    fn text_addr(&self, offset: u32) -> Addr {
        let offset = u64::from(offset);
        let section = self.sections.iter().rfind(|s| s.vaddr <= offset);
        match section {
            Some(s) => s.base.add(offset - s.vaddr),
            None => self.text.add(offset),
        }
    }
}

/// The NUL-terminated string at `at`; empty if out of range or not UTF-8.
fn c_str(bytes: &[u8], at: usize) -> &str {
    let tail = bytes.get(at..).unwrap_or_default();
    let end = tail.iter().position(|&b| b == 0).unwrap_or(0);
    std::str::from_utf8(&tail[..end]).unwrap_or_default()
}
