//! What goroutines that wait at channels want to send: stack words that no variable covers, typed by the channel.

use objref_go::{FieldAt, GoProcess, Goroutine};
use objref_mem::Addr;

use crate::types::{TypeId, TypeModel};

/// The fields that lead from a goroutine to the words it sends.
pub(crate) struct Waits {
    fields: Option<Fields>,
    /// The words of the goroutine that was asked for last: (first address, size, type).
    elements: Vec<(Addr, u64, TypeId)>,
}

// runtime/runtime2.go: sudog; from 1.26 on the pointers are hidden from the collector behind numbers.
struct Fields {
    elem: FieldAt,
    channel: FieldAt,
    next: FieldAt,
    elemtype: FieldAt,
}

/// A `select` has at most as many cases.
const MAX_CASES: usize = 1 << 16;

impl Waits {
    pub(crate) fn new(process: &GoProcess) -> Self {
        let sudog = |paths| process.field("runtime.sudog", paths);
        let fields = || {
            Some(Fields {
                elem: sudog("elem.vu | elem")?,
                channel: sudog("c.maybeTraceablePtr.vu | c")?,
                next: sudog("waitlink")?,
                elemtype: process.field("runtime.hchan", "elemtype")?,
            })
        };
        Waits {
            fields: fields(),
            elements: Vec::new(),
        }
    }

    /// Looks at what `g` waits for.
    pub(crate) fn look(&mut self, process: &GoProcess, model: &mut TypeModel<'_>, g: &Goroutine) {
        self.elements.clear();
        let Some(fields) = &self.fields else { return };
        let space = &process.space;
        let mut at = g.waiting;
        for _ in 0..MAX_CASES {
            if at.0 == 0 {
                break;
            }
            let word = |f: FieldAt| space.ptr(f.at(at)).unwrap_or_default();
            let (elem, channel) = (word(fields.elem), word(fields.channel));
            if channel.0 == 0 {
                // Waits for a semaphore: the list goes on with other goroutines that wait for the same one.
                break;
            }
            if elem.0 != 0
                && let Ok(descriptor) = space.ptr(fields.elemtype.at(channel))
                && let Some(ty) = model.by_descriptor(descriptor)
            {
                self.elements.push((elem, model.get(ty).size, ty));
            }
            at = word(fields.next);
        }
    }

    /// The type of the element that the word at `slot` is part of, and its offset there.
    pub(crate) fn element(&self, slot: Addr) -> Option<(TypeId, u64)> {
        let inside = |at: Addr| slot.0.wrapping_sub(at.0);
        self.elements
            .iter()
            .find(|(at, size, _)| inside(*at) < *size)
            .map(|(at, _, ty)| (*ty, inside(*at)))
    }
}
