//! The registers of a thread, and of code that a signal interrupted.

use crate::addr::Addr;
use crate::arch::{Arch, Block};
use crate::fault::Fault;
use crate::space::AddressSpace;

/// No architecture has more general registers.
const MAX_GENERAL: usize = 32;

/// The registers of one thread, or of code that a signal interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registers {
    arch: Arch,
    /// By DWARF number; as many are used as the architecture has.
    general: [u64; MAX_GENERAL],
    pc: u64,
    lr: Option<u64>,
    tls: Option<u64>,
}

impl Registers {
    /// Takes them out of the register block of an `NT_PRSTATUS` descriptor, which starts with the
    /// kernel's first word; `None` when the block is too short.
    pub(crate) fn parse(arch: Arch, block: &[u8]) -> Option<Self> {
        let e = arch.encoding();
        let word = |n: u8| e.word(block, u64::from(n) * e.word_size()).ok_or(());
        let row = arch.row();
        let mut regs = Self::read(arch, &row.prstatus, word).ok()?;
        regs.tls = row.tls.map(word).transpose().ok()?;
        Some(regs)
    }

    /// What a signal interrupted, if there is the context of a signal at `at`, made by the kernel on
    /// the stack that `sp` lies on.
    ///
    /// It is recognised by what the kernel writes into it: the stack. That works whoever installed
    /// the handler.
    ///
    /// # Errors
    ///
    /// A fault when the context is not in memory as a whole.
    // Linux, struct ucontext: flags, link *ucontext, stack {sp, flags i32, size}, context
    pub fn interrupted(space: &AddressSpace, at: Addr, sp: Addr) -> Result<Option<Self>, Fault> {
        let (arch, size) = (space.arch(), space.word_size());
        let frame = &arch.row().signal;
        let word = |n: u64| space.word(at.add(n * size));
        // Cheapest first: nothing links signal frames, and few words on a stack are 0.
        if word(1)? != 0 {
            return Ok(None);
        }
        let (stack, flags, len) = (word(2)?, space.u32(at.add(3 * size))?, word(4)?);
        // SS_DISABLE (2) has no stack.
        let on_stack = stack != 0 && flags & 2 == 0 && (2048..=1 << 30).contains(&len);
        let inside = |a: Addr| a.0 >= stack && a.0 - stack < len;
        if !on_stack || !inside(at) || !inside(sp) {
            return Ok(None);
        }
        let signal = space.u32(Addr(at.0.wrapping_add_signed(frame.info)))?;
        let word = |n: u8| space.word(at.add(frame.context + u64::from(n) * size));
        let (check, bits, value) = frame.check;
        if !(1..=64).contains(&signal) || word(check)? & bits != value {
            return Ok(None);
        }
        let regs = Self::read(arch, &frame.registers, word)?;
        let sound = regs.sp() != 0
            && regs.sp().is_multiple_of(size)
            && regs.pc.is_multiple_of(arch.instruction_size().into());
        Ok(sound.then_some(regs))
    }

    fn read<E>(arch: Arch, block: &Block, word: impl Fn(u8) -> Result<u64, E>) -> Result<Self, E> {
        let mut general = [0; MAX_GENERAL];
        for (value, &at) in general.iter_mut().zip(block.general) {
            *value = word(at)?;
        }
        Ok(Self {
            arch,
            general,
            pc: word(block.pc)?,
            lr: block.lr.map(word).transpose()?,
            tls: None,
        })
    }

    pub(crate) fn set_tls_base(&mut self, base: u64) {
        self.tls = Some(base);
    }

    fn get(&self, n: u16) -> u64 {
        self.all().get(usize::from(n)).copied().unwrap_or(0)
    }

    /// The program counter.
    pub fn pc(&self) -> u64 {
        self.pc
    }

    /// The stack pointer.
    pub fn sp(&self) -> u64 {
        self.get(self.arch.row().sp)
    }

    /// The frame pointer. Arbitrary in code that uses it as a general register.
    pub fn fp(&self) -> u64 {
        self.get(self.arch.row().fp)
    }

    /// The register that holds the current `g` in Go code, where one does. Arbitrary in C code.
    pub fn g(&self) -> Option<u64> {
        self.arch.row().g.map(|n| self.get(n))
    }

    /// The link register, where the architecture has one.
    pub fn lr(&self) -> Option<u64> {
        self.lr
    }

    /// The thread pointer, where the core has it.
    pub fn tls_base(&self) -> Option<u64> {
        self.tls
    }

    /// Every general register by its DWARF number, the stack pointer among them, without the
    /// program counter. For conservative scanning.
    pub fn all(&self) -> &[u64] {
        &self.general[..self.arch.row().prstatus.general.len()]
    }

    /// The register with DWARF number `n`: the general ones and the program counter.
    pub fn dwarf(&self, n: u16) -> Option<u64> {
        if n == self.arch.row().pc {
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
        assert_eq!((r.pc(), r.sp(), r.fp()), (1016, 1019, 1004));
        assert_eq!(
            (r.g(), r.lr(), r.tls_base()),
            (Some(1001), None, Some(1021))
        );
        assert_eq!(
            (r.dwarf(0), r.dwarf(15), r.dwarf(16)),
            (Some(1010), Some(1000), Some(1016))
        );
        assert_eq!((r.dwarf(17), r.all().len()), (None, 16));
        assert!(Registers::parse(Arch::Amd64, &block(22)[..175]).is_none());
    }

    #[test]
    fn arm64_registers() {
        let mut r = Registers::parse(Arch::Arm64, &block(34)).unwrap();
        assert_eq!((r.pc(), r.sp(), r.fp()), (1032, 1031, 1029));
        assert_eq!(
            (r.g(), r.lr(), r.tls_base()),
            (Some(1028), Some(1030), None)
        );
        r.set_tls_base(7);
        assert_eq!(r.tls_base(), Some(7));
        assert_eq!(
            (r.dwarf(31), r.dwarf(32), r.dwarf(33)),
            (Some(1031), Some(1032), None)
        );
    }

    #[test]
    fn registers_of_half_the_size() {
        let block: Vec<u8> = (0..17u32).flat_map(|i| (1000 + i).to_le_bytes()).collect();
        let r = Registers::parse(Arch::I386, &block).unwrap();
        assert_eq!((r.pc(), r.sp(), r.fp()), (1012, 1015, 1005));
        assert_eq!((r.g(), r.lr(), r.tls_base()), (None, None, None));
        // eax ecx edx ebx esp ebp esi edi
        assert_eq!(r.all(), [1006, 1001, 1002, 1000, 1015, 1005, 1003, 1004]);
        assert!(Registers::parse(Arch::I386, &block[..60]).is_none());
    }

    #[test]
    fn registers_with_the_highest_byte_first() {
        let block: Vec<u8> = (0..27u64).flat_map(|i| (1000 + i).to_be_bytes()).collect();
        let r = Registers::parse(Arch::S390x, &block).unwrap();
        assert_eq!((r.pc(), r.sp(), r.lr()), (1001, 1017, Some(1016)));
        assert_eq!(
            (r.g(), r.dwarf(0), r.all().len()),
            (Some(1015), Some(1002), 16)
        );
    }
}
