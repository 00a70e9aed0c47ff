//! Type descriptors as the runtime has them in memory.

use objref_mem::{Addr, AddressSpace, Fault};

use crate::layout::{FieldAt, LayoutError, StructSource, find_size, layout, pointer_at};
use crate::module::Module;
use crate::version::GoVersion;

layout! {
    /// Offsets in a type descriptor.
    // internal/abi/type.go: Type (from go1.21), runtime/type.go: _type (before)
    struct TypeLayout = "internal/abi.Type | runtime._type" {
        size: "Size_ | size",
        ptr_bytes: "PtrBytes | ptrdata",
        tflag: "TFlag | tflag",
        kind: "Kind_ | kind",
        gcdata: "GCData | gcdata",
        str: "Str | str",
    }
}

/// The runtime's own kinds, as stored in a descriptor.
// internal/abi/type.go: Kind
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
    Float32,
    Float64,
    Complex64,
    Complex128,
    Array,
    Chan,
    Func,
    Interface,
    Map,
    Pointer,
    Slice,
    String,
    Struct,
    UnsafePointer,
}

impl Kind {
    const ALL: [Kind; 27] = {
        use Kind::*;
        [
            Invalid,
            Bool,
            Int,
            Int8,
            Int16,
            Int32,
            Int64,
            Uint,
            Uint8,
            Uint16,
            Uint32,
            Uint64,
            Uintptr,
            Float32,
            Float64,
            Complex64,
            Complex128,
            Array,
            Chan,
            Func,
            Interface,
            Map,
            Pointer,
            Slice,
            String,
            Struct,
            UnsafePointer,
        ]
    };

    fn from_byte(byte: u8) -> Option<Kind> {
        // The upper bits were flags until 1.25; internal/abi/type.go: KindMask.
        Self::ALL
            .get(usize::from(byte & 31))
            .copied()
            .filter(|k| *k != Kind::Invalid)
    }
}

// internal/abi/type.go: TFlag
pub(crate) const TFLAG_UNCOMMON: u8 = 1;
const TFLAG_EXTRA_STAR: u8 = 2;
pub(crate) const TFLAG_NAMED: u8 = 4;
/// 1.24+: the mask is built on first use. Before, the same bit meant an unrolled mask, which is an ordinary one.
const TFLAG_GC_MASK_ON_DEMAND: u8 = 16;
/// There are fewer flags.
const TFLAG_END: u8 = 64;
/// Up to 1.23: `gcdata` is a program.
const KIND_GC_PROG: u8 = 64;
/// A mask longer than this in bytes of object is taken for damage.
const MAX_PTR_BYTES: u64 = 1 << 33;
/// Types nest in types; deeper than this is taken for damage.
const MAX_DEPTH: u32 = 64;
const MAX_NAME: u64 = 1 << 16;
/// All field names of a struct together are taken for damage beyond this.
const MAX_FIELD_NAMES: usize = 1 << 20;
/// The work put into the mask of one type.
const MAX_MASK_STEPS: u64 = 1 << 24;

/// A type descriptor read from the inferior.
#[derive(Clone, Debug)]
pub struct RuntimeType {
    /// Where it lies.
    pub addr: Addr,
    /// Size of a value in bytes.
    pub size: u64,
    /// Length of the prefix that can hold pointers, in bytes.
    pub ptr_bytes: u64,
    /// What kind of type it is.
    pub kind: Kind,
    pub(crate) tflag: u8,
    raw_kind: u8,
    gcdata: Addr,
    str_off: i32,
}

/// A struct field of a [`RuntimeType`].
#[derive(Clone, Debug)]
pub struct RuntimeField {
    /// The field's name; of an embedded field, the type's.
    pub name: String,
    /// Its type descriptor.
    pub ty: Addr,
    /// Offset in bytes.
    pub offset: u64,
    /// Whether the field is embedded.
    pub embedded: bool,
}

/// Which words of a type hold pointers: one bit a word, of `ptr_bytes` only.
#[derive(Clone, Debug)]
pub struct TypeMask {
    /// Size of the type in bytes, at least that of a word.
    pub size: u64,
    /// 64 words of the type each.
    pub words: Vec<u64>,
}

/// What the masks of all types together may cost: damaged descriptors must not cost more than sound ones.
#[derive(Clone, Copy, Debug)]
pub struct MaskBudget {
    /// Words of masks.
    words: u64,
    /// Descriptors visited.
    steps: u64,
}

impl Default for MaskBudget {
    fn default() -> Self {
        MaskBudget {
            words: 1 << 27,
            steps: 1 << 27,
        }
    }
}

/// Reads type descriptors.
#[derive(Clone, Debug)]
pub struct RuntimeTypes {
    layout: TypeLayout,
    /// Size of the common part, which every kind's own fields follow.
    pub(crate) header: u64,
    /// Size of the descriptor of a map type, which has grown with the versions.
    pub(crate) map_size: Option<u64>,
    modules: Vec<(crate::module::AddrRange, Addr)>,
    on_demand_masks: bool,
}

impl RuntimeTypes {
    /// A reader for the types of `modules`.
    pub fn new(
        source: &dyn StructSource,
        version: &GoVersion,
        modules: &[Module],
    ) -> Result<Self, LayoutError> {
        const NAMES: &str = "internal/abi.Type | runtime._type";
        Ok(RuntimeTypes {
            layout: TypeLayout::resolve(source)?,
            header: find_size(source, NAMES).ok_or(LayoutError {
                name: NAMES,
                path: "size",
            })?,
            map_size: find_size(
                source,
                "internal/abi.MapType | internal/abi.SwissMapType | internal/abi.OldMapType | runtime.maptype",
            ),
            modules: modules.iter().map(|m| (m.types, m.types.start)).collect(),
            on_demand_masks: version.minor >= 24,
        })
    }

    /// The descriptor at `addr`; `None` when it makes no sense.
    pub fn read(&self, space: &AddressSpace, addr: Addr) -> Option<RuntimeType> {
        let get = |f: FieldAt| f.read(space, addr).ok();
        let raw_kind = get(self.layout.kind)? as u8;
        let ty = RuntimeType {
            addr,
            size: get(self.layout.size)?,
            ptr_bytes: get(self.layout.ptr_bytes)?,
            kind: Kind::from_byte(raw_kind)
                .or_else(|| self.is_dummy(space, addr).then_some(Kind::Struct))?,
            tflag: get(self.layout.tflag)? as u8,
            raw_kind,
            gcdata: Addr(get(self.layout.gcdata)?),
            str_off: get(self.layout.str)? as i32,
        };
        let sound = ty.ptr_bytes <= ty.size
            && ty.ptr_bytes <= MAX_PTR_BYTES
            && ty.ptr_bytes.is_multiple_of(space.word_size());
        sound.then_some(ty)
    }

    /// 1.22 and 1.23 stand in for types with GC programs by a descriptor that has nothing but size and mask; user
    /// arenas do the same with their chunks.
    // runtime/mbitmap.go: getGCMask, runtime/arena.go
    fn is_dummy(&self, space: &AddressSpace, addr: Addr) -> bool {
        self.layout.str.read(space, addr) == Ok(0)
            && self.layout.gcdata.read(space, addr).is_ok_and(|a| a != 0)
    }

    /// The descriptor at `addr` if what lies there has everything that a descriptor of the binary has: for addresses of
    /// which it is not known that there is one.
    pub(crate) fn recognise(&self, space: &AddressSpace, addr: Addr) -> Option<RuntimeType> {
        // internal/abi/type.go: Type{…, TFlag, Align_, FieldAlign_, Kind_, …}, a byte each
        let align = u64::from(space.u8(self.layout.tflag.at(addr).add(1)).ok()?);
        if !matches!(align, 1 | 2 | 4 | 8) {
            return None;
        }
        let ty = self.read(space, addr)?;
        let size = match ty.kind {
            Kind::Pointer | Kind::Map | Kind::Chan | Kind::Func | Kind::UnsafePointer => 8,
            Kind::String | Kind::Interface => 16,
            Kind::Slice => 24,
            _ => ty.size,
        };
        let is_static = |at: Option<Addr>| at.is_none_or(|at| self.module_base(at).is_some());
        let parts = [self.elem(space, &ty), self.key(space, &ty)];
        let sound = ty.size == size
            && ty.size % align == 0
            && ty.tflag < TFLAG_END
            && (ty.ptr_bytes == 0 || ty.gcdata.0 != 0)
            && parts.into_iter().all(is_static);
        let name = self.name(space, &ty).filter(|_| sound)?;
        let printable = |c: char| !c.is_control() && c != char::REPLACEMENT_CHARACTER;
        (!name.is_empty() && name.chars().all(printable)).then_some(ty)
    }

    /// The offset of a descriptor from `runtime.types` of its module, by which DWARF refers to it.
    pub fn offset(&self, addr: Addr) -> Option<u64> {
        self.module_base(addr).map(|base| addr.0 - base.0)
    }

    pub(crate) fn module_base(&self, addr: Addr) -> Option<Addr> {
        self.modules
            .iter()
            .find(|(range, _)| range.contains(addr))
            .map(|(_, base)| *base)
    }

    /// The type's name in Go syntax, with the package's name but not its path; `None` for types made at run time.
    pub fn name(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<String> {
        let base = self.module_base(ty.addr)?;
        let offset = u64::try_from(ty.str_off).ok().filter(|o| *o != 0)?;
        let (_, name) = self.read_name(space, base.add(offset)).ok()?;
        Some(match name.strip_prefix('*') {
            Some(rest) if ty.tflag & TFLAG_EXTRA_STAR != 0 => rest.to_owned(),
            _ => name,
        })
    }

    /// Flags and text of an encoded name.
    // internal/abi/type.go: Name
    pub(crate) fn read_name(&self, space: &AddressSpace, at: Addr) -> Result<(u8, String), Fault> {
        let flags = space.u8(at)?;
        let (mut len, mut shift, mut next) = (0u64, 0, at.add(1));
        loop {
            let byte = space.u8(next)?;
            next = next.add(1);
            len |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 || shift > 28 {
                break;
            }
        }
        Ok((flags, space.string(next, len.min(MAX_NAME) as usize)?))
    }

    /// Element type of an array, channel, pointer, slice or map (there, of the values).
    pub fn elem(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<Addr> {
        let n = match ty.kind {
            Kind::Array | Kind::Chan | Kind::Pointer | Kind::Slice => 0,
            Kind::Map => 1,
            _ => return None,
        };
        pointer_at(space, ty.addr.add(self.header), n).ok()
    }

    /// Key type of a map.
    pub fn key(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<Addr> {
        (ty.kind == Kind::Map).then(|| space.ptr(ty.addr.add(self.header)).ok())?
    }

    /// Number of elements of an array.
    // internal/abi/type.go: ArrayType{Type, Elem, Slice, Len}
    pub fn array_len(&self, space: &AddressSpace, ty: &RuntimeType) -> Option<u64> {
        let word = |n| pointer_at(space, ty.addr.add(self.header), n);
        (ty.kind == Kind::Array).then(|| Some(word(2).ok()?.0))?
    }

    /// Fields of a struct, at most `max`, and as long as their names are not absurd.
    pub fn fields(&self, space: &AddressSpace, ty: &RuntimeType, max: u64) -> Vec<RuntimeField> {
        let mut room = MAX_FIELD_NAMES;
        self.raw_fields(space, ty, max)
            .map_while(|(name, ty, offset)| {
                let (flags, name) = self.read_name(space, name).ok()?;
                room = room.checked_sub(name.len())?;
                Some(RuntimeField {
                    name,
                    ty,
                    offset,
                    embedded: flags & 8 != 0,
                })
            })
            .collect()
    }

    /// Of each field of a struct: address of the name, type, offset.
    // internal/abi/type.go: StructType{Type, PkgPath, Fields []StructField{Name, Typ, Offset}}
    pub(crate) fn raw_fields<'s>(
        &self,
        space: &'s AddressSpace,
        ty: &RuntimeType,
        max: u64,
    ) -> impl Iterator<Item = (Addr, Addr, u64)> + use<'s> {
        let is_struct = ty.kind == Kind::Struct && ty.str_off != 0;
        let fields = || self.second_slice(space, ty);
        let (data, len) = is_struct.then(fields).flatten().unwrap_or_default();
        (0..len.min(max)).map_while(move |i| {
            let word = |n| pointer_at(space, data, 3 * i + n).ok();
            Some((word(0)?, word(1)?, word(2)?.0))
        })
    }

    /// Which words of the type at `addr` hold pointers; `None` when there are none, or when the descriptor is damaged: it
    /// has pointers beyond the `room` bytes of its slots.
    pub fn mask(
        &self,
        space: &AddressSpace,
        addr: Addr,
        room: u64,
        budget: &mut MaskBudget,
    ) -> Option<TypeMask> {
        let ty = self.read(space, addr)?;
        if ty.ptr_bytes == 0 || ty.ptr_bytes > room {
            return None;
        }
        let len = ty.ptr_bytes.div_ceil(64 * space.word_size());
        budget.words = budget.words.checked_sub(len)?;
        let mut words = vec![0; len as usize];
        let mut steps = budget.steps.min(MAX_MASK_STEPS);
        let before = steps;
        let filled = self.fill_mask(space, &ty, 0, &mut words, 0, &mut steps);
        budget.steps -= before - steps;
        filled?;
        Some(TypeMask {
            size: ty.size.max(space.word_size()),
            words,
        })
    }

    /// Sets the pointer bits of a `ty` at byte `at`.
    // runtime/type.go: buildGCMask
    fn fill_mask(
        &self,
        space: &AddressSpace,
        ty: &RuntimeType,
        at: u64,
        words: &mut [u64],
        depth: u32,
        budget: &mut u64,
    ) -> Option<()> {
        if ty.ptr_bytes == 0 {
            return Some(());
        }
        let word_size = space.word_size();
        *budget = budget.checked_sub(1 + ty.ptr_bytes / (64 * word_size))?;
        let built_here = self.on_demand_masks && ty.tflag & TFLAG_GC_MASK_ON_DEMAND != 0;
        let program = !self.on_demand_masks && ty.raw_kind & KIND_GC_PROG != 0;
        if !built_here && !program {
            let bits = ty.ptr_bytes / word_size;
            let bytes = space.bytes(ty.gcdata, bits.div_ceil(8) as usize).ok()?;
            for bit in 0..bits {
                if bytes[(bit / 8) as usize] >> (bit % 8) & 1 != 0 {
                    let word = at / word_size + bit;
                    *words.get_mut((word / 64) as usize)? |= 1 << (word % 64);
                }
            }
            return Some(());
        }
        if depth > MAX_DEPTH {
            return None;
        }
        match ty.kind {
            Kind::Array => {
                let elem = self.read(space, self.elem(space, ty)?)?;
                let len = self.array_len(space, ty)?;
                if elem.ptr_bytes == 0 {
                    return Some(());
                }
                let mut start = at;
                for _ in 0..len {
                    if start >= words.len() as u64 * 64 * word_size {
                        break;
                    }
                    self.fill_mask(space, &elem, start, words, depth + 1, budget)?;
                    start = start.checked_add(elem.size)?;
                }
            }
            Kind::Struct => {
                for (_, field, offset) in self.raw_fields(space, ty, 1 << 20) {
                    let inner = self.read(space, field)?;
                    let start = at.checked_add(offset)?;
                    *budget = budget.checked_sub(1)?;
                    self.fill_mask(space, &inner, start, words, depth + 1, budget)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}
