//! References in amd64 code: data is named by its distance from the next instruction.
// Intel SDM, volume 2: with mod 00 and r/m 101, ModRM is followed by a 32-bit distance

use super::index::{Reference, Use};

const MODRM_MASK: u8 = 0b1100_0111;
const MODRM_RIP: u8 = 0b0000_0101;
const CALL: u8 = 0xe8;

/// Passes every place in `code`, which lies at `pc`, that may be a reference.
pub(super) fn references(code: &[u8], pc: u64, found: &mut dyn FnMut(Reference)) {
    for at in 0..code.len().saturating_sub(4) {
        let byte = code[at];
        if byte != CALL && byte & MODRM_MASK != MODRM_RIP {
            continue;
        }
        let distance = [code[at + 1], code[at + 2], code[at + 3], code[at + 4]];
        let next = pc.wrapping_add(at as u64 + 5);
        let target = next.wrapping_add(i64::from(i32::from_le_bytes(distance)) as u64);
        if byte == CALL {
            found(Reference::Call(target));
            continue;
        }
        let before = |n: usize| at.checked_sub(n).map_or(0, |i| code[i]);
        match (before(2), before(1)) {
            // MOVUPS
            (0x0f, 0x10) => found(Reference::Static(target, Use::Load)),
            (0x0f, 0x11) => found(Reference::Static(target, Use::Store)),
            (_, 0x8b) => found(Reference::Static(target, Use::Load)),
            // MOV and XCHG
            (_, 0x89 | 0x87) => found(Reference::Static(target, Use::Store)),
            // CMPXCHG
            (0x0f, 0xb1) => found(Reference::Static(target, Use::Store)),
            (_, 0x8d) => found(Reference::Static(target, Use::Address)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_counted_from_the_end_of_the_instruction() {
        let code = [
            &[0x90][..],
            &[0x48, 0x8d, 0x05, 0xf8, 0x0f, 0, 0], // lea 0xff8(%rip),%rax: 0x1008 + 0xff8
            &[0x48, 0x8b, 0x0d, 0xf9, 0x0f, 0, 0], // mov 0xff9(%rip),%rcx: 0x100f + 0xff9
            &[0x48, 0x89, 0x15, 0xfa, 0x0f, 0, 0], // mov %rdx,0xffa(%rip): 0x1016 + 0xffa
            &[0xe8, 0xe5, 0xff, 0xff, 0xff],       // call 0x1000: 0x101b - 0x1b
        ]
        .concat();
        let mut all = Vec::new();
        references(&code, 0x1000, &mut |r| match r {
            Reference::Call(at) => all.push((at, None)),
            Reference::Static(at, how) => all.push((at, Some(how))),
        });
        assert_eq!(
            all,
            [
                (0x2000, Some(Use::Address)),
                (0x2008, Some(Use::Load)),
                (0x2010, Some(Use::Store)),
                (0x1000, None)
            ]
        );
    }
}
