//! The snapshot: everything that reports are made of, without the dump.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use objref_go::{Goroutines, ObjId, ObjectTable};
use objref_graph::{BfsTree, Outgoing};

use crate::diagnose::Diagnostic;
use crate::facts::Facts;
use crate::goroutines::StackCounts;
use crate::names::{allocated_name, reference_name, size_class, view_name};
use crate::numbers::Numbers;
use crate::roots::{DanglingRoot, Root, RootCount};
use crate::stacks::StackTree;
use crate::step::{NOWHERE, StepId, Steps};
use crate::traces::Traces;
use crate::types::Types;
use crate::view::{Certainty, Form, View};
use crate::views::FinalViews;

/// The heap of a dump: objects, who holds them, what they are.
pub struct Snapshot {
    /// What is known beyond the heap.
    pub facts: Facts,
    /// The objects: their addresses and sizes.
    pub objects: Arc<ObjectTable>,
    /// The shortest chain that holds each object.
    pub tree: BfsTree,
    /// The root references that reach their objects first, in the order of the first level of `tree`.
    pub roots: Vec<Root>,
    /// The other root references: to objects that one of `roots` reaches, too. Of several from one holder to one
    /// object only the first is here or there.
    pub other_roots: Vec<Root>,
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
    pub(crate) views: FinalViews,
    /// Per object: the [`StepId`] of how the parent in `tree` refers to it; [`NOWHERE`] for those that are not reached.
    pub(crate) step_of: Numbers,
    /// The references, if they were to be kept.
    pub(crate) edges: KeptEdges,
}

/// The references as the search saw them; whoever asks first gets them, for nobody needs them twice.
pub(crate) struct KeptEdges(Mutex<Option<Outgoing>>);

impl KeptEdges {
    pub(crate) fn take(&self) -> Option<Outgoing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl From<Option<Outgoing>> for KeptEdges {
    fn from(edges: Option<Outgoing>) -> Self {
        KeptEdges(Mutex::new(edges))
    }
}

impl Snapshot {
    /// Whether a root leads to the object.
    pub fn is_reached(&self, object: u32) -> bool {
        self.step(object) != NOWHERE
    }

    /// How many of these objects are reached, and how many of those have a type.
    pub fn reached_and_typed(&self, objects: Range<u32>) -> (u64, u64) {
        let objects = objects.start as usize..objects.end as usize;
        Numbers::count_both(&self.step_of, &self.views.column, objects)
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
        let (span, _) = self.objects.locate(ObjId(object));
        Some(view_name(
            &self.types,
            view,
            span.elem_size - self.objects.data_offset(span),
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

    /// How a reference to the object is written: `*T`, `[]T`, `string`; `? [64 B]` where nothing is known.
    pub fn reference_name(&self, object: u32) -> String {
        match self.views.get(object) {
            Some(view) => self.view_reference_name(&view),
            None => self.unknown_name(self.objects.size(ObjId(object))),
        }
    }

    /// How a reference to an object of this view is written.
    pub fn view_reference_name(&self, view: &View) -> String {
        reference_name(&self.types, view.ty, view.form)
    }

    /// How a reference to an object of so many bytes is written of which nothing is known.
    pub fn unknown_name(&self, bytes: u64) -> String {
        format!("? {}", size_class(bytes))
    }

    /// How the object's parent in the tree refers to it.
    pub fn step(&self, object: u32) -> StepId {
        StepId(self.step_of.get(object as usize))
    }

    /// Writes to `to` how the parents of `objects` in the tree refer to them.
    #[inline]
    pub fn steps_to(&self, objects: &[u32], to: &mut [StepId]) {
        let to = to.iter_mut().map(|StepId(step)| step);
        self.step_of.gather(objects, to);
    }
}
