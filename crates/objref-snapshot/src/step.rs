//! Steps: how a holder refers to what it holds, in words.
//!
//! A [`StepKey`] says in numbers what decides the words. Millions of references have one, and few have one of their
//! own, so that words are made for keys, never for references.

use objref_go::ObjId;
use objref_graph::NONE;
use objref_mem::Addr;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::flatten::MapPart;
use crate::follow::remainder;
use crate::infer::{Inference, Place};
use crate::names::{reference_name, type_name};
use crate::shape::{Hold, Slot};
use crate::types::{Kind, TypeId};
use crate::view::{Code, Form};

/// A step's text: an id into [`Steps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StepId(pub u32);

/// The step between two parts of one Go value, which reports do not show: from a map's header to its tables.
pub const INSIDE: StepId = StepId(0);

/// Stands for the step to what nothing leads to.
pub(crate) const NOWHERE: StepId = StepId(NONE);

/// The texts of all steps.
#[derive(Clone, Debug)]
pub struct Steps {
    texts: Vec<String>,
    by_text: FxHashMap<String, StepId>,
}

impl Default for Steps {
    fn default() -> Self {
        let mut steps = Steps {
            texts: Vec::new(),
            by_text: FxHashMap::default(),
        };
        steps.intern(String::new());
        steps
    }
}

impl From<Vec<String>> for Steps {
    fn from(texts: Vec<String>) -> Self {
        let ids = (0..texts.len() as u32).map(StepId);
        Steps {
            by_text: texts.iter().cloned().zip(ids).collect(),
            texts,
        }
    }
}

impl Steps {
    /// The text of a step.
    pub fn text(&self, id: StepId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// All texts, by id.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn intern(&mut self, text: String) -> StepId {
        let next = StepId(self.texts.len() as u32);
        *self.by_text.entry(text).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            next
        })
    }
}

/// What decides a step's text: the holder's type, the place in it, and what the reference turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StepKey {
    /// In which value, and where there ([`Place::offset`]); `None` for a word of which nothing is known.
    slot: Option<(Container, u64)>,
    target: Target,
}

/// The typed value that a reference is in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Container {
    pub(crate) ty: TypeId,
    /// Whether it is one of several.
    pub(crate) many: bool,
}

/// What has to be known of a reference beyond its declared type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Target {
    /// Nothing.
    Declared,
    /// The type that an interface holds, or the function of a closure.
    Dynamic(TypeId),
    /// What the target is seen as.
    Seen(TypeId, Form),
    /// The size of the target's slot; `None` for that of a large object.
    Untyped(Option<u32>),
}

/// What has to be known of a reference whose place is known.
pub(crate) enum Deciding {
    /// Nothing: this is the key.
    Nothing(StepKey),
    /// The word before the pointer, which in an interface tells the type.
    TypeWord,
    /// Where it leads.
    Target,
}

/// A reference to an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// The value that it is in, if its type is known.
    pub(crate) container: Option<Container>,
    /// Offset of the pointer in that value.
    pub(crate) offset: u64,
    /// Where it leads.
    pub(crate) target: ObjId,
}

/// A pointer, and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer {
    pub(crate) word: Addr,
    pub(crate) value: u64,
}

/// Finds the words for references.
#[derive(Clone, Copy)]
pub(crate) struct Describer<'a, 'p> {
    pub(crate) infer: &'a Inference<'p>,
}

impl Describer<'_, '_> {
    /// The value in `object` that its references are in, if its type is known, and the size of such a value where there
    /// are many: otherwise more than any.
    pub(crate) fn container(&self, object: ObjId) -> (Option<Container>, u64) {
        self.contained(self.infer.views.code(object.0))
    }

    /// The same of an object that is seen as this.
    pub(crate) fn contained(&self, code: Code) -> (Option<Container>, u64) {
        let (ty, form) = (code.ty(), code.form());
        if !code.is_known() || form == Form::Opaque {
            return (None, u64::MAX);
        }
        let many = form == Form::Many;
        let size = match many {
            true => self.infer.model.get(ty).size.max(1),
            false => u64::MAX,
        };
        (Some(Container { ty, many }), size)
    }

    /// Calls `visit` for each object that `object` refers to, in the order of the pointers, with what decides the words.
    pub(crate) fn references(&self, object: ObjId, mut visit: impl FnMut(ObjId, StepKey)) {
        let (heap, space) = (self.infer.heap, &self.infer.process.space);
        let (span, at) = heap.locate(object);
        if span.noscan {
            return;
        }
        let start = heap.data_offset(span);
        let (container, size) = self.container(object);
        heap.pointers_at(space, span, at, |offset, value| {
            if let Some(target) = heap.find(value) {
                let inside = offset.wrapping_sub(start);
                let reference = Reference {
                    container,
                    offset: remainder(inside, size),
                    target,
                };
                let word = Addr(at + offset);
                visit(target, self.key(&reference, || Pointer { word, value }));
            }
        });
    }

    /// The pointer at `word`.
    pub(crate) fn pointer(&self, word: Addr) -> Pointer {
        let value = self.infer.word(word).unwrap_or(0);
        Pointer { word, value }
    }

    /// Where the data of `object` starts.
    pub(crate) fn data(&self, object: ObjId) -> Addr {
        let (span, at) = self.infer.heap.locate(object);
        Addr(at + self.infer.heap.data_offset(span))
    }

    /// What decides the words for the references at a place.
    pub(crate) fn deciding(&self, container: Container, offset: u64) -> Deciding {
        let Some(place) = self.infer.place(container.ty, offset, Addr(offset)) else {
            return Deciding::Target;
        };
        match place.slot().hold {
            Hold::Interface | Hold::EmptyInterface => Deciding::TypeWord,
            Hold::Func | Hold::Unknown => Deciding::Target,
            _ => Deciding::Nothing(StepKey {
                slot: Some((container, place.offset)),
                target: Target::Declared,
            }),
        }
    }

    /// What decides the words for a reference; `pointer` is asked for only where they depend on what is in memory.
    #[inline]
    pub(crate) fn key(&self, reference: &Reference, pointer: impl FnOnce() -> Pointer) -> StepKey {
        let Reference { offset, target, .. } = *reference;
        let place = reference.container.and_then(|container| {
            let place = self.infer.place(container.ty, offset, Addr(offset))?;
            Some((container, place))
        });
        match place {
            Some((container, place)) => StepKey {
                slot: Some((container, place.offset)),
                target: self.target(place.slot(), target, pointer),
            },
            None => StepKey {
                slot: None,
                target: self.seen(target),
            },
        }
    }

    #[inline]
    fn target(&self, slot: &Slot, target: ObjId, pointer: impl FnOnce() -> Pointer) -> Target {
        let hold = slot.hold;
        match hold {
            // After inference nothing is met for the first time but by damaged words.
            Hold::Interface | Hold::EmptyInterface => {
                let dynamic = self.infer.dynamic_type(hold, slot.start(pointer().word));
                dynamic
                    .ok()
                    .flatten()
                    .map_or(Target::Declared, Target::Dynamic)
            }
            Hold::Func => {
                let Pointer { word, value } = pointer();
                let said = self.infer.said(hold, slot.start(word), value);
                let said = said.ok().flatten();
                said.map_or(Target::Declared, |said| Target::Dynamic(said.ty))
            }
            Hold::Unknown => self.seen(target),
            _ => Target::Declared,
        }
    }

    fn seen(&self, target: ObjId) -> Target {
        // runtime/sizeclasses.go: maxSmallSize
        const LARGEST: u64 = 32768;
        match self.infer.views.get(target.0) {
            Some(view) => Target::Seen(view.ty, view.form),
            None => match self.infer.heap.size(target) {
                size @ ..=LARGEST => Target::Untyped(Some(size as u32)),
                _ => Target::Untyped(None),
            },
        }
    }

    /// The words of a step from an object; none for a step that reports do not show.
    pub(crate) fn text(&self, key: StepKey) -> String {
        let Some((container, place)) = self.place(key) else {
            return format!("? {}", self.target_name(key.target));
        };
        if self.is_inside(&place) {
            return String::new();
        }
        // Keys and values stand in arrays of groups or buckets, which nobody but the runtime sees.
        let many = container.many && MapPart::of(&self.infer.model.get(place.ty).name).is_none();
        let path = match self.infer.path(container.ty, place.offset, "", many) {
            path if path.is_empty() => "*".to_owned(),
            path => path,
        };
        format!("{path} {}", self.reference(place.slot(), key.target))
    }

    /// The words of a step from a variable; `before` is the way to the value that holds the reference, which may start
    /// with the variable's name. `None` where nothing is known of the word.
    pub(crate) fn variable_text(&self, key: StepKey, before: &str) -> Option<String> {
        let (container, place) = self.place(key)?;
        let reference = self.reference(place.slot(), key.target);
        let path = self
            .infer
            .path(container.ty, place.offset, before, container.many);
        Some(match path {
            path if path.is_empty() => reference,
            path => format!("{path} {reference}"),
        })
    }

    fn place(&self, key: StepKey) -> Option<(Container, Place<'_>)> {
        let (container, offset) = key.slot?;
        Some((
            container,
            self.infer.place(container.ty, offset, Addr(offset))?,
        ))
    }

    /// Whether both ends are parts of the same map or channel.
    fn is_inside(&self, place: &Place<'_>) -> bool {
        let model = &self.infer.model;
        let holder = model.get(place.ty);
        if matches!(place.slot().hold, Hold::ChanBuffer(_)) {
            return true;
        }
        let holder_part = match holder.kind {
            // The directory of a map is an array of these.
            Kind::Pointer(elem) => {
                MapPart::of(&model.get(elem).name).filter(|p| *p == MapPart::Table)
            }
            _ => MapPart::of(&holder.name),
        };
        match holder_part {
            Some(MapPart::Header | MapPart::Table) => true,
            Some(MapPart::Bucket) => &*place.slot().path == "overflow",
            Some(MapPart::Group) => false,
            // runtime/map.go: mapextra keeps overflow buckets without pointers alive.
            None => matches!(
                holder.name.as_str(),
                "runtime.mapextra" | "[]*runtime.bmap" | "*runtime.bmap"
            ),
        }
    }

    /// The reference's type as a Go programmer would write it.
    fn reference(&self, slot: &Slot, target: Target) -> String {
        let declared = self.type_name(slot.ty);
        match (slot.hold, target) {
            (Hold::Func, Target::Dynamic(_)) => self.target_name(target),
            (_, Target::Dynamic(_) | Target::Seen(..)) => {
                format!("{declared}({})", self.target_name(target))
            }
            (_, Target::Untyped(_)) => format!("{declared} {}", self.target_name(target)),
            (_, Target::Declared) => declared,
        }
    }

    fn target_name(&self, target: Target) -> String {
        let types = &self.infer.model.types;
        match target {
            Target::Declared => String::new(),
            Target::Dynamic(ty) => self.type_name(ty),
            Target::Seen(ty, form) => reference_name(types, ty, form),
            Target::Untyped(Some(size)) => format!("[{size} B]"),
            Target::Untyped(None) => "[large]".to_owned(),
        }
    }

    fn type_name(&self, ty: TypeId) -> String {
        type_name(&self.infer.model.types, ty)
    }
}
