//! Special records: what the runtime keeps beside an object, in one list per span.

use objref_mem::{Addr, AddressSpace, Fault};

use crate::layout::{StructSource, layout};

layout! {
    /// Offsets in the common part of special records.
    // runtime/mheap.go: special
    struct SpecialLayout = "runtime.special" { next: "next", offset: "offset", kind: "kind" }
}

/// What a special record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecialKind {
    /// A function to run once the object is unreachable.
    Finalizer,
    /// The handle behind weak pointers to the object.
    WeakHandle,
    /// A function to run once the object is gone.
    Cleanup,
    /// Where the object was allocated: one of those that the memory profile samples.
    Profile,
    /// What holds nothing.
    Other,
}

/// A special record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Special {
    /// Where it lies.
    pub(crate) at: Addr,
    /// Offset of its object in the span; for tiny objects, within the slot.
    pub(crate) offset: u64,
    pub(crate) kind: SpecialKind,
}

/// Numbers of the kinds. They moved in 1.23, 1.24 and 1.25; the binary's own constants are asked first.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    finalizer: u64,
    profile: u64,
    weak_handle: Option<u64>,
    cleanup: Option<u64>,
}

impl Numbers {
    // runtime/mheap.go: _KindSpecial*
    fn new(source: &dyn StructSource, minor: u32) -> Self {
        let get =
            |name: &str, table: Option<u64>| source.constant(name).map(|v| v as u64).or(table);
        let (finalizer, weak, profile, cleanup) = match minor {
            ..=22 => (1, None, 2, None),
            23 => (1, Some(2), 3, None),
            24 => (1, Some(2), 3, Some(6)),
            _ => (2, Some(3), 4, Some(7)),
        };
        Numbers {
            finalizer: get("runtime._KindSpecialFinalizer", Some(finalizer)).unwrap_or(finalizer),
            profile,
            weak_handle: get("runtime._KindSpecialWeakHandle", weak),
            cleanup: get("runtime._KindSpecialCleanup", cleanup),
        }
    }

    fn kind(&self, number: u64) -> SpecialKind {
        if number == self.finalizer {
            SpecialKind::Finalizer
        } else if Some(number) == self.weak_handle {
            SpecialKind::WeakHandle
        } else if Some(number) == self.cleanup {
            SpecialKind::Cleanup
        } else if number == self.profile {
            SpecialKind::Profile
        } else {
            SpecialKind::Other
        }
    }
}

/// More special records than this in all are taken for damage: lists that run into each other.
pub(crate) const MAX_SPECIALS: u64 = 1 << 28;

/// Reads special records.
pub(crate) struct Specials<'a> {
    space: &'a AddressSpace,
    layout: SpecialLayout,
    numbers: Numbers,
}

impl<'a> Specials<'a> {
    /// `None` when the records have an unknown shape. `minor` is the Go version's second number.
    pub(crate) fn new(
        space: &'a AddressSpace,
        source: &dyn StructSource,
        minor: u32,
    ) -> Option<Self> {
        Some(Specials {
            space,
            layout: SpecialLayout::resolve(source).ok()?,
            numbers: Numbers::new(source, minor),
        })
    }

    /// Calls `visit` with each record of the list that starts at `head`, of which at most `left` are read. Returns
    /// whether the list came to its end.
    pub(crate) fn each(
        &self,
        head: Addr,
        left: &mut u64,
        mut visit: impl FnMut(Special) -> Result<(), Fault>,
    ) -> bool {
        let mut at = head;
        let mut circle = Circle::default();
        while at.0 != 0 {
            if *left == 0 || circle.closes(at) {
                return false;
            }
            *left -= 1;
            match self.read(at, &mut visit) {
                Ok(next) => at = next,
                Err(_) => return false,
            }
        }
        true
    }

    fn read(
        &self,
        at: Addr,
        visit: &mut impl FnMut(Special) -> Result<(), Fault>,
    ) -> Result<Addr, Fault> {
        visit(Special {
            at,
            offset: self.layout.offset.read(self.space, at)?,
            kind: self.numbers.kind(self.layout.kind.read(self.space, at)?),
        })?;
        self.layout.next.ptr(self.space, at)
    }
}

/// Tells when a list runs in a circle.
// Brent's algorithm: the anchor moves at every power of two and is met again in the end.
#[derive(Default)]
pub(crate) struct Circle {
    anchor: Addr,
    steps: u64,
}

impl Circle {
    /// Whether `at` was passed before; now or some steps later.
    pub(crate) fn closes(&mut self, at: Addr) -> bool {
        let closed = self.steps > 0 && at == self.anchor;
        self.steps += 1;
        if self.steps.is_power_of_two() {
            self.anchor = at;
        }
        closed
    }
}
