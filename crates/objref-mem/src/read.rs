//! Integers, pointers and text out of the address space.

use crate::addr::Addr;
use crate::bytes::until_nul;
use crate::fault::Fault;
use crate::space::AddressSpace;

impl AddressSpace {
    /// The bytes of an integer.
    #[inline]
    fn array<const N: usize>(&self, a: Addr) -> Result<[u8; N], Fault> {
        match self.direct(a, N).and_then(|b| b.try_into().ok()) {
            Some(array) => Ok(array),
            None => self.array_slow(a),
        }
    }

    #[cold]
    fn array_slow<const N: usize>(&self, a: Addr) -> Result<[u8; N], Fault> {
        let bytes = self.bytes(a, N)?;
        let mut array = [0; N];
        array.copy_from_slice(&bytes);
        Ok(array)
    }

    /// The byte at `a`.
    ///
    /// # Errors
    ///
    /// A fault with the address.
    #[inline]
    pub fn u8(&self, a: Addr) -> Result<u8, Fault> {
        self.array::<1>(a).map(|[b]| b)
    }

    /// The 16-bit integer at `a`; need not be aligned.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn u16(&self, a: Addr) -> Result<u16, Fault> {
        self.array(a).map(|raw| self.encoding().u16_of(raw))
    }

    /// The 32-bit integer at `a`; need not be aligned.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn u32(&self, a: Addr) -> Result<u32, Fault> {
        self.array(a).map(|raw| self.encoding().u32_of(raw))
    }

    /// The 64-bit integer at `a`; need not be aligned.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn u64(&self, a: Addr) -> Result<u64, Fault> {
        self.array(a).map(|raw| self.encoding().u64_of(raw))
    }

    /// The signed 32-bit integer at `a`; need not be aligned.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn i32(&self, a: Addr) -> Result<i32, Fault> {
        self.array(a).map(|raw| self.encoding().i32_of(raw))
    }

    /// The word at `a`: a `uintptr`, an `int`; need not be aligned.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn word(&self, a: Addr) -> Result<u64, Fault> {
        match self.word_size() {
            4 => self.u32(a).map(u64::from),
            _ => self.u64(a),
        }
    }

    /// The word of `WORD` bytes at `a`, for loops where the size is decided outside.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn sized_word<const WORD: u64>(&self, a: Addr) -> Result<u64, Fault> {
        match WORD {
            8 => self.u64(a),
            _ => self.u32(a).map(u64::from),
        }
    }

    /// The pointer at `a`, whatever it points to.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn ptr(&self, a: Addr) -> Result<Addr, Fault> {
        self.word(a).map(Addr)
    }

    /// The unsigned integer of `size` bytes at `a`: 1, 2, 4 or 8. Of anything else, that of the first 8.
    ///
    /// # Errors
    ///
    /// A fault with the first bad address.
    #[inline]
    pub fn uint(&self, a: Addr, size: u64) -> Result<u64, Fault> {
        match size {
            1 => self.u8(a).map(u64::from),
            2 => self.u16(a).map(u64::from),
            4 => self.u32(a).map(u64::from),
            _ => self.u64(a),
        }
    }

    /// The text at `a` up to a NUL or `max` bytes, whichever comes first.
    ///
    /// # Errors
    ///
    /// A fault when memory ends before the text does.
    pub fn c_string(&self, a: Addr, max: usize) -> Result<String, Fault> {
        let mut text = Vec::new();
        while text.len() < max {
            let rest = self.rest(a.add(text.len() as u64))?;
            let rest = &rest[..rest.len().min(max - text.len())];
            let part = until_nul(rest);
            text.extend_from_slice(part);
            if part.len() < rest.len() {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The `len` bytes of text at `a`; what is not UTF-8 is replaced.
    ///
    /// # Errors
    ///
    /// As [`AddressSpace::bytes`].
    pub fn string(&self, a: Addr, len: usize) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.bytes(a, len)?).into_owned())
    }
}
