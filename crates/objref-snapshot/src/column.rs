//! Columns: a number an object, in memory of our own or in a mapped file.

use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;
use objref_mem::Input;

/// A column of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Column<T>(Place<T>);

#[derive(Clone, Debug)]
enum Place<T> {
    Own(Vec<T>),
    File {
        input: Arc<Input>,
        start: usize,
        /// In bytes.
        len: usize,
    },
}

impl<T: Pod> Column<T> {
    /// The column in `len` bytes of a file from `start` on; `None` if they are not there or do not make up whole
    /// numbers.
    pub(crate) fn mapped(input: &Arc<Input>, start: usize, len: usize) -> Option<Self> {
        let bytes = input.bytes().get(start..start.checked_add(len)?)?;
        bytemuck::try_cast_slice::<u8, T>(bytes).ok()?;
        Some(Self(Place::File {
            input: Arc::clone(input),
            start,
            len,
        }))
    }
}

impl<T> From<Vec<T>> for Column<T> {
    fn from(own: Vec<T>) -> Self {
        Self(Place::Own(own))
    }
}

impl<T: Pod> Deref for Column<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Own(own) => own,
            Place::File { input, start, len } => {
                // Checked when it was made.
                bytemuck::cast_slice(&input.bytes()[*start..*start + *len])
            }
        }
    }
}
