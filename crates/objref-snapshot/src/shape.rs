//! Where a type holds references: its fields flattened into slots that name the way to each pointer.

use std::sync::{Arc, OnceLock};

use objref_mem::Addr;

use crate::flatten::flatten;
use crate::mask::{Mask, pointer_mask};
use crate::types::{TypeId, TypeModel};
use crate::view::{Code, Fit, Form, Source};

/// How far behind the pointer of a slice its capacity is.
// internal/unsafeheader/unsafeheader.go: Slice
pub(crate) const SLICE_COUNT: u64 = 16;
/// How far behind the pointer of a string its length is.
// internal/unsafeheader/unsafeheader.go: String
pub(crate) const STRING_COUNT: u64 = 8;

/// One reference held by a type.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// Offset of the reference in bytes. Its pointer is here, or for interfaces in the next word.
    pub(crate) offset: u64,
    /// What kind of reference it is.
    pub(crate) hold: Hold,
    /// The declared type of the field.
    pub(crate) ty: TypeId,
    /// The way to it: `conn.bufw.buf`, `[].name`, `[key]`; empty for a type that is itself the reference.
    pub(crate) path: Arc<str>,
}

/// What a slot's pointer leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// One value of the type.
    One(TypeId),
    /// A node of a concurrent trie, which is one of two structs that start alike: a flag tells which.
    Node {
        /// Where the flag is set.
        entry: Option<TypeId>,
        /// Where it is not.
        indirect: Option<TypeId>,
    },
    /// A timer, which may be inside of something that others point to.
    Timer(TypeId),
    /// A run of values whose length the words after the pointer tell.
    Slice(TypeId),
    /// As many values as the object has room for: map buckets and groups.
    Many(TypeId),
    /// The bytes of a string.
    String,
    /// {itab, data}.
    Interface,
    /// {type, data}.
    EmptyInterface,
    /// A closure.
    Func,
    /// The directory of a map: a group if the word after it is 0, otherwise an array of pointers to tables.
    Directory {
        /// A group of slots.
        group: TypeId,
        /// Pointer to a table.
        table: TypeId,
    },
    /// The buffer of a channel; the element's type stands this many bytes after the pointer.
    ChanBuffer(u64),
    /// Not said.
    Unknown,
}

impl Hold {
    /// The best that such a reference can say of its target, if that does not depend on more.
    #[inline]
    pub(crate) fn best(self, byte: TypeId) -> Code {
        let best = |form, ty| Code::new(Fit::Whole, Source::Reference, form, ty);
        match self {
            Hold::One(ty) => best(Form::One, ty),
            Hold::Many(ty) | Hold::Slice(ty) => best(Form::Many, ty),
            Hold::String => best(Form::Text, byte),
            _ => Code::UNKNOWN,
        }
    }

    /// How many bytes behind the pointer the number of values is that it leads to; 0 where none is.
    fn count(self) -> u8 {
        match self {
            Hold::Slice(_) => SLICE_COUNT as u8,
            Hold::String => STRING_COUNT as u8,
            _ => 0,
        }
    }
}

/// The references of a type, in the order of their offsets.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The slots.
    pub(crate) slots: Vec<Slot>,
    /// Size of a value in bytes.
    pub(crate) size: u64,
    /// Arrays too long to unroll.
    pub(crate) repeats: Vec<Repeat>,
    /// Of the first 64 words.
    pub(crate) mask: Mask,
    /// For each word of a small type the slot it belongs to, or `u16::MAX`.
    by_word: Vec<u16>,
    /// For each word of a type that is not large, what is known of the pointer there.
    pointers: Vec<Pointer>,
}

/// A word of a type, as the pointer of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pointer {
    /// The best that such a reference can say of its target, if that does not depend on more than its type.
    pub(crate) best: Code,
    /// Index of the slot, or [`Pointer::NONE`].
    slot: u16,
    /// How many bytes before the pointer the slot starts.
    back: u8,
    /// How many bytes behind it is how many values it leads to; 0 if the reference does not say.
    count: u8,
}

impl Pointer {
    const NONE: u16 = u16::MAX;

    const NOTHING: Pointer = Pointer {
        best: Code::UNKNOWN,
        slot: Pointer::NONE,
        back: 0,
        count: 0,
    };

    /// Where the number of values is that the pointer at `word` leads to, if the reference says.
    #[inline]
    pub(crate) fn count(self, word: Addr) -> Option<Addr> {
        (self.count != 0).then(|| Addr(word.0.wrapping_add(self.count.into())))
    }
}

/// A long array of values that hold references.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(crate) offset: u64,
    pub(crate) elem_size: u64,
    pub(crate) count: u64,
    pub(crate) elem: TypeId,
    pub(crate) path: Arc<str>,
}

/// A slot found in a shape, or one in an element of an array inside it.
pub(crate) enum Found<'a> {
    /// The slot with this index.
    Slot(usize),
    /// Look in the shape of this array's elements, at this offset; its paths continue that of the array.
    Within(&'a Repeat, u64),
}

/// Types with at most this many words have a table from word to slot.
const TABLE_WORDS: u64 = 4096;
/// Types with at most this many words have one from word to pointer, too: it takes more memory.
const POINTER_WORDS: u64 = 512;

impl Shape {
    /// The shape of `ty`. `byte` is the type of what strings consist of.
    fn new(model: &TypeModel<'_>, ty: TypeId, byte: TypeId) -> Shape {
        let mut shape = flatten(model, ty);
        shape.slots.sort_by_key(|s| s.offset);
        shape.slots.dedup_by_key(|s| s.offset);
        let masks = pointer_mask(model, ty, 1);
        shape.mask = Mask {
            all: masks.all[0],
            type_words: masks.type_words[0],
        };
        shape.size = model.get(ty).size;
        let words = shape.size / 8;
        if words <= TABLE_WORDS && shape.slots.len() < usize::from(u16::MAX) {
            shape.by_word = vec![u16::MAX; words as usize];
            if words <= POINTER_WORDS {
                shape.pointers = vec![Pointer::NOTHING; words as usize];
            }
            for (i, slot) in shape.slots.iter().enumerate() {
                let pointer = slot.pointer_offset();
                if pointer.is_multiple_of(8)
                    && let Some(entry) = shape.pointers.get_mut((pointer / 8) as usize)
                {
                    *entry = Pointer {
                        best: slot.hold.best(byte),
                        slot: i as u16,
                        back: (pointer - slot.offset) as u8,
                        count: slot.hold.count(),
                    };
                }
                for word in slot.offset / 8..slot.end() / 8 {
                    if let Some(entry) = shape.by_word.get_mut(word as usize) {
                        *entry = i as u16;
                    }
                }
            }
        }
        shape
    }

    /// The slot that the pointer word at `offset` belongs to.
    #[inline]
    pub(crate) fn at(&self, offset: u64) -> Option<Found<'_>> {
        let word = (offset / 8) as usize;
        if let Some(&slot) = self.by_word.get(word)
            && slot != u16::MAX
        {
            return Some(Found::Slot(usize::from(slot)));
        }
        self.search(offset)
    }

    /// What is known of the pointer at `offset`: nothing of those of a type that is large.
    #[inline]
    pub(crate) fn pointer(&self, offset: u64) -> Pointer {
        match self.pointers.get((offset / 8) as usize) {
            Some(pointer) if offset.is_multiple_of(8) => *pointer,
            _ => Pointer::NOTHING,
        }
    }

    /// What kind of reference this pointer at `word` is, and where in memory its slot starts; `None` where that takes a
    /// search.
    #[inline]
    pub(crate) fn hold(&self, pointer: Pointer, word: Addr) -> Option<(Hold, Addr)> {
        let slot = self.slots.get(usize::from(pointer.slot))?;
        let start = Addr(word.0.wrapping_sub(u64::from(pointer.back)));
        Some((slot.hold, start))
    }

    /// As [`Shape::hold`], if what it says of its target depends on more than its type.
    #[inline]
    pub(crate) fn undecided(&self, pointer: Pointer, word: Addr) -> Option<(Hold, Addr)> {
        match pointer.best.is_known() {
            true => None,
            false => self.hold(pointer, word),
        }
    }

    fn search(&self, offset: u64) -> Option<Found<'_>> {
        let after = self.slots.partition_point(|s| s.offset <= offset);
        if let Some(slot) = self.slots[..after].last()
            && offset < slot.end()
        {
            return Some(Found::Slot(after - 1));
        }
        let repeat = self.repeats.iter().find(|r| {
            r.offset <= offset
                && offset < r.offset.saturating_add(r.elem_size.saturating_mul(r.count))
        })?;
        Some(Found::Within(
            repeat,
            (offset - repeat.offset) % repeat.elem_size,
        ))
    }

    /// Whether a value of the type can hold a reference at all.
    pub(crate) fn has_references(&self) -> bool {
        !self.slots.is_empty() || !self.repeats.is_empty()
    }
}

impl Slot {
    /// Bytes of the field whose pointer words are looked up: interfaces have their pointer in the second word.
    fn width(&self) -> u64 {
        match self.hold {
            Hold::Interface | Hold::EmptyInterface => 16,
            _ => 8,
        }
    }

    /// Where the field ends, as far as it is looked up.
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.width())
    }

    /// Where the slot starts whose pointer is at `word`.
    pub(crate) fn start(&self, word: Addr) -> Addr {
        Addr(word.0.wrapping_sub(self.pointer_offset() - self.offset))
    }

    /// Where in the field the pointer to the object is.
    pub(crate) fn pointer_offset(&self) -> u64 {
        self.end() - 8
    }
}

/// Shapes by type, made when first asked for, by whatever thread that is.
pub(crate) struct Shapes {
    by_type: Vec<OnceLock<Box<Shape>>>,
    byte: TypeId,
}

impl Shapes {
    /// None yet. `byte` is the type of what strings consist of.
    pub(crate) fn new(byte: TypeId) -> Shapes {
        Shapes {
            by_type: Vec::new(),
            byte,
        }
    }

    /// Makes room for types that were added.
    pub(crate) fn grow(&mut self, types: usize) {
        if self.by_type.len() < types {
            self.by_type.resize_with(types, OnceLock::new);
        }
    }

    /// The references of `ty`, which [`Shapes::grow`] has made room for.
    #[inline]
    pub(crate) fn get(&self, model: &TypeModel<'_>, ty: TypeId) -> &Shape {
        self.by_type[ty.0 as usize].get_or_init(|| Box::new(Shape::new(model, ty, self.byte)))
    }
}
