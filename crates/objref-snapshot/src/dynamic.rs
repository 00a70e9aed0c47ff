//! What interfaces say of what they lead to: few types are in most of them.

use objref_mem::Addr;

use crate::infer::Inference;
use crate::shape::Hold;
use crate::types::TypeId;
use crate::view::{Code, Fit, Form, Source};

/// What one thread remembers of words that tell the type in an interface: the best that such an interface can say of what
/// it leads to. Each is at the only index where it can be.
#[derive(Debug)]
pub(crate) struct Dynamic(Box<[(TypeWord, Code); WORDS]>);

/// Words that are remembered.
const WORDS: usize = 256;

/// Such a word, and whether the interface has methods: then it is that of a table of them.
type TypeWord = (u64, bool);

impl Default for Dynamic {
    fn default() -> Self {
        Dynamic(Box::new([((0, false), Code::UNKNOWN); WORDS]))
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
        let index = word.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        let (known, code) = &mut self.0[index as usize % WORDS];
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
