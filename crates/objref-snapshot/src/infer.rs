//! Type inference: what a reference says of the object it leads to.
//!
//! From what is certain, types are carried along references to every object that can be reached; [`crate::rounds`] has
//! the order. Everything here only reads, so that many threads can do it at once. A type or function that is met for
//! the first time is a [`Miss`]: it is looked up between two rounds, in the order of addresses.

use objref_go::{CodeTypes, GoProcess, Heap, Object};
use objref_mem::{Addr, Stretch};
use rustc_hash::FxHashMap;

use crate::closure::{Closures, closure_type};
use crate::shape::{Found, Hold, SLICE_COUNT, STRING_COUNT, Shapes, Slot};
use crate::types::{Kind, Type, TypeId, TypeModel};
use crate::view::{Code, Fit, Form, Source};
use crate::views::Views;

/// What a reference says of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) ty: TypeId,
    pub(crate) form: Form,
    pub(crate) source: Source,
    /// How many bytes from the pointer on belong to the object, if the reference says.
    pub(crate) extent: Option<u64>,
    /// How many bytes before the pointer the type starts.
    pub(crate) before: u64,
}

impl Said {
    pub(crate) fn new(ty: TypeId, form: Form, source: Source) -> Said {
        Said {
            ty,
            form,
            source,
            extent: None,
            before: 0,
        }
    }

    /// The best view that can come of it.
    pub(crate) fn best(self) -> Code {
        Code::new(Fit::Whole, self.source, self.form, self.ty)
    }
}

/// Something that is met for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Miss {
    /// A type descriptor.
    Descriptor(Addr),
    /// A table of methods, which names a type.
    Itab(Addr),
    /// The first instruction of a function.
    Code(Addr),
}

/// A slot found for a word, and where the slot starts in memory.
pub(crate) struct Place<'s> {
    slot: &'s Slot,
    pub(crate) at: Addr,
    /// The type whose slot it is: that of the value, or of an element of a long array inside it.
    pub(crate) ty: TypeId,
    /// Offset of the pointer in the value, were it in the first element of every long array around it: the same for all
    /// words that have the same way to them.
    pub(crate) offset: u64,
}

impl<'s> Place<'s> {
    pub(crate) fn slot(&self) -> &'s Slot {
        self.slot
    }
}

/// Appends a step to a path: `a` and `b.c` make `a.b.c`, `a` and `[].c` make `a[].c`.
fn extend_path(path: &mut String, step: &str) {
    if !path.is_empty() && !step.is_empty() && !step.starts_with('[') {
        path.push('.');
    }
    path.push_str(step);
}

/// The types of a snapshot and the views of its objects.
pub(crate) struct Inference<'p> {
    pub(crate) process: &'p GoProcess,
    pub(crate) heap: &'p Heap,
    /// Where most of the heap is, if its words are the usual ones.
    pub(crate) little: Stretch<'p>,
    pub(crate) model: TypeModel<'p>,
    pub(crate) shapes: Shapes,
    pub(crate) views: Views,
    /// Types of variables from code, where there is no DWARF.
    pub(crate) code: Option<CodeTypes<'p>>,
    closures: Closures,
    itabs: FxHashMap<u64, Option<TypeId>>,
    pub(crate) byte: TypeId,
    itab_type: u64,
    timers: Vec<TimerHome>,
}

/// A struct that has a timer in it, which the runtime points to.
struct TimerHome {
    ty: TypeId,
    offset: u64,
    /// Whether it is for timers that fire more than once.
    repeats: bool,
}

/// The structs around timers, those for repeated ones first.
// time/sleep.go: Timer; time/tick.go: Ticker (up to 1.22); runtime/time.go: timeTimer (1.23+)
fn timer_homes(model: &TypeModel<'_>) -> Vec<TimerHome> {
    const HOMES: [(&str, &str, bool); 3] = [
        ("time.Ticker", "r", true),
        ("time.Timer", "r", false),
        ("runtime.timeTimer", "timer", false),
    ];
    let homes = HOMES.iter().filter_map(|(name, field, repeats)| {
        let ty = model.by_name(name)?;
        let field = model.get(ty).fields.iter().find(|f| f.name == *field)?;
        Some(TimerHome {
            ty,
            offset: field.offset,
            repeats: *repeats,
        })
    });
    homes.collect()
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
        let mut infer = Inference {
            process,
            heap,
            little: process.space.little_stretch(),
            byte,
            timers: timer_homes(&model),
            model,
            shapes: Shapes::new(byte),
            views: Views::new(heap.len()),
            code: CodeTypes::new(process),
            closures: Closures::default(),
            itabs: FxHashMap::default(),
            itab_type,
        };
        infer.shapes.grow(infer.model.types.len());
        infer
    }

    /// Asks the types something that may add some.
    pub(crate) fn ask<R>(&mut self, question: impl FnOnce(&mut TypeModel<'p>) -> R) -> R {
        let answer = question(&mut self.model);
        self.shapes.grow(self.model.types.len());
        answer
    }

    /// Looks up what was met for the first time.
    pub(crate) fn resolve(&mut self, miss: Miss) {
        match miss {
            Miss::Descriptor(at) => {
                self.ask(|model| model.by_descriptor(at));
            }
            Miss::Itab(at) => {
                let descriptor = self.process.space.ptr(at.add(self.itab_type)).ok();
                let ty = descriptor.and_then(|at| self.ask(|model| model.by_descriptor(at)));
                self.itabs.insert(at.0, ty);
            }
            Miss::Code(at) => {
                if self.closures.get(at).is_none() {
                    let process = self.process;
                    let stored = self.code.as_mut().and_then(|code| code.closure(at));
                    let made = stored.or_else(|| self.closures.made(process, at));
                    let closure = self.ask(|model| closure_type(process, model, at, made));
                    self.closures.add(at, closure);
                }
            }
        }
    }

    /// As [`Inference::said`], and looks up at once what is met for the first time.
    pub(crate) fn settle(&mut self, hold: Hold, at: Addr, value: u64) -> Option<Said> {
        loop {
            match self.said(hold, at, value) {
                Ok(said) => return said,
                Err(miss) => self.resolve(miss),
            }
        }
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
        if let Some(place) = self.place(ty, offset, word) {
            let (hold, at) = (place.slot().hold, place.at);
            self.reference_as(hold, at, value, target);
        }
    }

    /// Takes a reference of this kind at `at` as evidence of what `target` is.
    pub(crate) fn reference_as(&mut self, hold: Hold, at: Addr, value: u64, target: Object<'p>) {
        if let Some(said) = self.settle(hold, at, value) {
            self.note(target, said, value);
        }
    }

    /// Takes a statement as evidence of what `target` is, which `value` points to.
    pub(crate) fn note(&mut self, target: Object<'p>, said: Said, value: u64) {
        if let Some(code) = self.verdict(target, said, value) {
            self.views.offer(target.id.0, code, &self.model.types);
        }
    }

    /// The slot of the pointer word at `word`, `offset` bytes into a value of `ty`; `None` for the word of an interface
    /// that holds its type, and where the type has no reference.
    #[inline]
    pub(crate) fn place(&self, ty: TypeId, offset: u64, word: Addr) -> Option<Place<'_>> {
        let (mut ty, mut offset, mut outside) = (ty, offset, 0);
        loop {
            let shape = self.shapes.get(&self.model, ty);
            match shape.at(offset)? {
                Found::Slot(index) => {
                    let slot = &shape.slots[index];
                    return (offset == slot.pointer_offset()).then(|| Place {
                        slot,
                        at: slot.start(word),
                        ty,
                        offset: outside + offset,
                    });
                }
                Found::Within(repeat, inner) => {
                    outside += repeat.offset;
                    (ty, offset) = (repeat.elem, inner);
                }
            }
        }
    }

    /// The way to the slot at `offset` of a value of `ty`, which is reached by `before` and is one of several where
    /// `many`.
    pub(crate) fn path(&self, ty: TypeId, offset: u64, before: &str, many: bool) -> String {
        let mut path = before.to_owned();
        if many {
            extend_path(&mut path, "[]");
        }
        let (mut ty, mut offset) = (ty, offset);
        loop {
            let shape = self.shapes.get(&self.model, ty);
            match shape.at(offset) {
                Some(Found::Slot(index)) => {
                    extend_path(&mut path, &shape.slots[index].path);
                    return path;
                }
                Some(Found::Within(repeat, inner)) => {
                    extend_path(&mut path, &repeat.path);
                    (ty, offset) = (repeat.elem, inner);
                }
                None => return path,
            }
        }
    }

    /// What a reference of this kind at `at`, with this pointer, says of the object it leads to.
    #[inline]
    pub(crate) fn said(&self, hold: Hold, at: Addr, value: u64) -> Result<Option<Said>, Miss> {
        let space = &self.process.space;
        let inferred = |ty, form| Ok(Some(Said::new(ty, form, Source::Reference)));
        match hold {
            Hold::One(ty) => inferred(ty, Form::One),
            Hold::Many(ty) => inferred(ty, Form::Many),
            Hold::Slice(ty) => Ok(Some(Said {
                extent: self.extent(hold, at),
                ..Said::new(ty, Form::Many, Source::Reference)
            })),
            Hold::String => Ok(Some(Said {
                extent: self.extent(hold, at),
                ..Said::new(self.byte, Form::Text, Source::Reference)
            })),
            Hold::Node { .. } | Hold::Directory { .. } => Ok(self.chosen(hold, at, value)),
            Hold::Timer(timer) => {
                let start = self.heap.resolve(value).map(|o| o.at);
                let before = start.map_or(0, |at| value - at);
                let container = self.timers.iter().find(|t| {
                    t.offset == before && (!t.repeats || self.timer_repeats(Addr(value)))
                });
                let ty = container.filter(|_| before > 0).map_or(timer, |t| t.ty);
                let before = if ty == timer { 0 } else { before };
                Ok(Some(Said {
                    before,
                    ..Said::new(ty, Form::One, Source::Reference)
                }))
            }
            Hold::ChanBuffer(elemtype) => {
                let Ok(descriptor) = space.ptr(at.add(elemtype)) else {
                    return Ok(None);
                };
                let ty = self.known_descriptor(descriptor)?;
                Ok(ty.map(|ty| Said::new(ty, Form::Many, Source::Record)))
            }
            Hold::Func => {
                let Some(code) = self.word(Addr(value)).map(Addr) else {
                    return Ok(None);
                };
                let known = self.closures.get(code).ok_or(Miss::Code(code))?;
                Ok(known.map(|(ty, form)| Said::new(ty, form, Source::Code)))
            }
            Hold::Interface | Hold::EmptyInterface => {
                let Some(ty) = self.dynamic_type(hold, at)? else {
                    return Ok(None);
                };
                let source = Source::Interface;
                if !self.is_direct(ty) {
                    return Ok(Some(Said::new(ty, Form::One, source)));
                }
                let shape = self.shapes.get(&self.model, ty);
                let Some(slot) = shape.slots.first() else {
                    return Ok(None);
                };
                // An interface in an interface has no pointer of its own there: damage.
                if matches!(slot.hold, Hold::Interface | Hold::EmptyInterface) {
                    return Ok(None);
                }
                let said = self.said(slot.hold, at.add(8), value)?;
                Ok(said.map(|said| Said { source, ..said }))
            }
            Hold::Unknown => Ok(None),
        }
    }

    /// The same of a reference to one of two types.
    pub(crate) fn chosen(&self, hold: Hold, at: Addr, value: u64) -> Option<Said> {
        let space = &self.process.space;
        let (ty, form) = match hold {
            Hold::Node { entry, indirect } => {
                let is_entry = space.u8(Addr(value)).is_ok_and(|b| b != 0);
                (if is_entry { entry } else { indirect }?, Form::One)
            }
            Hold::Directory { group, table } => match space.u64(at.add(8)).ok()? {
                0 => (group, Form::One),
                _ => (table, Form::Many),
            },
            _ => return None,
        };
        Some(Said::new(ty, form, Source::Reference))
    }

    /// The word at `at`.
    #[inline]
    pub(crate) fn word(&self, at: Addr) -> Option<u64> {
        let word = self.little.little_u64(at);
        word.or_else(|| self.process.space.word(at).ok())
    }

    /// How many bytes from the pointer on belong to the object, if a reference of this kind at `at` says.
    #[inline]
    pub(crate) fn extent(&self, hold: Hold, at: Addr) -> Option<u64> {
        match hold {
            Hold::Slice(ty) => Some(self.extent_of(at.add(SLICE_COUNT), self.model.get(ty).size)),
            Hold::String => Some(self.extent_of(at.add(STRING_COUNT), 1)),
            _ => None,
        }
    }

    /// Bytes of as many values of `size` bytes as the word at `count` says.
    #[inline]
    pub(crate) fn extent_of(&self, count: Addr, size: u64) -> u64 {
        self.word(count).unwrap_or(0).saturating_mul(size)
    }

    /// Whether a timer fires more than once.
    // runtime/time.go: timer.period
    fn timer_repeats(&self, timer: Addr) -> bool {
        let period = self.process.field("runtime.timer", "period");
        period.is_some_and(|f| f.read(&self.process.space, timer).is_ok_and(|p| p != 0))
    }

    /// The type that the runtime itself keeps for the object.
    pub(crate) fn stored(&self, descriptor: Addr) -> Result<Option<TypeId>, Miss> {
        self.known_descriptor(descriptor)
    }

    fn known_descriptor(&self, at: Addr) -> Result<Option<TypeId>, Miss> {
        let known = self.model.by_descriptor.get(&at.0);
        known.copied().ok_or(Miss::Descriptor(at))
    }

    /// The type of the value in the interface at `at`.
    pub(crate) fn dynamic_type(&self, hold: Hold, at: Addr) -> Result<Option<TypeId>, Miss> {
        match self.word(at).map(Addr) {
            Some(word) if word.0 != 0 => match hold {
                Hold::Interface => self.itabs.get(&word.0).copied().ok_or(Miss::Itab(word)),
                _ => self.known_descriptor(word),
            },
            _ => Ok(None),
        }
    }

    /// Whether an interface holds a value of the type itself rather than a pointer to it.
    // cmd/compile/internal/types/type.go: IsDirectIface
    pub(crate) fn is_direct(&self, ty: TypeId) -> bool {
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
}
