//! Closures: the code pointer tells the function, the function tells what it captured.

use objref_go::{ClosureTypes, GoProcess};
use objref_mem::Addr;
use rustc_hash::FxHashMap;

use crate::types::{Field, Kind, Type, TypeId, TypeModel};
use crate::view::Form;

/// Types made for closures, by code address.
#[derive(Default)]
pub(crate) struct Closures {
    by_code: FxHashMap<Addr, Option<(TypeId, Form)>>,
    made: Option<ClosureTypes>,
}

impl Closures {
    /// The type of closures that start with the address of this code; `None` if nobody has looked yet.
    #[inline]
    pub(crate) fn get(&self, code: Addr) -> Option<Option<(TypeId, Form)>> {
        self.by_code.get(&code).copied()
    }

    /// What the code that makes closures says of them: DWARF describes captured variables from Go 1.23 on, and of these
    /// not the ones of which the function needs no more than a part.
    pub(crate) fn made(&mut self, process: &GoProcess, code: Addr) -> Option<Addr> {
        let made = self.made.get_or_insert_with(|| process.closure_types());
        made.get(code)
    }

    pub(crate) fn add(&mut self, code: Addr, closure: Option<(TypeId, Form)>) {
        self.by_code.insert(code, closure);
    }
}

/// The type of closures that start with the address of this code.
// cmd/compile/internal/typecheck/func.go: ClosureType: struct { F uintptr; captured variables }
pub(crate) fn closure_type(
    process: &GoProcess,
    model: &mut TypeModel<'_>,
    code: Addr,
    made: Option<Addr>,
) -> Option<(TypeId, Form)> {
    let (name, mut fields) = match process.debug.function_at(process.bias.to_link(code)) {
        Some(function) => {
            let captures = process.debug.captures(function).into_iter();
            let fields = captures.map(|c| Field {
                name: c.name,
                offset: c.offset,
                ty: TypeId::of(c.ty),
                embedded: false,
            });
            (process.debug.function_name(function), fields.collect())
        }
        // Without DWARF, the function's name is all that is known of a closure.
        None => {
            let functions = process.functions().ok()?;
            let function = functions.find(code).filter(|f| f.entry() == code)?;
            (function.name().to_owned(), Vec::new())
        }
    };
    if let Some(made) = made_by_reflect(&name, model) {
        return Some((made, Form::One));
    }
    if let Some(made) = made.and_then(|at| model.by_descriptor(at)) {
        complete(&mut fields, &model.get(made).fields, |field| {
            model.get(field.ty).size
        });
    }
    if fields.is_empty()
        && let Some(receiver) = bound_receiver(&name, model)
    {
        fields.push(Field {
            name: "receiver".into(),
            offset: 8,
            ty: receiver,
            embedded: false,
        });
    }
    let form = if fields.is_empty() {
        Form::Opaque
    } else {
        Form::One
    };
    let end = fields
        .iter()
        .map(|f| f.offset.saturating_add(model.get(f.ty).size))
        .max()
        .unwrap_or(8);
    let ty = Type {
        name: format!("func {name}"),
        size: end.checked_next_multiple_of(8).unwrap_or(end),
        kind: Kind::Struct,
        fields,
    };
    Some((model.add(ty), form))
}

/// Adds those fields of the struct that closures are allocated as that are missing from what is known to be captured,
/// unless the two contradict each other.
fn complete(known: &mut Vec<Field>, made: &[Field], size: impl Fn(&Field) -> u64) {
    let agrees = |field: &Field| {
        let same = made.iter().find(|m| m.offset == field.offset);
        same.is_some_and(|m| size(m) == size(field))
    };
    if known.iter().all(agrees) {
        let captured = made.iter().filter(|m| m.offset > 0);
        let missing = captured.filter(|m| known.iter().all(|k| k.offset != m.offset));
        let missing: Vec<Field> = missing.cloned().collect();
        known.extend(missing);
        known.sort_by_key(|field| field.offset);
    }
}

/// What `reflect` allocates for functions of its making, which start with the address of a stub.
// reflect/makefunc.go: makeFuncImpl, methodValue
fn made_by_reflect(function: &str, model: &TypeModel<'_>) -> Option<TypeId> {
    match function {
        "reflect.makeFuncStub" => model.by_name("reflect.makeFuncImpl"),
        "reflect.methodValueCall" => model.by_name("reflect.methodValue"),
        _ => None,
    }
}

/// The receiver's type of a method value: `pkg.(*T).Method-fm` or `pkg.T.Method-fm`.
fn bound_receiver(function: &str, model: &TypeModel<'_>) -> Option<TypeId> {
    let method = function.strip_suffix("-fm")?;
    let (receiver, _) = method.rsplit_once('.')?;
    let name = match receiver.split_once(".(*") {
        Some((package, ty)) => format!("*{package}.{}", ty.strip_suffix(')')?),
        None => receiver.to_owned(),
    };
    model.by_name(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, offset: u64, ty: u32) -> Field {
        Field {
            name: name.to_owned(),
            offset,
            ty: TypeId(ty),
            embedded: false,
        }
    }

    /// Types are numbered by their size here.
    fn completed(mut known: Vec<Field>) -> Vec<(String, u64)> {
        let made = [
            field("F", 0, 8),
            field("X0", 8, 16),
            field("X1", 24, 8),
            field("X2", 32, 1),
        ];
        complete(&mut known, &made, |field| u64::from(field.ty.0));
        known.into_iter().map(|f| (f.name, f.offset)).collect()
    }

    fn names(fields: &[(&str, u64)]) -> Vec<(String, u64)> {
        let owned = fields.iter().map(|(name, at)| ((*name).to_owned(), *at));
        owned.collect()
    }

    #[test]
    fn what_debug_information_leaves_out_is_taken_from_the_allocated_struct() {
        let known = vec![field("t", 24, 8)];
        assert_eq!(completed(known), names(&[("X0", 8), ("t", 24), ("X2", 32)]));
        assert_eq!(
            completed(Vec::new()),
            names(&[("X0", 8), ("X1", 24), ("X2", 32)])
        );
    }

    #[test]
    fn a_struct_that_contradicts_is_that_of_another_closure() {
        let known = vec![field("t", 24, 16)];
        assert_eq!(completed(known), names(&[("t", 24)]));
        let known = vec![field("t", 16, 8)];
        assert_eq!(completed(known), names(&[("t", 16)]));
    }
}
