//! The variables of one function, read when somebody asks.

use gimli::{AttributeSpecification, EntriesRaw};

use crate::attrs::{self, GO_CLOSURE_OFFSET, GO_DICT_INDEX, Value, flag, unsigned};
use crate::functions::{Function, entry_name, visit_origins};
use crate::location::{Piece, ScopeRange, expression_at, is_cfa, pieces};
use crate::names::go_name;
use crate::sections::{Dwarf, Slice};
use crate::types::{TypeIdx, TypeTable};
use crate::units::{Unit, Units, entries_at, reference, unit_start};

/// A parameter or local variable, at one code address.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Local {
    /// Its name; `&x` is a pointer to the variable `x`, which was moved to the heap; `~r0` is the
    /// first unnamed result.
    pub name: String,
    /// Its type: for code shared by several instantiations of a generic function, the shape.
    pub ty: TypeIdx,
    /// Whether it is a parameter or a result.
    pub is_param: bool,
    /// Whether it is a result.
    pub is_result: bool,
    /// In generic code, which entry of the dictionary has the actual type.
    pub dict_index: Option<u64>,
    /// For a variable of an inlined call: the called function.
    pub inlined: Option<String>,
    /// Where it is. Parts that were optimised away are missing.
    pub pieces: Vec<Piece>,
}

/// A variable that a closure took with it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Capture {
    /// Its name; captured by reference, it is `&x` and `ty` a pointer.
    pub name: String,
    /// Where it is in the closure object; the first word is the code address.
    pub offset: u64,
    /// Its type.
    pub ty: TypeIdx,
}

/// Everything needed to read function bodies.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) dwarf: &'r Dwarf<'a>,
    pub(crate) units: &'r Units,
    pub(crate) types: &'r TypeTable,
}

/// A variable's attributes, its own or those of its abstract origin.
#[derive(Default)]
struct RawLocal<'a> {
    name: Option<String>,
    ty: Option<(u32, u32)>,
    location: Option<Value<'a>>,
    is_result: bool,
    closure_offset: Option<u64>,
}

impl<'a> Reader<'_, 'a> {
    pub(crate) fn name(&self, function: &Function) -> Option<String> {
        let unit = self.units.at(function.die)?.open(self.dwarf).ok()?;
        entry_name(self.dwarf, self.units, &unit, function.die)
    }

    pub(crate) fn locals_at(&self, function: &Function, pc: u64) -> Vec<Local> {
        let mut out = Vec::new();
        // What was read before the damage is still right.
        let _ = self.read_locals(function, pc, &mut out);
        out
    }

    fn read_locals(&self, f: &Function, pc: u64, out: &mut Vec<Local>) -> gimli::Result<()> {
        let Some(info) = self.units.at(f.die) else {
            return Ok(());
        };
        let unit = info.open(self.dwarf)?;
        let mut entries = entries_at(&unit, f.die)?;
        let Some(function) = entries.read_abbreviation()? else {
            return Ok(());
        };
        let mut cfa = false;
        for spec in function.attributes() {
            let attribute = entries.read_attribute(*spec)?;
            if attribute.name() == gimli::DW_AT_frame_base {
                cfa = is_cfa(&unit, attribute.value());
            }
        }
        // The inlined calls around the current entry, and below which depth to skip.
        let mut calls: Vec<(isize, Option<String>)> = Vec::new();
        let mut skip_below = isize::MAX;
        while entries.next_depth() > 0 && !entries.is_empty() {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let specs = abbreviation.attributes();
            if depth > skip_below {
                entries.skip_attributes(specs)?;
                continue;
            }
            skip_below = isize::MAX;
            while calls.last().is_some_and(|&(call, _)| call >= depth) {
                calls.pop();
            }
            let tag = abbreviation.tag();
            match tag {
                gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine => {
                    let (scope, origin) = self.read_scope(&unit, &mut entries, specs)?;
                    if !scope.contains(self.dwarf, &unit, pc) {
                        skip_below = depth;
                    } else if tag == gimli::DW_TAG_inlined_subroutine {
                        let name = origin
                            .and_then(|origin| entry_name(self.dwarf, self.units, &unit, origin));
                        calls.push((depth, name));
                    }
                }
                gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter => {
                    let raw = self.read_local(&unit, &mut entries, specs)?;
                    let inlined = calls.last().and_then(|(_, name)| name.clone());
                    let is_param = tag == gimli::DW_TAG_formal_parameter;
                    out.extend(self.locate(&unit, raw, pc, cfa, is_param, inlined));
                }
                // Nested functions and whatever else has variables that are not this call's.
                _ => {
                    entries.skip_attributes(specs)?;
                    skip_below = depth;
                }
            }
        }
        Ok(())
    }

    fn locate(
        &self,
        unit: &Unit<'a>,
        raw: RawLocal<'a>,
        pc: u64,
        cfa: bool,
        is_param: bool,
        inlined: Option<String>,
    ) -> Option<Local> {
        let expression = expression_at(self.dwarf, unit, raw.location?, pc)?;
        let (ty, dict_index) = self.local_type(raw.ty);
        let size = self.types.get(ty).size;
        let pieces = pieces(self.dwarf, unit, expression, cfa, size);
        if pieces.is_empty() {
            return None;
        }
        Some(Local {
            name: raw.name?,
            ty,
            is_param,
            is_result: raw.is_result,
            dict_index,
            inlined,
            pieces,
        })
    }

    pub(crate) fn captures(&self, function: &Function) -> Vec<Capture> {
        let mut out = Vec::new();
        let _ = self.read_captures(function, &mut out);
        out.sort_by(|a: &Capture, b: &Capture| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
        out.dedup_by_key(|capture| capture.offset);
        out
    }

    fn read_captures(&self, f: &Function, out: &mut Vec<Capture>) -> gimli::Result<()> {
        let Some(info) = self.units.at(f.die) else {
            return Ok(());
        };
        let unit = info.open(self.dwarf)?;
        let mut entries = entries_at(&unit, f.die)?;
        let Some(function) = entries.read_abbreviation()? else {
            return Ok(());
        };
        entries.skip_attributes(function.attributes())?;
        let mut skip_below = isize::MAX;
        while entries.next_depth() > 0 && !entries.is_empty() {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                continue;
            };
            let specs = abbreviation.attributes();
            if depth > skip_below {
                entries.skip_attributes(specs)?;
                continue;
            }
            skip_below = isize::MAX;
            match abbreviation.tag() {
                gimli::DW_TAG_variable => {
                    let raw = self.read_local(&unit, &mut entries, specs)?;
                    if let (Some(offset), Some(name)) = (raw.closure_offset, raw.name) {
                        let (ty, _) = self.local_type(raw.ty);
                        out.push(Capture { name, offset, ty });
                    }
                }
                gimli::DW_TAG_lexical_block => entries.skip_attributes(specs)?,
                // An inlined closure's captures are not this function's.
                _ => {
                    entries.skip_attributes(specs)?;
                    skip_below = depth;
                }
            }
        }
        Ok(())
    }

    fn read_scope(
        &self,
        unit: &Unit<'a>,
        entries: &mut EntriesRaw<'_, Slice<'a>>,
        specs: &[AttributeSpecification],
    ) -> gimli::Result<(ScopeRange<'a>, Option<u32>)> {
        let mut scope = ScopeRange {
            low: None,
            high: None,
            ranges: None,
        };
        let mut origin = None;
        for spec in specs {
            let attribute = entries.read_attribute(*spec)?;
            let value = attribute.value();
            match attribute.name() {
                gimli::DW_AT_low_pc => scope.low = Some(value),
                gimli::DW_AT_high_pc => scope.high = Some(value),
                gimli::DW_AT_ranges => scope.ranges = Some(value),
                gimli::DW_AT_abstract_origin => origin = reference(unit_start(unit), value),
                _ => {}
            }
        }
        Ok((scope, origin))
    }

    fn read_local(
        &self,
        unit: &Unit<'a>,
        entries: &mut EntriesRaw<'_, Slice<'a>>,
        specs: &[AttributeSpecification],
    ) -> gimli::Result<RawLocal<'a>> {
        let mut raw = RawLocal::default();
        let mut origin = None;
        for spec in specs {
            let attribute = entries.read_attribute(*spec)?;
            let value = attribute.value();
            match attribute.name() {
                gimli::DW_AT_location => raw.location = Some(value),
                gimli::DW_AT_abstract_origin => origin = reference(unit_start(unit), value),
                name => raw.describe(self.dwarf, unit, name, value),
            }
        }
        if let Some(origin) = origin {
            visit_origins(self.dwarf, self.units, unit, origin, |unit, name, value| {
                raw.describe(self.dwarf, unit, name, value);
            });
        }
        Ok(raw)
    }

    /// A type of the table, directly or through the typedefs that generic functions keep for the
    /// parameters of their types.
    fn local_type(&self, ty: Option<(u32, u32)>) -> (TypeIdx, Option<u64>) {
        let unknown = (TypeTable::UNKNOWN, None);
        let Some((unit, die)) = ty else {
            return unknown;
        };
        if let Some(index) = self.types.by_entry(die) {
            return (index, None);
        }
        let Some(info) = self.units.at(unit) else {
            return unknown;
        };
        let Ok(unit) = info.open(self.dwarf) else {
            return unknown;
        };
        let (mut target, mut dict_index) = (None, None);
        visit_origins(self.dwarf, self.units, &unit, die, |unit, name, value| {
            if name == gimli::DW_AT_type {
                target = reference(unit_start(unit), value);
            } else if name == GO_DICT_INDEX {
                dict_index = unsigned(value);
            }
        });
        match target.and_then(|target| self.types.by_entry(target)) {
            Some(index) => (index, dict_index),
            None => unknown,
        }
    }
}

impl<'a> RawLocal<'a> {
    fn describe(
        &mut self,
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        name: gimli::DwAt,
        value: Value<'a>,
    ) {
        match name {
            gimli::DW_AT_name if self.name.is_none() => {
                let text = attrs::string(dwarf, unit, value);
                self.name = text.map(|text| go_name(text).into_owned());
            }
            gimli::DW_AT_type if self.ty.is_none() => {
                let start = unit_start(unit);
                self.ty = reference(start, value).map(|die| (start, die));
            }
            gimli::DW_AT_variable_parameter => self.is_result |= flag(value),
            GO_CLOSURE_OFFSET => self.closure_offset = unsigned(value),
            _ => {}
        }
    }
}
