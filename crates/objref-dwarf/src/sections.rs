//! The `.debug_*` sections of an ELF file, decompressed and owned.

use std::sync::OnceLock;

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use object::read::{CompressedData, CompressionFormat};
use object::{Object, ObjectSection};
use rayon::prelude::*;

use crate::DwarfError;

/// The reader all parsing goes through: a slice of a section.
pub(crate) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;
/// gimli's view of the sections.
pub(crate) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// Needed to read types, variables, constants and function names.
const EAGER: [SectionId; 6] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugStr,
    SectionId::DebugLineStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAddr,
];

/// Needed only to say where a local variable lives.
const LAZY: [SectionId; 4] = [
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

/// A section as it is in the file, kept until somebody asks for its content.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    format: Option<CompressionFormat>,
    size: u64,
}

impl Packed {
    fn unpack(&self) -> Result<Vec<u8>, String> {
        let data = CompressedData {
            format: self.format.unwrap_or(CompressionFormat::None),
            data: &self.bytes,
            uncompressed_size: self.size,
        };
        decompress(data)
    }
}

/// All sections this crate reads.
#[derive(Debug)]
pub(crate) struct Sections {
    endian: RunTimeEndian,
    eager: [Vec<u8>; EAGER.len()],
    packed: [Packed; LAZY.len()],
    lazy: OnceLock<[Vec<u8>; LAZY.len()]>,
}

impl Sections {
    /// No section at all.
    pub(crate) fn none() -> Sections {
        Sections {
            endian: RunTimeEndian::Little,
            eager: Default::default(),
            packed: Default::default(),
            lazy: OnceLock::new(),
        }
    }

    /// Copies or decompresses what is needed out of `elf`, in parallel over the sections.
    pub(crate) fn load(elf: &[u8]) -> Result<Sections, DwarfError> {
        let file = object::File::parse(elf)?;
        let endian = if file.is_little_endian() {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let find = |id: SectionId| -> Result<Option<CompressedData<'_>>, DwarfError> {
            // `section_by_name` also finds the `.zdebug_*` of old toolchains.
            match file.section_by_name(id.name()) {
                None => Ok(None),
                Some(section) => checked(id.name(), section.compressed_data()?).map(Some),
            }
        };
        if find(SectionId::DebugInfo)?.is_none_or(|data| data.uncompressed_size == 0) {
            return Err(DwarfError::NoDwarf);
        }
        let mut jobs = Vec::new();
        for id in EAGER {
            jobs.push((id.name(), find(id)?));
        }
        let unpacked: Vec<Vec<u8>> = jobs
            .into_par_iter()
            .map(|(name, data)| match data {
                None => Ok(Vec::new()),
                Some(data) => {
                    decompress(data).map_err(|reason| DwarfError::Section { name, reason })
                }
            })
            .collect::<Result<_, _>>()?;
        let mut eager: [Vec<u8>; EAGER.len()] = Default::default();
        for (slot, bytes) in eager.iter_mut().zip(unpacked) {
            *slot = bytes;
        }
        let mut packed: [Packed; LAZY.len()] = Default::default();
        for (slot, id) in packed.iter_mut().zip(LAZY) {
            if let Some(data) = find(id)? {
                *slot = Packed {
                    bytes: data.data.to_vec(),
                    format: Some(data.format),
                    size: data.uncompressed_size,
                };
            }
        }
        Ok(Sections {
            endian,
            eager,
            packed,
            lazy: OnceLock::new(),
        })
    }

    /// What is needed to read types and names; location lists and ranges appear to be absent.
    pub(crate) fn dwarf(&self) -> Dwarf<'_> {
        self.view(|id| self.eager_bytes(id))
    }

    /// Everything: decompresses location lists and ranges on first use.
    ///
    /// A damaged one counts as empty: variables then have no known location, which is what the
    /// caller would do about the error anyway.
    pub(crate) fn dwarf_with_locations(&self) -> Dwarf<'_> {
        let lazy = self.lazy.get_or_init(|| {
            let mut all: [Vec<u8>; LAZY.len()] = Default::default();
            all.par_iter_mut()
                .zip(self.packed.par_iter())
                .for_each(|(slot, packed)| *slot = packed.unpack().unwrap_or_default());
            all
        });
        self.view(|id| match LAZY.iter().position(|&lazy| lazy == id) {
            Some(at) => &lazy[at],
            None => self.eager_bytes(id),
        })
    }

    /// A part of `.debug_abbrev`, up to where the next table starts.
    pub(crate) fn abbrev(&self, start: usize, end: usize) -> gimli::DebugAbbrev<Slice<'_>> {
        let bytes = self.eager_bytes(SectionId::DebugAbbrev);
        let end = end.min(bytes.len());
        let start = start.min(end);
        gimli::DebugAbbrev::from(EndianSlice::new(&bytes[start..end], self.endian))
    }

    fn eager_bytes(&self, id: SectionId) -> &[u8] {
        match EAGER.iter().position(|&eager| eager == id) {
            Some(at) => &self.eager[at],
            None => &[],
        }
    }

    fn view<'a>(&'a self, bytes: impl Fn(SectionId) -> &'a [u8]) -> Dwarf<'a> {
        let loaded: Result<Dwarf<'a>, std::convert::Infallible> =
            Dwarf::load(|id| Ok(EndianSlice::new(bytes(id), self.endian)));
        match loaded {
            Ok(dwarf) => dwarf,
            Err(never) => match never {},
        }
    }
}

/// Refuses sizes that no honest file has, before anything is allocated.
fn checked<'a>(
    name: &'static str,
    data: CompressedData<'a>,
) -> Result<CompressedData<'a>, DwarfError> {
    let size = data.uncompressed_size;
    let packed = data.data.len() as u64;
    let limit = match data.format {
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
    Ok(data)
}

fn decompress(data: CompressedData<'_>) -> Result<Vec<u8>, String> {
    match data.decompress() {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(error) => Err(error.to_string()),
    }
}
