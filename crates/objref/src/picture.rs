//! The tree of references, in all the forms in which it is written.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use objref_analysis::{
    FrameTree, Metric, PruneOptions, Summary, TreeKind, TreeReport, dominator_tree, frame_tree,
    iec, thousands,
};
use objref_report::{
    FlameOptions, Order, PprofOptions, dot, flame_svg, folded, frame_graph, json, pprof, speedscope,
};

use crate::args::{FlameArgs, Format, Layout, MetricArg, Sort, TreeArg};
use crate::pipeline::Subject;
use crate::progress::Reporter;

/// Frames in a picture, unless another number is asked for; and in a graph of boxes and arrows.
pub(crate) const FRAMES: usize = 10_000;
const BOXES: usize = 60;

/// The tree as it is wanted, and what there is to say with it.
pub(crate) struct Picture<'a> {
    summary: &'a Summary,
    args: &'a FlameArgs,
    tree: FrameTree,
    title: String,
    metric: Metric,
    order: Order,
}

impl<'a> Picture<'a> {
    pub(crate) fn new(
        subject: &Subject<'_>,
        summary: &'a Summary,
        format: Format,
        args: &'a FlameArgs,
        reporter: &Reporter,
    ) -> Result<Self> {
        let boxes = if format == Format::Dot { BOXES } else { FRAMES };
        let options = PruneOptions {
            // Those that read these can choose.
            either: matches!(
                format,
                Format::Pprof | Format::Speedscope | Format::TreeJson
            ),
            ..prune_options(args, 0.05, boxes)
        };
        let tree = match args.tree {
            TreeArg::Path => {
                let retained = match format {
                    Format::Pprof | Format::TreeJson => Some(subject.retained(reporter)?),
                    _ => None,
                };
                reporter.phase("merge chains");
                frame_tree(&subject.snapshot, retained)
            }
            TreeArg::Dominator => {
                let dominators = subject.dominators(reporter)?;
                reporter.phase("merge chains");
                dominator_tree(&subject.snapshot, dominators)
            }
        };
        reporter.phase("draw");
        let tree = tree.prune(&options);
        Ok(Self {
            summary,
            args,
            tree,
            title: args
                .title
                .clone()
                .unwrap_or_else(|| title(summary, args.tree)),
            metric: options.metric,
            order: order(args),
        })
    }

    fn kind(&self) -> TreeKind {
        match self.args.tree {
            TreeArg::Path => TreeKind::Path,
            TreeArg::Dominator => TreeKind::Dominator,
        }
    }

    pub(crate) fn svg(self, out: &mut dyn Write) -> io::Result<()> {
        let options = FlameOptions {
            subtitle: Some(subtitle(self.summary, self.args.tree, self.metric)),
            title: self.title,
            notes: about(self.summary).join("; "),
            metric: self.metric,
            roots_at_bottom: self.args.layout == Layout::Flame,
            order: self.order,
            ..FlameOptions::default()
        };
        flame_svg(&self.tree, &options, out)
    }

    pub(crate) fn folded(self, out: &mut dyn Write) -> io::Result<()> {
        folded(&self.tree, self.metric, out)
    }

    pub(crate) fn pprof(self, out: &mut dyn Write) -> io::Result<()> {
        let options = PprofOptions {
            binary: self.summary.binary.path.clone(),
            build_id: self.summary.binary.build_id.clone(),
            tree: self.kind(),
            comments: about(self.summary),
        };
        pprof(&self.tree, &options, out)
    }

    pub(crate) fn speedscope(self, out: &mut dyn Write) -> io::Result<()> {
        speedscope(&self.tree, &self.title, self.metric, self.order, out)
    }

    pub(crate) fn dot(self, out: &mut dyn Write) -> io::Result<()> {
        dot(&frame_graph(&self.tree, &self.title, self.metric), out)
    }

    pub(crate) fn json(self, out: &mut dyn Write) -> io::Result<()> {
        json(&TreeReport::new(&self.tree, self.kind(), self.summary), out)
    }
}

/// What of a tree is written; by default frames of `min_width` percent at least, and so many.
pub(crate) fn prune_options(args: &FlameArgs, min_width: f64, max_frames: usize) -> PruneOptions {
    let asked = args
        .max_frames
        .map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    PruneOptions {
        metric: match args.metric {
            MetricArg::Bytes => Metric::Bytes,
            MetricArg::Objects => Metric::Objects,
        },
        either: false,
        min_share: args.min_width.unwrap_or(min_width) / 100.0,
        max_depth: args.max_depth,
        max_frames: asked.unwrap_or(max_frames),
    }
}

/// In which order siblings stand.
pub(crate) fn order(args: &FlameArgs) -> Order {
    match args.sort {
        Sort::Size => Order::Size,
        Sort::Name => Order::Name,
    }
}

fn subtitle(summary: &Summary, tree: TreeArg, metric: Metric) -> String {
    let live = summary.heap.live;
    let mut subtitle = format!(
        "{} live in {} objects, each drawn once, {}; width: {}",
        iec(live.bytes),
        thousands(live.objects),
        match tree {
            TreeArg::Path =>
                "held along the shortest path: the shortest chain of references from a root",
            TreeArg::Dominator => {
                "retained: under what alone keeps it alive, so that a frame is as wide as what would be freed with it"
            }
        },
        metric.name(),
    );
    if let Some(missing) = summary.missing.filter(|missing| missing.heap_bytes > 0) {
        let bytes = iec(missing.heap_bytes);
        subtitle.push_str(&format!("; {bytes} of the heap are not in the dump"));
    }
    match summary.diagnostics.len() {
        0 => {}
        1 => subtitle.push_str("; 1 warning"),
        n => subtitle.push_str(&format!("; {n} warnings")),
    }
    subtitle
}

/// The headline, unless another is given.
pub(crate) fn title(summary: &Summary, tree: TreeArg) -> String {
    let command = summary
        .core
        .command
        .as_deref()
        .unwrap_or(&summary.binary.path);
    let program = command.split(' ').next().unwrap_or(command);
    let program = Path::new(program)
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or(program);
    let what = match tree {
        TreeArg::Path => "Who keeps what alive",
        TreeArg::Dominator => "Who retains what",
    };
    format!("{what} in {program} ({})", summary.go.version)
}

/// What the file says about itself to those who look into it: where it is from, and how far to trust it.
fn about(summary: &Summary) -> Vec<String> {
    let mut about = vec![format!(
        "{} {}; core {} ({}); binary {}",
        summary.tool.name,
        summary.tool.version,
        summary.core.path,
        summary.core.kind,
        summary.binary.path,
    )];
    if let Some(found) = &summary.reconciliation {
        about.push(format!(
            "{} B {}, {} B by the runtime's count: {}",
            found.found_bytes, found.what, found.runtime_bytes, found.verdict
        ));
    }
    for diagnostic in &summary.diagnostics {
        about.push(format!("warning: {}", diagnostic.text()));
    }
    about
}
