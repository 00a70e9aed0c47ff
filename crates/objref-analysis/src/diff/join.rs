//! Frames of several dumps, joined by their names.

use crate::{Amount, FrameTree, Metric, PruneOptions, ROOT_FRAME};

/// Who keeps what alive in several dumps: each path of names once, with what each dump has there.
///
/// The frames' own values in [`JoinedTree::tree`] are what they need to be drawn: the most that the first or the last
/// dump has there, so that what is gone has a width, too.
#[derive(Clone, Debug)]
pub struct JoinedTree {
    tree: FrameTree,
    /// Per dump, per frame, what hangs directly from it.
    own: Vec<Vec<Amount>>,
}

impl JoinedTree {
    /// Joins trees whose names mean the same. Also says, per tree and frame, which frame it has become.
    ///
    /// # Panics
    ///
    /// Without a tree.
    pub fn join(trees: &[&FrameTree]) -> (Self, Vec<Vec<u32>>) {
        let mut joined = FrameTree::new();
        let mut became: Vec<Vec<u32>> = Vec::with_capacity(trees.len());
        for tree in trees {
            let mut of = vec![ROOT_FRAME; tree.len()];
            // A parent stands before its children.
            for frame in tree.frames().skip(1) {
                let parent = of[tree.parent(frame) as usize];
                of[frame as usize] = joined.join(parent, tree, frame);
            }
            became.push(of);
        }
        let own = trees.iter().zip(&became).map(|(tree, became)| {
            let mut own = vec![Amount::default(); joined.len()];
            for (frame, &joined) in tree.frames().zip(became) {
                let amount = &mut own[joined as usize];
                amount.bytes += tree.self_bytes(frame);
                amount.objects += tree.self_objects(frame);
            }
            own
        });
        let own: Vec<Vec<Amount>> = own.collect();
        for own in [&own[0], &own[own.len() - 1]] {
            for (frame, amount) in (0..).zip(own) {
                joined.raise(frame, amount.bytes, amount.objects);
            }
        }
        (Self { tree: joined, own }, became)
    }

    /// The frames.
    pub fn tree(&self) -> &FrameTree {
        &self.tree
    }

    /// How many dumps there are.
    pub fn dumps(&self) -> usize {
        self.own.len()
    }

    /// Per frame, what hangs directly from it in a dump.
    pub fn own(&self, dump: usize) -> &[Amount] {
        &self.own[dump]
    }

    /// Per frame, what is in it and below it in a dump.
    pub fn totals(&self, dump: usize) -> Vec<Amount> {
        let mut totals = self.own[dump].clone();
        for frame in (1..totals.len()).rev() {
            let amount = totals[frame];
            let above = &mut totals[self.tree.parent(frame as u32) as usize];
            above.bytes += amount.bytes;
            above.objects += amount.objects;
        }
        totals
    }

    /// Per frame, whether what is in it and below it has become more from each dump to the next.
    pub fn has_grown(&self, metric: Metric) -> Vec<bool> {
        let totals: Vec<Vec<Amount>> = (0..self.dumps()).map(|dump| self.totals(dump)).collect();
        let value = |dump: &Vec<Amount>, frame: usize| super::rows::by(metric, dump[frame]);
        let grows = |frame| {
            let steps = totals.windows(2);
            steps
                .into_iter()
                .all(|step| value(&step[0], frame) < value(&step[1], frame))
        };
        (0..self.tree.len()).map(grows).collect()
    }

    /// Cut to a readable size as [`FrameTree::prune`] does, without losing a byte of any dump.
    pub fn prune(&self, options: &PruneOptions) -> Self {
        let (tree, became) = self.tree.prune_tracked(options);
        let own = self.own.iter().map(|own| {
            let mut kept = vec![Amount::default(); tree.len()];
            for (amount, &frame) in own.iter().zip(&became) {
                kept[frame as usize].bytes += amount.bytes;
                kept[frame as usize].objects += amount.objects;
            }
            kept
        });
        let own = own.collect();
        Self { tree, own }
    }

    /// The names from the root down to a frame.
    pub fn path(&self, frame: u32) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = frame;
        while at != ROOT_FRAME {
            path.push(self.tree.name(at).to_owned());
            at = self.tree.parent(at);
        }
        path.reverse();
        path
    }

    /// Per frame, the one of the first level that it is or is below.
    pub(super) fn roots(&self) -> Vec<u32> {
        let mut roots = vec![ROOT_FRAME; self.tree.len()];
        for frame in self.tree.frames().skip(1) {
            roots[frame as usize] = match self.tree.parent(frame) {
                ROOT_FRAME => frame,
                parent => roots[parent as usize],
            };
        }
        roots
    }
}
