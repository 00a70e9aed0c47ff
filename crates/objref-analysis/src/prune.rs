//! Cutting a tree of frames to a readable size without losing a byte.

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{FrameTree, ROOT_FRAME};

/// What the width of a frame stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Bytes of the objects.
    #[default]
    Bytes,
    /// How many objects there are.
    Objects,
}

impl Metric {
    /// `bytes` or `objects`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Objects => "objects",
        }
    }
}

/// What [`FrameTree::prune`] leaves standing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PruneOptions {
    /// By which measure frames are small.
    pub metric: Metric,
    /// Frames that are big by the other measure stay too: for pictures that can show either.
    pub either: bool,
    /// Frames with less than this part of the whole are cut off: 0.001 is a tenth of a percent.
    pub min_share: f64,
    /// Frames below this many levels are cut off.
    pub max_depth: u32,
    /// At most this many frames are kept, the biggest; the frames that stand for what was cut off
    /// come on top, at most one below each frame kept.
    pub max_frames: usize,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            metric: Metric::Bytes,
            either: false,
            min_share: 0.0,
            max_depth: u32::MAX,
            max_frames: usize::MAX,
        }
    }
}

/// The part of a frame's children that was cut off.
#[derive(Clone, Copy, Default)]
struct Cut {
    frames: u64,
    bytes: u64,
    objects: u64,
    /// The sum of what the frames retain, each by itself.
    retained: u64,
}

impl FrameTree {
    /// The tree without its frames that are too small, too deep or too many.
    ///
    /// What is cut off below a frame becomes one frame there, `(12 smaller frames)` or, at the
    /// greatest depth, `(deeper: 12 frames)`, so that every frame that is kept has the total it had
    /// before and children still add up to their parent. Which frames stay depends on nothing but
    /// the tree and the options; of equally big ones the first made stays.
    pub fn prune(&self, options: &PruneOptions) -> Self {
        self.prune_tracked(options).0
    }

    /// The same, and per frame the one that it became or is now part of.
    pub(crate) fn prune_tracked(&self, options: &PruneOptions) -> (Self, Vec<u32>) {
        let totals = self.totals();
        let values = match (options.either, options.metric) {
            (true, _) => &totals.bigger_shares(),
            (false, Metric::Bytes) => &totals.bytes,
            (false, Metric::Objects) => &totals.objects,
        };
        let depth = self.depths();
        let threshold = options.min_share * values[ROOT_FRAME as usize] as f64;
        let big = |frame: u32| {
            values[frame as usize] as f64 >= threshold && depth[frame as usize] <= options.max_depth
        };

        // A parent is at least as big as its child and has the smaller id, so the first of this
        // order are a tree again.
        let mut kept: Vec<u32> = self.frames().skip(1).filter(|&frame| big(frame)).collect();
        let room = options.max_frames.saturating_sub(1);
        if kept.len() > room {
            if room > 0 {
                let order = |&frame: &u32| (std::cmp::Reverse(values[frame as usize]), frame);
                kept.select_nth_unstable_by_key(room - 1, order);
            }
            kept.truncate(room);
            kept.sort_unstable();
        }

        let mut out = Self::new();
        out.copy_root(self);
        let mut copy = vec![u32::MAX; self.len()];
        copy[ROOT_FRAME as usize] = ROOT_FRAME;
        for &frame in &kept {
            let parent = copy[self.parent(frame) as usize];
            copy[frame as usize] = out.push_copy(parent, self, frame);
        }

        let cuts = self.cuts(&copy, &totals.bytes, &totals.objects);
        let mut cut_below = FxHashMap::default();
        for (frame, cut) in self.frames().zip(cuts).filter(|(_, cut)| cut.frames > 0) {
            let name = match (depth[frame as usize] < options.max_depth, cut.frames) {
                (true, 1) => "(1 smaller frame)".to_owned(),
                (true, n) => format!("({n} smaller frames)"),
                (false, 1) => "(deeper: 1 frame)".to_owned(),
                (false, n) => format!("(deeper: {n} frames)"),
            };
            let cut_frame = out.push_cut(copy[frame as usize], &name, cut.bytes, cut.objects);
            cut_below.insert(frame, cut_frame);
            if self.retained(frame).is_some() {
                out.add_retained(cut_frame, cut.retained);
            }
        }
        let mut became = copy;
        for frame in self.frames().skip(1) {
            if became[frame as usize] == u32::MAX {
                let parent = self.parent(frame);
                // Below a frame that was cut off, the same as that.
                let cut = cut_below.get(&parent).copied();
                became[frame as usize] = cut.unwrap_or(became[parent as usize]);
            }
        }
        (out, became)
    }

    /// How many steps each frame is away from [`ROOT_FRAME`].
    fn depths(&self) -> Vec<u32> {
        let mut depth = vec![0; self.len()];
        for frame in self.frames().skip(1) {
            depth[frame as usize] = depth[self.parent(frame) as usize] + 1;
        }
        depth
    }

    /// Per frame that is kept, what was cut off directly below it.
    fn cuts(&self, copy: &[u32], bytes: &[u64], objects: &[u64]) -> Vec<Cut> {
        let mut cuts = vec![Cut::default(); self.len()];
        for frame in self
            .frames()
            .skip(1)
            .rev()
            .filter(|&frame| copy[frame as usize] == u32::MAX)
        {
            let parent = self.parent(frame) as usize;
            let below = std::mem::take(&mut cuts[frame as usize]);
            let retained = below
                .retained
                .saturating_add(self.retained(frame).unwrap_or(0));
            cuts[parent].frames += below.frames + 1;
            cuts[parent].retained = cuts[parent].retained.saturating_add(retained);
            if copy[parent] != u32::MAX {
                cuts[parent].bytes += bytes[frame as usize];
                cuts[parent].objects += objects[frame as usize];
            }
        }
        cuts
    }
}
