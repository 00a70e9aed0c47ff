//! pc-value tables: a number for every range of code addresses, as pairs of deltas.

/// The value that the table starting at `table[0]` holds at code offset `target` from the function's entry, and the
/// offset from which it holds. `None` if the table does not reach so far or is damaged.
// runtime/symtab.go: pcvalue, step, readvarint
pub(super) fn pc_value(table: &[u8], quantum: u32, target: u32) -> Option<(i32, u32)> {
    let mut cursor = Cursor { bytes: table };
    let mut value = -1i32;
    let mut pc = 0u32;
    let mut first = true;
    loop {
        let delta = cursor.varint()?;
        // A delta of zero ends the table, except at the function's entry.
        if delta == 0 && !first {
            return None;
        }
        first = false;
        value = value.wrapping_add(unzigzag(delta));
        let from = pc;
        // No range is empty; so a damaged table cannot keep us longer than the function is.
        let length = cursor.varint()?.checked_mul(quantum)?;
        if length == 0 {
            return None;
        }
        pc = pc.checked_add(length)?;
        if target < pc {
            return Some((value, from));
        }
    }
}

/// The ranges of the table from `table[0]` on, in order: where each ends, counted from the function's entry, and its value.
/// Ends early where the table is damaged.
// runtime/symtab.go: step
pub(super) fn pc_steps(table: &[u8], quantum: u32) -> impl Iterator<Item = (u32, i32)> {
    let mut cursor = Cursor { bytes: table };
    let (mut value, mut pc) = (-1i32, 0u32);
    std::iter::from_fn(move || {
        let delta = cursor.varint()?;
        if delta == 0 && pc != 0 {
            return None;
        }
        value = value.wrapping_add(unzigzag(delta));
        let length = cursor.varint()?.checked_mul(quantum)?;
        pc = pc.checked_add(length).filter(|_| length > 0)?;
        Some((pc, value))
    })
}

/// Signed numbers are stored with their sign in the lowest bit.
fn unzigzag(n: u32) -> i32 {
    ((n >> 1) as i32) ^ -((n & 1) as i32)
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    /// Seven bits a byte, least significant first; the top bit says that more follow.
    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a table from (value, end offset) pairs, as the linker does.
    fn table(entries: &[(i32, u32)], quantum: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut value, mut pc) = (-1i32, 0u32);
        for &(v, end) in entries {
            let delta = v.wrapping_sub(value);
            varint(&mut out, ((delta << 1) ^ (delta >> 31)) as u32);
            varint(&mut out, (end - pc) / quantum);
            (value, pc) = (v, end);
        }
        out.push(0);
        out
    }

    fn varint(out: &mut Vec<u8>, mut n: u32) {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }

    #[test]
    fn value_of_each_range() {
        let t = table(&[(0, 4), (136, 500), (-2, 501), (8, 70_000)], 1);
        let at = |pc| pc_value(&t, 1, pc);
        assert_eq!(at(0), Some((0, 0)));
        assert_eq!(at(3), Some((0, 0)));
        assert_eq!(at(4), Some((136, 4)));
        assert_eq!(at(499), Some((136, 4)));
        assert_eq!(at(500), Some((-2, 500)));
        assert_eq!(at(69_999), Some((8, 501)));
        assert_eq!(at(70_000), None);
    }

    #[test]
    fn steps_are_the_ranges() {
        let entries = [(0, 4), (136, 500), (-2, 501), (8, 70_000)];
        let steps = |t: &[u8], quantum| pc_steps(t, quantum).collect::<Vec<_>>();
        assert_eq!(
            steps(&table(&entries, 1), 1),
            entries.map(|(value, end)| (end, value))
        );
        assert_eq!(
            steps(&table(&[(-1, 16), (0, 32)], 4), 4),
            [(16, -1), (32, 0)]
        );
        assert_eq!(steps(&[], 1), []);
        assert_eq!(steps(&[2], 1), []);
        assert_eq!(steps(&[2, 0, 2, 1, 0], 1), []);
    }

    #[test]
    fn first_value_may_be_minus_one() {
        // The first delta is zero and must not be taken for the end.
        let t = table(&[(-1, 16), (0, 32)], 1);
        assert_eq!(t[0], 0);
        assert_eq!(pc_value(&t, 1, 0), Some((-1, 0)));
        assert_eq!(pc_value(&t, 1, 20), Some((0, 16)));
    }

    #[test]
    fn instructions_of_four_bytes() {
        let t = table(&[(0, 8), (48, 64)], 4);
        assert_eq!(pc_value(&t, 4, 7), Some((0, 0)));
        assert_eq!(pc_value(&t, 4, 8), Some((48, 8)));
    }

    #[test]
    fn damaged_tables_have_no_value() {
        assert_eq!(pc_value(&[], 1, 0), None);
        assert_eq!(pc_value(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80], 1, 0), None);
        assert_eq!(pc_value(&[2], 1, 0), None);
        // A pc that wraps around.
        let huge = [
            2, 0xff, 0xff, 0xff, 0xff, 0x0f, 2, 0xff, 0xff, 0xff, 0xff, 0x0f,
        ];
        assert_eq!(pc_value(&huge, 4, u32::MAX), None);
    }
}
