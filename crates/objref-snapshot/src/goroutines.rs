//! The roots on goroutine stacks, with the functions and variables that hold them.

use std::rc::Rc;

use objref_dwarf::{Local, Place as DwarfPlace};
use objref_go::{
    Frame, GStatus, Goroutine, GoroutineError, Goroutines, Machines, Pclntab, RootKind,
    StackReader, StackRoot, StackRootKind, StackScan, Start, SystemStack, UnwindEnd, Walked,
    last_known_time,
};
use objref_mem::Addr;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::infer::Inference;
use crate::roots::{Candidate, Holder, NO_GOROUTINE, Place, RootTable, Typed};
use crate::shape::Hold;
use crate::stacks::{StackNode, StackTree};
use crate::traces::{
    ConservativeFrame, ConservativePlace, GoroutineTrace, Trace, TraceBuilder, Traces,
};
use crate::types::TypeId;
use crate::waits::Waits;

/// What was found on stacks, and how well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackCounts {
    /// Goroutines that are alive.
    pub goroutines: u64,
    /// Of these, those of which frames, or maps of frames, could not be found: they were scanned conservatively.
    pub partly_read: u64,
    /// Frames that were scanned conservatively, as the collector does where it stopped between two instructions.
    pub conservative_frames: u64,
    /// System stacks that were scanned conservatively: of threads that were on them with a processor.
    pub system_stacks: u64,
    /// Stack words that are not in the dump.
    pub missing_words: u64,
    /// Whether the runtime's list of threads ends at one that cannot be read, or loops.
    pub broken_thread_list: bool,
}

/// A goroutine's frames among all frames.
struct Unwound {
    index: usize,
    start: Start,
    end: UnwindEnd,
    frames: std::ops::Range<usize>,
    /// The node of the innermost function.
    node: Option<StackNode>,
}

/// Adds the roots of all goroutines to `table` and their stacks to `stacks`. `each` keeps goroutines apart.
pub(crate) fn add_stacks(
    table: &mut RootTable,
    infer: &mut Inference<'_>,
    stacks: &mut StackTree,
    each: bool,
) -> Result<(Goroutines, StackCounts, Traces), GoroutineError> {
    let process = infer.process;
    let (space, source, minor) = (&process.space, process.layouts(), process.version.minor);
    let globals = |name: &str| process.global(name);
    let pclntab = Pclntab::new(space, &source, &process.modules, minor)?;
    let machines = Machines::read(space, &source, &globals, process.core.threads())?;
    let goroutines = Goroutines::read(space, &source, &globals, &pclntab, minor)?;
    let mut reader = StackReader::new(&pclntab, &source, minor)?;
    let mut walker = Walker {
        reader: &mut reader,
        stacks,
        frames: Vec::new(),
        nodes: Vec::new(),
        traces: TraceBuilder::default(),
        trace_of: Vec::new(),
    };

    let systems = walker.reader.unwinder().system_stacks(&machines);
    let copying = systems.iter().any(|s| s.copying);
    let mut unwound = Vec::with_capacity(goroutines.list.len());
    for (index, g) in goroutines.list.iter().enumerate() {
        let start = walker.reader.unwinder().start(&machines, g);
        let top = each.then(|| format!("goroutine {}", g.id));
        unwound.push(walker.unwind(index, g, start, top));
        walker.created(&pclntab, g, minor);
    }
    let Walker {
        frames,
        nodes,
        traces,
        trace_of,
        ..
    } = walker;
    let mut traces = traces.traces;
    traces.clock = last_known_time(space, &source, &globals, &goroutines);
    let ranks = stacks.ranks();
    let rank = |u: &Unwound| {
        (
            u.node.map(|n| ranks[n.0 as usize]),
            goroutines.list[u.index].id,
        )
    };
    unwound.sort_by_key(rank);

    let mut counts = StackCounts {
        goroutines: unwound.len() as u64,
        broken_thread_list: machines.damaged,
        ..StackCounts::default()
    };
    let mut locals = Locals::default();
    let mut waits = Waits::new(process);
    let mut roots = Vec::new();
    for u in &unwound {
        let (g, own) = (&goroutines.list[u.index], &frames[u.frames.clone()]);
        roots.clear();
        infer.ask(|model| waits.look(process, model, g));
        let system = systems.iter().find(|s| s.current == g.addr);
        let walked = Walked {
            start: &u.start,
            frames: own,
            end: u.end,
            system: system.filter(|s| !s.marking),
            moving: g.status == GStatus::CopyStack
                || copying && (g.scanning || system.is_some_and(|s| s.copying)),
        };
        let scan = reader.roots(g, &walked, &mut |root| roots.push(root));
        counts.add(&scan);
        traces.of[u.index].whole = !scan.is_partial();
        let place = |frame: u32| {
            let trace = trace_of[u.frames.start + frame as usize];
            trace.map_or(ConservativePlace::Stack, |trace| {
                ConservativePlace::Frame(traces.call(trace))
            })
        };
        let frames = reader.conservative_frames().iter().map(|f| place(*f));
        let whole = scan.conservative.then_some(ConservativePlace::Stack);
        let below = walked.system.map(|_| ConservativePlace::SystemStack);
        let goroutine = u.index as u32;
        let found: Vec<_> = frames
            .chain(whole)
            .chain(below)
            .map(|place| ConservativeFrame { goroutine, place })
            .collect();
        traces.conservative.extend(found);
        // Outer functions first: what they hold is passed to the inner ones as arguments.
        roots.sort_by_key(|r| (std::cmp::Reverse(r.frame.wrapping_add(1)), r.slot));
        for root in &roots {
            let node = match root.frame {
                StackRoot::NO_FRAME => u.node,
                frame => nodes
                    .get(u.frames.start + frame as usize)
                    .copied()
                    .flatten()
                    .or(u.node),
            };
            let place = Place {
                goroutine,
                conservative: root.conservative,
            };
            let frame = own.get(root.frame as usize);
            add_root(
                table,
                infer,
                (&mut locals, &waits),
                (node, place),
                frame,
                root,
            );
        }
    }
    let idle =
        |s: &&SystemStack| !s.marking && !goroutines.list.iter().any(|g| g.addr == s.current);
    for system in systems.iter().filter(idle) {
        let scan = reader.system_roots(system, &mut |root| {
            table.add_word(infer.heap, RootKind::SystemStack, &root);
        });
        counts.add(&scan);
        traces.conservative.push(ConservativeFrame {
            goroutine: NO_GOROUTINE,
            place: ConservativePlace::SystemStack,
        });
    }
    Ok((goroutines, counts, traces))
}

impl StackCounts {
    fn add(&mut self, scan: &StackScan) {
        self.partly_read += u64::from(scan.is_partial());
        self.conservative_frames += u64::from(scan.conservative_frames);
        self.system_stacks += u64::from(scan.system_stacks);
        self.missing_words += scan.unreadable_words;
    }
}

struct Walker<'w, 'p> {
    reader: &'w mut StackReader<'p>,
    stacks: &'w mut StackTree,
    frames: Vec<Frame>,
    nodes: Vec<Option<StackNode>>,
    traces: TraceBuilder,
    /// Per frame its trace.
    trace_of: Vec<Option<Trace>>,
}

impl Walker<'_, '_> {
    fn unwind(
        &mut self,
        index: usize,
        g: &Goroutine,
        start: Start,
        top: Option<String>,
    ) -> Unwound {
        let mut own = Vec::new();
        let end = self.reader.unwinder().unwind(&start, g.stack, &mut own);
        let mut node = top.map(|title| self.stacks.child(None, &title));
        let mut logical = Vec::new();
        let first = self.frames.len();
        self.nodes.resize(first + own.len(), None);
        self.trace_of.resize(first + own.len(), None);
        let mut trace = None;
        for (i, frame) in own.iter().enumerate().rev() {
            logical.clear();
            self.reader.unwinder().logical_frames(frame, &mut logical);
            trace = match self.traces.known(trace, frame.pc, frame.trap) {
                known @ Some(_) => known,
                None => self.traces.frame(trace, (frame.pc, frame.trap), &logical),
            };
            self.trace_of[first + i] = trace;
            for call in logical
                .iter()
                .rev()
                .filter(|call| call.name != "runtime.goexit")
            {
                node = Some(self.stacks.child(node, call.name));
            }
            self.nodes[first + i] = node;
        }
        let node = match node {
            Some(node) if !own.is_empty() => node,
            _ => self.stacks.child(node, "(unknown function)"),
        };
        self.stacks.count(node);
        self.traces.traces.of.push(GoroutineTrace {
            innermost: trace,
            complete: end.is_complete(),
            ..GoroutineTrace::default()
        });
        self.frames.extend_from_slice(&own);
        Unwound {
            index,
            start,
            end,
            frames: first..self.frames.len(),
            node: Some(node),
        }
    }
}

impl Walker<'_, '_> {
    /// Where the goroutine that was unwound last comes from.
    fn created(&mut self, pclntab: &Pclntab<'_>, g: &Goroutine, minor: u32) {
        // The first one was started by no statement of the program.
        let created = match g.id {
            1 => None,
            _ => self.traces.created(pclntab, g.created_at),
        };
        let labels = self.traces.labels(pclntab, g, minor);
        if let Some(of) = self.traces.traces.of.last_mut() {
            (of.created, of.labels) = (created, labels);
        }
    }
}

fn add_root(
    table: &mut RootTable,
    infer: &mut Inference<'_>,
    (locals, waits): (&mut Locals, &Waits),
    (node, place): (Option<StackNode>, Place),
    frame: Option<&Frame>,
    root: &StackRoot,
) {
    let (value, Some(node)) = (root.value.0, node) else {
        return;
    };
    let Some(target) = infer.heap.resolve(value) else {
        if !root.conservative {
            table.dangles(infer.heap, Holder::Stack(node), root.slot, value);
        }
        return;
    };
    let typed = match (root.kind, frame) {
        (StackRootKind::Local | StackRootKind::Arg | StackRootKind::StackObject, Some(frame))
            if !root.conservative =>
        {
            let local = locals.find(infer, table, frame, root.slot);
            let local = local.or_else(|| {
                let (ty, offset) = waits.element(root.slot)?;
                let before = table.path("(channel element)");
                Some(Typed {
                    ty,
                    offset,
                    before,
                    many: false,
                })
            });
            local.or_else(|| {
                let ty = infer.stack_variable(frame, root.slot, value, target)?;
                Some(Typed {
                    ty,
                    offset: 0,
                    before: table.path(""),
                    many: false,
                })
            })
        }
        (StackRootKind::Defer | StackRootKind::Deferred, _) => {
            let ty = infer.ask(|model| match root.kind {
                StackRootKind::Defer => {
                    let record = model.by_name("runtime._defer")?;
                    Some(model.pointer_to(record))
                }
                _ => Some(model.any_func()),
            });
            ty.map(|ty| Typed {
                ty,
                offset: 0,
                before: table.path("(deferred call)"),
                many: false,
            })
        }
        _ => None,
    };
    match &typed {
        Some(typed) => infer.reference(typed.ty, typed.offset, root.slot, value, target),
        None if root.kind == StackRootKind::Context => {
            infer.reference_as(Hold::Func, root.slot, value, target)
        }
        None => {}
    }
    table.add(
        None,
        Candidate {
            target: target.id,
            holder: Holder::Stack(node),
            word: root.slot,
            value,
            typed,
            place,
        },
    );
}

/// Variables by code address; goroutines that stand in the same place share them.
#[derive(Default)]
struct Locals {
    by_pc: FxHashMap<Addr, Rc<[Local]>>,
}

impl Locals {
    /// The variable of `frame` that the word at `slot` is part of.
    fn find(
        &mut self,
        infer: &mut Inference<'_>,
        table: &mut RootTable,
        frame: &Frame,
        slot: Addr,
    ) -> Option<Typed> {
        // A return address belongs to the call before it.
        let pc = if frame.trap {
            frame.pc
        } else {
            Addr(frame.pc.0.wrapping_sub(1))
        };
        let process = infer.process;
        let locals = Rc::clone(
            self.by_pc
                .entry(pc)
                .or_insert_with(|| process.debug.locals_at(process.bias.to_link(pc)).into()),
        );
        for local in locals.iter() {
            for piece in &local.pieces {
                let DwarfPlace::Frame(offset) = piece.place else {
                    continue;
                };
                let start = frame.fp.add(offset as u64);
                if slot < start || slot.0 - start.0 >= piece.size {
                    continue;
                }
                let offset = piece.offset_in_variable + (slot.0 - start.0);
                let ty = TypeId::of(local.ty);
                // The words of an interface say nothing about each other when they lie apart.
                let place = infer.place(ty, offset, slot)?;
                let apart = matches!(place.slot().hold, Hold::Interface | Hold::EmptyInterface)
                    && (place.at < start || !is_in_one_piece(local));
                if apart {
                    return None;
                }
                return Some(Typed {
                    ty,
                    offset,
                    before: table.path(&local.name),
                    many: false,
                });
            }
        }
        None
    }
}

fn is_in_one_piece(local: &Local) -> bool {
    let base = |p: &objref_dwarf::Piece| match p.place {
        DwarfPlace::Frame(at) => Some(at - p.offset_in_variable as i64),
        _ => None,
    };
    let first = local.pieces.first().and_then(base);
    first.is_some() && local.pieces.iter().all(|p| base(p) == first)
}

/// Goroutines by what they were doing, in the order of the runtime's numbers.
pub fn by_status(goroutines: &Goroutines) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(GStatus, u64)> = Vec::new();
    for g in &goroutines.list {
        match counts.iter_mut().find(|(status, _)| *status == g.status) {
            Some((_, n)) => *n += 1,
            None => counts.push((g.status, 1)),
        }
    }
    let mut named: Vec<(&'static str, u64)> = counts
        .into_iter()
        .map(|(status, n)| (status.name(), n))
        .collect();
    named.sort();
    named
}
