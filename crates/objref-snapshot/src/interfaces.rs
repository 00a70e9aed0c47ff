//! Evidence from memory whose own type is unknown, for binaries without DWARF: an interface value is a pointer beside
//! the descriptor of what it points to, wherever it lies.

use objref_go::{Kind as RuntimeKind, ObjId, Object};
use objref_mem::Addr;

use crate::infer::{Inference, Target};
use crate::shape::Hold;
use crate::view::Certainty;

impl<'p> Inference<'p> {
    /// Looks for interface values in an object of unknown type.
    pub(crate) fn follow_untyped(&mut self, object: u32) {
        if self.process.stripped.is_none() {
            return;
        }
        let heap = self.heap;
        let (span, at) = heap.locate(ObjId(object));
        let first = heap.data_offset(span) + 8;
        heap.pointers(&self.process.space, ObjId(object), |offset, value| {
            if offset < first {
                return;
            }
            if let Some(target) = heap.resolve(value) {
                self.untyped_reference(Addr(at + offset), value, target);
            }
        });
    }

    /// Takes the word at `word`, in memory of unknown type, as evidence of what `target` is if it is the second word of
    /// an interface.
    pub(crate) fn untyped_reference(&mut self, word: Addr, value: u64, target: Object<'p>) {
        if self.process.stripped.is_none() {
            return;
        }
        let Some(at) = word.0.checked_sub(8).map(Addr) else {
            return;
        };
        let Some(hold) = self.interface_at(at) else {
            return;
        };
        // The word before may itself be the second of a `reflect.Type`.
        let before =
            at.0.checked_sub(8)
                .and_then(|at| self.interface_at(Addr(at)));
        if before == Some(Hold::Interface) && hold == Hold::EmptyInterface {
            return;
        }
        if let Some(said) = self.target(hold, at, value) {
            let certainty = Certainty::Inferred;
            self.propose(target, Target { certainty, ..said }, value);
        }
    }

    /// What kind of interface the word at `at` is the first word of, if any.
    fn interface_at(&self, at: Addr) -> Option<Hold> {
        let (types, space) = (&self.process.types, &self.process.space);
        let first = space.ptr(at).ok().filter(|a| a.0 != 0 && a.0 % 8 == 0)?;
        // Descriptors of the binary only: those made at run time lie in the heap like anything else.
        let describes =
            |addr: Addr| types.offset(addr).is_some() && types.read(space, addr).is_some();
        if types.offset(first).is_some() && describes(first) {
            return Some(Hold::EmptyInterface);
        }
        // internal/abi/iface.go: ITab{Inter, Type, Hash, Fun}
        let interface = space
            .ptr(first)
            .ok()
            .filter(|a| types.offset(*a).is_some())?;
        let is_itab = types.read(space, interface)?.kind == RuntimeKind::Interface
            && space.ptr(first.add(8)).is_ok_and(describes);
        is_itab.then_some(Hold::Interface)
    }
}
