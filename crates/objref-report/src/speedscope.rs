//! The tree for speedscope.app.
//!
//! The format is that of <https://www.speedscope.app/file-format-schema.json>.

use std::io::{self, Write};

use objref_analysis::{FrameTree, Metric, Names, Tool};
use serde::Serialize;

use crate::json::compact;
use crate::restore::shown;
use crate::walk::{self, Order};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'a str,
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// The outermost frame first.
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

/// Writes `tree` as two profiles, one of bytes and one of objects; that of `metric` is shown first.
///
/// Siblings stand in `order`. Retained sizes do not add up and are left out. Control characters in
/// names become pictures of them.
///
/// # Errors
///
/// What `out` says.
pub fn speedscope(
    tree: &FrameTree,
    title: &str,
    metric: Metric,
    order: Order,
    out: &mut dyn Write,
) -> io::Result<()> {
    let tool = Tool::this();
    // speedscope adds up by frame, so there is one for each name, wherever it stands.
    let mut names = Names::default();
    let index: Vec<u32> = tree
        .frames()
        .map(|frame| names.intern(&shown(&tree.label(frame))))
        .collect();
    let metrics = [Metric::Bytes, Metric::Objects];
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: format!("{} {}", tool.name, tool.version),
        name: title,
        active_profile_index: metrics.iter().position(|m| *m == metric).unwrap_or(0),
        profiles: metrics
            .map(|metric| profile(tree, &index, metric, order))
            .into(),
        shared: Shared {
            frames: (0..names.len() as u32)
                .map(|id| Frame {
                    name: names.name(id),
                })
                .collect(),
        },
    };
    compact(&file, out)?;
    out.write_all(b"\n")
}

fn profile(tree: &FrameTree, index: &[u32], metric: Metric, order: Order) -> Profile {
    let totals = walk::totals(tree, metric);
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    walk::walk(tree, &totals, metric, order, |path, value| {
        let path = if path.len() == 1 { path } else { &path[1..] };
        samples.push(path.iter().map(|&f| index[f as usize]).collect());
        weights.push(value);
        Ok::<_, std::convert::Infallible>(())
    })
    .unwrap_or_else(|never| match never {});
    Profile {
        kind: "sampled",
        name: metric.name(),
        unit: match metric {
            Metric::Bytes => "bytes",
            Metric::Objects => "none",
        },
        start_value: 0,
        end_value: totals[0],
        samples,
        weights,
    }
}
