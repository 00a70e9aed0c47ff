//! The roots that hang off special records and off the queues of finalizers and cleanups, and the open blocks of the tiny
//! allocator.

use objref_mem::{Addr, AddressSpace, Fault, FaultKind};

use crate::heap::{Heap, Span, Tally};
use crate::layout::{FieldAt, StructSource, find_field, find_size, pointer_at, slice_at};
use crate::roots::{RootKind, RootPointer, Says};
use crate::specials::{Circle, MAX_SPECIALS, Special, SpecialKind, Specials};
use crate::version::GoVersion;

/// What the runtime keeps beside an object that tells its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// A finalizer: the type of the pointer to the object.
    Finalizer(Addr),
    /// A sample of the memory profile: where the runtime counts what was allocated on the same stack.
    Sample(Addr),
}

/// The allocator and who called it are among these many innermost frames.
const MAX_STACK: u64 = 12;

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
        for (span, head) in heap.specials() {
            let whole = self.specials.each(head, &mut left, |special| {
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
                let start = span.start.wrapping_add(special.offset);
                let slot = start.wrapping_sub(special.offset % span.elem_size);
                let ty = self.finalized(special);
                if let Some(id) = heap.find(slot) {
                    heap.pointers(self.space, id, |offset, value| {
                        let within = (slot + offset).checked_sub(start);
                        emit(RootPointer {
                            kind: RootKind::Finalizer,
                            slot: Addr(slot + offset),
                            value,
                            says: match (ty, within) {
                                (Some(ty), Some(within)) => Says::Within(ty, within),
                                _ => Says::Nothing,
                            },
                        });
                    });
                }
                match self.finalizer_fn {
                    Some(field) => {
                        let at = field.at(special.at);
                        self.word(RootKind::Finalizer, at, Says::Closure, emit)
                    }
                    None => Ok(()),
                }
            }
            (SpecialKind::WeakHandle, Some(field), _) => {
                let at = field.at(special.at);
                self.word(RootKind::WeakHandle, at, Says::WeakHandle, emit)
            }
            (SpecialKind::Cleanup, _, Some(field)) => {
                self.cleanup(RootKind::Cleanup, field.at(special.at), field.size, emit)
            }
            _ => Ok(()),
        }
    }

    /// The type of the pointer to the object that a finalizer waits for.
    // runtime/mheap.go: specialfinalizer {special, fn, nret, fint, ot}
    fn finalized(&self, special: &Special) -> Option<Addr> {
        let fn_at = self.finalizer_fn?.at(special.at);
        let ot = self.space.ptr(fn_at.add(3 * self.space.word_size())).ok()?;
        (ot.0 != 0).then_some(ot)
    }

    /// A cleanup of `size` bytes: a closure; from 1.26 on the closure to call, the function, and its argument.
    // runtime/mcleanup.go: cleanupFn {call, fn, arg}
    fn cleanup(
        &self,
        kind: RootKind,
        at: Addr,
        size: u64,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        let word = self.space.word_size();
        self.word(kind, at, Says::Closure, emit)?;
        if size < 3 * word {
            return Ok(());
        }
        self.word(kind, at.add(word), Says::Closure, emit)?;
        let function = self.space.ptr(at.add(word))?;
        self.word(kind, at.add(2 * word), Says::Argument(function), emit)
    }

    /// What the runtime keeps beside objects that tells their types: `visit` takes the address that the record is for.
    pub fn beside(&self, heap: &Heap, visit: &mut dyn FnMut(u64, Beside)) {
        let mut left = MAX_SPECIALS;
        for (span, head) in heap.specials() {
            self.specials.each(head, &mut left, |special| {
                let found = match special.kind {
                    SpecialKind::Finalizer => self.finalized(&special).map(Beside::Finalizer),
                    SpecialKind::Profile => self.sampled(&special).map(Beside::Sample),
                    _ => None,
                };
                if let Some(found) = found {
                    visit(span.start.wrapping_add(special.offset), found);
                }
                Ok(())
            });
        }
    }

    /// Where the runtime counts what was allocated on the same stack as a sampled object.
    // runtime/mheap.go: specialprofile {special, b *bucket}
    fn sampled(&self, special: &Special) -> Option<Addr> {
        let header = find_size(self.source, "runtime.special")?;
        self.space.ptr(special.at.add(header)).ok()
    }

    /// Return addresses of the stack that a sample is from, the innermost first.
    // runtime/mprof.go: bucket {next, allnext, typ, hash, size, nstk}, and the stack behind it
    pub fn stack_of_sample(&self, bucket: Addr) -> Option<Vec<Addr>> {
        let word = self.space.word_size();
        let count = self.space.word(bucket.add(5 * word)).ok()?;
        let stack = (6..).take(count.min(MAX_STACK) as usize);
        let stack = stack.map(|i| self.space.ptr(bucket.add(i * word)));
        stack.collect::<Result<_, _>>().ok()
    }

    /// Objects with a finalizer and with pointers: the collector scans each of them as a root, whether it is reached in
    /// other ways or not.
    // runtime/mgcmark.go: markrootSpans
    pub fn finalizable(&self, heap: &Heap) -> Tally {
        let mut sum = Tally::default();
        let mut left = MAX_SPECIALS;
        for (span, head) in heap.specials().filter(|(span, _)| !span.noscan) {
            self.specials.each(head, &mut left, |special| {
                if special.kind == SpecialKind::Finalizer {
                    sum.add(span.elem_size);
                }
                Ok(())
            });
        }
        sum
    }

    fn word(
        &self,
        kind: RootKind,
        slot: Addr,
        says: Says,
        emit: &mut dyn FnMut(RootPointer),
    ) -> Result<(), Fault> {
        let value = self.space.word(slot)?;
        if value != 0 {
            emit(RootPointer {
                kind,
                slot,
                value,
                says,
            });
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
                let ty = self.space.ptr(entry.add(4 * word))?;
                let words = [
                    (0, Says::Closure),
                    (1, Says::Pointer(ty)),
                    (3, Says::Nothing),
                    (4, Says::Nothing),
                ];
                for (index, says) in words {
                    let at = entry.add(index * word);
                    self.word(RootKind::FinalizerQueue, at, says, emit)?;
                }
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
            for i in 0..count {
                let at = cleanups.at(block).add(i * entry);
                self.cleanup(RootKind::CleanupQueue, at, entry, emit)?;
            }
            Ok(())
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
                self.word(RootKind::TinyBlock, tiny.at(cache), Says::Nothing, emit)?;
            }
        }
        Ok(())
    }
}
