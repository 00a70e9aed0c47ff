//! What an object is seen as, and how sure that is.

use rustc_hash::FxHashMap;

use crate::types::TypeId;

/// How a type fills an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

/// How a view came about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Certainty {
    /// Nothing is known.
    Unknown,
    /// The only type of the program, or one of few, with pointers at these places in a slot of this size.
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

/// A type, how it fills the object, and how sure that is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct View {
    /// The type; of an array's element where the form is `Many`.
    pub ty: TypeId,
    /// How it fills the object.
    pub form: Form,
    /// How sure it is.
    pub certainty: Certainty,
}

/// How well a view explains an object; a better one replaces it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fit {
    /// A value that leaves room for another field or element.
    Part = 1,
    /// A run seen from its middle.
    Run,
    /// The whole slot and all of its pointers.
    Whole,
    /// The runtime's own word for the whole slot.
    Stated,
}

const FIT_SHIFT: u32 = 28;
const VIEW_MASK: u32 = (1 << FIT_SHIFT) - 1;

/// The view of every object: a column of ids into a table of distinct views.
#[derive(Debug)]
pub(crate) struct Views {
    /// Per object: fit in the upper four bits, index into `table` below; 0 is unknown.
    column: Vec<u32>,
    table: Vec<View>,
    ids: FxHashMap<View, u32>,
}

impl Views {
    /// All unknown.
    pub(crate) fn new(objects: usize) -> Self {
        let nothing = View {
            ty: TypeId(0),
            form: Form::One,
            certainty: Certainty::Unknown,
        };
        Views {
            column: vec![0; objects],
            table: vec![nothing],
            ids: FxHashMap::default(),
        }
    }

    /// What the object is seen as.
    #[inline]
    pub(crate) fn get(&self, object: u32) -> Option<View> {
        let id = self.index(object);
        (id != 0).then(|| self.table[id as usize])
    }

    /// Index of what the object is seen as in [`Views::distinct`].
    #[inline]
    pub(crate) fn index(&self, object: u32) -> u32 {
        self.column[object as usize] & VIEW_MASK
    }

    /// All distinct views; the first is that of objects nothing is known of.
    pub(crate) fn distinct(&self) -> &[View] {
        &self.table
    }

    /// Whether a view that fits like this would be news.
    #[inline]
    pub(crate) fn improves(&self, object: u32, fit: Fit) -> bool {
        self.column[object as usize] >> FIT_SHIFT < fit as u32
    }

    /// Replaces the object's view.
    pub(crate) fn set(&mut self, object: u32, view: View, fit: Fit) {
        let next = self.table.len() as u32;
        let id = *self.ids.entry(view).or_insert(next);
        if id == next {
            self.table.push(view);
        }
        self.column[object as usize] = (fit as u32) << FIT_SHIFT | (id & VIEW_MASK);
    }
}
