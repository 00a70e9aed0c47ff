//! Where the fields of the runtime's structs lie: the target describes itself.
//!
//! A field is asked for by a *path with alternatives*, newest first, because fields get wrapped and renamed from
//! release to release: `"state.s.value | state.s | state"`. The answer carries the field's width, and reads use it.

use objref_mem::{Addr, AddressSpace, Encoding, Fault};

/// A field of a runtime struct: its offset from the start of the struct and its width, both in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldAt {
    /// Offset from the start of the struct.
    pub offset: u64,
    /// Size of the field.
    pub size: u64,
}

impl FieldAt {
    /// The field's address in the struct at `base`.
    #[inline]
    pub fn at(self, base: Addr) -> Addr {
        base.add(self.offset)
    }

    /// The field of the struct at `base` as an unsigned integer of the field's width (1, 2, 4 or 8 bytes).
    #[inline]
    pub fn read(self, space: &AddressSpace, base: Addr) -> Result<u64, Fault> {
        space.uint(self.at(base), self.size)
    }

    /// The field of the struct at `base` as a pointer.
    #[inline]
    pub fn ptr(self, space: &AddressSpace, base: Addr) -> Result<Addr, Fault> {
        space.ptr(self.at(base))
    }

    /// A Go slice header at the field: (data, len). The capacity is not read.
    pub fn slice(self, space: &AddressSpace, base: Addr) -> Result<(Addr, u64), Fault> {
        slice_at(space, self.at(base))
    }

    /// The field in the bytes of a struct, as an unsigned integer; of a wider one the first 8 bytes. `None` if the
    /// struct ends before.
    #[inline]
    pub(crate) fn of(self, record: &[u8], encoding: Encoding) -> Option<u64> {
        let (from, size) = (self.offset as usize, self.size.min(8) as usize);
        record
            .get(from..from.checked_add(size)?)
            .map(|field| encoding.uint(field))
    }
}

/// First element and length of the slice or string whose header is at `at`.
pub(crate) fn slice_at(space: &AddressSpace, at: Addr) -> Result<(Addr, u64), Fault> {
    Ok((space.ptr(at)?, space.word(at.add(space.word_size()))?))
}

/// Pointer number `i` of those that stand one behind the other from `first` on.
pub(crate) fn pointer_at(space: &AddressSpace, first: Addr, i: u64) -> Result<Addr, Fault> {
    space.ptr(first.add(i.wrapping_mul(space.word_size())))
}

/// Something that knows struct layouts: the binary's DWARF, or a built-in table.
pub trait StructSource {
    /// The field `path` (dotted) of the struct called `name` (full package path), if there is such a field.
    fn field(&self, name: &str, path: &str) -> Option<FieldAt>;
    /// Size in bytes of the type called `name`.
    fn size_of(&self, name: &str) -> Option<u64>;
    /// The value of the constant called `name`.
    fn constant(&self, name: &str) -> Option<i64>;
}

/// A field that this binary's runtime does not have under any of the names known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the runtime's struct {name} has no field {path}")]
pub struct LayoutError {
    /// The struct, by its full Go name.
    pub name: &'static str,
    /// The path that was asked for, with all alternatives.
    pub path: &'static str,
}

/// The field at the first of the alternatives in `paths` that exists in the first of the alternatives in `names`.
pub(crate) fn find_field(
    source: &dyn StructSource,
    names: &'static str,
    paths: &'static str,
) -> Option<FieldAt> {
    alternatives(names)
        .find_map(|name| alternatives(paths).find_map(|path| source.field(name, path)))
}

/// The size of the first of the alternatives in `names` that exists.
pub(crate) fn find_size(source: &dyn StructSource, names: &'static str) -> Option<u64> {
    alternatives(names).find_map(|name| source.size_of(name))
}

fn alternatives(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split('|').map(str::trim)
}

/// Declares the fields of one runtime struct that a reader needs.
///
/// `name: "path | older path"` is a field that must exist; `name: ? "path"` is one that came or went with a version.
macro_rules! layout {
    ($(#[$doc:meta])* $vis:vis struct $ty:ident = $go:literal { $($field:ident : $(? $opt:literal)? $($req:literal)?),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $ty {
            $( #[doc = concat!("`", $($opt)? $($req)?, "`")] pub $field: layout!(@type $($opt)?), )*
        }

        impl $ty {
            /// Looks the fields up in the target.
            pub(crate) fn resolve(source: &dyn $crate::layout::StructSource) -> Result<Self, $crate::layout::LayoutError> {
                Ok(Self {
                    $( $field: layout!(@get source, $go, $(? $opt)? $($req)?), )*
                })
            }
        }
    };
    (@type $opt:literal) => { Option<$crate::layout::FieldAt> };
    (@type) => { $crate::layout::FieldAt };
    (@get $s:ident, $go:literal, ? $opt:literal) => { $crate::layout::find_field($s, $go, $opt) };
    (@get $s:ident, $go:literal, $req:literal) => {
        $crate::layout::find_field($s, $go, $req)
            .ok_or($crate::layout::LayoutError { name: $go, path: $req })?
    };
}
pub(crate) use layout;
