//! Reading single attributes, whatever form they were written in.

use gimli::{AttributeValue, Section};

use crate::sections::{Dwarf, Slice};
use crate::units::Unit;

// cmd/internal/dwarf/dwarf.go
pub(crate) const GO_KIND: gimli::DwAt = gimli::DwAt(0x2900);
pub(crate) const GO_KEY: gimli::DwAt = gimli::DwAt(0x2901);
pub(crate) const GO_ELEM: gimli::DwAt = gimli::DwAt(0x2902);
pub(crate) const GO_EMBEDDED_FIELD: gimli::DwAt = gimli::DwAt(0x2903);
pub(crate) const GO_RUNTIME_TYPE: gimli::DwAt = gimli::DwAt(0x2904);
pub(crate) const GO_DICT_INDEX: gimli::DwAt = gimli::DwAt(0x2906);
pub(crate) const GO_CLOSURE_OFFSET: gimli::DwAt = gimli::DwAt(0x2907);

/// An attribute's value as gimli gives it.
pub(crate) type Value<'a> = AttributeValue<Slice<'a>>;

/// Strings that are stored apart can be shared by any number of entries: a bound on their length
/// bounds the work. Go writes its names in place.
const MAX_SHARED_STRING: usize = 1 << 14;

/// The bytes of a string attribute.
pub(crate) fn string<'a>(dwarf: &Dwarf<'a>, unit: &Unit<'a>, value: Value<'a>) -> Option<&'a [u8]> {
    let (section, offset) = match value {
        AttributeValue::String(text) => return Some(text.slice()),
        AttributeValue::DebugStrRef(offset) => (dwarf.debug_str.reader(), offset.0),
        AttributeValue::DebugLineStrRef(offset) => (dwarf.debug_line_str.reader(), offset.0),
        AttributeValue::DebugStrOffsetsIndex(index) => {
            let offset = dwarf.string_offset(unit, index).ok()?;
            (dwarf.debug_str.reader(), offset.0)
        }
        _ => return None,
    };
    let text = section.slice().get(offset..)?;
    let text = &text[..text.len().min(MAX_SHARED_STRING)];
    let end = text.iter().position(|&byte| byte == 0);
    Some(&text[..end.unwrap_or(text.len())])
}

/// A number that cannot be negative.
pub(crate) fn unsigned(value: Value<'_>) -> Option<u64> {
    match value {
        AttributeValue::Addr(address) => Some(address),
        value => value.udata_value(),
    }
}

/// A flag, or a number taken as one (Go writes some flags as `DW_FORM_flag` with any value).
pub(crate) fn flag(value: Value<'_>) -> bool {
    match value {
        AttributeValue::Flag(set) => set,
        value => value.udata_value().is_some_and(|number| number != 0),
    }
}
