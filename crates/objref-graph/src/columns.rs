//! Columns of numbers, which all threads fill.

use std::sync::atomic::AtomicU32;

use rayon::prelude::*;

/// Makes a column of so many zeros.
pub type Zeros<T> = fn(usize) -> Vec<T>;

/// Numbers that one thread fills in at once: whole large pages, which the system clears when they are written to first.
const FILLED: usize = 1 << 20;

/// A column that has this value everywhere; `zeros` is what it is made of. All threads fill it, as it takes the system longer to
/// have memory ready than a thread to write to it.
pub fn filled<T: Send>(zeros: Zeros<T>, len: usize, value: impl Fn() -> T + Sync) -> Vec<T> {
    let mut column = zeros(len);
    let parts = column.par_chunks_mut(FILLED);
    parts.for_each(|part| part.fill_with(&value));
    column
}

/// The same, for all threads to write to.
pub(crate) fn open(zeros: Zeros<u32>, len: usize, value: u32) -> Vec<AtomicU32> {
    // In place.
    let column = filled(zeros, len, || value).into_iter();
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
