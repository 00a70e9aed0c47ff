//! Which words of an object are pointers.

use objref_mem::{Addr, AddressSpace};

use super::arena::{Scheme, low_bits};
use super::slots::SlotReader;
use super::span::{PAGE, RawSpan};
use super::{Heap, Span};

/// Where the pointer bits of a span's objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointerBits {
    /// The objects hold no pointers.
    NoScan,
    /// A bit a word, this many bytes from the span's start.
    InSpan { offset: u32 },
    /// The first word of each slot is the type.
    Header,
    /// The span's record has the type.
    Large,
    /// In the arena's bitmap.
    Arena,
}

/// Objects up to this size have their pointer bits at the end of the span.
// runtime/mbitmap.go: heapBitsInSpan, minSizeForMallocHeader
pub(super) const MAX_IN_SPAN: u64 = 512;
/// Size of the inline mark bits, and of the pointer bits of a one-page span.
// runtime/mgcmark_greenteagc.go: spanInlineMarkBits; 8192 bytes / 8 / 8
pub(super) const IN_SPAN_BYTES: u64 = 128;
/// Objects larger than this may have large parts that are not in the dump.
pub(super) const SPARSE: u64 = 1 << 20;

impl SlotReader<'_> {
    pub(super) fn pointer_bits(&self, span: &RawSpan) -> PointerBits {
        if span.is_noscan() {
            PointerBits::NoScan
        } else if self.arenas.scheme != Scheme::PerObject {
            PointerBits::Arena
        } else if span.user_arena || (span.size_class() == 0 && span.elem_size > MAX_IN_SPAN) {
            PointerBits::Large
        } else if span.elem_size <= MAX_IN_SPAN {
            let tail = IN_SPAN_BYTES * if self.has_inline_marks(span) { 2 } else { 1 };
            PointerBits::InSpan {
                offset: (span.npages * PAGE - tail) as u32,
            }
        } else {
            PointerBits::Header
        }
    }
}

impl Heap {
    /// As [`Heap::pointers`], for the object in the slot at `at` of `span`.
    #[inline]
    pub fn pointers_at(
        &self,
        space: &AddressSpace,
        span: &Span,
        at: u64,
        mut visit: impl FnMut(u64, u64),
    ) {
        let size = span.elem_size;
        match span.bits {
            PointerBits::NoScan => {}
            PointerBits::InSpan { offset } => {
                if let Some(mask) = in_span_mask(space, span, offset, at) {
                    visit_words(space, at, 0, mask, &mut visit);
                }
            }
            PointerBits::Header => {
                if let Ok(ty) = space.u64(Addr(at)) {
                    self.tiled(space, ty, at, 8, size, &mut visit);
                }
            }
            PointerBits::Large => self.tiled(space, span.large_type.0, at, 0, size, &mut visit),
            PointerBits::Arena => {
                self.arenas.pointer_words(space, at, size, |offset, mask| {
                    visit_words(space, at, offset, mask, &mut visit);
                });
            }
        }
    }

    /// Which words of an object of at most 512 bytes are pointers; `None` for other objects.
    pub fn pointer_mask(&self, space: &AddressSpace, span: &Span, at: u64) -> Option<u64> {
        if span.elem_size > MAX_IN_SPAN {
            return None;
        }
        match span.bits {
            PointerBits::NoScan => Some(0),
            PointerBits::InSpan { offset } => in_span_mask(space, span, offset, at),
            PointerBits::Arena => {
                let mut all = 0;
                self.arenas
                    .pointer_words(space, at, span.elem_size, |offset, mask| {
                        all |= mask << (offset / 8)
                    });
                Some(all)
            }
            PointerBits::Header | PointerBits::Large => None,
        }
    }

    /// Calls `visit(offset, mask)` with the pointer bits of the first `size` bytes of the slot at `at`, at most 64 words
    /// at a time: `offset` is that of the first word, in bytes from the slot's start. Words without a bit may be left
    /// out.
    pub fn pointer_bits(
        &self,
        space: &AddressSpace,
        span: &Span,
        at: u64,
        size: u64,
        mut visit: impl FnMut(u64, u64),
    ) {
        let size = size.min(span.elem_size) & !7;
        if size == 0 {
            return;
        }
        let (ty, mut start) = match span.bits {
            PointerBits::NoScan => return,
            PointerBits::InSpan { offset } => {
                if let Some(mask) = in_span_mask(space, span, offset, at) {
                    visit(0, mask & low_bits((size / 8).min(64)));
                }
                return;
            }
            PointerBits::Arena => return self.arenas.pointer_words(space, at, size, visit),
            PointerBits::Header => (space.u64(Addr(at)).unwrap_or(0), 8),
            PointerBits::Large => (span.large_type.0, 0),
        };
        let Some(mask) = self.masks.get(ty) else {
            return;
        };
        while start < size {
            for (i, word) in mask.words.iter().enumerate() {
                let from = start + i as u64 * 512;
                if from >= size {
                    break;
                }
                visit(from, word & low_bits(((size - from) / 8).min(64)));
            }
            start = start.saturating_add(mask.size);
        }
    }

    /// The type's mask, repeated from `offset` to the end of the slot as the runtime does.
    // runtime/mbitmap.go: typePointers.next
    fn tiled(
        &self,
        space: &AddressSpace,
        ty: u64,
        at: u64,
        offset: u64,
        end: u64,
        visit: &mut impl FnMut(u64, u64),
    ) {
        let Some(mask) = self.masks.get(ty) else {
            return;
        };
        let mut start = offset;
        while start.checked_add(8).is_some_and(|word| word <= end) {
            if end > SPARSE {
                // Whole values that nobody has bytes of are passed over.
                let next = space.data_from(Addr(at + start));
                let gap = next.map_or(end, |a| a.0 - at).min(end) - start;
                start += gap / mask.size * mask.size;
            }
            for (i, word) in mask.words.iter().enumerate() {
                let from = start + i as u64 * 512;
                if from + 8 > end {
                    break;
                }
                let room = (end - from) / 8;
                let word = if room < 64 {
                    word & low_bits(room)
                } else {
                    *word
                };
                visit_words(space, at, from, word, visit);
            }
            start = start.saturating_add(mask.size);
        }
    }
}

/// The bits of the object at `at` in a bitmap at `offset` of its span.
#[inline]
fn in_span_mask(space: &AddressSpace, span: &Span, offset: u32, at: u64) -> Option<u64> {
    let first = (at - span.start) / 8;
    let word = Addr(span.start + u64::from(offset) + first / 64 * 8);
    let (skip, count) = (first % 64, span.elem_size / 8);
    let mut mask = space.u64(word).ok()? >> skip;
    if skip + count > 64 {
        mask |= space.u64(word.add(8)).ok()? << (64 - skip);
    }
    Some(mask & low_bits(count))
}

/// Reads the words of `mask`, the first of which is at `at + offset`.
#[inline]
fn visit_words(
    space: &AddressSpace,
    at: u64,
    offset: u64,
    mut mask: u64,
    visit: &mut impl FnMut(u64, u64),
) {
    if mask == 0 {
        return;
    }
    let from = offset + u64::from(mask.trailing_zeros()) * 8;
    let len = u64::from(64 - mask.leading_zeros() - mask.trailing_zeros()) * 8;
    mask >>= mask.trailing_zeros();
    if let Ok(bytes) = space.slice(Addr(at + from), len as usize) {
        while mask != 0 {
            let bit = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let word: [u8; 8] = bytes[bit * 8..bit * 8 + 8].try_into().unwrap_or_default();
            let value = u64::from_le_bytes(word);
            if value != 0 {
                visit(from + bit as u64 * 8, value);
            }
        }
        return;
    }
    // The object crosses the border of two segments, or part of it is missing.
    while mask != 0 {
        let offset = from + u64::from(mask.trailing_zeros()) * 8;
        mask &= mask - 1;
        match space.u64(Addr(at + offset)) {
            Ok(0) | Err(_) => {}
            Ok(value) => visit(offset, value),
        }
    }
}
