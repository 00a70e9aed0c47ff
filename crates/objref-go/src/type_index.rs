//! The types of a binary by name, for binaries that nothing else describes.

use objref_mem::{Addr, AddressSpace, Fault};
use rustc_hash::FxHashSet;

use crate::layout::{FieldAt, StructSource, find_field, layout, pointer_at};
use crate::module::Module;
use crate::rtype::{Kind, RuntimeTypes};

layout! {
    /// Offsets in moduledata, of the lists of types.
    // runtime/symtab.go: moduledata
    struct ListLayout = "runtime.moduledata" {
        // up to go1.26
        typelinks: ? "typelinks",
        itablinks: ? "itablinks",
    }
}

/// The types of a program: those the linker lists, those beside them, and all that they consist of.
#[derive(Debug, Default)]
pub struct TypeIndex {
    named: Vec<(String, Addr)>,
    types: Vec<Addr>,
}

/// The struct that describes a map type.
// internal/abi/map.go: MapType (and map_swiss.go: SwissMapType, 1.24 and 1.25)
const MAP_TYPES: [&str; 3] = [
    "internal/abi.MapType",
    "internal/abi.SwissMapType",
    "internal/abi.OldMapType",
];

/// Longer lists are taken for damage.
const MAX_TYPES: u64 = 1 << 24;
const MAX_FIELDS: u64 = 1 << 16;

impl TypeIndex {
    /// Reads the lists of `modules`, looks for what is beside them, and follows elements and fields from there. Tells
    /// `types` what the binary's types say of descriptors themselves.
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        types: &mut RuntimeTypes,
        modules: &[Module],
    ) -> TypeIndex {
        let mut walk = Walk {
            space,
            types,
            seen: FxHashSet::default(),
            work: Vec::new(),
        };
        let itab_type = find_field(source, "internal/abi.ITab | runtime.itab", "Type | _type");
        if let Ok(layout) = ListLayout::resolve(source) {
            for module in modules {
                // A list that cannot be read to its end has served as far as it went.
                let _ = walk.typelinks(&layout, module);
                let _ = walk.itabs(&layout, module, itab_type);
                walk.rest(module);
            }
        }
        let mut next = 0;
        while let Some(&at) = walk.work.get(next) {
            next += 1;
            walk.follow(at);
        }
        let found = walk.work;
        let is_map_type = |at: &&Addr| {
            let name = types
                .read(space, **at)
                .and_then(|ty| types.full_name(space, &ty));
            name.is_some_and(|name| MAP_TYPES.contains(&name.as_str()))
        };
        let map_type = found.iter().find(is_map_type).copied();
        if let Some(ty) = map_type.and_then(|at| types.read(space, at)) {
            types.map_size = Some(ty.size);
        }
        let mut named: Vec<(String, Addr)> = found
            .iter()
            .filter_map(|&at| Some((types.full_name(space, &types.read(space, at)?)?, at)))
            .collect();
        named.sort();
        TypeIndex {
            named,
            types: found,
        }
    }

    /// Named types in the order of their names: full name with the package's path, descriptor.
    pub fn named(&self) -> impl Iterator<Item = (&str, Addr)> {
        self.named.iter().map(|(name, at)| (name.as_str(), *at))
    }

    /// The named type with this full name.
    pub fn by_name(&self, name: &str) -> Option<Addr> {
        let at = self.named.partition_point(|(n, _)| n.as_str() < name);
        self.named
            .get(at)
            .filter(|(n, _)| n == name)
            .map(|(_, at)| *at)
    }

    /// Descriptors of all types.
    pub fn all(&self) -> &[Addr] {
        &self.types
    }
}

struct Walk<'a> {
    space: &'a AddressSpace,
    types: &'a RuntimeTypes,
    seen: FxHashSet<Addr>,
    work: Vec<Addr>,
}

impl Walk<'_> {
    fn add(&mut self, at: Addr) {
        if at.0 != 0
            && self.work.len() < MAX_TYPES as usize
            && self.types.offset(at).is_some()
            && self.seen.insert(at)
        {
            self.work.push(at);
        }
    }

    // runtime/symtab.go: moduledata.typelinks []int32, offsets from types
    fn typelinks(&mut self, l: &ListLayout, module: &Module) -> Result<(), Fault> {
        let Some(field) = l.typelinks else {
            return Ok(());
        };
        let (data, len) = field.slice(self.space, module.addr)?;
        for i in 0..len.min(MAX_TYPES) {
            let offset = self.space.u32(data.add(i * 4))?;
            self.add(module.types.start.add(u64::from(offset)));
        }
        Ok(())
    }

    /// Types that only code refers to are in none of the lists, but beside the others.
    // cmd/link/internal/ld/data.go: symbols type:* lie between runtime.types and runtime.etypes
    fn rest(&mut self, module: &Module) {
        let mut at = module.types.start.0.next_multiple_of(8);
        while at < module.types.end.0 && self.work.len() < MAX_TYPES as usize {
            let ty = self.types.recognise(self.space, Addr(at));
            let size = ty
                .as_ref()
                .and_then(|ty| self.types.descriptor_size(self.space, ty));
            if ty.is_some() {
                self.add(Addr(at));
            }
            at = at
                .saturating_add(size.unwrap_or(8).clamp(8, 1 << 20))
                .next_multiple_of(8);
        }
    }

    /// The types that the linker made tables of methods for.
    // runtime/symtab.go: moduledata.itablinks; runtime/iface.go: itabsinit, moduleItabs (go1.27+)
    fn itabs(
        &mut self,
        l: &ListLayout,
        module: &Module,
        itab_type: Option<FieldAt>,
    ) -> Result<(), Fault> {
        let Some(itab_type) = itab_type else {
            return Ok(());
        };
        let Some(links) = l.itablinks else {
            // Go 1.27 packs them; every type in there has a pointer type in the region anyway.
            return Ok(());
        };
        let (data, len) = links.slice(self.space, module.addr)?;
        for i in 0..len.min(MAX_TYPES) {
            let itab = pointer_at(self.space, data, i)?;
            self.add(itab_type.ptr(self.space, itab)?);
        }
        Ok(())
    }

    fn follow(&mut self, at: Addr) {
        let Some(ty) = self.types.read(self.space, at) else {
            return;
        };
        let parts = [
            self.types.elem(self.space, &ty),
            self.types.key(self.space, &ty),
            self.types.map_storage(self.space, &ty),
        ];
        for part in parts.into_iter().flatten() {
            self.add(part);
        }
        if ty.kind == Kind::Struct {
            for field in self.types.fields(self.space, &ty, MAX_FIELDS) {
                self.add(field.ty);
            }
        }
    }
}
