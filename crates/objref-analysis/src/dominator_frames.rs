//! From the dominator tree to the frames of a flame graph.

use objref_go::ObjId;
use objref_snapshot::{Dominator, INSIDE, Retained, Snapshot};

use crate::root_frames::RootFrames;
use crate::{FrameTree, ROOT_FRAME};

/// The frame of what several roots hold that have nothing in common.
pub(crate) const SHARED: &str = "(shared by several roots)";

/// Who keeps what alive all alone: each reachable object once, below its immediate dominator, so that a frame with all
/// below it is what the collector would free if the frame's own objects went away.
///
/// An object that its dominator refers to goes by that reference; one that it holds in several ways, or through others,
/// by its type: `⋯ *T`.
pub fn dominator_tree(snapshot: &Snapshot, retained: &Retained) -> FrameTree {
    let mut tree = FrameTree::new();
    let steps: Vec<u32> = snapshot
        .steps
        .texts()
        .iter()
        .map(|text| tree.intern(text))
        .collect();
    let mut kinds: Vec<Option<u32>> = vec![None; snapshot.distinct_views().len()];
    let mut roots = RootFrames::new(snapshot);
    let mut frame_of = vec![ROOT_FRAME; snapshot.tree.parent.len()];
    let mut depth_of = vec![0u32; frame_of.len()];
    let mut shared = None;
    for (place, &object) in snapshot.tree.order.iter().enumerate() {
        let Some(dominator) = retained.dominator(object) else {
            continue;
        };
        let parent = snapshot.tree.parent[object as usize];
        let (above, is_parent) = match dominator {
            Dominator::Object(above) => {
                depth_of[object as usize] = depth_of[above as usize] + 1;
                (frame_of[above as usize], above == parent)
            }
            Dominator::Holder(holder) => {
                // The first level is in the order of the roots.
                let is_first = snapshot
                    .roots
                    .get(place)
                    .is_some_and(|r| r.holder == holder);
                (roots.frame(&mut tree, holder), is_first)
            }
            Dominator::Shared => {
                let frame = *shared.get_or_insert_with(|| {
                    let name = tree.intern(SHARED);
                    let frame = tree.child(ROOT_FRAME, name);
                    tree.set_barrier(frame);
                    frame
                });
                (frame, false)
            }
        };
        let frame = match snapshot.step(object) {
            INSIDE if is_parent => above,
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
        let depth = depth_of[object as usize];
        tree.add(frame, snapshot.objects.size(ObjId(object)), 1, depth);
    }
    tree
}
