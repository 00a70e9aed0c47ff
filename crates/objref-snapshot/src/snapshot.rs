//! The snapshot: everything that reports are made of.

use std::sync::Arc;

use objref_go::{GoProcess, GoroutineError, Goroutines, Heap, ObjId, OpenError, Span, TESTED};
use objref_graph::{BfsTree, Successors, bfs};
use objref_mem::{Core, Image, RegionKind};

use crate::describe::Vocabulary;
use crate::goroutines::{StackCounts, add_stacks};
use crate::infer::Inference;
use crate::names::{allocated_name, view_name};
use crate::roots::{DanglingRoot, Root, RootCount, RootTable};
use crate::stacks::StackTree;
use crate::step::{Describer, StepId, Steps};
use crate::stripped;
use crate::traces::Traces;
use crate::types::Types;
use crate::view::{Certainty, FinalViews, Form, View};

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Go on when the binary is not the one that wrote the dump.
    pub force: bool,
    /// Keep goroutines apart that stand in the same place.
    pub goroutines_each: bool,
}

/// Is told which phase begins.
pub trait Progress: Sync {
    /// The phase called `name` begins.
    fn phase(&self, name: &str);
}

/// Progress that nobody watches.
pub struct NoProgress;

impl Progress for NoProgress {
    fn phase(&self, _name: &str) {}
}

/// Why a snapshot could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The dump cannot be read as a Go process.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The goroutines cannot be read.
    #[error(transparent)]
    Goroutines(#[from] GoroutineError),
}

/// Something that every report says with its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A stable name.
    pub code: &'static str,
    /// What it means.
    pub message: String,
    /// How often, or how many bytes.
    pub count: u64,
}

/// The heap of a dump: objects, who holds them, what they are.
pub struct Snapshot {
    /// The process.
    pub process: GoProcess,
    /// The heap.
    pub heap: Heap,
    /// The shortest chain that holds each object.
    pub tree: BfsTree,
    /// The root references that reach their objects first, in the order of the first level of `tree`.
    pub roots: Vec<Root>,
    /// Root references by kind.
    pub root_counts: Vec<RootCount>,
    /// Names of the variables that roots are in.
    pub variables: Vec<String>,
    /// The goroutines.
    pub goroutines: Goroutines,
    /// How well their stacks could be read.
    pub stack_counts: StackCounts,
    /// Merged stacks of the goroutines.
    pub stacks: StackTree,
    /// Their tracebacks.
    pub traces: Traces,
    /// Root references that lead to no object.
    pub dangling_roots: Vec<DanglingRoot>,
    /// The types.
    pub types: Types,
    /// The words for references.
    pub steps: Steps,
    /// What has to be said with every number.
    pub diagnostics: Vec<Diagnostic>,
    views: FinalViews,
    /// Per object: how the parent in `tree` refers to it.
    step_of: Vec<StepId>,
}

impl Snapshot {
    /// From a dump and its binary to the snapshot.
    pub fn load(
        core: Core,
        image: Arc<Image>,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Snapshot, SnapshotError> {
        progress.phase("binary");
        let process = GoProcess::open(core, image, options.force)?;
        progress.phase("heap");
        let heap = process.heap()?;
        let mut diagnostics = diagnose(&process, &heap);

        progress.phase("roots");
        let mut infer = Inference::new(&process, &heap);
        let mut table = RootTable::new(heap.len());
        let unread = table.add_globals(&mut infer);
        note(
            &mut diagnostics,
            "roots.data-missing",
            "bytes of global variables are not in the dump",
            unread,
        );
        let mut stacks = StackTree::default();
        let (goroutines, stack_counts, traces) =
            add_stacks(&mut table, &mut infer, &mut stacks, options.goroutines_each)?;
        diagnose_stacks(&mut diagnostics, &goroutines, &stack_counts);
        let broken = table.add_runtime(&mut infer);
        note(
            &mut diagnostics,
            "roots.broken-lists",
            "lists of finalizers or cleanups break off",
            broken,
        );

        progress.phase("graph");
        let tree = bfs(
            &HeapGraph {
                process: &process,
                heap: &heap,
            },
            table.candidates.iter().map(|c| c.target.0),
        );

        progress.phase("types");
        infer.run(&tree);

        progress.phase("names");
        let mut words = Vocabulary::new(Describer { infer: &infer });
        let roots = table.describe(&mut words);
        let step_of = words.describe(&tree, &roots);
        let steps = words.steps;
        let Inference { model, views, .. } = infer;
        let types = model.types;
        let views = FinalViews::new(views);

        Ok(Snapshot {
            tree,
            roots,
            root_counts: table.counts,
            variables: table.names,
            goroutines,
            stack_counts,
            stacks,
            traces,
            dangling_roots: table.dangling,
            types,
            steps,
            diagnostics,
            views,
            step_of,
            heap,
            process,
        })
    }

    /// What an object is seen as; `None` if unknown.
    pub fn view(&self, object: u32) -> Option<View> {
        self.views.get(object)
    }

    /// How sure it is what an object is.
    pub fn certainty(&self, object: u32) -> Certainty {
        self.views.distinct()[self.views.index(object) as usize].certainty
    }

    /// The object's type in Go syntax; `None` if unknown.
    pub fn type_name(&self, object: u32) -> Option<String> {
        let view = self.views.get(object)?;
        let (span, _) = self.heap.locate(ObjId(object));
        Some(view_name(
            &self.types,
            view,
            span.elem_size - self.heap.data_offset(span),
        ))
    }

    /// What objects are seen as, each once; the first stands for those of which nothing is known.
    pub fn distinct_views(&self) -> &[View] {
        self.views.distinct()
    }

    /// Index in [`Snapshot::distinct_views`] of what an object is seen as.
    pub fn view_index(&self, object: u32) -> u32 {
        self.views.index(object)
    }

    /// A view in Go syntax: `[]T` for values one after the other, however many.
    pub fn view_name(&self, view: &View) -> String {
        match view.form {
            Form::Text => "string".to_owned(),
            Form::Many => format!("[]{}", self.allocated_name(view)),
            _ => self.allocated_name(view),
        }
    }

    /// The name under which the runtime allocates the view's type, or its elements' type.
    pub fn allocated_name(&self, view: &View) -> String {
        allocated_name(&self.types, view.ty)
    }

    /// How the object's parent in the tree refers to it.
    pub fn step(&self, object: u32) -> StepId {
        self.step_of[object as usize]
    }
}

/// The heap as a graph; references are read from the dump each time.
struct HeapGraph<'a> {
    process: &'a GoProcess,
    heap: &'a Heap,
}

impl Successors for HeapGraph<'_> {
    fn len(&self) -> usize {
        self.heap.len()
    }

    fn successors(&self, node: u32, visit: &mut impl FnMut(u32)) {
        self.heap
            .pointers(&self.process.space, ObjId(node), |_, value| {
                if let Some(target) = self.heap.find(value) {
                    visit(target.0);
                }
            });
    }
}

fn diagnose(process: &GoProcess, heap: &Heap) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !process.version.is_tested() {
        let message = format!(
            "{} is outside the tested versions go1.{}–go1.{}: going on as far as the binary describes itself",
            process.version,
            TESTED.start(),
            TESTED.end()
        );
        found.push(Diagnostic {
            code: "go.untested-version",
            message,
            count: 1,
        });
    }
    diagnose_files(&mut found, process);
    found.extend(stripped::diagnose(process));
    note(
        &mut found,
        "heap.missing",
        "bytes of the heap are not in the dump: what only these refer to counts as garbage",
        missing_heap(process, heap),
    );
    let totals = &heap.totals;
    note(
        &mut found,
        "heap.damaged-spans",
        "span records cannot be read or make no sense: they were left out",
        totals.damaged,
    );
    note(
        &mut found,
        "heap.miscounted-spans",
        "spans whose bitmaps disagree with their own count of objects",
        totals.miscounted,
    );
    found
}

/// What is wrong with the files themselves.
fn diagnose_files(found: &mut Vec<Diagnostic>, process: &GoProcess) {
    let (core, image) = (&process.core, &process.image);
    let (theirs, ours) = (core.executable_ids(), image.build_ids());
    if theirs.agree_with(&ours) == Some(false) {
        let message = format!(
            "the dump was not written by this binary, so nothing here can be relied on: the dump says {theirs}; the \
             binary says {ours}"
        );
        found.push(Diagnostic {
            code: "binary.other-build",
            message,
            count: 1,
        });
    }
    let missing = core.missing();
    note(
        found,
        "core.truncated",
        "bytes that the dump promises are beyond its end: it was cut short",
        missing.bytes,
    );
    note(
        found,
        "core.notes-missing",
        "bytes of the dump's notes are beyond its end: threads and their registers are lost",
        missing.notes,
    );
    note(
        found,
        "core.damaged-notes",
        "notes of the dump make no sense and were left out",
        core.damaged_notes().into(),
    );
    note(
        found,
        "binary.truncated",
        "bytes that the binary promises are beyond its end: it was cut short",
        image.missing(),
    );
    for (code, input) in [
        ("core.decompress", core.input()),
        ("binary.decompress", image.input()),
    ] {
        if let Some(damage) = input.damage() {
            let path = input.path().display();
            found.push(Diagnostic {
                code,
                message: format!("{path} was decompressed only as far as it is sound: {damage}"),
                count: 1,
            });
        }
    }
    let damage = process.debug.damage();
    note(
        found,
        "dwarf.damaged",
        "parts of the binary's debug information make no sense and were left out",
        (damage.units + damage.types + damage.fields) as u64,
    );
}

/// Bytes in pages of objects that were lost with the end of the dump.
fn missing_heap(process: &GoProcess, heap: &Heap) -> u64 {
    let spans = heap.spans();
    let missing = process.space.regions();
    missing
        .filter(|region| region.kind == RegionKind::Missing)
        .map(|region| {
            let (start, end) = (region.start.0, region.start.0.saturating_add(region.len));
            let first = spans.partition_point(|s| s.start + s.npages * PAGE <= start);
            let inside = spans[first..].iter().take_while(|s| s.start < end);
            let lost = |s: &Span| (s.start + s.npages * PAGE).min(end) - s.start.max(start);
            inside.map(lost).sum::<u64>()
        })
        .sum()
}

/// Size of a runtime page, in bytes.
// runtime/malloc.go: pageShift
const PAGE: u64 = 8192;

fn diagnose_stacks(found: &mut Vec<Diagnostic>, goroutines: &Goroutines, counts: &StackCounts) {
    note(
        found,
        "goroutines.unreadable",
        "goroutines could not be read",
        goroutines.unreadable as u64,
    );
    note(
        found,
        "stacks.partly-read",
        "goroutines of which frames, or maps of frames, could not be found: they were scanned conservatively",
        counts.partly_read,
    );
    note(
        found,
        "stacks.missing-words",
        "stack words are not in the dump",
        counts.missing_words,
    );
    note(
        found,
        "threads.broken-list",
        "the runtime's list of threads breaks off or loops: goroutines that ran on the others cannot be followed",
        counts.broken_thread_list.into(),
    );
}

fn note(diagnostics: &mut Vec<Diagnostic>, code: &'static str, message: &str, count: u64) {
    if count > 0 {
        diagnostics.push(Diagnostic {
            code,
            message: message.to_owned(),
            count,
        });
    }
}
