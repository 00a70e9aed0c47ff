//! The file of an index: sections one after the other, and at the end the table that says where they are.
//!
//! ```text
//! "OBJREFIX" | version: u32 | 0: u32 | section ... | table | offset of the table: u64 | "XIFERJBO"
//! ```
//!
//! Sections start at multiples of 8. An entry of the table is its number, the CRC-32 of its bytes, its offset and its
//! length. All numbers are little-endian. A file that was cut short has no end.

use std::io::{self, Write};
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use objref_mem::Input;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::column::Column;

const MAGIC: &[u8; 8] = b"OBJREFIX";
const END: &[u8; 8] = b"XIFERJBO";
/// The number of the format; a reader knows one.
pub const INDEX_VERSION: u32 = 4;
const HEADER: usize = 16;
/// More sections than there will be.
const MAX_SECTIONS: usize = 256;

/// Why an index cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// It was written by another version of the format.
    #[error(
        "the index has format {found}, this objref reads {INDEX_VERSION}; make it again: objref index CORE -o FILE"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// Its end is missing.
    #[error("the index was cut short; make it again: objref index CORE -o FILE")]
    CutShort,
    /// Something in it makes no sense.
    #[error("the index is damaged ({what}); make it again: objref index CORE -o FILE")]
    Damaged {
        /// The part.
        what: &'static str,
    },
    /// This machine has the other byte order.
    #[error("an index can be read on little-endian machines only; give the core")]
    ByteOrder,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    number: u32,
    crc: u32,
    offset: u64,
    len: u64,
}

/// Whether the bytes are those of an index.
pub(super) fn is_index(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Writes sections.
pub(super) struct Writer<'w> {
    out: &'w mut dyn Write,
    at: u64,
    table: Vec<Entry>,
    crc: crc32fast::Hasher,
}

impl<'w> Writer<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> io::Result<Self> {
        let mut writer = Self {
            out,
            at: 0,
            table: Vec::new(),
            crc: crc32fast::Hasher::new(),
        };
        writer.bytes(MAGIC)?;
        writer.bytes(&INDEX_VERSION.to_le_bytes())?;
        writer.bytes(&[0; 4])?;
        Ok(writer)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc.update(bytes);
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// A section that `write` writes piece by piece.
    pub(super) fn section(
        &mut self,
        number: u32,
        write: impl FnOnce(&mut Piecewise<'_, 'w>) -> io::Result<()>,
    ) -> io::Result<()> {
        let gap = self.at.next_multiple_of(8) - self.at;
        self.bytes(&[0; 8][..gap as usize])?;
        let offset = self.at;
        self.crc = crc32fast::Hasher::new();
        write(&mut Piecewise(self))?;
        self.table.push(Entry {
            number,
            crc: self.crc.clone().finalize(),
            offset,
            len: self.at - offset,
        });
        Ok(())
    }

    /// A section of numbers.
    pub(super) fn column<T: Pod>(&mut self, number: u32, column: &[T]) -> io::Result<()> {
        self.section(number, |out| out.numbers(column))
    }

    /// A section with a value.
    pub(super) fn value(&mut self, number: u32, value: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_allocvec(value).map_err(io::Error::other)?;
        self.section(number, |out| out.0.bytes(&bytes))
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        let gap = self.at.next_multiple_of(8) - self.at;
        self.bytes(&[0; 8][..gap as usize])?;
        let at = self.at;
        let table = std::mem::take(&mut self.table);
        self.bytes(bytemuck::cast_slice(&table))?;
        self.bytes(&at.to_le_bytes())?;
        self.bytes(END)
    }
}

/// A section that is being written.
pub(super) struct Piecewise<'a, 'w>(&'a mut Writer<'w>);

impl Piecewise<'_, '_> {
    pub(super) fn numbers<T: Pod>(&mut self, numbers: &[T]) -> io::Result<()> {
        self.0.bytes(bytemuck::cast_slice(numbers))
    }
}

/// The sections of a file.
pub(super) struct Reader {
    input: Arc<Input>,
    table: Vec<Entry>,
}

impl Reader {
    pub(super) fn open(input: &Arc<Input>) -> Result<Self, IndexError> {
        if cfg!(target_endian = "big") {
            return Err(IndexError::ByteOrder);
        }
        let bytes = input.bytes();
        let version = bytes.get(8..12).ok_or(IndexError::CutShort)?;
        let found = u32::from_le_bytes([version[0], version[1], version[2], version[3]]);
        if found != INDEX_VERSION {
            return Err(IndexError::Version { found });
        }
        let (rest, end) = bytes.split_last_chunk::<8>().ok_or(IndexError::CutShort)?;
        let (rest, at) = rest.split_last_chunk::<8>().ok_or(IndexError::CutShort)?;
        if end != END || rest.len() < HEADER {
            return Err(IndexError::CutShort);
        }
        let damaged = IndexError::Damaged { what: "table" };
        let at = usize::try_from(u64::from_le_bytes(*at)).ok();
        let table = at.and_then(|at| rest.get(at..)).ok_or(damaged.clone())?;
        if table.len() > MAX_SECTIONS * size_of::<Entry>() {
            return Err(damaged);
        }
        let table = bytemuck::try_cast_slice(table).map_err(|_| damaged)?;
        Ok(Self {
            input: Arc::clone(input),
            table: table.to_vec(),
        })
    }

    fn entry(&self, number: u32, what: &'static str) -> Result<&Entry, IndexError> {
        let entry = self.table.iter().find(|entry| entry.number == number);
        entry.ok_or(IndexError::Damaged { what })
    }

    /// The bytes of a section, of which it is known that they are those that were written.
    fn checked(&self, number: u32, what: &'static str) -> Result<&[u8], IndexError> {
        let entry = self.entry(number, what)?;
        let range = usize::try_from(entry.offset)
            .ok()
            .zip(usize::try_from(entry.len).ok());
        let bytes =
            range.and_then(|(start, len)| self.input.bytes().get(start..start.checked_add(len)?));
        bytes
            .filter(|bytes| crc32fast::hash(bytes) == entry.crc)
            .ok_or(IndexError::Damaged { what })
    }

    /// A section of numbers, copied.
    pub(super) fn column<T: Pod>(
        &self,
        number: u32,
        what: &'static str,
    ) -> Result<Vec<T>, IndexError> {
        let bytes = self.checked(number, what)?;
        let numbers = bytemuck::try_cast_slice(bytes);
        Ok(numbers.map_err(|_| IndexError::Damaged { what })?.to_vec())
    }

    /// A section of numbers, left in the file; its sum is not checked.
    pub(super) fn mapped<T: Pod>(
        &self,
        number: u32,
        what: &'static str,
    ) -> Result<Column<T>, IndexError> {
        let entry = self.entry(number, what)?;
        let range = usize::try_from(entry.offset)
            .ok()
            .zip(usize::try_from(entry.len).ok());
        range
            .and_then(|(start, len)| Column::mapped(&self.input, start, len))
            .ok_or(IndexError::Damaged { what })
    }

    /// A section of numbers, left in the file.
    pub(super) fn checked_column<T: Pod>(
        &self,
        number: u32,
        what: &'static str,
    ) -> Result<Column<T>, IndexError> {
        self.checked(number, what)?;
        self.mapped(number, what)
    }

    /// A section with a value.
    pub(super) fn value<T: DeserializeOwned>(
        &self,
        number: u32,
        what: &'static str,
    ) -> Result<T, IndexError> {
        let bytes = self.checked(number, what)?;
        postcard::from_bytes(bytes).map_err(|_| IndexError::Damaged { what })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        writer.value(1, &("text", 7u64)).unwrap();
        writer.column::<u32>(2, &[1, 2, 3]).unwrap();
        writer.column::<u64>(3, &[u64::MAX]).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Reader, IndexError> {
        Reader::open(&Input::from_bytes(Path::new("x.objref"), bytes).unwrap())
    }

    #[test]
    fn sections_come_back() {
        let reader = open(&written()).unwrap();
        let value: (String, u64) = reader.value(1, "a").unwrap();
        assert_eq!(value, ("text".to_owned(), 7));
        assert_eq!(reader.column::<u32>(2, "b").unwrap(), [1, 2, 3]);
        assert_eq!(*reader.mapped::<u64>(3, "c").unwrap(), [u64::MAX]);
        assert!(reader.column::<u64>(2, "b").is_err());
        assert!(reader.column::<u32>(4, "d").is_err());
    }

    #[test]
    fn cut_or_changed_files_are_refused() {
        let bytes = written();
        for len in 0..bytes.len() {
            assert!(open(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in HEADER..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let read = open(&bytes).and_then(|reader| {
                reader.value::<(String, u64)>(1, "a")?;
                reader.column::<u32>(2, "b")?;
                reader.column::<u64>(3, "c")
            });
            let gap = bytes[at] == 1 && read.is_ok();
            assert!(read.is_err() || gap, "changed at {at}");
        }
        let mut other = bytes;
        other[8] = 99;
        assert_eq!(open(&other).err(), Some(IndexError::Version { found: 99 }));
    }
}
