//! What was found out last, for loops that ask for the same few things again and again.

/// Values by what they are for, each at the only index where it can be.
#[derive(Debug)]
pub(crate) struct Memo<K, V>(Box<[(K, V); ENTRIES]>);

/// Values that are remembered.
const ENTRIES: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 8;

impl<K: Copy, V: Copy> Memo<K, V> {
    /// Nothing yet: `key` is one that nobody asks for, or has this value.
    pub(crate) fn new(key: K, value: V) -> Self {
        Memo(Box::new([(key, value); ENTRIES]))
    }

    /// The key and the value where those of a key can be that is `bits` as a number, or in most of them.
    #[inline]
    pub(crate) fn at(&mut self, bits: u64) -> &mut (K, V) {
        &mut self.0[scattered(bits, INDEX_BITS)]
    }
}

/// A number of so many bits that has nothing to do with those for the numbers beside `n`.
// Knuth, The Art of Computer Programming, 6.4: the high bits of the product depend on all of `n`.
#[inline]
pub(crate) fn scattered(n: u64, bits: u32) -> usize {
    (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - bits)) as usize
}
