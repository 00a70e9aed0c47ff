//! Whether a heap is as it should be: a policy's rules, held against a dump and perhaps against a baseline.

mod baseline;
mod blame;
mod goroutines;
mod judge;
mod known;
mod report;
mod suppress;
mod ways;

use objref_snapshot::{Dump, References, Retained, Snapshot};

pub use baseline::{BASELINE_SCHEMA_VERSION, Baseline, Program, RootAmount, Stacked};
pub use report::{
    CHECK_SCHEMA_VERSION, CheckReport, Measured, Offender, PolicyWarning, RuleReport, SignatureRow,
    Signatures, Unit, Verdict as RuleVerdict,
};

use crate::policy::{Date, Policy};
use crate::{Amount, Diagnostic, Tool};
use judge::Judge;
use known::Known;
use report::ARROW;
use suppress::Suppressions;
use ways::Ways;

/// What a heap is held against.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions<'a> {
    /// The rules.
    pub policy: &'a Policy,
    /// What the heap was like, and the name of the file that says so.
    pub baseline: Option<(&'a str, &'a Baseline)>,
    /// The day as of which things have expired.
    pub today: Date,
}

/// What a check found.
pub struct Checked {
    /// Whether the rules hold.
    pub report: CheckReport,
    /// What the heap is like, for the next check.
    pub baseline: Baseline,
}

/// Holds a heap against a policy. With the `dump`, names are known that an index does not have.
pub fn check(
    snapshot: &Snapshot,
    references: &References<'_>,
    retained: &Retained,
    dump: Option<&Dump>,
    options: &CheckOptions<'_>,
) -> Checked {
    let policy = options.policy;
    let ways = Ways::new(snapshot, references);
    let floor = ways.floor(&policy.threshold);
    let compared = options
        .baseline
        .map(|(_, baseline)| baseline.compare(&ways, floor));
    let groups = goroutines::groups(snapshot);
    let mut judge = Judge {
        snapshot,
        retained,
        references,
        ways: &ways,
        groups: &groups,
        floor,
        baseline: options.baseline.map(|(_, baseline)| baseline),
        new: compared.as_ref().map(|compared| &compared.new[..]),
        known: Known::new(snapshot, dump),
        suppressions: Suppressions::new(&policy.suppressions, options.today),
        types: None,
        roots: None,
    };
    let mut warnings = Vec::new();
    let mut rules = Vec::new();
    for rule in &policy.rules {
        let warn = |text: String| PolicyWarning {
            line: rule.line,
            rule: Some(rule.name.clone()),
            text,
        };
        if let Some(day) = rule.expires.filter(|day| *day < options.today) {
            let text = format!("expired after {day}, and still holds: renew or remove it");
            warnings.push(warn(text));
        }
        let (report, complaint) = judge.judge(rule);
        warnings.extend(complaint.map(warn));
        rules.push(report);
    }
    warnings.extend(judge.suppressions.warnings(&ways, floor, &groups));
    warnings.sort_by_key(|warning| warning.line);
    let row = |frame: u32| {
        let signature = ways.signature(frame);
        SignatureRow {
            way: ways.names(frame).join(ARROW),
            held: baseline::held(&ways, frame),
            before: options
                .baseline
                .and_then(|(_, baseline)| baseline.held(&signature)),
            signature,
        }
    };
    let sorted = |frames: &[u32]| {
        let mut rows: Vec<SignatureRow> = frames.iter().map(|frame| row(*frame)).collect();
        rows.sort_by(|a, b| (b.held.bytes, &a.way).cmp(&(a.held.bytes, &b.way)));
        rows
    };
    let all = sorted(&ways.with_signature(floor));
    let signatures = Signatures {
        threshold: floor.bytes,
        all,
        known: compared.as_ref().map(|compared| compared.known),
        new: compared.as_ref().map_or(Vec::new(), |c| sorted(&c.new)),
        gone: compared.as_ref().map_or(Vec::new(), |c| c.gone.clone()),
    };
    let (types, roots) = (judge.types().clone(), judge.roots().clone());
    let written = Baseline::of(snapshot, &ways, floor, (types, roots), &groups);
    let report = CheckReport {
        schema_version: CHECK_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        policy: policy.path.clone(),
        baseline: options.baseline.map(|(name, _)| name.to_owned()),
        judged_on: options.today.to_string(),
        passed: !rules.iter().any(RuleReport::fails),
        live: Amount {
            bytes: ways.totals.bytes[0],
            objects: ways.totals.objects[0],
        },
        rules,
        signatures,
        warnings,
        diagnostics: diagnostics(snapshot),
    };
    Checked {
        report,
        baseline: written,
    }
}

fn diagnostics(snapshot: &Snapshot) -> Vec<String> {
    let all = snapshot.diagnostics.iter();
    all.map(|d| {
        let diagnostic = Diagnostic {
            code: d.code.clone().into_owned(),
            message: d.message.clone(),
            count: d.count,
        };
        format!("{} [{}]", diagnostic.text(), diagnostic.code)
    })
    .collect()
}
