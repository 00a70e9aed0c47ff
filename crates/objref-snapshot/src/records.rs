//! What the runtime's records of finalizers, cleanups, weak pointers and samples of the memory profile say of types.

use objref_go::{Beside, Heap, Says, SpecialRoots};
use objref_mem::Addr;
use rustc_hash::FxHashMap;

use crate::infer::{Inference, Said};
use crate::mask::{Steps, has_pointers};
use crate::types::{Field, Kind, Type, TypeId, TypeModel};
use crate::view::{Form, Source};

/// What handles behind weak pointers are, the newest first.
const WEAK_HANDLES: [&str; 3] = [
    "runtime.weakHandleBox",
    "internal/runtime/atomic.Uintptr",
    "runtime/internal/atomic.Uintptr",
];

impl TypeModel<'_> {
    /// Adds what handles behind weak pointers are allocated as to the types: debug information leaves it out, because no
    /// variable is one.
    // runtime/mheap.go: getOrAddWeakHandle, go1.26+: weakHandleBox{h atomic.Uintptr; _ [8]byte}
    pub(crate) fn add_weak_handle(&mut self) {
        if self.process.version.minor < 26 || self.by_name(WEAK_HANDLES[0]).is_some() {
            return;
        }
        let Some(inner) = self.by_name(WEAK_HANDLES[1]) else {
            return;
        };
        let id = self.add(Type {
            name: WEAK_HANDLES[0].to_owned(),
            size: 16,
            kind: Kind::Struct,
            fields: vec![Field {
                name: "h".to_owned(),
                offset: 0,
                ty: inner,
                embedded: false,
            }],
        });
        self.by_name.insert(WEAK_HANDLES[0].to_owned(), id);
    }

    /// The type of the handles behind weak pointers.
    pub(crate) fn weak_handle(&self) -> Option<TypeId> {
        WEAK_HANDLES.iter().find_map(|name| self.by_name(name))
    }

    /// What the argument of a cleanup is allocated as.
    // runtime/mcleanup.go: AddCleanup: a box for what the tiny allocator would take
    fn boxed(&mut self, argument: TypeId) -> TypeId {
        const NAME: &str = "[2]uintptr";
        let is_tiny =
            self.get(argument).size < 16 && !has_pointers(self, argument, 0, &mut Steps::default());
        match self.by_name("uintptr") {
            Some(_) if !is_tiny => argument,
            None => argument,
            Some(word) => self.by_name(NAME).unwrap_or_else(|| {
                let id = self.add(Type {
                    name: NAME.to_owned(),
                    size: 2 * self.process.space.word_size(),
                    kind: Kind::Array(word, 2),
                    fields: Vec::new(),
                });
                self.by_name.insert(NAME.to_owned(), id);
                id
            }),
        }
    }

    /// `func()`, which stands for all functions: what a closure is, its code tells.
    pub(crate) fn any_func(&mut self) -> TypeId {
        const NAME: &str = "func()";
        if let Some(known) = self.by_name(NAME) {
            return known;
        }
        let id = self.add(Type {
            name: NAME.to_owned(),
            size: self.process.space.word_size(),
            kind: Kind::Func,
            fields: Vec::new(),
        });
        self.by_name.insert(NAME.to_owned(), id);
        id
    }

    /// The type that the descriptor of a pointer type leads to.
    fn pointed_to(&mut self, pointer: Addr) -> Option<TypeId> {
        let pointer = self.by_descriptor(pointer)?;
        match self.get(pointer).kind {
            Kind::Pointer(elem) => Some(elem),
            _ => None,
        }
    }

    /// The type of the only parameter of the function that a closure is for.
    fn only_parameter(&self, closure: Addr) -> Option<TypeId> {
        let process = self.process;
        let code = process.bias.to_link(process.space.ptr(closure).ok()?);
        let locals = process.debug.locals_at(code);
        let mut params = locals
            .iter()
            .filter(|l| l.is_param && !l.is_result && l.inlined.is_none() && l.name != ".dict");
        let ty = TypeId::of(params.next()?.ty);
        (params.next().is_none() && !self.types.traits(ty).generic).then_some(ty)
    }
}

impl<'p> Inference<'p> {
    /// The type of the value that a word of a record is part of, and how far into it the word is.
    pub(crate) fn recorded(&mut self, says: Says) -> Option<(TypeId, u64)> {
        self.ask(|model| match says {
            Says::Nothing => None,
            Says::Closure => Some((model.any_func(), 0)),
            Says::Pointer(ty) => Some((model.by_descriptor(ty)?, 0)),
            Says::Within(ty, offset) => Some((model.pointed_to(ty)?, offset)),
            Says::WeakHandle => {
                let handle = model.weak_handle()?;
                Some((model.pointer_to(handle), 0))
            }
            Says::Argument(function) => {
                let argument = model.only_parameter(function)?;
                let argument = model.boxed(argument);
                Some((model.pointer_to(argument), 0))
            }
        })
    }

    /// Takes what the runtime keeps beside objects as evidence of what they are.
    pub(crate) fn note_beside(&mut self, roots: &SpecialRoots<'_>) {
        let heap: &'p Heap = self.heap;
        let mut sites: FxHashMap<Addr, Option<Said>> = FxHashMap::default();
        roots.beside(heap, &mut |object, beside| {
            let Some(target) = heap.resolve(object) else {
                return;
            };
            let said = match beside {
                Beside::Finalizer(pointer) => self
                    .ask(|model| model.pointed_to(pointer))
                    .map(|ty| Said::new(ty, Form::One, Source::Record)),
                Beside::Sample(bucket) => *sites.entry(bucket).or_insert_with(|| {
                    let stack = roots.stack_of_sample(bucket)?;
                    let (ty, form) = self.allocated_at(&stack)?;
                    Some(Said::new(ty, form, Source::Code))
                }),
            };
            if let Some(said) = said {
                self.note(target, said, object);
            }
        });
    }
}
