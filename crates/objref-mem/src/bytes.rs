//! Parts of untrusted bytes; nothing here can panic.

/// The `len` bytes at `offset`, or `None` when they are not all there.
#[inline]
pub(crate) fn at(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let end = offset.checked_add(len)?;
    bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}

/// What is really there of the `len` bytes promised at `offset`.
pub(crate) fn available(bytes: &[u8], offset: u64, len: u64) -> &[u8] {
    let size = bytes.len() as u64;
    let start = offset.min(size);
    let end = offset.saturating_add(len).min(size);
    &bytes[start as usize..end as usize]
}

/// The bytes up to the first NUL, or all of them when there is none.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}
