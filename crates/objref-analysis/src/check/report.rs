//! What a check found.
//!
//! The JSON form is an interface: a field may be added within a [`CHECK_SCHEMA_VERSION`], but none is renamed, removed or
//! changed in meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::why_report::HoldingPath;
use crate::{Amount, Frame, Quantity, Severity, Signature, Tool};

/// The version of the JSON form of [`CheckReport`].
pub const CHECK_SCHEMA_VERSION: u32 = 1;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    /// [`CHECK_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The dump, as it was named.
    pub core: String,
    /// The policy, as it was named; `null` if there was none.
    pub policy: Option<String>,
    /// The baseline, as it was named.
    pub baseline: Option<String>,
    /// The day as of which things have expired: `2026-12-31`.
    pub judged_on: String,
    /// Whether every rule holds that is not just a warning.
    pub passed: bool,
    /// All live objects.
    pub live: Amount,
    /// The rules, in the order of the policy.
    pub rules: Vec<RuleReport>,
    /// The ways that hold much.
    pub signatures: Signatures,
    /// What is wrong with the policy, as this dump shows.
    pub warnings: Vec<PolicyWarning>,
    /// What has to be said with every number.
    pub diagnostics: Vec<String>,
}

/// How a rule fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    #[default]
    Passed,
    /// It does not hold.
    Failed,
    /// It cannot be judged.
    NotApplicable,
}

/// A rule, and whether it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// Why it is there.
    pub reason: Option<String>,
    /// What it is if it does not hold.
    pub severity: Severity,
    /// Where it stands in the policy; 0 if it stands in none.
    pub line: u32,
    /// What it is about: `type main.Session`, `live heap`.
    pub subject: String,
    /// What of that is measured: `objects`, `bytes retained`, ...
    pub measure: String,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was measured: of several matches the biggest, without what is suppressed; `null` if it cannot be.
    pub measured: Option<Measured>,
    /// The most there may be.
    pub limit: Measured,
    /// How many names match.
    pub matches: u64,
    /// Why it cannot be judged, or what else there is to say.
    pub note: Option<String>,
    /// Who is to blame, the worst first; of a rule that holds, nobody.
    pub offenders: Vec<Offender>,
    /// How many more there are.
    pub offenders_left_out: u64,
    /// Who would be to blame, but is exempt.
    pub suppressed: Vec<Offender>,
}

/// So much of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Things.
    #[default]
    Count,
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
}

/// Who is to blame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Offender {
    /// What it is: the type, the root, the end of the way.
    pub name: String,
    /// Its part of what was measured.
    pub measured: Measured,
    /// What its way held in the baseline, where that matters.
    pub before: Option<Measured>,
    /// The signature of the way that holds it.
    pub signature: Signature,
    /// The names on that way, the root first; of goroutines the functions on the stack, the first one first.
    pub way: Vec<String>,
    /// The way to one of its objects.
    pub path: Option<HoldingPath>,
    /// Of goroutines: their stack, the innermost call first.
    pub stack: Vec<Frame>,
    /// Why it is exempt, if it is.
    pub suppressed: Option<String>,
}

/// Ways that hold much: those of the dump, and how they compare with the baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signatures {
    /// Ways that hold less bytes than this have none.
    pub threshold: u64,
    /// All of this dump, the biggest first.
    pub all: Vec<SignatureRow>,
    /// Those that the baseline has, too; `null` without a baseline.
    pub known: Option<u64>,
    /// Those that the baseline does not have, without those below another one.
    pub new: Vec<SignatureRow>,
    /// Those that only the baseline has.
    pub gone: Vec<SignatureRow>,
}

/// A way that holds much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignatureRow {
    /// Its signature.
    pub signature: Signature,
    /// The names on it: `root › step › step`.
    pub way: String,
    /// All objects at its end and below.
    pub held: Amount,
    /// The same in the baseline.
    pub before: Option<Amount>,
}

/// What is wrong with the policy, as this dump shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyWarning {
    /// Where in the policy.
    pub line: u32,
    /// The rule, if it is one.
    pub rule: Option<String>,
    /// What is wrong.
    pub text: String,
}

/// Between the names of a way.
pub(crate) const ARROW: &str = " › ";

impl From<Quantity> for Measured {
    fn from(quantity: Quantity) -> Self {
        let (value, unit) = match quantity {
            Quantity::Count(n) => (n as f64, Unit::Count),
            Quantity::Bytes(n) => (n as f64, Unit::Bytes),
            Quantity::Percent(percent) => (percent, Unit::Percent),
        };
        Measured { value, unit }
    }
}

impl Measured {
    /// Percent: a part of nothing, which JSON has no number for.
    pub(super) const OF_NOTHING: f64 = 1e12;

    /// For people.
    pub fn text(&self) -> String {
        if self.unit == Unit::Percent && self.value >= Self::OF_NOTHING {
            return "∞ %".to_owned();
        }
        let whole = self.value.round().max(0.0) as u64;
        match self.unit {
            Unit::Count => Quantity::Count(whole),
            Unit::Bytes => Quantity::Bytes(whole),
            Unit::Percent => Quantity::Percent(self.value),
        }
        .to_string()
    }
}

impl RuleReport {
    /// Whether the check fails because of it.
    pub fn fails(&self) -> bool {
        self.verdict == Verdict::Failed && self.severity == Severity::Error
    }

    /// Whether something is said of it that does not fail the check.
    pub fn warns(&self) -> bool {
        self.verdict == Verdict::Failed && self.severity == Severity::Warning
    }

    /// What was measured and what may be, on one line: `type main.Session: 212 objects, at most 0`.
    pub fn text(&self) -> String {
        let limit = self.limit.text();
        match (&self.measured, &self.note) {
            (Some(measured), note) => {
                let measured = measured.text();
                let note = note.as_ref().map(|note| format!(" ({note})"));
                format!(
                    "{}: {measured} {}, at most {limit}{}",
                    self.subject,
                    self.measure,
                    note.unwrap_or_default()
                )
            }
            (None, Some(note)) => format!("{}: {note}", self.subject),
            (None, None) => self.subject.clone(),
        }
    }
}

impl Offender {
    /// The way on one line.
    pub fn way_text(&self) -> String {
        self.way.join(ARROW)
    }
}
