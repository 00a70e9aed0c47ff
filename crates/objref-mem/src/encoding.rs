//! How numbers are laid out in bytes: their order, and the size of a word.

use crate::bytes::at;

/// The order of the bytes of a number, and the size of a pointer. What is read out of a file or a
/// process goes through one of these; nothing here can panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Encoding {
    big_endian: bool,
    wide: bool,
}

macro_rules! integers {
    ($($name:ident $of:ident $type:ty),*) => {$(
        /// The integer at `offset`, or `None` when it is not all there.
        #[inline]
        pub fn $name(self, bytes: &[u8], offset: u64) -> Option<$type> {
            let raw = at(bytes, offset, size_of::<$type>() as u64)?;
            Some(self.$of(raw.try_into().ok()?))
        }

        /// The integer that these bytes are.
        #[inline]
        pub(crate) fn $of(self, raw: [u8; size_of::<$type>()]) -> $type {
            match self.big_endian {
                true => <$type>::from_be_bytes(raw),
                false => <$type>::from_le_bytes(raw),
            }
        }
    )*};
}

impl Encoding {
    /// Of 32-bit machines with the lowest byte first.
    pub const LITTLE_32: Self = Self::new(false, false);
    /// Of 64-bit machines with the lowest byte first.
    pub const LITTLE_64: Self = Self::new(false, true);
    /// Of 64-bit machines with the highest byte first.
    pub const BIG_64: Self = Self::new(true, true);

    /// Words are 64 bits long where `wide`, and 32 otherwise.
    pub(crate) const fn new(big_endian: bool, wide: bool) -> Self {
        Self { big_endian, wide }
    }

    /// Bytes of a word: of a pointer, a `uintptr`, an `int`.
    #[inline]
    pub const fn word_size(self) -> u64 {
        if self.wide { 8 } else { 4 }
    }

    /// Whether the highest byte comes first.
    pub const fn is_big_endian(self) -> bool {
        self.big_endian
    }

    /// Whether words are 64 bits long.
    pub(crate) const fn is_wide(self) -> bool {
        self.wide
    }

    integers!(u16 u16_of u16, u32 u32_of u32, i32 i32_of i32, u64 u64_of u64);

    /// The word at `offset`, or `None` when it is not all there.
    #[inline]
    pub fn word(self, bytes: &[u8], offset: u64) -> Option<u64> {
        match self.wide {
            true => self.u64(bytes, offset),
            false => self.u32(bytes, offset).map(u64::from),
        }
    }

    /// The word that these bytes start with, `WORD` bytes long; 0 if there are fewer. For loops over words, where the
    /// size is decided once and outside.
    #[inline]
    pub fn sized_word<const WORD: u64>(self, bytes: &[u8]) -> u64 {
        match WORD {
            8 => bytes.first_chunk().map_or(0, |raw| self.u64_of(*raw)),
            _ => bytes
                .first_chunk()
                .map_or(0, |raw| self.u32_of(*raw).into()),
        }
    }

    /// The unsigned integer that these bytes are; of more than 8 bytes, the lowest 8.
    #[inline]
    pub fn uint(self, bytes: &[u8]) -> u64 {
        let byte = |n: u64, b: &u8| n << 8 | u64::from(*b);
        match self.big_endian {
            true => bytes.iter().fold(0, byte),
            false => bytes.iter().rev().fold(0, byte),
        }
    }

    /// All whole words.
    #[inline]
    pub fn words(self, bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + '_ {
        bytes
            .chunks_exact(self.word_size() as usize)
            .map(move |raw| self.word(raw, 0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 0x80];

    #[test]
    fn order_and_size_decide() {
        let (little, big) = (Encoding::LITTLE_64, Encoding::BIG_64);
        assert_eq!(little.u16(&BYTES, 1), Some(0x0302));
        assert_eq!(big.u16(&BYTES, 1), Some(0x0203));
        assert_eq!(little.u32(&BYTES, 1), Some(0x0504_0302));
        assert_eq!(big.word(&BYTES, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(big.i32(&[0xff, 0xff, 0xff, 0xfe], 0), Some(-2));
        assert_eq!(Encoding::LITTLE_32.word(&BYTES, 5), Some(0x8008_0706));
        assert_eq!(
            (little.word(&BYTES, 2), little.u32(&BYTES, u64::MAX)),
            (None, None)
        );
    }

    #[test]
    fn integers_of_any_size_and_runs_of_words() {
        assert_eq!(Encoding::LITTLE_64.uint(&BYTES[..3]), 0x03_0201);
        assert_eq!(Encoding::BIG_64.uint(&BYTES[..3]), 0x01_0203);
        assert_eq!(Encoding::BIG_64.uint(&[]), 0);
        let words = |e: Encoding| e.words(&BYTES).collect::<Vec<_>>();
        assert_eq!(words(Encoding::BIG_64), [0x0102_0304_0506_0708]);
        assert_eq!(words(Encoding::LITTLE_32), [0x0403_0201, 0x0807_0605]);
    }
}
