//! Where layouts come from: the binary's DWARF; without it, the binary's own type descriptors and a built-in table.

mod described;
mod table;

use std::fmt;

use objref_dwarf::{DebugInfo, Kind as DwarfKind, TypeIdx};
use objref_mem::{AddressSpace, Arch, LinkAddr};

use crate::layout::{FieldAt, StructSource};
use crate::rtype::RuntimeTypes;
use crate::type_index::TypeIndex;
use crate::version::GoVersion;
use described::Described;
pub(crate) use table::Table;

/// Layouts of the runtime's structs, wherever they come from.
#[derive(Clone, Copy)]
pub enum Layouts<'a> {
    /// The binary's DWARF.
    Dwarf(DwarfLayout<'a>),
    /// What is known about a binary without DWARF.
    BuiltIn(&'a BuiltInLayout),
}

impl fmt::Display for Layouts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layouts::Dwarf(_) => f.write_str("dwarf"),
            Layouts::BuiltIn(layout) => write!(f, "built-in table go1.{}", layout.table.minor()),
        }
    }
}

impl StructSource for Layouts<'_> {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        match self {
            Layouts::Dwarf(dwarf) => dwarf.field(name, path),
            Layouts::BuiltIn(layout) => layout.field(name, path),
        }
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        match self {
            Layouts::Dwarf(dwarf) => dwarf.size_of(name),
            Layouts::BuiltIn(layout) => layout.size_of(name),
        }
    }

    fn constant(&self, name: &str) -> Option<i64> {
        match self {
            Layouts::Dwarf(dwarf) => dwarf.constant(name),
            Layouts::BuiltIn(layout) => layout.constant(name),
        }
    }
}

/// Layouts of a binary without DWARF: the type descriptors that the runtime itself keeps of its structs, which are exact
/// for this very binary, and for the rest the table of its version.
#[derive(Debug)]
pub struct BuiltInLayout {
    table: Table,
    described: Described,
}

impl BuiltInLayout {
    /// The table of `version`, of the nearest version if there is none of its own; `None` for versions older than the
    /// oldest table.
    pub fn new(version: &GoVersion, arch: Arch) -> Option<Self> {
        Some(BuiltInLayout {
            table: Table::of(version, arch)?,
            described: Described::default(),
        })
    }

    /// Prefers the descriptors of the binary from here on.
    pub(crate) fn describe(
        &mut self,
        space: &AddressSpace,
        types: &RuntimeTypes,
        index: &TypeIndex,
    ) {
        self.described = Described::read(space, types, index);
    }

    /// All fields in the table: struct, path, where.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str, FieldAt)> {
        self.table.fields()
    }

    /// Structs of the runtime whose layout is taken from the binary itself.
    pub fn described_structs(&self) -> usize {
        self.described.len()
    }
}

impl StructSource for BuiltInLayout {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        match self.described.knows(name) {
            true => self.described.field(name, path),
            false => self.table.field(name, path),
        }
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        match self.described.size_of(name) {
            Some(size) => Some(size),
            None => self.table.size_of(name),
        }
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.table.constant(name)
    }
}

/// Struct layouts, constants and variables as the binary's DWARF gives them.
#[derive(Clone, Copy)]
pub struct DwarfLayout<'a>(pub &'a DebugInfo);

impl DwarfLayout<'_> {
    /// Link-time address of a package-level variable.
    pub fn global(&self, name: &str) -> Option<LinkAddr> {
        self.0
            .globals()
            .iter()
            .find(|v| *v.name == *name)
            .map(|v| v.addr)
    }

    fn step(&self, ty: TypeIdx, name: &str) -> Option<(u64, TypeIdx)> {
        let types = self.0.types();
        types
            .fields(ty)
            .iter()
            .find(|f| types.field_name(f) == name)
            .map(|f| (f.offset, f.ty))
    }
}

impl StructSource for DwarfLayout<'_> {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let types = self.0.types();
        let mut ty = types.by_name(name)?;
        let mut offset = 0;
        for part in path.split('.') {
            let (at, next) = self.step(ty, part)?;
            offset += at;
            ty = next;
        }
        Some(FieldAt {
            offset,
            size: types.get(ty).size,
        })
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        let types = self.0.types();
        let ty = types.get(types.by_name(name)?);
        (ty.kind != DwarfKind::Other).then_some(ty.size)
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.0.constant(name)
    }
}
