//! Which words of an object are pointers.

use std::ops::Range;

use objref_mem::{Addr, AddressSpace, Stretch};

use super::arena::{Scheme, low_bits};
use super::slots::SlotReader;
use super::span::{PAGE, RawSpan};
use super::{Heap, Span};

/// Where the pointer bits of a span's objects are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PointerBits {
    /// The objects hold no pointers.
    #[default]
    NoScan,
    /// A bit a word, this many bytes from the span's start.
    InSpan { offset: u32 },
    /// The first word of each slot is the type.
    Header,
    /// The span's record has the type.
    Large,
    /// In the arena's bitmap.
    Arena,
    /// Not in the dump: every word may be a pointer.
    Lost,
}

/// Size of the inline mark bits.
// runtime/mgcmark_greenteagc.go: spanInlineMarkBits
pub(super) const INLINE_MARKS: u64 = 128;
/// Size of what precedes an object whose type is kept with it, whatever the size of words.
// runtime/mbitmap.go: mallocHeaderSize
pub(super) const HEADER: u64 = 8;
/// Objects larger than this may have large parts that are not in the dump.
pub(super) const SPARSE: u64 = 1 << 20;

/// Words of `word` bytes whose bits make up one word: the collector's bitmaps go by such groups.
// runtime/mbitmap.go: ptrBits
#[inline]
pub(super) const fn group(word: u64) -> u64 {
    8 * word
}

/// Objects up to this size have their pointer bits at the end of the span: a group at most.
// runtime/mbitmap.go: heapBitsInSpan, minSizeForMallocHeader
#[inline]
pub(super) const fn max_in_span(word: u64) -> u64 {
    word * group(word)
}

impl SlotReader<'_> {
    pub(super) fn pointer_bits(&self, span: &RawSpan) -> PointerBits {
        let word = self.space.word_size();
        if span.is_noscan() {
            PointerBits::NoScan
        } else if self.arenas.scheme != Scheme::PerObject {
            let bytes = span.bytes();
            match span.has_record() && self.arenas.has_bits(self.space, span.start, bytes) {
                true => PointerBits::Arena,
                false => PointerBits::Lost,
            }
        } else if span.has_record()
            && (span.user_arena || (span.size_class() == 0 && span.elem_size > max_in_span(word)))
        {
            PointerBits::Large
        } else if span.elem_size <= max_in_span(word) {
            // A bit for each word of the one page that such spans have.
            let bits = PAGE / word / 8;
            let inline = self.has_inline_marks(span);
            let marks = if inline { INLINE_MARKS } else { 0 };
            let offset = span.bytes() - bits - marks;
            let kept = self.space.slice(Addr(span.start + offset), bits as usize);
            match kept.is_ok() && (inline || span.has_record() || span.keeps_pointers) {
                true => PointerBits::InSpan {
                    offset: offset as u32,
                },
                false => PointerBits::Lost,
            }
        } else if span.has_record() || span.keeps_pointers {
            PointerBits::Header
        } else {
            PointerBits::Lost
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
        visit: impl FnMut(u64, u64),
    ) {
        self.pointers_within(space, span, at, 0..u64::MAX, visit);
    }

    /// As [`Heap::pointers_at`], of the words in a part of the slot: `within` is in bytes from its start, goes by whole words,
    /// and may end behind the slot. It has to start at 0 unless [`Heap::has_parts`].
    #[inline]
    pub fn pointers_within(
        &self,
        space: &AddressSpace,
        span: &Span,
        at: u64,
        within: Range<u64>,
        mut visit: impl FnMut(u64, u64),
    ) {
        let within = within.start..within.end.min(span.elem_size);
        match space.word_size() {
            8 => self.pointers_of::<8>(space, span, at, within, &mut visit),
            _ => self.pointers_of::<4>(space, span, at, within, &mut visit),
        }
    }

    /// Whether pointers of objects can be looked for in a part of them.
    pub fn has_parts(&self, span: &Span) -> bool {
        // An arena's bitmap tells where pointers end to those alone who come from the start.
        span.bits != PointerBits::Arena
    }

    #[inline]
    fn pointers_of<const WORD: u64>(
        &self,
        space: &AddressSpace,
        span: &Span,
        at: u64,
        within: Range<u64>,
        visit: &mut impl FnMut(u64, u64),
    ) {
        match span.bits {
            PointerBits::NoScan => {}
            PointerBits::InSpan { offset } => {
                if let Some(mask) = in_span_mask::<WORD>(space, span, offset, at) {
                    let mask = clipped::<WORD>(mask, 0, &within);
                    visit_words::<WORD>(space, at, 0, mask, visit);
                }
            }
            PointerBits::Header => {
                if let Ok(ty) = space.sized_word::<WORD>(Addr(at)) {
                    self.tiled::<WORD>(space, ty, at, HEADER, within, visit);
                }
            }
            PointerBits::Large => {
                self.tiled::<WORD>(space, span.large_type.0, at, 0, within, visit);
            }
            PointerBits::Lost => every_word::<WORD>(space, at, within, visit),
            PointerBits::Arena => {
                self.arenas
                    .pointer_words::<WORD>(space, at, within.end, |offset, mask| {
                        visit_words::<WORD>(space, at, offset, mask, visit);
                    });
            }
        }
    }

    /// Which words of a small object are pointers; `None` for objects of more than 64 words (32 where words are half
    /// as long).
    pub fn pointer_mask(&self, space: &AddressSpace, span: &Span, at: u64) -> Option<u64> {
        match space.word_size() {
            8 => self.mask_of::<8>(space, span, at),
            _ => self.mask_of::<4>(space, span, at),
        }
    }

    /// As [`Heap::pointer_mask`], and quicker where the object is in [`AddressSpace::little_stretch`].
    #[inline]
    pub fn pointer_mask_in(
        &self,
        little: &Stretch<'_>,
        space: &AddressSpace,
        span: &Span,
        at: u64,
    ) -> Option<u64> {
        let near = self.pointer_mask_near(little, span, at);
        near.or_else(|| self.pointer_mask(space, span, at))
    }

    /// As [`Heap::pointer_mask_in`], where that is quicker.
    #[inline]
    pub fn pointer_mask_near(&self, little: &Stretch<'_>, span: &Span, at: u64) -> Option<u64> {
        let PointerBits::InSpan { offset } = span.bits else {
            return None;
        };
        // The byte with the first of the bits, and what follows it: nearly always that is all of them.
        let (first, count) = ((at - span.start) / 8, span.elem_size / 8);
        let skip = first % 8;
        let bits = little.little_u64(Addr(span.start + u64::from(offset) + first / 8))?;
        (skip + count <= 64).then(|| bits >> skip & low_bits(count))
    }

    /// Has the processor fetch what [`Heap::pointer_mask_in`] looks at, for later.
    #[inline]
    pub(super) fn prefetch_mask(little: &Stretch<'_>, span: &Span, at: u64) {
        if let PointerBits::InSpan { offset } = span.bits {
            little.prefetch(Addr(
                span.start + u64::from(offset) + (at - span.start) / 64,
            ));
        }
    }

    fn mask_of<const WORD: u64>(&self, space: &AddressSpace, span: &Span, at: u64) -> Option<u64> {
        if span.elem_size > const { max_in_span(WORD) } {
            return None;
        }
        match span.bits {
            PointerBits::NoScan => Some(0),
            PointerBits::InSpan { offset } => in_span_mask::<WORD>(space, span, offset, at),
            PointerBits::Arena => {
                let mut all = 0;
                self.arenas
                    .pointer_words::<WORD>(space, at, span.elem_size, |offset, mask| {
                        all |= mask << (offset / WORD)
                    });
                Some(all)
            }
            PointerBits::Header | PointerBits::Large | PointerBits::Lost => None,
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
        visit: impl FnMut(u64, u64),
    ) {
        match space.word_size() {
            8 => self.bits_of::<8>(space, span, at, size, visit),
            _ => self.bits_of::<4>(space, span, at, size, visit),
        }
    }

    fn bits_of<const WORD: u64>(
        &self,
        space: &AddressSpace,
        span: &Span,
        at: u64,
        size: u64,
        mut visit: impl FnMut(u64, u64),
    ) {
        let size = size.min(span.elem_size) / WORD * WORD;
        if size == 0 {
            return;
        }
        let (ty, mut start) = match span.bits {
            PointerBits::NoScan | PointerBits::Lost => return,
            PointerBits::InSpan { offset } => {
                if let Some(mask) = in_span_mask::<WORD>(space, span, offset, at) {
                    visit(0, mask & low_bits((size / WORD).min(64)));
                }
                return;
            }
            PointerBits::Arena => {
                return self.arenas.pointer_words::<WORD>(space, at, size, visit);
            }
            PointerBits::Header => (space.word(Addr(at)).unwrap_or(0), HEADER),
            PointerBits::Large => (span.large_type.0, 0),
        };
        let Some(mask) = self.masks.get(ty) else {
            return;
        };
        while start < size {
            for (i, word) in mask.words.iter().enumerate() {
                let from = start + i as u64 * 64 * WORD;
                if from >= size {
                    break;
                }
                visit(from, word & low_bits(((size - from) / WORD).min(64)));
            }
            start = start.saturating_add(mask.size);
        }
    }

    /// The words `within` the slot that are pointers by the type's mask, which is repeated from `offset` to the slot's end as
    /// the runtime does.
    // runtime/mbitmap.go: typePointers.next
    fn tiled<const WORD: u64>(
        &self,
        space: &AddressSpace,
        ty: u64,
        at: u64,
        offset: u64,
        within: Range<u64>,
        visit: &mut impl FnMut(u64, u64),
    ) {
        let Some(mask) = self.masks.get(ty) else {
            return;
        };
        let end = within.end;
        // The value that the first of the words is in.
        let before = within.start.saturating_sub(offset);
        let mut start = offset + before / mask.size * mask.size;
        while start.checked_add(WORD).is_some_and(|word| word <= end) {
            if end > SPARSE {
                // Whole values that nobody has bytes of are passed over.
                let next = space.data_from(Addr(at + start));
                let gap = next.map_or(end, |a| a.0 - at).min(end) - start;
                start += gap / mask.size * mask.size;
            }
            let group = const { 64 * WORD };
            let first = within.start.saturating_sub(start) / group;
            for (i, word) in (first..).zip(mask.words.iter().skip(first as usize)) {
                let from = start + i * group;
                if from + WORD > end {
                    break;
                }
                let word = clipped::<WORD>(*word, from, &within);
                visit_words::<WORD>(space, at, from, word, visit);
            }
            start = start.saturating_add(mask.size);
        }
    }
}

/// Those of the bits whose words are `within`; the first is that of the word at `from`.
#[inline]
fn clipped<const WORD: u64>(mask: u64, from: u64, within: &Range<u64>) -> u64 {
    let before = |offset: u64| match offset.saturating_sub(from) / WORD {
        0 => 0,
        words => low_bits(words.min(64)),
    };
    mask & before(within.end) & !before(within.start)
}

/// Takes every word `within` the slot at `at` for what may be a pointer.
fn every_word<const WORD: u64>(
    space: &AddressSpace,
    at: u64,
    within: Range<u64>,
    visit: &mut impl FnMut(u64, u64),
) {
    let end = at + within.end;
    let mut next = space.data_from(Addr(at + within.start));
    while let Some(here) = next.filter(|a| a.0 < end) {
        let Ok(bytes) = space.rest(here) else { return };
        let bytes = &bytes[..bytes.len().min((end - here.0) as usize)];
        for (i, bytes) in bytes.chunks_exact(WORD as usize).enumerate() {
            let value = space.encoding().sized_word::<WORD>(bytes);
            if value != 0 {
                visit(here.0 - at + i as u64 * WORD, value);
            }
        }
        next = space.data_from(here.add(bytes.len() as u64));
    }
}

/// The bits of the object at `at` in a bitmap at `offset` of its span.
#[inline]
fn in_span_mask<const WORD: u64>(
    space: &AddressSpace,
    span: &Span,
    offset: u32,
    at: u64,
) -> Option<u64> {
    let read = |word| space.sized_word::<WORD>(word).ok();
    let group = const { group(WORD) };
    let (first, count) = ((at - span.start) / WORD, span.elem_size / WORD);
    let word = Addr(span.start + u64::from(offset) + first / group * WORD);
    let skip = first % group;
    let mut mask = read(word)? >> skip;
    if skip + count > group {
        mask |= read(word.add(WORD))? << (group - skip);
    }
    Some(mask & low_bits(count))
}

/// Reads the words of `mask`, the first of which is at `at + offset`.
#[inline]
fn visit_words<const WORD: u64>(
    space: &AddressSpace,
    at: u64,
    offset: u64,
    mut mask: u64,
    visit: &mut impl FnMut(u64, u64),
) {
    if mask == 0 {
        return;
    }
    let from = offset + u64::from(mask.trailing_zeros()) * WORD;
    let len = u64::from(64 - mask.leading_zeros() - mask.trailing_zeros()) * WORD;
    mask >>= mask.trailing_zeros();
    if let Ok(bytes) = space.slice(Addr(at + from), len as usize) {
        let encoding = space.encoding();
        while mask != 0 {
            let inside = u64::from(mask.trailing_zeros()) * WORD;
            mask &= mask - 1;
            let value = encoding.sized_word::<WORD>(&bytes[inside as usize..]);
            if value != 0 {
                visit(from + inside, value);
            }
        }
        return;
    }
    // The object crosses the border of two segments, or part of it is missing.
    while mask != 0 {
        let offset = from + u64::from(mask.trailing_zeros()) * WORD;
        mask &= mask - 1;
        match space.sized_word::<WORD>(Addr(at + offset)) {
            Ok(0) | Err(_) => {}
            Ok(value) => visit(offset, value),
        }
    }
}
