//! The commands that list: from their arguments to their output.

use std::io;
use std::process::ExitCode;

use anyhow::{Result, bail};
use objref_analysis::{GoroutineOptions, GroupBy, TypeGroup, TypeOptions, thousands};
use objref_report::{goroutines_text, json, types_text, verify_text};
use objref_snapshot::Snapshot;

use crate::args::{
    GoroutinesArgs, GroupByArg, IndexArgs, SummaryArgs, SummaryFormat, TypeGroupArg, TypesArgs,
};
use crate::failure::Usage;
use crate::pipeline::Needs;
use crate::progress::Reporter;
use crate::report::{answer, text_or_json};

/// Groups in text, unless more are asked for.
const GROUPS: usize = 20;
/// Types in text, unless more are asked for.
const TYPES: usize = 30;

/// `objref goroutines`
pub(crate) fn goroutines(args: &GoroutinesArgs) -> Result<ExitCode> {
    let format = text_or_json(&args.common, args.format)?;
    let options = GoroutineOptions {
        all: args.all,
        system: args.system,
        group_by: match args.group_by {
            GroupByArg::Stack => GroupBy::Stack,
            GroupByArg::Creator => GroupBy::Creator,
            GroupByArg::Label => GroupBy::Label,
            GroupByArg::Wait => GroupBy::Wait,
        },
        filter: args.filter.clone(),
        limit: match args.limit {
            Some(0) => None,
            Some(limit) => Some(limit),
            None if args.all || format == SummaryFormat::Json => None,
            None => Some(GROUPS),
        },
    };
    answer(
        &args.common,
        Needs::default(),
        |subject, text, reporter, out| {
            let snapshot = &subject.snapshot;
            reporter.phase("list goroutines");
            warn(snapshot, reporter);
            let report = objref_analysis::goroutines(snapshot, &options);
            match format {
                SummaryFormat::Text => goroutines_text(&report, text, out)?,
                SummaryFormat::Json => json(&report, out)?,
            }
            Ok(ExitCode::SUCCESS)
        },
    )
}

/// `objref types`
pub(crate) fn types(args: &TypesArgs) -> Result<ExitCode> {
    let format = text_or_json(&args.common, args.format)?;
    let options = TypeOptions {
        group_by: match args.group {
            TypeGroupArg::Type => TypeGroup::Type,
            TypeGroupArg::Package => TypeGroup::Package,
            TypeGroupArg::Kind => TypeGroup::Kind,
        },
        limit: match args.limit {
            Some(0) => None,
            None if format == SummaryFormat::Text => Some(TYPES),
            limit => limit,
        },
        unknown: args.unknown,
    };
    answer(
        &args.common,
        Needs::default(),
        |subject, text, reporter, out| {
            let snapshot = &subject.snapshot;
            reporter.phase("count types");
            warn(snapshot, reporter);
            let report = objref_analysis::types(snapshot, &options);
            match format {
                SummaryFormat::Text => types_text(&report, text, out)?,
                SummaryFormat::Json => json(&report, out)?,
            }
            Ok(ExitCode::SUCCESS)
        },
    )
}

/// `objref verify`
pub(crate) fn verify(args: &SummaryArgs) -> Result<ExitCode> {
    let format = text_or_json(&args.common, args.format)?;
    answer(
        &args.common,
        Needs {
            dump: true,
            ..Needs::default()
        },
        |subject, text, reporter, out| {
            let (dump, snapshot) = (subject.dump()?, &subject.snapshot);
            reporter.phase("verify");
            warn(snapshot, reporter);
            let found = objref_analysis::verify(dump, snapshot)
                .ok_or_else(|| io::Error::other("the heap's tables cannot be read again"))?;
            match format {
                SummaryFormat::Text => verify_text(&found, text, out)?,
                SummaryFormat::Json => json(&found, out)?,
            }
            Ok(match found.contradictions {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            })
        },
    )
}

/// `objref index`
pub(crate) fn index(args: &IndexArgs) -> Result<ExitCode> {
    if args.common.output.is_none() {
        bail!(Usage(
            "say where to write the index: -o FILE.objref".to_owned()
        ));
    }
    let needs = Needs {
        references: true,
        retained: true,
        ..Needs::default()
    };
    answer(&args.common, needs, |subject, _, reporter, out| {
        warn(&subject.snapshot, reporter);
        subject.write_index(args.redact, reporter, out)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Says on standard error what has to be said with every number.
pub(crate) fn warn(snapshot: &Snapshot, reporter: &Reporter) {
    for d in &snapshot.diagnostics {
        let times = match d.count {
            0 | 1 => String::new(),
            n => format!("{} ", thousands(n)),
        };
        reporter.warn(&format!("{times}{} [{}]", d.message, d.code));
    }
}
