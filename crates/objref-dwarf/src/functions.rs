//! Which function covers a code address.

use std::ops::Range;

use objref_mem::LinkAddr;
use rayon::prelude::*;

use crate::attrs::{self, unsigned};
use crate::names::go_name;
use crate::sections::Dwarf;
use crate::units::{Unit, UnitInfo, Units, entries_at, reference, unit_start};

/// A function that has code of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FunctionRef(pub(crate) u32);

/// Following `DW_AT_abstract_origin` takes one step in Go; more is damage.
const MAX_ORIGINS: usize = 4;

/// A function with code.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) die: u32,
    pub(crate) name: Box<str>,
}

/// All functions of the Go units, by address.
#[derive(Debug, Default)]
pub(crate) struct FunctionIndex {
    functions: Vec<Function>,
    by_name: Vec<u32>,
}

impl FunctionIndex {
    /// `dies` holds for each unit the offsets of its subprograms.
    pub(crate) fn build(dwarf: &Dwarf<'_>, units: &Units, dies: &[Vec<u32>]) -> FunctionIndex {
        let mut functions: Vec<Function> = units
            .go
            .par_iter()
            .zip(dies)
            .flat_map_iter(|(info, dies)| unit_functions(dwarf, units, info, dies))
            .collect();
        functions.par_sort_by(|a, b| (a.low, a.high, a.die).cmp(&(b.low, b.high, b.die)));
        let mut by_name: Vec<u32> = (0..functions.len() as u32).collect();
        by_name.par_sort_by_key(|&at| (&functions[at as usize].name, at));
        FunctionIndex { functions, by_name }
    }

    pub(crate) fn get(&self, f: FunctionRef) -> &Function {
        &self.functions[f.0 as usize]
    }

    pub(crate) fn all(&self) -> Range<u32> {
        0..self.functions.len() as u32
    }

    pub(crate) fn at(&self, pc: LinkAddr) -> Option<FunctionRef> {
        let after = self.functions.partition_point(|f| f.low <= pc.0);
        let at = after.checked_sub(1)?;
        (pc.0 < self.functions[at].high).then_some(FunctionRef(at as u32))
    }

    pub(crate) fn named(&self, name: &str) -> Option<FunctionRef> {
        let name_of = |at: u32| &*self.functions[at as usize].name;
        let first = self.by_name.partition_point(|&at| name_of(at) < name);
        let &at = self.by_name.get(first)?;
        (name_of(at) == name).then_some(FunctionRef(at))
    }
}

fn unit_functions(
    dwarf: &Dwarf<'_>,
    units: &Units,
    info: &UnitInfo,
    dies: &[u32],
) -> Vec<Function> {
    let Ok(unit) = info.open(dwarf) else {
        return Vec::new();
    };
    dies.iter()
        .filter_map(|&die| read_function(dwarf, units, &unit, die).ok().flatten())
        .collect()
}

/// A subprogram with code; `None` for the abstract ones.
fn read_function(
    dwarf: &Dwarf<'_>,
    units: &Units,
    unit: &Unit<'_>,
    die: u32,
) -> gimli::Result<Option<Function>> {
    let mut entries = entries_at(unit, die)?;
    let Some(abbreviation) = entries.read_abbreviation()? else {
        return Ok(None);
    };
    let (mut name, mut origin, mut low, mut high) = (None, None, None, None);
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        let value = attribute.value();
        match attribute.name() {
            gimli::DW_AT_name => name = attrs::string(dwarf, unit, value),
            gimli::DW_AT_abstract_origin => origin = reference(unit_start(unit), value),
            gimli::DW_AT_low_pc => low = dwarf.attr_address(unit, value)?,
            gimli::DW_AT_high_pc => high = Some(value),
            _ => {}
        }
    }
    let (Some(low), Some(high)) = (low, high) else {
        return Ok(None);
    };
    // An address (DWARF 4 as Go writes it), or the length.
    let high = match dwarf.attr_address(unit, high)? {
        Some(address) => address,
        None => low.saturating_add(unsigned(high).unwrap_or(0)),
    };
    let name = match (name, origin) {
        (Some(name), _) => go_name(name).into_owned(),
        (None, Some(origin)) => origin_name(dwarf, units, unit, origin).unwrap_or_default(),
        (None, None) => String::new(),
    };
    Ok((high > low).then(|| Function {
        low,
        high,
        die,
        name: name.into_boxed_str(),
    }))
}

/// The name of the entry at `die`, which need not be in `unit`.
pub(crate) fn origin_name(
    dwarf: &Dwarf<'_>,
    units: &Units,
    unit: &Unit<'_>,
    die: u32,
) -> Option<String> {
    let mut name = None;
    visit_origins(dwarf, units, unit, die, |unit, attribute, value| {
        if attribute == gimli::DW_AT_name {
            name = attrs::string(dwarf, unit, value).map(|raw| go_name(raw).into_owned());
        }
    });
    name
}

/// Calls `each` with the attributes of the entry at `die` and of those it originates from.
pub(crate) fn visit_origins<'a>(
    dwarf: &Dwarf<'a>,
    units: &Units,
    unit: &Unit<'a>,
    die: u32,
    mut each: impl FnMut(&Unit<'a>, gimli::DwAt, attrs::Value<'a>),
) {
    let mut next = Some(die);
    for _ in 0..MAX_ORIGINS {
        let Some(die) = next.take() else { return };
        let other;
        let home = match units.at(die) {
            Some(info) if info.start == unit_start(unit) => unit,
            Some(info) => match info.open(dwarf) {
                Ok(opened) => {
                    other = opened;
                    &other
                }
                Err(_) => return,
            },
            None => return,
        };
        let Ok(mut entries) = entries_at(home, die) else {
            return;
        };
        let Ok(Some(abbreviation)) = entries.read_abbreviation() else {
            return;
        };
        for spec in abbreviation.attributes() {
            let Ok(attribute) = entries.read_attribute(*spec) else {
                return;
            };
            let value = attribute.value();
            if attribute.name() == gimli::DW_AT_abstract_origin {
                next = reference(unit_start(home), value);
            }
            each(home, attribute.name(), value);
        }
    }
}
