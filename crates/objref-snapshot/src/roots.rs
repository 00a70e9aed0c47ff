//! The roots of the graph, in the order that decides ties: variables by address, then goroutines by stack, then the rest.

use objref_go::{Heap, ObjId, RootKind, RootPointer, SpecialRoots, StackRoot, global_roots};
use objref_mem::Addr;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::describe::Vocabulary;
use crate::infer::Inference;
use crate::stacks::StackNode;
use crate::statics::Statics;
use crate::step::{Container, Pointer, Reference, StepId};
use crate::stripped::{STRIPPED, segment_offset};
use crate::symbols::DataSymbols;
use crate::types::TypeId;

/// Who holds a root reference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Holder {
    /// A package-level variable, or data that the compiler or linker made: an index into the names of variables.
    Variable(u32),
    /// A function on a goroutine's stack.
    Stack(StackNode),
    /// Something in the runtime.
    Runtime(RootKind),
}

/// A root reference.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Root {
    /// The object.
    pub target: ObjId,
    /// Who holds it.
    pub holder: Holder,
    /// How: the variable's field, the local variable.
    pub step: StepId,
    /// Where the reference lies.
    pub place: Place,
}

/// Where a root reference lies, beyond who holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index of the goroutine; [`NO_GOROUTINE`] for roots outside stacks.
    pub goroutine: u32,
    /// Whether the word only may be a pointer.
    pub conservative: bool,
}

/// In [`Place::goroutine`]: the root is not on a stack.
pub const NO_GOROUTINE: u32 = u32::MAX;

impl Place {
    pub(crate) const OFF_STACK: Place = Place {
        goroutine: NO_GOROUTINE,
        conservative: false,
    };
}

/// A root reference to a slot of the heap that holds no object: something was misread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DanglingRoot {
    /// Who holds it.
    pub holder: Holder,
    /// The word that holds it.
    pub word: Addr,
    /// What it points to.
    pub value: u64,
}

/// A root reference whose words have not been found yet: they need the type of the target.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) target: ObjId,
    pub(crate) holder: Holder,
    pub(crate) word: Addr,
    pub(crate) value: u64,
    pub(crate) typed: Option<Typed>,
    pub(crate) place: Place,
}

impl Candidate {
    fn reference(&self) -> Reference {
        let typed = self.typed.as_ref();
        Reference {
            container: typed.map(|typed| Container {
                ty: typed.ty,
                many: typed.many,
            }),
            offset: typed.map_or(0, |typed| typed.offset),
            target: self.target,
        }
    }

    fn pointer(&self) -> Pointer {
        Pointer {
            word: self.word,
            value: self.value,
        }
    }
}

/// The typed value that a root pointer is part of.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) ty: TypeId,
    /// Offset of the pointer in the value.
    pub(crate) offset: u64,
    /// The way to the value; an index into the paths.
    pub(crate) before: u32,
    /// Whether the value is one of several.
    pub(crate) many: bool,
}

/// How many root references of each kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootCount {
    /// What kind; `None` for stacks.
    pub kind: Option<RootKind>,
    /// References into the heap.
    pub references: u64,
}

/// Gathers roots while evidence of types is noted.
pub(crate) struct RootTable {
    /// The references that are the first to their objects.
    pub(crate) candidates: Vec<Candidate>,
    /// The others; of those from one holder to one object the first.
    others: Vec<Candidate>,
    held: FxHashSet<(Holder, ObjId)>,
    /// Names of variables.
    pub(crate) names: Vec<String>,
    paths: Vec<String>,
    path_ids: FxHashMap<String, u32>,
    pub(crate) counts: Vec<RootCount>,
    pub(crate) dangling: Vec<DanglingRoot>,
    seen: Vec<u64>,
}

impl RootTable {
    pub(crate) fn new(objects: usize) -> Self {
        RootTable {
            candidates: Vec::new(),
            others: Vec::new(),
            held: FxHashSet::default(),
            names: Vec::new(),
            paths: Vec::new(),
            path_ids: FxHashMap::default(),
            counts: Vec::new(),
            dangling: Vec::new(),
            seen: vec![0; objects.div_ceil(64)],
        }
    }

    /// Counts a reference and keeps it if it is the first from its holder to its object.
    pub(crate) fn add(&mut self, kind: Option<RootKind>, candidate: Candidate) {
        match self.counts.iter_mut().find(|c| c.kind == kind) {
            Some(count) => count.references += 1,
            None => self.counts.push(RootCount {
                kind,
                references: 1,
            }),
        }
        let (word, bit) = (
            candidate.target.0 as usize / 64,
            1 << (candidate.target.0 % 64),
        );
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.held.insert((candidate.holder, candidate.target));
            self.candidates.push(candidate);
        } else if self.held.insert((candidate.holder, candidate.target)) {
            self.others.push(candidate);
        }
    }

    /// Notes a reference that leads to no object, if it leads into a span of objects.
    pub(crate) fn dangles(&mut self, heap: &Heap, holder: Holder, word: Addr, value: u64) {
        if heap.span_at(value).is_some() {
            self.dangling.push(DanglingRoot {
                holder,
                word,
                value,
            });
        }
    }

    /// Variables of all modules, by address.
    pub(crate) fn add_globals(&mut self, infer: &mut Inference<'_>) -> u64 {
        let process = infer.process;
        let mut pointers = Vec::new();
        let mut unread = 0;
        for module in &process.modules {
            unread += global_roots(&process.space, module, &mut |p| pointers.push(p));
        }
        pointers.sort_by_key(|p| p.slot);
        let mut symbols = DataSymbols::new(&process.image, process.bias);
        let mut statics = Statics::new(infer, &pointers, &mut symbols);
        self.names = std::mem::take(&mut statics.variables);
        for pointer in pointers {
            self.add_global(infer, &statics, &mut symbols, pointer);
        }
        unread
    }

    fn add_global(
        &mut self,
        infer: &mut Inference<'_>,
        statics: &Statics,
        symbols: &mut DataSymbols<'_>,
        pointer: RootPointer,
    ) {
        let Some(target) = infer.heap.resolve(pointer.value) else {
            if infer.heap.span_at(pointer.value).is_some() {
                let name = symbols.name_index(pointer.slot, &mut self.names);
                let holder = Holder::Variable(name);
                self.dangles(infer.heap, holder, pointer.slot, pointer.value);
            }
            return;
        };
        let (holder, typed) = match statics.at(pointer.slot.0) {
            Some(region) => {
                let offset = (pointer.slot.0 - region.start) % region.size;
                infer.reference(region.ty, offset, pointer.slot, pointer.value, target);
                let many = region.end - region.start > region.size;
                let before = self.path(&region.prefix);
                (
                    region.variable,
                    Some(Typed {
                        ty: region.ty,
                        offset,
                        before,
                        many,
                    }),
                )
            }
            None => {
                infer.untyped_reference(pointer.slot, pointer.value, target);
                (symbols.name_index(pointer.slot, &mut self.names), None)
            }
        };
        let holder = Holder::Variable(holder);
        let word = pointer.slot;
        self.add(
            Some(RootKind::Global),
            Candidate {
                target: target.id,
                holder,
                word,
                value: pointer.value,
                typed,
                place: Place::OFF_STACK,
            },
        );
    }

    /// Keeps a word that may be a pointer, of something in the runtime.
    pub(crate) fn add_word(&mut self, heap: &Heap, kind: RootKind, root: &StackRoot) {
        if let Some(target) = heap.find(root.value.0) {
            self.add(
                Some(kind),
                Candidate {
                    target,
                    holder: Holder::Runtime(kind),
                    word: root.slot,
                    value: root.value.0,
                    typed: None,
                    place: Place {
                        goroutine: NO_GOROUTINE,
                        conservative: true,
                    },
                },
            );
        }
    }

    /// Index of a path.
    pub(crate) fn path(&mut self, path: &str) -> u32 {
        if let Some(known) = self.path_ids.get(path) {
            return *known;
        }
        let id = self.paths.len() as u32;
        self.paths.push(path.to_owned());
        self.path_ids.insert(path.to_owned(), id);
        id
    }

    /// Finalizers, cleanups, weak handles, queues, tiny blocks. Returns how many lists broke off.
    pub(crate) fn add_runtime(&mut self, infer: &mut Inference<'_>) -> u64 {
        let process = infer.process;
        let source = process.layouts();
        let Some(roots) = SpecialRoots::new(&process.space, &source, &process.version) else {
            return 1;
        };
        let heap = infer.heap;
        let mut found = Vec::new();
        let mut emit = |p: RootPointer| found.push(p);
        let mut broken = roots.specials(heap, &mut emit);
        let mut queue = |name, read: &mut dyn FnMut(Addr) -> bool| {
            if let Some(at) = process.global(name)
                && !read(at)
            {
                broken += 1;
            }
        };
        queue("runtime.allfin", &mut |at| {
            roots.finalizer_queue(at, &mut emit).is_ok()
        });
        queue("runtime.gcCleanups", &mut |at| {
            roots.cleanup_queue(at, &mut emit).is_ok()
        });
        queue("runtime.allp", &mut |at| {
            roots.tiny_blocks(at, &mut emit).is_ok()
        });
        infer.note_beside(&roots);
        found.sort_by_key(|p| (p.kind, p.slot));
        for RootPointer {
            kind,
            slot,
            value,
            says,
        } in found
        {
            let holder = Holder::Runtime(kind);
            if let Some(target) = heap.resolve(value) {
                let typed = infer.recorded(says).map(|(ty, offset)| {
                    infer.reference(ty, offset, slot, value, target);
                    Typed {
                        ty,
                        offset,
                        before: self.path(""),
                        many: false,
                    }
                });
                self.add(
                    Some(kind),
                    Candidate {
                        target: target.id,
                        holder,
                        word: slot,
                        value,
                        typed,
                        place: Place::OFF_STACK,
                    },
                );
            } else if kind != RootKind::TinyBlock {
                self.dangles(heap, holder, slot, value);
            }
        }
        broken
    }

    /// The roots in words, in order: those that are the first to their objects, and the others.
    pub(crate) fn describe(&self, words: &mut Vocabulary<'_, '_>) -> (Vec<Root>, Vec<Root>) {
        let mut root = |c: &Candidate| Root {
            target: c.target,
            holder: c.holder,
            step: self.step(words, c),
            place: c.place,
        };
        let first = self.candidates.iter().map(&mut root).collect();
        (first, self.others.iter().map(&mut root).collect())
    }

    fn step(&self, words: &mut Vocabulary<'_, '_>, c: &Candidate) -> StepId {
        let describer = words.describer;
        let key = describer.key(&c.reference(), || c.pointer());
        if let Some(typed) = &c.typed {
            return match describer.variable_text(key, &self.paths[typed.before as usize]) {
                Some(text) => words.steps.intern(text),
                None => words.step(key),
            };
        }
        let step = words.step(key);
        match c.holder {
            Holder::Variable(v) if self.names[v as usize] == STRIPPED => {
                let place = segment_offset(describer.infer.process, c.word);
                let text = format!("{place} {}", words.steps.text(step));
                words.steps.intern(text)
            }
            _ => step,
        }
    }
}
