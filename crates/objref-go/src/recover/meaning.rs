//! What a word that may be a pointer means: which type says what it leads to.

use objref_mem::{Addr, AddressSpace};

use crate::rtype::{Kind, RuntimeType, RuntimeTypes};

/// What a word is. Types are addresses of their descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// A pointer into a value of the type, this many bytes from its start.
    To(Addr, u64),
    /// A pointer to one of several values of the type that follow each other: what a slice starts with.
    Run(Addr),
    /// A pointer to the bytes of a string.
    Text,
    /// A map, a channel or a function of the type.
    Is(Addr),
    /// A pointer to the table of methods for this type of interface.
    Table(Addr),
}

/// Types nest no deeper; deeper is damage.
const MAX_DEPTH: u32 = 64;
const MAX_FIELDS: u64 = 1 << 12;

/// Reads what types say of their words.
#[derive(Clone, Copy)]
pub(super) struct Words<'p> {
    pub(super) space: &'p AddressSpace,
    pub(super) types: &'p RuntimeTypes,
}

impl Words<'_> {
    pub(super) fn read(&self, ty: Addr) -> Option<RuntimeType> {
        // What code says is not trusted: only types of the binary count.
        self.types.offset(ty)?;
        self.types.read(self.space, ty)
    }

    /// Size of a value in bytes.
    pub(super) fn size(&self, ty: Addr) -> Option<u64> {
        Some(self.read(ty)?.size)
    }

    /// What the word at `offset` of a value of type `ty` means; `None` where it is no pointer, or one that tells nothing.
    pub(super) fn word(&self, ty: Addr, offset: u64) -> Option<Meaning> {
        let (mut at, mut offset) = (ty, offset);
        for _ in 0..MAX_DEPTH {
            let ty = self.read(at)?;
            match ty.kind {
                Kind::Struct => {
                    let (field, start) = self.field(&ty, offset)?;
                    let inner = self.read(field)?;
                    if inner.kind == Kind::UnsafePointer {
                        return self.hidden(&ty);
                    }
                    (at, offset) = (field, offset - start);
                }
                Kind::Array => {
                    let elem = self.types.elem(self.space, &ty)?;
                    let size = self.size(elem)?;
                    if offset >= ty.size || size == 0 {
                        return None;
                    }
                    (at, offset) = (elem, offset % size);
                }
                _ => return self.leaf(&ty, offset),
            }
        }
        None
    }

    fn leaf(&self, ty: &RuntimeType, offset: u64) -> Option<Meaning> {
        let elem = || {
            let elem = self.types.elem(self.space, ty)?;
            self.read(elem).map(|elem| elem.addr)
        };
        match (ty.kind, offset) {
            (Kind::Pointer, 0) => Some(Meaning::To(elem()?, 0)),
            (Kind::Slice, 0) => Some(Meaning::Run(elem()?)),
            (Kind::String, 0) => Some(Meaning::Text),
            (Kind::Map | Kind::Chan | Kind::Func, 0) => Some(Meaning::Is(ty.addr)),
            (Kind::Interface, 0) => {
                let methods = self.types.method_count(self.space, ty);
                methods
                    .is_some_and(|n| n > 0)
                    .then_some(Meaning::Table(ty.addr))
            }
            _ => None,
        }
    }

    /// The field that holds the byte at `offset`, and where it starts.
    fn field(&self, ty: &RuntimeType, offset: u64) -> Option<(Addr, u64)> {
        let fields = self.types.raw_fields(self.space, ty, MAX_FIELDS);
        let holds = |field: &(Addr, Addr, u64)| {
            let end = self
                .size(field.1)
                .and_then(|size| field.2.checked_add(size));
            field.2 <= offset && end.is_some_and(|end| offset < end)
        };
        let (_, field, start) = fields.into_iter().find(holds)?;
        Some((field, start))
    }

    /// `atomic.Pointer[T]` is `struct { _ [0]*T; _ noCopy; v unsafe.Pointer }`.
    // sync/atomic/type.go: Pointer
    fn hidden(&self, ty: &RuntimeType) -> Option<Meaning> {
        let (_, first, _) = self.types.raw_fields(self.space, ty, 1).next()?;
        let first = self
            .read(first)
            .filter(|f| f.kind == Kind::Array && f.size == 0)?;
        let pointer = self.read(self.types.elem(self.space, &first)?)?;
        (pointer.kind == Kind::Pointer).then(|| self.leaf(&pointer, 0))?
    }

    /// Whether a value of type `outer` starts with one of type `inner`, by value.
    pub(super) fn starts_with(&self, outer: Addr, inner: Addr) -> bool {
        let mut at = outer;
        for _ in 0..MAX_DEPTH {
            if at == inner {
                return true;
            }
            let Some(ty) = self.read(at) else {
                return false;
            };
            let next = match ty.kind {
                Kind::Struct => self.field(&ty, 0).map(|(field, _)| field),
                Kind::Array => self.types.elem(self.space, &ty),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => return false,
            }
        }
        false
    }

    /// What a variable of type `ty` holds, where it is one word: what is passed in the first register for it.
    pub(super) fn variable(&self, ty: Addr) -> Option<Meaning> {
        self.word(ty, 0)
    }
}
