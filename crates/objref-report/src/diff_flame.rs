//! The frames of two dumps as one picture: grown in red, shrunk in blue.

use std::io::{self, BufWriter, Write};

use objref_analysis::{Amount, JoinedTree, Metric, ROOT_FRAME, iec, thousands};

use crate::diff::{share, signed, signed_bytes};
use crate::flame::{FlameOptions, Look, draw};
use crate::folded::escape;
use crate::walk::{self, Order};

/// Steps of each colour.
const SHADES: u64 = 10;
/// What has not changed.
const SAME: [u8; 3] = [230, 230, 230];
/// From a little grown to new.
const GROWN: [[u8; 3]; 2] = [[253, 224, 216], [228, 72, 56]];
/// From a little shrunk to gone.
const SHRUNK: [[u8; 3]; 2] = [[219, 233, 249], [74, 132, 214]];

/// Draws the frames of the first and the last dump of `tree`, as it is. Siblings stand by name.
///
/// A frame is as wide as what is there in the last dump, and what is gone of its parts: what hung from them in the first.
/// Its title says what it has before and after. Of more than two dumps, only what has grown in every step is red.
///
/// # Errors
///
/// What `out` says; [`io::ErrorKind::InvalidData`] if there is nothing in the tree by this metric.
pub fn diff_svg(tree: &JoinedTree, options: &FlameOptions, out: &mut dyn Write) -> io::Result<()> {
    let last = tree.dumps() - 1;
    let options = FlameOptions {
        order: Order::Name,
        ..options.clone()
    };
    let look = Changes {
        before: tree.totals(0),
        after: tree.totals(last),
        own: [
            tree.own(0)[ROOT_FRAME as usize],
            tree.own(last)[ROOT_FRAME as usize],
        ],
        grown: (tree.dumps() > 2).then(|| tree.has_grown(options.metric)),
        metric: options.metric,
    };
    draw(tree.tree(), &options, &look, out)
}

struct Changes {
    before: Vec<Amount>,
    after: Vec<Amount>,
    /// What hangs directly from the root.
    own: [Amount; 2],
    /// What may be red, if not all that is more.
    grown: Option<Vec<bool>>,
    metric: Metric,
}

impl Changes {
    fn values(&self, frame: u32) -> [u64; 2] {
        let sides = [&self.before, &self.after].map(|side| side[frame as usize]);
        sides.map(|amount| match self.metric {
            Metric::Bytes => amount.bytes,
            Metric::Objects => amount.objects,
        })
    }

    /// 0 for no change, up to [`SHADES`] for what is new; twice that for what is gone.
    fn shade(&self, frame: u32) -> u64 {
        let [before, after] = self.values(frame);
        let more = before.max(after);
        if before == after {
            return 0;
        }
        let step = u128::from(before.abs_diff(after)) * u128::from(SHADES);
        let step = (step.div_ceil(u128::from(more)) as u64).max(1);
        match after > before {
            true if self
                .grown
                .as_ref()
                .is_some_and(|grown| !grown[frame as usize]) =>
            {
                0
            }
            true => step,
            false => SHADES + step,
        }
    }
}

impl Look for Changes {
    fn colour(&self, frame: u32) -> [u8; 3] {
        let mix = |[from, to]: [[u8; 3]; 2], step: u64| {
            let part = |i: usize| {
                let (from, to) = (i64::from(from[i]), i64::from(to[i]));
                (from + (to - from) * (step as i64 - 1) / (SHADES as i64 - 1)) as u8
            };
            [part(0), part(1), part(2)]
        };
        match self.shade(frame) {
            0 => SAME,
            step if step <= SHADES => mix(GROWN, step),
            step => mix(SHRUNK, step - SHADES),
        }
    }

    fn mark(&self, frame: u32) -> usize {
        self.shade(frame) as usize
    }

    fn note(&self, frame: Option<u32>) -> String {
        let [before, after] = match frame {
            Some(frame) => [&self.before, &self.after].map(|side| side[frame as usize]),
            None => self.own,
        };
        let (bytes, objects) = (
            after.bytes as i64 - before.bytes as i64,
            after.objects as i64 - before.objects as i64,
        );
        let percent = match self.metric {
            Metric::Bytes => share(before.bytes, after.bytes),
            Metric::Objects => share(before.objects, after.objects),
        };
        let percent = match percent.is_empty() {
            true => "unchanged".to_owned(),
            false => percent,
        };
        format!(
            "{} wide: {percent}; {} to {}, {}; {} to {} objects, {}",
            self.metric.name(),
            iec(before.bytes),
            iec(after.bytes),
            signed_bytes(bytes),
            thousands(before.objects),
            thousands(after.objects),
            signed(objects),
        )
    }
}

/// Writes the frames of the first and the last dump of `tree` as lines `a;b;c 12 15`, as difffolded.pl does, for
/// flamegraph.pl and inferno. Names as in [`folded`](crate::folded()).
///
/// # Errors
///
/// What `out` says.
pub fn diff_folded(tree: &JoinedTree, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let frames = tree.tree();
    let names: Vec<String> = frames.frames().map(|f| escape(frames.name(f))).collect();
    let totals = walk::totals(frames, metric);
    let sides = [tree.own(0), tree.own(tree.dumps() - 1)];
    walk::walk(frames, &totals, metric, Order::Name, |path, _| {
        let frame = path[path.len() - 1] as usize;
        let path = if path.len() == 1 { path } else { &path[1..] };
        for (i, &frame) in path.iter().enumerate() {
            if i > 0 {
                out.write_all(b";")?;
            }
            out.write_all(names[frame as usize].as_bytes())?;
        }
        let [before, after] = sides.map(|side| match metric {
            Metric::Bytes => side[frame].bytes,
            Metric::Objects => side[frame].objects,
        });
        writeln!(out, " {before} {after}")
    })?;
    out.flush()
}
