//! The report as an HTML page.

use std::io::Write;

use anyhow::Result;
use objref_analysis::{Summary, TypeOptions, dominator_tree, frame_tree, types};
use objref_report::{HtmlReport, HtmlTree, html};

use crate::args::{FlameArgs, Layout, TreeArg};
use crate::picture::{FRAMES, order, prune_options, title};
use crate::pipeline::Subject;
use crate::progress::Reporter;

/// Writes the page.
pub(crate) fn write(
    subject: &Subject<'_>,
    summary: &Summary,
    args: &FlameArgs,
    reporter: &Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let snapshot = &subject.snapshot;
    let retained = subject.retained(reporter)?;
    reporter.phase("count types");
    let types = types(snapshot, &TypeOptions::default());
    reporter.phase("merge chains");
    let paths = frame_tree(snapshot, Some(retained));
    let dominated = dominator_tree(snapshot, retained.tree());
    reporter.phase("write the page");
    let prune = prune_options(args, 0.0, FRAMES);
    let mut trees = vec![
        HtmlTree::shortest_paths(&paths),
        HtmlTree::dominators(&dominated),
    ];
    if args.tree == TreeArg::Dominator {
        trees.reverse();
    }
    let report = HtmlReport {
        title: args
            .title
            .clone()
            .unwrap_or_else(|| title(summary, TreeArg::Path)),
        summary,
        types: &types,
        trees,
        prune,
        metric: prune.metric,
        order: order(args),
        roots_at_bottom: args.layout == Layout::Flame,
    };
    Ok(html(&report, out)?)
}
