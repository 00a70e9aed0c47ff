//! What closures capture, from the code that makes them.

use std::sync::Arc;

use objref_mem::Addr;

use super::CodeTypes;
use super::meaning::Meaning;
use super::resolve::Agreement;
use crate::code::{Graph, Memory, Place, Value};
use crate::pclntab::FuncId;
use crate::rtype::Kind;

/// What is known of the closures of a function.
#[derive(Debug, Default)]
pub(super) struct Closure {
    /// The struct that they are allocated as.
    pub(super) ty: Option<Addr>,
    /// Where in frames they are made: function, slot.
    slots: Vec<(FuncId, i64)>,
}

/// Functions that are asked where they make a closure.
const MAX_MAKERS: usize = 8;
/// Closures are not larger.
const MAX_CLOSURE: i64 = 1 << 12;

impl CodeTypes<'_> {
    /// What is known of the closures whose code is this function.
    pub(super) fn closure_of(&mut self, id: FuncId) -> Option<Arc<Closure>> {
        if let Some(known) = self.closures.get(&id) {
            return Some(Arc::clone(known));
        }
        // Who asks while this is being found gets the answer that nothing is known.
        self.closures.insert(id, Arc::new(Closure::default()));
        let entry = self.tab.func(id)?.entry();
        let makers: Vec<FuncId> = self.index.takers(id).take(MAX_MAKERS).collect();
        let mut closure = Closure::default();
        for maker in makers {
            if let Some(graph) = self.graph(maker) {
                self.made_by(maker, &graph, entry, &mut closure);
            }
        }
        let closure = Arc::new(closure);
        self.closures.insert(id, Arc::clone(&closure));
        Some(closure)
    }

    /// Looks where a function stores the address of the code, which is a closure's first word.
    // cmd/compile/internal/typecheck/func.go: ClosureType: struct { F uintptr; captured variables }
    fn made_by(&mut self, id: FuncId, graph: &Arc<Graph>, entry: Addr, closure: &mut Closure) {
        let code = Value::Constant(entry.0);
        for store in &graph.stores {
            let Memory::Through { base, disp: 0, .. } = store.to else {
                continue;
            };
            if graph.value(store.value) != code {
                continue;
            }
            let base = graph.value(base);
            if let Some(Meaning::To(ty, 0)) = self.meaning(id, graph, base)
                && self
                    .words
                    .read(ty)
                    .is_some_and(|ty| ty.kind == Kind::Struct)
            {
                closure.ty = Some(ty);
            }
        }
        let slots = graph.written_slots();
        let mut made: Vec<i64> = slots
            .filter(|slot| graph.written_to(*slot).any(|value| value == code))
            .collect();
        made.sort_unstable();
        closure
            .slots
            .extend(made.into_iter().map(|slot| (id, slot)));
    }

    /// A word that the closure of function `id` captured, if `base` is that closure.
    pub(super) fn captured(
        &mut self,
        id: FuncId,
        graph: &Graph,
        base: Value,
        disp: i64,
    ) -> Option<Meaning> {
        let context = Value::Entry {
            block: 0,
            place: Place::Reg(self.abi.context),
        };
        if graph.origins(base) != [context] || !(8..MAX_CLOSURE).contains(&disp) {
            return None;
        }
        let closure = self.closure_of(id)?;
        let mut agreement = Agreement::default();
        for (maker, slot) in &closure.slots {
            let Some(graph) = self.graph(*maker) else {
                continue;
            };
            let values: Vec<Value> = graph.written_to(slot + disp).collect();
            for value in values {
                let answer = self.meaning(*maker, &graph, value);
                agreement.add(answer);
            }
        }
        agreement.result()
    }
}
