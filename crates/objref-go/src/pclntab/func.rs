//! One function's record.

use objref_mem::Addr;

use super::pcvalue::{pc_steps, pc_value};
use super::{FTAB_ENTRY, FuncId, ModuleTab, Pclntab, c_str};

/// `_func.args` of a function whose arguments differ from call to call.
// internal/abi/symtab.go: ArgsSizeUnknown
const ARGS_UNKNOWN: u32 = 0x8000_0000;

/// No funcdata of this kind.
// runtime/symtab.go: funcdata, go1.18+
const NO_FUNCDATA: u32 = u32::MAX;

// internal/abi/symtab.go: PCDATA_*, FUNCDATA_*
pub(crate) const PCDATA_STACK_MAP_INDEX: u32 = 1;
pub(super) const PCDATA_INL_TREE_INDEX: u32 = 2;
pub(crate) const FUNCDATA_ARGS_POINTER_MAPS: u32 = 0;
pub(crate) const FUNCDATA_LOCALS_POINTER_MAPS: u32 = 1;
pub(crate) const FUNCDATA_STACK_OBJECTS: u32 = 2;
const FUNCDATA_ARG_INFO: u32 = 5;
pub(super) const FUNCDATA_INL_TREE: u32 = 3;

/// A function, borrowed from the tables.
#[derive(Clone, Copy, Debug)]
pub struct Func<'p> {
    pub(super) tab: &'p Pclntab<'p>,
    pub(super) module: &'p ModuleTab<'p>,
    record: &'p [u8],
    entry: Addr,
    end: Addr,
    id: FuncId,
}

/// What the unwinder must know about a function.
// internal/abi/symtab.go: FuncFlag
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FuncFlags(pub u8);

impl FuncFlags {
    /// The function is the outermost of its stack.
    pub fn top_frame(self) -> bool {
        self.0 & 1 != 0
    }

    /// The function writes the stack pointer in ways that its frame table does not tell.
    pub fn sp_write(self) -> bool {
        self.0 & 2 != 0
    }

    /// The function was written in assembly.
    pub fn asm(self) -> bool {
        self.0 & 4 != 0
    }
}

/// Functions that the runtime treats specially, found by name: their numbers move from release to release.
// internal/abi/symtab.go: FuncID
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum FuncKind {
    #[default]
    Normal,
    /// Made by the compiler: a method wrapper, a hash function.
    Wrapper,
    Abort,
    AsmCgoCall,
    AsyncPreempt,
    CgoCallback,
    CoroStart,
    DebugCall,
    GcBgMarkWorker,
    GoExit,
    Gogo,
    GoPanic,
    HandleAsyncEvent,
    Mcall,
    MoreStack,
    Mstart,
    PanicWrap,
    Rt0Go,
    RunCleanups,
    RunFinalizers,
    RuntimeMain,
    SigPanic,
    SystemStack,
    SystemStackSwitch,
}

/// The id of wrappers: the last of the list, so it moves with every addition.
// internal/abi/symtab.go: FuncIDWrapper. go1.22 added corostart, go1.25 runCleanups.
pub(super) fn wrapper_id(minor: u32) -> u8 {
    match minor {
        0..=21 => 21,
        22..=24 => 22,
        _ => 23,
    }
}

impl FuncKind {
    fn from_name(name: &str) -> FuncKind {
        match name.strip_prefix("runtime.").unwrap_or_default() {
            "abort" => FuncKind::Abort,
            "asmcgocall" => FuncKind::AsmCgoCall,
            "asyncPreempt" => FuncKind::AsyncPreempt,
            "cgocallback" => FuncKind::CgoCallback,
            "corostart" => FuncKind::CoroStart,
            "debugCallV2" => FuncKind::DebugCall,
            "gcBgMarkWorker" => FuncKind::GcBgMarkWorker,
            "goexit" => FuncKind::GoExit,
            "gogo" => FuncKind::Gogo,
            "gopanic" => FuncKind::GoPanic,
            "handleAsyncEvent" => FuncKind::HandleAsyncEvent,
            "mcall" => FuncKind::Mcall,
            "morestack" | "morestack_noctxt" => FuncKind::MoreStack,
            "mstart" => FuncKind::Mstart,
            "panicwrap" => FuncKind::PanicWrap,
            "rt0_go" => FuncKind::Rt0Go,
            "runCleanups" => FuncKind::RunCleanups,
            "runFinalizers" | "runfinq" => FuncKind::RunFinalizers,
            "main" => FuncKind::RuntimeMain,
            "sigpanic" | "sigpanic0" => FuncKind::SigPanic,
            "systemstack" => FuncKind::SystemStack,
            "systemstack_switch" => FuncKind::SystemStackSwitch,
            _ => FuncKind::Normal,
        }
    }

    /// Whether the runtime makes running code "call" this function from outside, at any instruction.
    // runtime/traceback.go: isInjectedCall
    pub fn is_injected(self) -> bool {
        matches!(
            self,
            FuncKind::SigPanic | FuncKind::AsyncPreempt | FuncKind::DebugCall
        )
    }
}

impl<'p> Func<'p> {
    pub(super) fn open(
        tab: &'p Pclntab<'p>,
        module: &'p ModuleTab<'p>,
        index: u32,
    ) -> Option<Self> {
        let at = index as usize * FTAB_ENTRY;
        let entry = module.u32(&module.ftab, at)?;
        let end = module.u32(&module.ftab, at + FTAB_ENTRY)?;
        let record = module
            .records
            .get(module.u32(&module.ftab, at + 4)? as usize..)?;
        if record.len() <= tab.layout.nfuncdata.offset as usize {
            return None;
        }
        Some(Func {
            tab,
            module,
            record,
            entry: module.text_addr(entry),
            end: module.text_addr(end),
            id: FuncId(module.first + index),
        })
    }

    /// The function's number.
    pub fn id(&self) -> FuncId {
        self.id
    }

    /// Address of the first instruction.
    pub fn entry(&self) -> Addr {
        self.entry
    }

    /// Entry of the function that follows; padding lies before it.
    pub fn end(&self) -> Addr {
        self.end
    }

    fn u32(&self, at: u64) -> u32 {
        self.module.u32(self.record, at as usize).unwrap_or(0)
    }

    fn u8(&self, at: u64) -> u8 {
        self.record.get(at as usize).copied().unwrap_or(0)
    }

    /// The full name: `net/http.(*conn).serve`, `main.main.func1`, `main.Map[go.shape.int]`.
    pub fn name(&self) -> &'p str {
        c_str(
            &self.module.names,
            self.u32(self.tab.layout.name.offset) as usize,
        )
    }

    /// Bytes of arguments and results on the caller's frame; `None` if they differ from call to call.
    pub fn args(&self) -> Option<u32> {
        let args = self.u32(self.tab.layout.args.offset);
        (args != ARGS_UNKNOWN).then_some(args)
    }

    /// Offset from the entry of the call to `deferreturn`; 0 if the function defers nothing.
    pub fn deferreturn(&self) -> u32 {
        self.u32(self.tab.layout.deferreturn.offset)
    }

    /// The function's flags.
    pub fn flags(&self) -> FuncFlags {
        FuncFlags(self.u8(self.tab.layout.flag.offset))
    }

    /// Whether the runtime treats the function specially.
    pub fn kind(&self) -> FuncKind {
        match self.u8(self.tab.layout.func_id.offset) {
            0 => FuncKind::Normal,
            id if id == self.tab.wrapper_id => FuncKind::Wrapper,
            _ => FuncKind::from_name(self.name()),
        }
    }

    pub(super) fn kind_of(&self, func_id: u8, name: &str) -> FuncKind {
        match func_id {
            0 => FuncKind::Normal,
            id if id == self.tab.wrapper_id => FuncKind::Wrapper,
            _ => FuncKind::from_name(name),
        }
    }

    /// Whether the function has a frame table; C code behind a Go symbol has none.
    pub fn has_frame_table(&self) -> bool {
        self.u32(self.tab.layout.pcsp.offset) != 0
    }

    /// How far the stack pointer at `pc` lies below its value at the entry.
    pub fn sp_delta(&self, pc: Addr) -> Option<u32> {
        let delta = self.value(self.u32(self.tab.layout.pcsp.offset), pc)?;
        u32::try_from(delta).ok()
    }

    /// How far the stack pointer lies below its value at the entry, range by range: where each ends, counted from the
    /// entry, and the distance.
    pub(crate) fn sp_steps(&self) -> impl Iterator<Item = (u32, i32)> + use<'p> {
        let table = self.u32(self.tab.layout.pcsp.offset);
        let bytes = self.module.pctab.get(table as usize..);
        pc_steps(
            bytes.filter(|_| table != 0).unwrap_or_default(),
            self.tab.quantum,
        )
    }

    /// The value of PCDATA `table` at `pc`; −1 where there is none.
    pub fn pcdata(&self, table: u32, pc: Addr) -> i32 {
        let count = self.u32(self.tab.layout.npcdata.offset);
        if table >= count {
            return -1;
        }
        let at = self.tables() + u64::from(table) * 4;
        self.value(self.u32(at), pc).unwrap_or(-1)
    }

    /// Address of FUNCDATA `index`.
    pub fn funcdata(&self, index: u32) -> Option<Addr> {
        let count = self.u8(self.tab.layout.nfuncdata.offset);
        if index >= u32::from(count) {
            return None;
        }
        let pcdata = u64::from(self.u32(self.tab.layout.npcdata.offset));
        let at = usize::try_from(self.tables() + (pcdata + u64::from(index)) * 4).ok()?;
        let offset = self.module.u32(self.record, at)?;
        (offset != NO_FUNCDATA).then(|| self.module.gofunc.add(u64::from(offset)))
    }

    /// How many words of arguments the function has at most: the compiler lists them for tracebacks.
    // internal/abi/symtab.go: TraceArgsEndSeq …; runtime/traceback.go: printArgs
    pub(crate) fn arg_words(&self) -> usize {
        const END: u8 = 0xff;
        const BRACES: [u8; 2] = [0xfe, 0xfd];
        const MORE: u8 = 0xfc;
        const FAR: u8 = 0xfb;
        const MAX: usize = 256;
        let Some(mut at) = self.funcdata(FUNCDATA_ARG_INFO) else {
            return 0;
        };
        let mut words = 0;
        while words < MAX
            && let Ok(byte) = self.tab.space.u8(at)
        {
            match byte {
                END => return words,
                MORE => return MAX,
                _ if BRACES.contains(&byte) => {}
                FAR => words += 1,
                _ => {
                    words += 1;
                    // {offset, size}
                    at = at.add(1);
                }
            }
            at = at.add(1);
        }
        words
    }

    /// Where offsets of the garbage collector's masks in funcdata count from.
    pub(crate) fn rodata(&self) -> Addr {
        self.module.rodata
    }

    /// The tables follow the record's last field.
    fn tables(&self) -> u64 {
        self.tab.layout.nfuncdata.offset + 1
    }

    fn value(&self, table: u32, pc: Addr) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let bytes = self.module.pctab.get(table as usize..)?;
        let target = u32::try_from(pc.0.checked_sub(self.entry.0)?).ok()?;
        pc_value(bytes, self.tab.quantum, target).map(|(value, _)| value)
    }

    /// Source file and line of the instruction at `pc`; an empty name and 0 if unknown. A return address must be
    /// lowered by one first, so that it names the call.
    // runtime/symtab.go: funcline1
    pub fn file_line(&self, pc: Addr) -> (&'p str, u32) {
        let line = self.value(self.u32(self.tab.layout.pcln.offset), pc);
        let file = self.value(self.u32(self.tab.layout.pcfile.offset), pc);
        let (Some(line), Some(file)) = (line, file) else {
            return ("", 0);
        };
        (
            self.file(file).unwrap_or_default(),
            u32::try_from(line).unwrap_or(0),
        )
    }

    fn file(&self, number: i32) -> Option<&'p str> {
        let index = self
            .u32(self.tab.layout.cu.offset)
            .checked_add(u32::try_from(number).ok()?)?;
        let offset = self.module.u32(&self.module.cutab, index as usize * 4)?;
        (offset != u32::MAX).then(|| c_str(&self.module.filetab, offset as usize))
    }
}
