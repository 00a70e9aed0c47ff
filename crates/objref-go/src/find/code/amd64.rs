//! x86-64: an operand with mod 00 and r/m 101 is followed by a 32-bit distance from the next instruction.

use objref_mem::Addr;

use super::Use;

// Intel SDM, volume 2, section 2.2.1.6
const MODRM_MASK: u8 = 0b1100_0111;
const MODRM_RIP: u8 = 0b0000_0101;
const LEA: u8 = 0x8d;
const MOV_LOAD: u8 = 0x8b;
const MOV_STORE: u8 = 0x89;
/// Load a byte, with zeros above it: 0f b6 /r.
const MOVZX: [u8; 2] = [0x0f, 0xb6];
/// Compare 32 bits with a number of 8: 83 /7 ib.
const CMP_IMM8: [u8; 2] = [0x83, 0x3d];

/// The variables that the code at `entry` refers to. Not a disassembler: each byte may start an instruction.
pub(super) fn references(entry: Addr, code: &[u8]) -> Vec<(Use, Addr)> {
    let operand = |next: usize, distance: &[u8]| {
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        let next = entry.0.wrapping_add(next as u64);
        Some(Addr(next.wrapping_add_signed(distance.into())))
    };
    let read = |(at, w): (usize, &[u8])| {
        let rip = |modrm: u8| modrm & MODRM_MASK == MODRM_RIP;
        let (kind, distance, len) = match *w {
            [LEA, m, ..] if rip(m) => (Use::Address, 2, 6),
            [MOV_LOAD, m, ..] if rip(m) => (Use::Load, 2, 6),
            [MOV_STORE, m, ..] if rip(m) => (Use::Store, 2, 6),
            [a, b, m, ..] if [a, b] == MOVZX && rip(m) => (Use::Load, 3, 7),
            [a, b, _, _, _, _, number] if [a, b] == CMP_IMM8 => (Use::Compare(number), 2, 7),
            _ => return None,
        };
        Some((kind, operand(at + len, &w[distance..distance + 4])?))
    };
    // The last instruction may be one of six bytes.
    let padded = [code, &[0]].concat();
    padded.windows(7).enumerate().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operands_are_counted_from_the_end_of_the_instruction() {
        let code = [
            &[0x90][..],
            &[0x48, 0x8d, 0x05, 0xf8, 0x0f, 0, 0], // lea 0xff8(%rip),%rax: 0x1008 + 0xff8
            &[0x8b, 0x0d, 0xfa, 0x0f, 0, 0],       // mov 0xffa(%rip),%ecx: 0x100e + 0xffa
            &[0x83, 0x3d, 0x03, 0x10, 0, 0, 2],    // cmpl $2,0x1003(%rip): 0x1015 + 0x1003
            &[0x0f, 0xb6, 0x0d, 0x04, 0x10, 0, 0], // movzbl 0x1004(%rip),%ecx: 0x101c + 0x1004
            &[0x89, 0x05, 0xfb, 0xff, 0xff, 0xff], // mov %eax,-5(%rip): 0x1022 - 5
        ]
        .concat();
        let found = [
            (Use::Address, Addr(0x2000)),
            (Use::Load, Addr(0x2008)),
            (Use::Compare(2), Addr(0x2018)),
            (Use::Load, Addr(0x2020)),
            (Use::Store, Addr(0x101d)),
        ];
        assert_eq!(references(Addr(0x1000), &code), found);
        assert_eq!(references(Addr(0x1000), &[]), []);
    }
}
