//! Pointer masks that are stored as programs: literal bits and repetitions of what went before.

use objref_mem::{Addr, AddressSpace, Fault};

/// The mask that the program at `at` makes, least significant bit first, cut at `bits` bits.
// runtime/mbitmap.go: runGCProg, up to go1.23. The program follows its length, a u32.
pub(crate) fn expand(space: &AddressSpace, at: Addr, bits: u64) -> Result<Vec<u8>, Fault> {
    run(space, at.add(4), bits)
}

/// As [`expand`], of a program that no length precedes: those of a module's variables.
// runtime/mbitmap.go: progToPointerMask
pub(crate) fn run(space: &AddressSpace, at: Addr, bits: u64) -> Result<Vec<u8>, Fault> {
    let mut program = Program { space, at };
    let mut mask = Mask::new(bits);
    while !mask.full() {
        let instruction = program.byte()?;
        let mut count = u64::from(instruction & 0x7f);
        if instruction & 0x80 == 0 {
            if count == 0 {
                break;
            }
            for group in 0..count.div_ceil(8) {
                let byte = program.byte()?;
                for i in 0..(count - group * 8).min(8) {
                    mask.push(byte >> i & 1 != 0);
                }
            }
            continue;
        }
        if count == 0 {
            count = program.varint()?;
        }
        let total = program.varint()?.saturating_mul(count);
        mask.repeat(count, total);
    }
    Ok(mask.bytes)
}

struct Program<'a> {
    space: &'a AddressSpace,
    at: Addr,
}

impl Program<'_> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.space.u8(self.at)?;
        self.at = self.at.add(1);
        Ok(byte)
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }
}

struct Mask {
    bytes: Vec<u8>,
    len: u64,
    limit: u64,
}

impl Mask {
    fn new(limit: u64) -> Mask {
        // An object on a stack is never larger than a stack.
        let limit = limit.min(1 << 27);
        Mask {
            bytes: vec![0; limit.div_ceil(8) as usize],
            len: 0,
            limit,
        }
    }

    fn full(&self) -> bool {
        self.len >= self.limit
    }

    fn get(&self, i: u64) -> bool {
        self.bytes
            .get((i / 8) as usize)
            .is_some_and(|b| b >> (i % 8) & 1 != 0)
    }

    fn push(&mut self, bit: bool) {
        if self.full() {
            return;
        }
        if bit && let Some(byte) = self.bytes.get_mut((self.len / 8) as usize) {
            *byte |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    /// Appends `total` bits, each the one `distance` before it.
    fn repeat(&mut self, distance: u64, total: u64) {
        if distance == 0 || distance > self.len {
            return;
        }
        for _ in 0..total.min(self.limit - self.len) {
            let bit = self.get(self.len - distance);
            self.push(bit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_copies_what_went_before() {
        let mut mask = Mask::new(20);
        for bit in [true, false, true] {
            mask.push(bit);
        }
        mask.repeat(3, 9);
        assert_eq!(mask.len, 12);
        let bits: String = (0..12)
            .map(|i| if mask.get(i) { '1' } else { '0' })
            .collect();
        assert_eq!(bits, "101101101101");
        // What a damaged program asks for is cut at the type's size.
        mask.repeat(1, u64::MAX);
        assert!(mask.full());
        mask.repeat(0, 5);
        mask.repeat(100, 5);
        assert_eq!(mask.len, 20);
    }
}
