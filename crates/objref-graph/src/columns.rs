//! Columns of numbers, which all threads fill.

use std::sync::atomic::AtomicU32;

use rayon::prelude::*;

/// Makes a column of zeros.
pub(crate) type Zeros = fn(usize) -> Vec<u32>;

/// Numbers that one thread fills in at once: whole large pages, which the system clears when they are written to first.
const FILLED: usize = 1 << 20;

/// Fills a column. By all threads, as it takes the system longer to have memory ready than a thread to fill it.
pub fn fill<T: Send>(column: &mut [T], value: impl Fn() -> T + Sync) {
    let parts = column.par_chunks_mut(FILLED);
    parts.for_each(|part| part.fill_with(&value));
}

/// A column that has this value everywhere.
pub(crate) fn filled(zeros: Zeros, len: usize, value: u32) -> Vec<u32> {
    let mut column = zeros(len);
    fill(&mut column, || value);
    column
}

/// The same, for all threads to write to.
pub(crate) fn open(zeros: Zeros, len: usize, value: u32) -> Vec<AtomicU32> {
    // In place.
    let column = filled(zeros, len, value).into_iter();
    column.map(AtomicU32::new).collect()
}

/// The column, to which nobody writes any more.
pub(crate) fn close(column: Vec<AtomicU32>) -> Vec<u32> {
    // In place.
    column.into_iter().map(AtomicU32::into_inner).collect()
}

/// Makes a column shorter, and gives back its end.
pub(crate) fn cut(column: &mut Vec<u32>, len: usize) {
    column.truncate(len);
    column.shrink_to_fit();
}
