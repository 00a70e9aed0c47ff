//! Contraction: which places can be set aside before dominators are searched for.

use crate::rows::Rows;

/// The places that have one referrer and lead to nothing but such places.
pub(crate) struct Plain {
    /// A bit per place.
    bits: Vec<u64>,
    /// Per word of `bits`, how many places that are not plain stand before it.
    others: Vec<u32>,
}

impl Plain {
    /// `shared`: per place, whether it has several referrers ([`Rows::of`]).
    pub(crate) fn of(rows: &Rows, shared: &[bool]) -> Self {
        let mut plain = Self {
            bits: vec![0; rows.len().div_ceil(64)],
            others: Vec::new(),
        };
        // What a place that is not shared is the only one to lead to comes behind it.
        for place in (1..rows.len()).rev() {
            let is_plain = |target: &u32| *target as usize == place || plain.has(*target);
            if !shared[place] && rows.row(place).iter().all(is_plain) {
                plain.bits[place / 64] |= 1 << (place % 64);
            }
        }
        let mut sum = 0;
        let before = plain.bits.iter().map(|word| {
            let before = sum;
            sum += word.count_zeros();
            before
        });
        plain.others = before.collect();
        plain
    }

    #[inline]
    pub(crate) fn has(&self, place: u32) -> bool {
        self.bits[place as usize / 64] >> (place % 64) & 1 != 0
    }

    /// How many of the places before this one are not plain.
    #[inline]
    pub(crate) fn others_before(&self, place: u32) -> usize {
        let word = place as usize / 64;
        let below = !self.bits[word] & ((1u64 << (place % 64)) - 1);
        (self.others[word] + below.count_ones()) as usize
    }
}
