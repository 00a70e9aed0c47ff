//! AArch64: ADRP puts the page of a variable into a register; the instruction behind it adds the rest of the address,
//! or reads or writes there.

use objref_mem::Addr;

use super::Use;

/// The variables that the code at `entry` refers to.
// Arm ARM, C4.1: the assembler writes the two instructions one behind the other (cmd/internal/obj/arm64/asm7.go).
pub(super) fn references(entry: Addr, code: &[u8]) -> Vec<(Use, Addr)> {
    let mut found = Vec::new();
    // What the instruction before left in a register: the page or the address of a variable, or a variable's value.
    let mut page = None;
    let mut value = None;
    for (i, word) in code.chunks_exact(4).enumerate() {
        // Instructions are little-endian, whatever the order of data.
        let word = u32::from_le_bytes(word.try_into().unwrap_or_default());
        let instruction = decode(entry.add(i as u64 * 4), word);
        let (mut next_page, mut next_value) = (None, None);
        match (instruction, page) {
            (Instruction::Page { to, page }, _) => next_page = Some((to, page)),
            (Instruction::Add { to, from, rest }, Some((reg, page))) if from == reg => {
                let variable = Addr(page).add(rest);
                found.push((Use::Address, variable));
                // Up to go1.19 the whole address is made before the variable is read or written.
                next_page = Some((to, variable.0));
            }
            (Instruction::Load { to, from, rest }, Some((reg, page))) if from == reg => {
                found.push((Use::Load, Addr(page).add(rest)));
                next_value = Some((to, Addr(page).add(rest)));
            }
            (Instruction::Store { from, rest }, Some((reg, page))) if from == reg => {
                found.push((Use::Store, Addr(page).add(rest)));
            }
            (Instruction::Compare { with, number }, _) => {
                if let Some((reg, variable)) = value
                    && reg == with
                {
                    found.push((Use::Compare(number), variable));
                }
            }
            _ => {}
        }
        (page, value) = (next_page, next_value);
    }
    found
}

enum Instruction {
    /// ADRP
    Page {
        to: u32,
        page: u64,
    },
    /// ADD with a 12-bit number
    Add {
        to: u32,
        from: u32,
        rest: u64,
    },
    /// LDR and its kin with an unsigned offset
    Load {
        to: u32,
        from: u32,
        rest: u64,
    },
    /// STR and its kin with an unsigned offset
    Store {
        from: u32,
        rest: u64,
    },
    /// CMP with a small number
    Compare {
        with: u32,
        number: u8,
    },
    Other,
}

fn decode(pc: Addr, word: u32) -> Instruction {
    let (to, from, number) = (word & 31, word >> 5 & 31, word >> 10 & 0xfff);
    if word & 0x9f00_0000 == 0x9000_0000 {
        // 21 bits: the upper 19 in one place, the lower 2 in another.
        let pages = (word >> 3 & 0x1f_fffc | word >> 29 & 3) << 11;
        let distance = i64::from(pages as i32 >> 11) << 12;
        let page = (pc.0 & !0xfff).wrapping_add_signed(distance);
        return Instruction::Page { to, page };
    }
    // Of 64 bits, number not shifted.
    if word & 0xffc0_0000 == 0x9100_0000 {
        let rest = number.into();
        return Instruction::Add { to, from, rest };
    }
    // General registers of 8 to 64 bits; the offset counts what is read or written.
    if word & 0x3f00_0000 == 0x3900_0000 {
        let rest = u64::from(number) << (word >> 30);
        return match word >> 22 & 3 {
            0 => Instruction::Store { from, rest },
            _ => Instruction::Load { to, from, rest },
        };
    }
    // SUBS of 32 or 64 bits that keeps nothing but the flags.
    if word & 0x7fc0_001f == 0x7100_001f
        && let Ok(number) = u8::try_from(number)
    {
        return Instruction::Compare { with: from, number };
    }
    Instruction::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[u32]) -> Vec<(Use, Addr)> {
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        references(Addr(0x2b988), &code)
    }

    /// Out of runtime.gcMark and runtime.mcommoninit of go1.21.13.
    #[test]
    fn pages_and_what_follows_them() {
        let code = [
            0xb000_11bb, // 0x2b988 adrp x27, 0x260000
            0xb98d_5762, //         ldrsw x2, [x27, #3412]
            0x7100_005f, //         cmp w2, #0
            0xb000_11bb, // 0x2b994 adrp x27, 0x260000
            0xb946_ab62, //         ldr w2, [x27, #1704]
            0x7100_085f, //         cmp w2, #2
            0xd000_101b, // 0x2b9a0 adrp x27, 0x22d000
            0xf900_1f60, //         str x0, [x27, #56]
            0xf000_0f00, // 0x2b9a8 adrp x0, 0x20e000
            0x9105_0000, //         add x0, x0, #320
        ];
        let expected = [
            (Use::Load, Addr(0x260d54)),
            (Use::Compare(0), Addr(0x260d54)),
            (Use::Load, Addr(0x2606a8)),
            (Use::Compare(2), Addr(0x2606a8)),
            (Use::Store, Addr(0x22d038)),
            (Use::Address, Addr(0x20e140)),
        ];
        assert_eq!(found(&code), expected);
    }

    /// Out of runtime.gcMark of go1.19.13.
    #[test]
    fn addresses_are_used_like_pages() {
        let code = [
            0xd000_10fb, // 0x2b988 adrp x27, 0x249000
            0x9126_137b, //         add x27, x27, #2436
            0xb940_0364, //         ldr w4, [x27]
            0x7100_089f, //         cmp w4, #2
        ];
        let variable = Addr(0x249984);
        let uses = [Use::Address, Use::Load, Use::Compare(2)];
        assert_eq!(found(&code), uses.map(|kind| (kind, variable)));
    }

    #[test]
    fn registers_have_to_agree() {
        let (page_of_27, load_by_26) = (0xb000_11bb, 0xb946_ab42);
        assert_eq!(found(&[page_of_27, load_by_26]), []);
        let (load_to_2, compare_3) = (0xb946_ab62, 0x7100_087f);
        let load = (Use::Load, Addr(0x2606a8));
        assert_eq!(found(&[page_of_27, load_to_2, compare_3]), [load]);
    }

    #[test]
    fn pages_lie_on_either_side() {
        let (back, add) = (0xf0ff_ffe0, 0x9100_0400); // adrp x0, -0x1000; add x0, x0, #1
        assert_eq!(found(&[back, add]), [(Use::Address, Addr(0x2a001))]);
    }
}
