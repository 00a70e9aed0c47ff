//! The one table of what differs between architectures.

use object::elf::{EM_AARCH64, EM_X86_64};

use crate::bytes;

/// A supported architecture. All of them are 64-bit and little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Arch {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

/// Where a register of a thread comes from in the kernel's register block: its word.
struct Table {
    name: &'static str,
    page_size: u64,
    /// By DWARF number: the word of each general register.
    general: &'static [u8],
    pc: u8,
    /// DWARF number of the program counter, for unwinders.
    pc_dwarf: u16,
    sp: u16,
    fp: u16,
    g: u16,
    lr: Option<u16>,
    /// The word of the thread pointer, where the block has it.
    tls: Option<u8>,
    words: u8,
}

// x86-64 psABI, figure 3.36 against the kernel's `struct user_regs_struct`
// (r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss
// fs_base gs_base ds es fs gs). g: cmd/compile/abi-internal.md.
static AMD64: Table = Table {
    name: "amd64",
    page_size: 4096,
    // rax rdx rcx rbx rsi rdi rbp rsp r8..r15
    general: &[10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0],
    pc: 16,
    pc_dwarf: 16,
    sp: 7,
    fp: 6,
    g: 14,
    lr: None,
    tls: Some(21),
    words: 27,
};

// DWARF for the Arm 64-bit Architecture, section 4.1, against `struct user_pt_regs`
// (x0..x30 sp pc pstate). g: cmd/compile/abi-internal.md.
static ARM64: Table = Table {
    name: "arm64",
    page_size: 4096,
    general: &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
        25, 26, 27, 28, 29, 30, 31,
    ],
    pc: 32,
    pc_dwarf: 32,
    sp: 31,
    fp: 29,
    g: 28,
    lr: Some(30),
    tls: None,
    words: 34,
};

impl Arch {
    /// The architecture of an ELF header's `e_machine`; `None` when it is not supported.
    pub fn from_elf_machine(machine: u16) -> Option<Self> {
        match machine {
            m if m == EM_X86_64.0 => Some(Self::Amd64),
            m if m == EM_AARCH64.0 => Some(Self::Arm64),
            _ => None,
        }
    }

    fn table(self) -> &'static Table {
        match self {
            Self::Amd64 => &AMD64,
            Self::Arm64 => &ARM64,
        }
    }

    /// Bytes of a pointer.
    pub fn pointer_size(self) -> u64 {
        8
    }

    /// Bytes of a page where the core does not say (`AT_PAGESZ`); arm64 also has 16 and 64 KiB.
    pub fn default_page_size(self) -> u64 {
        self.table().page_size
    }

    /// The name as Go spells it in `GOARCH`.
    pub fn name(self) -> &'static str {
        self.table().name
    }
}

/// The registers of one thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    arch: Arch,
    /// By DWARF number; the first `arch.table().general.len()` are used.
    general: [u64; 32],
    pc: u64,
    tls: Option<u64>,
}

impl Registers {
    /// Takes them out of the register block of an `NT_PRSTATUS` descriptor, which starts with the
    /// kernel's first word; `None` when the block is too short.
    pub(crate) fn parse(arch: Arch, block: &[u8]) -> Option<Self> {
        let table = arch.table();
        bytes::at(block, 0, u64::from(table.words) * 8)?;
        let word = |i: u8| bytes::u64(block, u64::from(i) * 8);
        let mut general = [0; 32];
        for (value, &at) in general.iter_mut().zip(table.general) {
            *value = word(at)?;
        }
        let tls = match table.tls {
            Some(at) => Some(word(at)?),
            None => None,
        };
        Some(Self {
            arch,
            general,
            pc: word(table.pc)?,
            tls,
        })
    }

    pub(crate) fn set_tls_base(&mut self, base: u64) {
        self.tls = Some(base);
    }

    /// The program counter.
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.general[usize::from(self.arch.table().sp)]
    }

    /// The frame pointer: `rbp` or `x29`. Arbitrary in code that uses it as a general register.
    pub fn fp(&self) -> u64 {
        self.general[usize::from(self.arch.table().fp)]
    }

    /// The register that holds the current `g` in Go code: `r14` or `x28`. Arbitrary in C code.
    pub fn g(&self) -> u64 {
        self.general[usize::from(self.arch.table().g)]
    }

    /// The link register, where the architecture has one: `x30`.
    pub fn lr(&self) -> Option<u64> {
        self.arch.table().lr.map(|n| self.general[usize::from(n)])
    }

    /// The thread pointer: `fs_base`, or `tpidr_el0` when the core has `NT_ARM_TLS`.
    pub fn tls_base(&self) -> Option<u64> {
        self.tls
    }

    /// Every general register by its DWARF number, the stack pointer among them, without the
    /// program counter. For conservative scanning.
    pub fn all(&self) -> &[u64] {
        &self.general[..self.arch.table().general.len()]
    }

    /// The register with DWARF number `n`: the general ones and the program counter (amd64: 16,
    /// the return address column; arm64: 32).
    pub fn dwarf(&self, n: u16) -> Option<u64> {
        if n == self.arch.table().pc_dwarf {
            return Some(self.pc);
        }
        self.all().get(usize::from(n)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(words: u64) -> Vec<u8> {
        (0..words).flat_map(|i| (1000 + i).to_le_bytes()).collect()
    }

    #[test]
    fn amd64_registers() {
        let r = Registers::parse(Arch::Amd64, &block(27)).unwrap();
        assert_eq!((r.pc(), r.sp(), r.fp(), r.g()), (1016, 1019, 1004, 1001));
        assert_eq!((r.lr(), r.tls_base()), (None, Some(1021)));
        assert_eq!(
            (r.dwarf(0), r.dwarf(15), r.dwarf(16)),
            (Some(1010), Some(1000), Some(1016))
        );
        assert_eq!((r.dwarf(17), r.all().len()), (None, 16));
        assert!(Registers::parse(Arch::Amd64, &block(27)[..215]).is_none());
    }

    #[test]
    fn arm64_registers() {
        let mut r = Registers::parse(Arch::Arm64, &block(34)).unwrap();
        assert_eq!((r.pc(), r.sp(), r.fp(), r.g()), (1032, 1031, 1029, 1028));
        assert_eq!((r.lr(), r.tls_base()), (Some(1030), None));
        r.set_tls_base(7);
        assert_eq!(r.tls_base(), Some(7));
        assert_eq!(
            (r.dwarf(31), r.dwarf(32), r.dwarf(33)),
            (Some(1031), Some(1032), None)
        );
    }
}
