//! The runtime's processors, each of which may hold a span of every kind.

use objref_mem::{Addr, AddressSpace, Fault};

use crate::layout::{pointer_at, slice_at};

/// More are taken for damage.
// runtime/runtime2.go: gomaxprocs is a number of threads
pub(crate) const MAX_PROCESSORS: u64 = 1 << 16;

/// The descriptors that `runtime.allp`, which is at `allp`, lists; nil among them.
pub(crate) fn processors(
    space: &AddressSpace,
    allp: Addr,
) -> Result<impl Iterator<Item = Result<Addr, Fault>>, Fault> {
    let (first, len) = slice_at(space, allp)?;
    Ok((0..len.min(MAX_PROCESSORS)).map(move |i| pointer_at(space, first, i)))
}
