//! The snapshot in a file, so that it can be opened again without the dump.
//!
//! Everything that reports are made of is in it, and what everything retains, and all references with their words; no
//! value of the process is.

mod file;
mod redact;
mod sound;
mod types;
mod write;

use std::sync::Arc;

use objref_go::{Goroutines, ObjectTable, SpanPart, SpanTotals};
use objref_graph::BfsTree;
use objref_mem::Input;
use serde::{Deserialize, Serialize};

pub use file::{INDEX_VERSION, IndexError};
pub(crate) use types::PackedTypes;
pub use write::write_index;

use crate::diagnose::Diagnostic;
use crate::edges::Edges;
use crate::facts::Facts;
use crate::goroutines::StackCounts;
use crate::numbers::Numbers;
use crate::references::References;
use crate::retained::Retained;
use crate::roots::{Root, RootCount};
use crate::snapshot::Snapshot;
use crate::stacks::StackTree;
use crate::step::Steps;
use crate::traces::Traces;
use crate::types::Types;
use crate::view::View;
use crate::views::FinalViews;
use file::Reader;

/// Numbers of the sections.
mod section {
    pub(super) const ABOUT: u32 = 1;
    pub(super) const SPANS: u32 = 2;
    pub(super) const SLOTS: u32 = 3;
    pub(super) const NAMES: u32 = 4;
    pub(super) const TYPES: u32 = 5;
    pub(super) const VIEWS: u32 = 6;
    pub(super) const VIEW_OF: u32 = 7;
    pub(super) const ROOTS: u32 = 8;
    pub(super) const GOROUTINES: u32 = 9;
    pub(super) const ORDER: u32 = 10;
    pub(super) const PARENT: u32 = 11;
    pub(super) const LEVELS: u32 = 12;
    pub(super) const STEP_OF: u32 = 13;
    pub(super) const IDOM: u32 = 14;
    pub(super) const RETAINED: u32 = 15;
    pub(super) const HOLDERS: u32 = 16;
    pub(super) const EDGES: u32 = 17;
    pub(super) const EDGE_ENDS: u32 = 18;
    pub(super) const TYPE_ENDS: u32 = 19;
}

/// What the index is of.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    facts: Facts,
    diagnostics: Vec<Diagnostic>,
    stack_counts: StackCounts,
    redacted: bool,
}

/// The roots.
#[derive(Debug, Serialize, Deserialize)]
struct Roots {
    counts: Vec<RootCount>,
    first: Vec<Root>,
    others: Vec<Root>,
}

/// An opened index.
pub struct Index {
    reader: Reader,
    about: About,
}

/// Whether a file that starts with these bytes is an index.
pub fn is_index(bytes: &[u8]) -> bool {
    file::is_index(bytes)
}

impl Index {
    /// Reads the table of contents.
    pub fn open(input: &Arc<Input>) -> Result<Index, IndexError> {
        let reader = Reader::open(input)?;
        let about = reader.value(section::ABOUT, "facts")?;
        Ok(Index { reader, about })
    }

    /// What is known of the dump that it was made from.
    pub fn facts(&self) -> &Facts {
        &self.about.facts
    }

    /// Whether all but shape, types and sizes was left out.
    pub fn is_redacted(&self) -> bool {
        self.about.redacted
    }

    /// The snapshot.
    pub fn snapshot(&self) -> Result<Snapshot, IndexError> {
        let reader = &self.reader;
        let (spans, totals): (Vec<SpanPart>, SpanTotals) = reader.value(section::SPANS, "spans")?;
        let live: Vec<u64> = reader.column(section::SLOTS, "slots")?;
        let objects = ObjectTable::from_parts(&spans, &live, totals);
        let objects = objects.ok_or(IndexError::Damaged { what: "spans" })?;
        let (variables, steps, stacks): (Vec<String>, Vec<String>, StackTree) =
            reader.value(section::NAMES, "names")?;
        let distinct: Vec<View> = reader.value(section::VIEWS, "views")?;
        let roots: Roots = reader.value(section::ROOTS, "roots")?;
        let (goroutines, traces): (Goroutines, Traces) =
            reader.value(section::GOROUTINES, "goroutines")?;
        let step_of = Numbers::checked(reader.column(section::STEP_OF, "steps")?, steps.len());
        let view_of = Numbers::checked(reader.column(section::VIEW_OF, "views")?, distinct.len());
        let tree = BfsTree::from_columns(
            reader.column(section::ORDER, "order")?,
            reader.column(section::PARENT, "parents")?,
            reader.column(section::LEVELS, "levels")?,
        );
        let snapshot = Snapshot {
            facts: self.about.facts.clone(),
            objects: Arc::new(objects),
            tree: tree.ok_or(IndexError::Damaged { what: "tree" })?,
            roots: roots.first,
            other_roots: roots.others,
            root_counts: roots.counts,
            variables,
            goroutines,
            stack_counts: self.about.stack_counts,
            stacks,
            traces,
            dangling_roots: Vec::new(),
            types: Types::from(PackedTypes::open(reader)?),
            steps: Steps::from(steps),
            diagnostics: self.about.diagnostics.clone(),
            views: FinalViews {
                column: view_of.ok_or(IndexError::Damaged { what: "views" })?,
                distinct,
            },
            step_of: step_of.ok_or(IndexError::Damaged { what: "steps" })?,
            edges: None.into(),
        };
        sound::check(&snapshot)?;
        Ok(snapshot)
    }

    /// What everything retains.
    pub fn retained(&self, snapshot: &Snapshot) -> Result<Retained, IndexError> {
        let reader = &self.reader;
        Retained::from_columns(
            snapshot,
            reader.column(section::IDOM, "dominators")?,
            reader.column(section::RETAINED, "retained sizes")?,
            reader.column(section::HOLDERS, "retained sizes")?,
        )
        .ok_or(IndexError::Damaged { what: "dominators" })
    }

    /// All references. They stay in the file.
    pub fn references(&self, snapshot: &Snapshot) -> Result<References<'static>, IndexError> {
        let edges = Edges::new(
            self.reader.mapped(section::EDGE_ENDS, "references")?,
            self.reader.mapped(section::EDGES, "references")?,
            snapshot.objects.len(),
            snapshot.steps.texts().len(),
        );
        let edges = edges.ok_or(IndexError::Damaged { what: "references" })?;
        Ok(References::of_index(edges))
    }
}
