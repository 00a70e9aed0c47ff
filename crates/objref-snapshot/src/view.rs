//! What an object is seen as, how that is known, and how sure it is.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use objref_mem::room;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::numbers::Numbers;
use crate::types::{TypeId, Types};

/// Objects per piece of work.
const PIECE: usize = 1 << 14;

/// Views that are remembered while columns are gone through, each at the only index where it can be: a few are those of
/// most objects.
const RECENT: usize = 256;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Code(u32);

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

    /// The same with another fit.
    #[inline]
    pub(crate) fn with(self, fit: Fit) -> Code {
        let rest = self.0 & ((1 << Code::FIT) - 1);
        Code((fit as u32) << Code::FIT | rest)
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
        best.is_known() && self.says_the_same(best) && self.0 >= best.0
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

    fn view(self) -> View {
        View {
            ty: self.ty(),
            form: self.form(),
            certainty: self.certainty(),
            source: self.source(),
        }
    }

    /// Replaces the code in `cell` if this one is better. Whether it is.
    fn compete(self, cell: &AtomicU32, types: &Types) -> bool {
        let mut known = cell.load(Relaxed);
        while self.beats(Code(known), types) {
            match cell.compare_exchange_weak(known, self.0, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => known = now,
            }
        }
        false
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

/// The view of every object, a column that all threads may write to.
#[derive(Debug, Default)]
pub(crate) struct Views(Vec<AtomicU32>);

impl Views {
    /// All unknown.
    pub(crate) fn new(objects: usize) -> Self {
        let mut column = room(objects);
        column.extend((0..objects).map(|_| AtomicU32::new(0)));
        Views(column)
    }

    /// A second column.
    pub(crate) fn copy(&self) -> Self {
        let cells = self.0.iter().map(|cell| cell.load(Relaxed));
        Views(cells.map(AtomicU32::new).collect())
    }

    /// What objects are seen as, in their order, some thousands at a time.
    pub(crate) fn pieces(
        &self,
    ) -> impl IndexedParallelIterator<Item = impl Iterator<Item = Code> + '_> {
        let pieces = self.0.par_chunks(PIECE);
        pieces.map(|cells| cells.iter().map(|cell| Code(cell.load(Relaxed))))
    }

    /// The objects of which nothing is known.
    pub(crate) fn unknown(&self) -> impl ParallelIterator<Item = u32> + '_ {
        self.pieces().enumerate().flat_map_iter(|(piece, codes)| {
            let objects = (piece * PIECE) as u32..;
            let unknown = objects.zip(codes).filter(|(_, code)| !code.is_known());
            unknown.map(|(object, _)| object)
        })
    }

    /// What the object is seen as.
    #[inline]
    pub(crate) fn get(&self, object: u32) -> Option<View> {
        let code = self.code(object);
        code.is_known().then(|| code.view())
    }

    #[inline]
    pub(crate) fn code(&self, object: u32) -> Code {
        Code(self.0[object as usize].load(Relaxed))
    }

    /// Loads an object's view, for later. The number tells nothing.
    #[inline]
    pub(crate) fn touch(&self, object: u32) -> u32 {
        self.code(object).0
    }

    /// Whether a view that says this could be news of the object.
    #[inline]
    pub(crate) fn open_to(&self, object: u32, code: Code, types: &Types) -> bool {
        let known = self.code(object);
        !known.says_the_same(code) && known.fit() < Fit::Stated && code.beats(known, types)
            || known.says_the_same(code) && code.0 > known.0
    }

    /// Replaces the object's view if this one is better. Whether it is.
    #[inline]
    pub(crate) fn offer(&self, object: u32, code: Code, types: &Types) -> bool {
        let cell = &self.0[object as usize];
        // Of most objects nothing is known yet.
        let first = cell.load(Relaxed) == 0 && code.is_known();
        if first && cell.compare_exchange(0, code.0, Relaxed, Relaxed).is_ok() {
            return true;
        }
        code.compete(cell, types)
    }
}

/// The views as they are in the end: a column of indices into the distinct ones.
#[derive(Debug)]
pub(crate) struct FinalViews {
    pub(crate) column: Numbers,
    pub(crate) distinct: Vec<View>,
}

impl FinalViews {
    /// The distinct ones are numbered in the order in which objects have them.
    pub(crate) fn new(views: Views) -> Self {
        let Views(column) = views;
        let pieces = column.par_chunks(PIECE).map(|piece| {
            let (mut found, mut known) = (Vec::new(), FxHashSet::default());
            let mut recent = [0; RECENT];
            for cell in piece {
                let code = cell.load(Relaxed);
                let last = &mut recent[code as usize % RECENT];
                if *last != code && known.insert(code) {
                    found.push(code);
                }
                *last = code;
            }
            found
        });
        let found: Vec<Vec<u32>> = pieces.collect();
        let mut distinct = vec![Code::UNKNOWN.view()];
        let mut known = FxHashMap::from_iter([(0, 0)]);
        for code in found.into_iter().flatten() {
            known.entry(code).or_insert_with(|| {
                distinct.push(Code(code).view());
                distinct.len() as u32 - 1
            });
        }
        column.par_chunks(PIECE).for_each(|piece| {
            let mut recent = [(0, 0); RECENT];
            for cell in piece {
                let code = cell.load(Relaxed);
                let last = &mut recent[code as usize % RECENT];
                if last.0 != code {
                    *last = (code, known[&code]);
                }
                cell.store(last.1, Relaxed);
            }
        });
        FinalViews {
            column: Numbers::new(column, distinct.len()),
            distinct,
        }
    }

    /// What the object is seen as; `None` if unknown.
    pub(crate) fn get(&self, object: u32) -> Option<View> {
        match self.index(object) {
            0 => None,
            index => Some(self.distinct[index as usize]),
        }
    }

    /// Index of what the object is seen as in [`FinalViews::distinct`].
    #[inline]
    pub(crate) fn index(&self, object: u32) -> u32 {
        self.column.get(object as usize)
    }

    /// All distinct views; the first is that of objects nothing is known of.
    pub(crate) fn distinct(&self) -> &[View] {
        &self.distinct
    }
}
