//! What amd64 instructions do with words that may be pointers.
// Intel SDM, volume 2: appendix A (opcode maps)

use objref_mem::Addr;

use super::amd64::{Map, Operand, Parts};
use super::op::{Mem, Op, Reg, Target, VECTOR, change};

const AX: Reg = 0;
const CX: Reg = 1;
const DX: Reg = 2;
const BX: Reg = 3;
const BP: Reg = 5;
const SI: Reg = 6;
const DI: Reg = 7;
const R11: Reg = 11;

/// What the instruction does.
pub(super) fn operation(parts: &Parts) -> Op {
    match parts.map {
        Map::One => one(parts),
        Map::Two => two(parts),
        Map::Three38 | Map::Three3a => three(parts),
    }
}

fn regs(list: &[Reg]) -> Op {
    Op::Change(list.iter().fold(0, |bits, reg| bits | 1 << reg))
}

/// The register operand changes in a way that is not followed; nothing is said of memory.
fn changes(operand: Operand) -> Op {
    match operand {
        Operand::Reg(reg) => change(reg),
        Operand::Mem(_) => Op::Nothing,
    }
}

fn target(parts: &Parts) -> Addr {
    parts.next.add(parts.immediate as u64)
}

fn one(parts: &Parts) -> Op {
    let (reg, rm) = (parts.reg, parts.rm);
    match parts.opcode {
        // ADD OR ADC SBB AND SUB XOR CMP, in six forms each
        0x38..=0x3d => Op::Nothing,
        0x00..=0x3f => match parts.opcode & 7 {
            1 | 3 if parts.opcode & 0x38 == 0x30 && rm == Operand::Reg(reg) => {
                Op::Constant { dst: reg, value: 0 }
            }
            0 | 1 => changes(rm),
            2 | 3 => change(reg),
            _ => change(AX),
        },
        0x50..=0x57 | 0x68 | 0x6a | 0x84 | 0x85 | 0xa8 | 0xa9 => Op::Nothing,
        0x58..=0x5f => change(parts.opcode & 7 | parts.rex_b),
        0x63 | 0x69 | 0x6b | 0x8a => change(reg),
        0x70..=0x7f | 0xe0..=0xe3 => Op::Branch(target(parts)),
        0x80..=0x83 => immediate_arithmetic(parts),
        // An exchange leaves in the register what was in memory, which is of the same type.
        0x87 if parts.wide => store(rm, reg),
        0x86 | 0x87 => match rm {
            Operand::Reg(other) => regs(&[reg, other]),
            Operand::Mem(_) => change(reg),
        },
        0x89 if parts.wide => store(rm, reg),
        0x88 | 0x89 => changes(rm),
        0x8b if parts.wide => load(reg, rm),
        0x8b => change(reg),
        0x8d => match rm {
            Operand::Mem(mem) if parts.wide => address(reg, mem),
            _ => change(reg),
        },
        0x8f => changes(rm),
        0x90 if parts.rex_b == 0 => Op::Nothing,
        0x90..=0x97 => regs(&[AX, parts.opcode & 7 | parts.rex_b]),
        0x98 => change(AX),
        0x99 => change(DX),
        0x6c..=0x6f | 0xa4..=0xa7 | 0xaa..=0xaf => regs(&[AX, CX, SI, DI]),
        0xa0..=0xa3 | 0xe4..=0xe7 | 0xec..=0xef => change(AX),
        0xb0..=0xb7 => change(parts.opcode & 7 | parts.rex_b),
        0xb8..=0xbf => Op::Constant {
            dst: parts.opcode & 7 | parts.rex_b,
            value: number(parts),
        },
        0xc0 | 0xc1 | 0xd0..=0xd3 | 0xc6 | 0xfe => changes(rm),
        0xc2 | 0xc3 | 0xca | 0xcb | 0xcf => Op::Return,
        0xc7 => match rm {
            Operand::Reg(dst) => Op::Constant {
                dst,
                value: number(parts),
            },
            Operand::Mem(mem) if parts.wide => Op::StoreNumber {
                mem,
                value: number(parts),
            },
            Operand::Mem(_) => Op::Nothing,
        },
        0xc8 | 0xc9 => change(BP),
        0xcc | 0xf4 => Op::Stop,
        0xd8..=0xdf => change(AX),
        0xe8 => Op::Call(target(parts)),
        0xe9 | 0xeb => Op::Jump(target(parts)),
        0xf6 | 0xf7 => match reg & 7 {
            0 | 1 => Op::Nothing,
            2 | 3 => changes(rm),
            _ => regs(&[AX, DX]),
        },
        0xff => match reg & 7 {
            0 | 1 => changes(rm),
            2 => Op::CallThrough(match rm {
                Operand::Reg(reg) => Target::Reg(reg),
                Operand::Mem(mem) => Target::Mem(mem),
            }),
            4 => Op::JumpAway,
            _ => Op::Nothing,
        },
        _ => Op::Nothing,
    }
}

/// The number as the register that it is loaded into has it.
fn number(parts: &Parts) -> u64 {
    match parts.wide {
        true => parts.immediate as u64,
        false => u64::from(parts.immediate as u32),
    }
}

/// Numbers added to pointers lead to fields.
fn immediate_arithmetic(parts: &Parts) -> Op {
    let Operand::Reg(dst) = parts.rm else {
        return Op::Nothing;
    };
    let disp = match parts.reg & 7 {
        7 => return Op::Nothing,
        0 if parts.wide => parts.immediate,
        5 if parts.wide => -parts.immediate,
        _ => return change(dst),
    };
    let base = Some(dst);
    let mem = Mem {
        base,
        disp,
        indexed: false,
    };
    Op::Address { dst, mem }
}

fn address(dst: Reg, mem: Mem) -> Op {
    match mem.base {
        None if !mem.indexed => Op::Constant {
            dst,
            value: mem.disp as u64,
        },
        _ => Op::Address { dst, mem },
    }
}

fn load(dst: Reg, from: Operand) -> Op {
    match from {
        Operand::Reg(src) => Op::Copy { dst, src },
        Operand::Mem(mem) => Op::Load { dst, mem },
    }
}

fn store(to: Operand, src: Reg) -> Op {
    match to {
        Operand::Reg(dst) => Op::Copy { dst, src },
        Operand::Mem(mem) => Op::Store { mem, src },
    }
}

fn two(parts: &Parts) -> Op {
    let (reg, rm) = (parts.reg, parts.rm);
    match parts.opcode {
        0x05 => regs(&[AX, CX, R11]),
        0x0b | 0xb9 | 0xff if parts.vector.is_none() => Op::Stop,
        0x80..=0x8f => Op::Branch(target(parts)),
        0x40..=0x4f if parts.vector.is_none() => match rm {
            Operand::Reg(other) if parts.wide => Op::Select {
                dst: reg,
                from: [reg, other],
            },
            _ => change(reg),
        },
        0x01 | 0x31 | 0x34 | 0xa2 => regs(&[AX, BX, CX, DX]),
        0x90..=0x9f if parts.vector.is_none() => changes(rm),
        0x0d | 0x18..=0x1f | 0xa3 | 0xae | 0xc3 | 0x77 => Op::Nothing,
        0xa4 | 0xa5 | 0xab | 0xac | 0xad | 0xb3 | 0xba | 0xbb => changes(rm),
        0xaf | 0xb2 | 0xb4..=0xb8 | 0xbc..=0xbf | 0x02 | 0x03 => change(reg),
        // The new value is what is stored, if it is; the old one is of the same type.
        0xb1 if parts.wide => match rm {
            Operand::Mem(mem) => Op::Store { mem, src: reg },
            Operand::Reg(other) => regs(&[AX, other]),
        },
        0xb0 | 0xb1 => match rm {
            Operand::Reg(other) => regs(&[AX, other]),
            Operand::Mem(_) => change(AX),
        },
        0xc0 | 0xc1 => match rm {
            Operand::Reg(other) => regs(&[reg, other]),
            Operand::Mem(_) => change(reg),
        },
        0xc7 => regs(&[AX, DX]),
        0xc8..=0xcf => change(parts.opcode & 7 | parts.rex_b),
        0x2c | 0x2d | 0x50 | 0xc5 | 0xd7 => change(reg),
        // Moves of sixteen bytes: MOVUPS MOVAPS, MOVDQU MOVDQA.
        0x10 | 0x28 if !parts.rep && !parts.repne => vector_load(parts),
        0x6f if parts.rep || parts.short => vector_load(parts),
        0x11 | 0x29 if !parts.rep && !parts.repne => vector_store(parts),
        0x7f if parts.rep || parts.short => vector_store(parts),
        // MOVQ to a general register; with F3, to a vector register.
        0x7e if parts.short => changes(rm),
        0x11 | 0x13 | 0x17 | 0x29 | 0x2b | 0x7f | 0xd6 | 0xe7 | 0x2e | 0x2f => match rm {
            Operand::Reg(other) => change(other + VECTOR),
            Operand::Mem(_) => Op::Nothing,
        },
        _ => change(reg + VECTOR),
    }
}

fn vector_load(parts: &Parts) -> Op {
    match parts.vector {
        None | Some(0) => match parts.rm {
            Operand::Reg(src) => Op::Copy {
                dst: parts.reg + VECTOR,
                src: src + VECTOR,
            },
            Operand::Mem(mem) => Op::Load {
                dst: parts.reg + VECTOR,
                mem,
            },
        },
        Some(_) => change(parts.reg + VECTOR),
    }
}

fn vector_store(parts: &Parts) -> Op {
    match (parts.vector, parts.rm) {
        (None | Some(0), Operand::Reg(dst)) => Op::Copy {
            dst: dst + VECTOR,
            src: parts.reg + VECTOR,
        },
        (None | Some(0), Operand::Mem(mem)) => Op::Store {
            mem,
            src: parts.reg + VECTOR,
        },
        (Some(_), Operand::Reg(dst)) => change(dst + VECTOR),
        (Some(_), Operand::Mem(_)) => Op::Nothing,
    }
}

/// Most of these compute with vectors; a few with general registers.
fn three(parts: &Parts) -> Op {
    match (parts.map, parts.opcode) {
        (Map::Three38, 0xf0 | 0xf1 | 0xf5..=0xf7 | 0xf2 | 0xf3) => match (parts.opcode, parts.rm) {
            // MOVBE to memory, and bit manipulation whose result goes where VEX says: that is not kept.
            (0xf1, Operand::Mem(_)) if !parts.repne => Op::Nothing,
            (0xf3 | 0xf6, _) if parts.vector.is_some() => Op::Change(0xffff & !(1 << 4)),
            _ => change(parts.reg),
        },
        (Map::Three3a, 0xf0) => change(parts.reg),
        (Map::Three3a, 0x14..=0x17) => changes(parts.rm),
        _ => change(parts.reg + VECTOR),
    }
}
