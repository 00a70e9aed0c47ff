//! Columns of small numbers.

use std::ops::Range;

use objref_graph::NONE;
use objref_mem::zeros;
use rayon::prelude::*;

/// Numbers that are moved at once.
const PART: usize = 1 << 20;
/// Numbers per piece of work.
const PIECE: usize = 1 << 14;

/// A number an object, or [`NONE`]: in two bytes each where that is enough, as it nearly always is.
#[derive(Debug)]
pub(crate) enum Numbers {
    Short(Vec<u16>),
    Long(Vec<u32>),
}

impl Numbers {
    /// The numbers in `column`, which are below `bound` or [`NONE`]. It is given back to the system from its end while
    /// they are moved, so that no more memory is needed than it had.
    pub(crate) fn new(mut column: Vec<u32>, bound: usize) -> Numbers {
        if bound > usize::from(u16::MAX) {
            return Numbers::Long(column);
        }
        let mut short = zeros(column.len());
        for start in (0..column.len()).step_by(PART).rev() {
            let to = short[start..].par_chunks_mut(PIECE);
            to.zip(column[start..].par_chunks(PIECE))
                .for_each(|(to, from)| {
                    for (to, from) in to.iter_mut().zip(from) {
                        // NONE becomes the greatest.
                        *to = *from as u16;
                    }
                });
            column.truncate(start);
            column.shrink_to_fit();
        }
        Numbers::Short(short)
    }

    /// As [`Numbers::new`]; `None` if one is neither below `bound` nor [`NONE`].
    pub(crate) fn checked(column: Vec<u32>, bound: usize) -> Option<Numbers> {
        let holds = |number: &u32| (*number as usize) < bound || *number == NONE;
        let column = column.par_iter().all(holds).then_some(column)?;
        Some(Numbers::new(column, bound))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Numbers::Short(numbers) => numbers.len(),
            Numbers::Long(numbers) => numbers.len(),
        }
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> u32 {
        match self {
            Numbers::Short(numbers) => long(numbers[index]),
            Numbers::Long(numbers) => numbers[index],
        }
    }

    /// Writes the numbers at `indices` to `to`.
    #[inline]
    pub(crate) fn gather<'t>(&self, indices: &[u32], to: impl Iterator<Item = &'t mut u32>) {
        match self {
            Numbers::Short(numbers) => {
                for (to, &index) in to.zip(indices) {
                    *to = long(numbers[index as usize]);
                }
            }
            Numbers::Long(numbers) => {
                for (to, &index) in to.zip(indices) {
                    *to = numbers[index as usize];
                }
            }
        }
    }

    /// How many in `range` are not [`NONE`] in `one`, and of how many of those the number in `other` is not 0.
    pub(crate) fn count_both(one: &Numbers, other: &Numbers, range: Range<usize>) -> (u64, u64) {
        use Numbers::{Long, Short};
        let is_short = |number: &u16| *number != u16::MAX;
        let is_long = |number: &u32| *number != NONE;
        let r = || range.clone();
        match (one, other) {
            (Short(a), Short(b)) => count(&a[r()], is_short, &b[r()], |b| *b != 0),
            (Short(a), Long(b)) => count(&a[r()], is_short, &b[r()], |b| *b != 0),
            (Long(a), Short(b)) => count(&a[r()], is_long, &b[r()], |b| *b != 0),
            (Long(a), Long(b)) => count(&a[r()], is_long, &b[r()], |b| *b != 0),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// A short number as a long one.
#[inline]
fn long(number: u16) -> u32 {
    match number {
        u16::MAX => NONE,
        number => number.into(),
    }
}

/// How many of `ones` hold, and of how many of those the one of `others` does.
fn count<A, B>(
    ones: &[A],
    one: impl Fn(&A) -> bool,
    others: &[B],
    other: impl Fn(&B) -> bool,
) -> (u64, u64) {
    // Of 32 bits: the processor counts several at once.
    let (mut first, mut both) = (0u32, 0u32);
    for (a, b) in ones.iter().zip(others) {
        let holds = one(a);
        first += u32::from(holds);
        both += u32::from(holds & other(b));
    }
    (first.into(), both.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_counted() {
        let column = |numbers: [u32; 5], bound| Numbers::new(numbers.to_vec(), bound);
        for bounds in [[9, 9], [9, 1 << 16], [1 << 16, 9], [1 << 16; 2]] {
            let one = column([7, NONE, 0, NONE, 3], bounds[0]);
            let other = column([1, 1, 0, 0, 8], bounds[1]);
            assert_eq!(Numbers::count_both(&one, &other, 0..5), (3, 2));
            assert_eq!(Numbers::count_both(&one, &other, 1..3), (1, 0));
        }
    }

    #[test]
    fn numbers_are_kept() {
        for bound in [1, 65535, 65536] {
            for len in [0, 1, PIECE + 1, 2 * PART + 3] {
                let number = |index: usize| match index % 7 {
                    0 => NONE,
                    _ => (index.wrapping_mul(48271) % bound) as u32,
                };
                let numbers = Numbers::new((0..len).map(number).collect(), bound);
                assert_eq!(matches!(numbers, Numbers::Long(_)), bound == 65536);
                assert!(numbers.iter().eq((0..len).map(number)));
                let indices: Vec<u32> = (0..len as u32).rev().step_by(5).collect();
                let mut gathered = vec![0; indices.len()];
                numbers.gather(&indices, gathered.iter_mut());
                assert!(
                    gathered
                        .into_iter()
                        .eq(indices.iter().map(|index| number(*index as usize)))
                );
            }
        }
        assert!(Numbers::checked(vec![0, NONE, 4], 5).is_some());
        assert!(Numbers::checked(vec![0, NONE, 5], 5).is_none());
    }
}
