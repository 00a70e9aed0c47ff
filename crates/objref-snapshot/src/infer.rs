//! Type inference: from what is certain, along references, to every object that can be reached.

use std::sync::Arc;

use objref_go::{GoProcess, Heap, ObjId, Object, fills_slot};
use objref_mem::Addr;

use crate::closure::Closures;
use crate::flatten::is_channel;
use crate::shape::{Found, Hold, Shape, Shapes, Slot};
use crate::types::{Kind, Type, TypeId, TypeModel};
use crate::view::{Certainty, Fit, Form, View, Views};

/// What a reference says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) ty: TypeId,
    pub(crate) form: Form,
    pub(crate) certainty: Certainty,
}

impl Target {
    fn inferred(ty: TypeId, form: Form) -> Option<Target> {
        Some(Target {
            ty,
            form,
            certainty: Certainty::Inferred,
        })
    }
}

/// A slot found for a word, and where the slot starts in memory.
pub(crate) struct Place {
    pub(crate) shape: Arc<Shape>,
    pub(crate) index: usize,
    pub(crate) at: Addr,
    /// The way to the array that the slot is an element of, if it is inside a long one.
    pub(crate) prefix: Option<Arc<str>>,
    /// The type whose shape it is.
    pub(crate) ty: TypeId,
}

impl Place {
    pub(crate) fn slot(&self) -> &Slot {
        &self.shape.slots[self.index]
    }

    /// The way to the slot from a value reached by `before`, which is one of several where `many`.
    pub(crate) fn path(&self, before: &str, many: bool) -> String {
        let mut path = before.to_owned();
        if many {
            extend_path(&mut path, "[]");
        }
        if let Some(prefix) = &self.prefix {
            extend_path(&mut path, prefix);
        }
        extend_path(&mut path, &self.slot().path);
        path
    }
}

/// Appends a step to a path: `a` and `b.c` make `a.b.c`, `a` and `[].c` make `a[].c`.
pub(crate) fn extend_path(path: &mut String, step: &str) {
    if !path.is_empty() && !step.is_empty() && !step.starts_with('[') {
        path.push('.');
    }
    path.push_str(step);
}

/// The types of a snapshot and the views of its objects.
pub(crate) struct Inference<'p> {
    pub(crate) process: &'p GoProcess,
    pub(crate) heap: &'p Heap,
    pub(crate) model: TypeModel<'p>,
    pub(crate) shapes: Shapes,
    pub(crate) views: Views,
    closures: Closures,
    byte: TypeId,
    itab_type: u64,
    /// Objects whose view became better after they had been followed.
    again: Vec<u32>,
    followed: Vec<u64>,
}

impl<'p> Inference<'p> {
    pub(crate) fn new(process: &'p GoProcess, heap: &'p Heap) -> Self {
        let mut model = TypeModel::new(process);
        let byte = model.by_name("uint8").unwrap_or_else(|| {
            model.add(Type {
                name: "uint8".into(),
                size: 1,
                kind: Kind::Scalar,
                fields: Vec::new(),
            })
        });
        let itab_type = process
            .field("internal/abi.ITab | runtime.itab", "Type | _type")
            .map_or(8, |f| f.offset);
        Inference {
            process,
            heap,
            byte,
            model,
            shapes: Shapes::default(),
            views: Views::new(heap.len()),
            closures: Closures::default(),
            itab_type,
            again: Vec::new(),
            followed: vec![0; heap.len().div_ceil(64)],
        }
    }

    /// Follows the references of every object of `order`, which names holders before what they hold.
    pub(crate) fn run(&mut self, order: &[u32]) {
        for &object in order {
            self.state(object);
            self.follow(object);
        }
        while let Some(object) = self.again.pop() {
            self.follow(object);
        }
    }

    /// Notes what the runtime itself says of the object.
    fn state(&mut self, object: u32) {
        let (span, at) = self.heap.locate(ObjId(object));
        let Some(descriptor) = self.heap.stored_type(&self.process.space, span, at) else {
            return;
        };
        let Some(ty) = self.model.by_descriptor(descriptor) else {
            return;
        };
        let size = self.model.get(ty).size;
        if size == 0 {
            return;
        }
        let room = span.elem_size - self.heap.data_offset(span);
        let form = if room / size < 2 {
            Form::One
        } else {
            Form::Many
        };
        self.views.set(
            object,
            View {
                ty,
                form,
                certainty: Certainty::Exact,
            },
            Fit::Stated,
        );
    }

    fn follow(&mut self, object: u32) {
        self.followed[object as usize / 64] |= 1 << (object % 64);
        let Some(view) = self.views.get(object) else {
            return self.follow_untyped(object);
        };
        let heap = self.heap;
        let (span, at) = heap.locate(ObjId(object));
        if span.noscan || view.form == Form::Opaque {
            return;
        }
        let start = heap.data_offset(span);
        let size = self.model.get(view.ty).size.max(1);
        let shape = self.shapes.get(&self.model, view.ty);
        heap.pointers(&self.process.space, ObjId(object), |offset, value| {
            let Some(target) = heap.resolve(value) else {
                return;
            };
            if !self.views.improves(target.id.0, Fit::Whole) {
                return;
            }
            let word = Addr(at + offset);
            let mut offset = offset.wrapping_sub(start);
            if view.form == Form::Many {
                offset %= size;
            }
            match shape.at(offset) {
                Some(Found::Slot(index)) => {
                    let slot = &shape.slots[index];
                    if offset == slot.pointer_offset() {
                        let at = Addr(word.0 - (offset - slot.offset));
                        self.reference_as(slot.hold, at, value, target);
                    }
                }
                Some(Found::Within(..)) => self.reference(view.ty, offset, word, value, target),
                None => {}
            }
        });
    }

    /// Takes the word at `word`, `offset` bytes into a value of `ty`, as evidence of what `target` is.
    pub(crate) fn reference(
        &mut self,
        ty: TypeId,
        offset: u64,
        word: Addr,
        value: u64,
        target: Object<'p>,
    ) {
        let Some(place) = self.place(ty, offset, word) else {
            return;
        };
        self.reference_as(place.slot().hold, place.at, value, target);
    }

    /// Takes a reference of this kind at `at` as evidence of what `target` is.
    pub(crate) fn reference_as(&mut self, hold: Hold, at: Addr, value: u64, target: Object<'p>) {
        if let Some(said) = self.target(hold, at, value) {
            self.propose(target, said, value);
        }
    }

    /// The slot of the pointer word at `word`, `offset` bytes into a value of `ty`; `None` for the word of an interface
    /// that holds its type, and where the type has no reference.
    #[inline]
    pub(crate) fn place(&mut self, ty: TypeId, offset: u64, word: Addr) -> Option<Place> {
        let (mut ty, mut offset, mut prefix) = (ty, offset, None);
        loop {
            let shape = self.shapes.get(&self.model, ty);
            match shape.at(offset)? {
                Found::Slot(index) => {
                    let slot = &shape.slots[index];
                    if offset != slot.pointer_offset() {
                        return None;
                    }
                    let at = Addr(word.0 - (offset - slot.offset));
                    return Some(Place {
                        index,
                        at,
                        prefix,
                        ty,
                        shape,
                    });
                }
                Found::Within(elem, inner, path) => {
                    prefix = Some(match prefix {
                        None => Arc::clone(path),
                        Some(outer) => {
                            let mut way = outer.to_string();
                            extend_path(&mut way, path);
                            way.into()
                        }
                    });
                    (ty, offset) = (elem, inner);
                }
            }
        }
    }

    /// What a reference of this kind at `at`, with this pointer, says of the object it leads to.
    pub(crate) fn target(&mut self, hold: Hold, at: Addr, value: u64) -> Option<Target> {
        let space = &self.process.space;
        match hold {
            Hold::One(ty) => Target::inferred(ty, Form::One),
            Hold::Node(ty) => Target::inferred(self.trie_node(ty, value)?, Form::One),
            Hold::Slice(ty) | Hold::Many(ty) => Target::inferred(ty, Form::Many),
            Hold::String => Target::inferred(self.byte, Form::Text),
            Hold::Directory { group, table } => match space.u64(at.add(8)).ok()? {
                0 => Target::inferred(group, Form::One),
                _ => Target::inferred(table, Form::Many),
            },
            Hold::ChanBuffer(elemtype) => {
                let descriptor = space.ptr(at.add(elemtype)).ok()?;
                let ty = self.model.by_descriptor(descriptor)?;
                Some(Target {
                    ty,
                    form: Form::Many,
                    certainty: Certainty::Exact,
                })
            }
            Hold::Func => {
                let (ty, form) = self.closures.get(self.process, &mut self.model, value)?;
                Target::inferred(ty, form)
            }
            Hold::Interface | Hold::EmptyInterface => {
                let ty = self.dynamic_type(hold, at)?;
                if !self.is_direct(ty) {
                    return Some(Target {
                        ty,
                        form: Form::One,
                        certainty: Certainty::Exact,
                    });
                }
                let shape = self.shapes.get(&self.model, ty);
                let said = self.target(shape.slots.first()?.hold, at.add(8), value)?;
                Some(Target {
                    certainty: Certainty::Exact,
                    ..said
                })
            }
            Hold::Unknown => None,
        }
    }

    /// The type of the value in the interface at `at`.
    pub(crate) fn dynamic_type(&mut self, hold: Hold, at: Addr) -> Option<TypeId> {
        let space = &self.process.space;
        let mut descriptor = space.ptr(at).ok().filter(|a| a.0 != 0)?;
        if hold == Hold::Interface {
            descriptor = space.ptr(descriptor.add(self.itab_type)).ok()?;
        }
        self.model.by_descriptor(descriptor)
    }

    /// Whether an interface holds a value of the type itself rather than a pointer to it.
    // cmd/compile/internal/types/type.go: IsDirectIface
    pub(crate) fn is_direct(&mut self, ty: TypeId) -> bool {
        let this = self.model.get(ty);
        match this.kind {
            Kind::Pointer(_)
            | Kind::UnsafePointer
            | Kind::Map { .. }
            | Kind::Chan { .. }
            | Kind::Func => true,
            Kind::Struct | Kind::Array(..) if this.size == 8 => {
                self.shapes.get(&self.model, ty).has_references()
            }
            _ => false,
        }
    }

    /// Nodes of a concurrent trie start with a flag that tells which of two structs they are. Where the binary does not
    /// describe the struct for these types, the code that is shared by types of the same shape does.
    // internal/sync/hashtriemap.go: node (1.24+), internal/concurrent/hashtriemap.go (1.23), unique/canonmap.go
    fn trie_node(&self, node: TypeId, value: u64) -> Option<TypeId> {
        let (package, arguments) = self.model.get(node).name.split_once(".node[")?;
        let is_entry = self.process.space.u8(Addr(value)).is_ok_and(|b| b != 0);
        let generic = format!("{package}.{}", if is_entry { "entry" } else { "indirect" });
        self.model
            .by_name(&format!("{generic}[{arguments}"))
            .or_else(|| {
                let shapes = format!("go.shape.{}", arguments.replace(',', ",go.shape."));
                self.model.by_name(&format!("{generic}[{shapes}"))
            })
    }

    /// Keeps the proposed view if it explains the object better than what is known.
    pub(crate) fn propose(&mut self, target: Object<'p>, said: Target, value: u64) {
        let object = target.id.0;
        if !self.views.improves(object, Fit::Whole) {
            return;
        }
        let Some(fit) = self.fit(target, said, value) else {
            return;
        };
        if !self.views.improves(object, fit) {
            return;
        }
        // A part of a slot says little about the whole, whoever says it.
        let certainty = if fit == Fit::Whole {
            said.certainty
        } else {
            Certainty::Inferred
        };
        self.views.set(
            object,
            View {
                ty: said.ty,
                form: said.form,
                certainty,
            },
            fit,
        );
        if self.followed[object as usize / 64] >> (object % 64) & 1 != 0 {
            self.again.push(object);
        }
    }

    /// How well a view explains an object that is pointed to at `value`; `None` where it contradicts the heap.
    fn fit(&mut self, target: Object<'p>, said: Target, value: u64) -> Option<Fit> {
        let (heap, Object { span, at, .. }) = (self.heap, target);
        let header = heap.data_offset(span);
        let (start, room) = (at + header, span.elem_size - header);
        let size = self.model.get(said.ty).size;
        if said.form == Form::Opaque {
            return (value == start).then_some(Fit::Whole);
        }
        if size == 0 || size > room {
            return None;
        }
        // The binary may not know all that a closure captured: its words do not have to explain the whole slot.
        if Closures::is_closure(self.model.get(said.ty)) {
            return (value == start).then_some(Fit::Whole);
        }
        let (has_references, mask) = self.shapes.outline(&self.model, said.ty);
        if has_references == span.noscan {
            // A channel of elements without pointers is one object with its buffer, and never scanned.
            // runtime/chan.go: makechan
            let channel =
                span.noscan && value == start && is_channel(&self.model.get(said.ty).name);
            return channel.then_some(Fit::Whole);
        }
        let from_start = value.checked_sub(start)?;
        let fit = match said.form {
            // Tiny objects share a block: the first to be seen names it.
            Form::One if from_start != 0 && span.is_tiny() && size < span.elem_size => Fit::Run,
            Form::One if from_start != 0 => return None,
            Form::One if fills_slot(size + header, span.elem_size, span.noscan) => Fit::Whole,
            Form::One => Fit::Part,
            _ if from_start % size != 0 => return None,
            _ if from_start == 0 => Fit::Whole,
            _ => Fit::Run,
        };
        let (Some(found), Some(mask)) = (heap.pointer_mask(&self.process.space, span, at), mask)
        else {
            return Some(fit);
        };
        let expected = match said.form {
            Form::One => mask,
            _ => tile(mask, size / 8, room / 8),
        };
        if found & !expected != 0 {
            return None;
        }
        // Fewer pointers than the type has: memory that the collector does not manage is pointed to, or the view is wrong.
        Some(if said.form == Form::One && found != expected {
            Fit::Part
        } else {
            fit
        })
    }
}

/// `mask` of `words` bits, repeated over `room` bits (at most 64).
fn tile(mask: u64, words: u64, room: u64) -> u64 {
    let mut tiled = 0;
    let mut at = 0;
    while words > 0 && at < room.min(64) {
        tiled |= mask << at;
        at += words;
    }
    tiled
}
