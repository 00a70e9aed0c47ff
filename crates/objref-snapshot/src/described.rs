//! Where types come from when they are first asked for: the binary's DWARF, or an index.

use std::sync::Arc;

use objref_dwarf::{Field as DwarfField, Kind as DwarfKind, TypeIdx, TypeTable};

use crate::index::PackedTypes;
use crate::types::{Field, Kind, Type, TypeId};

/// Describes types by their ids.
#[derive(Clone, Debug)]
pub(crate) enum Described {
    /// Of a binary, the ids are those of its table.
    Dwarf(Arc<TypeTable>),
    /// Of an index.
    Index(Arc<PackedTypes>),
}

impl Default for Described {
    fn default() -> Self {
        Described::Dwarf(Arc::default())
    }
}

impl Described {
    /// The type with this id, which has not been added later.
    pub(crate) fn get(&self, id: TypeId) -> Type {
        match self {
            Described::Dwarf(table) => of_dwarf(table, id),
            Described::Index(packed) => packed.get(id).unwrap_or_else(Type::unknown),
        }
    }
}

/// How a type of DWARF holds references.
pub(crate) fn kind_of(table: &TypeTable, idx: TypeIdx) -> Kind {
    let ty = table.get(idx);
    let id = TypeId::of;
    let elem = ty.elem.map(id);
    match ty.kind {
        DwarfKind::Pointer => elem.map_or(Kind::UnsafePointer, Kind::Pointer),
        DwarfKind::UnsafePointer => Kind::UnsafePointer,
        DwarfKind::Slice => elem.map_or(Kind::Struct, Kind::Slice),
        DwarfKind::String => Kind::String,
        DwarfKind::Interface => Kind::Interface,
        DwarfKind::EmptyInterface => Kind::EmptyInterface,
        DwarfKind::Map => Kind::Map {
            header: ty.inner.map(id),
        },
        DwarfKind::Chan => elem.map_or(Kind::UnsafePointer, |elem| Kind::Chan {
            header: ty.inner.map(id),
            elem,
        }),
        DwarfKind::Func => Kind::Func,
        DwarfKind::Array => elem.map_or(Kind::Scalar, |e| Kind::Array(e, ty.count)),
        DwarfKind::Struct => Kind::Struct,
        _ => Kind::Scalar,
    }
}

fn of_dwarf(table: &TypeTable, id: TypeId) -> Type {
    let idx = TypeIdx(id.0);
    let kind = kind_of(table, idx);
    let field = |f: &DwarfField| Field {
        name: table.field_name(f).to_owned(),
        offset: f.offset,
        ty: TypeId::of(f.ty),
        embedded: f.embedded,
    };
    let fields = match kind {
        Kind::Struct => table.fields(idx).iter().map(field).collect(),
        _ => Vec::new(),
    };
    Type {
        name: table.name(idx).to_owned(),
        size: table.get(idx).size,
        kind,
        fields,
    }
}
