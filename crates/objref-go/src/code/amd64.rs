//! amd64 instructions: how long each is, and what those do that move words about.
//!
//! Every instruction that compilers emit has to be measured, a few have to be understood; the others are known by the
//! registers they change.
// Intel SDM, volume 2: chapter 2 (formats), appendix A (opcode maps)

use objref_mem::Addr;

use super::amd64_ops::operation;
use super::op::{Instruction, Mem, Reg};

/// Which table an opcode is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Map {
    One,
    /// 0F
    Two,
    /// 0F 38
    Three38,
    /// 0F 3A
    Three3a,
}

/// The operand that may be in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    Reg(Reg),
    Mem(Mem),
}

/// The parts of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) map: Map,
    pub(super) opcode: u8,
    /// REX.W, or its equivalent: operands of eight bytes.
    pub(super) wide: bool,
    /// Prefix 66.
    pub(super) short: bool,
    /// Prefix F3.
    pub(super) rep: bool,
    /// Prefix F2.
    pub(super) repne: bool,
    /// Encoded with VEX or EVEX; then the length of vectors, 0 for sixteen bytes.
    pub(super) vector: Option<u8>,
    /// REX.B, for registers in the opcode.
    pub(super) rex_b: Reg,
    /// The `reg` field.
    pub(super) reg: Reg,
    pub(super) rm: Operand,
    /// Sign-extended.
    pub(super) immediate: i64,
    /// Address of the next instruction.
    pub(super) next: Addr,
}

/// The instruction at the start of `bytes`, which lie at `pc`; `None` for what is none, or cut off.
pub(crate) fn decode(bytes: &[u8], pc: Addr) -> Option<Instruction> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut parts = Parts {
        map: Map::One,
        opcode: 0,
        wide: false,
        short: false,
        rep: false,
        repne: false,
        vector: None,
        rex_b: 0,
        reg: 0,
        rm: Operand::Reg(0),
        immediate: 0,
        next: pc,
    };
    let rex = prefixes(&mut cursor, &mut parts)?;
    let mut relative = false;
    if has_modrm(parts.map, parts.opcode) {
        relative = modrm(&mut cursor, &mut parts, rex)?;
    }
    parts.immediate = cursor.signed(immediate_len(&parts))?;
    let len = u8::try_from(cursor.at).ok().filter(|len| *len <= MAX_LEN)?;
    parts.next = pc.add(u64::from(len));
    if relative && let Operand::Mem(mem) = &mut parts.rm {
        mem.disp = mem.disp.wrapping_add(parts.next.0 as i64);
    }
    Some(Instruction {
        len,
        op: operation(&parts),
    })
}

const MAX_LEN: u8 = 15;
const REX_W: u8 = 8;
const REX_R: u8 = 4;
const REX_X: u8 = 2;
const REX_B: u8 = 1;

/// Reads up to the opcode. Returns the REX bits.
fn prefixes(cursor: &mut Cursor<'_>, parts: &mut Parts) -> Option<u8> {
    let mut rex = 0;
    let first = loop {
        let byte = cursor.byte()?;
        match byte {
            0x66 => parts.short = true,
            0xf3 => parts.rep = true,
            0xf2 => parts.repne = true,
            // The size of addresses is nothing that compilers change.
            0xf0 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65 => {}
            0x40..=0x4f => {
                rex = byte & 15;
                break cursor.byte()?;
            }
            _ => break byte,
        }
        if cursor.at > usize::from(MAX_LEN) {
            return None;
        }
    };
    match first {
        0xc4 | 0xc5 | 0x62 => rex = vex(cursor, parts, first)?,
        0x0f => {
            let second = cursor.byte()?;
            (parts.map, parts.opcode) = match second {
                0x38 => (Map::Three38, cursor.byte()?),
                0x3a => (Map::Three3a, cursor.byte()?),
                _ => (Map::Two, second),
            };
        }
        _ => parts.opcode = first,
    }
    parts.wide = rex & REX_W != 0;
    parts.rex_b = if rex & REX_B != 0 { 8 } else { 0 };
    Some(rex)
}

/// VEX (C4, C5) and EVEX (62): prefixes, map and registers in one.
fn vex(cursor: &mut Cursor<'_>, parts: &mut Parts, first: u8) -> Option<u8> {
    let one = cursor.byte()?;
    // R, X and B are stored inverted.
    let (rex, map, last) = match first {
        0xc5 => (!one >> 5 & REX_R, 1, one),
        _ => {
            let two = cursor.byte()?;
            let bits = !one >> 5 & (REX_R | REX_X | REX_B);
            (bits | (two >> 4 & REX_W), one & 7, two)
        }
    };
    let mut length = last >> 2 & 1;
    if first == 0x62 {
        length = cursor.byte()? >> 5 & 3;
    }
    match last & 3 {
        1 => parts.short = true,
        2 => parts.rep = true,
        3 => parts.repne = true,
        _ => {}
    }
    parts.map = match map {
        1 => Map::Two,
        2 => Map::Three38,
        3 => Map::Three3a,
        // Half-precision numbers have maps of their own, laid out like these.
        5 | 6 => Map::Three38,
        _ => return None,
    };
    parts.vector = Some(length);
    parts.opcode = cursor.byte()?;
    Some(rex)
}

/// ModRM, SIB and displacement. Returns whether the operand is counted from the next instruction.
fn modrm(cursor: &mut Cursor<'_>, parts: &mut Parts, rex: u8) -> Option<bool> {
    let byte = cursor.byte()?;
    let (mode, rm) = (byte >> 6, byte & 7);
    parts.reg = byte >> 3 & 7 | if rex & REX_R != 0 { 8 } else { 0 };
    if mode == 3 {
        parts.rm = Operand::Reg(rm | parts.rex_b);
        return Some(false);
    }
    let (mut base, mut indexed) = (Some(rm | parts.rex_b), false);
    let mut relative = false;
    let mut len = match mode {
        0 => 0,
        1 => 1,
        _ => 4,
    };
    if rm == 4 {
        let sib = cursor.byte()?;
        // Index 4 is none, unless REX.X makes it register 12.
        indexed = sib >> 3 & 7 != 4 || rex & REX_X != 0;
        base = Some(sib & 7 | parts.rex_b);
        if mode == 0 && sib & 7 == 5 {
            (base, len) = (None, 4);
        }
    } else if mode == 0 && rm == 5 {
        (base, len, relative) = (None, 4, true);
    }
    let disp = cursor.signed(len)?;
    parts.rm = Operand::Mem(Mem {
        base,
        disp,
        indexed,
    });
    Some(relative)
}

fn has_modrm(map: Map, opcode: u8) -> bool {
    match map {
        Map::One => match opcode {
            0x00..=0x3f => opcode & 7 < 4,
            0x62 | 0x63 | 0x69 | 0x6b | 0x80..=0x8f => true,
            0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xd8..=0xdf => true,
            0xf6 | 0xf7 | 0xfe | 0xff => true,
            _ => false,
        },
        Map::Two => !matches!(
            opcode,
            0x04..=0x0b | 0x0e | 0x30..=0x37 | 0x77 | 0x80..=0x8f | 0xa0..=0xa2 | 0xa8..=0xaa | 0xc8..=0xcf
        ),
        Map::Three38 | Map::Three3a => true,
    }
}

/// Bytes of the number at the end.
fn immediate_len(parts: &Parts) -> usize {
    let full = if parts.short && !parts.wide { 2 } else { 4 };
    match (parts.map, parts.opcode) {
        (Map::One, opcode) => match opcode {
            0x00..=0x3f if opcode & 7 == 4 => 1,
            0x00..=0x3f if opcode & 7 == 5 => full,
            0x68 | 0x69 | 0x81 | 0xa9 | 0xc7 => full,
            0x6a | 0x6b | 0x70..=0x80 | 0x83 | 0xa8 | 0xb0..=0xb7 | 0xc0 | 0xc1 | 0xc6 => 1,
            0xcd | 0xd4 | 0xd5 | 0xe0..=0xe7 | 0xeb => 1,
            0xa0..=0xa3 => 8,
            0xb8..=0xbf if parts.wide => 8,
            0xb8..=0xbf => full,
            0xc2 | 0xca => 2,
            0xc8 => 3,
            0xe8 | 0xe9 => 4,
            // Only the tests of these groups have a number.
            0xf6 if parts.reg & 7 < 2 => 1,
            0xf7 if parts.reg & 7 < 2 => full,
            _ => 0,
        },
        (Map::Two, 0x80..=0x8f) => 4,
        (Map::Two, 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 | 0x0f) => 1,
        (Map::Three3a, _) => 1,
        _ => 0,
    }
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A little-endian number of `len` bytes, sign-extended; 0 for none.
    fn signed(&mut self, len: usize) -> Option<i64> {
        let bytes = self.bytes.get(self.at..self.at + len)?;
        self.at += len;
        let mut value = 0u64;
        for (i, byte) in bytes.iter().enumerate() {
            value |= u64::from(*byte) << (i * 8);
        }
        let unused = 64 - 8 * len as u32;
        Some(match len {
            0 => 0,
            _ => (value << unused) as i64 >> unused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::op::{Op, Target, VECTOR};

    fn mem(base: Reg, disp: i64) -> Mem {
        Mem {
            base: Some(base),
            disp,
            indexed: false,
        }
    }

    /// What is at 0x1000, and how long it is.
    fn at(bytes: &[u8]) -> (Op, u8) {
        let padded: Vec<u8> = bytes.iter().copied().chain([0xcc; 4]).collect();
        let found = decode(&padded, Addr(0x1000)).unwrap();
        (found.op, found.len)
    }

    #[test]
    fn moves_say_where_words_go() {
        let absolute = Mem {
            base: None,
            disp: 0x2007,
            indexed: false,
        };
        let table: [(&[u8], Op); 12] = [
            // lea 0x1000(%rip),%rax; mov %rcx,0x1000(%rip)
            (
                &[0x48, 0x8d, 0x05, 0, 0x10, 0, 0],
                Op::Constant {
                    dst: 0,
                    value: 0x2007,
                },
            ),
            (
                &[0x48, 0x89, 0x0d, 0, 0x10, 0, 0],
                Op::Store {
                    mem: absolute,
                    src: 1,
                },
            ),
            // mov 0x18(%rsp),%r9; mov %rax,(%r12); mov -8(%rbp),%rcx
            (
                &[0x4c, 0x8b, 0x4c, 0x24, 0x18],
                Op::Load {
                    dst: 9,
                    mem: mem(4, 0x18),
                },
            ),
            (
                &[0x49, 0x89, 0x04, 0x24],
                Op::Store {
                    mem: mem(12, 0),
                    src: 0,
                },
            ),
            (
                &[0x48, 0x8b, 0x4d, 0xf8],
                Op::Load {
                    dst: 1,
                    mem: mem(5, -8),
                },
            ),
            // movups %xmm15,0x10(%rsp)
            (
                &[0x44, 0x0f, 0x11, 0x7c, 0x24, 0x10],
                Op::Store {
                    mem: mem(4, 0x10),
                    src: VECTOR + 15,
                },
            ),
            // xor %ecx,%ecx; mov $7,%esi; add $16,%rdx
            (&[0x31, 0xc9], Op::Constant { dst: 1, value: 0 }),
            (&[0xbe, 7, 0, 0, 0], Op::Constant { dst: 6, value: 7 }),
            (
                &[0x48, 0x83, 0xc2, 0x10],
                Op::Address {
                    dst: 2,
                    mem: mem(2, 16),
                },
            ),
            // call 0x1000; jne 0x1012; call *0x18(%rcx)
            (&[0xe8, 0xfb, 0xff, 0xff, 0xff], Op::Call(Addr(0x1000))),
            (&[0x75, 0x10], Op::Branch(Addr(0x1012))),
            (
                &[0xff, 0x51, 0x18],
                Op::CallThrough(Target::Mem(mem(1, 0x18))),
            ),
        ];
        for (bytes, op) in table {
            assert_eq!(at(bytes), (op, bytes.len() as u8), "{bytes:x?}");
        }
    }

    #[test]
    fn other_instructions_have_a_length() {
        let table: [&[u8]; 10] = [
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], // nopw 0(%rax,%rax,1)
            &[0x81, 0x7c, 0x24, 0x08, 1, 2, 3, 4],    // cmpl $0x4030201,8(%rsp)
            &[0x66, 0x81, 0x38, 1, 2],                // cmpw $0x201,(%rax)
            &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8],    // movabs
            &[0xf7, 0x00, 1, 0, 0, 0],                // testl $1,(%rax)
            &[0xf7, 0xd8],                            // neg %eax
            &[0xf0, 0x48, 0x0f, 0xb1, 0x0a],          // lock cmpxchg %rcx,(%rdx)
            &[0x66, 0x0f, 0x3a, 0x0f, 0xc1, 0x08],    // palignr $8
            &[0xc5, 0xfe, 0x6f, 0x06],                // vmovdqu (%rsi),%ymm0
            &[0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x46, 0x01], // vmovdqu64 64(%rsi),%zmm0
        ];
        for bytes in table {
            assert_eq!(at(bytes).1, bytes.len() as u8, "{bytes:x?}");
        }
    }

    #[test]
    fn any_bytes_are_read_to_an_end() {
        let mut state = 1u64;
        let mut bytes = [0u8; 24];
        for _ in 0..200_000 {
            for byte in &mut bytes {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                *byte = (state >> 56) as u8;
            }
            let len = usize::from(bytes[0] % 20);
            if let Some(found) = decode(&bytes[..len], Addr(u64::MAX - 3)) {
                assert!(found.len > 0 && usize::from(found.len) <= len.min(15));
            }
        }
    }
}
