//! The scan of one stack: pointers found, pointers to follow, and the variables they may point to.

use std::borrow::Cow;
use std::rc::Rc;

use objref_mem::{Addr, AddressSpace};

use crate::module::AddrRange;
use crate::stack_roots::{StackRoot, StackRootKind, StackScan};
use crate::stackmap::{FrameMaps, StackObject};
use crate::unwind::Frame;

/// Nothing lies below: a smaller word is a number.
const MIN_POINTER: u64 = 4096;

/// A stack object of a frame of the stack being scanned.
struct LiveObject {
    at: Addr,
    frame: u32,
    object: StackObjectRef,
    done: bool,
}

/// Which of the frame's objects.
type StackObjectRef = (usize, usize);

/// The scan of one stack; reused for the next.
// runtime/mgcstack.go: stackScanState
#[derive(Default)]
pub(crate) struct Scan<'p> {
    space: Option<&'p AddressSpace>,
    stack: AddrRange,
    low: Addr,
    words: Cow<'p, [u8]>,
    /// Pointers into the stack that are yet to be followed.
    precise: Vec<Addr>,
    conservative: Vec<Addr>,
    objects: Vec<LiveObject>,
    tables: Vec<Rc<[StackObject<'p>]>>,
    pub(crate) result: StackScan,
}

impl<'p> Scan<'p> {
    pub(crate) fn begin(&mut self, space: &'p AddressSpace, stack: AddrRange, low: Addr) {
        self.space = Some(space);
        self.stack = stack;
        self.low = low;
        let len = stack.end.0.saturating_sub(low.0) as usize;
        self.words = space.slice(low, len).map(Cow::Borrowed).unwrap_or_default();
        self.precise.clear();
        self.conservative.clear();
        self.objects.clear();
        self.tables.clear();
        self.result = StackScan::default();
    }

    fn word_size(&self) -> u64 {
        self.space.map_or(1, AddressSpace::word_size)
    }

    fn word(&mut self, at: Addr) -> Option<Addr> {
        let space = self.space?;
        let inside = at.0.wrapping_sub(self.low.0);
        if let Some(word) = space.encoding().word(&self.words, inside) {
            return Some(Addr(word));
        }
        let word = space.ptr(at).ok();
        self.result.unreadable_words += u64::from(word.is_none());
        word
    }

    pub(crate) fn follow(&mut self, pointer: Addr, conservative: bool) {
        if !self.stack.contains(pointer) {
            return;
        }
        let queue = if conservative {
            &mut self.conservative
        } else {
            &mut self.precise
        };
        queue.push(pointer);
    }

    // runtime/mgcmark.go: scanblock, scanConservative
    pub(crate) fn pointer(
        &mut self,
        kind: StackRootKind,
        frame: u32,
        slot: Addr,
        value: Addr,
        conservative: bool,
        emit: &mut dyn FnMut(StackRoot),
    ) {
        if self.stack.contains(value) {
            self.follow(value, conservative);
        } else if value.0 >= MIN_POINTER {
            emit(StackRoot {
                frame,
                slot,
                value,
                conservative,
                kind,
            });
        }
    }

    pub(crate) fn every_word(
        &mut self,
        kind: StackRootKind,
        frame: u32,
        words: AddrRange,
        emit: &mut dyn FnMut(StackRoot),
    ) {
        let size = self.word_size();
        let mut at = words.start.0;
        while at < words.end.0 {
            let step = match self.word(Addr(at)) {
                Some(value) => {
                    self.pointer(kind, frame, Addr(at), value, true, emit);
                    1
                }
                // Wild bounds may span all there is between two mappings.
                None => {
                    let next = self.space.and_then(|s| s.data_from(Addr(at)));
                    let next = next.map_or(words.end.0, |a| a.0.min(words.end.0));
                    let step = next.saturating_sub(at).div_ceil(size).max(1);
                    let skipped = &mut self.result.unreadable_words;
                    *skipped = skipped.saturating_add(step - 1);
                    step
                }
            };
            match step.checked_mul(size).and_then(|len| at.checked_add(len)) {
                Some(next) => at = next,
                None => break,
            }
        }
    }

    /// The end of the stack, if `end` lies beyond.
    pub(crate) fn clip(&self, end: Addr) -> Addr {
        end.min(self.stack.end)
    }

    /// Whether the maps cover no more than the frame and what the caller left for it.
    pub(crate) fn fits(&self, frame: &Frame, maps: &FrameMaps<'p>) -> bool {
        let size = self.word_size();
        let locals = frame.varp.0.saturating_sub(frame.sp.0) / size;
        let args = self.stack.end.0.saturating_sub(frame.argp.0) / size;
        maps.locals.len <= locals && maps.args.reach() <= args
    }

    pub(crate) fn mapped(
        &mut self,
        index: u32,
        frame: &Frame,
        maps: &FrameMaps<'p>,
        emit: &mut dyn FnMut(StackRoot),
    ) {
        let size = self.word_size();
        let locals = Addr(frame.varp.0.wrapping_sub(maps.locals.len * size));
        for (kind, base, bits) in [
            (StackRootKind::Local, locals, &maps.locals),
            (StackRootKind::Arg, frame.argp, &maps.args),
        ] {
            for i in bits.ones() {
                let slot = base.add(i * size);
                if let Some(value) = self.word(slot) {
                    self.pointer(kind, index, slot, value, false, emit);
                }
            }
        }
        if maps.objects.is_empty() {
            return;
        }
        let table = self.tables.len();
        self.tables.push(maps.objects.clone());
        for (i, object) in maps.objects.iter().enumerate() {
            let base = if object.offset < 0 {
                frame.varp
            } else {
                frame.argp
            };
            let at = Addr(base.0.wrapping_add_signed(i64::from(object.offset)));
            // Below the stack pointer: not allocated yet. Out of order: damaged.
            let last = self.objects.last().map_or(0, |o| o.at.0);
            let end = at.add(u64::from(object.size).max(object.mask.reach() * size));
            if at >= frame.sp && at.0 >= last && end >= at && end <= self.stack.end {
                self.objects.push(LiveObject {
                    at,
                    frame: index,
                    object: (table, i),
                    done: false,
                });
            }
        }
    }

    /// Follows pointers into the stack until no new object is found. Pointers that certainly are some go first: what
    /// only a conservative pointer reaches may be dead and hold anything.
    pub(crate) fn objects(&mut self, emit: &mut dyn FnMut(StackRoot)) {
        loop {
            let (pointer, conservative) = match (self.precise.pop(), self.conservative.is_empty()) {
                (Some(p), _) => (p, false),
                (None, false) => (self.conservative.pop().unwrap_or_default(), true),
                (None, true) => return,
            };
            let Some(i) = self
                .objects
                .partition_point(|o| o.at <= pointer)
                .checked_sub(1)
            else {
                continue;
            };
            let Some((at, frame, (table, n))) = self.objects.get_mut(i).and_then(|live| {
                let fresh = !std::mem::replace(&mut live.done, true);
                fresh.then_some((live.at, live.frame, live.object))
            }) else {
                continue;
            };
            let Some(objects) = self.tables.get(table).cloned() else {
                continue;
            };
            let Some(object) = objects.get(n) else {
                continue;
            };
            if pointer.0 - at.0 >= u64::from(object.size) {
                // It points between two objects: the one below stays unseen.
                if let Some(live) = self.objects.get_mut(i) {
                    live.done = false;
                }
                continue;
            }
            for word in object.mask.ones() {
                let slot = at.add(word * self.word_size());
                if let Some(value) = self.word(slot) {
                    self.pointer(
                        StackRootKind::StackObject,
                        frame,
                        slot,
                        value,
                        conservative,
                        emit,
                    );
                }
            }
        }
    }
}
