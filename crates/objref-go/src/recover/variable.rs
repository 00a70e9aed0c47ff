//! The questions that can be asked: static words, slots of frames, closures.

use objref_mem::Addr;

use super::CodeTypes;
use super::meaning::Meaning;
use super::resolve::Agreement;
use crate::code::{Memory, Use, Value};
use crate::pclntab::FuncId;
use crate::unwind::Frame;

/// Functions that are asked about a static word.
const MAX_USERS: usize = 12;
/// Addresses below a word that are tried as the start of the variable that it is in.
const MAX_STARTS: usize = 6;
/// Variables are not larger than this.
const MAX_VARIABLE: u64 = 1 << 20;

impl CodeTypes<'_> {
    /// What the static word at `at` means.
    pub fn static_word(&mut self, at: Addr) -> Option<Meaning> {
        self.begin();
        self.remembered(|code| &mut code.statics, at, |code| code.find_static(at))
    }

    fn find_static(&mut self, at: Addr) -> Option<Meaning> {
        let users: Vec<(Use, FuncId)> = self.index.users(at).take(MAX_USERS).collect();
        let mut agreement = Agreement::default();
        for (_, id) in users.iter().filter(|(how, _)| *how == Use::Store) {
            let Some(graph) = self.graph(*id) else {
                continue;
            };
            for store in graph.stores.iter().filter(|s| s.to == Memory::Static(at.0)) {
                let answer = self.meaning(*id, &graph, graph.value(store.value));
                agreement.add(answer);
                if agreement.is_settled() {
                    return agreement.result();
                }
            }
        }
        if agreement.count > 0 {
            return agreement.result();
        }
        if let Some((start, ty)) = self.static_variable(at)
            && let Some(meaning) = self.words.word(ty, at.0 - start.0)
        {
            return Some(meaning);
        }
        let mut all = Vec::new();
        for (_, id) in users {
            all.extend(self.used(id, Value::Static(at.0)));
        }
        self.words.largest(&all)
    }

    /// The static variable that the word at `at` is part of, if its address is taken somewhere and says its type: where
    /// it starts, and its type.
    pub fn static_variable(&mut self, at: Addr) -> Option<(Addr, Addr)> {
        self.begin();
        let mut starts: Vec<Addr> = Vec::new();
        for (start, _) in self.index.taken_below(at) {
            if at.0 - start.0 > MAX_VARIABLE || starts.len() >= MAX_STARTS {
                break;
            }
            if starts.last() != Some(&start) {
                starts.push(start);
            }
        }
        let mut best: Option<(Addr, Addr)> = None;
        for start in starts {
            if let Some(ty) = self.variable_at(start)
                && let Some(size) = self.words.size(ty)
                && at.0 - start.0 < size
            {
                best = Some((start, ty));
            }
        }
        best
    }

    /// The type of the static variable at `start`, by what its address is used as.
    fn variable_at(&mut self, start: Addr) -> Option<Addr> {
        self.remembered(
            |code| &mut code.regions,
            start,
            |code| code.find_variable(start),
        )
    }

    fn find_variable(&mut self, start: Addr) -> Option<Addr> {
        let users = self.index.users(start);
        let users: Vec<FuncId> = users
            .filter(|(how, _)| *how == Use::Address)
            .map(|(_, id)| id)
            .take(MAX_USERS)
            .collect();
        let mut all = Vec::new();
        for id in users {
            all.extend(self.used(id, Value::Constant(start.0)));
        }
        match self.words.largest(&all) {
            Some(Meaning::To(ty, 0)) => Some(ty),
            _ => None,
        }
    }

    /// What the word at `slot` on the stack means, which is part of `frame`.
    pub fn stack_word(&mut self, frame: &Frame, slot: Addr) -> Option<Meaning> {
        self.begin();
        let function = self.tab.func(frame.func)?;
        let after = u32::try_from(frame.pc.0.checked_sub(function.entry().0)?).ok()?;
        // Counted from the stack pointer at the entry.
        let offset = slot.0.wrapping_sub(frame.fp.0) as i64 + self.abi.entry;
        let id = frame.func;
        let graph = self.graph(id)?;
        let now = graph.slot_at(offset, after);
        if let Some(found) = self.meaning(id, &graph, now) {
            return Some(found);
        }
        let mut all = Vec::new();
        for origin in graph.origins(now) {
            all.extend(self.used(id, origin));
        }
        if let Some(found) = self.words.largest(&all) {
            return Some(found);
        }
        // The compiler gives a slot to one variable, or to several of one type.
        let mut agreement = Agreement::default();
        let written: Vec<Value> = graph.written_to(offset).collect();
        for value in written {
            let mut answer = self.meaning(id, &graph, value);
            if answer.is_none() {
                let mut all = Vec::new();
                for origin in graph.origins(value) {
                    all.extend(self.used(id, origin));
                }
                answer = self.words.largest(&all);
            }
            agreement.add(answer);
        }
        agreement
            .result()
            .or_else(|| self.in_stack_object(id, offset))
    }

    /// The word is part of a variable on the stack whose address is used.
    fn in_stack_object(&mut self, id: FuncId, offset: i64) -> Option<Meaning> {
        let uses = self.uses(id)?;
        let mut found: Vec<Meaning> = Vec::new();
        for (value, meanings) in uses.all() {
            let Value::Stack(start) = value else {
                continue;
            };
            let Some(Meaning::To(ty, 0)) = self.words.largest(meanings) else {
                continue;
            };
            let Some(inner) = offset
                .checked_sub(*start)
                .and_then(|i| u64::try_from(i).ok())
            else {
                continue;
            };
            if self.words.size(ty).is_some_and(|size| inner < size) {
                found.extend(self.words.word(ty, inner));
            }
        }
        let first = *found.first()?;
        found.iter().all(|m| *m == first).then_some(first)
    }

    /// The struct that closures of the function at `entry` are allocated as.
    pub fn closure(&mut self, entry: Addr) -> Option<Addr> {
        self.begin();
        let id = self.function(entry)?;
        self.closure_of(id)?.ty
    }
}
