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

    /// Whether the page's span keeps mark bits in its last 128 bytes (Green Tea).
    // runtime/mgcmark_greenteagc.go: spanInlineMarkBits
    pub(super) fn has_inline_marks(&self, space: &AddressSpace, addr: u64) -> bool {
        let (Some(field), Some(arena)) = (self.inline_marks, self.arena(space, addr)) else {
            return false;
        };
        let page = addr % (1 << self.shift) / super::PAGE;
        space
            .u8(field.at(arena).add(page / 8))
            .is_ok_and(|byte| byte >> (page % 8) & 1 != 0)
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
            let (mask, more) = match self.group::<WORD>(space, arena, number) {
                Ok(bits) => bits,
                Err(_) => return,
            };
            visit(word * WORD - at, (mask >> skip) & low_bits(take));
            word += take;
            if !more {
                return;
            }
        }
    }

    /// Pointer bits of group number `n` of the arena's words, and whether an object that goes on past them may have
    /// more.
    // runtime/mbitmap.go: heapBitsForAddr
    fn group<const WORD: u64>(
        &self,
        space: &AddressSpace,
        arena: Addr,
        n: u64,
    ) -> Result<(u64, bool), Fault> {
        match self.scheme {
            Scheme::ArenaOneBit {
                bitmap,
                no_more_ptrs,
            } => {
                let mask = pointer_at(space, bitmap.at(arena), n)?.0;
                let last = space.u8(no_more_ptrs.at(arena).add(n / 8))? >> (n % 8) & 1 != 0;
                Ok((mask, !last))
            }
            Scheme::ArenaTwoBits { bitmap } => {
                let len = group(WORD) / 4;
                let bytes = space.bytes(bitmap.at(arena).add(n * len), len as usize)?;
                // Low nibble: pointers; high nibble: the object's pointers go on at this word.
                let mut mask = 0;
                for (i, byte) in bytes.iter().enumerate() {
                    mask |= u64::from(byte & byte >> 4 & 15) << (i * 4);
                }
                Ok((mask, true))
            }
            Scheme::PerObject => Ok((0, false)),
        }
    }
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
