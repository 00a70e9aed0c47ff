//! From a dump to the snapshot, stage by stage.

use std::mem;
use std::sync::Arc;

use objref_go::{GoProcess, GoroutineError, Heap, OpenError};
use objref_graph::Successors;
use objref_mem::{Addr, Core, Image};

use crate::describe::Vocabulary;
use crate::diagnose::{diagnose, diagnose_stacks, diagnose_types, note};
use crate::facts::Facts;
use crate::goroutines::add_stacks;
use crate::infer::Inference;
use crate::missing::{LostRoots, Missing, initial_variables};
use crate::references::{References, successors};
use crate::roots::RootTable;
use crate::rounds::Search;
use crate::snapshot::Snapshot;
use crate::stacks::StackTree;
use crate::step::Describer;
use crate::views::{FinalViews, Views};
use crate::zeroed::zeroed_variables;

/// How to load.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Keep goroutines apart that stand in the same place.
    pub goroutines_each: bool,
    /// Keep the references that are seen on the way, for [`Retained::of`](crate::Retained::of), which then need not read the
    /// heap again. Those by which an object is reached first take nothing, the others a little more than 4 bytes each.
    pub edges: bool,
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

/// A dump with its binary, and where its heap is.
pub struct Dump {
    /// The process.
    pub process: GoProcess,
    /// The heap.
    pub heap: Heap,
}

impl Dump {
    /// Finds the runtime and its heap. With `force`, also with a binary that is not the one that wrote the dump.
    pub fn open(
        core: Core,
        image: Arc<Image>,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Dump, SnapshotError> {
        progress.phase("binary");
        core.input().read_ahead();
        Self::of(GoProcess::open(core, image, force)?, progress)
    }

    /// Finds the runtime and its heap in another dump of the same binary, which is not read again.
    pub fn open_beside(
        &self,
        core: Core,
        force: bool,
        progress: &dyn Progress,
    ) -> Result<Dump, SnapshotError> {
        core.input().read_ahead();
        Self::of(self.process.open_beside(core, force)?, progress)
    }

    fn of(mut process: GoProcess, progress: &dyn Progress) -> Result<Dump, SnapshotError> {
        progress.phase("heap");
        let heap = process.heap()?;
        let starts = heap.spans().iter().map(|span| Addr(span.start));
        process.space.prefer(starts);
        Ok(Dump { process, heap })
    }

    /// From the dump to the snapshot.
    pub fn snapshot(
        &self,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Snapshot, SnapshotError> {
        Ok(self
            .infer(options, progress, |infer| mem::take(&mut infer.views))?
            .0)
    }

    /// From the dump to the snapshot, with the words for all references.
    pub fn load(
        &self,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<(Snapshot, References<'_>), SnapshotError> {
        let (snapshot, infer) = self.infer(options, progress, |infer| infer.views.copy())?;
        Ok((snapshot, References::of_dump(infer)))
    }

    /// The snapshot, and what it was made by. `views` are taken from there when all are known.
    fn infer(
        &self,
        options: &LoadOptions,
        progress: &dyn Progress,
        views: impl FnOnce(&mut Inference<'_>) -> Views,
    ) -> Result<(Snapshot, Inference<'_>), SnapshotError> {
        let Dump { process, heap } = self;
        let mut diagnostics = diagnose(process, heap);

        progress.phase("roots");
        let mut infer = Inference::new(process, heap);
        let mut table = RootTable::new(heap.len());
        let unread = table.add_globals(&mut infer);
        note(
            &mut diagnostics,
            "roots.data-missing",
            "bytes of global variables are not in the dump",
            unread,
        );
        let initial = initial_variables(process);
        note(
            &mut diagnostics,
            "roots.data-initial",
            "bytes of global variables are not in the dump: what they were when the program began stands in for them, \
             and what they held later is not reached",
            initial,
        );
        let zeroed = zeroed_variables(process);
        note(
            &mut diagnostics,
            "roots.data-zeros",
            "bytes of global variables are nothing but zeros, which they cannot have been: the dump has holes, and what \
             these variables held is not reached",
            zeroed,
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
        let roots = table.candidates.iter().map(|c| c.target.0);
        let Search {
            tree,
            labels,
            edges,
            dropped,
        } = infer.run(roots, options.edges);
        diagnose_types(&mut diagnostics, &infer.model.types, dropped);

        let missing = Missing::of(
            self,
            &|object| tree.is_reached(object),
            &LostRoots {
                variables: unread + initial + zeroed,
                stack_words: stack_counts.missing_words,
                goroutines: goroutines.unreadable as u64,
            },
        );
        if let Some(missing) = &missing {
            missing.diagnose(&mut diagnostics);
        }

        progress.phase("names");
        let mut words = Vocabulary::new(Describer { infer: &infer });
        let (roots, other_roots) = table.describe(&mut words);
        let step_of = words.describe(&tree, labels, &roots);
        let steps = words.steps;
        let snapshot = Snapshot {
            tree,
            roots,
            other_roots,
            root_counts: table.counts,
            variables: table.names,
            goroutines,
            stack_counts,
            stacks,
            traces,
            dangling_roots: table.dangling,
            types: infer.model.types.clone(),
            steps,
            diagnostics,
            views: FinalViews::new(views(&mut infer)),
            step_of,
            edges: edges.into(),
            objects: Arc::clone(heap.table()),
            facts: Facts {
                missing,
                ..Facts::of(process)
            },
        };
        Ok((snapshot, infer))
    }
}

/// The heap as a graph; references are read from the dump each time.
impl Successors for Dump {
    fn len(&self) -> usize {
        self.heap.len()
    }

    fn successors(&self, node: u32, visit: &mut impl FnMut(u32)) {
        successors(&self.process, &self.heap, node, visit);
    }
}
