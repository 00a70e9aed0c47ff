//! One model of Go types for the whole snapshot: the binary's DWARF, completed by descriptors met at run time.

use objref_dwarf::{DebugInfo, Kind as DwarfKind, TypeIdx};
use objref_go::{GoProcess, Kind as RuntimeKind, RuntimeType};
use objref_mem::Addr;
use rustc_hash::FxHashMap;

/// A type of the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TypeId(pub u32);

/// What matters about a type for following references through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug)]
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
#[derive(Clone, Debug)]
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

/// Types made from descriptors nest at most this deep before they are called unknown.
const MAX_DEPTH: u32 = 32;

/// All types of the snapshot, by id.
#[derive(Debug, Default)]
pub struct Types(Vec<Type>);

impl Types {
    /// The type with this id.
    #[inline]
    pub fn get(&self, id: TypeId) -> &Type {
        &self.0[id.0 as usize]
    }

    /// Number of types; ids are `0..len`.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no type at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn push(&mut self, ty: Type) -> TypeId {
        self.0.push(ty);
        TypeId(self.0.len() as u32 - 1)
    }
}

/// The types while they are still being found.
pub(crate) struct TypeModel<'p> {
    process: &'p GoProcess,
    pub(crate) types: Types,
    by_name: FxHashMap<String, TypeId>,
    by_descriptor: FxHashMap<u64, Option<TypeId>>,
}

impl<'p> TypeModel<'p> {
    /// The types that the binary's DWARF describes; descriptors are added as they are met.
    pub(crate) fn new(process: &'p GoProcess) -> Self {
        let mut model = TypeModel {
            process,
            types: Types(convert(&process.debug)),
            by_name: FxHashMap::default(),
            by_descriptor: FxHashMap::default(),
        };
        for (i, ty) in model.types.0.iter().enumerate() {
            model
                .by_name
                .entry(ty.name.clone())
                .or_insert(TypeId(i as u32));
        }
        model
    }

    /// The type with this id.
    #[inline]
    pub(crate) fn get(&self, id: TypeId) -> &Type {
        self.types.get(id)
    }

    /// The type with this full name.
    pub(crate) fn by_name(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    /// The type of a descriptor in the inferior; `None` when it makes no sense.
    pub(crate) fn by_descriptor(&mut self, addr: Addr) -> Option<TypeId> {
        self.descriptor(addr, 0)
    }

    fn descriptor(&mut self, addr: Addr, depth: u32) -> Option<TypeId> {
        if let Some(known) = self.by_descriptor.get(&addr.0) {
            return *known;
        }
        if depth > MAX_DEPTH {
            return None;
        }
        let process = self.process;
        let described = process
            .types
            .offset(addr)
            .and_then(|offset| process.debug.types().by_runtime_type(offset))
            .map(|idx| TypeId(idx.0));
        let id = match described {
            Some(id) => Some(id),
            None => process
                .types
                .read(&process.space, addr)
                .and_then(|ty| self.add_descriptor(&ty, depth)),
        };
        self.by_descriptor.insert(addr.0, id);
        id
    }

    fn add_descriptor(&mut self, ty: &RuntimeType, depth: u32) -> Option<TypeId> {
        let (process, space) = (self.process, &self.process.space);
        let name = process.types.name(space, ty);
        // A type that DWARF describes without naming its descriptor.
        if let Some(name) = &name {
            let full = match process.types.package_path(space, ty) {
                Some(path) => name
                    .split_once('.')
                    .map(|(_, rest)| format!("{path}.{rest}")),
                None => Some(name.clone()),
            };
            if let Some(known) = full.and_then(|n| self.by_name(&n))
                && self.get(known).size == ty.size
            {
                return Some(known);
            }
        }
        let elem = match process.types.elem(space, ty) {
            Some(at) => self.descriptor(at, depth + 1),
            None => None,
        };
        let kind = match ty.kind {
            RuntimeKind::Pointer => elem.map_or(Kind::UnsafePointer, Kind::Pointer),
            RuntimeKind::Slice => Kind::Slice(elem?),
            RuntimeKind::Array => Kind::Array(elem?, process.types.array_len(space, ty)?),
            RuntimeKind::Chan => Kind::Chan {
                header: self.by_name("runtime.hchan"),
                elem: elem?,
            },
            RuntimeKind::Map => Kind::Map { header: None },
            RuntimeKind::Func => Kind::Func,
            RuntimeKind::Interface => {
                let methods = space.u64(ty.addr.add(64)).unwrap_or(1);
                if methods == 0 {
                    Kind::EmptyInterface
                } else {
                    Kind::Interface
                }
            }
            RuntimeKind::String => Kind::String,
            RuntimeKind::UnsafePointer => Kind::UnsafePointer,
            RuntimeKind::Struct => Kind::Struct,
            _ => Kind::Scalar,
        };
        let mut fields = Vec::new();
        for field in process.types.fields(space, ty, 1 << 12) {
            let field_type = self.descriptor(field.ty, depth + 1)?;
            fields.push(Field {
                name: field.name,
                offset: field.offset,
                ty: field_type,
                embedded: field.embedded,
            });
        }
        let name = name.or_else(|| {
            let elem = elem.map(|e| self.get(e).name.as_str());
            match kind {
                Kind::Pointer(_) => elem.map(|e| format!("*{e}")),
                Kind::Slice(_) => elem.map(|e| format!("[]{e}")),
                Kind::Array(_, n) => elem.map(|e| format!("[{n}]{e}")),
                _ => None,
            }
        });
        // A stand-in that has a size and a mask but no name says nothing about the type.
        let name = match (name, kind) {
            (Some(name), _) => name,
            (None, Kind::Struct) if !fields.is_empty() => "struct { made by reflect }".to_owned(),
            (None, _) => return None,
        };
        Some(self.add(Type {
            name,
            size: ty.size,
            kind,
            fields,
        }))
    }

    /// Adds a type of the snapshot's own making.
    pub(crate) fn add(&mut self, ty: Type) -> TypeId {
        self.types.push(ty)
    }
}

fn convert(debug: &DebugInfo) -> Vec<Type> {
    let table = debug.types();
    let id = |idx: TypeIdx| TypeId(idx.0);
    (0..table.len() as u32)
        .map(|i| {
            let idx = TypeIdx(i);
            let ty = table.get(idx);
            let elem = ty.elem.map(id);
            let kind = match ty.kind {
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
            };
            let fields = match kind {
                Kind::Struct => table
                    .fields(idx)
                    .iter()
                    .map(|f| Field {
                        name: table.field_name(f).to_owned(),
                        offset: f.offset,
                        ty: id(f.ty),
                        embedded: f.embedded,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Type {
                name: table.name(idx).to_owned(),
                size: ty.size,
                kind,
                fields,
            }
        })
        .collect()
}
