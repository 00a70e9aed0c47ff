//! Layouts for processes that are nothing but memory.

use objref_go::{FieldAt, StructSource};

/// Where the runtime's own structs are.
pub const META: u64 = 0x7f00_0000_0000;
/// Where objects are.
pub const OBJECTS: u64 = 0xc0_0000_0000;

/// One layout for all structs; the number decides how pointer bits are kept.
pub struct Layout(pub u8);

const FIELDS: &[(&str, &str, u64, u64)] = &[
    ("runtime.mheap", "allspans", 0, 24),
    ("runtime.mheap", "arenas", 24, 8),
    ("runtime.mheap", "sweepgen", 32, 4),
    ("runtime.mspan", "startAddr", 0, 8),
    ("runtime.mspan", "npages", 8, 8),
    ("runtime.mspan", "freeindex", 16, 2),
    ("runtime.mspan", "nelems", 18, 2),
    ("runtime.mspan", "allocCount", 20, 2),
    ("runtime.mspan", "spanclass", 22, 1),
    ("runtime.mspan", "state", 23, 1),
    ("runtime.mspan", "sweepgen", 24, 4),
    ("runtime.mspan", "elemsize", 32, 8),
    ("runtime.mspan", "allocBits", 40, 8),
    ("runtime.mspan", "gcmarkBits", 48, 8),
    ("runtime.mspan", "specials", 56, 8),
    ("runtime.mspan", "largeType", 64, 8),
    ("internal/abi.Type", "Size_", 0, 8),
    ("internal/abi.Type", "PtrBytes", 8, 8),
    ("internal/abi.Type", "TFlag", 20, 1),
    ("internal/abi.Type", "Kind_", 23, 1),
    ("internal/abi.Type", "GCData", 32, 8),
    ("internal/abi.Type", "Str", 40, 4),
    ("runtime._func", "nameOff", 4, 4),
    ("runtime._func", "args", 8, 4),
    ("runtime._func", "deferreturn", 12, 4),
    ("runtime._func", "pcsp", 16, 4),
    ("runtime._func", "pcfile", 20, 4),
    ("runtime._func", "pcln", 24, 4),
    ("runtime._func", "npcdata", 28, 4),
    ("runtime._func", "cuOffset", 32, 4),
    ("runtime._func", "funcID", 40, 1),
    ("runtime._func", "flag", 41, 1),
    ("runtime._func", "nfuncdata", 43, 1),
    ("runtime.inlinedCall", "funcID", 0, 1),
    ("runtime.inlinedCall", "nameOff", 4, 4),
    ("runtime.inlinedCall", "parentPc", 8, 4),
];

impl StructSource for Layout {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let arena = match (self.0 & 3, path) {
            (0 | 1, "bitmap") => Some((0, 1 << 21)),
            (1, "noMorePtrs") => Some((1 << 21, 16384)),
            (2, "pageUseSpanInlineMarkBits") => Some((16, 1024)),
            _ => None,
        };
        if name == "runtime.heapArena" {
            return arena.map(|(offset, size)| FieldAt { offset, size });
        }
        FIELDS
            .iter()
            .find(|f| (f.0, f.1) == (name, path))
            .map(|f| FieldAt { offset: f.2, size: f.3 })
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        match name {
            "runtime.mspan" => Some(80),
            "internal/abi.Type" => Some(48),
            "runtime.inlinedCall" => Some(16),
            _ => None,
        }
    }

    fn constant(&self, _name: &str) -> Option<i64> {
        None
    }
}
