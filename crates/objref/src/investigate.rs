//! The commands that ask what retains what: from their arguments to their output.

use std::process::ExitCode;

use anyhow::{Result, bail};
use objref_analysis::{Start, TopBy, TopOptions, TopSort, UnfoldOptions, unfold};
use objref_report::{json, top_text, tree_text};

use crate::args::{SummaryFormat, TopArgs, TopByArg, TopSortArg, TreeArgs};
use crate::failure::Usage;
use crate::listing::warn;
use crate::pipeline::Needs;
use crate::report::{answer, text_or_json};

/// Rows in text, unless more are asked for.
const ROWS: usize = 20;
/// Lines of a tree in text, unless more are asked for.
const LINES: usize = 100;

/// `objref top`
pub(crate) fn top(args: &TopArgs) -> Result<ExitCode> {
    let format = text_or_json(&args.common, args.format)?;
    let options = TopOptions {
        by: match args.by {
            TopByArg::Root => TopBy::Root,
            TopByArg::Type => TopBy::Type,
            TopByArg::Package => TopBy::Package,
            TopByArg::Goroutine => TopBy::Goroutine,
            TopByArg::Object => TopBy::Object,
        },
        sort: match args.sort {
            TopSortArg::Retained => TopSort::Retained,
            TopSortArg::Shallow => TopSort::Shallow,
            TopSortArg::Objects => TopSort::Objects,
        },
        limit: match args.limit {
            Some(0) => None,
            // A listing of all objects is another command.
            None if format == SummaryFormat::Text || args.by == TopByArg::Object => Some(ROWS),
            limit => limit,
        },
        focus: args.focus.clone(),
        ignore: args.ignore.clone(),
    };
    if options.by.is_roots() && options.sort == TopSort::Shallow {
        bail!(Usage(format!(
            "a {} has no size of its own: --sort retained or objects",
            options.by.word()
        )));
    }
    answer(
        &args.common,
        Needs {
            retained: true,
            ..Needs::default()
        },
        |subject, text, reporter, out| {
            warn(&subject.snapshot, reporter);
            let retained = subject.retained(reporter)?;
            reporter.phase("rank");
            let report = objref_analysis::top(&subject.snapshot, retained, &options)?;
            match format {
                SummaryFormat::Text => top_text(&report, text, out)?,
                SummaryFormat::Json => json(&report, out)?,
            }
            Ok(ExitCode::SUCCESS)
        },
    )
}

/// `objref tree`
pub(crate) fn tree(args: &TreeArgs) -> Result<ExitCode> {
    let format = text_or_json(&args.common, args.format)?;
    let options = UnfoldOptions {
        min_share: args.min / 100.0,
        max_depth: args.depth,
        limit: match args.limit {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None if format == SummaryFormat::Text => LINES,
            None => usize::MAX,
        },
        merge: !args.no_merge,
    };
    answer(
        &args.common,
        Needs {
            retained: true,
            ..Needs::default()
        },
        |subject, text, reporter, out| {
            let snapshot = &subject.snapshot;
            warn(snapshot, reporter);
            let retained = subject.retained(reporter)?;
            reporter.phase("unfold");
            let from = args.from.as_deref();
            let start = match from {
                Some(from) => Start::find(snapshot, retained, from)?,
                None => Start::Everything,
            };
            let report = unfold(snapshot, retained, (&start, from), &options);
            match format {
                SummaryFormat::Text => tree_text(&report, text, out)?,
                SummaryFormat::Json => json(&report, out)?,
            }
            Ok(ExitCode::SUCCESS)
        },
    )
}
