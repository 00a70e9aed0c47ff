//! The collector's roots outside stacks: what they are, and those in global variables. The rest is in
//! [`crate::special_roots`].

use objref_mem::{Addr, AddressSpace, Encoding};
use serde::{Deserialize, Serialize};

use crate::module::{AddrRange, Mask, Module};

/// Where a root pointer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RootKind {
    /// A package-level variable, or data of the compiler's own.
    Global,
    /// A finalizer, or what the object that waits for it refers to.
    Finalizer,
    /// A finalizer that is due to run.
    FinalizerQueue,
    /// A cleanup attached to an object.
    Cleanup,
    /// A cleanup that is due to run.
    CleanupQueue,
    /// The handle behind weak pointers to an object.
    WeakHandle,
    /// The block that the next tiny objects go into, one a processor.
    TinyBlock,
    /// The system stack of a thread that holds a processor, but runs no goroutine.
    SystemStack,
}

impl RootKind {
    /// All kinds.
    pub const ALL: [RootKind; 8] = [
        RootKind::Global,
        RootKind::Finalizer,
        RootKind::FinalizerQueue,
        RootKind::Cleanup,
        RootKind::CleanupQueue,
        RootKind::WeakHandle,
        RootKind::TinyBlock,
        RootKind::SystemStack,
    ];
}

/// A pointer that the collector starts from.
#[derive(Clone, Copy, Debug)]
pub struct RootPointer {
    /// What holds it.
    pub kind: RootKind,
    /// The word that holds it.
    pub slot: Addr,
    /// The pointer.
    pub value: u64,
    /// What the record that holds it says of its type.
    pub says: Says,
}

/// What a record of the runtime says of a pointer in it. Types are addresses of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing.
    Nothing,
    /// It leads to a closure.
    Closure,
    /// It is of this type, which is a pointer type.
    Pointer(Addr),
    /// It stands this many bytes from the start of what a pointer of this type leads to.
    Within(Addr, u64),
    /// It leads to the handle behind weak pointers.
    WeakHandle,
    /// It leads to the argument of the function that this closure is for.
    Argument(Addr),
}

/// The non-nil pointers in the module's data and bss, by its masks, in address order. Returns how many bytes of pointer
/// variables could not be read.
// runtime/mgcmark.go: markrootBlock
pub fn global_roots(
    space: &AddressSpace,
    module: &Module,
    emit: &mut dyn FnMut(RootPointer),
) -> u64 {
    let data = block(space, module.data, module.gcdatamask, emit);
    data.saturating_add(block(space, module.bss, module.gcbssmask, emit))
}

fn block(
    space: &AddressSpace,
    range: AddrRange,
    mask: Mask,
    emit: &mut dyn FnMut(RootPointer),
) -> u64 {
    let size = space.word_size();
    let words = (range.len() / size).min(mask.bits);
    let Ok(bits) = mask.read(space, words) else {
        return words * size;
    };
    let mut missing = 0;
    for (page, bits) in bits.chunks(PAGE_MASK).enumerate() {
        let first = (page * PAGE_MASK * 8) as u64;
        let start = range.start.add(first * size);
        let count = (words - first).min(PAGE_MASK as u64 * 8);
        match space.bytes(start, (count * size) as usize) {
            Ok(data) => page_roots(space.encoding(), start, bits, &data, emit),
            // Part of it is there, or nothing.
            Err(_) => {
                for i in (0..count).filter(|i| bits[(i / 8) as usize] >> (i % 8) & 1 != 0) {
                    let slot = start.add(i * size);
                    match space.slice(slot, size as usize) {
                        Ok(word) => page_roots(space.encoding(), slot, &[1], word, emit),
                        Err(_) => missing += size,
                    }
                }
            }
        }
    }
    missing
}

/// Bytes of mask for a page of data.
const PAGE_MASK: usize = 64;

fn page_roots(
    encoding: Encoding,
    start: Addr,
    bits: &[u8],
    data: &[u8],
    emit: &mut dyn FnMut(RootPointer),
) {
    for (i, value) in encoding.words(data).enumerate() {
        if bits[i / 8] >> (i % 8) & 1 != 0 && value != 0 {
            emit(RootPointer {
                kind: RootKind::Global,
                slot: start.add(i as u64 * encoding.word_size()),
                value,
                says: Says::Nothing,
            });
        }
    }
}
