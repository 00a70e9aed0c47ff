//! The compilation units of the binary: which are Go's, and how to open one again.

use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeValue, DebugAbbrevOffset, DebugInfoOffset, EntriesRaw, UnitOffset,
};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::DwarfError;
use crate::sections::{Dwarf, Sections, Slice};

/// An opened unit.
pub(crate) type Unit<'a> = gimli::Unit<Slice<'a>>;
type Header<'a> = gimli::UnitHeader<Slice<'a>>;

/// A Go unit: all that cannot be read again from its header.
#[derive(Debug)]
pub(crate) struct UnitInfo {
    /// Where its header starts in `.debug_info`.
    pub(crate) start: u32,
    /// Where the next unit's header starts.
    pub(crate) end: u32,
    pub(crate) version: u16,
    word: u8,
    abbreviations: Arc<Abbreviations>,
    low_pc: u64,
    addr_base: usize,
    str_offsets_base: Option<usize>,
    loclists_base: Option<usize>,
    rnglists_base: Option<usize>,
}

/// The Go units, in section order, and how many units could not be read.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) go: Vec<UnitInfo>,
    pub(crate) foreign: usize,
    pub(crate) damaged: usize,
}

impl Units {
    pub(crate) fn load(sections: &Sections) -> Result<Units, DwarfError> {
        let dwarf = sections.dwarf();
        let mut headers = Vec::new();
        let mut units = Units::default();
        let mut all = dwarf.units();
        loop {
            match all.next() {
                Ok(Some(header)) => headers.push(header),
                Ok(None) => break,
                Err(error) if headers.is_empty() => return Err(error.into()),
                // Without a length there is no way to the next header.
                Err(_) => {
                    units.damaged += 1;
                    break;
                }
            }
        }
        let tables = abbreviation_tables(sections, &headers);
        let opened: Vec<Opened> = headers
            .par_iter()
            .map(|header| open_header(&dwarf, header, &tables))
            .collect();
        for unit in opened {
            match unit {
                Opened::Go(info) => units.go.push(info),
                Opened::Foreign => units.foreign += 1,
                Opened::Damaged => units.damaged += 1,
            }
        }
        if units.go.is_empty() {
            return Err(DwarfError::NoGoUnits);
        }
        Ok(units)
    }

    /// Bytes in a pointer.
    pub(crate) fn word(&self) -> u64 {
        self.go.first().map_or(8, |unit| u64::from(unit.word))
    }

    /// The unit that holds this offset of `.debug_info`.
    pub(crate) fn at(&self, offset: u32) -> Option<&UnitInfo> {
        let after = self.go.partition_point(|unit| unit.start <= offset);
        let unit = &self.go[after.checked_sub(1)?];
        (offset < unit.end).then_some(unit)
    }
}

impl UnitInfo {
    /// Opens the unit for reading entries.
    pub(crate) fn open<'a>(&self, dwarf: &Dwarf<'a>) -> gimli::Result<Unit<'a>> {
        let header = dwarf
            .debug_info
            .header_from_offset(DebugInfoOffset(self.start as usize))?;
        let mut unit = blank(header, self.abbreviations.clone());
        unit.low_pc = self.low_pc;
        unit.addr_base.0 = self.addr_base;
        set(&mut unit.str_offsets_base.0, self.str_offsets_base);
        set(&mut unit.loclists_base.0, self.loclists_base);
        set(&mut unit.rnglists_base.0, self.rnglists_base);
        Ok(unit)
    }
}

/// The entries of `unit` from the `.debug_info` offset `die` on.
pub(crate) fn entries_at<'u, 'a>(
    unit: &'u Unit<'a>,
    die: u32,
) -> gimli::Result<EntriesRaw<'u, Slice<'a>>> {
    let start = unit_start(unit) as usize;
    let offset = (die as usize).wrapping_sub(start);
    unit.header
        .entries_raw(&unit.abbreviations, Some(UnitOffset(offset)))
}

/// Where the unit's header starts in `.debug_info`.
pub(crate) fn unit_start(unit: &Unit<'_>) -> u32 {
    header_start(&unit.header)
}

/// The `.debug_info` offset an attribute refers to, whatever form it has.
pub(crate) fn reference(unit_start: u32, value: AttributeValue<Slice<'_>>) -> Option<u32> {
    match value {
        AttributeValue::UnitRef(UnitOffset(offset)) => {
            u32::try_from((unit_start as usize).checked_add(offset)?).ok()
        }
        AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) => u32::try_from(offset).ok(),
        _ => None,
    }
}

enum Opened {
    Go(UnitInfo),
    Foreign,
    Damaged,
}

type Tables = FxHashMap<usize, Option<Arc<Abbreviations>>>;

/// Every abbreviation table once. Go's linker writes a single one for all units. Each is cut
/// where the next begins, so that reading all of them is linear in the section's size.
fn abbreviation_tables(sections: &Sections, headers: &[Header<'_>]) -> Tables {
    let mut starts: Vec<usize> = headers.iter().map(|h| h.debug_abbrev_offset().0).collect();
    starts.sort_unstable();
    starts.dedup();
    starts
        .par_iter()
        .enumerate()
        .map(|(at, &start)| {
            let end = starts.get(at + 1).copied().unwrap_or(usize::MAX);
            let table = sections.abbrev(start, end);
            let parsed = table.abbreviations(DebugAbbrevOffset(0));
            (start, parsed.ok().map(Arc::new))
        })
        .collect()
}

fn open_header(dwarf: &Dwarf<'_>, header: &Header<'_>, tables: &Tables) -> Opened {
    let table = tables.get(&header.debug_abbrev_offset().0);
    let Some(Some(abbreviations)) = table else {
        return Opened::Damaged;
    };
    match read_root(dwarf, header, abbreviations) {
        Ok(Some(info)) => Opened::Go(info),
        Ok(None) => Opened::Foreign,
        Err(_) => Opened::Damaged,
    }
}

/// Reads the unit's root entry; `None` if its language is not Go.
fn read_root(
    dwarf: &Dwarf<'_>,
    header: &Header<'_>,
    abbreviations: &Arc<Abbreviations>,
) -> gimli::Result<Option<UnitInfo>> {
    let mut entries = header.entries_raw(abbreviations, None)?;
    let Some(abbreviation) = entries.read_abbreviation()? else {
        return Ok(None);
    };
    let start = header_start(header);
    let mut info = UnitInfo {
        start,
        end: start.saturating_add(header.length_including_self() as u32),
        version: header.version(),
        word: header.address_size(),
        abbreviations: abbreviations.clone(),
        low_pc: 0,
        addr_base: 0,
        str_offsets_base: None,
        loclists_base: None,
        rnglists_base: None,
    };
    let mut go = false;
    let mut low_pc = None;
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        match (attribute.name(), attribute.value()) {
            (gimli::DW_AT_language, AttributeValue::Language(language)) => {
                go = language == gimli::DW_LANG_Go;
            }
            (gimli::DW_AT_low_pc, value) => low_pc = Some(value),
            (_, AttributeValue::DebugAddrBase(base)) => info.addr_base = base.0,
            (_, AttributeValue::DebugStrOffsetsBase(base)) => info.str_offsets_base = Some(base.0),
            (_, AttributeValue::DebugLocListsBase(base)) => info.loclists_base = Some(base.0),
            (_, AttributeValue::DebugRngListsBase(base)) => info.rnglists_base = Some(base.0),
            _ => {}
        }
    }
    if !go {
        return Ok(None);
    }
    if let Some(value) = low_pc {
        let mut unit = blank(*header, abbreviations.clone());
        unit.addr_base.0 = info.addr_base;
        info.low_pc = dwarf.attr_address(&unit, value)?.unwrap_or(0);
    }
    Ok(Some(info))
}

/// `gimli::Unit::new` would insist on the line table, which is never needed here.
fn blank<'a>(header: Header<'a>, abbreviations: Arc<Abbreviations>) -> Unit<'a> {
    let encoding = header.encoding();
    let file_type = gimli::DwarfFileType::Main;
    gimli::Unit {
        header,
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: gimli::DebugStrOffsetsBase::default_for_encoding_and_file(
            encoding, file_type,
        ),
        addr_base: gimli::DebugAddrBase(0),
        loclists_base: gimli::DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: gimli::DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id: None,
    }
}

fn set(slot: &mut usize, value: Option<usize>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn header_start(header: &Header<'_>) -> u32 {
    // `.debug_info` is known to be smaller than 4 GiB, and `.debug_types` is never loaded.
    header.offset().0 as u32
}
