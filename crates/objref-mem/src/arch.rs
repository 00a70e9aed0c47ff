//! The one table of what differs between architectures. Whatever else depends on one asks here.
//!
//! A row is everything that has to be written down for an architecture, but for the reading of its
//! code (`objref-go/src/find/code`). Numbers of registers are DWARF's; "word n" is the n-th word of
//! a block of the kernel's, and words are as long as pointers.

use object::elf::{
    EM_386, EM_AARCH64, EM_ARM, EM_LOONGARCH, EM_MIPS, EM_PPC64, EM_RISCV, EM_S390, EM_X86_64,
};

use crate::encoding::Encoding;

/// An architecture whose cores can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
    /// x86, 32 bits
    I386,
    /// IBM Z, 64 bits, big-endian
    S390x,
}

/// Where in a block of words the kernel has the registers.
pub(crate) struct Block {
    /// By DWARF number: the word of each general register.
    pub(crate) general: &'static [u8],
    pub(crate) pc: u8,
    /// Of the link register, where the architecture has one.
    pub(crate) lr: Option<u8>,
}

/// Where in a signal's frame the kernel saves the registers of the code that it interrupts.
pub(crate) struct SignalFrame {
    /// From `ucontext` to the machine's context in it.
    pub(crate) context: u64,
    /// From `ucontext` to the signal's description beside it.
    pub(crate) info: i64,
    pub(crate) registers: Block,
    /// What always holds in the context of a user program: (word, bits, their value).
    pub(crate) check: (u8, u64, u64),
}

/// Registers that keep the goroutine's stack pointer, and where they are its caller's, while the
/// runtime is in C that was called without telling the scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct KeptInC {
    /// Of the stack pointer.
    pub sp: u16,
    /// Of the return address; `None`: that is on the stack.
    pub pc: Option<u16>,
}

pub(crate) struct Row {
    name: &'static str,
    machine: u16,
    encoding: Encoding,
    /// Whether objref's answers have been held against real programs.
    supported: bool,

    // What the kernel writes.
    /// Bytes of a page where the core does not say (`AT_PAGESZ`).
    page_size: u64,
    /// Bytes of a user's id in `struct elf_prpsinfo`.
    user_id_size: u64,
    /// Registers in `struct elf_prstatus`.
    pub(crate) prstatus: Block,
    /// The word of the thread pointer there, if it has it.
    pub(crate) tls: Option<u8>,
    pub(crate) signal: SignalFrame,

    // Registers by their DWARF numbers.
    pub(crate) pc: u16,
    pub(crate) sp: u16,
    pub(crate) fp: u16,
    /// The current `g`.
    pub(crate) g: Option<u16>,

    // Go's conventions.
    /// Bytes of the smallest instruction.
    instruction: u32,
    min_frame_size: u64,
    stack_align: u64,
    empty_frame_size: u64,
    frame_pointers: bool,
    /// The lowest address that a heap arena can have.
    arena_base: u64,
    kept_in_c: Option<KeptInC>,
}

// Registers: x86-64 psABI, figure 3.36, against the kernel's `struct user_regs_struct`
// (r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
// fs_base gs_base ds es fs gs). g: cmd/compile/abi-internal.md.
// Signals: arch/x86/include/asm/sigframe.h: rt_sigframe {pretcode, uc, info};
// uapi/asm/sigcontext.h: r8 … r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags cs….
static AMD64: Row = Row {
    name: "amd64",
    machine: EM_X86_64.0,
    encoding: Encoding::LITTLE_64,
    supported: true,
    page_size: 4096,
    user_id_size: 4,
    prstatus: Block {
        // rax rdx rcx rbx rsi rdi rbp rsp r8..r15
        general: &[10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0],
        pc: 16,
        lr: None,
    },
    tls: Some(21),
    signal: SignalFrame {
        context: 40,
        info: 304,
        registers: Block {
            general: &[13, 12, 14, 11, 9, 8, 10, 15, 0, 1, 2, 3, 4, 5, 6, 7],
            pc: 16,
            lr: None,
        },
        // Code of a user program runs in segment 0x33.
        check: (18, 0xffff, 0x33),
    },
    pc: 16,
    sp: 7,
    fp: 6,
    g: Some(14),
    instruction: 1,
    min_frame_size: 0,
    stack_align: 8,
    empty_frame_size: 0,
    frame_pointers: true,
    arena_base: 0xffff_8000_0000_0000,
    // runtime/race_amd64.s: racecall; r12
    kept_in_c: Some(KeptInC { sp: 12, pc: None }),
};

// Registers: DWARF for the Arm 64-bit Architecture, section 4.1, against `struct user_pt_regs`
// (x0..x30 sp pc pstate). g: cmd/compile/abi-internal.md.
// Signals: arch/arm64/kernel/signal.c: rt_sigframe {info, uc}; uapi/asm/sigcontext.h:
// fault_address, regs[31], sp, pc, pstate.
static ARM64: Row = Row {
    name: "arm64",
    machine: EM_AARCH64.0,
    encoding: Encoding::LITTLE_64,
    supported: true,
    // There are also kernels with 16 and 64 KiB.
    page_size: 4096,
    user_id_size: 4,
    prstatus: Block {
        general: &[
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31,
        ],
        pc: 32,
        lr: Some(30),
    },
    tls: None,
    signal: SignalFrame {
        context: 176,
        info: -128,
        registers: Block {
            general: &[
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
                24, 25, 26, 27, 28, 29, 30, 31, 32,
            ],
            pc: 33,
            lr: Some(31),
        },
        // Of the processor's state, bits 0 to 4 are 0 in 64-bit user mode.
        check: (34, 0x1f, 0),
    },
    pc: 32,
    sp: 31,
    fp: 29,
    g: Some(28),
    instruction: 4,
    min_frame_size: 8,
    stack_align: 16,
    empty_frame_size: 16,
    frame_pointers: true,
    arena_base: 0,
    // runtime/race_arm64.s: racecall; x19, x20
    kept_in_c: Some(KeptInC {
        sp: 19,
        pc: Some(20),
    }),
};

// Registers: i386 psABI, table 2.14, against `struct user_regs_struct` (ebx ecx edx esi edi ebp eax
// ds es fs gs orig_eax eip cs eflags esp ss).
// Signals: rt_sigframe {pretcode, sig, pinfo, puc, info, uc}; gs fs es ds edi esi ebp esp ebx edx
// ecx eax trapno err eip cs eflags esp_at_signal ss.
static I386: Row = Row {
    name: "386",
    machine: EM_386.0,
    encoding: Encoding::LITTLE_32,
    supported: false,
    page_size: 4096,
    user_id_size: 2,
    prstatus: Block {
        // eax ecx edx ebx esp ebp esi edi
        general: &[6, 1, 2, 0, 15, 5, 3, 4],
        pc: 12,
        lr: None,
    },
    tls: None,
    signal: SignalFrame {
        context: 20,
        info: -128,
        registers: Block {
            general: &[11, 10, 9, 8, 7, 6, 5, 4],
            pc: 14,
            lr: None,
        },
        // Code of a user program runs with the lowest privilege.
        check: (15, 3, 3),
    },
    pc: 8,
    sp: 4,
    fp: 5,
    g: None,
    instruction: 1,
    min_frame_size: 0,
    stack_align: 4,
    empty_frame_size: 0,
    frame_pointers: false,
    arena_base: 0,
    kept_in_c: None,
};

// Registers: s390x ELF ABI, "DWARF register mapping", against `s390_regs` (psw mask and address,
// r0..r15, access registers, orig_gpr2). g: runtime/asm_s390x.s.
// Signals: arch/s390/kernel/signal.c: rt_sigframe {…, info, uc}; _sigregs as above.
static S390X: Row = Row {
    name: "s390x",
    machine: EM_S390.0,
    encoding: Encoding::BIG_64,
    supported: false,
    page_size: 4096,
    user_id_size: 4,
    prstatus: Block {
        general: &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
        pc: 1,
        lr: Some(16),
    },
    tls: None,
    signal: SignalFrame {
        context: 40,
        info: -128,
        registers: Block {
            general: &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
            pc: 1,
            lr: Some(16),
        },
        // The mask's bit for the problem state, in which user programs run.
        check: (0, 1 << 48, 1 << 48),
    },
    pc: 65,
    sp: 15,
    fp: 11,
    g: Some(13),
    instruction: 2,
    min_frame_size: 8,
    stack_align: 8,
    empty_frame_size: 8,
    frame_pointers: false,
    arena_base: 0,
    kept_in_c: None,
};

/// The rows, in the order of [`Arch`].
static ROWS: [(&Row, Arch); 4] = [
    (&AMD64, Arch::Amd64),
    (&ARM64, Arch::Arm64),
    (&I386, Arch::I386),
    (&S390X, Arch::S390x),
];

impl Arch {
    /// The architecture that an ELF header names; `None` when there is no row for it.
    pub(crate) fn from_elf(machine: u16, encoding: Encoding) -> Option<Self> {
        let mut rows = ROWS.iter();
        let fits = |row: &Row| row.machine == machine && row.encoding == encoding;
        rows.find(|(row, _)| fits(row)).map(|(_, arch)| *arch)
    }

    pub(crate) fn row(self) -> &'static Row {
        ROWS[self as usize].0
    }

    /// The name as Go spells it in `GOARCH`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether objref's answers have been held against real programs. Of other architectures the
    /// memory and the threads can be read, and no more.
    pub fn is_supported(self) -> bool {
        self.row().supported
    }

    /// Byte order and size of words.
    #[inline]
    pub fn encoding(self) -> Encoding {
        self.row().encoding
    }

    /// Bytes of a pointer.
    pub fn pointer_size(self) -> u64 {
        self.encoding().word_size()
    }

    /// Bytes of a page where the core does not say (`AT_PAGESZ`).
    pub fn default_page_size(self) -> u64 {
        self.row().page_size
    }

    pub(crate) fn user_id_size(self) -> u64 {
        self.row().user_id_size
    }

    /// Bytes of the smallest instruction, of which Go's tables count code addresses.
    // internal/goarch: PCQuantum
    pub fn instruction_size(self) -> u32 {
        self.row().instruction
    }

    /// Whether a call leaves the return address in a register, and not on the stack.
    pub fn has_link_register(self) -> bool {
        self.row().prstatus.lr.is_some()
    }

    /// Bytes between the end of a frame and its function's arguments.
    // internal/goarch: MinFrameSize
    pub fn min_frame_size(self) -> u64 {
        self.row().min_frame_size
    }

    /// What the kernel's and the runtime's injected calls push: the link register, where there is one.
    // runtime/traceback.go: alignUp(sys.MinFrameSize, sys.StackAlign); internal/goarch: StackAlign
    pub fn injected_frame_size(self) -> u64 {
        self.min_frame_size()
            .next_multiple_of(self.row().stack_align)
    }

    /// Bytes of a frame that has no local variables, at most.
    // runtime/stkframe.go: (*stkframe).getStackMap: minsize
    pub fn empty_frame_size(self) -> u64 {
        self.row().empty_frame_size
    }

    /// What a call instruction itself pushes: the return address, or nothing.
    pub fn pushed_by_call(self) -> u64 {
        if self.has_link_register() {
            0
        } else {
            self.pointer_size()
        }
    }

    /// Whether functions with a frame save their caller's frame pointer in it.
    // runtime/runtime2.go: framepointer_enabled
    pub fn has_frame_pointers(self) -> bool {
        self.row().frame_pointers
    }

    /// The lowest address that an arena of Go's heap can have: the one of index 0.
    // runtime/malloc.go: arenaBaseOffset
    pub fn arena_base(self) -> u64 {
        self.row().arena_base
    }

    /// Bits of an address within an arena of Go's heap.
    // runtime/malloc.go: logHeapArenaBytes
    pub fn arena_shift(self) -> u32 {
        if self.encoding().is_wide() { 26 } else { 22 }
    }

    /// Bits of an address of Go's heap.
    // runtime/malloc.go: heapAddrBits
    pub fn heap_address_bits(self) -> u32 {
        if self.encoding().is_wide() { 48 } else { 32 }
    }

    /// Where the stack pointer of Go is while a sanitizer runs; `None` where Go has none.
    pub fn kept_in_c(self) -> Option<KeptInC> {
        self.row().kept_in_c
    }
}

/// The name of an architecture for messages, whether there is a row for it or not.
pub(crate) fn name_of(machine: u16, e: Encoding) -> String {
    let (wide, big) = (e.is_wide(), e.is_big_endian());
    let named = |m: u16, w, b| m == machine && w == wide && b == big;
    let others = [
        ("arm", EM_ARM.0, false, false),
        ("loong64", EM_LOONGARCH.0, true, false),
        ("mips", EM_MIPS.0, false, true),
        ("mipsle", EM_MIPS.0, false, false),
        ("mips64", EM_MIPS.0, true, true),
        ("mips64le", EM_MIPS.0, true, false),
        ("ppc64", EM_PPC64.0, true, true),
        ("ppc64le", EM_PPC64.0, true, false),
        ("riscv64", EM_RISCV.0, true, false),
    ];
    if let Some(arch) = Arch::from_elf(machine, e) {
        return arch.name().to_owned();
    }
    match others.iter().find(|(_, m, w, b)| named(*m, *w, *b)) {
        Some((name, ..)) => (*name).to_owned(),
        None => format!(
            "(machine {machine}, {} bits, {}-endian)",
            8 * e.word_size(),
            if big { "big" } else { "little" }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_names() {
        for (i, (row, arch)) in ROWS.iter().enumerate() {
            assert_eq!(*arch as usize, i);
            assert_eq!(Arch::from_elf(row.machine, row.encoding), Some(*arch));
            let sp = usize::from(row.sp);
            assert!(sp < row.prstatus.general.len() && sp < row.signal.registers.general.len());
            assert_eq!(row.prstatus.lr.is_some(), row.min_frame_size > 0);
        }
    }

    #[test]
    fn what_there_is_no_row_for_has_a_name() {
        let little = Encoding::LITTLE_64;
        assert_eq!(name_of(243, little), "riscv64");
        assert_eq!(
            (name_of(21, little), name_of(21, Encoding::BIG_64)),
            ("ppc64le".into(), "ppc64".into())
        );
        assert_eq!(
            name_of(62, Encoding::LITTLE_32),
            "(machine 62, 32 bits, little-endian)"
        );
        assert_eq!(name_of(22, Encoding::BIG_64), "s390x");
    }
}
