//! One command from its arguments to its output.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use clap::CommandFactory;
use objref_analysis::{each_object, overview, summary};
use objref_report::{ObjectsTsv, TextOptions, json, summary_text};

use crate::args::{
    Args, Command, CommonArgs, FlameArgs, Format, Goroutines, MainArgs, SummaryFormat, TreeArg,
    When,
};
use crate::check;
use crate::compare;
use crate::explain;
use crate::failure::Usage;
use crate::investigate;
use crate::listing;
use crate::manual;
use crate::output::Output;
use crate::page;
use crate::picture::Picture;
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
        Some(Command::Why(args)) => explain::why(args),
        Some(Command::Object(args)) => explain::object(args),
        Some(Command::Top(args)) => investigate::top(args),
        Some(Command::Tree(args)) => investigate::tree(args),
        Some(Command::Verify(args)) => listing::verify(args),
        Some(Command::Check(args)) => check::check(args),
        Some(Command::Diff(args)) => compare::diff(args),
        Some(Command::Index(args)) => listing::index(args),
        Some(Command::Completions(args)) => manual::completions(args),
        Some(Command::Man(args)) => manual::man(args),
    }
}

/// `objref -v summary core` takes `summary` for a file.
fn misplaced_command(args: &CommonArgs) -> Result<()> {
    for command in Args::command().get_subcommands() {
        let name = command.get_name();
        if args.files[0] == Path::new(name) && !args.files[0].exists() {
            let way = format!("objref {name} [OPTIONS] ...");
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
        Some(Format::Json | Format::TreeJson | Format::Speedscope) => Ok(SummaryFormat::Json),
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

/// What the name of a file ends in, and the format that it asks for; the longer endings first.
const EXTENSIONS: [(&str, Format); 12] = [
    (".speedscope.json", Format::Speedscope),
    (".tree.json", Format::TreeJson),
    (".pb.gz", Format::Pprof),
    (".pprof", Format::Pprof),
    (".svg", Format::Svg),
    (".html", Format::Html),
    (".htm", Format::Html),
    (".folded", Format::Folded),
    (".dot", Format::Dot),
    (".txt", Format::Text),
    (".json", Format::Json),
    (".tsv", Format::Tsv),
];

/// The format that the name of a file asks for; `None` for one without an extension.
pub(crate) fn by_extension(path: Option<&Path>) -> Result<Option<Format>> {
    let Some(path) = path.filter(|path| path.extension().is_some()) else {
        return Ok(None);
    };
    let name = path.to_string_lossy().to_ascii_lowercase();
    match EXTENSIONS.iter().find(|(end, _)| name.ends_with(end)) {
        Some((_, format)) => Ok(Some(*format)),
        None => {
            let path = path.display();
            bail!(Usage(format!(
                "{path}: no format has that extension; say --format FORMAT"
            )))
        }
    }
}

fn produce(args: &CommonArgs, format: Format, flame: Option<&FlameArgs>) -> Result<ExitCode> {
    let needs = Needs {
        each_goroutine: flame.is_some_and(|flame| flame.goroutines == Goroutines::Each),
        retained: shows_retained(format, flame),
        ..Needs::default()
    };
    answer(args, needs, |subject, text, reporter, out| {
        write(subject, format, flame, text, reporter, out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Whether the format says what is retained, of such a tree.
fn shows_retained(format: Format, flame: Option<&FlameArgs>) -> bool {
    match format {
        Format::Html | Format::Pprof | Format::TreeJson | Format::Tsv => true,
        Format::Text | Format::Json => false,
        Format::Svg | Format::Folded | Format::Speedscope | Format::Dot => {
            flame.is_some_and(|flame| flame.tree == TreeArg::Dominator)
        }
    }
}

/// Makes the snapshot and writes what `write` has to say about it.
pub(crate) fn answer(
    args: &CommonArgs,
    needs: Needs,
    write: impl FnOnce(&Subject<'_>, &TextOptions, &Reporter, &mut dyn Write) -> Result<ExitCode>,
) -> Result<ExitCode> {
    respond(args, |reporter, say| {
        reporter.phase("open the files");
        let opened = Opened::open(args, needs, reporter)?;
        let subject = opened.subject(needs, reporter)?;
        say.write(reporter, |text, out| write(&subject, text, reporter, out))
    })
}

/// Opens the output, lets `act` find out what there is to say and say it.
pub(crate) fn respond(
    args: &CommonArgs,
    act: impl FnOnce(&Reporter, &mut Say<'_>) -> Result<ExitCode>,
) -> Result<ExitCode> {
    if let Some(limit) = args.memory_limit {
        let dir = std::env::temp_dir();
        objref_mem::limit_memory(limit, &dir).map_err(|error| {
            let dir = dir.display();
            anyhow!("--memory-limit needs a temporary file in {dir}: {error}; name another folder in TMPDIR")
        })?;
    }
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()?;
    }
    // First, so that nobody waits in vain.
    let mut say = Say {
        out: Output::open(args.output.as_deref())?,
        args,
    };
    let reporter = Reporter::new(args);
    let status = act(&reporter, &mut say)?;
    say.out.finish()?;
    if objref_mem::spilled().is_some_and(|spilled| !spilled.kept) {
        reporter.warn("the memory limit was not kept: there was no room for the temporary file");
    }
    reporter.finish();
    Ok(status)
}

/// Where the answer goes.
pub(crate) struct Say<'a> {
    out: Output,
    args: &'a CommonArgs,
}

impl Say<'_> {
    /// Has `write` write it.
    pub(crate) fn write(
        &mut self,
        reporter: &Reporter,
        write: impl FnOnce(&TextOptions, &mut dyn Write) -> Result<ExitCode>,
    ) -> Result<ExitCode> {
        if matches!(self.out, Output::Stdout(_)) && io::stdout().is_terminal() {
            reporter.clear();
        }
        let text = text_options(self.args, &self.out);
        write(&text, &mut self.out).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => Output::explain(self.args.output.as_deref(), error),
            Err(error) => error,
        })
    }
}

/// A terminal's width, and colours; elsewhere nothing is shortened.
fn text_options(args: &CommonArgs, out: &Output) -> TextOptions {
    let is_stdout = matches!(out, Output::Stdout(_));
    let terminal = is_stdout && io::stdout().is_terminal();
    let width = terminal.then(|| terminal_size::terminal_size_of(io::stdout()));
    TextOptions {
        width: width.flatten().map_or(80, |(width, _)| width.0.into()),
        colour: is_stdout && colour(args.color),
        shorten: terminal,
    }
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
    let summary = match format {
        Format::Text | Format::Json => summary(&subject.snapshot),
        _ => overview(&subject.snapshot),
    };
    // What shows no warnings itself leaves them to us.
    if !matches!(format, Format::Text | Format::Json | Format::TreeJson) {
        for diagnostic in &summary.diagnostics {
            reporter.warn(&format!("{} [{}]", diagnostic.text(), diagnostic.code));
        }
    }
    let picture = |flame| Picture::new(subject, &summary, format, flame, reporter);
    match (format, flame) {
        (Format::Text, _) => summary_text(&summary, text, out)?,
        (Format::Json, _) => json(&summary, out)?,
        (Format::Html, Some(flame)) => page::write(subject, &summary, flame, reporter, out)?,
        (Format::Svg, Some(flame)) => picture(flame)?.svg(out)?,
        (Format::Folded, Some(flame)) => picture(flame)?.folded(out)?,
        (Format::Pprof, Some(flame)) => picture(flame)?.pprof(out)?,
        (Format::Speedscope, Some(flame)) => picture(flame)?.speedscope(out)?,
        (Format::Dot, Some(flame)) => picture(flame)?.dot(out)?,
        (Format::TreeJson, Some(flame)) => picture(flame)?.json(out)?,
        (_, _) => {
            let retained = subject.retained(reporter)?;
            reporter.phase("write objects");
            let mut objects = ObjectsTsv::new(out)?;
            each_object(&subject.snapshot, retained, |row| objects.row(row))?;
            objects.finish()?;
        }
    }
    Ok(())
}
