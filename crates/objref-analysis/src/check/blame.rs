//! Who is to blame: the ways that hold what is too much.

use std::cmp::Reverse;

use objref_go::ObjId;
use rustc_hash::FxHashMap;

use super::judge::{Judge, Match, Whose, offender, part};
use super::report::{Measured, Offender, Unit};
use super::ways::Floor;
use crate::dominated::retained_by_set;
use crate::paths::Search;
use crate::policy::{Measure, Rule};
use crate::types::group_name;
use crate::why::About;
use crate::{Exclude, ROOT_FRAME, Signature, TypeGroup};

/// Of one match, so many are looked for.
const MOST: usize = 10;

impl Judge<'_, '_> {
    /// Who is to blame for a match, the worst first.
    pub(super) fn blame(&self, rule: &Rule, found: &Match) -> Vec<Offender> {
        let frames: Vec<(u32, f64)> = match &found.whose {
            Whose::Nobody => Vec::new(),
            Whose::Goroutines => return self.blame_goroutines(rule),
            Whose::Heap => match (rule.measure, self.new) {
                (Measure::NewSignatures, Some(new)) => {
                    new.iter().map(|f| (*f, self.held(rule, *f))).collect()
                }
                _ => self.leading(rule, ROOT_FRAME),
            },
            Whose::Frame(frame) => vec![(*frame, self.held(rule, *frame))],
            Whose::Root => {
                let roots = self.ways.root_frames();
                let of_name = roots.filter(|(_, name)| *name == found.name);
                let mut frames: Vec<u32> = of_name.map(|(frame, _)| frame).collect();
                frames.sort_unstable();
                match &frames[..] {
                    // What several roots share.
                    [] => self.leading(rule, ROOT_FRAME),
                    frames => frames.iter().flat_map(|f| self.leading(rule, *f)).collect(),
                }
            }
            Whose::Objects(group) => return self.blame_objects(rule, &found.name, *group),
        };
        // Of growth, only what has grown.
        let has_grown = |(frame, _): &(u32, f64)| {
            let before = self.before(&self.ways.signature(*frame));
            before
                .is_none_or(|before| self.ways.totals.bytes[*frame as usize] as f64 > before.value)
        };
        let frames: Vec<(u32, f64)> = match rule.measure {
            Measure::Growth => frames.into_iter().filter(has_grown).collect(),
            _ => frames,
        };
        let wanted: Vec<u32> = frames.iter().map(|(frame, _)| *frame).collect();
        let examples = self.ways.examples(&wanted);
        let offenders = frames.into_iter().map(|(frame, value)| {
            let name = match &found.whose {
                Whose::Root => found.name.clone(),
                _ => self.ways.tree.name(frame).to_owned(),
            };
            let offender = offender(name, part(rule, value));
            let mut offender = self.with_way(offender, frame, examples.get(&frame).copied());
            if rule.measure == Measure::Growth {
                offender.before = self.before(&offender.signature);
            }
            offender
        });
        offenders.collect()
    }

    /// What the baseline has of a way.
    fn before(&self, signature: &Signature) -> Option<Measured> {
        let held = self.baseline?.held(signature);
        Some(Measured {
            value: held.map_or(0.0, |held| held.bytes as f64),
            unit: Unit::Bytes,
        })
    }

    /// What is at a frame and below, as the rule counts.
    fn held(&self, rule: &Rule, frame: u32) -> f64 {
        let totals = &self.ways.totals;
        match rule.measure {
            Measure::Objects => totals.objects[frame as usize] as f64,
            _ => totals.bytes[frame as usize] as f64,
        }
    }

    /// The elements of what can grow that hold the most below `above`, none of them below another one; if there are
    /// none, the roots.
    fn leading(&self, rule: &Rule, above: u32) -> Vec<(u32, f64)> {
        let totals = &self.ways.totals.bytes;
        let least = (totals[above as usize] / 100).max(1);
        let mut frames = self.ways.with_signature(Floor::of_bytes(least));
        frames.retain(|frame| self.ways.is_below(*frame, above));
        let elements: Vec<u32> = frames
            .iter()
            .copied()
            .filter(|frame| self.ways.is_elements(*frame))
            .collect();
        let mut frames = if elements.is_empty() {
            frames
        } else {
            elements
        };
        frames.sort_by_key(|frame| (Reverse(totals[*frame as usize]), *frame));
        let mut taken: Vec<u32> = Vec::new();
        for frame in frames {
            let is_apart = |other: &u32| {
                !self.ways.is_below(frame, *other) && !self.ways.is_below(*other, frame)
            };
            if taken.len() < MOST && taken.iter().all(is_apart) {
                taken.push(frame);
            }
        }
        let held = |frame| (frame, self.held(rule, frame));
        taken.into_iter().map(held).collect()
    }

    fn blame_goroutines(&self, rule: &Rule) -> Vec<Offender> {
        let meant = self.groups.iter().filter_map(|group| {
            let count = group.matching(self.snapshot, &rule.subject);
            (count > 0).then_some((group, count))
        });
        let offenders = meant.map(|(group, count)| {
            let last = group.functions.last().cloned().unwrap_or_default();
            let name = format!("{last} [{}]", group.state);
            Offender {
                signature: group.signature.clone(),
                way: group.functions.clone(),
                stack: group.stack(self.snapshot),
                ..offender(name, part(rule, count as f64))
            }
        });
        let mut offenders: Vec<Offender> = offenders.collect();
        for offender in &mut offenders {
            // What Go's own tracebacks leave out says nothing of the program.
            offender.stack.retain(|frame| !frame.internal);
        }
        offenders
    }

    /// The ways to the objects of a type, or of a package's types.
    fn blame_objects(&self, rule: &Rule, name: &str, group: TypeGroup) -> Vec<Offender> {
        let snapshot = self.snapshot;
        let views = snapshot.distinct_views().iter();
        let is_meant: Vec<bool> = views
            .map(|view| group_name(snapshot, view, group) == name)
            .collect();
        let is_meant = |object: u32| is_meant[snapshot.view_index(object) as usize];
        // (frame, value, the first)
        let mut found: Vec<(u32, f64, u32)> = Vec::new();
        let mut numbers: FxHashMap<u32, u32> = FxHashMap::default();
        for &object in snapshot.tree.order.iter().filter(|o| is_meant(**o)) {
            let frame = self.ways.frame_of[object as usize];
            let number = *numbers.entry(frame).or_insert_with(|| {
                found.push((frame, 0.0, object));
                found.len() as u32 - 1
            });
            found[number as usize].1 += match rule.measure {
                Measure::Objects => 1.0,
                Measure::Retained => 0.0,
                _ => snapshot.objects.size(ObjId(object)) as f64,
            };
        }
        if rule.measure == Measure::Retained {
            let others = found.len() as u32;
            let set_of = |object: u32| match is_meant(object) {
                true => numbers[&self.ways.frame_of[object as usize]],
                false => others,
            };
            let sums = retained_by_set(snapshot, self.retained, found.len() + 1, set_of);
            for (found, sum) in found.iter_mut().zip(sums) {
                found.1 = sum.bytes as f64;
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let offenders = found.into_iter().map(|(frame, value, object)| {
            let offender = offender(name.to_owned(), part(rule, value));
            (offender, frame, object)
        });
        // The path of those that are told only.
        let offenders = offenders.enumerate().map(|(n, (offender, frame, object))| {
            self.with_way(offender, frame, (n < MOST).then_some(object))
        });
        offenders.collect()
    }

    fn with_way(&self, mut offender: Offender, frame: u32, object: Option<u32>) -> Offender {
        offender.signature = self.ways.signature(frame);
        let names = self.ways.names(frame).into_iter();
        offender.way = names.map(str::to_owned).collect();
        let chain = object.and_then(|object| self.ways.chain(object));
        offender.path = chain.map(|chain| {
            let search = Search::new(self.snapshot, self.references, &Exclude::default());
            let about = About {
                snapshot: self.snapshot,
                retained: self.retained,
            };
            about.path(&search, &chain)
        });
        offender
    }
}
