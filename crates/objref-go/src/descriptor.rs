//! What follows the common part of a type descriptor: package paths, the storage of maps, how long the whole is.

use objref_mem::{Addr, AddressSpace};

use crate::layout::{pointer_at, slice_at};
use crate::rtype::{Kind, RuntimeType, RuntimeTypes, TFLAG_NAMED, TFLAG_UNCOMMON};

impl RuntimeTypes {
    /// Size of the part of a descriptor that its kind decides; what its methods need follows.
    fn base_size(&self, space: &AddressSpace, kind: Kind) -> Option<u64> {
        let words = match kind {
            // That of a function has two numbers of 16 bits.
            Kind::Pointer | Kind::Slice | Kind::Func => 1,
            Kind::Chan => 2,
            Kind::Array => 3,
            Kind::Interface | Kind::Struct => 4,
            Kind::Map => return self.map_size,
            _ => 0,
        };
        Some(self.header + words * space.word_size())
    }

    /// Import path of the package that a named type is declared in.
    // internal/abi/type.go: UncommonType
    pub fn package_path(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<String> {
        if ty.tflag & TFLAG_UNCOMMON == 0 {
            return None;
        }
        let offset = space
            .u32(ty.addr.add(self.base_size(space, ty.kind)?))
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
        (ty.kind == Kind::Map).then(|| pointer_at(space, ty.addr.add(self.header), 2).ok())?
    }

    /// Number of methods of an interface.
    // internal/abi/type.go: InterfaceType{Type, PkgPath, Methods}
    pub fn method_count(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<u64> {
        let methods = || Some(self.second_slice(space, ty)?.1);
        (ty.kind == Kind::Interface).then(methods)?
    }

    /// The slice behind the package path of an interface or a struct: first element, length.
    pub(crate) fn second_slice(
        &self,
        space: &AddressSpace,
        ty: &RuntimeType,
    ) -> Option<(Addr, u64)> {
        slice_at(space, ty.addr.add(self.header + space.word_size())).ok()
    }

    /// The type of the function that is the method of an interface with this number.
    // internal/abi/type.go: Imethod{Name NameOff, Typ TypeOff}
    pub(crate) fn interface_method(
        &self,
        space: &AddressSpace,
        ty: &RuntimeType,
        number: u64,
    ) -> Option<Addr> {
        let (methods, count) = self
            .second_slice(space, ty)
            .filter(|_| ty.kind == Kind::Interface)?;
        if number >= count {
            return None;
        }
        let offset = space.u32(methods.add(number.checked_mul(8)?).add(4)).ok()?;
        Some(self.module_base(ty.addr)?.add(u64::from(offset)))
    }

    /// Types of the parameters and of the results of a function type, at most `max` of each.
    // internal/abi/type.go: FuncType{Type, InCount, OutCount}, InSlice, OutSlice
    pub(crate) fn func_parts(
        &self,
        space: &AddressSpace,
        ty: &RuntimeType,
        max: u64,
    ) -> Option<(Vec<Addr>, Vec<Addr>)> {
        let count = |at| space.u16(ty.addr.add(self.header + at)).ok().map(u64::from);
        let (ins, outs) = (count(0)?, count(2)? & 0x7fff);
        let uncommon = if ty.tflag & TFLAG_UNCOMMON != 0 {
            16
        } else {
            0
        };
        let list = ty.addr.add(self.base_size(space, Kind::Func)? + uncommon);
        let types = |first: u64, count: u64| -> Option<Vec<Addr>> {
            let indices = first..first + count.min(max);
            indices.map(|i| space.ptr(list.add(i * 8)).ok()).collect()
        };
        Some((types(0, ins)?, types(ins, outs)?))
    }

    /// The methods of a type: the type of each function without its receiver where the program may need it, and where
    /// its code is, counted from the start of the text.
    // internal/abi/type.go: UncommonType{PkgPath, Mcount, Xcount, Moff}, Method{Name, Mtyp, Ifn, Tfn}
    pub(crate) fn methods(
        &self,
        space: &AddressSpace,
        ty: &RuntimeType,
    ) -> Vec<(Option<Addr>, u32)> {
        if ty.tflag & TFLAG_UNCOMMON == 0 {
            return Vec::new();
        }
        let read = || {
            let uncommon = ty.addr.add(self.base_size(space, ty.kind)?);
            let count = u64::from(space.u16(uncommon.add(4)).ok()?);
            let first = uncommon.add(u64::from(space.u32(uncommon.add(8)).ok()?));
            Some((first, count, self.module_base(ty.addr)?))
        };
        let Some((first, count, base)) = read() else {
            return Vec::new();
        };
        (0..count)
            .map_while(|i| {
                let at = first.add(i * 16);
                let func = space.i32(at.add(4)).ok()?;
                let code = space.u32(at.add(12)).ok()?;
                // 0 and −1: the linker found that nobody can ask for it.
                let func = u64::try_from(func).ok().filter(|f| *f != 0);
                Some((func.map(|f| base.add(f)), code))
            })
            .collect()
    }

    /// Size of the whole descriptor, where the next one follows it.
    // internal/abi/type.go: (*Type).DescriptorSize, go1.27+
    pub(crate) fn descriptor_size(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<u64> {
        let base = self.base_size(space, ty.kind)?;
        let (mut uncommon, mut methods) = (0, 0);
        if ty.tflag & TFLAG_UNCOMMON != 0 {
            uncommon = 16;
            methods = u64::from(space.u16(ty.addr.add(base + 4)).ok()?) * 16;
        }
        let own = match ty.kind {
            // internal/abi/type.go: FuncType{Type, InCount, OutCount}; the upper bit of the second says variadic.
            Kind::Func => {
                let count = |at| space.u16(ty.addr.add(self.header + at)).ok().map(u64::from);
                (count(0)? + (count(2)? & 0x7fff)) * space.word_size()
            }
            // Two offsets of 32 bits for each method.
            Kind::Interface => self.method_count(space, ty)?.checked_mul(8)?,
            Kind::Struct => self
                .second_slice(space, ty)?
                .1
                .checked_mul(3 * space.word_size())?,
            _ => 0,
        };
        own.checked_add(base + uncommon + methods)
    }
}
