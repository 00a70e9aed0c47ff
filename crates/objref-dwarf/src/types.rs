//! The program's types as plain data.

use crate::entries::Entries;
use crate::strings::{StrId, Strings};

/// The number of a type in the [`TypeTable`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TypeIdx(pub u32);

/// What a type is made of, whatever it is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// `bool`.
    Bool,
    /// A signed integer of [`Type::size`] bytes.
    Int,
    /// An unsigned integer of [`Type::size`] bytes, `uintptr` among them.
    Uint,
    /// `float32` or `float64`.
    Float,
    /// `complex64` or `complex128`.
    Complex,
    /// `*T`; [`Type::elem`] is `T`.
    Pointer,
    /// `unsafe.Pointer`, or any other pointer to nobody knows what.
    UnsafePointer,
    /// A struct; see [`TypeTable::fields`].
    Struct,
    /// `[count]elem`.
    Array,
    /// `[]elem`, with the fields `array`, `len` and `cap`.
    Slice,
    /// `string`, with the fields `str` and `len`.
    String,
    /// An interface with methods: the fields of `runtime.iface` (`tab`, `data`).
    Interface,
    /// An interface without methods: the fields of `runtime.eface` (`_type`, `data`).
    EmptyInterface,
    /// A pointer to the map header [`Type::inner`]; has [`Type::key`] and [`Type::elem`].
    Map,
    /// A pointer to the channel [`Type::inner`]; has [`Type::elem`].
    Chan,
    /// A func value: a pointer to a closure object, whose first word is a code address.
    Func,
    /// Something the binary does not explain.
    Other,
}

/// One type. A named type and what it is made of are one: `type Cache map[string]int` is a
/// [`Kind::Map`] called `main.Cache`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Type {
    /// Bytes a value takes.
    pub size: u64,
    /// The type descriptor's offset from `runtime.types`, 0 if the linker dropped it. (For
    /// `uintptr`, and for no other type, linkers before Go 1.23 write the address instead.)
    pub runtime_type: u64,
    /// Elements of an array. Unbounded when the element takes no space (`[1 << 40]struct{}`).
    pub count: u64,
    /// The name, see [`TypeTable::name`].
    pub name: StrId,
    /// What it is.
    pub kind: Kind,
    /// What a pointer, slice, array or channel holds; a map's values.
    pub elem: Option<TypeIdx>,
    /// A map's keys.
    pub key: Option<TypeIdx>,
    /// What a map or channel value points to: `hash<K,V>` (up to Go 1.23), `map<K,V>` (from
    /// 1.24), `hchan<T>`. Structs that the linker makes up from the runtime's own.
    pub inner: Option<TypeIdx>,
    pub(crate) first_field: u32,
    pub(crate) field_count: u32,
}

/// A member of a struct (or of the struct behind a slice, string or interface).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Bytes from the start of the struct.
    pub offset: u64,
    /// The name, see [`TypeTable::field_name`].
    pub name: StrId,
    /// The type, [`TypeTable::UNKNOWN`] if the binary does not say.
    pub ty: TypeIdx,
    /// Whether the field is embedded.
    pub embedded: bool,
}

/// All types of the program's Go code.
///
/// Whatever the binary claims, these hold, so that a walk over a value ends: fields lie in their
/// struct, in order and without overlap; an array's elements fit in it; no type contains itself
/// by value, and nesting by value is at most [`TypeTable::MAX_NESTING`] deep.
#[derive(Debug, Default)]
pub struct TypeTable {
    pub(crate) types: Vec<Type>,
    pub(crate) fields: Vec<Field>,
    pub(crate) strings: Strings,
    /// By string number: the type of that name, or `NO_TYPE`.
    pub(crate) named: Vec<u32>,
    /// Sorted by descriptor offset.
    pub(crate) by_runtime_type: Vec<(u64, TypeIdx)>,
    /// The types' entries in `.debug_info`, and the type each stands for.
    pub(crate) entries: Entries,
    pub(crate) entry_types: Vec<TypeIdx>,
    /// What had to be corrected.
    pub(crate) damaged_types: usize,
    pub(crate) damaged_fields: usize,
}

pub(crate) const NO_TYPE: u32 = u32::MAX;

impl TypeTable {
    /// Stands for what the binary does not say: no size, no fields, called `?`.
    pub const UNKNOWN: TypeIdx = TypeIdx(0);

    /// How deep types can contain one another by value.
    pub const MAX_NESTING: u32 = 128;

    /// The number of types, [`TypeTable::UNKNOWN`] included.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// Never true: there is always [`TypeTable::UNKNOWN`].
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// A type.
    ///
    /// # Panics
    /// If `index` does not come from this table.
    pub fn get(&self, index: TypeIdx) -> &Type {
        &self.types[index.0 as usize]
    }

    /// All types, in the order the binary has them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TypeIdx, &Type)> {
        self.types
            .iter()
            .enumerate()
            .map(|(at, ty)| (TypeIdx(at as u32), ty))
    }

    /// The type's name in Go syntax with full import paths: `*example.com/pkg.T[int]`.
    pub fn name(&self, index: TypeIdx) -> &str {
        self.strings.get(self.get(index).name)
    }

    /// The type of this name; of several, the one that says most.
    pub fn by_name(&self, name: &str) -> Option<TypeIdx> {
        let id = self.strings.find(name)?;
        match self.named.get(id.0 as usize) {
            None | Some(&NO_TYPE) => None,
            Some(&index) => Some(TypeIdx(index)),
        }
    }

    /// The type whose descriptor is this far from `runtime.types` (`moduledata.types`).
    pub fn by_runtime_type(&self, offset: u64) -> Option<TypeIdx> {
        let at = self
            .by_runtime_type
            .binary_search_by_key(&offset, |&(offset, _)| offset)
            .ok()?;
        Some(self.by_runtime_type[at].1)
    }

    /// The fields of a struct (also of a slice, string or interface), by offset.
    pub fn fields(&self, index: TypeIdx) -> &[Field] {
        let ty = self.get(index);
        let first = ty.first_field as usize;
        &self.fields[first..first + ty.field_count as usize]
    }

    /// A field's name.
    pub fn field_name(&self, field: &Field) -> &str {
        self.strings.get(field.name)
    }

    /// The field of this name.
    pub fn field(&self, index: TypeIdx, name: &str) -> Option<&Field> {
        self.fields(index)
            .iter()
            .find(|field| self.field_name(field) == name)
    }

    /// An interned name.
    ///
    /// # Panics
    /// If `id` does not come from this table.
    pub fn str(&self, id: StrId) -> &str {
        self.strings.get(id)
    }

    /// The type described at this offset of `.debug_info`.
    pub(crate) fn by_entry(&self, die: u32) -> Option<TypeIdx> {
        Some(self.entry_types[self.entries.find(die)?])
    }
}
