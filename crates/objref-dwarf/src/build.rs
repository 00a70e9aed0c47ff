//! From the entries of `.debug_info` to the [`TypeTable`]: references resolved, typedefs folded.

use crate::entries::Entries;
use crate::names::go_name;
use crate::strings::{StrId, Strings};
use crate::types::{Field, Kind, NO_TYPE, Type, TypeIdx, TypeTable};
use crate::walk::{RawField, RawType};

/// A chain of typedefs longer than this is a loop.
const MAX_TYPEDEFS: usize = 32;

// internal/abi/type.go, the same numbers in every version
const ABI_CHAN: u8 = 18;
const ABI_FUNC: u8 = 19;
const ABI_INTERFACE: u8 = 20;
const ABI_MAP: u8 = 21;
const ABI_SLICE: u8 = 23;
const ABI_STRING: u8 = 24;

/// Builds the table from all units' entries; `types` must be sorted by offset.
pub(crate) fn build(types: &[RawType<'_>], fields: &[RawField<'_>], word: u64) -> TypeTable {
    let mut builder = Builder {
        raw: types,
        raw_fields: fields,
        word,
        slots: Vec::new(),
        table: TypeTable::default(),
    };
    builder.table.entries = Entries::new(types.iter().map(|raw| raw.die).collect());
    builder.add_unknown();
    builder.assign_slots();
    builder.add_types();
    let mut table = builder.table;
    crate::sanitize::sanitize(&mut table);
    index_runtime_types(&mut table);
    index_names(&mut table);
    table
}

struct Builder<'b, 'a> {
    raw: &'b [RawType<'a>],
    raw_fields: &'b [RawField<'a>],
    word: u64,
    /// For each entry, the type that it stands for.
    slots: Vec<TypeIdx>,
    table: TypeTable,
}

impl<'a> Builder<'_, 'a> {
    fn add_unknown(&mut self) {
        let name = intern(&mut self.table.strings, b"?");
        self.table.types.push(Type::new(name, Kind::Other));
    }

    /// Numbers the types: typedefs that only repeat the name of what they refer to get none.
    fn assign_slots(&mut self) {
        let mut next = 1;
        let mut slots = vec![TypeTable::UNKNOWN; self.raw.len()];
        let mut aliases = Vec::new();
        for (at, raw) in self.raw.iter().enumerate() {
            match self.definition(at) {
                Some(target) if target != at && self.raw[target].name == raw.name => {
                    aliases.push((at, target));
                }
                _ => {
                    slots[at] = TypeIdx(next);
                    next += 1;
                }
            }
        }
        for (at, target) in aliases {
            slots[at] = slots[target];
        }
        self.table.entry_types = slots.clone();
        self.slots = slots;
    }

    fn add_types(&mut self) {
        for (at, raw) in self.raw.iter().enumerate() {
            if self.slots[at].0 as usize != self.table.types.len() {
                continue;
            }
            let name = intern(&mut self.table.strings, raw.name);
            let ty = match self.definition(at) {
                Some(definition) => self.describe(definition, name),
                None => {
                    self.table.damaged_types += 1;
                    Type::new(name, Kind::Other)
                }
            };
            self.table.types.push(ty);
        }
    }

    fn describe(&mut self, at: usize, name: StrId) -> Type {
        let raw = &self.raw[at];
        let mut ty = Type::new(name, self.kind(raw));
        ty.size = raw.size.unwrap_or(0);
        ty.runtime_type = raw.runtime_type;
        match ty.kind {
            Kind::Pointer => {
                ty.size = self.word;
                ty.elem = self.resolve(raw.target);
            }
            Kind::UnsafePointer | Kind::Func => ty.size = self.word,
            Kind::Array => {
                ty.elem = self.resolve(raw.target);
                ty.count = raw.count.unwrap_or(0);
            }
            Kind::Map | Kind::Chan => {
                ty.size = self.word;
                ty.elem = self.resolve(raw.elem);
                ty.key = self.resolve(raw.key);
                ty.inner = self.pointee(raw.target);
            }
            Kind::Slice => {
                ty.elem = self.resolve(raw.elem);
                self.add_fields(&mut ty, at);
            }
            Kind::Struct | Kind::String => self.add_fields(&mut ty, at),
            Kind::Interface | Kind::EmptyInterface => {
                if let Some(header) = self.definition_at(raw.target) {
                    ty.size = self.raw[header].size.unwrap_or(0);
                    self.add_fields(&mut ty, header);
                }
            }
            _ => {}
        }
        ty
    }

    fn kind(&self, raw: &RawType<'_>) -> Kind {
        match (raw.tag, raw.go_kind) {
            (gimli::DW_TAG_base_type, _) => match raw.encoding {
                Some(gimli::DW_ATE_boolean) => Kind::Bool,
                Some(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char) => Kind::Int,
                Some(gimli::DW_ATE_unsigned | gimli::DW_ATE_unsigned_char) => Kind::Uint,
                Some(gimli::DW_ATE_float) => Kind::Float,
                Some(gimli::DW_ATE_complex_float) => Kind::Complex,
                _ => Kind::Other,
            },
            (gimli::DW_TAG_structure_type, ABI_SLICE) => Kind::Slice,
            (gimli::DW_TAG_structure_type, ABI_STRING) => Kind::String,
            (gimli::DW_TAG_structure_type, _) => Kind::Struct,
            (gimli::DW_TAG_array_type, _) => Kind::Array,
            (gimli::DW_TAG_subroutine_type, _) | (_, ABI_FUNC) => Kind::Func,
            (gimli::DW_TAG_pointer_type, _) if raw.target.is_none() => Kind::UnsafePointer,
            (gimli::DW_TAG_pointer_type, _) => Kind::Pointer,
            (gimli::DW_TAG_typedef, ABI_CHAN) => Kind::Chan,
            (gimli::DW_TAG_typedef, ABI_MAP) => Kind::Map,
            (gimli::DW_TAG_typedef, ABI_INTERFACE) => {
                let header = self.definition_at(raw.target);
                match header.map(|header| self.raw[header].name) {
                    Some(b"runtime.eface") => Kind::EmptyInterface,
                    _ => Kind::Interface,
                }
            }
            _ => Kind::Other,
        }
    }

    fn add_fields(&mut self, ty: &mut Type, at: usize) {
        let range = self.raw[at].fields.clone();
        let first = self.table.fields.len() as u32;
        for field in self.raw_fields.get(range).unwrap_or_default() {
            let name = intern(&mut self.table.strings, field.name);
            let target = self.resolve(field.target);
            self.table.fields.push(Field {
                name,
                offset: field.offset,
                ty: target.unwrap_or(TypeTable::UNKNOWN),
                embedded: field.embedded,
            });
        }
        ty.first_field = first;
        ty.field_count = self.table.fields.len() as u32 - first;
    }

    /// Which entry is at this offset.
    fn entry(&self, die: u32) -> Option<usize> {
        self.table.entries.find(die)
    }

    /// The entry that defines what entry `at` names: behind all plain typedefs.
    fn definition(&self, at: usize) -> Option<usize> {
        let mut at = at;
        for _ in 0..MAX_TYPEDEFS {
            let raw = &self.raw[at];
            if raw.tag != gimli::DW_TAG_typedef || raw.go_kind != 0 {
                return Some(at);
            }
            at = self.entry(raw.target?)?;
        }
        None
    }

    fn definition_at(&self, die: Option<u32>) -> Option<usize> {
        self.definition(self.entry(die?)?)
    }

    fn resolve(&self, die: Option<u32>) -> Option<TypeIdx> {
        Some(self.slots[self.entry(die?)?])
    }

    /// What the pointer type at this offset points to.
    fn pointee(&self, die: Option<u32>) -> Option<TypeIdx> {
        let pointer = self.definition_at(die)?;
        self.resolve(self.raw[pointer].target)
    }
}

impl Type {
    pub(crate) fn new(name: StrId, kind: Kind) -> Type {
        Type {
            size: 0,
            runtime_type: 0,
            count: 0,
            name,
            kind,
            elem: None,
            key: None,
            inner: None,
            first_field: 0,
            field_count: 0,
        }
    }
}

/// A full arena is beyond any honest binary: further names read `?`, which has number 0.
fn intern(strings: &mut Strings, raw: &[u8]) -> StrId {
    strings.intern(&go_name(raw)).unwrap_or(StrId(0))
}

fn index_runtime_types(table: &mut TypeTable) {
    let mut index: Vec<(u64, TypeIdx)> = table
        .iter()
        .filter(|(_, ty)| ty.runtime_type != 0)
        .map(|(at, ty)| (ty.runtime_type, at))
        .collect();
    index.sort_unstable();
    index.dedup_by_key(|&mut (offset, _)| offset);
    table.by_runtime_type = index;
}

/// A name can be used twice: by a declaration and its definition, with and without `noalg.`.
fn index_names(table: &mut TypeTable) {
    let rank = |ty: &Type| {
        (
            ty.kind != Kind::Other,
            ty.runtime_type != 0,
            ty.field_count > 0,
            ty.size > 0,
        )
    };
    let mut named = vec![NO_TYPE; table.strings.len()];
    for (at, ty) in table.types.iter().enumerate() {
        let slot = &mut named[ty.name.0 as usize];
        if *slot == NO_TYPE || rank(ty) > rank(&table.types[*slot as usize]) {
            *slot = at as u32;
        }
    }
    table.named = named;
}
