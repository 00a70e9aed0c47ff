//! Heap arenas: 64 MiB of address space each (4 MiB where words are of 32 bits), with metadata kept outside.

use objref_mem::{Addr, AddressSpace, Fault};

use super::bits::{SPARSE, group};
use crate::layout::{FieldAt, LayoutError, StructSource, layout, pointer_at};

layout! {
    /// Offsets in heapArena.
    // runtime/mheap.go: heapArena
    struct ArenaLayout = "runtime.heapArena" {
        bitmap: ? "bitmap | heapArenaPtrScalar.bitmap",
        no_more_ptrs: ? "noMorePtrs | heapArenaPtrScalar.noMorePtrs",
        inline_marks: ? "pageUseSpanInlineMarkBits",
    }
}

/// Where the heap keeps which words are pointers. Decided once, by the shape of `heapArena`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Up to 1.19: two bits a word in the arena, pointer and "more follows".
    ArenaTwoBits { bitmap: FieldAt },
    /// 1.20 and 1.21: one bit a word in the arena, and one bit for each 64 words that no more follow.
    ArenaOneBit {
        bitmap: FieldAt,
        no_more_ptrs: FieldAt,
    },
    /// From 1.22: in the span, in a header before the object, or in the span's record.
    PerObject,
}

/// The way from an address to its arena's metadata.
#[derive(Debug)]
pub(super) struct Arenas {
    pub(super) scheme: Scheme,
    inline_marks: Option<FieldAt>,
    /// The second level of `mheap.arenas`; the first has one entry on every Unix.
    table: Addr,
    base_offset: u64,
    shift: u32,
}

impl Arenas {
    /// `field` is the address of `mheap.arenas`.
    pub(super) fn new(
        space: &AddressSpace,
        source: &dyn StructSource,
        field: Addr,
    ) -> Result<Arenas, ArenaError> {
        let layout = ArenaLayout::resolve(source)?;
        let scheme = match (layout.bitmap, layout.no_more_ptrs) {
            (Some(bitmap), Some(no_more_ptrs)) => Scheme::ArenaOneBit {
                bitmap,
                no_more_ptrs,
            },
            (Some(bitmap), None) => Scheme::ArenaTwoBits { bitmap },
            (None, _) => Scheme::PerObject,
        };
        Ok(Arenas {
            scheme,
            inline_marks: layout.inline_marks,
            table: space.ptr(field)?,
            base_offset: arena_base(space, source),
            shift: space.arch().arena_shift(),
        })
    }

    /// The `heapArena` of an address; `None` where there is none.
    pub(super) fn arena(&self, space: &AddressSpace, addr: u64) -> Option<Addr> {
        let index = addr.wrapping_sub(self.base_offset) >> self.shift;
        let arena = pointer_at(space, self.table, index).ok();
        arena.filter(|a| a.0 != 0)
    }

    /// Whether the page's span keeps mark bits in its last 128 bytes (Green Tea); `None` if the dump does not have the
    /// arena's record.
    // runtime/mgcmark_greenteagc.go: spanInlineMarkBits
    pub(super) fn has_inline_marks(&self, space: &AddressSpace, addr: u64) -> Option<bool> {
        let Some(field) = self.inline_marks else {
            return Some(false);
        };
        let page = addr % (1 << self.shift) / super::PAGE;
        let byte = space.u8(field.at(self.arena(space, addr)?).add(page / 8));
        byte.ok().map(|byte| byte >> (page % 8) & 1 != 0)
    }

    /// Whether the runtime can keep marks in pages at all.
    pub(super) fn may_have_inline_marks(&self) -> bool {
        self.inline_marks.is_some()
    }

    /// Whether the dump has what the arenas' bitmaps say of `len` bytes at `addr`, if they say it.
    pub(super) fn has_bits(&self, space: &AddressSpace, addr: u64, len: u64) -> bool {
        let bits_of = |addr: u64| {
            let arena = self.arena(space, addr)?;
            let words = group(space.word_size());
            let number = addr % (1 << self.shift) / space.word_size() / words;
            match space.word_size() {
                8 => self.group::<8>(space, arena, number).ok(),
                _ => self.group::<4>(space, arena, number).ok(),
            }
        };
        bits_of(addr).is_some() && bits_of(addr + len - 1).is_some()
    }

    /// Calls `visit(first word, mask)` for the pointer words of `size` bytes at `at`, 64 words at most at a time.
    pub(super) fn pointer_words<const WORD: u64>(
        &self,
        space: &AddressSpace,
        at: u64,
        size: u64,
        mut visit: impl FnMut(u64, u64),
    ) {
        let (mut word, end) = (at / WORD, (at + size) / WORD);
        while word < end {
            if size > SPARSE {
                let next = space.data_from(Addr(word * WORD));
                word = next.map_or(end, |a| (a.0 / WORD).min(end)).max(word);
                if word == end {
                    return;
                }
            }
            let Some(arena) = self.arena(space, word * WORD) else {
                return;
            };
            let words = group(WORD);
            let number = word * WORD % (1 << self.shift) / WORD / words;
            let skip = word % words;
            let take = (words - skip).min(end - word);
            let Ok(bits) = self.group::<WORD>(space, arena, number) else {
                return;
            };
            let known = u64::from((bits.goes_on >> skip).trailing_ones()).min(take);
            if known > 0 {
                visit(word * WORD - at, (bits.pointers >> skip) & low_bits(known));
            }
            if known < take || !bits.more {
                return;
            }
            word += take;
        }
    }

    /// What is known of group number `n` of the arena's words.
    // runtime/mbitmap.go: heapBitsForAddr
    fn group<const WORD: u64>(
        &self,
        space: &AddressSpace,
        arena: Addr,
        n: u64,
    ) -> Result<Group, Fault> {
        match self.scheme {
            Scheme::ArenaOneBit {
                bitmap,
                no_more_ptrs,
            } => {
                let last = space.u8(no_more_ptrs.at(arena).add(n / 8))? >> (n % 8) & 1 != 0;
                Ok(Group {
                    pointers: pointer_at(space, bitmap.at(arena), n)?.0,
                    goes_on: u64::MAX,
                    more: !last,
                })
            }
            // Four words a byte. runtime/mbitmap.go: bitPointer, bitScan
            Scheme::ArenaTwoBits { bitmap } => {
                let len = group(WORD) / 4;
                let bytes = space.bytes(bitmap.at(arena).add(n * len), len as usize)?;
                let mut both = [0; 16];
                both[..bytes.len()].copy_from_slice(&bytes);
                let both = u128::from_le_bytes(both);
                Ok(Group {
                    pointers: low_nibbles(both),
                    goes_on: low_nibbles(both >> 4),
                    more: true,
                })
            }
            Scheme::PerObject => Ok(Group::default()),
        }
    }
}

/// What an arena's bitmap says of a group of words.
#[derive(Default)]
struct Group {
    /// Words that hold pointers.
    pointers: u64,
    /// Words at which the object's pointers are not yet over. Behind the first that is not among them, `pointers` are
    /// those of an object that was here before.
    // runtime/mgcmark.go: scanobject; mbitmap.go: heapBitsSetType
    goes_on: u64,
    /// Whether an object that goes on behind these words may have more pointers there.
    more: bool,
}

/// The lower halves of the sixteen bytes of `word`, side by side.
#[inline]
fn low_nibbles(word: u128) -> u64 {
    let half = |word: u64| {
        let word = word & 0x0f0f_0f0f_0f0f_0f0f;
        let word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
        let word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
        (word | word >> 16) & 0xffff_ffff
    };
    half(word as u64) | half((word >> 64) as u64) << 32
}

/// The lowest address that an arena can have: the one of index 0.
// runtime/malloc.go: arenaBaseOffset
pub(crate) fn arena_base(space: &AddressSpace, source: &dyn StructSource) -> u64 {
    match source.constant("runtime.arenaBaseOffsetUintptr") {
        Some(offset) => offset as u64,
        None => space.arch().arena_base(),
    }
}

/// The lowest `n` bits, 1 to 64.
#[inline]
pub(super) fn low_bits(n: u64) -> u64 {
    u64::MAX >> (64 - n)
}

/// Why the arena table could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArenaError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ArenaError> for super::ReadError {
    fn from(e: ArenaError) -> Self {
        match e {
            ArenaError::Layout(e) => e.into(),
            ArenaError::Fault(e) => e.into(),
        }
    }
}
