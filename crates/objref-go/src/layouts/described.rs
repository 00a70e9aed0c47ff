//! Layouts of the runtime's structs as the binary's own type descriptors give them.
//!
//! The runtime allocates many of its structs like any other value, so their descriptors are in the binary, stripped or
//! not: `g`, `m`, `p`, `mspan`, `sudog`, `hchan`. These are the ones that change in patch releases, too.

use objref_mem::{Addr, AddressSpace};
use rustc_hash::FxHashMap;

use crate::layout::FieldAt;
use crate::rtype::{Kind, RuntimeTypes};
use crate::type_index::TypeIndex;

/// A struct's size, and its fields with their types.
#[derive(Debug)]
struct Struct {
    size: u64,
    fields: Vec<(String, u64, Addr)>,
}

/// The runtime's structs that the binary describes.
#[derive(Debug, Default)]
pub(super) struct Described {
    by_name: FxHashMap<String, Addr>,
    structs: FxHashMap<Addr, Struct>,
    sizes: FxHashMap<Addr, u64>,
}

/// More fields than any struct of the runtime has.
const MAX_FIELDS: u64 = 4096;
/// A path has fewer steps.
const MAX_DEPTH: u32 = 8;

impl Described {
    /// Reads the structs of the packages that layouts are asked of, and what they consist of.
    pub(super) fn read(space: &AddressSpace, types: &RuntimeTypes, index: &TypeIndex) -> Self {
        let mut described = Described::default();
        for (name, addr) in index.named() {
            if name.starts_with("runtime.") || name.starts_with("internal/") {
                described.add(space, types, addr, 0);
                if described.structs.contains_key(&addr) {
                    described.by_name.insert(name.to_owned(), addr);
                }
            }
        }
        described
    }

    fn add(&mut self, space: &AddressSpace, types: &RuntimeTypes, addr: Addr, depth: u32) {
        if depth > MAX_DEPTH || self.sizes.contains_key(&addr) {
            return;
        }
        let Some(ty) = types.read(space, addr) else {
            return;
        };
        self.sizes.insert(addr, ty.size);
        if ty.kind != Kind::Struct {
            return;
        }
        let fields = types.fields(space, &ty, MAX_FIELDS);
        for field in &fields {
            self.add(space, types, field.ty, depth + 1);
        }
        let fields = fields
            .into_iter()
            .map(|f| (f.name, f.offset, f.ty))
            .collect();
        self.structs.insert(
            addr,
            Struct {
                size: ty.size,
                fields,
            },
        );
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn size_of(&self, name: &str) -> Option<u64> {
        Some(self.structs.get(self.by_name.get(name)?)?.size)
    }

    pub(super) fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let mut at = *self.by_name.get(name)?;
        let mut offset = 0;
        for part in path.split('.') {
            let (_, inner, ty) = self
                .structs
                .get(&at)?
                .fields
                .iter()
                .find(|(name, ..)| name == part)?;
            offset += inner;
            at = *ty;
        }
        let size = *self.sizes.get(&at)?;
        Some(FieldAt { offset, size })
    }
}
