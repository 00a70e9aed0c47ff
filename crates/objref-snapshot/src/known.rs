//! What is known of the steps to some places in values: most references are in one of a few.

use objref_graph::FarLabels;

use crate::codes::SPILLED;
use crate::follow::Offset;
use crate::memo::scattered;
use crate::step::{Describer, StepId};

/// Places that are remembered.
const PLACES: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 11;
/// What numbers of what objects are seen as are below.
const NUMBERS: usize = 1 << 16;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Known(StepId),
    /// It has no number yet: index of its key among those of a piece.
    New(u32),
}

/// What is known of the steps at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// All are this one.
    One(Step),
    /// The word before the pointer decides.
    TypeWord,
    /// The target decides.
    Target,
}

/// What an object is seen as, by number, and a label in it: in the upper and the lower half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    /// Not remembered.
    const NONE: Place = Place((SPILLED as u32) << 16);

    /// Of no object: labels are smaller.
    const FREE: Place = Place(u32::MAX);

    #[inline]
    fn new(number: u16, label: u16) -> Place {
        Place(u32::from(number) << 16 | u32::from(label))
    }

    /// Number of what the object is seen as.
    fn number(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Where it can be among those remembered.
    #[inline]
    fn index(self) -> usize {
        scattered(self.0.into(), INDEX_BITS)
    }
}

/// A place, and what is known of the steps there, in one word.
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    /// Numbers and indices are below; there is no memory for the texts of as many steps.
    const NEW: u32 = 1 << 30;
    const TYPE_WORD: u32 = 2 << 30;
    const TARGET: u32 = 3 << 30;

    const FREE: Entry = Entry(u64::MAX);

    fn new(place: Place, at: At) -> Entry {
        let at = match at {
            At::One(Step::Known(StepId(number))) => number,
            At::One(Step::New(index)) => Entry::NEW | index,
            At::TypeWord => Entry::TYPE_WORD,
            At::Target => Entry::TARGET,
        };
        Entry(u64::from(place.0) << 32 | u64::from(at))
    }

    fn place(self) -> Place {
        Place((self.0 >> 32) as u32)
    }

    fn at(self) -> At {
        let at = self.0 as u32;
        match at & Entry::TARGET {
            0 => At::One(Step::Known(StepId(at))),
            Entry::NEW => At::One(Step::New(at & !Entry::NEW)),
            Entry::TYPE_WORD => At::TypeWord,
            _ => At::Target,
        }
    }
}

/// The steps to some places, each at the only index where it can be.
#[derive(Clone)]
pub(crate) struct Known {
    places: Box<[Entry; PLACES]>,
    /// Steps to places in interfaces, with the word that tells the type there.
    typed: Box<[(Place, Step, u64); PLACES]>,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            places: Box::new([Entry::FREE; PLACES]),
            typed: Box::new([(Place::FREE, Step::New(0), 0); PLACES]),
        }
    }
}

impl Known {
    /// The step to this place, if it is the only one there, and known, and its number is one of 16 bits.
    #[inline]
    pub(crate) fn short(&self, place: Place) -> Option<u16> {
        let Entry(entry) = self.places[place.index()];
        let step = entry ^ u64::from(place.0) << 32;
        u16::try_from(step).ok()
    }

    /// What is known of the steps to this place.
    pub(crate) fn at(&self, place: Place) -> Option<At> {
        let entry = self.places[place.index()];
        (entry.place() == place).then(|| entry.at())
    }

    pub(crate) fn set(&mut self, place: Place, at: At) {
        self.places[place.index()] = Entry::new(place, at);
    }

    /// The step to this place where the word before the pointer is this one.
    #[inline]
    pub(crate) fn typed(&self, place: Place, word: u64) -> Option<Step> {
        let (known, step, known_word) = self.typed[typed_index(place, word)];
        (known == place && known_word == word).then_some(step)
    }

    pub(crate) fn set_typed(&mut self, place: Place, word: u64, step: Step) {
        self.typed[typed_index(place, word)] = (place, step, word);
    }

    /// Takes over what a piece has come to know, whose new keys have these steps.
    pub(crate) fn learn(&mut self, piece: &Known, steps: &[StepId]) {
        let numbered = |index: u32| Step::Known(steps[index as usize]);
        for (known, entry) in self.places.iter_mut().zip(piece.places.iter()) {
            match (entry.at(), known.place()) {
                (At::One(Step::New(index)), _) => {
                    *known = Entry::new(entry.place(), At::One(numbered(index)));
                }
                (_, Place::FREE) => *known = *entry,
                _ => {}
            }
        }
        for (known, (place, step, word)) in self.typed.iter_mut().zip(piece.typed.iter()) {
            match step {
                Step::New(index) if *place != Place::FREE => {
                    *known = (*place, numbered(*index), *word);
                }
                _ => {}
            }
        }
    }
}

#[inline]
fn typed_index(place: Place, word: u64) -> usize {
    // Types stand at multiples of some words.
    Place(place.0 ^ (word >> 3) as u32).index()
}

/// By number of what objects are seen as: the size of the values that they consist of.
pub(crate) struct Values(Box<[Value; NUMBERS]>);

/// The size of a value, of which there may be many in an object.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// In units of labels; no more than [`Value::LARGE`], which no label in a cell reaches. 0 if places in such values are
    /// not remembered.
    size: u32,
    /// 2^32 by that, rounded up; 0 for what does not fit.
    reciprocal: u32,
}

impl Value {
    const LARGE: u32 = 1 << 16;

    /// Places in this are not remembered.
    const NONE: Value = Value {
        size: 0,
        reciprocal: 0,
    };

    fn new(size: u64) -> Value {
        let size = size.min(u64::from(Value::LARGE)) as u32;
        match size {
            0 => Value::NONE,
            _ => Value {
                size,
                reciprocal: (u32::MAX / size).wrapping_add(1),
            },
        }
    }

    /// Where in a value a label of the object is, which is in a cell.
    ///
    /// The remainder of two numbers of 16 bits: see Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019.
    #[inline]
    fn reduce(self, label: u16) -> u16 {
        let part = self.reciprocal.wrapping_mul(u32::from(label));
        ((u64::from(part) * u64::from(self.size)) >> 32) as u16
    }
}

impl<I: Iterator<Item = Value>> From<I> for Values {
    fn from(values: I) -> Values {
        let mut all = Box::new([Value::NONE; NUMBERS]);
        for (value, known) in all.iter_mut().zip(values) {
            *value = known;
        }
        Values(all)
    }
}

impl Values {
    pub(crate) fn new(describer: Describer<'_, '_>) -> Values {
        let unit = Offset(1).bytes().unwrap_or(1);
        let value = |code| match describer.contained(code) {
            (Some(_), size) if size.is_multiple_of(unit) => Value::new(size / unit),
            (Some(_), u64::MAX) => Value::new(u64::MAX),
            _ => Value::NONE,
        };
        Values::from(describer.infer.views.numbered().map(value))
    }

    /// The place of a reference in the first of the values that an object of this number consists of. The label is in a cell.
    #[inline]
    pub(crate) fn near(&self, number: u16, label: u16) -> Place {
        let Values(values) = self;
        Place::new(number, values[usize::from(number)].reduce(label))
    }

    /// The same for a label that is too large for a cell.
    pub(crate) fn far(&self, number: u16, label: u32) -> Place {
        let label = match self.0[usize::from(number)].size {
            Value::LARGE => None,
            size => label.checked_rem(size),
        };
        let near = label.and_then(|label| u16::try_from(label).ok());
        near.filter(|label| !FarLabels::is_far(*label))
            .map_or(Place::NONE, |label| Place::new(number, label))
    }

    /// Whether it is a place that may be remembered: what is in it is the same for all objects of its number.
    pub(crate) fn remember(&self, place: Place) -> bool {
        self.0[usize::from(place.number())].size > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_label_is_reduced_to_the_first_value(
            size in prop_oneof![1u64..100, 1u64..70_000, Just(u64::MAX)],
            label: u16,
        ) {
            let reduced = Value::new(size).reduce(label);
            prop_assert_eq!(u64::from(reduced), u64::from(label) % size);
        }
    }

    #[test]
    fn places_are_those_in_the_first_value() {
        let values = Values::from([0, 6, u64::MAX].map(Value::new).into_iter());
        let place = |number, label| Place::new(number, label);
        assert_eq!(
            [1, 2].map(|n| values.near(n, 8)),
            [place(1, 2), place(2, 8)]
        );
        assert_eq!(values.far(1, 600_002), place(1, 2));
        assert!(
            [1, 2]
                .into_iter()
                .all(|n| values.remember(values.near(n, 8)))
        );
        let forgotten = [
            values.near(0, 8),
            values.near(3, 8),
            values.near(SPILLED, 8),
        ];
        let far = [0, 2, 3, SPILLED].map(|number| values.far(number, 600_002));
        let mut forgotten = forgotten.into_iter().chain(far);
        assert!(forgotten.all(|place| !values.remember(place)));
    }

    #[test]
    fn what_is_known_is_given_back() {
        let mut known = Known::default();
        let steps = [0, 65_535, 65_536, (1 << 30) - 1];
        let steps = steps.map(|n| [Step::Known(StepId(n)), Step::New(n)].map(At::One));
        let all = steps
            .into_iter()
            .flatten()
            .chain([At::TypeWord, At::Target]);
        for (label, at) in (0..).zip(all) {
            let place = Place::new(9, label);
            known.set(place, at);
            assert_eq!(known.at(place), Some(at));
            let short = match at {
                At::One(Step::Known(StepId(number))) => u16::try_from(number).ok(),
                _ => None,
            };
            assert_eq!(known.short(place), short);
            assert_eq!(known.at(Place::new(9, label + 1)), None);
            assert_eq!(known.short(Place::new(9, label + 1)), None);
        }
    }

    #[test]
    fn what_a_piece_comes_to_know_is_known_to_the_next() {
        let mut known = Known::default();
        let mut pieces = [known.clone(), known.clone()];
        let places = [0, 1].map(|number| Place::new(number, 8));
        pieces[0].set(places[0], At::One(Step::New(0)));
        pieces[0].set_typed(places[0], 4096, Step::New(1));
        pieces[1].set(places[1], At::TypeWord);
        for (piece, steps) in pieces.iter().zip([&[StepId(7), StepId(9)][..], &[]]) {
            known.learn(piece, steps);
        }
        assert_eq!(known.at(places[0]), Some(At::One(Step::Known(StepId(7)))));
        assert_eq!(places.map(|place| known.short(place)), [Some(7), None]);
        assert_eq!(known.at(places[1]), Some(At::TypeWord));
        assert_eq!(known.at(Place::new(0, 9)), None);
        assert_eq!(known.typed(places[0], 4096), Some(Step::Known(StepId(9))));
        assert_eq!(known.typed(places[0], 4104), None);
    }
}
