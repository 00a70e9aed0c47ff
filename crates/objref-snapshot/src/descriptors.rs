//! Types made from the descriptors that the runtime keeps: the few that DWARF leaves out, and in stripped binaries all.

use objref_go::{Kind as RuntimeKind, RuntimeType};
use objref_mem::Addr;
use rustc_hash::FxHashMap;

use crate::types::{Field, Kind, Type, TypeId, TypeModel, UNKNOWN};

/// Names of unnamed types nest at most this deep.
const MAX_NAME_DEPTH: u32 = 16;
/// Types contain one another by value at most this deep; deeper is taken for damage.
const MAX_NESTING: u32 = 128;
const MAX_FIELDS: u64 = 1 << 12;
/// Stands for the names of structs that were made at run time, which are not all the same.
const MADE_BY_REFLECT: &str = "struct { made by reflect }";

/// Types that others are made of, in the order in which they are needed.
const FIRST: [&[&str]; 2] = [
    &["internal/runtime/maps.Map", "internal/runtime/maps.table"],
    &["runtime.hchan"],
];

impl TypeModel<'_> {
    /// All types of a stripped binary, so that they can be asked for by name.
    pub(crate) fn add_index(&mut self) {
        let Some(stripped) = &self.process.stripped else {
            return;
        };
        for names in FIRST {
            for at in names.iter().filter_map(|name| stripped.index.by_name(name)) {
                self.claim(at);
            }
            self.fill();
        }
        for at in stripped.index.all() {
            self.claim(*at);
        }
        self.fill();
    }

    /// The type of a descriptor in the inferior; `None` when it makes no sense.
    pub(crate) fn by_descriptor(&mut self, addr: Addr) -> Option<TypeId> {
        if let Some(known) = self.by_descriptor.get(&addr.0) {
            return *known;
        }
        let id = self.claim(addr);
        self.fill();
        id
    }

    /// The type of a descriptor, perhaps still to be filled.
    pub(crate) fn claim(&mut self, addr: Addr) -> Option<TypeId> {
        if let Some(known) = self.by_descriptor.get(&addr.0) {
            return *known;
        }
        let process = self.process;
        let described = process
            .types
            .offset(addr)
            .and_then(|offset| process.debug.types().by_runtime_type(offset))
            .map(TypeId::of);
        let id = described.or_else(|| {
            let ty = process.types.read(&process.space, addr)?;
            self.start(&ty)
        });
        self.by_descriptor.insert(addr.0, id);
        id
    }

    /// A type of this name, to be filled; or one that DWARF describes without naming its descriptor.
    fn start(&mut self, ty: &RuntimeType) -> Option<TypeId> {
        // A stand-in that has a size and a mask but no name says nothing about the type.
        let name = self.descriptor_name(ty, 0)?;
        let unique = !name.contains(MADE_BY_REFLECT);
        if unique
            && let Some(known) = self.by_name(&name)
            && self.get(known).size == ty.size
        {
            return Some(known);
        }
        let id = self.add(Type {
            name: name.clone(),
            size: ty.size,
            kind: Kind::Scalar,
            fields: Vec::new(),
        });
        if unique && self.process.stripped.is_some() {
            self.by_name.entry(name).or_insert(id);
        }
        self.pending.push((id, ty.clone()));
        Some(id)
    }

    /// The name with full package paths, as DWARF has it.
    fn descriptor_name(&self, ty: &RuntimeType, depth: u32) -> Option<String> {
        let (types, space) = (&self.process.types, &self.process.space);
        let short = || types.name(space, ty);
        if depth > MAX_NAME_DEPTH {
            return short();
        }
        if let Some(name) = types.full_name(space, ty) {
            return Some(name);
        }
        let part = |at: Option<Addr>| self.descriptor_name(&types.read(space, at?)?, depth + 1);
        let elem = part(types.elem(space, ty));
        let composed = match (ty.kind, elem) {
            (RuntimeKind::Pointer, Some(elem)) => Some(format!("*{elem}")),
            (RuntimeKind::Slice, Some(elem)) => Some(format!("[]{elem}")),
            (RuntimeKind::Array, Some(elem)) => {
                types.array_len(space, ty).map(|n| format!("[{n}]{elem}"))
            }
            (RuntimeKind::Map, Some(elem)) => {
                part(types.key(space, ty)).map(|key| format!("map[{key}]{elem}"))
            }
            _ => None,
        };
        composed.or_else(short).or_else(|| {
            let has_fields = !types.fields(space, ty, 1).is_empty();
            has_fields.then(|| MADE_BY_REFLECT.to_owned())
        })
    }

    /// Fills the types that wait for it, and those that they consist of.
    fn fill(&mut self) {
        let first_new = self.pending.first().map(|(id, _)| id.0);
        while let Some((id, ty)) = self.pending.pop() {
            let (kind, fields) = self.contents(&ty);
            self.types.replace(id, kind, fields);
        }
        if let Some(first) = first_new {
            let mut depths = FxHashMap::default();
            for id in first..self.types.len() as u32 {
                self.unroll(TypeId(id), MAX_NESTING, &mut depths);
            }
        }
    }

    fn contents(&mut self, ty: &RuntimeType) -> (Kind, Vec<Field>) {
        let (types, space) = (&self.process.types, &self.process.space);
        let elem = match types.elem(space, ty) {
            Some(at) => self.claim(at),
            None => None,
        };
        let elem_or_unknown = elem.unwrap_or(UNKNOWN);
        let kind = match ty.kind {
            RuntimeKind::Pointer => elem.map_or(Kind::UnsafePointer, Kind::Pointer),
            RuntimeKind::Slice => Kind::Slice(elem_or_unknown),
            RuntimeKind::Array => {
                Kind::Array(elem_or_unknown, types.array_len(space, ty).unwrap_or(0))
            }
            RuntimeKind::Chan => Kind::Chan {
                header: self.by_name("runtime.hchan"),
                elem: elem_or_unknown,
            },
            RuntimeKind::Map => Kind::Map {
                header: self.map_header(ty),
            },
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
        let fields = types
            .fields(space, ty, MAX_FIELDS)
            .into_iter()
            .map(|field| Field {
                name: field.name,
                offset: field.offset,
                ty: self.claim(field.ty).unwrap_or(UNKNOWN),
                embedded: field.embedded,
            })
            .filter(|field| field.offset <= ty.size)
            .collect();
        (kind, fields)
    }

    /// Cuts types that contain themselves by value, as only damaged descriptors say. Returns how deep the type nests.
    fn unroll(&mut self, id: TypeId, left: u32, depths: &mut FxHashMap<TypeId, u32>) -> u32 {
        if let Some(known) = depths.get(&id) {
            return *known;
        }
        let this = self.get(id);
        let inner: Vec<TypeId> = match this.kind {
            Kind::Array(elem, _) => vec![elem],
            Kind::Struct => this.fields.iter().map(|f| f.ty).collect(),
            _ => Vec::new(),
        };
        let mut depth = 0;
        for part in inner {
            let below = match left {
                0 => MAX_NESTING,
                _ => self.unroll(part, left - 1, depths),
            };
            depth = depth.max(below + 1);
        }
        if depth > MAX_NESTING {
            self.types.replace(id, Kind::Scalar, Vec::new());
            depth = 0;
        }
        depths.insert(id, depth);
        depth
    }

    /// Variables of the runtime that a binary without DWARF lets us name and type: name, address, type.
    pub(crate) fn found_variables(&mut self) -> Vec<(String, Addr, TypeId)> {
        const VARIABLES: [(&str, &str, bool); 3] = [
            ("runtime.allgs", "runtime.g", true),
            ("runtime.allp", "runtime.p", true),
            ("runtime.allm", "runtime.m", false),
        ];
        if self.process.stripped.is_none() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (name, elem, many) in VARIABLES {
            let (Some(at), Some(elem)) = (self.process.global(name), self.by_name(elem)) else {
                continue;
            };
            let ty = self.pointer_to(elem);
            let ty = match many {
                true => self.add(Type {
                    name: format!("[]{}", self.get(ty).name),
                    size: 24,
                    kind: Kind::Slice(ty),
                    fields: Vec::new(),
                }),
                false => ty,
            };
            found.push((name.to_owned(), at, ty));
        }
        found
    }

    /// `*elem`, which may not be in the binary.
    pub(crate) fn pointer_to(&mut self, elem: TypeId) -> TypeId {
        let name = format!("*{}", self.get(elem).name);
        if let Some(known) = self.by_name(&name) {
            return known;
        }
        let id = self.add(Type {
            name: name.clone(),
            size: 8,
            kind: Kind::Pointer(elem),
            fields: Vec::new(),
        });
        self.by_name.insert(name, id);
        id
    }
}
