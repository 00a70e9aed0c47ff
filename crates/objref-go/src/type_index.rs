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
        // go1.27+
        typedesclen: ? "typedesclen",
    }
}

/// The types of a program: those the linker lists, and all that they consist of.
#[derive(Debug, Default)]
pub struct TypeIndex {
    named: Vec<(String, Addr)>,
    types: Vec<Addr>,
}

/// Longer lists are taken for damage.
const MAX_TYPES: u64 = 1 << 24;
const MAX_FIELDS: u64 = 1 << 16;

impl TypeIndex {
    /// Reads the lists of `modules`, and follows elements and fields from there.
    pub fn read(
        space: &AddressSpace,
        source: &dyn StructSource,
        types: &RuntimeTypes,
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
                let _ = walk.region(&layout, module);
                let _ = walk.itabs(&layout, module, itab_type);
            }
        }
        let mut next = 0;
        while let Some(&at) = walk.work.get(next) {
            next += 1;
            walk.follow(at);
        }
        let mut named: Vec<(String, Addr)> = walk
            .work
            .iter()
            .filter_map(|&at| Some((types.full_name(space, &types.read(space, at)?)?, at)))
            .collect();
        named.sort();
        TypeIndex {
            named,
            types: walk.work,
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

    /// From 1.27 on the types that used to be in typelinks stand one after the other.
    // runtime/type.go: moduleTypelinks
    fn region(&mut self, l: &ListLayout, module: &Module) -> Result<(), Fault> {
        let Some(field) = l.typedesclen else {
            return Ok(());
        };
        let len = field.read(self.space, module.addr)?;
        let end = module.types.start.add(len.min(module.types.len()));
        let mut at = module.types.start.add(self.space.word_size());
        while at < end {
            let Some(size) = self
                .types
                .read(self.space, at)
                .and_then(|ty| self.types.descriptor_size(self.space, &ty))
            else {
                break;
            };
            self.add(at);
            at = Addr(at.0.saturating_add(size.max(8)).next_multiple_of(8));
        }
        Ok(())
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
