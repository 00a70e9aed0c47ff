//! What interfaces say of what they lead to: few types are in most of them.

use objref_mem::Addr;

use crate::infer::Inference;
use crate::memo::Memo;
use crate::shape::Hold;
use crate::types::TypeId;
use crate::view::{Code, Fit, Form, Source};

/// What one thread remembers of words that tell the type in an interface: the best that such an interface can say of what
/// it leads to.
#[derive(Debug)]
pub(crate) struct Dynamic(Memo<TypeWord, Code>);

/// Such a word, and whether the interface has methods: then it is that of a table of them.
type TypeWord = (u64, bool);

impl Default for Dynamic {
    fn default() -> Self {
        Dynamic(Memo::new((0, false), Code::UNKNOWN))
    }
}

impl Dynamic {
    /// The best that the interface at `at` can say of what it leads to; unknown where that depends on more than its type,
    /// and where the type has not been met before.
    #[inline]
    pub(crate) fn best(&mut self, infer: &Inference<'_>, hold: Hold, at: Addr) -> Code {
        let Some(word) = infer.word(at) else {
            return Code::UNKNOWN;
        };
        let word = (word, hold == Hold::Interface);
        let (known, code) = self.0.at(word.0);
        if *known != word {
            // What is not known may be once it has been looked up.
            match infer.best_in_interface(hold, at) {
                Code::UNKNOWN => return Code::UNKNOWN,
                best => (*known, *code) = (word, best),
            }
        }
        *code
    }
}

impl Inference<'_> {
    #[cold]
    fn best_in_interface(&self, hold: Hold, at: Addr) -> Code {
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
