//! Steps: how a holder refers to what it holds, in words.

use objref_go::ObjId;
use objref_mem::Addr;
use rustc_hash::FxHashMap;

use crate::flatten::MapPart;
use crate::infer::{Inference, Place, Said};
use crate::names::{reference_name, short, type_name};
use crate::shape::Hold;
use crate::types::{Kind, TypeId};
use crate::view::{Form, View};

/// A step's text: an id into [`Steps`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StepId(pub u32);

/// The step between two parts of one Go value, which reports do not show: from a map's header to its tables.
pub const INSIDE: StepId = StepId(0);

/// The texts of all steps.
#[derive(Debug)]
pub struct Steps {
    texts: Vec<String>,
    by_text: FxHashMap<String, StepId>,
    by_key: FxHashMap<Key, StepId>,
}

/// What decides a step's text: the holder's type and slot, and what the reference turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    holder: u32,
    slot: u32,
    form: Form,
    /// Type of the target, or for untyped targets the complement of the slot size.
    target: u64,
    target_form: Form,
}

const NO_HOLDER: u32 = u32::MAX;

impl Default for Steps {
    fn default() -> Self {
        let mut steps = Steps {
            texts: Vec::new(),
            by_text: FxHashMap::default(),
            by_key: FxHashMap::default(),
        };
        steps.intern(String::new());
        steps
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

/// Finds the words for references.
pub(crate) struct Describer<'a, 'p> {
    pub(crate) infer: &'a Inference<'p>,
    pub(crate) steps: Steps,
}

impl Describer<'_, '_> {
    /// The step from a heap object, seen as `view`, through the pointer at `word` to `target`.
    pub(crate) fn through_object(
        &mut self,
        view: Option<View>,
        offset: u64,
        word: Addr,
        value: u64,
        target: ObjId,
    ) -> StepId {
        let place = match view {
            Some(view) if view.form != Form::Opaque => self.infer.place(view.ty, offset, word),
            _ => None,
        };
        let many = view.is_some_and(|v| v.form == Form::Many);
        match place {
            Some(place) => self.through_place(&place, many, value, target),
            None => self.unknown(target),
        }
    }

    /// The step through a slot of a typed object.
    fn through_place(
        &mut self,
        place: &Place<'_>,
        many: bool,
        value: u64,
        target: ObjId,
    ) -> StepId {
        let key = place
            .prefix
            .is_none()
            .then(|| self.key(place, value, many, target));
        if let Some(known) = key.and_then(|key| self.steps.by_key.get(&key)) {
            return *known;
        }
        let step = if self.is_inside(place) {
            INSIDE
        } else {
            // Keys and values stand in arrays of groups or buckets, which nobody but the runtime sees.
            let in_map = MapPart::of(&self.infer.model.get(place.ty).name).is_some();
            let path = match place.path("", many && !in_map) {
                path if path.is_empty() => "*".to_owned(),
                path => path,
            };
            let reference = self.reference(place, value, target);
            self.steps.intern(format!("{path} {reference}"))
        };
        if let Some(key) = key {
            self.steps.by_key.insert(key, step);
        }
        step
    }

    /// The step from a variable; `before` is the way to the value that the slot is in, which may start with the
    /// variable's name.
    pub(crate) fn through_variable(
        &mut self,
        place: &Place<'_>,
        before: &str,
        many: bool,
        value: u64,
        target: ObjId,
    ) -> StepId {
        let reference = self.reference(place, value, target);
        let text = match place.path(before, many) {
            path if path.is_empty() => reference,
            path => format!("{path} {reference}"),
        };
        self.steps.intern(text)
    }

    fn key(&mut self, place: &Place<'_>, value: u64, many: bool, target: ObjId) -> Key {
        let (hold, at) = (place.slot().hold, place.at);
        let (dynamic, target_form) = match hold {
            Hold::Interface | Hold::EmptyInterface | Hold::Func => {
                match self.said(hold, at, value) {
                    Some(said) => (u64::from(said.ty.0), said.form),
                    None => (u64::MAX, Form::One),
                }
            }
            Hold::Unknown => self.target_key(target),
            _ => (0, Form::One),
        };
        let form = if many { Form::Many } else { Form::One };
        Key {
            holder: place.ty.0,
            slot: place.index as u32,
            form,
            target: dynamic,
            target_form,
        }
    }

    fn target_key(&self, target: ObjId) -> (u64, Form) {
        match self.infer.views.get(target.0) {
            Some(view) => (u64::from(view.ty.0), view.form),
            None => (!self.infer.heap.size(target), Form::One),
        }
    }

    /// What a reference says of its target. After inference nothing is met for the first time but by damaged words.
    fn said(&self, hold: Hold, at: Addr, value: u64) -> Option<Said> {
        self.infer.said(hold, at, value).ok().flatten()
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
    fn reference(&mut self, place: &Place<'_>, value: u64, target: ObjId) -> String {
        let (hold, at, declared) = (place.slot().hold, place.at, place.slot().ty);
        match hold {
            Hold::Interface | Hold::EmptyInterface => {
                let interface = self.type_name(declared);
                match self.infer.dynamic_type(hold, at).ok().flatten() {
                    Some(ty) => format!("{interface}({})", self.type_name(ty)),
                    None => interface,
                }
            }
            Hold::Func => match self.said(hold, at, value) {
                Some(said) => short(&self.infer.model.get(said.ty).name),
                None => self.type_name(declared),
            },
            Hold::Unknown => match self.infer.views.get(target.0) {
                Some(view) => {
                    format!(
                        "{}({})",
                        self.type_name(declared),
                        reference_name(&self.infer.model.types, view)
                    )
                }
                None => format!("{} {}", self.type_name(declared), self.size_class(target)),
            },
            _ => self.type_name(declared),
        }
    }

    fn type_name(&self, ty: TypeId) -> String {
        type_name(&self.infer.model.types, ty)
    }

    /// The step from something untyped.
    pub(crate) fn unknown(&mut self, target: ObjId) -> StepId {
        let (ty, form) = self.target_key(target);
        let key = Key {
            holder: NO_HOLDER,
            slot: 0,
            form: Form::One,
            target: ty,
            target_form: form,
        };
        if let Some(known) = self.steps.by_key.get(&key) {
            return *known;
        }
        let text = match self.infer.views.get(target.0) {
            Some(view) => format!("? {}", reference_name(&self.infer.model.types, view)),
            None => format!("? {}", self.size_class(target)),
        };
        let step = self.steps.intern(text);
        self.steps.by_key.insert(key, step);
        step
    }

    /// What can be said of an untyped object: the size of its slot.
    fn size_class(&self, target: ObjId) -> String {
        let size = self.infer.heap.size(target);
        if size > 32768 {
            "[large]".to_owned()
        } else {
            format!("[{size} B]")
        }
    }
}
