//! Which function covers a code address.

use objref_mem::LinkAddr;
use rayon::prelude::*;

use crate::attrs;
use crate::names::go_name;
use crate::sections::Dwarf;
use crate::units::{Unit, Units, entries_at, reference, unit_start};

/// A function that has code of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FunctionRef(pub(crate) u32);

/// Following `DW_AT_abstract_origin` takes one step in Go; more is damage.
const MAX_ORIGINS: usize = 4;

/// A function with code; what it is called says its entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Function {
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) die: u32,
}

/// All functions of the Go units, by address.
#[derive(Debug, Default)]
pub(crate) struct FunctionIndex {
    functions: Vec<Function>,
}

impl FunctionIndex {
    pub(crate) fn new(mut functions: Vec<Function>) -> FunctionIndex {
        functions.par_sort_unstable();
        FunctionIndex { functions }
    }

    pub(crate) fn get(&self, f: FunctionRef) -> &Function {
        &self.functions[f.0 as usize]
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = FunctionRef> + use<> {
        (0..self.functions.len() as u32).map(FunctionRef)
    }

    pub(crate) fn at(&self, pc: LinkAddr) -> Option<FunctionRef> {
        let after = self.functions.partition_point(|f| f.low <= pc.0);
        let at = after.checked_sub(1)?;
        (pc.0 < self.functions[at].high).then_some(FunctionRef(at as u32))
    }
}

/// The name of the entry at `die`, which need not be in `unit`, or of what it originates from.
pub(crate) fn entry_name(
    dwarf: &Dwarf<'_>,
    units: &Units,
    unit: &Unit<'_>,
    die: u32,
) -> Option<String> {
    let mut name = None;
    visit_origins(dwarf, units, unit, die, |unit, attribute, value| {
        if attribute == gimli::DW_AT_name && name.is_none() {
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
