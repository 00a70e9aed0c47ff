//! Following the references of objects: where each leads, and what it says of that.

use std::ops::Range;

use arrayvec::ArrayVec;
use objref_go::{Batch, ObjId, Object, Reference};
use objref_graph::pieces::Part;
use objref_graph::{BATCH, LABELS, LabeledEdge, Reach};
use objref_mem::Addr;

use crate::codes::SPILLED;
use crate::dynamic::Dynamic;
use crate::fit::Plans;
use crate::infer::{Inference, Miss, Said};
use crate::rounds::Findings;
use crate::shape::{Pointer, Shape};
use crate::view::{Code, Form, Source};

/// Where in an object's data a reference is: the label of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset(pub(crate) u32);

impl Offset {
    /// Pointers are aligned at least so.
    const UNIT: u64 = 4;

    /// Farther from the start than can be told.
    const FAR: u32 = LABELS - 1;

    #[inline]
    fn new(bytes: u64) -> Offset {
        Offset((bytes / Offset::UNIT).min(u64::from(Offset::FAR)) as u32)
    }

    /// In bytes; `None` for one farther from the start than the 8 GiB that can be told.
    pub(crate) fn bytes(self) -> Option<u64> {
        (self.0 != Offset::FAR).then_some(u64::from(self.0) * Offset::UNIT)
    }
}

/// Memory to work in.
#[derive(Default)]
pub(crate) struct Work<'p> {
    batch: Batch<'p>,
    seen: Vec<Seen>,
    open: Vec<Open>,
    memory: Memory,
}

/// What is remembered of types.
#[derive(Default)]
struct Memory {
    plans: Plans,
    dynamic: Dynamic,
}

/// What is known of where a reference leads.
#[derive(Clone, Copy)]
struct Seen {
    /// To [`Reach`].
    reach: u32,
    /// By the number of its view.
    view: u16,
    /// Whether it is sure not to have been followed.
    is_ahead: bool,
}

/// What a reference says of where it leads, where that takes more than a glance.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// The best that it can say, if that does not depend on more than types.
    best: Code,
    /// Index of the reference.
    reference: u16,
}

/// What a type says of what its references lead to.
#[derive(Clone, Copy)]
struct Role<'s> {
    code: Code,
    /// Of each of the values that an object consists of; of more than any object where there is one.
    size: u64,
    shape: &'s Shape,
}

/// An object with a role.
#[derive(Clone, Copy)]
struct Holder<'s> {
    role: Role<'s>,
    /// Address of its data.
    start: u64,
}

impl<'p> Inference<'p> {
    /// Follows the references of `objects`, [`BATCH`] at most, and tells `reach` of them; where `part` is not the whole, those
    /// in that part of the only one.
    pub(crate) fn follow(
        &self,
        objects: &[u32],
        part: Part,
        followed: impl Fn(u32) -> bool,
        work: &mut Work<'p>,
        found: &mut Findings,
        reach: &mut impl Reach,
    ) {
        let (heap, space) = (self.heap, &self.process.space);
        let Work {
            batch,
            seen,
            open,
            memory,
        } = work;
        match (part, objects) {
            (Part::WHOLE, _) => batch.load(heap, space, objects.iter().copied().map(ObjId)),
            (Part { number, of }, [object]) => {
                batch.load_part(heap, space, ObjId(*object), (number.into(), of.into()));
            }
            _ => return,
        }
        let mut last = (0, None);
        // In place: it is more than a few lines of memory.
        let mut holders = ArrayVec::<_, BATCH>::new();
        holders.extend(batch.objects().iter().map(|&object| {
            let start = object.at + heap.data_offset(object.span);
            let role = self.role(object, batch.within(), &mut last, &followed, found)?;
            Some(Holder { role, start })
        }));
        batch.references(heap, space, &mut |references| {
            // In loops of their own, so that the loads of one reference do not wait for what is made of another.
            seen.clear();
            seen.extend(references.iter().map(|reference| Seen {
                reach: reach.touch(reference.target.0),
                view: self.views.number(reference.target.0),
                is_ahead: false,
            }));
            for (seen, reference) in seen.iter_mut().zip(references) {
                let edge = LabeledEdge {
                    from: reference.holder.into(),
                    to: reference.target.0,
                    label: Offset::new(reference.offset).0,
                    to_leaf: reference.to_leaf,
                };
                seen.is_ahead = reach.edge(edge, seen.reach);
            }
            self.hear(references, seen, &holders, memory, open);
            for Open { best, reference } in open.drain(..) {
                let index = usize::from(reference);
                let (reference, seen) = (&references[index], seen[index]);
                if let Some(holder) = &holders[usize::from(reference.holder)] {
                    let followed = |object| !seen.is_ahead && followed(object);
                    let weighed = self.weigh(reference, best, holder, seen, followed, found);
                    if let Err(miss) = weighed {
                        found.miss(miss, objects[usize::from(reference.holder)]);
                    }
                }
            }
        });
    }

    /// Makes known what the references say of objects of which nothing is known, where that is plain. What takes more is left
    /// open.
    fn hear(
        &self,
        references: &[Reference],
        seen: &[Seen],
        holders: &[Option<Holder<'_>>],
        memory: &mut Memory,
        open: &mut Vec<Open>,
    ) {
        for (reference, (seen, this)) in (0..).zip(seen.iter().zip(references)) {
            let Some(Holder { role, start }) = &holders[usize::from(this.holder)] else {
                continue;
            };
            let pointer = role.shape.pointer(remainder(this.offset, role.size));
            let word = Addr(start.wrapping_add(this.offset));
            let best = match role.shape.undecided(pointer, word) {
                Some((hold, at)) => memory.dynamic.best(self, hold, at, this.value),
                None => pointer.best,
            };
            if seen.view == 0 && seen.is_ahead && role.code.source() != Source::Layout {
                let object = this.object(self.heap);
                let (value, count) = (this.value, pointer.count(word));
                let number = self.glance(&object, best, value, count, &mut memory.plans);
                if self.views.is_now(object.id.0, number) {
                    continue;
                }
            } else if self.views.of_number(this.target.0, seen.view).covers(best) {
                // Most objects are referred to by others that say the same.
                continue;
            }
            open.push(Open { best, reference });
        }
    }

    /// Makes of where a reference leads what it says of it.
    #[inline]
    fn weigh(
        &self,
        reference: &Reference,
        best: Code,
        holder: &Holder<'_>,
        seen: Seen,
        followed: impl Fn(u32) -> bool,
        found: &mut Findings,
    ) -> Result<(), Miss> {
        let Holder { role, start } = holder;
        let word = Addr(start.wrapping_add(reference.offset));
        let offset = remainder(reference.offset, role.size);
        let pointer = role.shape.pointer(offset);
        let (object, value) = (reference.object(self.heap), reference.value);
        let inside = self.inside(&object, value);
        let known = self.views.of_number(object.id.0, seen.view);
        if best.is_known() && known.is_known() && self.explains(known, best, &object, inside) {
            return Ok(());
        }
        let place = (pointer, offset, word);
        if let Some(said) = self.look(role, place, known, value)? {
            self.propose(object, said, value, followed, found);
        }
        Ok(())
    }

    /// Makes known the type that the allocator keeps with the object. Whether it need not be looked up first.
    #[inline(never)]
    fn state(&self, object: Object<'p>, descriptor: Addr, found: &mut Findings) -> bool {
        let Object { id, span, .. } = object;
        match self.stored(descriptor) {
            Ok(ty) => {
                let room = span.elem_size - self.heap.data_offset(span);
                if let Some(code) = ty.and_then(|ty| self.statement(ty, room)) {
                    self.views.offer(id.0, code, &self.model.types);
                }
                true
            }
            Err(miss) => {
                found.miss(miss, id.0);
                false
            }
        }
    }

    /// What the object says of what it refers to; `None` if nothing, or if that is said at once of what it refers to `within`
    /// these bytes. `last` is the number of the view of the one before, and what that said.
    #[inline]
    fn role<'s>(
        &'s self,
        object: Object<'p>,
        within: Range<u64>,
        last: &mut (u16, Option<Role<'s>>),
        followed: impl Fn(u32) -> bool,
        found: &mut Findings,
    ) -> Option<Role<'s>> {
        let Object { id, span, at } = object;
        if span.noscan {
            return None;
        }
        let descriptor = self.heap.stored_type(&self.process.space, span, at);
        if let Some(descriptor) = descriptor
            && !self.state(object, descriptor, found)
        {
            return None;
        }
        let number = self.views.number(id.0);
        if number == 0 {
            self.follow_untyped(object, within, &mut |said, value, target| match said {
                Ok(said) => self.propose(target, said, value, &followed, found),
                Err(miss) => found.miss(miss, id.0),
            });
            return None;
        }
        if number != last.0 || number == SPILLED {
            *last = (number, self.role_of(self.views.of_number(id.0, number)));
        }
        last.1
    }

    /// What an object that is seen like this says of what it refers to; `None` if nothing.
    fn role_of(&self, code: Code) -> Option<Role<'_>> {
        if code.form() == Form::Opaque {
            return None;
        }
        let shape = self.shapes.get(&self.model, code.ty());
        let size = match code.form() {
            Form::Many => shape.size.max(1),
            _ => u64::MAX,
        };
        Some(Role { code, size, shape })
    }

    /// What a reference says of where it leads, of which this much is known. `place`: what is known of the pointer, how many
    /// bytes into the holder's value it is, and its address.
    #[inline(never)]
    fn look(
        &self,
        role: &Role<'_>,
        place: (Pointer, u64, Addr),
        known: Code,
        value: u64,
    ) -> Result<Option<Said>, Miss> {
        let (pointer, offset, word) = place;
        let quick = role.shape.hold(pointer, word);
        let hold = quick.or_else(|| {
            let place = self.place(role.code.ty(), offset, word)?;
            Some((place.slot().hold, place.at))
        });
        let Some((hold, at)) = hold else {
            return Ok(None);
        };
        if known.covers(hold.best(self.byte)) {
            return Ok(None);
        }
        let said = self.said(hold, at, value)?;
        Ok(said.map(|said| match (role.code.source(), said.source) {
            (Source::Layout, Source::Reference) => Said {
                source: Source::Layout,
                ..said
            },
            _ => said,
        }))
    }

    /// How many bytes into the object's data `value` points; of those in front of it, more than there are.
    #[inline]
    fn inside(&self, object: &Object<'p>, value: u64) -> u64 {
        value.wrapping_sub(object.at + self.heap.data_offset(object.span))
    }

    /// Whether what is known of an object leaves nothing to say to a reference to one value, `inside` bytes into it, which
    /// says `best` at best.
    #[inline]
    fn explains(&self, known: Code, best: Code, object: &Object<'p>, inside: u64) -> bool {
        let explains = known.explains(best, inside == 0) && !object.span.is_tiny();
        debug_assert!(
            !explains || {
                let said = Said::new(best.ty(), best.form(), best.source());
                let start = object.at + self.heap.data_offset(object.span);
                let value = start.wrapping_add(inside);
                let closer = self.verdict(*object, said, value);
                closer.is_none_or(|closer| !closer.beats(known, &self.model.types))
            }
        );
        explains
    }

    /// Makes of an object what a reference says of it.
    fn propose(
        &self,
        target: Object<'p>,
        said: Said,
        value: u64,
        followed: impl Fn(u32) -> bool,
        found: &mut Findings,
    ) {
        let best = said.best();
        let known = self.views.code(target.id.0);
        let inside = self.inside(&target, value.wrapping_sub(said.before));
        if known.covers(best) || self.explains(known, best, &target, inside) {
            return;
        }
        if let Some(code) = self.verdict(target, said, value) {
            self.offer(target.id.0, code, followed, found);
        }
    }

    /// Makes a view known, at once or, where others may be reading the object's, when the level is done.
    #[inline]
    fn offer(&self, object: u32, code: Code, followed: impl Fn(u32) -> bool, found: &mut Findings) {
        match followed(object) {
            true => found.late.push((object, code)),
            false => {
                self.views.offer(object, code, &self.model.types);
            }
        }
    }
}

/// `n % size`, without the long division where that is possible.
#[inline]
pub(crate) fn remainder(n: u64, size: u64) -> u64 {
    if n < size {
        return n;
    }
    match (u32::try_from(n), u32::try_from(size)) {
        (Ok(n), Ok(size)) => u64::from(n % size),
        _ => n % size,
    }
}

#[cfg(test)]
mod tests {
    use super::Offset;

    #[test]
    fn offsets_reach_8_gib() {
        for bytes in [0, 8, 12, (1 << 33) - 12] {
            assert_eq!(Offset::new(bytes).bytes(), Some(bytes));
        }
        for bytes in [(1 << 33) - 8, 1 << 33, u64::MAX] {
            assert_eq!(Offset::new(bytes).bytes(), None);
        }
    }
}
