//! The collector's roots outside stacks: globals, special records, the queues of finalizers and cleanups, and the open
//! blocks of the tiny allocator.

use objref_mem::{Addr, AddressSpace, Encoding, Fault, FaultKind};
use serde::{Deserialize, Serialize};

use crate::heap::{Heap, Span, Tally};
use crate::layout::{FieldAt, StructSource, find_field, pointer_at, slice_at};
use crate::module::{AddrRange, Mask, Module};
use crate::specials::{Circle, MAX_SPECIALS, Special, SpecialKind, Specials};
use crate::version::GoVersion;

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
            });
        }
    }
}

/// Reads the roots that hang off spans and runtime queues.
pub struct SpecialRoots<'a> {
    space: &'a AddressSpace,
    source: &'a dyn StructSource,
    specials: Specials<'a>,
    finalizer_fn: Option<FieldAt>,
    weak_handle: Option<FieldAt>,
    cleanup: Option<FieldAt>,
}

impl<'a> SpecialRoots<'a> {
    /// A reader for this process; `None` when special records have an unknown shape.
    pub fn new(
        space: &'a AddressSpace,
        source: &'a dyn StructSource,
        version: &GoVersion,
    ) -> Option<Self> {
        Some(SpecialRoots {
            space,
            source,
            specials: Specials::new(space, source, version.minor)?,
            finalizer_fn: find_field(source, "runtime.specialfinalizer", "fn"),
            weak_handle: find_field(source, "runtime.specialWeakHandle", "handle"),
            cleanup: find_field(source, "runtime.specialCleanup", "cleanup | fn"),
        })
    }

    /// Finalizers, cleanups and weak handles of every span. Returns the number of lists that broke off.
    // runtime/mgcmark.go: markrootSpans
    pub fn specials(&self, heap: &Heap, emit: &mut dyn FnMut(RootPointer)) -> u64 {
        let mut left = MAX_SPECIALS;
        let mut broken = 0;
        for span in heap.spans() {
            let whole = self.specials.each(span.specials, &mut left, |special| {
                self.special(heap, span, &special, emit)
            });
            broken += u64::from(!whole);
        }
        broken
    }

    fn special(
        &self,
        heap: &Heap,
        span: &Span,
        special: &Special,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        match (special.kind, self.weak_handle, self.cleanup) {
            (SpecialKind::Finalizer, ..) => {
                // The object itself stays dead; what it refers to must live until the finalizer ran.
                let slot = span.start + special.offset / span.elem_size * span.elem_size;
                if let Some(id) = heap.find(slot) {
                    heap.pointers(self.space, id, |offset, value| {
                        emit(RootPointer {
                            kind: RootKind::Finalizer,
                            slot: Addr(slot + offset),
                            value,
                        });
                    });
                }
                match self.finalizer_fn {
                    Some(field) => self.words(RootKind::Finalizer, field.at(special.at), 1, emit),
                    None => Ok(()),
                }
            }
            (SpecialKind::WeakHandle, Some(field), _) => {
                self.words(RootKind::WeakHandle, field.at(special.at), 1, emit)
            }
            (SpecialKind::Cleanup, _, Some(field)) => {
                let words = field.size / self.space.word_size();
                self.words(RootKind::Cleanup, field.at(special.at), words, emit)
            }
            _ => Ok(()),
        }
    }

    /// Objects with a finalizer and with pointers: the collector scans each of them as a root, whether it is reached in
    /// other ways or not.
    // runtime/mgcmark.go: markrootSpans
    pub fn finalizable(&self, heap: &Heap) -> Tally {
        let mut sum = Tally::default();
        let mut left = MAX_SPECIALS;
        for span in heap.spans().iter().filter(|span| !span.noscan) {
            self.specials.each(span.specials, &mut left, |special| {
                if special.kind == SpecialKind::Finalizer {
                    sum.add(span.elem_size);
                }
                Ok(())
            });
        }
        sum
    }

    fn words(
        &self,
        kind: RootKind,
        at: Addr,
        count: u64,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        for i in 0..count {
            let slot = at.add(i * self.space.word_size());
            let value = self.space.word(slot)?;
            if value != 0 {
                emit(RootPointer { kind, slot, value });
            }
        }
        Ok(())
    }

    /// Finalizers due to run; `allfin` is the address of the variable `runtime.allfin`.
    // runtime/mfinal.go: finBlock, finalizer; mgcmark.go: markroot, case fixedRootFinalizers
    pub fn finalizer_queue(
        &self,
        allfin: Addr,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        const BLOCK: &str = "runtime.finBlock | runtime.finblock";
        let field = |path| find_field(self.source, BLOCK, path);
        let (Some(alllink), Some(cnt), Some(fin)) = (field("alllink"), field("cnt"), field("fin"))
        else {
            return Ok(());
        };
        // {fn, arg, nret, fint, ot}: all pointers but nret.
        let word = self.space.word_size();
        self.list(allfin, alllink, |block| {
            let count = cnt.read(self.space, block)?.min(fin.size / (5 * word));
            for i in 0..count {
                let entry = fin.at(block).add(i * 5 * word);
                self.words(RootKind::FinalizerQueue, entry, 2, emit)?;
                self.words(RootKind::FinalizerQueue, entry.add(3 * word), 2, emit)?;
            }
            Ok(())
        })
    }

    /// Cleanups due to run; `queue` is the address of the variable `runtime.gcCleanups` (1.25+).
    // runtime/mcleanup.go: cleanupBlock
    pub fn cleanup_queue(
        &self,
        queue: Addr,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        const BLOCK: &str = "runtime.cleanupBlock";
        let field = |path| find_field(self.source, BLOCK, path);
        let all = find_field(self.source, "runtime.cleanupQueue", "all.value | all");
        let (Some(all), Some(alllink), Some(n), Some(cleanups)) = (
            all,
            field("cleanupBlockHeader.alllink"),
            field("cleanupBlockHeader.n"),
            field("cleanups"),
        ) else {
            return Ok(());
        };
        let entry = self.source.size_of("runtime.cleanupFn");
        let entry = entry.unwrap_or(self.space.word_size());
        self.list(all.at(queue), alllink, |block| {
            let count = n.read(self.space, block)?.min(cleanups.size / entry);
            self.words(
                RootKind::CleanupQueue,
                cleanups.at(block),
                count * entry / self.space.word_size(),
                emit,
            )
        })
    }

    /// Walks the list whose head is in the variable at `head`.
    fn list(
        &self,
        head: Addr,
        next: FieldAt,
        mut visit: impl FnMut(Addr) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut at = self.space.ptr(head)?;
        let mut circle = Circle::default();
        while at.0 != 0 {
            if circle.closes(at) {
                return Err(Fault {
                    addr: at,
                    kind: FaultKind::Overflow,
                });
            }
            visit(at)?;
            at = next.ptr(self.space, at)?;
        }
        Ok(())
    }

    /// The block each processor takes tiny objects from; `allp` is the address of the variable `runtime.allp`.
    // runtime/mgcmark.go: gcMarkTinyAllocs
    pub fn tiny_blocks(&self, allp: Addr, emit: &mut dyn FnMut(RootPointer)) -> Result<(), Fault> {
        let mcache = find_field(self.source, "runtime.p", "mcache");
        let tiny = find_field(self.source, "runtime.mcache", "tiny");
        let (Some(mcache), Some(tiny)) = (mcache, tiny) else {
            return Ok(());
        };
        let (data, len) = slice_at(self.space, allp)?;
        for i in 0..len.min(1 << 16) {
            let p = pointer_at(self.space, data, i)?;
            if p.0 == 0 {
                continue;
            }
            let cache = mcache.ptr(self.space, p)?;
            if cache.0 != 0 {
                self.words(RootKind::TinyBlock, tiny.at(cache), 1, emit)?;
            }
        }
        Ok(())
    }
}
