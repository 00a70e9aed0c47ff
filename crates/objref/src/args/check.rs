//! The command line of `objref check`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use objref_analysis::Date;

use super::CommonArgs;

pub(super) const HELP: &str = "\
Examples:
  objref check core --exe server --policy objref.toml
  objref check core --policy objref.toml --report heap.sarif --report junit=heap.xml
  objref check core --write-baseline heap.json  and next time --baseline heap.json

Policy:
  [[rule]]                      as many as you like; each has a name and one limit
  name = \"sessions end\"
  type = \"main.Session\"       a name, or /a regular expression/
  max_objects = 5000

  What a rule is about: type, package, root, path; function, state and label of
  goroutines; without any of these the whole heap.
  Limits: max_live, max_retained, max_bytes, max_objects, max_goroutines,
  max_garbage, max_untyped, max_missing, max_uncovered, max_growth and
  max_new_signatures. Sizes are \"24 MB\", \"1.5GiB\" or \"10%\".
  Also: reason, expires = 2026-12-31, severity = \"warning\", ignore_below.

  [[suppress]]                  what is exempt
  signature = \"…\"             or path = \"/…/\"; and perhaps rule
  reason = \"known\"
  expires = 2026-12-31

Exit status:
  0 every rule holds that is no warning
  1 one does not
  2 the command line makes no sense
  3 the input, the policy or the baseline cannot be used, or the output not be written";

#[derive(ClapArgs, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// The rules; see below
    #[arg(short, long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// What the heap was like before; without a policy, nothing may be new
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write down what the heap is like, for the next --baseline
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// What to write; without it the extension of -o decides, else text
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<CheckFormat>,
    /// Write this, too: FORMAT=FILE, or a file that ends in .sarif, .xml (JUnit), .json, .md or .txt; may be given again
    #[arg(long = "report", value_name = "[FORMAT=]FILE", value_parser = crate::check::report)]
    pub(crate) reports: Vec<Report>,
    /// The day as of which rules and suppressions have expired [default: today]
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub(crate) today: Option<Date>,
}

/// A report beside the main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) format: CheckFormat,
    pub(crate) path: PathBuf,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For the summary of a workflow's step, or a comment
    Markdown,
    /// JUnit's XML: a test case for each rule
    Junit,
    /// SARIF 2.1.0: a result for each offender
    Sarif,
    /// Annotations of a GitHub workflow, ten at most
    Github,
}

fn date(text: &str) -> Result<Date, String> {
    Date::parse(text).ok_or_else(|| "a day: 2026-12-31".to_owned())
}
