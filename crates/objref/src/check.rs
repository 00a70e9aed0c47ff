//! `objref check`: from its arguments to its reports.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use objref_analysis::{Baseline, CheckOptions, CheckReport, Date, Policy};
use objref_report::{TextOptions, check_text, github, json, junit, markdown, sarif};

use crate::args::{CheckArgs, CheckFormat, Report};
use crate::failure::Usage;
use crate::listing::warn;
use crate::output::Output;
use crate::pipeline::Needs;
use crate::report::answer;

/// `objref check`
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode> {
    let format = main_format(args)?;
    apart(args)?;
    // Whatever is wrong with these is said before the dump is opened.
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let policy = match (&args.policy, &baseline) {
        (Some(path), _) => read_policy(path)?,
        (None, Some(_)) => Policy::nothing_new(),
        (None, None) if args.write_baseline.is_some() => Policy::default(),
        (None, None) => bail!(Usage(
            "nothing to check against: give --policy FILE, --baseline FILE or --write-baseline FILE"
                .to_owned()
        )),
    };
    let mut reports = Vec::new();
    for report in &args.reports {
        reports.push((report, Output::open(Some(&report.path))?));
    }
    let written = args.write_baseline.as_deref();
    let mut written = written.map(|path| Output::open(Some(path))).transpose()?;
    let name = args
        .baseline
        .as_ref()
        .map(|path| path.display().to_string());
    let options = CheckOptions {
        policy: &policy,
        baseline: name.as_deref().zip(baseline.as_ref()),
        today: args.today.unwrap_or_else(today),
    };
    let needs = Needs {
        references: true,
        retained: true,
        ..Needs::default()
    };
    answer(&args.common, needs, |subject, text, reporter, out| {
        let snapshot = &subject.snapshot;
        warn(snapshot, reporter);
        if let Some((name, baseline)) = options.baseline
            && let Some(mismatch) = baseline.mismatch(snapshot)
        {
            bail!("{name}: {mismatch}");
        }
        let retained = subject.retained(reporter)?;
        reporter.phase("check");
        let references = subject.references()?;
        let dump = subject.dump().ok();
        let checked = objref_analysis::check(snapshot, references, retained, dump, &options);
        write(&checked.report, format, text, out)?;
        // All are written before the first is put in its place: a full disk leaves none.
        for (report, out) in &mut reports {
            let plain = TextOptions {
                colour: false,
                shorten: false,
                ..*text
            };
            write(&checked.report, report.format, &plain, out)
                .and_then(|()| out.flush())
                .map_err(|error| Output::explain(Some(&report.path), error))?;
        }
        if let Some(out) = &mut written {
            json(&checked.baseline, out)
                .and_then(|()| out.flush())
                .map_err(|error| Output::explain(args.write_baseline.as_deref(), error))?;
        }
        for out in reports.into_iter().map(|(_, out)| out).chain(written) {
            out.finish()?;
        }
        Ok(match checked.report.passed {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    })
}

fn write(
    report: &CheckReport,
    format: CheckFormat,
    text: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        CheckFormat::Text => check_text(report, text, out),
        CheckFormat::Json => json(report, out),
        CheckFormat::Markdown => markdown(report, out),
        CheckFormat::Junit => junit(report, out),
        CheckFormat::Sarif => sarif(report, out),
        CheckFormat::Github => github(report, out),
    }
}

fn main_format(args: &CheckArgs) -> Result<CheckFormat> {
    match (args.format, args.common.output.as_deref()) {
        (Some(format), _) => Ok(format),
        (None, Some(path)) if path.extension().is_some() => CheckFormat::by_extension(path)
            .ok_or_else(|| {
                let path = path.display();
                let text = format!("{path}: no format has that extension; say --format FORMAT");
                Usage(text).into()
            }),
        (None, _) => Ok(CheckFormat::Text),
    }
}

/// Two reports in one place would overwrite each other.
fn apart(args: &CheckArgs) -> Result<()> {
    let stdout = || PathBuf::from("-");
    let main = args.common.output.clone().unwrap_or_else(stdout);
    let reports = args.reports.iter().map(|report| report.path.clone());
    let all: Vec<PathBuf> = std::iter::once(main)
        .chain(reports)
        .chain(args.write_baseline.clone())
        .collect();
    for (n, path) in all.iter().enumerate() {
        if path != Path::new("/dev/null") && all[..n].contains(path) {
            let place = match path.to_str() {
                Some("-") => "standard output".to_owned(),
                _ => path.display().to_string(),
            };
            bail!(Usage(format!(
                "two reports to {place}: give each a file of its own"
            )));
        }
    }
    Ok(())
}

fn read_policy(path: &Path) -> Result<Policy> {
    let text = read(path, "policy")?;
    let name = path.display().to_string();
    match Policy::parse(&text) {
        Ok(policy) => Ok(Policy {
            path: Some(name),
            ..policy
        }),
        Err(errors) => {
            let lines: Vec<String> = errors
                .iter()
                .map(|error| format!("{name}:{error}"))
                .collect();
            bail!("{}", lines.join("\n"))
        }
    }
}

fn read_baseline(path: &Path) -> Result<Baseline> {
    let text = read(path, "baseline")?;
    Baseline::parse(&text).map_err(|error| {
        let path = path.display();
        anyhow!(
            "{path}: no baseline: {error}; write one with objref check CORE --write-baseline {path}"
        )
    })
}

fn read(path: &Path, what: &str) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| anyhow!("{}: the {what} cannot be read: {error}", path.display()))
}

/// The day that it is, in Greenwich.
fn today() -> Date {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / 86_400);
    Date::from_unix_days(u32::try_from(days).unwrap_or(u32::MAX))
}

impl CheckFormat {
    /// The format that the name of a file asks for.
    pub(crate) fn by_extension(path: &Path) -> Option<CheckFormat> {
        let name = path.to_string_lossy().to_ascii_lowercase();
        let ends = [
            (".sarif", CheckFormat::Sarif),
            (".sarif.json", CheckFormat::Sarif),
            (".json", CheckFormat::Json),
            (".xml", CheckFormat::Junit),
            (".md", CheckFormat::Markdown),
            (".txt", CheckFormat::Text),
        ];
        let found = ends.iter().find(|(end, _)| name.ends_with(end));
        found.map(|(_, format)| *format)
    }
}

/// `junit=out.xml`, or a file whose extension says it.
pub(crate) fn report(text: &str) -> Result<Report, String> {
    use clap::ValueEnum;
    if let Some((format, path)) = text.split_once('=')
        && let Ok(format) = CheckFormat::from_str(format, false)
    {
        return match path {
            "" => Err("write where? --report junit=heap.xml".to_owned()),
            path => Ok(Report {
                format,
                path: path.into(),
            }),
        };
    }
    match CheckFormat::by_extension(Path::new(text)) {
        Some(format) => Ok(Report {
            format,
            path: text.into(),
        }),
        None => {
            Err("say in which format: text, json, markdown, junit, sarif or github=FILE".to_owned())
        }
    }
}
