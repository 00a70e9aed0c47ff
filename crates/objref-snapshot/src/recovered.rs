//! Types of variables from the code that uses them, for binaries without DWARF.

use objref_go::{Frame, Meaning, Object};
use objref_mem::Addr;

use crate::infer::{Inference, Said};
use crate::types::{Kind, Type, TypeId, TypeModel};
use crate::view::{Form, Source};

/// What code says of a pointer.
pub(crate) enum Recovered {
    /// It is a variable of this type, or the first word of one.
    Variable(TypeId),
    /// It leads into a value of this type, this many bytes from its start.
    Interior(TypeId, u64),
}

impl TypeModel<'_> {
    fn recovered(&mut self, meaning: Meaning) -> Option<Recovered> {
        Some(match meaning {
            Meaning::To(ty, 0) => {
                let ty = self.by_descriptor(ty)?;
                match self.get(ty).name.starts_with("struct { F uintptr") {
                    true => Recovered::Variable(self.any_func()),
                    false => Recovered::Variable(self.pointer_to(ty)),
                }
            }
            Meaning::To(ty, offset) => Recovered::Interior(self.by_descriptor(ty)?, offset),
            Meaning::Run(ty) => {
                let ty = self.by_descriptor(ty)?;
                Recovered::Variable(self.slice_of(ty))
            }
            Meaning::Text => Recovered::Variable(self.by_name("string")?),
            Meaning::Is(ty) => Recovered::Variable(self.by_descriptor(ty)?),
            Meaning::Table(_) => return None,
        })
    }

    /// `[]elem`, which may not be in the binary.
    pub(crate) fn slice_of(&mut self, elem: TypeId) -> TypeId {
        let name = format!("[]{}", self.get(elem).name);
        if let Some(known) = self.by_name(&name) {
            return known;
        }
        let id = self.add(Type {
            name: name.clone(),
            size: 24,
            kind: Kind::Slice(elem),
            fields: Vec::new(),
        });
        self.by_name.insert(name, id);
        id
    }
}

impl<'p> Inference<'p> {
    /// The variable that the static word at `at` is part of: where it starts, and its type.
    pub(crate) fn static_variable(&mut self, at: Addr) -> Option<(Addr, TypeId)> {
        let code = self.code.as_mut()?;
        if let Some((start, ty)) = code.static_variable(at) {
            let ty = self.ask(|model| model.by_descriptor(ty))?;
            return Some((start, ty));
        }
        // The second word of an interface tells more by the first.
        if at
            .0
            .checked_sub(8)
            .is_some_and(|before| self.interface_at(Addr(before)).is_some())
        {
            return None;
        }
        let meaning = self.code.as_mut()?.static_word(at)?;
        match self.ask(|model| model.recovered(meaning))? {
            Recovered::Variable(ty) => Some((at, ty)),
            Recovered::Interior(..) => None,
        }
    }

    /// What the code allocated on whose stack an object was sampled: type and form.
    pub(crate) fn allocated_at(&mut self, stack: &[Addr]) -> Option<(TypeId, Form)> {
        let meaning = self.code.as_mut()?.allocated_at(stack)?;
        self.ask(|model| match meaning {
            Meaning::To(ty, 0) => Some((model.by_descriptor(ty)?, Form::One)),
            Meaning::Run(ty) => Some((model.by_descriptor(ty)?, Form::Many)),
            Meaning::Text => Some((model.by_name("uint8")?, Form::Text)),
            _ => None,
        })
    }

    /// What the word at `slot` on the stack is, which is part of `frame` and leads to `target`; notes what that says of
    /// the target if that is all it says.
    pub(crate) fn stack_variable(
        &mut self,
        frame: &Frame,
        slot: Addr,
        value: u64,
        target: Object<'p>,
    ) -> Option<TypeId> {
        let meaning = self.code.as_mut()?.stack_word(frame, slot)?;
        match self.ask(|model| model.recovered(meaning))? {
            Recovered::Variable(ty) => Some(ty),
            Recovered::Interior(ty, offset) => {
                let said = Said {
                    before: offset,
                    ..Said::new(ty, Form::One, Source::Reference)
                };
                self.note(target, said, value);
                None
            }
        }
    }
}
