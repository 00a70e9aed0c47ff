//! What of the heap is not in the dump, and which numbers that touches.

use objref_go::{GoProcess, Tally};
use objref_mem::{Addr, AddressSpace, Region, RegionKind};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnose::{Diagnostic, note};
use crate::dump::Dump;

/// What of the heap is not in the dump, and which numbers that touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// Bytes of pages with objects.
    pub heap_bytes: u64,
    /// Bytes of variables and of stacks that may hold pointers.
    pub root_bytes: u64,
    /// Bytes of pages with objects with pointers in which there are nothing but zeros, if they are many: whoever wrote the
    /// dump or copied it left holes.
    pub zero_bytes: u64,
    /// Live objects that are not in the dump, or not wholly: what only they refer to is not reached.
    pub live_objects: u64,
    /// Bytes of theirs that are not in the dump.
    pub live_bytes: u64,
    /// Live objects in pages whose records are not in the dump: where they start and end was guessed.
    pub guessed_objects: u64,
    /// Their bytes.
    pub guessed_bytes: u64,
    /// Objects that are not reached although the last collection found them live: what holds them may be missing.
    pub undecided_objects: u64,
    /// Their bytes, those that are in the dump.
    pub undecided_bytes: u64,
    /// Objects that were allocated since and are not reached: garbage, or held by what is missing.
    pub undecided_new_objects: u64,
    /// Their bytes, those that are in the dump.
    pub undecided_new_bytes: u64,
}

/// What of the roots is not in the dump.
pub(crate) struct LostRoots {
    /// Bytes of variables.
    pub(crate) variables: u64,
    /// Words of stacks.
    pub(crate) stack_words: u64,
    /// Goroutines.
    pub(crate) goroutines: u64,
}

impl Missing {
    /// What is missing of a dump whose reachable objects are known; `None` if nothing is.
    pub(crate) fn of(
        dump: &Dump,
        is_reached: &dyn Fn(u32) -> bool,
        roots: &LostRoots,
    ) -> Option<Missing> {
        let (process, heap) = (&dump.process, &dump.heap);
        let present = Present::new(&process.space);
        let mut missing = Missing {
            root_bytes: roots.variables + roots.stack_words * process.space.word_size(),
            zero_bytes: Some(zeros(dump)).filter(|n| *n >= MANY_ZEROS).unwrap_or(0),
            ..Missing::default()
        };
        // In the order of the heap's spans: bytes of each that are not in the dump.
        let lost = |s: &objref_go::Span| present.lacks(s.start, s.bytes());
        let lost: Vec<u64> = heap.spans().iter().map(lost).collect();
        missing.heap_bytes = lost.iter().sum();
        let whole = missing.heap_bytes == 0
            && missing.root_bytes == 0
            && missing.zero_bytes == 0
            && roots.goroutines == 0
            && heap.totals.lost == 0;
        if whole {
            return None;
        }
        let mut spans = heap.spans().iter().zip(&lost).peekable();
        let mut lacks = |at: u64, size: u64| {
            while spans.next_if(|(s, _)| s.start + s.bytes() <= at).is_some() {}
            match spans.peek() {
                Some((_, 0)) | None => 0,
                _ => present.lacks(at, size),
            }
        };
        let state = process.heap_state().ok()?;
        let evidence = heap
            .evidence(&process.space, &process.layouts(), state)
            .ok()?;
        let (mut undecided, mut new) = (Tally::default(), Tally::default());
        evidence.objects(heap, |id, span, at, survived| {
            let lost = lacks(at, span.elem_size);
            if is_reached(id.0) {
                missing.live_objects += u64::from(lost > 0);
                missing.live_bytes += lost;
                if span.guessed {
                    missing.guessed_objects += 1;
                    missing.guessed_bytes += span.elem_size;
                }
                return;
            }
            let here = span.elem_size - lost;
            match survived {
                Some(true) if here > 0 => undecided.add(here),
                Some(false) if here > 0 => new.add(here),
                _ => {}
            }
        });
        missing.undecided_objects = undecided.objects;
        missing.undecided_bytes = undecided.bytes;
        missing.undecided_new_objects = new.objects;
        missing.undecided_new_bytes = new.bytes;
        Some(missing)
    }

    /// Says it with every number.
    pub(crate) fn diagnose(&self, found: &mut Vec<Diagnostic>) {
        note(
            found,
            "heap.missing",
            "bytes of the heap are not in the dump: what only these refer to is not reached",
            self.heap_bytes,
        );
        note(
            found,
            "heap.zeros",
            "bytes of pages with objects in use are nothing but zeros: the dump has holes, and what only these objects \
             refer to is not reached",
            self.zero_bytes,
        );
        note(
            found,
            "live.missing",
            "of the live bytes are not in the dump: of these only size and place are known",
            self.live_bytes,
        );
        note(
            found,
            "live.guessed",
            "of the live bytes are in pages whose records are not in the dump: the sizes of these objects are estimates, and \
             where a page was taken for another, what hangs from it may be missing or too much",
            self.guessed_bytes,
        );
        note(
            found,
            "garbage.undecided",
            "bytes that are not reached and count as garbage were live at the last collection: what holds them may be \
             missing from the dump",
            self.undecided_bytes,
        );
        note(
            found,
            "garbage.undecided-new",
            "bytes that are not reached and count as garbage were allocated since the last collection: what holds them \
             may be missing from the dump",
            self.undecided_new_bytes,
        );
    }
}

/// Size of a runtime page, in bytes.
// runtime/malloc.go: pageShift
const PAGE: u64 = 8192;

/// From so many bytes on pages of zeros are no chance.
const MANY_ZEROS: u64 = 1 << 16;

/// Bytes of pages in which there is nothing but zeros, although most slots are in use and the pages themselves say where
/// there are pointers. In other pages zeros may be what the program put there.
fn zeros(dump: &Dump) -> u64 {
    let spans = dump.heap.spans().par_iter();
    let full = spans.filter(|s| s.keeps_bits() && s.allocated * 2 > s.nelems);
    let empty = full.filter(|s| {
        let bytes = dump.process.space.slice(Addr(s.start), PAGE as usize);
        bytes.is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0))
    });
    empty.count() as u64 * PAGE
}

/// Bytes of variables that the dump lacks and for which the binary has only what they were when the program began.
pub(crate) fn initial_variables(process: &GoProcess) -> u64 {
    let ranges = process.modules.iter().flat_map(|m| [m.data, m.bss]);
    let ranges: Vec<_> = ranges.map(|r| (r.start.0, r.end.0)).collect();
    let initial = process
        .space
        .regions()
        .filter(|r| r.kind == RegionKind::Image);
    let within = |r: Region| {
        let (start, end) = (r.start.0, r.start.0.saturating_add(r.len));
        let common = |&(from, to): &(u64, u64)| to.min(end).saturating_sub(from.max(start));
        ranges.iter().map(common).sum::<u64>()
    };
    initial.map(within).sum()
}

/// The addresses whose bytes are in the dump: (first, one past the last), ascending.
struct Present(Vec<(u64, u64)>);

impl Present {
    fn new(space: &AddressSpace) -> Present {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        let there = [RegionKind::Core, RegionKind::Image, RegionKind::Zero];
        for region in space.regions().filter(|r| there.contains(&r.kind)) {
            let end = region.start.0.saturating_add(region.len);
            match ranges.last_mut() {
                Some(last) if last.1 == region.start.0 => last.1 = end,
                _ => ranges.push((region.start.0, end)),
            }
        }
        Present(ranges)
    }

    /// How many of `len` bytes at `start` are not there.
    fn lacks(&self, start: u64, len: u64) -> u64 {
        let end = start + len;
        let first = self.0.partition_point(|r| r.1 <= start);
        let inside = self.0[first..].iter().take_while(|r| r.0 < end);
        len - inside.map(|r| r.1.min(end) - r.0.max(start)).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::Present;

    #[test]
    fn what_is_there_is_taken_off_what_is_wanted() {
        let present = Present(vec![(10, 20), (30, 40)]);
        for (start, len, lacks) in [
            (0, 10, 10),
            (10, 10, 0),
            (15, 20, 10),
            (0, 50, 30),
            (39, 5, 4),
        ] {
            assert_eq!(present.lacks(start, len), lacks, "{len} at {start}");
        }
    }
}
