//! What is exempt.

use super::goroutines::Group;
use super::report::{ARROW, Offender, PolicyWarning};
use super::ways::{Floor, Ways};
use crate::policy::{Date, Suppression};

/// The suppressions of a policy, and which of them have been of use.
pub(super) struct Suppressions<'a> {
    all: &'a [Suppression],
    today: Date,
    used: Vec<bool>,
}

impl<'a> Suppressions<'a> {
    pub(super) fn new(all: &'a [Suppression], today: Date) -> Self {
        Suppressions {
            all,
            today,
            used: vec![false; all.len()],
        }
    }

    /// Why the offender of a rule is exempt, if it is.
    pub(super) fn reason(&mut self, rule: &str, offender: &Offender) -> Option<String> {
        let way = offender.way_text();
        let at = self.all.iter().position(|suppression| {
            !self.is_expired(suppression)
                && suppression.rule.as_ref().is_none_or(|p| p.matches(rule))
                && is_meant(suppression, offender.signature.as_str(), &way)
        })?;
        self.used[at] = true;
        Some(self.all[at].reason.clone())
    }

    fn is_expired(&self, suppression: &Suppression) -> bool {
        suppression.expires.is_some_and(|day| day < self.today)
    }

    /// Those that have expired, and those that mean nothing that is there.
    pub(super) fn warnings(
        &self,
        ways: &Ways<'_>,
        floor: Floor,
        groups: &[Group],
    ) -> Vec<PolicyWarning> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let frames = ways.with_signature(floor).into_iter();
        let mut there: Vec<(String, String)> = frames
            .map(|frame| {
                (
                    ways.signature(frame).to_string(),
                    ways.names(frame).join(ARROW),
                )
            })
            .collect();
        let stacks = groups.iter();
        there.extend(stacks.map(|g| (g.signature.to_string(), g.functions.join(ARROW))));
        let mut warnings = Vec::new();
        for (suppression, used) in self.all.iter().zip(&self.used) {
            let text = if self.is_expired(suppression) {
                let day = suppression.expires.map(|day| day.to_string());
                let day = day.unwrap_or_default();
                format!("this suppression expired after {day}: it exempts nothing any more")
            } else if !used && !there.iter().any(|(s, way)| is_meant(suppression, s, way)) {
                "this suppression matches nothing in the dump: remove it if that is fixed"
                    .to_owned()
            } else {
                continue;
            };
            warnings.push(PolicyWarning {
                line: suppression.line,
                rule: None,
                text,
            });
        }
        warnings
    }
}

fn is_meant(suppression: &Suppression, signature: &str, way: &str) -> bool {
    let by_path = suppression.path.as_ref().is_some_and(|p| p.matches(way));
    by_path
        || suppression
            .signature
            .as_ref()
            .is_some_and(|s| s.as_str() == signature)
}
