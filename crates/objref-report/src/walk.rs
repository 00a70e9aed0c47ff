//! A tree of frames as a sequence of paths, siblings in a fixed order.

use std::cmp::Reverse;

use objref_analysis::{FrameTree, Metric, ROOT_FRAME};

/// In which order siblings stand. Frames that stand for what was cut off are always last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The biggest first; of equally big ones by name.
    #[default]
    Size,
    /// By name: pictures of two dumps can be laid side by side.
    Name,
}

/// The inclusive value of every frame by `metric`.
pub(crate) fn totals(tree: &FrameTree, metric: Metric) -> Vec<u64> {
    let totals = tree.totals();
    match metric {
        Metric::Bytes => totals.bytes,
        Metric::Objects => totals.objects,
    }
}

/// The value of the frame itself.
pub(crate) fn own(tree: &FrameTree, metric: Metric, frame: u32) -> u64 {
    match metric {
        Metric::Bytes => tree.self_bytes(frame),
        Metric::Objects => tree.self_objects(frame),
    }
}

/// The children of every frame that are not empty, one list after the other.
pub(crate) struct Children {
    starts: Vec<usize>,
    list: Vec<u32>,
}

impl Children {
    /// By `totals`, the inclusive value of every frame.
    pub(crate) fn new(tree: &FrameTree, totals: &[u64], order: Order) -> Self {
        let mut list: Vec<u32> = tree
            .frames()
            .skip(1)
            .filter(|&frame| totals[frame as usize] > 0)
            .collect();
        list.sort_by_cached_key(|&frame| {
            let size = match order {
                Order::Size => Reverse(totals[frame as usize]),
                Order::Name => Reverse(0),
            };
            (
                tree.parent(frame),
                tree.is_cut(frame),
                size,
                tree.name(frame).to_owned(),
            )
        });
        let mut starts = vec![0; tree.len() + 1];
        for &frame in &list {
            starts[tree.parent(frame) as usize + 1] += 1;
        }
        for frame in 0..tree.len() {
            starts[frame + 1] += starts[frame];
        }
        Self { starts, list }
    }

    /// The children of `frame`, in order.
    pub(crate) fn of(&self, frame: u32) -> &[u32] {
        &self.list[self.starts[frame as usize]..self.starts[frame as usize + 1]]
    }
}

/// Calls `visit` with the path (from [`ROOT_FRAME`] down, both ends included) and the own value of
/// every frame that has one, a frame after its children.
pub(crate) fn walk<E>(
    tree: &FrameTree,
    totals: &[u64],
    metric: Metric,
    order: Order,
    mut visit: impl FnMut(&[u32], u64) -> Result<(), E>,
) -> Result<(), E> {
    let children = Children::new(tree, totals, order);
    let mut path = vec![ROOT_FRAME];
    let mut pending = vec![children.of(ROOT_FRAME).iter()];
    while let (Some(&frame), Some(rest)) = (path.last(), pending.last_mut()) {
        if let Some(&child) = rest.next() {
            path.push(child);
            pending.push(children.of(child).iter());
        } else {
            let value = own(tree, metric, frame);
            if value > 0 {
                visit(&path, value)?;
            }
            path.pop();
            pending.pop();
        }
    }
    Ok(())
}
