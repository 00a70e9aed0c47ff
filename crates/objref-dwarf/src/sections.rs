//! The `.debug_*` sections of an ELF file: as they are mapped, or unpacked where they are compressed.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use object::read::{CompressedFileRange, CompressionFormat};
use object::{Object, ObjectSection};
use objref_mem::Input;
use rayon::prelude::*;

use crate::DwarfError;

/// The reader all parsing goes through: a slice of a section.
pub(crate) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
/// gimli's view of the sections.
pub(crate) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// All that is ever read; in the order in which two threads have about the same to unpack.
const READ: [SectionId; 10] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugStr,
    SectionId::DebugLineStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAddr,
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
];

/// Say only where a local variable lives. A damaged one counts as empty: variables then have no known location, which
/// is what the caller would do about the error anyway.
const PLACES: [SectionId; 4] = [
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
];

/// Real debugging information becomes a third to a tenth when it is compressed, so that a larger claim is a
/// damaged header, or wants our memory. zlib could expand a thousand times, zstd many thousand times.
const MAX_EXPANSION: u64 = 64;
/// Any section may have this many bytes: small ones may say the same over and over.
const SMALL: u64 = 1 << 20;

/// What a section says.
#[derive(Debug)]
enum Content {
    Nothing,
    /// Where it is in the file.
    Mapped(Range<usize>),
    Unpacked(Vec<u8>),
}

/// All sections this crate reads.
#[derive(Debug)]
pub(crate) struct Sections {
    endian: RunTimeEndian,
    file: Option<Arc<Input>>,
    /// In the order of [`READ`].
    contents: Vec<Content>,
}

impl Sections {
    /// No section at all.
    pub(crate) fn none() -> Sections {
        Sections {
            endian: RunTimeEndian::Little,
            file: None,
            contents: Vec::new(),
        }
    }

    /// Finds the sections of `file`, and unpacks in parallel those that are compressed.
    pub(crate) fn load(file: &Arc<Input>) -> Result<Sections, DwarfError> {
        let elf = file.bytes();
        let object = object::File::parse(elf)?;
        let endian = if object.is_little_endian() {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let find = |id: SectionId| -> Result<Option<CompressedFileRange>, DwarfError> {
            // `section_by_name` also finds the `.zdebug_*` of old toolchains.
            match object.section_by_name(id.name()) {
                None => Ok(None),
                Some(section) => checked(id.name(), section.compressed_file_range()?).map(Some),
            }
        };
        if find(SectionId::DebugInfo)?.is_none_or(|range| range.uncompressed_size == 0) {
            return Err(DwarfError::NoDwarf);
        }
        let found: Vec<_> = READ
            .into_iter()
            .map(|id| Ok((id, find(id)?)))
            .collect::<Result<_, DwarfError>>()?;
        let contents: Vec<_> = found
            .into_par_iter()
            .map(|(id, range)| {
                let Some(range) = range else {
                    return Ok(Content::Nothing);
                };
                Content::of(elf, range).or_else(|reason| match PLACES.contains(&id) {
                    true => Ok(Content::Nothing),
                    false => Err(DwarfError::Section {
                        name: id.name(),
                        reason,
                    }),
                })
            })
            .collect();
        Ok(Sections {
            endian,
            file: Some(Arc::clone(file)),
            contents: contents.into_iter().collect::<Result<_, _>>()?,
        })
    }

    /// gimli's view of everything.
    pub(crate) fn dwarf(&self) -> Dwarf<'_> {
        let load = |id| Ok::<_, Infallible>(EndianSlice::new(self.bytes(id), self.endian));
        match Dwarf::load(load) {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }

    /// A part of `.debug_abbrev`, up to where the next table starts.
    pub(crate) fn abbrev(&self, start: usize, end: usize) -> gimli::DebugAbbrev<Slice<'_>> {
        let bytes = self.bytes(SectionId::DebugAbbrev);
        let end = end.min(bytes.len());
        let start = start.min(end);
        gimli::DebugAbbrev::from(EndianSlice::new(&bytes[start..end], self.endian))
    }

    fn bytes(&self, id: SectionId) -> &[u8] {
        let content = READ
            .iter()
            .zip(&self.contents)
            .find(|(read, _)| **read == id);
        match (content, &self.file) {
            (Some((_, Content::Unpacked(bytes))), _) => bytes,
            (Some((_, Content::Mapped(range))), Some(file)) => &file.bytes()[range.clone()],
            _ => &[],
        }
    }
}

impl Content {
    fn of(elf: &[u8], range: CompressedFileRange) -> Result<Content, String> {
        let data = range.data(elf).map_err(|error| error.to_string())?;
        if data.format == CompressionFormat::None {
            let start = range.offset as usize;
            return Ok(Content::Mapped(start..start + data.data.len()));
        }
        let unpacked = data.decompress().map_err(|error| error.to_string())?;
        Ok(Content::Unpacked(unpacked.into_owned()))
    }
}

/// Refuses sizes that no honest file has, before anything is allocated.
fn checked(
    name: &'static str,
    range: CompressedFileRange,
) -> Result<CompressedFileRange, DwarfError> {
    let (packed, size) = (range.compressed_size, range.uncompressed_size);
    let limit = match range.format {
        CompressionFormat::Zlib | CompressionFormat::Zstandard => {
            packed.saturating_mul(MAX_EXPANSION).max(SMALL)
        }
        _ => packed,
    };
    if size > limit {
        let reason = format!("{packed} bytes cannot expand to {size}");
        return Err(DwarfError::Section { name, reason });
    }
    if size > u64::from(u32::MAX) {
        return Err(DwarfError::TooLarge { name, size });
    }
    Ok(range)
}
