//! Size classes: how much room an allocation of a given size is given.

/// Slot sizes by size class, the same in every release from 1.16 to 1.27. Class 0 stands for large objects.
// runtime/sizeclasses.go up to 1.24, internal/runtime/gc/sizeclasses.go after
pub const SIZE_CLASSES: [u64; 68] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320,
    352, 384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792,
    2048, 2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728,
    10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072, 20480, 21760, 24576, 27264, 28672,
    32768,
];
/// Pages of a span by size class.
// runtime/sizeclasses.go up to 1.24, internal/runtime/gc/sizeclasses.go after
pub(super) const CLASS_PAGES: [u8; 68] = [
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 2, 1, 2, 1, 2, 1, 3, 2, 3, 1, 3, 2, 3, 4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8,
    3, 10, 7, 4,
];
/// Objects without pointers below this size share a slot of this size.
// runtime/malloc.go: maxTinySize
const TINY: u64 = 16;

/// Whether an allocation of `size` bytes, its header included, would have got a slot of exactly `slot` bytes, which is
/// the slot of this size class.
pub(super) fn fills_slot(size: u64, slot: u64, class: u8, noscan: bool) -> bool {
    if size == 0 || size > slot {
        return false;
    }
    if noscan && slot == TINY {
        return true;
    }
    match usize::from(class) {
        0 => size > slot - slot.min(super::PAGE),
        class => SIZE_CLASSES
            .get(class - 1)
            .is_some_and(|smaller| size > *smaller),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_filled_by_sizes_of_its_own_class_only() {
        let fills = |size, slot, noscan| {
            let class = SIZE_CLASSES.binary_search(&slot).unwrap_or(0) as u8;
            fills_slot(size, slot, class, noscan)
        };
        assert!(fills(8, 8, false));
        assert!(fills(17, 24, false));
        assert!(fills(24, 24, true));
        assert!(!fills(16, 24, true));
        assert!(!fills(25, 24, true));
        // Tiny objects share a block.
        assert!(fills(1, 16, true));
        assert!(!fills(8, 16, false));
        // Large objects take whole pages.
        assert!(fills(32769, 40960, false));
        assert!(!fills(32768, 40960, true));
        assert!(!fills(0, 8, true));
    }
}
