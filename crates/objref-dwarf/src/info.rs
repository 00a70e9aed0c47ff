//! The crate's front door.

use std::sync::Arc;

use objref_mem::{Input, LinkAddr};
use rayon::prelude::*;

use crate::DwarfError;
use crate::build;
use crate::functions::{FunctionIndex, FunctionRef};
use crate::locals::{Capture, Local, Reader};
use crate::names::go_name;
use crate::sections::Sections;
use crate::types::{TypeIdx, TypeTable};
use crate::units::Units;
use crate::walk::{RawUnit, walk};

/// A package-level variable.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Variable {
    /// Its name with the full import path: `main.cache`.
    pub name: Box<str>,
    /// Where it is.
    pub addr: LinkAddr,
    /// Its type, [`TypeTable::UNKNOWN`] if the binary does not say.
    pub ty: TypeIdx,
}

/// What could not be read, or had to be corrected. All zero for what Go's linker writes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Damage {
    /// Units that could not be read, or not to their end.
    pub units: usize,
    /// Types whose description makes no sense.
    pub types: usize,
    /// Fields that do not fit in their struct.
    pub fields: usize,
}

/// A binary's DWARF: types, variables, constants and functions of its Go code.
///
/// Units in other languages (cgo) are ignored. Types, variables, constants and where functions are is read at once, a
/// function's name and variables each time they are asked for.
#[derive(Debug)]
pub struct DebugInfo {
    sections: Sections,
    units: Units,
    types: Arc<TypeTable>,
    globals: Vec<Variable>,
    constants: Vec<(Box<str>, i64)>,
    functions: FunctionIndex,
    damage: Damage,
}

impl DebugInfo {
    /// Reads the DWARF of an executable.
    ///
    /// # Errors
    /// [`DwarfError::NoDwarf`] if it was stripped, others if it is damaged beyond use. Damage to a
    /// part is counted instead, see [`DebugInfo::damage`].
    pub fn load(file: &Arc<Input>) -> Result<DebugInfo, DwarfError> {
        let sections = Sections::load(file)?;
        let units = Units::load(&sections)?;
        let mut info = DebugInfo {
            sections,
            units,
            types: Arc::default(),
            globals: Vec::new(),
            constants: Vec::new(),
            functions: FunctionIndex::default(),
            damage: Damage::default(),
        };
        info.read_units();
        Ok(info)
    }

    /// Of a binary that has no DWARF: no types but [`TypeTable::UNKNOWN`], nothing else at all.
    pub fn none() -> DebugInfo {
        DebugInfo {
            sections: Sections::none(),
            units: Units::default(),
            types: Arc::new(build::build(&[], &[], 8)),
            globals: Vec::new(),
            constants: Vec::new(),
            functions: FunctionIndex::default(),
            damage: Damage::default(),
        }
    }

    fn read_units(&mut self) {
        let dwarf = self.sections.dwarf();
        let raw: Vec<RawUnit<'_>> = self
            .units
            .go
            .par_iter()
            .map(|unit| walk(&dwarf, unit))
            .collect();
        let damaged = raw.iter().filter(|unit| unit.damaged).count() + self.units.damaged;
        let mut all = RawUnit::default();
        raw.into_iter().for_each(|unit| all.append(unit));
        self.functions = FunctionIndex::new(all.functions);
        let word = self.units.word();
        self.types = Arc::new(build::build(&all.types, &all.fields, word));
        self.globals = all
            .variables
            .iter()
            .map(|raw| Variable {
                name: go_name(raw.name).into(),
                addr: LinkAddr(raw.address),
                ty: raw
                    .target
                    .and_then(|die| self.types.by_entry(die))
                    .unwrap_or(TypeTable::UNKNOWN),
            })
            .collect();
        self.globals
            .sort_by(|a, b| (a.addr, &a.name).cmp(&(b.addr, &b.name)));
        self.constants = all
            .constants
            .iter()
            .map(|&(name, value)| (go_name(name).into(), value))
            .collect();
        self.constants.sort();
        self.damage = Damage {
            units: damaged,
            types: self.types.damaged_types,
            fields: self.types.damaged_fields,
        };
    }

    /// The DWARF version of the Go units: 4, or 5 from Go 1.25 on.
    pub fn version(&self) -> u16 {
        self.units.go.first().map_or(0, |unit| unit.version)
    }

    /// All types of the Go units.
    pub fn types(&self) -> &TypeTable {
        &self.types
    }

    /// The same, to be kept when all else has gone.
    pub fn shared_types(&self) -> Arc<TypeTable> {
        Arc::clone(&self.types)
    }

    /// The package-level variables, by address. The linker leaves out those that nothing uses.
    pub fn globals(&self) -> &[Variable] {
        &self.globals
    }

    /// A constant by its full name, `runtime.minSizeForMallocHeader`. The linker leaves out those
    /// that nothing uses, and unsigned ones above `i64::MAX` wrap.
    pub fn constant(&self, name: &str) -> Option<i64> {
        let at = self
            .constants
            .binary_search_by(|(constant, _)| (**constant).cmp(name))
            .ok()?;
        Some(self.constants[at].1)
    }

    /// The function whose code is at `pc`.
    pub fn function_at(&self, pc: LinkAddr) -> Option<FunctionRef> {
        self.functions.at(pc)
    }

    /// The function of this full name: `main.(*Node).Foo`, `main.mk.func1`. Looks at all of them.
    pub fn function_named(&self, name: &str) -> Option<FunctionRef> {
        self.functions().find(|&f| self.function_name(f) == name)
    }

    /// All functions that have code of their own, by address.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = FunctionRef> + use<> {
        self.functions.all()
    }

    /// A function's full name.
    pub fn function_name(&self, function: FunctionRef) -> String {
        let function = self.functions.get(function);
        self.with_reader(|reader| reader.name(function))
            .unwrap_or_default()
    }

    /// The function's code: its first address, and the first one behind it.
    pub fn function_range(&self, function: FunctionRef) -> std::ops::Range<LinkAddr> {
        let function = self.functions.get(function);
        LinkAddr(function.low)..LinkAddr(function.high)
    }

    /// The variables that a closure's object holds, in the order they lie there.
    ///
    /// Only those that the function's machine code keeps track of: a variable that it adds
    /// straight from the closure object to something else has no entry in an optimised program,
    /// and leaves a gap here. Before Go 1.23 the compiler does not say where captured variables
    /// lie, nor which variables are captured, and sorts them by name: the result is empty.
    pub fn captures(&self, function: FunctionRef) -> Vec<Capture> {
        let function = self.functions.get(function);
        self.with_reader(|reader| reader.captures(function))
    }

    /// Parameters and locals, those of inlined calls too, whose place is known at `pc`.
    ///
    /// For a frame that called another, `pc` is the return address minus one.
    pub fn locals_at(&self, pc: LinkAddr) -> Vec<Local> {
        let Some(function) = self.function_at(pc) else {
            return Vec::new();
        };
        let function = self.functions.get(function);
        self.with_reader(|reader| reader.locals_at(function, pc.0))
    }

    /// What could not be read.
    pub fn damage(&self) -> Damage {
        self.damage
    }

    fn with_reader<T>(&self, read: impl FnOnce(&Reader<'_, '_>) -> T) -> T {
        let dwarf = self.sections.dwarf();
        read(&Reader {
            dwarf: &dwarf,
            units: &self.units,
            types: &self.types,
        })
    }
}
