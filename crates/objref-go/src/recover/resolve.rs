//! What values mean: from where they are made, forward through types.

use std::sync::Arc;

use objref_mem::Addr;

use super::CodeTypes;
use super::known::{Known, NO_TYPE, Role, known_function};
use super::meaning::Meaning;
use super::signature::Signature;
use crate::code::{Call, Callee, Graph, Place, Value};
use crate::pclntab::FuncId;
use crate::rtype::Kind;

/// Questions lead to other questions, about other functions too; deeper than this no answer is looked for.
const MAX_DEPTH: u32 = 40;
/// Questions that one question may lead to.
const MAX_STEPS: u32 = 1 << 14;
/// Callers that are asked for the type of an argument, and how many of them have to agree.
const MAX_CALLERS: usize = 8;
const ENOUGH: usize = 3;

/// Functions that take what they return from where the runtime hides it from the collector behind numbers, with the type
/// that they return a pointer to.
// runtime/proc.go: acquireSudog; runtime/runtime1.go: acquirem
const HIDDEN: [(&str, &str); 2] = [
    ("runtime.acquireSudog", "runtime.sudog"),
    ("runtime.acquirem", "runtime.m"),
];

/// Answers that have to agree.
#[derive(Default)]
pub(super) struct Agreement {
    answer: Option<Meaning>,
    conflict: bool,
    pub(super) count: usize,
}

impl Agreement {
    pub(super) fn add(&mut self, answer: Option<Meaning>) {
        let Some(answer) = answer else {
            return;
        };
        self.count += 1;
        self.conflict |= self.answer.is_some_and(|known| known != answer);
        self.answer = Some(answer);
    }

    /// Whether more answers would change nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.conflict || self.count >= ENOUGH
    }

    pub(super) fn result(&self) -> Option<Meaning> {
        self.answer.filter(|_| !self.conflict)
    }
}

impl CodeTypes<'_> {
    /// Begins a question: bounds what it may lead to.
    pub(super) fn begin(&mut self) {
        if self.depth == 0 {
            self.steps = 0;
        }
    }

    /// What a value of function `id` means. Values that nothing is known of do not count: of the ways that lead to a
    /// variable, each brings a value of its type.
    pub(super) fn meaning(
        &mut self,
        id: FuncId,
        graph: &Arc<Graph>,
        value: Value,
    ) -> Option<Meaning> {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MAX_STEPS {
            self.cuts += 1;
            return None;
        }
        self.depth += 1;
        let mut agreement = Agreement::default();
        for origin in graph.origins(value) {
            let answer = self.made(id, graph, origin);
            agreement.add(answer);
        }
        self.depth -= 1;
        agreement.result()
    }

    /// What a value means that was made in this way.
    fn made(&mut self, id: FuncId, graph: &Arc<Graph>, value: Value) -> Option<Meaning> {
        match value {
            Value::Entry {
                place: Place::Reg(reg),
                ..
            } if reg == self.abi.context => {
                let ty = self.closure_of(id)?.ty?;
                Some(Meaning::To(ty, 0))
            }
            Value::Entry {
                place: Place::Reg(reg),
                ..
            } => {
                let number = self.abi.args.iter().position(|arg| *arg == reg)?;
                self.param(id, number)
            }
            Value::Load { base, disp, .. } => {
                let base = graph.value(base);
                match self.meaning(id, graph, base) {
                    Some(base) => self.loaded(base, disp),
                    None => self.captured(id, graph, base, disp),
                }
            }
            Value::Inside {
                base,
                disp,
                indexed,
            } => {
                let base = graph.value(base);
                let base = self.meaning(id, graph, base)?;
                self.inside(base, disp, indexed)
            }
            Value::Static(at) if self.is_data(Addr(at)) => self.static_word(Addr(at)),
            Value::Result { call, reg } => {
                let number = self.abi.args.iter().position(|arg| *arg == reg)?;
                self.result(id, graph, graph.calls.get(call as usize)?, number)
            }
            _ => None,
        }
    }

    /// The word this far from where a pointer leads.
    pub(super) fn loaded(&self, base: Meaning, disp: i64) -> Option<Meaning> {
        match base {
            // In an array, each element is like the first.
            Meaning::To(ty, offset) => self.words.word(ty, offset.checked_add_signed(disp)?),
            Meaning::Run(ty) => {
                let size = i64::try_from(self.words.size(ty)?)
                    .ok()
                    .filter(|s| *s > 0)?;
                self.words.word(ty, disp.rem_euclid(size) as u64)
            }
            _ => None,
        }
    }

    /// The address this far from where a pointer leads.
    fn inside(&self, base: Meaning, disp: i64, indexed: bool) -> Option<Meaning> {
        match base {
            Meaning::To(ty, offset) if !indexed => {
                let at = offset.checked_add_signed(disp)?;
                (at < self.words.size(ty)?).then_some(Meaning::To(ty, at))
            }
            Meaning::Run(ty) => {
                let size = i64::try_from(self.words.size(ty)?)
                    .ok()
                    .filter(|s| *s > 0)?;
                (disp % size == 0).then_some(Meaning::Run(ty))
            }
            Meaning::Text => Some(Meaning::Text),
            _ => None,
        }
    }

    /// What a call leaves in a register.
    fn result(
        &mut self,
        id: FuncId,
        graph: &Arc<Graph>,
        call: &Call,
        number: usize,
    ) -> Option<Meaning> {
        match call.callee {
            Callee::Code(entry) => {
                let callee = self.function(entry)?;
                if let Some(known) = self.known(callee) {
                    let role = known.result.filter(|_| number == 0)?;
                    return self.role(graph, call, known, role);
                }
                self.returned(callee, number)
            }
            Callee::Value(target) => {
                let target = graph.value(target);
                let signature = self.indirect(id, graph, target)?;
                find(&signature.results, number)
            }
        }
    }

    pub(super) fn known(&self, id: FuncId) -> Option<Known> {
        known_function(self.tab.func(id)?.name(), self.minor)
    }

    /// What an argument or result in this role is, at a call that tells the type.
    pub(super) fn role(
        &self,
        graph: &Graph,
        call: &Call,
        known: Known,
        role: Role,
    ) -> Option<Meaning> {
        match role {
            Role::Text => return Some(Meaning::Text),
            Role::Bytes => return self.byte.map(Meaning::Run),
            Role::Runes => return self.rune.map(Meaning::Run),
            _ if known.ty == NO_TYPE => return None,
            _ => {}
        }
        let constant = |number| match graph.origins(graph.arg(call, self.abi, number))[..] {
            [Value::Constant(value)] => Some(value),
            _ => None,
        };
        let ty = self.words.read(Addr(constant(known.ty)?))?;
        let (types, space) = (self.words.types, self.words.space);
        let at = match role {
            Role::Pointer => return Some(Meaning::To(ty.addr, 0)),
            Role::Run => return Some(Meaning::Run(ty.addr)),
            Role::Any if constant(0).is_some_and(|size| size <= ty.size) => {
                return Some(Meaning::To(ty.addr, 0));
            }
            Role::Any => return Some(Meaning::Run(ty.addr)),
            Role::Value => return self.words.variable(ty.addr),
            Role::Key => types.key(space, &ty)?,
            _ if ty.kind == Kind::Map => types.elem(space, &ty)?,
            _ => return None,
        };
        self.words.read(at).map(|ty| Meaning::To(ty.addr, 0))
    }

    /// What a function returns in a register.
    fn returned(&mut self, id: FuncId, number: usize) -> Option<Meaning> {
        self.remembered(
            |code| &mut code.returned,
            (id, number),
            |code| {
                let signature = code.signature(id);
                find(&signature.results, number).or_else(|| code.returned_by_code(id, number))
            },
        )
    }

    fn returned_by_code(&mut self, id: FuncId, number: usize) -> Option<Meaning> {
        let graph = self.graph(id)?;
        let reg = *self.abi.args.get(number)?;
        let values: Vec<Value> = graph.returned(reg).collect();
        let mut agreement = Agreement::default();
        for value in values {
            let answer = self.meaning(id, &graph, value);
            agreement.add(answer);
        }
        agreement.result()
    }

    /// What a function takes in a register.
    pub(super) fn param(&mut self, id: FuncId, number: usize) -> Option<Meaning> {
        self.remembered(
            |code| &mut code.params,
            (id, number),
            |code| {
                let signature = code.signature(id);
                find(&signature.params, number).or_else(|| code.passed_by_callers(id, number))
            },
        )
    }

    fn passed_by_callers(&mut self, id: FuncId, number: usize) -> Option<Meaning> {
        let function = self.tab.func(id)?;
        let entry = function.entry();
        // In other registers is what happens to be there.
        if number >= function.arg_words() {
            return None;
        }
        let callers: Vec<FuncId> = self.index.callers(id).take(MAX_CALLERS).collect();
        let mut agreement = Agreement::default();
        for caller in callers {
            let Some(graph) = self.graph(caller) else {
                continue;
            };
            for call in graph
                .calls
                .iter()
                .filter(|c| c.callee == Callee::Code(entry))
            {
                let value = graph.arg(call, self.abi, number);
                let answer = self.meaning(caller, &graph, value);
                agreement.add(answer);
                if agreement.is_settled() {
                    return agreement.result();
                }
            }
        }
        agreement.result()
    }

    /// What a function takes and returns, as far as descriptors and its name tell.
    pub(super) fn signature(&mut self, id: FuncId) -> Arc<Signature> {
        if let Some(known) = self.signatures.get(&id) {
            return Arc::clone(known);
        }
        let signature = Arc::new(self.described(id).unwrap_or_default());
        self.signatures.insert(id, Arc::clone(&signature));
        signature
    }

    fn described(&self, id: FuncId) -> Option<Signature> {
        let function = self.tab.func(id)?;
        if let Some((receiver, func)) = self.methods.get(&function.entry()) {
            if let Some(func) = func
                && let Some(signature) =
                    self.words.signature(Some(*receiver), *func, self.registers)
            {
                return Some(signature);
            }
            return Some(Signature {
                params: self.words.passed([*receiver], self.registers, 0),
                results: Vec::new(),
            });
        }
        if let Some((_, result)) = HIDDEN.iter().find(|(name, _)| *name == function.name()) {
            let ty = self.names.by_name(result)?;
            return Some(Signature {
                params: Vec::new(),
                results: vec![(0, Meaning::To(ty, 0))],
            });
        }
        let (ty, pointer) = receiver(function.name())?;
        let ty = self.names.by_name(&ty)?;
        let params = match pointer {
            true => vec![(0, Meaning::To(ty, 0))],
            false => self.words.passed([ty], self.registers, 0),
        };
        Some(Signature {
            params,
            results: Vec::new(),
        })
    }

    /// What the function at this address takes and returns, by the type of the variable that it comes from.
    pub(super) fn indirect(
        &mut self,
        id: FuncId,
        graph: &Arc<Graph>,
        target: Value,
    ) -> Option<Signature> {
        let [
            Value::Load {
                base,
                disp,
                indexed: false,
            },
        ] = graph.origins(target)[..]
        else {
            return None;
        };
        let base = graph.value(base);
        match self.meaning(id, graph, base)? {
            Meaning::Table(interface) => {
                // internal/abi/iface.go: ITab{Inter, Type, Hash, Fun}
                let number = u64::try_from(disp.checked_sub(24)?).ok()? / 8;
                let ty = self.words.read(interface)?;
                let func = self
                    .words
                    .types
                    .interface_method(self.words.space, &ty, number)?;
                self.words.method(func, self.registers)
            }
            Meaning::Is(func) if disp == 0 => self.words.signature(None, func, self.registers),
            _ => None,
        }
    }
}

pub(super) fn find(list: &[(usize, Meaning)], number: usize) -> Option<Meaning> {
    list.iter().find(|(n, _)| *n == number).map(|(_, m)| *m)
}

/// The type that a method belongs to, by the method's name, and whether it takes a pointer: `a/b.(*T).Method`,
/// `a/b.T.Method`.
fn receiver(name: &str) -> Option<(String, bool)> {
    let dir = package_end(name);
    let (package, rest) = name.split_at(dir + name[dir..].find('.')?);
    // The linker writes dots in the last part of a path as %2e.
    let package = package.replace("%2e", ".");
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if let Some(rest) = rest.strip_prefix(".(*") {
        let (ty, method) = rest.rsplit_once(").")?;
        return is_word(method).then(|| (format!("{package}.{ty}"), true));
    }
    let (ty, method) = rest.strip_prefix('.')?.rsplit_once('.')?;
    is_word(method).then(|| (format!("{package}.{ty}"), false))
}

/// Where the last part of the path of a function's package starts; type arguments have paths, too.
fn package_end(name: &str) -> usize {
    let end = name.find(['[', '(']).unwrap_or(name.len());
    name[..end].rfind('/').map_or(0, |slash| slash + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_methods_tell_the_receiver() {
        let of = |name| {
            receiver(name).map(|(ty, pointer)| format!("{}{ty}", if pointer { "*" } else { "" }))
        };
        assert_eq!(of("main.(*T).Do").as_deref(), Some("*main.T"));
        assert_eq!(of("a.com/b/c.T.Do").as_deref(), Some("a.com/b/c.T"));
        assert_eq!(
            of("gopkg.in/yaml%2ev3.(*Node).Do").as_deref(),
            Some("*gopkg.in/yaml.v3.Node")
        );
        assert_eq!(
            of("main.(*List[go.shape.int]).Push").as_deref(),
            Some("*main.List[go.shape.int]")
        );
        assert_eq!(
            of("main.(*List[a.com/b.T]).Push").as_deref(),
            Some("*main.List[a.com/b.T]")
        );
        assert_eq!(of("main.(*T).Do.func1"), None);
        assert_eq!(of("main.(*T).Do-fm"), None);
        assert_eq!(of("main.main"), None);
        // Whether there is such a type is another question.
        assert_eq!(of("main.main.func1").as_deref(), Some("main.main"));
        assert_eq!(of(""), None);
        assert_eq!(of("(((.["), None);
    }
}
