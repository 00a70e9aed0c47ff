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

    /// What the code that makes closures says of them, where DWARF does not: it describes captured variables from Go
    /// 1.23 on.
    pub(crate) fn made(&mut self, process: &GoProcess, code: Addr) -> Option<Addr> {
        let described = process.stripped.is_none() && process.version.minor >= 23;
        let made = (!described).then(|| self.made.get_or_insert_with(|| process.closure_types()));
        made?.get(code)
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
                ty: TypeId(c.ty.0),
                embedded: false,
            });
            (
                process.debug.function_name(function).to_owned(),
                fields.collect(),
            )
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
    if fields.is_empty()
        && let Some(made) = made.and_then(|at| model.by_descriptor(at))
    {
        fields.extend(model.get(made).fields.iter().skip(1).cloned());
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
        .map(|f| f.offset + model.get(f.ty).size)
        .max()
        .unwrap_or(8);
    let ty = Type {
        name: format!("func {name}"),
        size: end.next_multiple_of(8),
        kind: Kind::Struct,
        fields,
    };
    Some((model.add(ty), form))
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
