//! What follows from the definition of the command line: completions for shells, and manual pages.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::args::{Args, CompletionsArgs, ManArgs};
use crate::failure::Usage;
use crate::output::Output;

/// `objref completions`
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    write(args.output.as_deref(), |out| {
        // What generates them panics where it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(args.shell, &mut Args::command(), "objref", &mut script);
        out.write_all(&script)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// `objref man`
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode> {
    let mut all = Args::command().disable_help_subcommand(true);
    all.build();
    match (&args.output, &args.command) {
        (Some(dir), _) => {
            let cannot = |error| anyhow!("{}: cannot be made: {error}", dir.display());
            fs::create_dir_all(dir).map_err(cannot)?;
            for command in std::iter::once(&all).chain(all.get_subcommands()) {
                let page = Man::new(command.clone());
                let path = dir.join(page.get_filename());
                write(Some(&path), |out| write_page(command, out))?;
            }
        }
        (None, None) => write(None, |out| write_page(&all, out))?,
        (None, Some(name)) => {
            let Some(command) = all.find_subcommand(name) else {
                let names: Vec<&str> = all.get_subcommands().map(Command::get_name).collect();
                let names = names.join(", ");
                return Err(Usage(format!("{name}: no such command; there are {names}")).into());
            };
            write(None, |out| write_page(command, out))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: Option<&Path>, to: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = Output::open(path)?;
    to(&mut out).map_err(|error| Output::explain(path, error))?;
    out.finish()
}

/// The page of one command.
fn write_page(command: &Command, mut out: &mut dyn Write) -> io::Result<()> {
    let page = Man::new(command.clone());
    // Left to itself, the generator takes the name for the date, which it leaves empty.
    let (title, version) = (page.get_filename(), env!("CARGO_PKG_VERSION"));
    let title = title.trim_end_matches(".1").to_uppercase();
    writeln!(out, ".TH {title} 1 \"\" \"objref {version}\"")?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    if command.get_arguments().any(|arg| !arg.is_hide_set()) {
        page.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    // Left to itself, the generator fills the lines of examples.
    let after = command.get_after_help().map(ToString::to_string);
    for part in after.unwrap_or_default().split("\n\n") {
        let Some((heading, lines)) = part.split_once('\n') else {
            continue;
        };
        let heading = heading.trim_end_matches(':').to_uppercase();
        write!(out, ".SH \"{heading}\"\n.nf\n")?;
        for line in lines.lines() {
            let line = line.strip_prefix("  ").unwrap_or(line);
            writeln!(out, "{}", roff_line(line))?;
        }
        writeln!(out, ".fi")?;
    }
    match command.get_version() {
        Some(_) => page.render_version_section(&mut out),
        None => Ok(()),
    }
}

/// `line` as text: no request at its start, no escape in it, and hyphens that can be copied.
fn roff_line(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_taken_for_requests() {
        assert_eq!(roff_line("objref -o a\\b"), "objref \\-o a\\eb");
        assert_eq!(roff_line(".TH"), "\\&.TH");
    }

    #[test]
    fn a_page_has_examples_line_by_line() {
        let mut command = Args::command();
        command.build();
        let mut page = Vec::new();
        write_page(&command, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(
            page.contains("\n.SH \"EXAMPLES\"\n.nf\nobjref core"),
            "{page}"
        );
        assert!(page.contains("\n.SH \"EXIT STATUS\"\n.nf\n0 "), "{page}");
    }
}
