//! The references of a heap as columns.

use crate::column::Column;
use crate::step::StepId;

/// Per object, where its references lead and what they are called.
#[derive(Debug)]
pub(crate) struct Edges {
    /// Where each object's references end; they start where those of the object before end.
    ends: Column<u64>,
    /// Target and step.
    edges: Column<[u32; 2]>,
}

impl Edges {
    /// The references of `objects` objects, called by one of `steps` steps; `None` if the columns lead elsewhere.
    pub(crate) fn new(
        ends: Column<u64>,
        edges: Column<[u32; 2]>,
        objects: usize,
        steps: usize,
    ) -> Option<Self> {
        let sound = ends.len() == objects
            && ends.is_sorted()
            && ends.last().map_or(0, |end| *end) == edges.len() as u64
            && edges
                .iter()
                .all(|[target, step]| (*target as usize) < objects && (*step as usize) < steps);
        sound.then_some(Self { ends, edges })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The references of an object: target and step.
    pub(crate) fn of(&self, object: u32) -> impl Iterator<Item = (u32, StepId)> {
        let (ends, object) = (&*self.ends, object as usize);
        let start = object.checked_sub(1).map_or(0, |before| ends[before]);
        let edges = &self.edges[start as usize..ends[object] as usize];
        edges.iter().map(|[target, step]| (*target, StepId(*step)))
    }
}
