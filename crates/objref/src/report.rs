//! One command from its arguments to its output.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use objref_analysis::{
    FrameTree, Metric, PruneOptions, Summary, dominator_tree, each_object, frame_tree, iec,
    summary, thousands,
};
use objref_report::{
    FlameOptions, ObjectsTsv, Order, TextOptions, flame_svg, folded, json, summary_text,
};

use crate::args::{
    Args, Command, CommonArgs, FlameArgs, Format, Goroutines, Layout, MainArgs, MetricArg, Sort,
    SummaryFormat, TreeArg, When,
};
use crate::failure::Usage;
use crate::listing;
use crate::output::Output;
use crate::page;
use crate::pipeline::{Needs, Opened, Subject};
use crate::progress::Reporter;

/// Does what the command line says.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        None => {
            let main = &args.main;
            misplaced_command(&main.common)?;
            let format = main_format(main, io::stdout().is_terminal())?;
            produce(&main.common, format, Some(&main.flame))
        }
        Some(Command::Summary(summary)) => {
            let format = match text_or_json(&summary.common, summary.format)? {
                SummaryFormat::Text => Format::Text,
                SummaryFormat::Json => Format::Json,
            };
            produce(&summary.common, format, None)
        }
        Some(Command::Objects(objects)) => produce(&objects.common, Format::Tsv, None),
        Some(Command::Types(args)) => listing::types(args),
        Some(Command::Goroutines(args)) => listing::goroutines(args),
        Some(Command::Verify(args)) => listing::verify(args),
        Some(Command::Index(args)) => listing::index(args),
    }
}

/// `objref -v summary core` takes `summary` for a file.
fn misplaced_command(args: &CommonArgs) -> Result<()> {
    for name in [
        "summary",
        "objects",
        "types",
        "goroutines",
        "verify",
        "index",
    ] {
        if args.files[0] == Path::new(name) && !args.files[0].exists() {
            let way = format!("objref {name} [OPTIONS] CORE");
            bail!(Usage(format!(
                "{name}: options come after the command: {way}"
            )));
        }
    }
    Ok(())
}

/// What a command writes that knows both.
pub(crate) fn text_or_json(
    args: &CommonArgs,
    format: Option<SummaryFormat>,
) -> Result<SummaryFormat> {
    if let Some(format) = format {
        return Ok(format);
    }
    match by_extension(args.output.as_deref())? {
        Some(Format::Json) => Ok(SummaryFormat::Json),
        None | Some(Format::Text) => Ok(SummaryFormat::Text),
        Some(_) => bail!(Usage(
            "this command writes text or json: -o FILE.txt".to_owned()
        )),
    }
}

/// What the main job writes.
fn main_format(args: &MainArgs, terminal: bool) -> Result<Format> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let output = args
        .common
        .output
        .as_deref()
        .filter(|path| *path != Path::new("-"));
    Ok(match by_extension(output)? {
        Some(format) => format,
        None if output.is_none() && terminal => Format::Text,
        None => Format::Svg,
    })
}

/// The format that the name of a file asks for; `None` for one without an extension.
fn by_extension(path: Option<&Path>) -> Result<Option<Format>> {
    let Some(path) = path else { return Ok(None) };
    let Some(extension) = path.extension() else {
        return Ok(None);
    };
    Ok(Some(
        match extension
            .to_str()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str()
        {
            "svg" => Format::Svg,
            "html" | "htm" => Format::Html,
            "folded" => Format::Folded,
            "txt" => Format::Text,
            "json" => Format::Json,
            "tsv" => Format::Tsv,
            _ => {
                let path = path.display();
                bail!(Usage(format!(
                    "{path}: no format has that extension; say --format FORMAT"
                )))
            }
        },
    ))
}

fn produce(args: &CommonArgs, format: Format, flame: Option<&FlameArgs>) -> Result<ExitCode> {
    let needs = Needs {
        each_goroutine: flame.is_some_and(|flame| flame.goroutines == Goroutines::Each),
        ..Needs::default()
    };
    answer(args, needs, |subject, text, reporter, out| {
        write(subject, format, flame, text, reporter, out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Makes the snapshot and writes what `write` has to say about it.
pub(crate) fn answer(
    args: &CommonArgs,
    needs: Needs,
    write: impl FnOnce(&Subject<'_>, &TextOptions, &Reporter, &mut dyn Write) -> Result<ExitCode>,
) -> Result<ExitCode> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()?;
    }
    let path = args.output.as_deref();
    // First, so that nobody waits in vain.
    let mut out = Output::open(path)?;
    let mut reporter = Reporter::new(args);
    reporter.phase("open the files");
    let opened = Opened::open(args, needs, &reporter)?;
    let subject = opened.subject(needs, &reporter)?;

    if matches!(out, Output::Stdout(_)) && io::stdout().is_terminal() {
        reporter.clear();
    }
    let text = TextOptions {
        colour: matches!(out, Output::Stdout(_)) && colour(args.color),
        ..TextOptions::default()
    };
    let written = write(&subject, &text, &reporter, &mut out);
    let status = written.map_err(|error| match error.downcast::<io::Error>() {
        Ok(error) => Output::explain(path, error),
        Err(error) => error,
    })?;
    out.finish()?;
    reporter.finish();
    Ok(status)
}

fn colour(when: When) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => io::stdout().is_terminal() && !set("NO_COLOR"),
    }
}

fn write(
    subject: &Subject<'_>,
    format: Format,
    flame: Option<&FlameArgs>,
    text: &TextOptions,
    reporter: &Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    reporter.phase("add up");
    let summary = summary(&subject.snapshot);
    // What shows no warnings itself leaves them to us.
    if !matches!(format, Format::Text | Format::Json) {
        for diagnostic in &summary.diagnostics {
            reporter.warn(&format!("{} [{}]", diagnostic.text(), diagnostic.code));
        }
    }
    match (format, flame) {
        (Format::Text, _) => summary_text(&summary, text, out)?,
        (Format::Json, _) => json(&summary, out)?,
        (Format::Svg, Some(flame)) => draw(subject, &summary, flame, reporter, out)?,
        (Format::Html, Some(flame)) => page::write(subject, &summary, flame, reporter, out)?,
        (Format::Folded, Some(flame)) => {
            let (tree, metric) = tree(subject, flame, reporter)?;
            folded(&tree, metric, out)?;
        }
        (Format::Tsv | Format::Svg | Format::Html | Format::Folded, _) => {
            let retained = subject.retained(reporter)?;
            reporter.phase("write objects");
            let mut objects = ObjectsTsv::new(out)?;
            each_object(&subject.snapshot, retained, |row| objects.row(row))?;
            objects.finish()?;
        }
    }
    Ok(())
}

/// The tree as it is wanted.
fn tree(
    subject: &Subject<'_>,
    args: &FlameArgs,
    reporter: &Reporter,
) -> Result<(FrameTree, Metric)> {
    let snapshot = &subject.snapshot;
    let tree = match args.tree {
        TreeArg::Path => {
            reporter.phase("merge chains");
            frame_tree(snapshot)
        }
        TreeArg::Dominator => {
            let retained = subject.retained(reporter)?;
            reporter.phase("merge chains");
            dominator_tree(snapshot, retained)
        }
    };
    reporter.phase("draw");
    let options = prune_options(args, 0.05);
    Ok((tree.prune(&options), options.metric))
}

/// What of a tree is drawn; by default frames of `min_width` percent at least.
pub(crate) fn prune_options(args: &FlameArgs, min_width: f64) -> PruneOptions {
    PruneOptions {
        metric: match args.metric {
            MetricArg::Bytes => Metric::Bytes,
            MetricArg::Objects => Metric::Objects,
        },
        either: false,
        min_share: args.min_width.unwrap_or(min_width) / 100.0,
        max_depth: args.max_depth,
        max_frames: usize::try_from(args.max_frames).unwrap_or(usize::MAX),
    }
}

/// In which order siblings stand.
pub(crate) fn order(args: &FlameArgs) -> Order {
    match args.sort {
        Sort::Size => Order::Size,
        Sort::Name => Order::Name,
    }
}

fn draw(
    subject: &Subject<'_>,
    summary: &Summary,
    args: &FlameArgs,
    reporter: &Reporter,
    out: &mut dyn Write,
) -> Result<()> {
    let (tree, metric) = tree(subject, args, reporter)?;
    let live = summary.heap.live;
    let mut subtitle = format!(
        "{} live in {} objects, each drawn once, {}; width: {}",
        iec(live.bytes),
        thousands(live.objects),
        match args.tree {
            TreeArg::Path =>
                "held along the shortest path: the shortest chain of references from a root",
            TreeArg::Dominator => {
                "retained: under what alone keeps it alive, so that a frame is as wide as what would be freed with it"
            }
        },
        metric.name(),
    );
    match summary.diagnostics.len() {
        0 => {}
        1 => subtitle.push_str("; 1 warning"),
        n => subtitle.push_str(&format!("; {n} warnings")),
    }
    let options = FlameOptions {
        title: args
            .title
            .clone()
            .unwrap_or_else(|| title(summary, args.tree)),
        subtitle: Some(subtitle),
        notes: notes(summary),
        metric,
        roots_at_bottom: args.layout == Layout::Flame,
        order: order(args),
        ..FlameOptions::default()
    };
    Ok(flame_svg(&tree, &options, out)?)
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

/// What the file says about itself to those who open it in an editor.
fn notes(summary: &Summary) -> String {
    let mut notes = format!(
        "{} {}; core {} ({}); binary {}",
        summary.tool.name,
        summary.tool.version,
        summary.core.path,
        summary.core.kind,
        summary.binary.path,
    );
    if let Some(found) = &summary.reconciliation {
        notes.push_str(&format!(
            "; {} B {}, {} B by the runtime's count: {}",
            found.found_bytes, found.what, found.runtime_bytes, found.verdict
        ));
    }
    for diagnostic in &summary.diagnostics {
        notes.push_str(&format!("; warning: {}", diagnostic.text()));
    }
    notes
}
