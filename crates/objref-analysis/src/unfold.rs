//! The dominator tree, unfolded as far as it matters.

use std::cmp::Reverse;

use objref_go::ObjId;
use objref_snapshot::{Retained, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dominator_frames::{Apart, dominator_frames};
use crate::{Amount, FrameTree, PruneOptions, ROOT_FRAME, Start, Tool};

/// The number of the layout of [`Unfolded`] in JSON; it changes when a field changes its meaning or goes.
pub const UNFOLDED_SCHEMA_VERSION: u32 = 1;

/// What of the tree to show.
#[derive(Clone, Debug)]
pub struct UnfoldOptions {
    /// Frames with less than this part of what is shown are cut off: 0.01 is a percent.
    pub min_share: f64,
    /// Frames below this many levels are cut off.
    pub max_depth: u32,
    /// The biggest frames only.
    pub limit: usize,
    /// Objects that are held by the same field and of the same type as one, or each big one by itself.
    pub merge: bool,
}

/// The dominator tree, unfolded as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unfolded {
    /// [`UNFOLDED_SCHEMA_VERSION`]
    pub schema_version: u32,
    /// Who made it.
    pub tool: Tool,
    /// The dump as it was named.
    pub core: String,
    /// Where it starts; `None` for all roots.
    pub from: Option<String>,
    /// All live objects.
    pub live: Amount,
    /// What is retained by that where it starts.
    pub shown: Amount,
    /// Frames with less than so many percent of `shown` are cut off.
    pub min_percent: f64,
    /// As many frames were shown at most; `None` if there was room for all.
    pub limit: Option<u64>,
    /// Whether frames were cut off because they are too deep.
    pub cut_by_depth: bool,
    /// The frames, each before those below it, siblings by size; what is cut off comes last.
    pub frames: Vec<UnfoldedRow>,
}

/// Objects that are held in the same way by the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnfoldedRow {
    /// The root, or the field and the type of what it refers to; what is held in several ways at once goes by its
    /// type: `⋯ *T`.
    pub name: String,
    /// How many frames it is below.
    pub depth: u32,
    /// Index of the frame above; `None` at the top.
    pub parent: Option<u64>,
    /// The objects themselves.
    pub own: Amount,
    /// What would be freed with them.
    pub retained: Amount,
    /// Over how many levels recursion was folded into it.
    pub recursion_levels: Option<u32>,
    /// Whether it stands for frames that were cut off.
    pub cut: bool,
}

/// Unfolds the dominator tree; `from` says where it starts, for the reader.
pub fn unfold(
    snapshot: &Snapshot,
    retained: &Retained,
    (start, from): (&Start, Option<&str>),
    options: &UnfoldOptions,
) -> Unfolded {
    let merged = dominator_frames(snapshot, retained.tree(), start, None);
    let total = merged.totals();
    let shown = Amount {
        bytes: total.bytes[ROOT_FRAME as usize],
        objects: total.objects[ROOT_FRAME as usize],
    };
    let tree = match options.merge {
        true => merged,
        false => {
            drop(merged);
            let apart = Apart {
                retained,
                min_bytes: ((options.min_share * shown.bytes as f64).ceil() as u64).max(1),
                max_depth: options.max_depth,
            };
            dominator_frames(snapshot, retained.tree(), start, Some(&apart))
        }
    };
    let tree = tree.prune(&PruneOptions {
        min_share: options.min_share,
        max_depth: options.max_depth,
        max_frames: options.limit.saturating_add(1),
        ..PruneOptions::default()
    });
    let frames = rows(&tree);
    let kept = frames.iter().filter(|row| !row.cut).count();
    let order = &snapshot.tree.order;
    Unfolded {
        schema_version: UNFOLDED_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        from: from.map(str::to_owned),
        live: Amount {
            bytes: order.iter().map(|o| snapshot.objects.size(ObjId(*o))).sum(),
            objects: order.len() as u64,
        },
        shown,
        min_percent: options.min_share * 100.0,
        limit: (kept >= options.limit).then_some(options.limit as u64),
        cut_by_depth: frames
            .iter()
            .any(|row| row.cut && row.depth >= options.max_depth),
        frames,
    }
}

/// The frames below the root, each before those below it.
fn rows(tree: &FrameTree) -> Vec<UnfoldedRow> {
    let totals = tree.totals();
    // Read from the end: the last of equals is the first to be asked for.
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); tree.len()];
    for frame in tree.frames().skip(1) {
        children[tree.parent(frame) as usize].push(frame);
    }
    for below in &mut children {
        below.sort_by_key(|&frame| {
            let size = totals.bytes[frame as usize];
            Reverse((tree.is_cut(frame), Reverse(size), tree.name(frame)))
        });
    }
    let mut rows = Vec::new();
    let top = std::mem::take(&mut children[ROOT_FRAME as usize]);
    let mut pending: Vec<(u32, u32, Option<u64>)> = top.into_iter().map(|f| (f, 0, None)).collect();
    while let Some((frame, depth, parent)) = pending.pop() {
        let at = frame as usize;
        let below = std::mem::take(&mut children[at]).into_iter();
        pending.extend(below.map(|child| (child, depth + 1, Some(rows.len() as u64))));
        rows.push(UnfoldedRow {
            name: tree.name(frame).to_owned(),
            depth,
            parent,
            own: Amount {
                bytes: tree.self_bytes(frame),
                objects: tree.self_objects(frame),
            },
            retained: Amount {
                bytes: totals.bytes[at],
                objects: totals.objects[at],
            },
            recursion_levels: tree.recursion_levels(frame),
            cut: tree.is_cut(frame),
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_before_those_below_it_and_the_biggest_first() {
        let mut tree = FrameTree::new();
        let mut add = |parent, name: &str, bytes| {
            let name = tree.intern(name);
            let frame = tree.child(parent, name);
            tree.add(frame, bytes, 1, 0);
            frame
        };
        let small = add(ROOT_FRAME, "small", 1);
        let big = add(ROOT_FRAME, "big", 10);
        add(small, "x", 2);
        add(big, "b", 3);
        add(big, "a", 3);
        let rows = rows(&tree);
        let seen: Vec<_> = rows
            .iter()
            .map(|r| (r.name.as_str(), r.depth, r.parent, r.retained.bytes))
            .collect();
        let expected = [
            ("big", 0, None, 16),
            ("a", 1, Some(0), 3),
            ("b", 1, Some(0), 3),
            ("small", 0, None, 3),
            ("x", 1, Some(3), 2),
        ];
        assert_eq!(seen, expected);
    }
}
