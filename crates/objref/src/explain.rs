//! The commands that explain one thing: from their arguments to their output.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};
use objref_analysis::{Exclude, Limits, ObjectOptions, Question, Unasked, WhyOptions};
use objref_report::{dot, json, object_text, why_graph, why_text};
use objref_snapshot::Whereabouts;

use crate::args::{ExcludeArg, ObjectArgs, SummaryFormat, WhyArgs, WhyFormat};
use crate::failure::Usage;
use crate::listing::warn;
use crate::pipeline::{Needs, Subject};
use crate::report::{answer, text_or_json};

/// `objref why`
pub(crate) fn why(args: &WhyArgs) -> Result<ExitCode> {
    let (common, what) = args.common.split_last()?;
    let format = match (args.format, common.output.as_deref()) {
        (Some(format), _) => format,
        (None, Some(path)) if path.extension().is_some_and(|end| end == "dot") => WhyFormat::Dot,
        (None, _) => match text_or_json(&common, None)? {
            SummaryFormat::Text => WhyFormat::Text,
            SummaryFormat::Json => WhyFormat::Json,
        },
    };
    let options = WhyOptions {
        paths: args.paths.into(),
        exclude: Exclude {
            weak: args.exclude.contains(&ExcludeArg::Weak),
            finalizer: args.exclude.contains(&ExcludeArg::Finalizer),
            pool: args.exclude.contains(&ExcludeArg::Pool),
        },
        ..WhyOptions::default()
    };
    let needs = Needs {
        references: true,
        retained: true,
        ..Needs::default()
    };
    answer(&common, needs, |subject, text, reporter, out| {
        warn(&subject.snapshot, reporter);
        let question = question(subject, &what)?;
        if let Some(address) = question.garbage(&subject.snapshot) {
            return Err(elsewhere(subject, address));
        }
        let retained = subject.retained(reporter)?;
        reporter.phase("search");
        let found = objref_analysis::why(
            &subject.snapshot,
            subject.references()?,
            retained,
            &question,
            &options,
        );
        match format {
            WhyFormat::Text => why_text(&found, text, out)?,
            WhyFormat::Json => json(&found, out)?,
            WhyFormat::Dot => dot(&why_graph(&found), out)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// `objref object`
pub(crate) fn object(args: &ObjectArgs) -> Result<ExitCode> {
    let (common, what) = args.common.split_last()?;
    let format = text_or_json(&common, args.format)?;
    let options = ObjectOptions {
        raw: args.raw,
        limit: args.limit.into(),
        limits: Limits {
            depth: args.depth.into(),
            entries: args.limit.into(),
            ..Limits::default()
        },
    };
    if !what.starts_with("0x") {
        bail!(Usage(format!("{what}: give an address, 0x…")));
    }
    let needs = Needs {
        references: true,
        retained: true,
        values: true,
        ..Needs::default()
    };
    answer(&common, needs, |subject, text, reporter, out| {
        warn(&subject.snapshot, reporter);
        let Question::Object { object, offset } = question(subject, &what)? else {
            bail!("{what}: no object");
        };
        let retained = subject.retained(reporter)?;
        reporter.phase("read the object");
        let found = objref_analysis::object(
            &subject.snapshot,
            subject.dump().ok(),
            subject.references()?,
            retained,
            (object, offset),
            &options,
        );
        match format {
            SummaryFormat::Text => object_text(&found, text, out)?,
            SummaryFormat::Json => json(&found, out)?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn question(subject: &Subject<'_>, text: &str) -> Result<Question> {
    Question::parse(&subject.snapshot, text).map_err(|error| match error {
        Unasked::Address(address) => elsewhere(subject, address),
        Unasked::Name(error) => error.into(),
    })
}

/// What an address is that is no object which is held.
fn elsewhere(subject: &Subject<'_>, address: u64) -> anyhow::Error {
    let found = Whereabouts::of(&subject.snapshot, subject.dump().ok(), address);
    anyhow!("{address:#x}: {found}")
}
