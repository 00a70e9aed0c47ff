//! One model of Go types for the whole snapshot: the binary's DWARF, completed by descriptors met at run time.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use objref_dwarf::{TypeIdx, TypeTable};
use objref_go::{GoProcess, RuntimeType};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::described::{Described, kind_of};
use crate::flatten::{MapPart, is_channel};
use crate::index::PackedTypes;

/// A type of the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The id of a type that DWARF describes, if it is one of those that are kept.
    pub(crate) fn of(idx: TypeIdx) -> TypeId {
        match (idx.0 as usize) < MAX_TYPES {
            true => TypeId(idx.0),
            false => UNKNOWN,
        }
    }
}

/// What matters about a type for following references through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Holds no reference: numbers, booleans.
    Scalar,
    /// `*T`.
    Pointer(TypeId),
    /// A pointer of which the target's type is not said.
    UnsafePointer,
    /// `[]T`.
    Slice(TypeId),
    /// `string`.
    String,
    /// An interface with methods: {itab, data}.
    Interface,
    /// An interface without methods: {type, data}.
    EmptyInterface,
    /// A map: a pointer to its header struct.
    Map {
        /// The struct that the runtime keeps the map in, where the binary describes it.
        header: Option<TypeId>,
    },
    /// A channel: a pointer to its struct.
    Chan {
        /// The struct that the runtime keeps the channel in, where the binary describes it.
        header: Option<TypeId>,
        /// Type of the elements.
        elem: TypeId,
    },
    /// A pointer to a closure.
    Func,
    /// `[n]T`.
    Array(TypeId, u64),
    /// A struct.
    Struct,
}

/// A field of a struct.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// Offset in bytes.
    pub offset: u64,
    /// The field's type.
    pub ty: TypeId,
    /// Whether the field is embedded.
    pub embedded: bool,
}

/// A Go type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Type {
    /// Go syntax, with full package paths.
    pub name: String,
    /// Size of a value in bytes.
    pub size: u64,
    /// How references are held.
    pub kind: Kind,
    /// Fields of a struct; strings, slices and interfaces have none here.
    pub fields: Vec<Field>,
}

/// What nothing is known of: no size, no fields.
pub(crate) const UNKNOWN: TypeId = TypeId(TypeTable::UNKNOWN.0);

impl Type {
    /// One of which nothing is known.
    pub(crate) fn unknown() -> Type {
        Type {
            name: "?".to_owned(),
            size: 0,
            kind: Kind::Scalar,
            fields: Vec::new(),
        }
    }

    /// Whether every type that it names is one of the first `types`.
    pub(crate) fn is_sound(&self, types: usize) -> bool {
        let is_there = |id: TypeId| (id.0 as usize) < types;
        let kind = match self.kind {
            Kind::Pointer(elem) | Kind::Slice(elem) | Kind::Array(elem, _) => is_there(elem),
            Kind::Map { header } => header.is_none_or(is_there),
            Kind::Chan { header, elem } => header.is_none_or(is_there) && is_there(elem),
            _ => true,
        };
        kind && self.fields.iter().all(|field| is_there(field.ty))
    }
}

/// All types of the snapshot, by id. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// A program uses few of the types that are described.
    described: Described,
    /// Those that are described are made when they are first asked for.
    all: Arc<Vec<OnceLock<Box<Type>>>>,
    /// Of the types of a dump; nobody asks for those of an index.
    traits: Arc<Vec<Traits>>,
    /// Types that were too many.
    pub(crate) dropped: u64,
}

/// What a type's name tells, so that nobody has to look at names again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// A struct made for the closures of a function.
    pub(crate) closure: bool,
    /// A channel's struct.
    pub(crate) channel: bool,
    /// A struct for the inside of a map.
    pub(crate) map_part: Option<MapPart>,
    /// Stands for all types of the same shape, in code that instances of a generic function share.
    pub(crate) generic: bool,
}

impl Traits {
    fn of(name: &str, is_struct: bool) -> Traits {
        Traits {
            closure: is_struct && name.starts_with("func "),
            channel: is_channel(name),
            map_part: MapPart::of(name),
            generic: name.contains("go.shape."),
        }
    }
}

/// More types than this are not kept: ids share a word with what else is known of an object.
pub(crate) const MAX_TYPES: usize = 1 << 24;

impl From<Arc<TypeTable>> for Types {
    fn from(table: Arc<TypeTable>) -> Types {
        let kept = table.len().min(MAX_TYPES);
        let traits = (0..kept as u32).into_par_iter().map(|i| {
            let is_struct = kind_of(&table, TypeIdx(i)) == Kind::Struct;
            Traits::of(table.name(TypeIdx(i)), is_struct)
        });
        Types {
            traits: Arc::new(traits.collect()),
            all: none_made(kept),
            dropped: (table.len() - kept) as u64,
            described: Described::Dwarf(table),
        }
    }
}

impl From<PackedTypes> for Types {
    fn from(packed: PackedTypes) -> Types {
        Types {
            all: none_made(packed.len()),
            described: Described::Index(Arc::new(packed)),
            ..Types::default()
        }
    }
}

fn none_made(types: usize) -> Arc<Vec<OnceLock<Box<Type>>>> {
    Arc::new((0..types).map(|_| OnceLock::new()).collect())
}

impl Types {
    /// The type with this id.
    #[inline]
    pub fn get(&self, id: TypeId) -> &Type {
        self.all[id.0 as usize].get_or_init(|| Box::new(self.described.get(id)))
    }

    /// The same, if it has not been made, only to be looked at.
    pub(crate) fn passing(&self, id: TypeId) -> Cow<'_, Type> {
        match self.all[id.0 as usize].get() {
            Some(ty) => Cow::Borrowed(ty),
            None => Cow::Owned(self.described.get(id)),
        }
    }

    #[inline]
    pub(crate) fn traits(&self, id: TypeId) -> Traits {
        self.traits.get(id.0 as usize).copied().unwrap_or_default()
    }

    /// Number of types; ids are `0..len`.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is no type at all.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (0..self.all.len() as u32).map(TypeId)
    }

    /// All types with their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.ids().map(|id| (id, self.get(id)))
    }

    fn push(&mut self, ty: Type) -> TypeId {
        if self.all.len() >= MAX_TYPES {
            self.dropped += 1;
            return UNKNOWN;
        }
        let traits = Traits::of(&ty.name, ty.kind == Kind::Struct);
        Arc::make_mut(&mut self.traits).push(traits);
        Arc::make_mut(&mut self.all).push(OnceLock::from(Box::new(ty)));
        TypeId(self.all.len() as u32 - 1)
    }

    /// Changes a type, once more is known of it.
    fn change(&mut self, id: TypeId, change: impl FnOnce(&mut Type)) {
        if (id.0 as usize) >= self.len() {
            return;
        }
        let mut ty = self.get(id).clone();
        change(&mut ty);
        let traits = Traits::of(&ty.name, ty.kind == Kind::Struct);
        Arc::make_mut(&mut self.traits)[id.0 as usize] = traits;
        Arc::make_mut(&mut self.all)[id.0 as usize] = OnceLock::from(Box::new(ty));
    }

    /// Says what a type is, once that is known.
    pub(crate) fn replace(&mut self, id: TypeId, kind: Kind, fields: Vec<Field>) {
        self.change(id, |ty| (ty.kind, ty.fields) = (kind, fields));
    }

    /// Gives a type a name that says more.
    pub(crate) fn rename(&mut self, id: TypeId, name: String) {
        self.change(id, |ty| ty.name = name);
    }

    /// Gives a field a type that says more.
    pub(crate) fn retype(&mut self, id: TypeId, field: usize, ty: TypeId) {
        self.change(id, |this| {
            if let Some(field) = this.fields.get_mut(field) {
                field.ty = ty;
            }
        });
    }
}

/// The types while they are still being found.
pub(crate) struct TypeModel<'p> {
    pub(crate) process: &'p GoProcess,
    pub(crate) types: Types,
    /// Those that are not described.
    pub(crate) by_name: FxHashMap<String, TypeId>,
    pub(crate) by_descriptor: FxHashMap<u64, Option<TypeId>>,
    /// Types that have a name and a size, but nothing else yet.
    pub(crate) pending: Vec<(TypeId, RuntimeType)>,
}

impl<'p> TypeModel<'p> {
    /// The types that the binary's DWARF describes; descriptors are added as they are met.
    pub(crate) fn new(process: &'p GoProcess) -> Self {
        let mut model = TypeModel {
            process,
            types: Types::from(process.debug.shared_types()),
            by_name: FxHashMap::default(),
            by_descriptor: FxHashMap::default(),
            pending: Vec::new(),
        };
        model.add_index();
        model.add_weak_handle();
        model
    }

    /// The type with this id.
    #[inline]
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        self.types.get(id)
    }

    /// The type with this full name.
    pub(crate) fn by_name(&self, name: &str) -> Option<TypeId> {
        let described = self.process.debug.types().by_name(name).map(TypeId::of);
        described.or_else(|| self.by_name.get(name).copied())
    }

    /// Adds a type of the snapshot's own making.
    pub(crate) fn add(&mut self, ty: Type) -> TypeId {
        self.types.push(ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_beyond_those_that_are_kept_stand_for_nothing() {
        assert_eq!(TypeId::of(TypeIdx(7)), TypeId(7));
        let last = MAX_TYPES as u32 - 1;
        assert_eq!(TypeId::of(TypeIdx(last)), TypeId(last));
        assert_eq!(TypeId::of(TypeIdx(last + 1)), UNKNOWN);
        assert_eq!(TypeId::of(TypeIdx(u32::MAX)), UNKNOWN);
    }

    #[test]
    fn what_changes_is_changed_for_those_who_share_it_no_more() {
        let ty = |name: &str| Type {
            name: name.to_owned(),
            size: 8,
            kind: Kind::Scalar,
            fields: Vec::new(),
        };
        let mut types = Types::default();
        types.push(ty("a"));
        types.push(ty("b"));
        let shared = types.clone();
        types.replace(TypeId(0), Kind::Struct, Vec::new());
        types.rename(TypeId(0), "func a".to_owned());
        types.push(ty("c"));
        assert!(types.traits(TypeId(0)).closure);
        assert_eq!(types.get(TypeId(1)).name, "b");
        let names: Vec<_> = shared.iter().map(|(_, ty)| ty.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(!shared.traits(TypeId(0)).closure);
    }
}
