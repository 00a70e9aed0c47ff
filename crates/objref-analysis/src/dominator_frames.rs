//! From the dominator tree to the frames of a flame graph.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use objref_go::ObjId;
use objref_graph::filled;
use objref_mem::zeros;
use objref_snapshot::{
    Dominator, DominatorTree, Holder, INSIDE, Retained, Snapshot, StepId, short,
};
use rayon::prelude::*;

use crate::frames::with_steps;
use crate::merge::{Key, Merge, merge};
use crate::root_frames::RootFrames;
use crate::start::object_name;
use crate::{Amount, FrameTree, ROOT_FRAME, Start};

/// The frame of what several roots hold that have nothing in common.
pub(crate) const SHARED: &str = "(shared by several roots)";

/// Who keeps what alive all alone: each reachable object once, below its immediate dominator, so that a frame with all
/// below it is what the collector would free if the frame's own objects went away.
///
/// An object that its dominator refers to goes by that reference; one that it holds in several ways, or through others,
/// by its type: `⋯ *T`.
pub fn dominator_tree(snapshot: &Snapshot, dominators: &DominatorTree) -> FrameTree {
    dominator_frames(snapshot, dominators, &Start::Everything, None)
}

/// Which objects get frames of their own, by their address.
pub(crate) struct Apart<'a> {
    pub(crate) retained: &'a Retained,
    /// Those that retain as much at least.
    pub(crate) min_bytes: u64,
    /// Those that are not below as many others that retain them.
    pub(crate) max_depth: u32,
}

/// No place: what is not below the start.
const OUTSIDE: u32 = u32::MAX;

/// The tree below `start`, with the objects that `apart` says by themselves.
pub(crate) fn dominator_frames(
    snapshot: &Snapshot,
    dominators: &DominatorTree,
    start: &Start,
    apart: Option<&Apart<'_>>,
) -> FrameTree {
    let (tree, steps) = with_steps(snapshot);
    let placed = filled(zeros, snapshot.objects.len(), || AtomicU32::new(OUTSIDE));
    let mut frames = Frames {
        snapshot,
        dominators,
        start,
        apart,
        is_direct: direct(snapshot, dominators),
        first: 0,
        placed,
        places: Places::default(),
        tree,
        steps,
        kinds: vec![None; snapshot.distinct_views().len()],
        roots: match start {
            Start::Roots { tops, .. } => RootFrames::starting_at(snapshot, tops.clone()),
            _ => RootFrames::new(snapshot),
        },
        shared: None,
    };
    // What dominates an object is nearer to the roots.
    for level in 0..snapshot.tree.depth() {
        frames.first = snapshot.tree.levels[level] as usize;
        merge(snapshot.tree.level(level), &mut frames);
    }
    let mut tree = frames.tree;
    // Here a frame retains what is below it.
    for (frame, bytes) in (0..).zip(tree.totals().bytes) {
        tree.add_retained(frame, bytes);
    }
    tree
}

/// A bit for each object in the order of the search, 64 a word: whether what dominates it refers to it first.
fn direct(snapshot: &Snapshot, dominators: &DominatorTree) -> Vec<u64> {
    const WORDS: usize = 128;
    let (tree, roots) = (&snapshot.tree, snapshot.tree.roots());
    let mut bits = vec![0; tree.order.len().div_ceil(64)];
    let pieces = bits.par_chunks_mut(WORDS).enumerate();
    pieces.for_each(|(piece, bits)| {
        let first = piece * WORDS * 64;
        let mut parents = tree.parents_at(first.max(roots));
        for (place, &object) in tree.order[first..].iter().take(WORDS * 64).enumerate() {
            let dominator = dominators.dominator(object);
            let is_direct = match snapshot.roots.get(first + place) {
                // The first level is in the order of the roots.
                Some(root) => dominator == Some(Dominator::Holder(root.holder)),
                None => {
                    let parent = parents.next().map(|at| tree.order[at as usize]);
                    dominator.is_some() && dominator == parent.map(Dominator::Object)
                }
            };
            bits[place / 64] |= u64::from(is_direct) << (place % 64);
        }
    });
    bits
}

/// From the frames of what is nearer to those of what it dominates.
struct Frames<'a> {
    snapshot: &'a Snapshot,
    dominators: &'a DominatorTree,
    start: &'a Start,
    apart: Option<&'a Apart<'a>>,
    is_direct: Vec<u64>,
    /// Where the objects of the level stand in the order of the search.
    first: usize,
    /// Per object, its place or [`OUTSIDE`].
    placed: Vec<AtomicU32>,
    places: Places,
    tree: FrameTree,
    /// Per step the name of its frame.
    steps: Vec<u32>,
    /// Per view the name of the frame of what goes by its type.
    kinds: Vec<Option<u32>>,
    roots: RootFrames<'a>,
    shared: Option<u32>,
}

/// Where objects are: few are where no other is, but in chains.
#[derive(Default)]
struct Places {
    /// The frame, and below how many others the object is.
    places: Vec<(u32, u32)>,
    /// Per frame, the last of the places in it.
    last: Vec<u32>,
}

impl Places {
    /// The number of this place, which most often is the last one in the frame: if not, it has another number than before.
    fn number(&mut self, frame: u32, depth: u32) -> u32 {
        let place = (frame, depth);
        if self.last.len() <= frame as usize {
            self.last.resize(frame as usize + 1, OUTSIDE);
        }
        let last = &mut self.last[frame as usize];
        if self.places.get(*last as usize) != Some(&place) {
            *last = self.places.len() as u32;
            self.places.push(place);
        }
        *last
    }
}

/// What decides about the place of an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Deciding {
    above: Above,
    way: Way,
}

/// What an object is below.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Above {
    /// An object at this place.
    Place(u32),
    Holder(Holder),
    Shared,
    /// It is the object to start at.
    Start(u32),
    /// It is of the type to start at: an index of the distinct views.
    StartType(u32),
    Outside,
}

/// By what an object's frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    /// The step from above.
    Step(StepId),
    /// The type, as an index of the distinct views; for the first the size of the slot, too.
    Kind(u32, u64),
    /// Itself, and the step from above if that leads there.
    Apart(u32, Option<StepId>),
}

impl Key for Deciding {
    #[inline]
    fn mix(self) -> u32 {
        let above = match self.above {
            Above::Place(place) => place,
            _ => OUTSIDE,
        };
        let way = match self.way {
            Way::Step(step) => step.0,
            Way::Kind(view, _) => !view,
            Way::Apart(object, _) => object,
        };
        above.wrapping_mul(31) ^ way
    }
}

impl Frames<'_> {
    /// What an object is below.
    fn above(&self, object: u32) -> Above {
        let start = self.start;
        match self.dominators.dominator(object) {
            Some(Dominator::Object(above)) => {
                let place = self.placed[above as usize].load(Relaxed);
                if place != OUTSIDE {
                    return Above::Place(place);
                }
            }
            Some(Dominator::Holder(holder)) if start.has_root(holder) => {
                return Above::Holder(holder);
            }
            Some(Dominator::Shared) if start.has_shared() => return Above::Shared,
            _ => {}
        }
        let view = self.snapshot.view_index(object);
        match start {
            Start::Object(this) if *this == object => Above::Start(object),
            Start::Type(views) if views.get(view as usize) == Some(&true) => Above::StartType(view),
            _ => Above::Outside,
        }
    }

    /// Below how many others is what is below this.
    fn depth(&self, above: Above) -> u32 {
        match above {
            Above::Place(place) => self.places.places[place as usize].1 + 1,
            _ => 0,
        }
    }

    fn way(&self, index: usize, object: u32, bytes: u64, above: Above) -> Way {
        let place = self.first + index;
        let is_direct = self.is_direct[place / 64] >> (place % 64) & 1 != 0;
        let step = is_direct.then(|| self.snapshot.step(object));
        let is_apart = || {
            self.apart.is_some_and(|apart| {
                apart.retained.bytes(object) >= apart.min_bytes
                    && self.depth(above) < apart.max_depth
            })
        };
        match step {
            Some(INSIDE) => Way::Step(INSIDE),
            _ if is_apart() => Way::Apart(object, step),
            Some(step) => Way::Step(step),
            None => match self.snapshot.view_index(object) {
                // What nothing is known of goes by its size.
                0 => Way::Kind(0, bytes),
                view => Way::Kind(view, 0),
            },
        }
    }

    /// A frame on top of which there is nothing but the root.
    fn top(&mut self, name: &str) -> u32 {
        let name = self.tree.intern(name);
        let frame = self.tree.child(ROOT_FRAME, name);
        self.tree.set_barrier(frame);
        frame
    }

    /// The name of the frame of an object that has come this way.
    fn name(&mut self, way: Way) -> u32 {
        let snapshot = self.snapshot;
        match way {
            Way::Step(step) => self.steps[step.0 as usize],
            Way::Kind(0, bytes) => {
                let name = format!("⋯ {}", snapshot.unknown_name(bytes));
                self.tree.intern(&name)
            }
            Way::Kind(view, _) => match self.kinds[view as usize] {
                Some(name) => name,
                None => {
                    let of_view = &snapshot.distinct_views()[view as usize];
                    let name = format!("⋯ {}", snapshot.view_reference_name(of_view));
                    *self.kinds[view as usize].insert(self.tree.intern(&name))
                }
            },
            Way::Apart(object, step) => {
                let address = snapshot.objects.address(ObjId(object));
                let name = match step {
                    Some(step) => snapshot.steps.text(step).to_owned(),
                    None => format!("⋯ {}", snapshot.reference_name(object)),
                };
                self.tree.intern(&format!("{name} 0x{address:x}"))
            }
        }
    }
}

impl Merge for Frames<'_> {
    type Key = Deciding;

    #[inline]
    fn keys(&self, first: usize, objects: &[u32], mut visit: impl FnMut(Deciding, u64)) {
        for (index, &object) in (first..).zip(objects) {
            let bytes = self.snapshot.objects.size(ObjId(object));
            let above = self.above(object);
            let way = match above {
                Above::Start(_) | Above::StartType(_) | Above::Outside => Way::Step(INSIDE),
                _ => self.way(index, object, bytes, above),
            };
            visit(Deciding { above, way }, bytes);
        }
    }

    fn settle(&mut self, Deciding { above, way }: Deciding, amount: Amount) -> u32 {
        let depth = self.depth(above);
        let above = match above {
            Above::Place(place) => self.places.places[place as usize].0,
            Above::Holder(holder) => self.roots.frame(&mut self.tree, holder),
            Above::Shared => match self.shared {
                Some(frame) => frame,
                None => {
                    let frame = self.top(SHARED);
                    *self.shared.insert(frame)
                }
            },
            Above::Start(object) => self.top(&object_name(self.snapshot, object)),
            Above::StartType(view) => {
                let view = &self.snapshot.distinct_views()[view as usize];
                self.top(&short(&self.snapshot.view_name(view)))
            }
            Above::Outside => return OUTSIDE,
        };
        let frame = match way {
            Way::Step(INSIDE) => above,
            way => {
                let name = self.name(way);
                self.tree.child(above, name)
            }
        };
        self.tree.add(frame, amount.bytes, amount.objects, depth);
        self.places.number(frame, depth)
    }

    fn is_placed(&self) -> bool {
        true
    }

    #[inline]
    fn place(&self, object: u32, _: Deciding, place: u32) {
        self.placed[object as usize].store(place, Relaxed);
    }
}
