//! The command that compares dumps: from its arguments to its output.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use objref_analysis::{
    Diff, DiffOptions, DiffReport, Given, Metric, PruneOptions, Sighting, iec, thousands,
};
use objref_report::{FlameOptions, diff_folded, diff_svg, diff_text, json};
use rayon::prelude::*;

use crate::args::{CommonArgs, DiffArgs, DiffFormat, Format, Layout, MetricArg};
use crate::failure::Usage;
use crate::inputs::is_index_file;
use crate::listing::warn;
use crate::pipeline::{Needs, Opened};
use crate::progress::Reporter;
use crate::report::{by_extension, respond};

/// Rows of a table in text, unless more are asked for.
const ROWS: usize = 20;

/// `objref diff`
pub(crate) fn diff(args: &DiffArgs) -> Result<ExitCode> {
    let format = format(args)?;
    let dumps = dumps(&args.common)?;
    let metric = match args.metric {
        MetricArg::Bytes => Metric::Bytes,
        MetricArg::Objects => Metric::Objects,
    };
    let options = DiffOptions {
        metric,
        limit: match args.limit {
            Some(0) => None,
            None if format == DiffFormat::Text => Some(ROWS),
            limit => limit,
        },
        given: Given {
            same_process: match (args.same_process, args.no_same_process) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            force: args.common.force,
        },
    };
    respond(&args.common, |reporter, say| {
        let dumps = look_at_all(&dumps, reporter)?;
        reporter.phase("compare");
        let Diff { report, tree } = objref_analysis::diff(&dumps, &options)?;
        drop(dumps);
        say.write(reporter, |text, out| {
            let pruned = || {
                tree.prune(&PruneOptions {
                    metric,
                    either: false,
                    min_share: args.min_width / 100.0,
                    max_depth: args.max_depth,
                    max_frames: args.max_frames as usize,
                })
            };
            match format {
                DiffFormat::Text => diff_text(&report, text, out)?,
                DiffFormat::Json => json(&report, out)?,
                DiffFormat::Svg => diff_svg(&pruned(), &picture(&report, args), out)?,
                DiffFormat::Folded => diff_folded(&pruned(), metric, out)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    })
}

fn format(args: &DiffArgs) -> Result<DiffFormat> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    Ok(match by_extension(args.common.output.as_deref())? {
        None | Some(Format::Text) => DiffFormat::Text,
        Some(Format::Json) => DiffFormat::Json,
        Some(Format::Svg) => DiffFormat::Svg,
        Some(Format::Folded) => DiffFormat::Folded,
        Some(_) => bail!(Usage(
            "diff writes text, json, svg or folded: -o FILE.svg".to_owned()
        )),
    })
}

/// What opens each dump: its file, and for a core its binary.
fn dumps(common: &CommonArgs) -> Result<Vec<CommonArgs>> {
    let cores = common.files.iter().filter(|file| !is_index_file(file));
    let (cores, exes) = (cores.count(), common.exe.len());
    if exes > 1 && exes != cores {
        bail!(Usage(format!(
            "{cores} cores and {exes} binaries: give one binary for all cores, or one for each in their order"
        )));
    }
    let mut exes = common.exe.iter();
    let shared = (common.exe.len() == 1).then(|| common.exe[0].clone());
    let dump = |file: &PathBuf| {
        let exe = match is_index_file(file) {
            true => None,
            false => shared.clone().or_else(|| exes.next().cloned()),
        };
        CommonArgs {
            files: vec![file.clone()],
            exe: exe.into_iter().collect(),
            ..common.clone()
        }
    };
    Ok(common.files.iter().map(dump).collect())
}

/// Looks at one dump after the other, which takes the memory of one; at indexes at the same time.
fn look_at_all(dumps: &[CommonArgs], reporter: &Reporter) -> Result<Vec<Sighting>> {
    let all_indexes = dumps.iter().all(|dump| is_index_file(&dump.files[0]));
    if all_indexes {
        return dumps
            .par_iter()
            .map(|dump| look_at(dump, reporter))
            .collect();
    }
    dumps.iter().map(|dump| look_at(dump, reporter)).collect()
}

fn look_at(dump: &CommonArgs, reporter: &Reporter) -> Result<Sighting> {
    reporter.phase("open the files");
    let opened = Opened::open(dump, Needs::default(), reporter)?;
    let subject = opened.subject(Needs::default(), reporter)?;
    reporter.phase("look at the dump");
    warn(&subject.snapshot, reporter);
    Ok(Sighting::new(&subject.snapshot))
}

/// What stands above the picture.
fn picture(report: &DiffReport, args: &DiffArgs) -> FlameOptions {
    let (first, last) = (&report.dumps[0], &report.dumps[report.dumps.len() - 1]);
    let command = last.command.as_deref().unwrap_or(&last.core);
    let program = command.split(' ').next().unwrap_or(command);
    let program = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str());
    let (before, after) = match report.metric {
        Metric::Bytes => (iec(first.heap.live.bytes), iec(last.heap.live.bytes)),
        Metric::Objects => (
            format!("{} objects", thousands(first.heap.live.objects)),
            format!("{} objects", thousands(last.heap.live.objects)),
        ),
    };
    let red = match report.dumps.len() {
        2 => "red: grown, darkest: new".to_owned(),
        n => format!("red: grown in each of {} steps", n - 1),
    };
    let kept = report.steps.iter().map(|step| step.relation.words());
    let mut kept: Vec<&str> = kept.collect();
    kept.dedup();
    FlameOptions {
        title: args.title.clone().unwrap_or_else(|| {
            let program = program.unwrap_or("the heap");
            format!("What has grown in {program}: {before} -> {after} live")
        }),
        subtitle: Some(format!(
            "{red}; blue: shrunk, darkest: gone; grey: the same. Width: {} there after, and of what is gone, before",
            report.metric.name()
        )),
        notes: format!(
            "{} {}; {}; {}",
            report.tool.name,
            report.tool.version,
            report
                .dumps
                .iter()
                .map(|dump| dump.core.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            kept.join(", ")
        ),
        metric: report.metric,
        roots_at_bottom: args.layout == Layout::Flame,
        ..FlameOptions::default()
    }
}
