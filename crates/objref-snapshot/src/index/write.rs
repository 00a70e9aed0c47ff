//! Writing an index.

use std::io::{self, Write};

use objref_go::ObjId;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::file::Writer;
use super::{About, Roots, redact, section, types};
use crate::numbers::Numbers;
use crate::references::{References, Word};
use crate::retained::Retained;
use crate::snapshot::Snapshot;
use crate::step::{StepId, Steps};

/// Objects per piece of work.
const PIECE: usize = 1 << 13;
/// Pieces that are kept before they are written.
const PIECES: usize = 64;

/// Writes the index of a snapshot. With `redacted` nothing but shape, types and sizes is kept: no command line, no
/// paths, no labels.
///
/// # Errors
///
/// What `out` says.
pub fn write_index(
    snapshot: &Snapshot,
    references: &References<'_>,
    retained: &Retained,
    redacted: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (mut facts, mut diagnostics) = (snapshot.facts.clone(), snapshot.diagnostics.clone());
    let mut traces = snapshot.traces.clone();
    if redacted {
        redact::facts(&mut facts);
        redact::diagnostics(&mut diagnostics);
        traces.redact();
    }
    let mut out = Writer::new(out)?;
    out.value(
        section::ABOUT,
        &About {
            facts,
            diagnostics,
            stack_counts: snapshot.stack_counts,
            redacted,
        },
    )?;
    let objects = &snapshot.objects;
    out.value(section::SPANS, &(objects.parts(), objects.totals))?;
    out.column(section::SLOTS, &objects.live())?;
    let mut steps = snapshot.steps.clone();
    let ends = edges(&mut out, objects.len(), snapshot, references, &mut steps)?;
    out.column(section::EDGE_ENDS, &ends)?;
    drop(ends);
    out.value(
        section::NAMES,
        &(&snapshot.variables, steps.texts(), &snapshot.stacks),
    )?;
    types::write(&snapshot.types, &mut out)?;
    out.value(section::VIEWS, &snapshot.views.distinct)?;
    numbers(&mut out, section::VIEW_OF, &snapshot.views.column)?;
    let roots = Roots {
        counts: snapshot.root_counts.clone(),
        first: snapshot.roots.clone(),
        others: snapshot.other_roots.clone(),
    };
    out.value(section::ROOTS, &roots)?;
    out.value(section::GOROUTINES, &(&snapshot.goroutines, &traces))?;
    out.column(section::ORDER, &snapshot.tree.order)?;
    out.column(section::PARENT, snapshot.tree.parents())?;
    out.column(section::LEVELS, &snapshot.tree.levels)?;
    numbers(&mut out, section::STEP_OF, &snapshot.step_of)?;
    let (idom, bytes, holders) = retained.columns();
    out.column(section::IDOM, idom)?;
    out.column(section::RETAINED, bytes)?;
    out.column(section::HOLDERS, holders)?;
    out.finish()
}

/// Writes a column in four bytes a number.
fn numbers(out: &mut Writer<'_>, section: u32, column: &Numbers) -> io::Result<()> {
    out.section(section, |out| {
        for start in (0..column.len()).step_by(PIECE) {
            let piece = start..column.len().min(start + PIECE);
            let numbers: Vec<u32> = piece.map(|index| column.get(index)).collect();
            out.numbers(&numbers)?;
        }
        Ok(())
    })
}

/// The references of some objects.
#[derive(Default)]
struct Found {
    /// Per object, how many.
    counts: Vec<u32>,
    /// Target, and index into `words`.
    edges: Vec<[u32; 2]>,
    words: Vec<Word>,
}

/// Writes what each object refers to, pairs of target and step; returns where each object's end.
fn edges(
    out: &mut Writer<'_>,
    objects: usize,
    snapshot: &Snapshot,
    references: &References<'_>,
    steps: &mut Steps,
) -> io::Result<Vec<u64>> {
    let mut ends = Vec::with_capacity(objects);
    let mut known: FxHashMap<Word, StepId> = FxHashMap::default();
    let pieces: Vec<usize> = (0..objects.div_ceil(PIECE)).collect();
    out.section(section::EDGES, |out| {
        let mut end = 0;
        for pieces in pieces.chunks(PIECES) {
            let find = |piece: &usize| {
                let first = piece * PIECE;
                find(references, first..objects.min(first + PIECE))
            };
            let found: Vec<Found> = pieces.par_iter().map(find).collect();
            for mut found in found {
                let words = found.words.iter().map(|word| {
                    let text = || steps.intern(references.text(snapshot, *word).into_owned());
                    known.entry(*word).or_insert_with(text).0
                });
                let words: Vec<u32> = words.collect();
                for [_, word] in &mut found.edges {
                    *word = words[*word as usize];
                }
                out.numbers(&found.edges)?;
                ends.extend(found.counts.into_iter().map(|count| {
                    end += u64::from(count);
                    end
                }));
            }
        }
        Ok(())
    })?;
    Ok(ends)
}

fn find(references: &References<'_>, objects: std::ops::Range<usize>) -> Found {
    let mut found = Found::default();
    let mut known: FxHashMap<Word, u32> = FxHashMap::default();
    for object in objects {
        let before = found.edges.len();
        let ObjId(object) = ObjId(object as u32);
        references.each(object, |target, word| {
            let next = found.words.len() as u32;
            let index = *known.entry(word).or_insert(next);
            if index == next {
                found.words.push(word);
            }
            found.edges.push([target, index]);
        });
        found.counts.push((found.edges.len() - before) as u32);
    }
    found
}
