//! What a heap must not be: rules, and what is exempt from them, read from a file.
//!
//! ```toml
//! [[rule]]
//! name = "sessions end"
//! type = "shop/session.Session"
//! max_objects = 100
//! reason = "the soak test logs everybody out"
//!
//! [[suppress]]
//! signature = "d77d918ebf9a9593"
//! reason = "fixed with the next release of the driver"
//! expires = 2026-12-31
//! ```
//!
//! Everything that is wrong with a policy is found when it is read ([`Policy::parse`]), with its place in the file.

mod document;
mod keys;
mod pattern;
mod read;
mod size;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use keys::policy_schema;
pub use pattern::Pattern;
pub use size::Quantity;

use crate::Signature;

/// Rules, and what is exempt from them.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The file, as it was named.
    pub path: Option<String>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// What is exempt.
    pub suppressions: Vec<Suppression>,
    /// Which ways are worth a signature.
    pub threshold: Threshold,
}

/// One thing that must not be.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name; no other rule has it.
    pub name: String,
    /// Why it is there.
    pub reason: Option<String>,
    /// Its last day. Afterwards it is still a rule, and a warning says that somebody should look at it.
    pub expires: Option<Date>,
    /// What it is if it does not hold.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What of that is measured.
    pub measure: Measure,
    /// The most there may be.
    pub limit: Quantity,
    /// Smaller matches are not looked at.
    pub ignore_below: Option<u64>,
    /// Where it stands in the file; 0 for one that stands in no file.
    pub line: u32,
}

/// What a rule is if it does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The check fails.
    #[default]
    Error,
    /// It is said, and the check does not fail.
    Warning,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The heap as a whole.
    Heap,
    /// Each root of such a name.
    Root(Pattern),
    /// Each type of such a name.
    Type(Pattern),
    /// Each package of such a name.
    Package(Pattern),
    /// Each way from a root, written `root › step › step`, that has a signature.
    Path(Pattern),
    /// All goroutines of which all of these are true.
    Goroutines {
        /// A function on their stacks has such a name.
        function: Option<Pattern>,
        /// They do this, or wait for it.
        state: Option<Pattern>,
        /// They have this label: a key and perhaps its value.
        label: Option<(String, Option<String>)>,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Live bytes.
    Live,
    /// Bytes that would be freed without it.
    Retained,
    /// Bytes of the objects themselves; of a way, of all objects at its end and below.
    Bytes,
    /// The number of objects.
    Objects,
    /// The number of goroutines.
    Goroutines,
    /// Allocated bytes that nothing reaches.
    Garbage,
    /// Live bytes of unknown type.
    Untyped,
    /// Bytes that the core should have and lacks.
    Missing,
    /// Bytes by which our count and the runtime's differ.
    Uncovered,
    /// By how much there is more than in the baseline.
    Growth,
    /// Ways that the baseline does not have.
    NewSignatures,
}

/// What is exempt: ways by their signature or by their words, of all rules or of some.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// The way with this signature.
    pub signature: Option<Signature>,
    /// Ways of such words: `root › step › step`.
    pub path: Option<Pattern>,
    /// Of these rules only.
    pub rule: Option<Pattern>,
    /// Why.
    pub reason: String,
    /// Its last day. Afterwards it exempts nothing, and a warning says so.
    pub expires: Option<Date>,
    /// Where it stands in the file.
    pub line: u32,
}

/// From which size on a way has a signature; what is smaller comes and goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Of the live heap, in percent.
    pub percent: f64,
    /// Bytes.
    pub bytes: u64,
}

impl Default for Threshold {
    fn default() -> Self {
        Threshold {
            percent: 1.0,
            bytes: 64 << 10,
        }
    }
}

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day, from 1.
    pub day: u8,
}

impl Date {
    /// The day so many days after 1970-01-01.
    // Howard Hinnant, chrono-compatible low-level date algorithms: civil_from_days
    pub fn from_unix_days(days: u32) -> Date {
        let z = u64::from(days) + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Date {
            year: (yoe + era * 400 + u64::from(month <= 2)).min(9999) as u16,
            month: month as u8,
            day: (doy - (153 * mp + 2) / 5 + 1) as u8,
        }
    }

    /// The day that `text` is: `2026-12-31`.
    pub fn parse(text: &str) -> Option<Date> {
        let date = text.parse::<toml::value::Datetime>().ok()?;
        match (date.date, date.time, date.offset) {
            (Some(date), None, None) => Some(date.into()),
            _ => None,
        }
    }
}

impl From<toml::value::Date> for Date {
    fn from(date: toml::value::Date) -> Self {
        Date {
            year: date.year,
            month: date.month,
            day: date.day,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Reads a policy; if anything is wrong with it, all that is, in the order of the file.
    ///
    /// # Errors
    ///
    /// What is wrong; at least one.
    pub fn parse(text: &str) -> Result<Policy, Vec<PolicyError>> {
        read::policy(text)
    }

    /// What a check against a baseline asks for if nobody says otherwise: nothing new.
    pub fn nothing_new() -> Policy {
        Policy {
            rules: vec![Rule {
                name: "nothing new".to_owned(),
                reason: None,
                expires: None,
                severity: Severity::Error,
                subject: Subject::Heap,
                measure: Measure::NewSignatures,
                limit: Quantity::Count(0),
                ignore_below: None,
                line: 0,
            }],
            ..Policy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_818, "2026-12-31"),
        ] {
            assert_eq!(Date::from_unix_days(days).to_string(), expected);
            assert_eq!(Date::parse(expected), Some(Date::from_unix_days(days)));
        }
        assert_eq!(Date::parse("2026-02-30"), None);
        assert_eq!(Date::parse("2026-12-31T00:00:00Z"), None);
    }
}
