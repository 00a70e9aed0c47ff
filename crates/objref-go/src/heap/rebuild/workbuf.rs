//! Pages of the collector's own that are full of pointers to objects: its work buffers.

use std::ops::Range;

use objref_mem::{Addr, AddressSpace};

use crate::heap::span::PAGE;

/// The size of a buffer; a span of them has nothing else.
// runtime/mgcwork.go: _WorkbufSize
const BUFFER: u64 = 2048;
/// Its head: {node lfnode{next, pushcnt}, nobj}.
// runtime/mgcwork.go: workbufhdr
const HEAD: u64 = 24;
/// How far up the next buffer's address is, above a counter.
// runtime/tagptr_64bit.go: taggedPointerPack; runtime/lfstack_64bit.go up to go1.19
const PACKED: u32 = 16;

/// Whether the page at `start` is of work buffers. `heap` is where the heap is.
pub(super) fn is_work(space: &AddressSpace, heap: &Range<u64>, start: u64) -> bool {
    let head = |i: u64| {
        let bytes = space.slice(Addr(start + i * BUFFER), HEAD as usize).ok()?;
        let mut words = space.encoding().words(bytes);
        Some([words.next()?, words.next()?, words.next()?])
    };
    let heads: Option<Vec<[u64; 3]>> = (0..PAGE / BUFFER).map(head).collect();
    space.word_size() == 8 && heads.is_some_and(|heads| are_buffers(&heads, heap))
}

/// Whether each of a page's buffers begins with a link to another one and with how many objects are in it, or was last in a
/// list, or never in one.
fn are_buffers(heads: &[[u64; 3]], heap: &Range<u64>) -> bool {
    let is_linked = |next: u64| heap.contains(&(next >> PACKED & !(BUFFER - 1)));
    let sound = |&[next, pushed, objects]: &[u64; 3]| {
        (next == 0 || is_linked(next))
            && pushed <= u64::from(u32::MAX)
            && objects <= (BUFFER - HEAD) / 8
    };
    // One link alone may be chance.
    heads.iter().all(sound) && heads.iter().filter(|head| is_linked(head[0])).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_linked_to_each_other() {
        let heap = 0xc0_0000_0000..0xc0_0040_0000;
        let link = |page: u64, pushed: u64| (0xc0_0000_0000 + page * PAGE) << PACKED | pushed;
        let buffers = [
            [link(3, 0x16), 8, 0],
            [link(4, 2), 3, 253],
            [0; 3],
            [0, 1, 0],
        ];
        assert!(are_buffers(&buffers, &heap));
        let with = |head: [u64; 3]| {
            let mut heads = buffers;
            heads[2] = head;
            are_buffers(&heads, &heap)
        };
        assert!(with([link(5, 1), 1, 1]));
        // Objects, and more than there is room for.
        assert!(!with([0xc0_0000_2000, 1, 1]));
        assert!(!with([link(5, 1), 0xc0_0000_2000, 1]));
        assert!(!with([link(5, 1), 1, 254]));
        assert!(!with([link(1000, 1), 1, 1]));
        // Zeros, and one link alone.
        assert!(!are_buffers(&[[0; 3]; 4], &heap));
        assert!(!are_buffers(&[buffers[0], [0; 3], [0; 3], [0; 3]], &heap));
    }
}
