//! Evidence from memory whose own type is unknown, for binaries without DWARF: an interface value is a pointer beside
//! the descriptor of what it points to, wherever it lies.

use std::ops::Range;

use objref_go::{Kind as RuntimeKind, Object};
use objref_mem::Addr;

use crate::infer::{Inference, Miss, Said};
use crate::shape::Hold;
use crate::view::Source;

impl<'p> Inference<'p> {
    /// Looks for interface values `within` these bytes of an object of unknown type; `emit` takes what each says of its target.
    pub(crate) fn follow_untyped(
        &self,
        object: Object<'p>,
        within: Range<u64>,
        emit: &mut dyn FnMut(Result<Said, Miss>, u64, Object<'p>),
    ) {
        if self.process.stripped.is_none() {
            return;
        }
        let heap = self.heap;
        let Object { span, at, .. } = object;
        let first = heap.data_offset(span) + 8;
        heap.pointers_within(&self.process.space, span, at, within, |offset, value| {
            if offset < first {
                return;
            }
            if let Some(target) = heap.resolve(value)
                && let Some(said) = self.neighbour(Addr(at + offset), value)
            {
                emit(said, value, target);
            }
        });
    }

    /// Takes the word at `word`, in memory of unknown type, as evidence of what `target` is if it is the second word of
    /// an interface.
    pub(crate) fn untyped_reference(&mut self, word: Addr, value: u64, target: Object<'p>) {
        if self.process.stripped.is_none() {
            return;
        }
        while let Some(said) = self.neighbour(word, value) {
            match said {
                Ok(said) => return self.note(target, said, value),
                Err(miss) => self.resolve(miss),
            }
        }
    }

    /// What the pointer at `word` says of its target if it is the second word of an interface.
    fn neighbour(&self, word: Addr, value: u64) -> Option<Result<Said, Miss>> {
        let at = word.0.checked_sub(8).map(Addr)?;
        let hold = self.interface_at(at)?;
        // The word before may itself be the second of a `reflect.Type`.
        let before =
            at.0.checked_sub(8)
                .and_then(|at| self.interface_at(Addr(at)));
        if before == Some(Hold::Interface) && hold == Hold::EmptyInterface {
            return None;
        }
        let source = Source::Neighbour;
        match self.said(hold, at, value) {
            Ok(said) => Some(Ok(Said { source, ..said? })),
            Err(miss) => Some(Err(miss)),
        }
    }

    /// What kind of interface the word at `at` is the first word of, if any.
    pub(crate) fn interface_at(&self, at: Addr) -> Option<Hold> {
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
