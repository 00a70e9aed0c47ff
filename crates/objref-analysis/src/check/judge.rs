//! Whether a rule holds.

use std::collections::BTreeMap;

use objref_snapshot::{References, Retained, Snapshot};

use super::baseline::{Baseline, RootAmount};
use super::goroutines::Group;
use super::known::Known;
use super::report::{ARROW, Measured, Offender, RuleReport, Unit, Verdict};
use super::suppress::Suppressions;
use super::ways::{Floor, Ways};
use crate::policy::{Measure, Pattern, Quantity, Rule, Subject};
use crate::types::{add, package};
use crate::{Amount, TopBy, TopOptions, TypeGroup, TypeOptions, measure, top, types as histogram};

/// Offenders of a rule that are told.
const OFFENDERS: usize = 10;

/// A heap, and what rules are judged by.
pub(super) struct Judge<'a, 'd> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) retained: &'a Retained,
    pub(super) references: &'a References<'d>,
    pub(super) ways: &'a Ways<'a>,
    pub(super) groups: &'a [Group],
    pub(super) floor: Floor,
    pub(super) baseline: Option<&'a Baseline>,
    /// Frames of ways that the baseline does not have.
    pub(super) new: Option<&'a [u32]>,
    pub(super) known: Known<'a>,
    pub(super) suppressions: Suppressions<'a>,
    /// Live objects by type, once somebody has asked.
    pub(super) types: Option<BTreeMap<String, Amount>>,
    /// What roots retain, once somebody has asked.
    pub(super) roots: Option<BTreeMap<String, RootAmount>>,
}

/// Something that a rule is about, with what was measured of it.
pub(super) struct Match {
    /// Its name; empty for the heap as a whole.
    pub(super) name: String,
    /// How much: of growth how much more, of other things how much.
    value: f64,
    /// What a limit in percent is a part of.
    whole: f64,
    /// How much it is itself; smaller ones may be ignored.
    size: f64,
    /// Of growth: how much it was.
    before: Option<f64>,
    pub(super) whose: Whose,
}

/// Where to look for who is to blame.
pub(super) enum Whose {
    /// Nobody.
    Nobody,
    /// What holds the most.
    Heap,
    /// What this root holds.
    Root,
    /// Objects of a type, or of the types of a package.
    Objects(TypeGroup),
    /// The goroutines that are meant.
    Goroutines,
    /// This frame.
    Frame(u32),
}

impl Judge<'_, '_> {
    /// The rule's report, and what is wrong with the rule itself.
    pub(super) fn judge(&mut self, rule: &Rule) -> (RuleReport, Option<String>) {
        let mut report = RuleReport {
            name: rule.name.clone(),
            reason: rule.reason.clone(),
            severity: rule.severity,
            line: rule.line,
            subject: subject_text(rule),
            measure: measure_text(rule).to_owned(),
            limit: rule.limit.into(),
            ..RuleReport::default()
        };
        let not_applicable = |mut report: RuleReport, note: String| {
            report.verdict = Verdict::NotApplicable;
            report.note = Some(note);
            report
        };
        let matches = match self.matches(rule) {
            Ok(matches) => matches,
            Err(note) => return (not_applicable(report, note), None),
        };
        report.matches = matches.len() as u64;
        if is_empty(rule, &matches) {
            let complaint = match &rule.subject {
                Subject::Path(pattern) => Some(format!(
                    "no way that holds {} or more matches {pattern}",
                    crate::iec(self.floor.bytes)
                )),
                subject => self.known.complaint(subject),
            };
            if let Some(complaint) = complaint {
                return (not_applicable(report, complaint.clone()), Some(complaint));
            }
        }
        let unit = report.limit.unit;
        let mut most = 0f64;
        for found in matches {
            if rule
                .ignore_below
                .is_some_and(|least| found.size < least as f64)
            {
                continue;
            }
            most = most.max(self.hold(rule, &found, unit, &mut report));
        }
        report.offenders.sort_by(|a, b| {
            let by_value = b.measured.value.total_cmp(&a.measured.value);
            by_value.then_with(|| (&a.name, &a.way).cmp(&(&b.name, &b.way)))
        });
        report.offenders_left_out = report.offenders.len().saturating_sub(OFFENDERS) as u64;
        report.offenders.truncate(OFFENDERS);
        report.measured = Some(Measured { value: most, unit });
        (report, None)
    }

    /// Holds one match against the limit; returns what there is of it without what is exempt.
    fn hold(&mut self, rule: &Rule, found: &Match, unit: Unit, report: &mut RuleReport) -> f64 {
        let scaled = |value: f64| match unit {
            Unit::Percent if value <= 0.0 => 0.0,
            Unit::Percent if found.whole <= 0.0 => Measured::OF_NOTHING,
            Unit::Percent => value / found.whole * 100.0,
            _ => value,
        };
        let limit = report.limit.value;
        if scaled(found.value) <= limit {
            return scaled(found.value);
        }
        let (mut offenders, mut exempt) = (Vec::new(), 0.0);
        for mut offender in self.blame(rule, found) {
            let value = match rule.measure {
                Measure::NewSignatures => 1.0,
                _ => offender.measured.value,
            };
            offender.suppressed = self.suppressions.reason(&rule.name, &offender);
            if offender.suppressed.is_some() {
                exempt += value;
                report.suppressed.push(offender);
            } else {
                offenders.push(offender);
            }
        }
        let left = scaled((found.value - exempt).max(0.0));
        if left > limit {
            report.verdict = Verdict::Failed;
            report.offenders.append(&mut offenders);
            if let Some(before) = found.before {
                let text = |value| part(rule, value).text();
                let name = match found.name.as_str() {
                    "" => String::new(),
                    name => format!("{name}: "),
                };
                let (now, then) = (text(found.size), text(before));
                let grown = format!("{name}{now} now, {then} in the baseline");
                report.note = Some(match report.note.take() {
                    Some(note) => format!("{note}; {grown}"),
                    None => grown,
                });
            }
        }
        left
    }

    /// What the rule is about, and how much of it there is; why that cannot be said, if it cannot.
    fn matches(&mut self, rule: &Rule) -> Result<Vec<Match>, String> {
        if rule.measure == Measure::Growth {
            return self.growth(rule);
        }
        let live = self.ways.totals.bytes[0] as f64;
        Ok(match (&rule.subject, rule.measure) {
            (Subject::Heap, measure) => vec![self.heap(measure)?],
            (Subject::Root(pattern), measure) => {
                named(self.roots(), pattern, |root| match measure {
                    Measure::Bytes => root.held,
                    _ => root.retained,
                })
                .map(|(name, bytes)| Match::of(name, bytes, live, Whose::Root))
                .collect()
            }
            (Subject::Type(pattern), measure) => {
                self.of_types(pattern, measure, TypeGroup::Type, live)
            }
            (Subject::Package(pattern), measure) => {
                self.of_types(pattern, measure, TypeGroup::Package, live)
            }
            (Subject::Path(pattern), measure) => self
                .ways_called(pattern)
                .into_iter()
                .map(|(frame, name)| {
                    let value = match measure {
                        Measure::Objects => self.ways.totals.objects[frame as usize],
                        _ => self.ways.totals.bytes[frame as usize],
                    };
                    Match::of(&name, value as f64, live, Whose::Frame(frame))
                })
                .collect(),
            (subject @ Subject::Goroutines { .. }, _) => {
                let meant = self
                    .groups
                    .iter()
                    .map(|g| g.matching(self.snapshot, subject));
                let count = meant.sum::<u64>() as f64;
                vec![Match::of("", count, 0.0, Whose::Goroutines)]
            }
        })
    }

    fn heap(&self, measure: Measure) -> Result<Match, String> {
        let summary = measure::summary(self.snapshot);
        let heap = &summary.heap;
        let of = |value: u64, whole: u64, whose| Match::of("", value as f64, whole as f64, whose);
        Ok(match measure {
            Measure::Live => of(heap.live.bytes, 0, Whose::Heap),
            Measure::Objects => of(heap.live.objects, 0, Whose::Heap),
            Measure::Garbage => of(heap.garbage.bytes, heap.allocated.bytes, Whose::Nobody),
            Measure::Untyped => {
                let untyped = heap.live.bytes - heap.typed.bytes;
                of(untyped, heap.live.bytes, Whose::Nobody)
            }
            Measure::Missing => {
                let core = &summary.core;
                // A dump may also lack what it never promised.
                let of_heap = summary.missing.map_or(0, |missing| missing.heap_bytes);
                let missing = core.missing_bytes.max(of_heap);
                of(missing, core.bytes.saturating_add(missing), Whose::Nobody)
            }
            Measure::Uncovered => match &summary.reconciliation {
                Some(found) => {
                    let off = found.difference_bytes.unsigned_abs();
                    of(off, found.runtime_bytes, Whose::Nobody)
                }
                None => return Err("the runtime's own counters cannot be read".to_owned()),
            },
            Measure::Goroutines => {
                let all = self.groups.iter().map(|group| group.count).sum();
                of(all, 0, Whose::Goroutines)
            }
            Measure::NewSignatures => match self.new {
                Some(new) => of(new.len() as u64, 0, Whose::Heap),
                None => return Err(NO_BASELINE.to_owned()),
            },
            _ => return Err("it is of nothing".to_owned()),
        })
    }

    fn of_types(
        &mut self,
        pattern: &Pattern,
        measure: Measure,
        group: TypeGroup,
        live: f64,
    ) -> Vec<Match> {
        let whose = || Whose::Objects(group);
        if measure == Measure::Retained {
            let options = TopOptions {
                by: match group {
                    TypeGroup::Package => TopBy::Package,
                    _ => TopBy::Type,
                },
                ..TopOptions::default()
            };
            // Without patterns nothing can be unmatched.
            let rows = top::top(self.snapshot, self.retained, &options).map(|report| report.rows);
            return rows
                .unwrap_or_default()
                .iter()
                .filter(|row| pattern.matches(&row.name))
                .map(|row| Match::of(&row.name, row.retained.bytes as f64, live, whose()))
                .collect();
        }
        let amounts = self.amounts(group);
        let value = |amount: &Amount| match measure {
            Measure::Objects => amount.objects,
            _ => amount.bytes,
        };
        named(&amounts, pattern, value)
            .map(|(name, value)| Match::of(name, value, live, whose()))
            .collect()
    }

    fn amounts(&mut self, group: TypeGroup) -> BTreeMap<String, Amount> {
        match group {
            TypeGroup::Package => {
                let options = TypeOptions {
                    group_by: TypeGroup::Package,
                    ..TypeOptions::default()
                };
                let rows = histogram::types(self.snapshot, &options).rows;
                rows.into_iter().map(|row| (row.name, row.amount)).collect()
            }
            _ => self.types().clone(),
        }
    }

    /// Live objects by type.
    pub(super) fn types(&mut self) -> &BTreeMap<String, Amount> {
        let snapshot = self.snapshot;
        self.types.get_or_insert_with(|| {
            let rows = histogram::types(snapshot, &TypeOptions::default()).rows;
            rows.into_iter().map(|row| (row.name, row.amount)).collect()
        })
    }

    /// What roots hold and retain.
    pub(super) fn roots(&mut self) -> &BTreeMap<String, RootAmount> {
        let (retained, ways) = (self.retained, self.ways);
        self.roots.get_or_insert_with(|| ways.roots(retained))
    }

    /// The ways with a signature that a pattern matches, with their words.
    fn ways_called(&self, pattern: &Pattern) -> Vec<(u32, String)> {
        let frames = self.ways.with_signature(self.floor).into_iter();
        let all = frames.map(|frame| (frame, self.ways.names(frame).join(ARROW)));
        all.filter(|(_, name)| pattern.matches(name)).collect()
    }

    fn growth(&mut self, rule: &Rule) -> Result<Vec<Match>, String> {
        let baseline = self.baseline.ok_or(NO_BASELINE)?;
        let then_types = |group| match group {
            TypeGroup::Package => {
                let mut packages: BTreeMap<String, Amount> = BTreeMap::new();
                for (name, amount) in &baseline.types {
                    let package = match name.as_str() {
                        "?" => "?",
                        "string" => "(built-in)",
                        name => package(name),
                    };
                    add(packages.entry(package.to_owned()).or_default(), *amount);
                }
                packages
            }
            _ => baseline.types.clone(),
        };
        Ok(match &rule.subject {
            Subject::Heap => {
                let now = self.ways.totals.bytes[0];
                vec![Match::grown("", now, baseline.live.bytes, Whose::Heap)]
            }
            Subject::Root(pattern) => named(self.roots(), pattern, |root| root.held)
                .map(|(name, now)| {
                    let then = baseline.roots.get(name).map_or(0, |root| root.held);
                    Match::grown(name, now as u64, then, Whose::Root)
                })
                .collect(),
            Subject::Type(pattern) | Subject::Package(pattern) => {
                let group = match &rule.subject {
                    Subject::Package(_) => TypeGroup::Package,
                    _ => TypeGroup::Type,
                };
                let then = then_types(group);
                named(&self.amounts(group), pattern, |amount| amount.bytes)
                    .map(|(name, now)| {
                        let then = then.get(name).map_or(0, |amount| amount.bytes);
                        Match::grown(name, now as u64, then, Whose::Objects(group))
                    })
                    .collect()
            }
            Subject::Path(pattern) => self
                .ways_called(pattern)
                .into_iter()
                .map(|(frame, name)| {
                    let then = baseline.held(&self.ways.signature(frame));
                    let then = then.map_or(0, |amount| amount.bytes);
                    let now = self.ways.totals.bytes[frame as usize];
                    Match::grown(&name, now, then, Whose::Frame(frame))
                })
                .collect(),
            subject @ Subject::Goroutines { .. } => {
                let now = self
                    .groups
                    .iter()
                    .map(|g| g.matching(self.snapshot, subject));
                let then = baseline.goroutines.iter().map(|g| g.matching(subject));
                vec![Match::grown("", now.sum(), then.sum(), Whose::Goroutines)]
            }
        })
    }
}

impl Match {
    fn of(name: &str, value: f64, whole: f64, whose: Whose) -> Match {
        Match {
            name: name.to_owned(),
            value,
            whole,
            size: value,
            before: None,
            whose,
        }
    }

    fn grown(name: &str, now: u64, then: u64, whose: Whose) -> Match {
        Match {
            name: name.to_owned(),
            value: now.saturating_sub(then) as f64,
            whole: then as f64,
            size: now as f64,
            before: Some(then as f64),
            whose,
        }
    }
}

const NO_BASELINE: &str = "there is nothing to compare with: give --baseline FILE";

/// Those of the names that a pattern matches.
fn named<'n, T>(
    all: &'n BTreeMap<String, T>,
    pattern: &Pattern,
    value: impl Fn(&T) -> u64,
) -> impl Iterator<Item = (&'n str, f64)> {
    let found = all
        .iter()
        .filter(|(name, _)| pattern.matches_function(name));
    let found = found.map(|(name, found)| (name.as_str(), value(found) as f64));
    found.collect::<Vec<_>>().into_iter()
}

/// Whether nothing is there that a rule could be about.
fn is_empty(rule: &Rule, matches: &[Match]) -> bool {
    match rule.subject {
        Subject::Heap => false,
        Subject::Goroutines { .. } => matches.iter().all(|found| found.size == 0.0),
        _ => matches.is_empty(),
    }
}

fn subject_text(rule: &Rule) -> String {
    match &rule.subject {
        Subject::Heap => match rule.measure {
            Measure::Goroutines => "goroutines".to_owned(),
            Measure::NewSignatures => "ways that hold much".to_owned(),
            _ => "heap".to_owned(),
        },
        Subject::Root(pattern) => format!("root {pattern}"),
        Subject::Type(pattern) => format!("type {pattern}"),
        Subject::Package(pattern) => format!("package {pattern}"),
        Subject::Path(pattern) => format!("path {pattern}"),
        Subject::Goroutines {
            function,
            state,
            label,
        } => {
            let mut text = "goroutines".to_owned();
            if let Some(function) = function {
                text.push_str(&format!(" in {function}"));
            }
            if let Some(state) = state {
                text.push_str(&format!(" [{state}]"));
            }
            match label {
                Some((key, Some(value))) => text.push_str(&format!(" labelled {key}={value}")),
                Some((key, None)) => text.push_str(&format!(" labelled {key}")),
                None => {}
            }
            text
        }
    }
}

fn measure_text(rule: &Rule) -> &'static str {
    match (rule.measure, &rule.limit) {
        (Measure::Live, _) => "live",
        (Measure::Retained, _) => "retained",
        (Measure::Bytes, _) => match rule.subject {
            Subject::Path(_) | Subject::Root(_) => "held",
            _ => "in its objects",
        },
        (Measure::Objects, _) => "objects",
        (Measure::Goroutines, _) => "of them",
        (Measure::Garbage, Quantity::Percent(_)) => "of what is allocated is garbage",
        (Measure::Garbage, _) => "of garbage",
        (Measure::Untyped, _) => "of unknown type",
        (Measure::Missing, _) => "missing from the core",
        (Measure::Uncovered, _) => "off the runtime's own count",
        (Measure::Growth, _) => "more than in the baseline",
        (Measure::NewSignatures, _) => "new",
    }
}

/// An offender's part of what was measured.
pub(super) fn part(rule: &Rule, value: f64) -> Measured {
    let of_goroutines = matches!(rule.subject, Subject::Goroutines { .. });
    let unit = match rule.measure {
        Measure::Objects | Measure::Goroutines => Unit::Count,
        Measure::Growth if of_goroutines => Unit::Count,
        _ => Unit::Bytes,
    };
    Measured { value, unit }
}

/// So that nobody needs its fields to make one.
pub(super) fn offender(name: String, measured: Measured) -> Offender {
    Offender {
        name,
        measured,
        ..Offender::default()
    }
}
