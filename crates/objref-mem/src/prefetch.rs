//! Asking for memory before it is needed.

/// Has the processor fetch the line of `byte` while it goes on: who reads it soon after need not wait as long.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn prefetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which changes nothing that a program can see, and the address is that of a byte.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
    }
    // No more than a load that nobody waits for.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}
