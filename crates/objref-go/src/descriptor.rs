//! What follows the common part of a type descriptor: package paths, the storage of maps, how long the whole is.

use objref_mem::{Addr, AddressSpace};

use crate::rtype::{Kind, RuntimeType, RuntimeTypes, TFLAG_NAMED, TFLAG_UNCOMMON};

impl RuntimeTypes {
    /// Size of the part of a descriptor that its kind decides; what its methods need follows.
    fn base_size(&self, kind: Kind) -> Option<u64> {
        let own = match kind {
            Kind::Pointer | Kind::Slice | Kind::Func => 8,
            Kind::Chan => 16,
            Kind::Array => 24,
            Kind::Interface | Kind::Struct => 32,
            Kind::Map => return self.map_size,
            _ => 0,
        };
        Some(self.header + own)
    }

    /// Import path of the package that a named type is declared in.
    // internal/abi/type.go: UncommonType
    pub fn package_path(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<String> {
        if ty.tflag & TFLAG_UNCOMMON == 0 {
            return None;
        }
        let offset = space
            .u32(ty.addr.add(self.base_size(ty.kind)?))
            .ok()
            .filter(|o| *o != 0)?;
        let base = self.module_base(ty.addr)?;
        self.read_name(space, base.add(u64::from(offset)))
            .ok()
            .map(|(_, path)| path)
    }

    /// The name of a named type with its package's path, as DWARF has it: `net/http.Request`; `None` for types without
    /// a name of their own.
    pub fn full_name(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<String> {
        if ty.tflag & TFLAG_NAMED == 0 {
            return None;
        }
        let name = self.name(space, ty)?;
        match self.package_path(space, ty) {
            Some(path) => name
                .split_once('.')
                .map(|(_, rest)| format!("{path}.{rest}")),
            None => Some(name),
        }
    }

    /// What the entries of a map are stored in: a bucket up to 1.23, a group from 1.24.
    // internal/abi/map.go: {Type, Key, Elem, Bucket | Group}
    pub fn map_storage(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<Addr> {
        (ty.kind == Kind::Map).then(|| space.ptr(ty.addr.add(self.header + 16)).ok())?
    }

    /// Size of the whole descriptor, where the next one follows it.
    // internal/abi/type.go: (*Type).DescriptorSize, go1.27+
    pub(crate) fn descriptor_size(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<u64> {
        let base = self.base_size(ty.kind)?;
        let (mut uncommon, mut methods) = (0, 0);
        if ty.tflag & TFLAG_UNCOMMON != 0 {
            uncommon = 16;
            methods = u64::from(space.u16(ty.addr.add(base + 4)).ok()?) * 16;
        }
        let own = match ty.kind {
            // internal/abi/type.go: FuncType{Type, InCount, OutCount}; the upper bit of the second says variadic.
            Kind::Func => {
                let count = |at| space.u16(ty.addr.add(self.header + at)).ok().map(u64::from);
                (count(0)? + (count(2)? & 0x7fff)) * 8
            }
            Kind::Interface => space
                .u64(ty.addr.add(self.header + 16))
                .ok()?
                .checked_mul(8)?,
            Kind::Struct => space
                .u64(ty.addr.add(self.header + 16))
                .ok()?
                .checked_mul(24)?,
            _ => 0,
        };
        own.checked_add(base + uncommon + methods)
    }
}
