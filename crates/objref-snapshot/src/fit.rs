//! How well what a reference says explains the object it leads to: its slot, and the words that are pointers there.

use objref_go::{Object, Span};
use objref_mem::Addr;

use crate::flatten::MapPart;
use crate::infer::{Inference, Said};
use crate::mask::{Mask, Masks, Pointers, pointer_mask};
use crate::memo::Memo;
use crate::types::{Kind, TypeId};
use crate::view::{Code, Fit, Form, Source};

/// Pointer bits of objects are compared up to this size.
const MAX_COMPARED: u64 = 1 << 14;

/// Objects up to this size may be known as arrays by one element.
const MAX_ARRAY: u64 = 512;

/// What to make of a statement about an object of which nothing is known, by type, form and size class: few of them serve most
/// objects.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// One value that fills the slot: without pointers, or a closure, of which not all may be known.
    Fills,
    /// Values of so many bytes, without pointers, which fill the slot if the reference says so.
    Run(u32),
    /// One value that fills the slot if these are its pointers.
    Pointers(Mask),
    /// Values of so many words, which fill the slot if these are its pointers and the reference says so.
    Values(Mask, u32),
    /// It takes a closer look.
    Ask,
}

/// The plans of one thread.
#[derive(Debug)]
pub(crate) struct Plans(Memo<Statement, Planned>);

/// A plan, and the number of the view at best, 0 as long as it is not known.
#[derive(Clone, Copy, Debug)]
struct Planned {
    plan: Plan,
    number: u16,
}

/// What a plan is for, in one number: the view that is stated, and what kind of span the object is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Statement(u64);

impl Statement {
    #[inline]
    fn new(best: Code, span: &Span) -> Statement {
        Statement(u64::from(best.0) << 16 | u64::from(span.kind()))
    }
}

impl Default for Plans {
    fn default() -> Self {
        // Nobody states that nothing is known.
        let nothing = Planned {
            plan: Plan::Ask,
            number: 0,
        };
        Plans(Memo::new(Statement(0), nothing))
    }
}

impl Plans {
    #[inline]
    fn of(&mut self, infer: &Inference<'_>, best: Code, span: &Span) -> &mut Planned {
        let statement = Statement::new(best, span);
        let (known, planned) = self.0.at(statement.0);
        if *known != statement {
            let plan = infer.plan(best, span);
            (*known, *planned) = (statement, Planned { plan, number: 0 });
        }
        planned
    }
}

impl<'p> Inference<'p> {
    /// The number of the view that an object gets by the first statement about it, if that is plain; 0 where it takes a closer
    /// look, or where the view has no number yet. The statement: that `best`, the view that it gets at best, starts where
    /// `value` points, and that as many values from there belong to it as the word at `count` says.
    // In the loop over all references.
    #[inline(always)]
    pub(crate) fn glance(
        &self,
        target: &Object<'p>,
        best: Code,
        value: u64,
        count: Option<Addr>,
        plans: &mut Plans,
    ) -> u16 {
        let (span, at) = (target.span, target.at);
        let planned = plans.of(self, best, span);
        // None of these plans is about objects with a header.
        let inside = value.wrapping_sub(at);
        let is_start = inside == 0;
        let mask = || self.heap.pointer_mask_near(&self.little, span, at);
        let filled = |size: u32| match count {
            Some(count) => {
                let extent = self.extent_of(count, size.into());
                span.is_filled_by(inside.saturating_add(extent))
            }
            None => is_start,
        };
        let fits = match planned.plan {
            Plan::Fills => is_start,
            Plan::Run(size) => (is_start || best.form() == Form::Text) && filled(size),
            Plan::Pointers(of_type) => is_start && mask().is_some_and(|found| of_type.is(found)),
            Plan::Values(of_values, words) => {
                is_start && mask().is_some_and(|found| of_values.is(found)) && filled(words * 8)
            }
            Plan::Ask => false,
        };
        if fits && planned.number == 0 {
            planned.number = self.views.near(best);
        }
        let number = if fits { planned.number } else { 0 };
        debug_assert!(self.confirms(number, target, best, value, count));
        number
    }

    /// Whether a closer look comes to the same, or to nothing where another thread has said more by now.
    fn confirms(
        &self,
        number: u16,
        target: &Object<'p>,
        best: Code,
        value: u64,
        count: Option<Addr>,
    ) -> bool {
        let said = Said {
            extent: count.map(|count| self.extent_of(count, self.model.get(best.ty()).size)),
            ..Said::new(best.ty(), best.form(), best.source())
        };
        let closer = || self.verdict(*target, said, value);
        number == 0
            || closer().is_none_or(|closer| closer == self.views.of_number(target.id.0, number))
    }

    /// What is the same for all statements of this form about objects of this size.
    #[cold]
    fn plan(&self, best: Code, span: &Span) -> Plan {
        let (ty, form) = (best.ty(), best.form());
        let header = self.heap.data_offset(span);
        let size = self.model.get(ty).size;
        let has_references = self.shapes.get(&self.model, ty).has_references();
        let is_closure = form == Form::Opaque || self.model.types.traits(ty).closure;
        match form {
            _ if span.size_class == 0 => Plan::Ask,
            _ if !best.is_known() => Plan::Ask,
            _ if is_closure && header > 0 => Plan::Ask,
            _ if is_closure && size <= span.elem_size => Plan::Fills,
            _ if size == 0 || size > span.elem_size - header => Plan::Ask,
            _ if has_references == span.noscan => Plan::Ask,
            Form::One if !span.is_filled_by(size + header) => Plan::Ask,
            Form::One if span.noscan => Plan::Fills,
            Form::One => Plan::Pointers(self.shapes.get(&self.model, ty).mask),
            _ if span.noscan => u32::try_from(size).map_or(Plan::Ask, Plan::Run),
            _ if size.is_multiple_of(8) && size <= 512 => {
                let mask = self.shapes.get(&self.model, ty).mask;
                let mask = mask.tile(size / 8, (span.elem_size - header) / 8);
                Plan::Values(mask, (size / 8) as u32)
            }
            _ => Plan::Ask,
        }
    }

    /// What to make of a statement about the object that is pointed to at `value`: a view, or nothing where it is about
    /// the middle of the object or the heap contradicts.
    pub(crate) fn verdict(&self, target: Object<'p>, said: Said, value: u64) -> Option<Code> {
        let types = &self.model.types;
        let best = said.best();
        if !self.views.open_to(target.id.0, best, types) {
            return None;
        }
        let (span, traits) = (target.span, types.traits(said.ty));
        let header = self.heap.data_offset(span);
        let start = target.at + header;
        let from_start = value.checked_sub(said.before)?.checked_sub(start)?;
        let room = (span.elem_size - header).checked_sub(from_start)?;
        let size = types.get(said.ty).size;
        let code = |fit: Fit| {
            let fit = match said.source {
                Source::Layout => Fit::Possible,
                _ => fit,
            };
            Some(Code::new(fit, said.source, said.form, said.ty))
        };
        // The binary may not know all that a closure captured: its words do not have to explain the whole slot.
        if said.form == Form::Opaque || traits.closure {
            return if from_start == 0 && size <= room {
                code(Fit::Whole)
            } else {
                None
            };
        }
        if size == 0 || size > room {
            return None;
        }
        let has_references = self.shapes.get(&self.model, said.ty).has_references();
        if has_references && span.noscan {
            return (from_start == 0 && self.is_allocated_noscan(said.ty))
                .then(|| code(Fit::Whole))?;
        }
        if !has_references && !span.noscan {
            return None;
        }
        let fit = match said.form {
            // Tiny objects share a block: the first to be seen names it.
            Form::One if from_start != 0 && span.is_tiny() => return code(Fit::Run),
            Form::One if from_start != 0 || !span.is_filled_by(size + header) => {
                let many = Code::new(Fit::Possible, Source::Layout, Form::Many, said.ty);
                let open = self.views.open_to(target.id.0, many, types);
                return (open && self.is_array(target, said.ty, from_start)).then_some(many);
            }
            Form::One => Fit::Whole,
            _ if from_start % size != 0 => return None,
            _ => match said.extent {
                None if from_start == 0 => Fit::Whole,
                Some(extent) if span.is_filled_by((from_start + header).saturating_add(extent)) => {
                    Fit::Whole
                }
                _ => Fit::Run,
            },
        };
        // Pointers are compared only where that decides something: an object may be referred to a million times.
        let at_best = Code::new(fit, said.source, said.form, said.ty);
        if !self.views.open_to(target.id.0, at_best, types) {
            return None;
        }
        match self.compare(target, said.ty, said.form) {
            Pointers::Same => code(fit),
            Pointers::Fewer if said.form == Form::One => code(Fit::Partial),
            Pointers::Fewer => code(Fit::Run),
            Pointers::Contradict => None,
        }
    }

    /// Whether an object that has a value of `ty` in it may be an array of them.
    fn is_array(&self, target: Object<'p>, ty: TypeId, from_start: u64) -> bool {
        let this = self.model.get(ty);
        let aligned = from_start.is_multiple_of(this.size.max(1));
        // The pointers of large objects take long to compare, once for each reference.
        let is_small = target.span.elem_size <= MAX_ARRAY;
        aligned
            && match target.span.noscan {
                true => this.kind == Kind::Scalar,
                false => is_small && self.compare(target, ty, Form::Many) == Pointers::Same,
            }
    }

    /// Whether values of a type that has references are allocated as if it had none.
    fn is_allocated_noscan(&self, ty: TypeId) -> bool {
        let traits = self.model.types.traits(ty);
        // runtime/chan.go: makechan: a channel of elements without pointers is one object with its buffer.
        if traits.channel {
            return true;
        }
        // runtime/iface.go: itabAdd: the tables that it leads to are not in the heap.
        if self.model.get(ty).name == "runtime.itabTableType" {
            return true;
        }
        // runtime/map.go: bmap: where keys and values have no pointers, other things keep overflow buckets alive.
        let slots = &self.shapes.get(&self.model, ty).slots;
        traits.map_part == Some(MapPart::Bucket)
            && slots.iter().all(|slot| &*slot.path == "overflow")
    }

    /// Compares the pointers of `ty`, repeated where the form says so, with those of the object.
    fn compare(&self, target: Object<'p>, ty: TypeId, form: Form) -> Pointers {
        let Object { span, at, .. } = target;
        if span.noscan {
            return Pointers::Same;
        }
        let (heap, space) = (self.heap, &self.process.space);
        let size = self.model.get(ty).size;
        let header = heap.data_offset(span);
        let room = span.elem_size - header;
        let many = form != Form::One;
        if let Some(found) = heap.pointer_mask(space, span, at) {
            let mask = self.shapes.get(&self.model, ty).mask;
            return match many {
                true => mask
                    .tile(size / 8, room / 8)
                    .compare_values(found, (size / 8).max(1)),
                false => mask.compare(found),
            };
        }
        let compared = room.min(MAX_COMPARED);
        let Masks { all, type_words } =
            pointer_mask(&self.model, ty, size.min(compared).div_ceil(512) as usize);
        let period = if many { (size / 8).max(1) } else { u64::MAX };
        let row = |words| Row { words, period };
        let (expected, type_words) = (row(&all), row(&type_words));
        let mut result = Pointers::Same;
        let (mut pointers, mut last) = (0u64, 0);
        heap.pointer_bits(space, span, at, compared + header, |offset, mask| {
            let word = (offset - header) / 8;
            if mask & !expected.bits(word) != 0 {
                result = Pointers::Contradict;
            }
            if mask != 0 {
                last = word + 63 - u64::from(mask.leading_zeros());
                let told = mask & !type_words.bits(word);
                pointers += u64::from(told.count_ones());
            }
        });
        if result == Pointers::Same && size <= compared {
            let told = all
                .iter()
                .zip(type_words.words)
                .map(|(all, type_words)| all & !type_words);
            let each: u64 = told.map(|w| u64::from(w.count_ones())).sum();
            // The runtime knows how many elements there are; the slot may have room for more.
            let count = if many {
                last / (size / 8).max(1) + 1
            } else {
                1
            };
            if pointers < each.saturating_mul(count) {
                result = Pointers::Fewer;
            }
        }
        result
    }

    /// What the runtime says itself of the object, if it keeps its type.
    pub(crate) fn statement(&self, ty: TypeId, room: u64) -> Option<Code> {
        let size = self.model.get(ty).size;
        let form = match room.checked_div(size)? {
            0 | 1 => Form::One,
            _ => Form::Many,
        };
        Some(Code::new(Fit::Stated, Source::Allocator, form, ty))
    }
}

/// Bits of a value, 64 words each, or of values one after the other.
struct Row<'w> {
    words: &'w [u64],
    /// Words after which the next value starts; of a single one, more than there are.
    period: u64,
}

impl Row<'_> {
    /// The bits of 64 words from the given one on.
    fn bits(&self, from: u64) -> u64 {
        let (mut bits, mut at, mut from) = (0, 0u64, from % self.period);
        while at < 64 {
            bits |= self.of_one(from) << at;
            at = at.saturating_add(self.period - from);
            from = 0;
        }
        bits
    }

    /// The bits of 64 words of the first value from the given one on; none is set behind its end.
    fn of_one(&self, from: u64) -> u64 {
        let word = |index: u64| self.words.get(index as usize).copied().unwrap_or(0);
        let (index, shift) = (from / 64, from % 64);
        // In two steps: all 64 bits may be of the next word.
        word(index) >> shift | word(index + 1) << 1 << (63 - shift)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_has_the_bits_of_each_word(
            words in prop::collection::vec(any::<u64>(), 0..4),
            period in prop_oneof![1u64..200, Just(u64::MAX)],
            from in 0u64..1000,
        ) {
            // A value has no bit behind its end.
            let inside = |word: u64| word < period.min(words.len() as u64 * 64);
            let bit = |word: u64| inside(word) && words[(word / 64) as usize] >> (word % 64) & 1 != 0;
            let own: Vec<u64> = (0..words.len() as u64)
                .map(|w| (0..64).fold(0, |all, b| all | u64::from(bit(w * 64 + b)) << b))
                .collect();
            let row = Row { words: &own, period };
            let expected = (0..64).fold(0, |all, b| all | u64::from(bit((from + b) % period)) << b);
            prop_assert_eq!(row.bits(from), expected);
        }
    }
}
