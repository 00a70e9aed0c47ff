//! The graph against what the runtime itself wrote down about the heap.

use objref_go::{GcPhase, Miscount, Miss, ObjId, OpenError, SpecialRoots, Tally};
use rayon::prelude::*;

use crate::dump::Dump;
use crate::snapshot::Snapshot;

/// What a comparison of the graph with the runtime's own evidence found.
#[derive(Debug)]
pub struct Findings {
    /// What the collector was doing.
    pub phase: GcPhase,
    /// Objects that are reached.
    pub reached: Tally,
    /// Of `reached`, those that the last collection found live.
    pub reached_survivors: Tally,
    /// Of `reached`, those allocated since.
    pub reached_new: Tally,
    /// Of `reached`, those whose shortest path starts at a word that only may be a pointer.
    pub reached_conservatively: Tally,
    /// All that the last collection found live.
    pub survivors: Tally,
    /// Objects that the collector scans as roots because they have a finalizer.
    pub finalizable: Tally,
    /// Objects that the last collection found live, and that are not reached.
    pub lost: Vec<ObjId>,
    /// Of `lost`, those that no other of them points to.
    pub lost_heads: Vec<ObjId>,
    /// Objects allocated since the last collection that are not reached.
    pub new_garbage: Tally,
    /// Spans that await their sweep.
    pub awaiting_sweep: u64,
    /// Spans that were being swept: nothing is said of their objects.
    pub under_sweep: u64,
    /// Spans whose bits disagree with their own count.
    pub miscounted: Vec<Miscount>,
    /// Pointers in reached objects that lead to no object.
    pub dangling: Vec<Dangling>,
    /// Pointers in roots that lead to no object: index into [`Snapshot::dangling_roots`], and where they lead.
    pub dangling_roots: Vec<(usize, Target)>,
}

/// A pointer in a reached object that leads to no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The object with the pointer.
    pub from: ObjId,
    /// Offset of the pointer in it.
    pub offset: u64,
    /// The pointer.
    pub value: u64,
    /// Where it leads.
    pub target: Target,
}

/// Where a pointer leads that leads to no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is there.
    pub miss: Miss,
    /// Address of the slot or page.
    pub at: u64,
    /// Size of the slot or page; 0 if there is none.
    pub size: u64,
}

/// Objects per piece of work.
const PIECE: usize = 1 << 14;

impl Dump {
    /// Compares the graph with the bitmaps and counts of the allocator and of the last collection.
    pub fn evidence(&self, snapshot: &Snapshot) -> Result<Findings, OpenError> {
        let (process, heap) = (&self.process, &self.heap);
        let state = process.heap_state()?;
        let evidence = heap.evidence(&process.space, &process.layouts(), state)?;
        let target = |value: u64| {
            let (miss, at, size) = evidence.miss(heap, value)?;
            Some(Target { miss, at, size })
        };
        let mut found = Findings {
            phase: state.phase,
            reached: Tally::default(),
            reached_survivors: Tally::default(),
            reached_new: Tally::default(),
            reached_conservatively: reached_conservatively(snapshot),
            survivors: evidence.survivors(heap),
            finalizable: SpecialRoots::new(&process.space, &process.layouts(), &process.version)
                .map(|roots| roots.finalizable(heap))
                .unwrap_or_default(),
            lost: Vec::new(),
            lost_heads: Vec::new(),
            new_garbage: Tally::default(),
            awaiting_sweep: evidence.awaiting_sweep,
            under_sweep: evidence.under_sweep,
            miscounted: evidence.miscounted(heap),
            dangling: self.dangling(snapshot, &target),
            dangling_roots: Vec::new(),
        };
        evidence.objects(heap, |id, span, _, survived| {
            let reached = snapshot.is_reached(id.0);
            if reached {
                found.reached.add(span.elem_size);
            }
            match (reached, survived) {
                (true, Some(true)) => found.reached_survivors.add(span.elem_size),
                (true, Some(false)) => found.reached_new.add(span.elem_size),
                (false, Some(true)) => found.lost.push(id),
                (false, Some(false)) => found.new_garbage.add(span.elem_size),
                (_, None) => {}
            }
        });
        found.lost_heads = self.heads(&found.lost);
        let roots = snapshot.dangling_roots.iter().enumerate();
        found.dangling_roots = roots
            .filter_map(|(index, root)| Some((index, target(root.value)?)))
            .collect();
        Ok(found)
    }

    /// Pointers in reached objects that lead to no object, in the order of the search.
    fn dangling(
        &self,
        snapshot: &Snapshot,
        target: &(impl Fn(u64) -> Option<Target> + Sync),
    ) -> Vec<Dangling> {
        let piece = |objects: &[u32]| {
            let mut found = Vec::new();
            for &object in objects {
                let from = ObjId(object);
                self.heap
                    .pointers(&self.process.space, from, |offset, value| {
                        if self.heap.find(value).is_none()
                            && let Some(target) = target(value)
                        {
                            found.push(Dangling {
                                from,
                                offset,
                                value,
                                target,
                            });
                        }
                    });
            }
            found
        };
        let pieces: Vec<_> = snapshot.tree.order.par_chunks(PIECE).map(piece).collect();
        pieces.into_iter().flatten().collect()
    }

    /// Those of `objects`, which ascend, that none of the others points to; of a ring none.
    fn heads(&self, objects: &[ObjId]) -> Vec<ObjId> {
        let mut pointed_to = vec![false; objects.len()];
        for &from in objects {
            self.heap.pointers(&self.process.space, from, |_, value| {
                if let Some(id) = self.heap.find(value)
                    && id != from
                    && let Ok(index) = objects.binary_search(&id)
                {
                    pointed_to[index] = true;
                }
            });
        }
        let heads = objects.iter().zip(pointed_to);
        heads.filter(|(_, p)| !p).map(|(id, _)| *id).collect()
    }
}

/// What hangs from words that only may be pointers.
fn reached_conservatively(snapshot: &Snapshot) -> Tally {
    let mut sum = Tally::default();
    let mut doubtful = vec![false; snapshot.objects.len()];
    for root in &snapshot.roots {
        doubtful[root.target.0 as usize] = root.place.conservative;
    }
    for level in 0..snapshot.tree.depth() {
        for &object in snapshot.tree.level(level) {
            if level > 0 {
                doubtful[object as usize] =
                    doubtful[snapshot.tree.parents()[object as usize] as usize];
            }
            if doubtful[object as usize] {
                sum.add(snapshot.objects.size(ObjId(object)));
            }
        }
    }
    sum
}
