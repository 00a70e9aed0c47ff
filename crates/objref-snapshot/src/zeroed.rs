//! Variables in whose place the dump has zeros. Zeros say nothing of themselves; what speaks against them is what the
//! program began with, and what the runtime has while it runs.

use objref_go::{AddrRange, GoProcess};
use objref_mem::Addr;

/// What is lost at once when pages are.
const PAGE: u64 = 4096;
/// Words that the binary starts with: a program does not set all of so many back to zero.
const MANY_WORDS: usize = 16;
/// What is not zero from when the runtime has started on. The linker puts small variables first and together, so that
/// those of the program share their pages with these.
// runtime/proc.go, runtime/runtime2.go; cmd/link/internal/ld/data.go: dodataSect sorts by size
const NEVER_ZERO: [&str; 7] = [
    "runtime.allm",
    "runtime.allgs",
    "runtime.allp",
    "runtime.modulesSlice",
    "runtime.g0",
    "runtime.m0",
    "runtime.sched",
];

/// Bytes of pages of variables that are nothing but zeros, which they cannot have been.
pub(crate) fn zeroed_variables(process: &GoProcess) -> u64 {
    // The binary has what those of the main program began with, not those of plugins.
    let Some(module) = process.modules.first() else {
        return 0;
    };
    let never_zero = NEVER_ZERO.map(|name| process.global(name));
    let is_lost = |&(start, len): &(Addr, u64)| {
        let within = |at: &Addr| at.0.wrapping_sub(start.0) < len;
        let initial = process.image.link_bytes(process.bias.to_link(start), len);
        let words = initial.unwrap_or_default().chunks_exact(8);
        words.filter(|word| **word != [0; 8]).count() >= MANY_WORDS
            || never_zero.iter().flatten().any(within)
    };
    let ranges = [module.noptrdata, module.data, module.bss];
    let pages = ranges.into_iter().flat_map(|r| zero_pages(process, r));
    pages.filter(is_lost).map(|(_, len)| len).sum()
}

/// Where in the core pages, or what of them is in `range`, hold nothing but zeros.
fn zero_pages(process: &GoProcess, range: AddrRange) -> impl Iterator<Item = (Addr, u64)> {
    // By segments: the range is from the dump and may be anything, what the file has is bounded.
    let present = process.core.segments().iter().map(move |s| {
        let start = range.start.0.max(s.addr.0);
        (start, range.end.0.min(s.addr.0 + s.present))
    });
    let parts = present.filter(|(start, end)| start < end);
    let parts = parts.flat_map(|(start, end)| {
        (start / PAGE..end.div_ceil(PAGE)).map(move |page| {
            let from = start.max(page * PAGE);
            (
                Addr(from),
                end.min((page * PAGE).saturating_add(PAGE)) - from,
            )
        })
    });
    parts.filter(|&(start, len)| {
        let bytes = process.core.present_bytes(start, len);
        bytes.is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    })
}
