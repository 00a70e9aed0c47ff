//! What a check found, in the words of those who read it: people, and the systems that run checks.

mod github;
mod junit;
mod markdown;
mod sarif;
mod text;

pub use github::github;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;
pub use text::check_text;

use objref_analysis::{CheckReport, Offender, RuleReport, RuleVerdict, Severity};

use crate::restore::clean;

/// How many offenders of a rule are shown with the whole path that holds them.
const PATHS: usize = 3;

/// The rules in the order in which they matter: those that fail the check, those that warn, those that cannot be judged,
/// those that hold.
fn by_weight(report: &CheckReport) -> Vec<&RuleReport> {
    let mut rules: Vec<&RuleReport> = report.rules.iter().collect();
    rules.sort_by_key(|rule| match (rule.verdict, rule.severity) {
        (RuleVerdict::Failed, Severity::Error) => 0,
        (RuleVerdict::Failed, Severity::Warning) => 1,
        (RuleVerdict::NotApplicable, _) => 2,
        (RuleVerdict::Passed, _) => 3,
    });
    rules
}

/// How many rules fail, warn, hold, and cannot be judged.
fn counts(report: &CheckReport) -> [usize; 4] {
    let count = |is: &dyn Fn(&RuleReport) -> bool| report.rules.iter().filter(|r| is(r)).count();
    [
        count(&RuleReport::fails),
        count(&RuleReport::warns),
        count(&|rule| rule.verdict == RuleVerdict::Passed),
        count(&|rule| rule.verdict == RuleVerdict::NotApplicable),
    ]
}

/// `2 of 5 rules do not hold`
fn headline(report: &CheckReport) -> String {
    let [failed, warned, passed, unjudged] = counts(report);
    let all = report.rules.len();
    let rules = match all {
        0 => return "no rules to hold it against".to_owned(),
        1 => "rule",
        _ => "rules",
    };
    let mut text = match failed {
        0 if passed == all => format!("{all} {rules}, all hold"),
        0 => format!("{passed} of {all} {rules} hold"),
        1 => format!("1 of {all} {rules} does not hold"),
        n => format!("{n} of {all} {rules} do not hold"),
    };
    if warned > 0 {
        text.push_str(&format!(", {warned} warned"));
    }
    if unjudged > 0 {
        text.push_str(&format!(", {unjudged} cannot be judged"));
    }
    text
}

/// Where the rule stands: `objref.toml:12`; nothing if it stands in no file.
fn place(report: &CheckReport, line: u32) -> Option<String> {
    let policy = report.policy.as_ref()?;
    (line > 0).then(|| format!("{}:{line}", clean(policy)))
}

/// What an offender is in one line: `800 objects of main.Session`.
fn offence(offender: &Offender) -> String {
    let mut text = format!("{} {}", offender.measured.text(), offender.name);
    if let Some(before) = &offender.before {
        text.push_str(&format!(" ({} in the baseline)", before.text()));
    }
    text
}
