//! From the dominator tree to the frames of a flame graph.

use objref_go::ObjId;
use objref_snapshot::{Dominator, INSIDE, Retained, Snapshot};

use crate::frames::with_steps;
use crate::root_frames::RootFrames;
use crate::{FrameTree, ROOT_FRAME, Start};

/// The frame of what several roots hold that have nothing in common.
pub(crate) const SHARED: &str = "(shared by several roots)";

/// Who keeps what alive all alone: each reachable object once, below its immediate dominator, so that a frame with all
/// below it is what the collector would free if the frame's own objects went away.
///
/// An object that its dominator refers to goes by that reference; one that it holds in several ways, or through others,
/// by its type: `⋯ *T`.
pub fn dominator_tree(snapshot: &Snapshot, retained: &Retained) -> FrameTree {
    dominator_frames(snapshot, retained, &Start::Everything, None)
}

/// Which objects get frames of their own, by their address.
pub(crate) struct Apart {
    /// Those that retain as much at least.
    pub(crate) min_bytes: u64,
    /// Those that are not below as many others that retain them.
    pub(crate) max_depth: u32,
}

/// No frame: what is not below the start.
const OUTSIDE: u32 = u32::MAX;

/// The tree below `start`, with the objects that `apart` says by themselves.
pub(crate) fn dominator_frames(
    snapshot: &Snapshot,
    retained: &Retained,
    start: &Start,
    apart: Option<&Apart>,
) -> FrameTree {
    let (mut tree, steps) = with_steps(snapshot);
    let mut kinds: Vec<Option<u32>> = vec![None; snapshot.distinct_views().len()];
    let mut roots = match start {
        Start::Roots { tops, .. } => RootFrames::starting_at(snapshot, tops.clone()),
        _ => RootFrames::new(snapshot),
    };
    let mut frame_of = vec![OUTSIDE; snapshot.objects.len()];
    let mut depth_of = vec![0u32; frame_of.len()];
    let mut shared = None;
    for (place, &object) in snapshot.tree.order.iter().enumerate() {
        let Some(dominator) = retained.dominator(object) else {
            continue;
        };
        let parent = snapshot.tree.parents()[object as usize];
        let (above, is_parent) = match dominator {
            Dominator::Object(above) if frame_of[above as usize] != OUTSIDE => {
                depth_of[object as usize] = depth_of[above as usize] + 1;
                (frame_of[above as usize], above == parent)
            }
            Dominator::Holder(holder) if start.has_root(holder) => {
                // The first level is in the order of the roots.
                let is_first = snapshot
                    .roots
                    .get(place)
                    .is_some_and(|r| r.holder == holder);
                (roots.frame(&mut tree, holder), is_first)
            }
            Dominator::Shared if start.has_shared() => {
                let frame = *shared.get_or_insert_with(|| {
                    let name = tree.intern(SHARED);
                    let frame = tree.child(ROOT_FRAME, name);
                    tree.set_barrier(frame);
                    frame
                });
                (frame, false)
            }
            _ => {
                if let Some(name) = start.name(snapshot, object) {
                    let name = tree.intern(&name);
                    let frame = tree.child(ROOT_FRAME, name);
                    tree.set_barrier(frame);
                    frame_of[object as usize] = frame;
                    tree.add(frame, snapshot.objects.size(ObjId(object)), 1, 0);
                }
                continue;
            }
        };
        let depth = depth_of[object as usize];
        let is_apart = apart.is_some_and(|apart| {
            retained.bytes(object) >= apart.min_bytes && depth < apart.max_depth
        });
        let frame = match snapshot.step(object) {
            INSIDE if is_parent => above,
            step if is_apart => {
                let address = snapshot.objects.address(ObjId(object));
                let name = match is_parent {
                    true => snapshot.steps.text(step).to_owned(),
                    false => format!("⋯ {}", snapshot.reference_name(object)),
                };
                let name = tree.intern(&format!("{name} 0x{address:x}"));
                tree.child(above, name)
            }
            step if is_parent => tree.child(above, steps[step.0 as usize]),
            _ => {
                let view = snapshot.view_index(object) as usize;
                let name = match kinds[view] {
                    Some(name) => name,
                    None => {
                        let name = tree.intern(&format!("⋯ {}", snapshot.reference_name(object)));
                        // What nothing is known of goes by its size.
                        if view != 0 {
                            kinds[view] = Some(name);
                        }
                        name
                    }
                };
                tree.child(above, name)
            }
        };
        frame_of[object as usize] = frame;
        tree.add(frame, snapshot.objects.size(ObjId(object)), 1, depth);
    }
    // Here a frame retains what is below it.
    for (frame, bytes) in (0..).zip(tree.totals().bytes) {
        tree.add_retained(frame, bytes);
    }
    tree
}
