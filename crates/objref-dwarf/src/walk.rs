//! One pass over one unit: what its top-level entries say, before references are resolved.

use gimli::{AttributeValue, DwTag, EntriesRaw, Operation};

use crate::attrs::{
    GO_ELEM, GO_EMBEDDED_FIELD, GO_KEY, GO_KIND, GO_RUNTIME_TYPE, Value, flag, string, unsigned,
};
use crate::functions::Function;
use crate::sections::{Dwarf, Slice};
use crate::units::{Unit, UnitInfo, reference, unit_start};

/// A type's entry; references are offsets of `.debug_info`.
#[derive(Debug, Clone)]
pub(crate) struct RawType<'a> {
    pub(crate) die: u32,
    pub(crate) tag: DwTag,
    pub(crate) name: &'a [u8],
    pub(crate) size: Option<u64>,
    pub(crate) go_kind: u8,
    pub(crate) encoding: Option<gimli::DwAte>,
    pub(crate) runtime_type: u64,
    pub(crate) target: Option<u32>,
    pub(crate) key: Option<u32>,
    pub(crate) elem: Option<u32>,
    pub(crate) count: Option<u64>,
    pub(crate) fields: std::ops::Range<usize>,
}

/// A struct member.
#[derive(Debug, Clone)]
pub(crate) struct RawField<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) offset: u64,
    pub(crate) target: Option<u32>,
    pub(crate) embedded: bool,
}

/// A package-level variable.
#[derive(Debug)]
pub(crate) struct RawVariable<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) address: u64,
    pub(crate) target: Option<u32>,
}

/// What one unit says.
#[derive(Debug, Default)]
pub(crate) struct RawUnit<'a> {
    pub(crate) types: Vec<RawType<'a>>,
    pub(crate) fields: Vec<RawField<'a>>,
    pub(crate) variables: Vec<RawVariable<'a>>,
    pub(crate) constants: Vec<(&'a [u8], i64)>,
    pub(crate) functions: Vec<Function>,
    /// Its entries could not be read to the end.
    pub(crate) damaged: bool,
}

impl<'a> RawUnit<'a> {
    /// Adds what another unit says.
    pub(crate) fn append(&mut self, mut more: RawUnit<'a>) {
        let shift = self.fields.len();
        for ty in &mut more.types {
            ty.fields = ty.fields.start + shift..ty.fields.end + shift;
        }
        append(&mut self.types, more.types);
        append(&mut self.fields, more.fields);
        append(&mut self.variables, more.variables);
        append(&mut self.constants, more.constants);
        append(&mut self.functions, more.functions);
    }
}

/// Go's linker puts all types into one unit, which are not to be copied.
fn append<T>(to: &mut Vec<T>, mut more: Vec<T>) {
    match to.is_empty() {
        true => *to = more,
        false => to.append(&mut more),
    }
}

/// Reads the top level of a unit; bodies of functions are skipped without a look.
pub(crate) fn walk<'a>(dwarf: &Dwarf<'a>, info: &UnitInfo) -> RawUnit<'a> {
    let mut out = RawUnit::default();
    let result = info.open(dwarf).and_then(|unit| {
        let walker = Walker {
            dwarf,
            start: unit_start(&unit),
            unit: &unit,
        };
        walker.run(&mut out)
    });
    out.damaged = result.is_err();
    out
}

struct Walker<'w, 'a> {
    dwarf: &'w Dwarf<'a>,
    unit: &'w Unit<'a>,
    start: u32,
}

type Entries<'w, 'a> = EntriesRaw<'w, Slice<'a>>;

impl<'w, 'a> Walker<'w, 'a> {
    fn run(&self, out: &mut RawUnit<'a>) -> gimli::Result<()> {
        let abbreviations = &self.unit.abbreviations;
        let mut entries = self.unit.header.entries_raw(abbreviations, None)?;
        // Whether the entry whose children are being read is the last of `out.types`.
        let mut in_type = false;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let die = self.start.wrapping_add(entries.next_offset().0 as u32);
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let tag = abbreviation.tag();
            let specs = abbreviation.attributes();
            match depth {
                1 if is_type(tag) => {
                    in_type = true;
                    let mut raw = self.read_type(tag, die, &mut entries, specs)?;
                    raw.fields = out.fields.len()..out.fields.len();
                    out.types.push(raw);
                }
                1 => {
                    in_type = false;
                    match tag {
                        gimli::DW_TAG_variable => {
                            out.variables
                                .extend(self.read_variable(&mut entries, specs)?);
                        }
                        gimli::DW_TAG_constant => {
                            out.constants
                                .extend(self.read_constant(&mut entries, specs)?);
                        }
                        gimli::DW_TAG_subprogram => {
                            out.functions
                                .extend(self.read_function(die, &mut entries, specs)?);
                        }
                        _ => entries.skip_attributes(specs)?,
                    }
                }
                2 if in_type && tag == gimli::DW_TAG_member => {
                    out.fields.push(self.read_field(&mut entries, specs)?);
                    if let Some(parent) = out.types.last_mut() {
                        parent.fields.end = out.fields.len();
                    }
                }
                2 if in_type && tag == gimli::DW_TAG_subrange_type => {
                    let count = self.read_count(&mut entries, specs)?;
                    if let Some(parent) = out.types.last_mut() {
                        parent.count = parent.count.or(count);
                    }
                }
                _ => entries.skip_attributes(specs)?,
            }
        }
        Ok(())
    }

    /// Calls `each` with every attribute of the current entry.
    fn attributes(
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
        mut each: impl FnMut(gimli::DwAt, Value<'a>),
    ) -> gimli::Result<()> {
        for spec in specs {
            let attribute = entries.read_attribute(*spec)?;
            each(attribute.name(), attribute.value());
        }
        Ok(())
    }

    fn read_type(
        &self,
        tag: DwTag,
        die: u32,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<RawType<'a>> {
        let mut raw = RawType {
            die,
            tag,
            name: &[],
            size: None,
            go_kind: 0,
            encoding: None,
            runtime_type: 0,
            target: None,
            key: None,
            elem: None,
            count: None,
            fields: 0..0,
        };
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_name => raw.name = self.string(value),
            gimli::DW_AT_byte_size => raw.size = unsigned(value),
            gimli::DW_AT_type => raw.target = reference(self.start, value),
            gimli::DW_AT_encoding => {
                if let AttributeValue::Encoding(encoding) = value {
                    raw.encoding = Some(encoding);
                }
            }
            GO_KIND => raw.go_kind = unsigned(value).unwrap_or(0) as u8,
            GO_RUNTIME_TYPE => raw.runtime_type = unsigned(value).unwrap_or(0),
            GO_KEY => raw.key = reference(self.start, value),
            GO_ELEM => raw.elem = reference(self.start, value),
            _ => {}
        })?;
        Ok(raw)
    }

    fn read_field(
        &self,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<RawField<'a>> {
        let mut field = RawField {
            name: &[],
            offset: 0,
            target: None,
            embedded: false,
        };
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_name => field.name = self.string(value),
            // A location that has to be computed cannot be a Go field's: out of every struct.
            gimli::DW_AT_data_member_location => {
                field.offset = unsigned(value).unwrap_or(u64::MAX);
            }
            gimli::DW_AT_type => field.target = reference(self.start, value),
            GO_EMBEDDED_FIELD => field.embedded = flag(value),
            _ => {}
        })?;
        Ok(field)
    }

    fn read_count(
        &self,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<Option<u64>> {
        let mut count = None;
        let mut last = None;
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_count => count = unsigned(value),
            gimli::DW_AT_upper_bound => last = unsigned(value),
            _ => {}
        })?;
        Ok(count.or(last.and_then(|last| last.checked_add(1))))
    }

    /// A variable with one fixed address; others (thread-locals, registers) are left out.
    fn read_variable(
        &self,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<Option<RawVariable<'a>>> {
        let mut variable = RawVariable {
            name: &[],
            address: 0,
            target: None,
        };
        let mut location = None;
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_name => variable.name = self.string(value),
            gimli::DW_AT_type => variable.target = reference(self.start, value),
            gimli::DW_AT_location => location = value.exprloc_value(),
            _ => {}
        })?;
        let Some(expression) = location else {
            return Ok(None);
        };
        let mut operations = expression.operations(self.unit.encoding());
        variable.address = match operations.next() {
            Ok(Some(Operation::Address { address })) => address,
            Ok(Some(Operation::AddressIndex { index })) => {
                match self.dwarf.address(self.unit, index) {
                    Ok(address) => address,
                    Err(_) => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let alone = matches!(operations.next(), Ok(None));
        Ok((alone && !variable.name.is_empty()).then_some(variable))
    }

    fn read_constant(
        &self,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<Option<(&'a [u8], i64)>> {
        let mut text: &[u8] = &[];
        let mut number = None;
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_name => text = self.string(value),
            gimli::DW_AT_const_value => {
                number = value
                    .sdata_value()
                    .or(value.udata_value().map(|bits| bits as i64));
            }
            _ => {}
        })?;
        Ok(number.map(|number| (text, number)))
    }

    /// A subprogram with code; `None` for the abstract ones.
    fn read_function(
        &self,
        die: u32,
        entries: &mut Entries<'_, 'a>,
        specs: &[gimli::AttributeSpecification],
    ) -> gimli::Result<Option<Function>> {
        let (mut low, mut high) = (None, None);
        Self::attributes(entries, specs, |name, value| match name {
            gimli::DW_AT_low_pc => low = Some(value),
            gimli::DW_AT_high_pc => high = Some(value),
            _ => {}
        })?;
        let address = |value| self.dwarf.attr_address(self.unit, value);
        let (Some(low), Some(high)) = (low, high) else {
            return Ok(None);
        };
        // `high` is an address (DWARF 4 as Go writes it), or the length.
        let range = match (address(low), address(high)) {
            (Ok(Some(low)), Ok(Some(high))) => low..high,
            (Ok(Some(low)), Ok(None)) => low..low.saturating_add(unsigned(high).unwrap_or(0)),
            _ => return Ok(None),
        };
        Ok((!range.is_empty()).then_some(Function {
            low: range.start,
            high: range.end,
            die,
        }))
    }

    fn string(&self, value: Value<'a>) -> &'a [u8] {
        string(self.dwarf, self.unit, value).unwrap_or_default()
    }
}

fn is_type(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_base_type
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_array_type
            | gimli::DW_TAG_subroutine_type
            | gimli::DW_TAG_unspecified_type
    )
}
