//! Tracebacks: the calls open on each goroutine, with their source lines; equal ones are kept once.

use objref_go::{FuncKind, Goroutine, LogicalFrame, Pclntab, read_labels};
use objref_mem::Addr;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// An open call and those that it was called from: an id into [`Traces`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Trace(pub u32);

/// A place in the source: an id into [`Traces`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct CallId(pub u32);

/// A function at a line of its source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Call {
    function: u32,
    file: u32,
    line: u32,
    inlined: bool,
    wrapper: bool,
}

/// What there is to say of a goroutine's stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoroutineTrace {
    /// The innermost call; `None` if not even that is known.
    pub innermost: Option<Trace>,
    /// Whether the calls lead to the goroutine's first function.
    pub complete: bool,
    /// Whether all frames and all their maps could be read.
    pub whole: bool,
    /// The `go` statement that started it.
    pub created: Option<CallId>,
    /// Its profiler labels: an index into [`Traces::labels`].
    pub labels: u32,
}

/// What was scanned conservatively.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ConservativePlace {
    /// A frame, by its innermost call.
    Frame(CallId),
    /// A whole stack, which could not be unwound.
    Stack,
    /// The system stack that a thread was on.
    SystemStack,
}

/// Something that was scanned conservatively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConservativeFrame {
    /// Index of the goroutine; [`NO_GOROUTINE`](crate::NO_GOROUTINE) if the thread runs none.
    pub goroutine: u32,
    /// What it is.
    pub place: ConservativePlace,
}

/// All distinct tracebacks as a tree, callers before callees.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Traces {
    /// Per goroutine, in the order of their list.
    pub of: Vec<GoroutineTrace>,
    /// Distinct sets of labels, pairs of key and value; the first is empty.
    pub labels: Vec<Vec<(String, String)>>,
    /// The latest moment known on the runtime's clock, in nanoseconds: the dump was taken then or later.
    pub clock: Option<i64>,
    /// What was scanned conservatively.
    pub conservative: Vec<ConservativeFrame>,
    parents: Vec<Option<Trace>>,
    calls: Vec<CallId>,
    sites: Vec<Call>,
    texts: Vec<String>,
}

impl Traces {
    /// Whether every number that leads somewhere leads to something, for that many goroutines.
    pub(crate) fn is_sound(&self, goroutines: usize) -> bool {
        let (traces, sites, texts) = (self.parents.len(), self.sites.len(), self.texts.len());
        let site = |call: CallId| (call.0 as usize) < sites;
        let behind = |(trace, parent): (usize, &Option<Trace>)| {
            parent.is_none_or(|parent| (parent.0 as usize) < trace)
        };
        self.calls.len() == traces
            && self.of.len() == goroutines
            && self.parents.iter().enumerate().all(behind)
            && self.calls.iter().all(|call| site(*call))
            && self
                .sites
                .iter()
                .all(|call| (call.function as usize) < texts && (call.file as usize) < texts)
            && self.of.iter().all(|of| {
                of.innermost.is_none_or(|trace| (trace.0 as usize) < traces)
                    && of.created.is_none_or(site)
                    && (of.labels as usize) < self.labels.len()
            })
            && self.conservative.iter().all(|frame| match frame.place {
                ConservativePlace::Frame(call) => site(call),
                _ => true,
            })
    }

    /// Leaves out labels and the directories of source files.
    pub(crate) fn redact(&mut self) {
        for labels in &mut self.labels {
            labels.clear();
        }
        for call in &self.sites {
            let file = &mut self.texts[call.file as usize];
            if let Some((_, name)) = file.rsplit_once('/') {
                *file = name.to_owned();
            }
        }
    }

    /// Number of traces; ids are `0..len`.
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there is no trace at all.
    pub fn is_empty(&self) -> bool {
        self.parents.is_empty()
    }

    /// The caller.
    pub fn parent(&self, trace: Trace) -> Option<Trace> {
        self.parents[trace.0 as usize]
    }

    /// The innermost call.
    pub fn call(&self, trace: Trace) -> CallId {
        self.calls[trace.0 as usize]
    }

    /// The function's full name.
    pub fn function(&self, call: CallId) -> &str {
        &self.texts[self.sites[call.0 as usize].function as usize]
    }

    /// Source file, as the compiler saw it, and line; empty and 0 if unknown.
    pub fn file_line(&self, call: CallId) -> (&str, u32) {
        let site = &self.sites[call.0 as usize];
        (&self.texts[site.file as usize], site.line)
    }

    /// Whether the call was inlined into its caller.
    pub fn is_inlined(&self, call: CallId) -> bool {
        self.sites[call.0 as usize].inlined
    }

    /// Whether the compiler made the function, to adapt a method or the call of a `go` statement.
    pub fn is_wrapper(&self, call: CallId) -> bool {
        self.sites[call.0 as usize].wrapper
    }
}

/// Adds traces to [`Traces`].
#[derive(Default)]
pub(crate) struct TraceBuilder {
    pub(crate) traces: Traces,
    text_ids: FxHashMap<String, u32>,
    call_ids: FxHashMap<Call, CallId>,
    children: FxHashMap<(Option<Trace>, CallId), Trace>,
    /// By caller, program counter and whether it was interrupted there.
    frames: FxHashMap<(Option<Trace>, Addr, bool), Trace>,
    created: FxHashMap<Addr, Option<CallId>>,
    label_sets: FxHashMap<Addr, u32>,
}

impl TraceBuilder {
    /// The trace for a physical frame called from `parent`, if it came up before.
    pub(crate) fn known(&self, parent: Option<Trace>, pc: Addr, trap: bool) -> Option<Trace> {
        self.frames.get(&(parent, pc, trap)).copied()
    }

    /// The trace for the physical frame at `pc` that stands for `calls`, innermost first.
    pub(crate) fn frame(
        &mut self,
        parent: Option<Trace>,
        (pc, trap): (Addr, bool),
        calls: &[LogicalFrame<'_>],
    ) -> Option<Trace> {
        let mut trace = parent;
        for call in calls.iter().rev() {
            let call = self.call(call);
            let next = Trace(self.traces.parents.len() as u32);
            let child = *self.children.entry((trace, call)).or_insert(next);
            if child == next {
                self.traces.parents.push(trace);
                self.traces.calls.push(call);
            }
            trace = Some(child);
        }
        if let Some(trace) = trace {
            self.frames.insert((parent, pc, trap), trace);
        }
        trace
    }

    fn call(&mut self, frame: &LogicalFrame<'_>) -> CallId {
        let call = Call {
            function: self.text(frame.name),
            file: self.text(frame.file),
            line: frame.line,
            inlined: frame.inlined,
            wrapper: frame.kind == FuncKind::Wrapper,
        };
        let next = CallId(self.traces.sites.len() as u32);
        let id = *self.call_ids.entry(call).or_insert(next);
        if id == next {
            self.traces.sites.push(call);
        }
        id
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(id) = self.text_ids.get(text) {
            return *id;
        }
        let id = self.traces.texts.len() as u32;
        self.traces.texts.push(text.to_owned());
        self.text_ids.insert(text.to_owned(), id);
        id
    }

    /// The `go` statement that returns to `pc`.
    // runtime/traceback.go: printcreatedby1
    pub(crate) fn created(&mut self, pclntab: &Pclntab<'_>, pc: Addr) -> Option<CallId> {
        if let Some(known) = self.created.get(&pc) {
            return *known;
        }
        let mut calls = Vec::new();
        if let Some(f) = pclntab.find(pc) {
            let at = if pc > f.entry() { Addr(pc.0 - 1) } else { pc };
            f.logical_frames(at, &mut calls);
        }
        let call = calls.first().map(|call| self.call(call));
        self.created.insert(pc, call);
        call
    }

    /// Index of the goroutine's labels.
    pub(crate) fn labels(&mut self, pclntab: &Pclntab<'_>, g: &Goroutine, minor: u32) -> u32 {
        let sets = &mut self.traces.labels;
        if sets.is_empty() {
            sets.push(Vec::new());
        }
        *self.label_sets.entry(g.labels).or_insert_with(|| {
            let labels = read_labels(pclntab.space(), g.labels, minor).unwrap_or_default();
            match sets.iter().position(|set| *set == labels) {
                Some(index) => index as u32,
                None => {
                    sets.push(labels);
                    sets.len() as u32 - 1
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'p>(name: &'p str, line: u32) -> LogicalFrame<'p> {
        LogicalFrame {
            name,
            file: "main.go",
            line,
            inlined: false,
            kind: FuncKind::Normal,
        }
    }

    #[test]
    fn equal_stacks_are_one_trace_and_other_lines_are_others() {
        let mut builder = TraceBuilder::default();
        let here = |n: u64| (Addr(n), false);
        let outer = builder.frame(None, here(1), &[at("main.main", 10)]);
        let inner = builder.frame(outer, here(2), &[at("main.b", 3), at("main.a", 2)]);
        assert_eq!(
            builder.frame(outer, here(3), &[at("main.b", 3), at("main.a", 2)]),
            inner
        );
        let other = builder.frame(outer, here(4), &[at("main.b", 4), at("main.a", 2)]);
        assert_ne!(inner, other);
        assert_eq!(builder.known(outer, Addr(4), false), other);
        assert_eq!(builder.known(outer, Addr(4), true), None);
        let traces = &builder.traces;
        assert_eq!(traces.len(), 4);
        let (Some(inner), Some(other)) = (inner, other) else {
            panic!("no trace")
        };
        assert_eq!(traces.parent(inner), traces.parent(other));
        assert_eq!(traces.function(traces.call(inner)), "main.b");
        assert_eq!(traces.file_line(traces.call(other)), ("main.go", 4));
    }
}
