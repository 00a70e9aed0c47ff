//! What an object is seen as, how that is known, and how sure it is.

use serde::{Deserialize, Serialize};

use crate::types::{TypeId, Types};

/// How a type fills an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Form {
    /// One value.
    One,
    /// Values one after the other to the end of the slot.
    Many,
    /// The bytes of a string.
    Text,
    /// One value of which nothing but the name is known.
    Opaque,
}

/// How sure a type is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Certainty {
    /// Nothing is known.
    Unknown,
    /// The object is laid out like the type, and nothing else is known.
    Shape,
    /// Followed from the type of a reference.
    Inferred,
    /// The runtime itself says so.
    Exact,
}

impl Certainty {
    /// All, the surest first.
    pub const ALL: [Certainty; 4] = [
        Certainty::Exact,
        Certainty::Inferred,
        Certainty::Shape,
        Certainty::Unknown,
    ];

    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Certainty::Unknown => "unknown",
            Certainty::Shape => "shape",
            Certainty::Inferred => "inferred",
            Certainty::Exact => "exact",
        }
    }
}

/// What told the type of an object; of two that tell of the same layout, the later says more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Source {
    /// Nothing.
    Nothing,
    /// Its layout, or a reference from an object of which no more than the layout is known.
    Layout,
    /// A reference of a known type.
    Reference,
    /// The code that it starts with, or that allocated it.
    Code,
    /// A type that lies beside the reference, in memory of unknown type.
    Neighbour,
    /// A record of the runtime: a channel's, a finalizer's.
    Record,
    /// An interface.
    Interface,
    /// The allocator, which keeps the type with the object.
    Allocator,
}

impl Source {
    const ALL: [Source; 8] = [
        Source::Nothing,
        Source::Layout,
        Source::Reference,
        Source::Code,
        Source::Neighbour,
        Source::Record,
        Source::Interface,
        Source::Allocator,
    ];
}

/// A type, how it fills the object, and how that is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct View {
    /// The type; of an array's element where the form is `Many`.
    pub ty: TypeId,
    /// How it fills the object.
    pub form: Form,
    /// How sure it is.
    pub certainty: Certainty,
    /// What told it.
    pub source: Source,
}

/// How well a view explains an object; a better one replaces it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fit {
    /// Nothing is known.
    Nothing,
    /// Nothing speaks against it.
    Possible,
    /// A run of values that may not fill the slot.
    Run,
    /// The slot, but not all of the type's pointers are pointers there.
    Partial,
    /// The whole slot and all of its pointers.
    Whole,
    /// The runtime's own word for the whole slot.
    Stated,
}

impl Fit {
    const ALL: [Fit; 6] = [
        Fit::Nothing,
        Fit::Possible,
        Fit::Run,
        Fit::Partial,
        Fit::Whole,
        Fit::Stated,
    ];
}

/// A view in one word; 0 is unknown. From above: fit (3 bits), source (3), form (2), type (24).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Code(pub(crate) u32);

impl Code {
    const TYPE_BITS: u32 = 24;
    const SOURCE: u32 = 26;
    const FIT: u32 = 29;

    /// Nothing is known.
    pub(crate) const UNKNOWN: Code = Code(0);

    #[inline]
    pub(crate) fn new(fit: Fit, source: Source, form: Form, ty: TypeId) -> Code {
        Code(
            (fit as u32) << Code::FIT
                | (source as u32) << Code::SOURCE
                | (form as u32) << Code::TYPE_BITS
                | ty.0,
        )
    }

    #[inline]
    pub(crate) fn fit(self) -> Fit {
        Fit::ALL[(self.0 >> Code::FIT) as usize % Fit::ALL.len()]
    }

    #[inline]
    pub(crate) fn source(self) -> Source {
        Source::ALL[self.source_bits() as usize]
    }

    #[inline]
    pub(crate) fn form(self) -> Form {
        match self.0 >> Code::TYPE_BITS & 3 {
            0 => Form::One,
            1 => Form::Many,
            2 => Form::Text,
            _ => Form::Opaque,
        }
    }

    #[inline]
    pub(crate) fn ty(self) -> TypeId {
        TypeId(self.0 & ((1 << Code::TYPE_BITS) - 1))
    }

    /// Whether a reference that says `best` at best could say nothing that this does not.
    #[inline]
    pub(crate) fn covers(self, best: Code) -> bool {
        best.is_known() && (self.is_stated() || self.says_the_same(best) && self.0 >= best.0)
    }

    /// Whether it is the runtime's own word: no reference knows better.
    #[inline]
    pub(crate) fn is_stated(self) -> bool {
        self.0 >> Code::FIT == Fit::Stated as u32
    }

    /// Whether it says the same as `other` of the object's layout.
    #[inline]
    pub(crate) fn says_the_same(self, other: Code) -> bool {
        self.layout() == other.layout()
    }

    /// Form and type.
    #[inline]
    fn layout(self) -> u32 {
        self.0 & ((1 << Code::SOURCE) - 1)
    }

    /// Whether a reference to one value, which says `best` at best, is plain to have no news of an object of which this is
    /// known. `is_start`: whether the value starts where the object does, which is not a block of tiny ones.
    #[inline]
    pub(crate) fn explains(self, best: Code, is_start: bool) -> bool {
        best.form() == Form::One
            && match is_start {
                // How well one value fits depends on the object alone.
                true => self.says_the_same(best) && self.source_bits() >= best.source_bits(),
                // One of the values that the object is full of.
                false => {
                    self.form() == Form::Many
                        && self.ty() == best.ty()
                        && self.fit() > Fit::Possible
                }
            }
    }

    #[inline]
    fn source_bits(self) -> u32 {
        self.0 >> Code::SOURCE & 7
    }

    pub(crate) fn certainty(self) -> Certainty {
        match self.source() {
            Source::Nothing => Certainty::Unknown,
            Source::Layout => Certainty::Shape,
            Source::Reference | Source::Code | Source::Neighbour => Certainty::Inferred,
            // A part of a slot says little about the whole, whoever says it.
            _ if self.fit() < Fit::Whole => Certainty::Inferred,
            Source::Record | Source::Interface | Source::Allocator => Certainty::Exact,
        }
    }

    #[inline]
    pub(crate) fn is_known(self) -> bool {
        self.0 != 0
    }

    pub(crate) fn view(self) -> View {
        View {
            ty: self.ty(),
            form: self.form(),
            certainty: self.certainty(),
            source: self.source(),
        }
    }

    /// Whether `self` explains an object better than `other`. A total order, so that the outcome does not depend on the
    /// order in which views are offered.
    #[inline]
    pub(crate) fn beats(self, other: Code, types: &Types) -> bool {
        let fit = |code: Code| code.0 >> Code::FIT;
        if fit(self) != fit(other) {
            return fit(self) > fit(other);
        }
        let key = |code: Code| {
            (
                // The shape of a type parameter has no name.
                !types.traits(code.ty()).generic,
                // Any object looks like a run of bytes, and a struct like a run of its first field.
                code.form() == Form::One,
                // A pointer to a struct may be one to its first field; never the other way round.
                types.get(code.ty()).size,
                code.source(),
                std::cmp::Reverse(code.ty()),
                code.form() as u8,
            )
        };
        self != other && key(self) > key(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reference_has_news_of_what_the_runtime_states() {
        let code = |fit, source, ty| Code::new(fit, source, Form::One, TypeId(ty));
        let said = code(Fit::Whole, Source::Interface, 7);
        let stated = code(Fit::Stated, Source::Allocator, 9);
        assert!(stated.covers(said));
        assert!(said.covers(said) && !said.covers(stated));
        assert!(!code(Fit::Whole, Source::Interface, 9).covers(said));
        assert!(!code(Fit::Run, Source::Interface, 7).covers(said));
        // What depends on more than types may have to be looked up first.
        assert!(!stated.covers(Code::UNKNOWN));
    }
}
