//! Types of variables that nothing describes, recovered from the code that uses them.
//!
//! A stripped binary keeps the names of its functions, its type descriptors, and its code. The code hands descriptors to
//! allocators and calls methods whose receivers have named types; from there values go into variables. Asked for a
//! variable, this module finds the functions that use it, reads where the values come from that they store, and what
//! else they do with what they load.
//!
//! Nothing of this is needed, and nothing done, where there is debug information.

mod closure;
mod known;
mod meaning;
mod resolve;
mod signature;
mod site;
mod uses;
mod variable;

use std::hash::Hash;
use std::sync::Arc;

use objref_mem::Addr;
use rustc_hash::FxHashMap;

use crate::code::{Abi, CodeIndex, Effect, Graph, Source, code_of, never_returns};
use crate::module::AddrRange;
use crate::pclntab::{FuncId, Pclntab};
use crate::process::GoProcess;
use closure::Closure;
pub use meaning::Meaning;
use meaning::Words;
use signature::{Registers, Signature};
use uses::Uses;

/// What is known about the variables of a program from its code.
pub struct CodeTypes<'p> {
    words: Words<'p>,
    tab: Arc<Pclntab<'p>>,
    abi: &'static Abi,
    registers: Registers,
    minor: u32,
    index: CodeIndex,
    /// Static data that may hold pointers.
    data: Vec<AddrRange>,
    effects: FxHashMap<Addr, Effect>,
    /// Named types, by name.
    names: &'p crate::type_index::TypeIndex,
    /// Methods that descriptors tell of, by code address: type of the receiver, type of the function.
    methods: FxHashMap<Addr, (Addr, Option<Addr>)>,
    // Types that descriptors of pieces of the language have.
    byte: Option<Addr>,
    rune: Option<Addr>,

    graphs: FxHashMap<FuncId, Option<Arc<Graph>>>,
    signatures: FxHashMap<FuncId, Arc<Signature>>,
    uses: FxHashMap<FuncId, Arc<Uses>>,
    closures: FxHashMap<FuncId, Arc<Closure>>,
    /// Results of functions, by register number; absent while they are being found.
    returned: FxHashMap<(FuncId, usize), Option<Meaning>>,
    params: FxHashMap<(FuncId, usize), Option<Meaning>>,
    statics: FxHashMap<Addr, Option<Meaning>>,
    regions: FxHashMap<Addr, Option<Addr>>,
    /// How many more bytes of code may be looked into.
    budget: usize,
    /// How deep questions are nested.
    depth: u32,
    /// Questions since the outermost one.
    steps: u32,
    /// Questions that were not answered because they were being asked already, or too much was.
    cuts: u32,
}

/// Bytes of code that are looked into before no more questions are answered.
const BUDGET: usize = 16 << 20;

impl<'p> CodeTypes<'p> {
    /// Looks into the code of a stripped binary; `None` if there is debug information, or if the architecture's code is
    /// not understood.
    pub fn new(process: &'p GoProcess) -> Option<CodeTypes<'p>> {
        let stripped = process.stripped.as_ref()?;
        let arch = process.core.arch();
        let abi = Abi::of(arch)?;
        let tab = Arc::new(process.functions().ok()?);
        let data: Vec<AddrRange> = process
            .modules
            .iter()
            .flat_map(|m| [m.data, m.bss])
            .collect();
        let index = CodeIndex::read(&tab, arch, &data);
        let words = Words {
            space: &process.space,
            types: &process.types,
        };
        let mut code = CodeTypes {
            words,
            effects: effects(&tab, abi),
            tab,
            abi,
            registers: Registers {
                ints: abi.args.len(),
                floats: abi.floats,
            },
            minor: process.version.minor,
            index,
            data,
            names: &stripped.index,
            methods: FxHashMap::default(),
            byte: None,
            rune: None,
            graphs: FxHashMap::default(),
            signatures: FxHashMap::default(),
            uses: FxHashMap::default(),
            closures: FxHashMap::default(),
            returned: FxHashMap::default(),
            params: FxHashMap::default(),
            statics: FxHashMap::default(),
            regions: FxHashMap::default(),
            budget: BUDGET,
            depth: 0,
            steps: 0,
            cuts: 0,
        };
        code.read_methods(process);
        code.byte = code.names.by_name("uint8");
        code.rune = code.names.by_name("int32");
        Some(code)
    }

    /// Methods of all types, by the address of their code.
    fn read_methods(&mut self, process: &GoProcess) {
        let Words { space, types } = self.words;
        for at in self.names.all() {
            let Some(ty) = types.read(space, *at) else {
                continue;
            };
            for (func, code) in types.methods(space, &ty) {
                let module = process.modules.iter().find(|m| m.types.contains(*at));
                let Some(code) = module.and_then(|m| m.text_addr(code)) else {
                    continue;
                };
                self.methods.insert(code, (*at, func));
            }
        }
    }

    /// The function that starts at an address.
    fn function(&self, entry: Addr) -> Option<FuncId> {
        let function = self.tab.find(entry)?;
        (function.entry() == entry).then(|| function.id())
    }

    /// Where the values of a function come from.
    fn graph(&mut self, id: FuncId) -> Option<Arc<Graph>> {
        if let Some(known) = self.graphs.get(&id) {
            return known.clone();
        }
        let graph = self.build(id).map(Arc::new);
        self.graphs.insert(id, graph.clone());
        graph
    }

    fn build(&mut self, id: FuncId) -> Option<Graph> {
        let function = self.tab.func(id)?;
        let code = code_of(&self.tab, &function)?;
        self.budget = self.budget.checked_sub(code.len())?;
        let sp: Vec<(u32, i32)> = function.sp_steps().collect();
        let source = Source {
            entry: function.entry(),
            code: &code,
            sp: &sp,
            effects: &self.effects,
        };
        Some(Graph::build(&source, self.abi))
    }

    /// The answer to a question, from the table that keeps such answers, or by finding it. Who asks while it is being
    /// found gets none.
    fn remembered<K: Copy + Eq + Hash, V: Copy>(
        &mut self,
        table: fn(&mut Self) -> &mut FxHashMap<K, Option<V>>,
        question: K,
        find: impl FnOnce(&mut Self) -> Option<V>,
    ) -> Option<V> {
        if let Some(known) = table(self).get(&question).copied() {
            self.cuts += u32::from(known.is_none());
            return known;
        }
        let cuts = self.cuts;
        table(self).insert(question, None);
        let answer = find(self);
        match answer {
            // What was cut short may have an answer for someone else.
            None if self.cuts != cuts && self.depth > 0 => table(self).remove(&question),
            _ => table(self).insert(question, answer),
        };
        answer
    }

    /// Whether static data at this address may hold pointers.
    fn is_data(&self, at: Addr) -> bool {
        self.data.iter().any(|range| range.contains(at))
    }
}

/// The functions that treat registers in unusual ways, by their names.
fn effects(tab: &Pclntab<'_>, abi: &Abi) -> FxHashMap<Addr, Effect> {
    tab.functions()
        .filter_map(|function| {
            let name = function.name();
            let effect = match abi.changed_by(name) {
                Some(changed) => Effect::Keeps(changed),
                None if never_returns(name) => Effect::Ends,
                None => return None,
            };
            Some((function.entry(), effect))
        })
        .collect()
}
