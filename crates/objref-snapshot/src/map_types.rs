//! The insides of maps whose type only a descriptor tells: what the linker describes in DWARF for each map type, made
//! from the runtime's generic structs and the storage type that the descriptor names.

use objref_go::{RuntimeType, StructSource};

use crate::types::{Field, Kind, Type, TypeId, TypeModel};

impl TypeModel<'_> {
    /// The struct that a map of this type is kept in.
    // cmd/link/internal/ld/dwarf.go: synthesizemaptypes
    pub(crate) fn map_header(&mut self, ty: &RuntimeType) -> Option<TypeId> {
        let (types, space) = (&self.process.types, &self.process.space);
        let key = self.claim(types.key(space, ty)?)?;
        let value = self.claim(types.elem(space, ty)?)?;
        let storage = self.claim(types.map_storage(space, ty)?)?;
        let (key, value) = (self.get(key).name.clone(), self.get(value).name.clone());
        match self.by_name("internal/runtime/maps.Map") {
            Some(map) => self.swiss_map(map, storage, &key, &value),
            None => self.bucket_map(storage, &key, &value),
        }
    }

    /// From 1.24 on: a directory of tables of groups.
    // internal/runtime/maps/map.go: Map; table.go: table; group.go: groupsReference
    fn swiss_map(&mut self, map: TypeId, group: TypeId, key: &str, value: &str) -> Option<TypeId> {
        let table = self.by_name("internal/runtime/maps.table")?;
        self.types.rename(group, format!("map.group[{key}]{value}"));
        let data = self.pointer_to(group);
        let groups = self.add(Type {
            name: format!("groupReference<{key},{value}>"),
            size: 16,
            kind: Kind::Struct,
            fields: vec![field("data", 0, data)],
        });
        let table = self.like(table, format!("table<{key},{value}>"), "groups", groups);
        let table = self.pointer_to(table);
        let directory = self.pointer_to(table);
        Some(self.like(map, format!("map<{key},{value}>"), "dirPtr", directory))
    }

    /// Up to 1.23: buckets, with chains of overflow buckets.
    // runtime/map.go: hmap, mapextra, bmap
    fn bucket_map(&mut self, bucket: TypeId, key: &str, value: &str) -> Option<TypeId> {
        let process = self.process;
        let at = |path: Option<objref_go::FieldAt>| path.map(|f| f.offset);
        let buckets = at(process.field("runtime.hmap", "buckets"))?;
        let old = at(process.field("runtime.hmap", "oldbuckets"))?;
        let extra = at(process.field("runtime.hmap", "extra"))?;
        self.types.rename(bucket, format!("bucket<{key},{value}>"));
        let pointer = self.pointer_to(bucket);
        // The runtime's own type has an unsafe.Pointer here, or a number where the bucket is not scanned.
        let overflow = self
            .get(bucket)
            .fields
            .iter()
            .position(|f| f.name == "overflow");
        if let Some(overflow) = overflow {
            self.types.retype(bucket, overflow, pointer);
        }
        let kept = self.map_extra()?;
        Some(self.add(Type {
            name: format!("hash<{key},{value}>"),
            size: process.layouts().size_of("runtime.hmap")?,
            kind: Kind::Struct,
            fields: vec![
                field("buckets", buckets, pointer),
                field("oldbuckets", old, pointer),
                field("extra", extra, kept),
            ],
        }))
    }

    /// `*mapextra`, which keeps overflow buckets without pointers alive.
    fn map_extra(&mut self) -> Option<TypeId> {
        if let Some(known) = self.by_name("*runtime.mapextra") {
            return Some(known);
        }
        // Three pointers, since go1.9.
        let (overflow, old, next) = (0, 8, 16);
        let bucket = self.add(Type {
            name: "runtime.bmap".to_owned(),
            size: 8,
            kind: Kind::Struct,
            fields: Vec::new(),
        });
        let bucket = self.pointer_to(bucket);
        let list = self.add(Type {
            name: "[]*runtime.bmap".to_owned(),
            size: 24,
            kind: Kind::Slice(bucket),
            fields: Vec::new(),
        });
        let list = self.pointer_to(list);
        let extra = self.add(Type {
            name: "runtime.mapextra".to_owned(),
            size: 24,
            kind: Kind::Struct,
            fields: vec![
                field("overflow", overflow, list),
                field("oldoverflow", old, list),
                field("nextOverflow", next, bucket),
            ],
        });
        Some(self.pointer_to(extra))
    }

    /// A copy of a struct under another name, with one field of another type.
    fn like(&mut self, model: TypeId, name: String, replaced: &str, by: TypeId) -> TypeId {
        let mut ty = self.get(model).clone();
        ty.name = name;
        for field in ty.fields.iter_mut().filter(|f| f.name == replaced) {
            field.ty = by;
        }
        self.add(ty)
    }
}

fn field(name: &str, offset: u64, ty: TypeId) -> Field {
    Field {
        name: name.to_owned(),
        offset,
        ty,
        embedded: false,
    }
}
