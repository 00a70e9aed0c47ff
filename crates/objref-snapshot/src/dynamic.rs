//! What references say whose type is decided by a word: few types are in most of them.

use objref_mem::Addr;

use crate::infer::{Inference, Said};
use crate::memo::Memo;
use crate::shape::Hold;
use crate::types::TypeId;
use crate::view::{Code, Fit, Form, Source};

/// What one thread remembers of words that tell the type of what a reference leads to: the best that it can say of that.
#[derive(Debug)]
pub(crate) struct Dynamic(Memo<TypeWord, Code>);

/// Such a word, and what it is.
type TypeWord = (u64, Teller);

/// What tells the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Teller {
    /// A table of methods.
    Itab,
    /// The type's own description.
    Descriptor,
    /// The first instruction of a closure.
    Code,
}

impl Default for Dynamic {
    fn default() -> Self {
        Dynamic(Memo::new((0, Teller::Itab), Code::UNKNOWN))
    }
}

impl Dynamic {
    /// The best that a reference of this kind at `at`, with this pointer, can say of what it leads to; unknown where that
    /// depends on more than one word, and where that has not been met before.
    // Apart from the loop over all references, whose registers it would take.
    #[inline(never)]
    pub(crate) fn best(&mut self, infer: &Inference<'_>, hold: Hold, at: Addr, value: u64) -> Code {
        let (teller, word) = match hold {
            Hold::Interface => (Teller::Itab, infer.word(at)),
            Hold::EmptyInterface => (Teller::Descriptor, infer.word(at)),
            Hold::Func => (Teller::Code, infer.word(Addr(value))),
            Hold::Directory { .. } | Hold::Node { .. } => {
                let said = infer.chosen(hold, at, value);
                return said.map_or(Code::UNKNOWN, Said::best);
            }
            _ => return Code::UNKNOWN,
        };
        let Some(word) = word else {
            return Code::UNKNOWN;
        };
        let (known, code) = self.0.at(word);
        if *known != (word, teller) {
            // What is not known may be once it has been looked up.
            match infer.best_dynamic(hold, at, value) {
                Code::UNKNOWN => return Code::UNKNOWN,
                best => (*known, *code) = ((word, teller), best),
            }
        }
        *code
    }
}

impl Inference<'_> {
    #[cold]
    fn best_dynamic(&self, hold: Hold, at: Addr, value: u64) -> Code {
        if hold == Hold::Func {
            let said = self.said(hold, at, value);
            return said.ok().flatten().map_or(Code::UNKNOWN, Said::best);
        }
        let Ok(Some(ty)) = self.dynamic_type(hold, at) else {
            return Code::UNKNOWN;
        };
        let best = |form, ty: TypeId| Code::new(Fit::Whole, Source::Interface, form, ty);
        if !self.is_direct(ty) {
            return best(Form::One, ty);
        }
        let slots = &self.shapes.get(&self.model, ty).slots;
        match slots.first().map(|slot| slot.hold) {
            Some(Hold::One(ty)) => best(Form::One, ty),
            Some(Hold::Many(ty)) => best(Form::Many, ty),
            _ => Code::UNKNOWN,
        }
    }
}
