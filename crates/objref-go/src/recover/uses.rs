//! What a function does with values tells what they are: it calls methods with them, puts them into maps and fields.
//!
//! A pointer that is used as a pointer to a `T` may lead to something larger that starts with a `T`: the larger of two
//! types is the better answer.

use std::sync::Arc;

use objref_mem::Addr;
use rustc_hash::FxHashMap;

use super::CodeTypes;
use super::meaning::{Meaning, Words};
use crate::code::{Call, Callee, Graph, Memory, Value};
use crate::pclntab::FuncId;
use crate::rtype::Kind;

/// What values of a function are used as, by where they are made.
#[derive(Debug, Default)]
pub(super) struct Uses {
    by_origin: FxHashMap<Value, Vec<Meaning>>,
}

/// Values of a function that are looked at.
const MAX_USES: usize = 1 << 13;

impl Uses {
    /// All values, with what they are used as.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Value, &Vec<Meaning>)> {
        self.by_origin.iter()
    }

    fn add(&mut self, graph: &Graph, value: Value, meaning: Meaning) {
        if self.by_origin.len() > MAX_USES {
            return;
        }
        for origin in graph.origins(value) {
            let known = self.by_origin.entry(origin).or_default();
            if !known.contains(&meaning) {
                known.push(meaning);
            }
        }
    }
}

impl Words<'_> {
    /// The one type that all of these agree with.
    pub(super) fn largest(&self, meanings: &[Meaning]) -> Option<Meaning> {
        let mut best = *meanings.first()?;
        for &other in &meanings[1..] {
            best = match (best, other) {
                _ if best == other => best,
                (Meaning::To(a, 0), Meaning::To(b, 0)) if self.starts_with(a, b) => best,
                (Meaning::To(a, 0), Meaning::To(b, 0)) if self.starts_with(b, a) => other,
                _ => return None,
            };
        }
        Some(best)
    }
}

impl CodeTypes<'_> {
    /// What a value that is made in this way is used as in a function.
    pub(super) fn used(&mut self, id: FuncId, origin: Value) -> Option<Meaning> {
        let uses = self.uses(id)?;
        self.words.largest(uses.by_origin.get(&origin)?)
    }

    pub(super) fn uses(&mut self, id: FuncId) -> Option<Arc<Uses>> {
        if let Some(known) = self.uses.get(&id) {
            return Some(Arc::clone(known));
        }
        self.uses.insert(id, Arc::new(Uses::default()));
        let graph = self.graph(id)?;
        let mut uses = Uses::default();
        for call in &graph.calls {
            self.passed(id, &graph, call, &mut uses);
        }
        self.stored(id, &graph, &mut uses);
        let signature = self.signature(id);
        for (number, meaning) in &signature.results {
            let Some(reg) = self.abi.args.get(*number) else {
                continue;
            };
            for value in graph.returned(*reg) {
                uses.add(&graph, value, *meaning);
            }
        }
        let uses = Arc::new(uses);
        self.uses.insert(id, Arc::clone(&uses));
        Some(uses)
    }

    /// What a call passes.
    fn passed(&mut self, id: FuncId, graph: &Arc<Graph>, call: &Call, uses: &mut Uses) {
        match call.callee {
            Callee::Code(entry) => {
                let Some(callee) = self.function(entry) else {
                    return;
                };
                if let Some(known) = self.known(callee) {
                    for (number, role) in known.args {
                        if let Some(meaning) = self.role(graph, call, known, *role) {
                            uses.add(graph, graph.arg(call, self.abi, *number), meaning);
                        }
                    }
                    return;
                }
                let signature = self.signature(callee);
                for (number, meaning) in &signature.params {
                    uses.add(graph, graph.arg(call, self.abi, *number), *meaning);
                }
                let words = self.tab.func(callee).map_or(0, |f| f.arg_words());
                self.interfaces(graph, call, words, uses);
            }
            Callee::Value(target) => {
                let target = graph.value(target);
                if let Some(signature) = self.indirect(id, graph, target) {
                    for (number, meaning) in &signature.params {
                        uses.add(graph, graph.arg(call, self.abi, *number), *meaning);
                    }
                }
            }
        }
    }

    /// A word after a constant type is the data of an interface.
    fn interfaces(&self, graph: &Graph, call: &Call, words: usize, uses: &mut Uses) {
        let count = words.min(self.abi.args.len());
        for number in 1..count {
            let first = graph.arg(call, self.abi, number - 1);
            if let Some(meaning) = self.boxed(first) {
                uses.add(graph, graph.arg(call, self.abi, number), meaning);
            }
        }
    }

    /// What the second word of an interface is whose first word is this.
    fn boxed(&self, first: Value) -> Option<Meaning> {
        let Value::Constant(at) = first else {
            return None;
        };
        let (types, space) = (self.words.types, self.words.space);
        let at = Addr(at);
        let ty = match types.offset(at).and_then(|_| types.recognise(space, at)) {
            Some(ty) => ty,
            None => {
                // internal/abi/iface.go: ITab{Inter, Type, Hash, Fun}
                let inter = space.ptr(at).ok().and_then(|inter| self.words.read(inter));
                inter.filter(|ty| ty.kind == Kind::Interface)?;
                self.words.read(space.ptr(at.add(8)).ok()?)?
            }
        };
        match self.words.variable(ty.addr) {
            Some(direct) if ty.size == 8 => Some(direct),
            _ => Some(Meaning::To(ty.addr, 0)),
        }
    }

    /// What is stored into fields whose types are known.
    fn stored(&mut self, id: FuncId, graph: &Arc<Graph>, uses: &mut Uses) {
        for (i, store) in graph.stores.iter().enumerate() {
            let value = graph.value(store.value);
            if let Memory::Through { base, disp, .. } = store.to
                && !matches!(value, Value::Constant(_) | Value::Other)
            {
                let base = graph.value(base);
                if let Some(base) = self.meaning(id, graph, base)
                    && let Some(meaning) = self.loaded(base, disp)
                {
                    uses.add(graph, value, meaning);
                }
            }
            // Both words of an interface are stored together, in either order.
            let near = &graph.stores[i.saturating_sub(3)..graph.stores.len().min(i + 4)];
            if let Some(meaning) = self.boxed(value) {
                for other in near.iter().filter(|other| follows(store.to, other.to)) {
                    uses.add(graph, graph.value(other.value), meaning);
                }
            }
        }
    }
}

/// Whether `second` is the word after `first`.
fn follows(first: Memory, second: Memory) -> bool {
    match (first, second) {
        (Memory::Static(a), Memory::Static(b)) => a.checked_add(8) == Some(b),
        (
            Memory::Through {
                base: a,
                disp: from,
                indexed: false,
            },
            Memory::Through {
                base: b,
                disp: to,
                indexed: false,
            },
        ) => a == b && from.checked_add(8) == Some(to),
        _ => false,
    }
}
