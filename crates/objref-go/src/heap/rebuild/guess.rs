//! A span that is made up.

use objref_mem::Addr;

use crate::heap::bits::HEADER;
use crate::heap::classes::SIZE_CLASSES;
use crate::heap::span::{PAGE, RawSpan, SpanState};

/// A span that nobody has a record of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guess {
    pub(super) start: u64,
    pub(super) npages: u64,
    /// The size class; 0 for one object that fills the pages.
    pub(super) class: u8,
    pub(super) keeps: Keeps,
    pub(super) slots: u64,
}

/// Where it is kept which words of a span's objects are pointers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// There are none.
    NoPointers,
    /// In the last bytes of the page.
    Bits,
    /// There, before the collector's marks.
    Inline,
    /// Each slot starts with its type.
    Types,
    /// Not in the page: each word may be one.
    Nothing,
}

impl Guess {
    /// Where in a slot pointers to it lead: behind its header, if there is one.
    pub(super) fn start_of_data(&self) -> u64 {
        match self.keeps {
            Keeps::Types => HEADER,
            _ => 0,
        }
    }

    /// Words of a slot.
    pub(super) fn words(&self) -> u64 {
        match usize::from(self.class) {
            0 => self.npages * PAGE / 8,
            class => SIZE_CLASSES[class] / 8,
        }
    }

    pub(super) fn span(self, sweepgen: u32) -> RawSpan {
        RawSpan {
            at: Addr(0),
            state: SpanState::InUse,
            start: self.start,
            npages: self.npages,
            freeindex: self.slots,
            freeindex_for_scan: None,
            nelems: self.slots,
            alloc_bits: Addr(0),
            gcmark_bits: Addr(0),
            sweepgen,
            alloc_count: self.slots,
            spanclass: self.class << 1 | u8::from(self.keeps == Keeps::NoPointers),
            elem_size: self.words() * 8,
            specials: Addr(0),
            large_type: Addr(0),
            user_arena: false,
            keeps_pointers: matches!(self.keeps, Keeps::Types | Keeps::Bits),
        }
    }
}
