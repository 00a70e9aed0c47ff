//! Whether dumps are of one process, one build, one program: by what they say of themselves.

use std::path::Path;

use objref_go::GcPhase;
use objref_snapshot::Facts;

use super::sighting::Sighting;
use crate::{Change, DiffStep, Relation, Sureness};

/// Why dumps are not compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unlike(String);

/// What is taken for granted, whatever the dumps say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given {
    /// Whether they are of one process.
    pub same_process: Option<bool>,
    /// Compare different programs, too.
    pub force: bool,
}

/// How two dumps belong together, and what is known of the time between them.
pub(super) fn step(old: &Sighting, new: &Sighting, given: Given) -> Result<DiffStep, Unlike> {
    let mut step = relate(&old.facts, &new.facts, given)?;
    step.growth = Change::between(old.dump.heap.live, new.dump.heap.live);
    if step.relation == Relation::SameProcess {
        let between = old.clock.zip(new.clock).map(|(old, new)| new - old);
        let cycles = cycles(&old.facts).zip(cycles(&new.facts));
        step.backwards = match (cycles, between) {
            (Some((old, new)), _) if old != new => old > new,
            (_, between) => between.is_some_and(|between| between < 0),
        };
        step.elapsed_ns = between.map(i64::unsigned_abs);
        let earlier = if step.backwards { new } else { old };
        // The collector finds what can be reached while it marks: the cycle that is under way frees none of it.
        let under_way = u64::from(earlier.facts.gc_phase != GcPhase::Off);
        step.collections = cycles.map(|(old, new)| old.abs_diff(new).saturating_sub(under_way));
    }
    Ok(step)
}

/// Completed cycles of the collector.
fn cycles(facts: &Facts) -> Option<u64> {
    facts.counters.as_ref().ok().map(|counters| counters.num_gc)
}

fn relate(old: &Facts, new: &Facts, given: Given) -> Result<DiffStep, Unlike> {
    let mut step = build(old, new);
    let name = |facts: &Facts| format!("{} is of {}", facts.core.path, program(facts));
    let names = || format!("{}, {}", name(old), name(new));
    if step.relation == Relation::OtherProgram && !given.force {
        return Err(Unlike(format!(
            "{}: different programs; to compare them all the same: --force",
            names()
        )));
    }
    if step.relation < Relation::OtherProcess {
        if given.same_process == Some(true) {
            return Err(Unlike(format!(
                "{}: two builds cannot be one process; leave out --same-process",
                names()
            )));
        }
        return Ok(step);
    }
    process(old, new, &mut step);
    let told = match given.same_process {
        Some(true) => Relation::SameProcess,
        Some(false) => Relation::OtherProcess,
        None => step.relation,
    };
    if told != step.relation {
        let found = step.relation.words();
        let reason = format!("without being told, they would be taken for {found}");
        step.reasons.push(reason);
        (step.relation, step.sureness) = (told, Sureness::Told);
    }
    Ok(step)
}

/// One build, two, or two programs.
fn build(old: &Facts, new: &Facts) -> DiffStep {
    let ids = |facts: &Facts| {
        [
            facts.binary.go_build_id.clone(),
            facts.binary.build_id.clone(),
        ]
    };
    let mut ids = ids(old).into_iter().zip(ids(new));
    let same_build = ids.find_map(|(old, new)| Some(old? == new?));
    let packages = old
        .identity
        .package
        .as_ref()
        .zip(new.identity.package.as_ref());
    let same_package = packages.map(|(old, new)| old == new);
    let same_name = file_name(old) == file_name(new);
    let (relation, sureness, reason) = match (same_build, same_package) {
        (Some(true), _) => (
            Relation::OtherProcess,
            Sureness::Certain,
            "the build id is the same",
        ),
        (_, Some(false)) => (
            Relation::OtherProgram,
            Sureness::Certain,
            "the main packages are others",
        ),
        (Some(false), Some(true)) => (
            Relation::OtherBuild,
            Sureness::Certain,
            "the build ids differ, the main package is the same",
        ),
        (Some(false), None) if same_name => (
            Relation::OtherBuild,
            Sureness::Likely,
            "the build ids differ, the binaries have the same name",
        ),
        (None, _) if same_name || same_package == Some(true) => (
            Relation::OtherBuild,
            Sureness::Likely,
            "without build ids, two builds are assumed",
        ),
        _ => (
            Relation::OtherProgram,
            Sureness::Likely,
            "the binaries have different names",
        ),
    };
    DiffStep {
        relation,
        sureness,
        reasons: vec![reason.to_owned()],
        ..DiffStep::default()
    }
}

/// One process, or two of one build.
fn process(old: &Facts, new: &Facts, step: &mut DiffStep) {
    let same = |old: Option<u64>, new: Option<u64>| old.zip(new).map(|(old, new)| old == new);
    let began = |facts: &Facts| facts.identity.began.map(|time| time as u64);
    let pids = same(old.core.pid, new.core.pid);
    let (same_process, sureness, reason) = match (
        same(began(old), began(new)),
        same(old.identity.places, new.identity.places),
    ) {
        (Some(true), _) => (
            true,
            Sureness::Certain,
            "the runtime began in the same nanosecond",
        ),
        (Some(false), _) => (
            false,
            Sureness::Certain,
            "the runtime began at another time",
        ),
        (None, Some(false)) => (
            false,
            Sureness::Certain,
            "the kernel put stack and vdso at other addresses",
        ),
        (None, Some(true)) if pids != Some(false) => (
            true,
            Sureness::Likely,
            "the kernel put stack and vdso at the same addresses",
        ),
        // In containers nearly everything has the same one.
        (None, None) if pids == Some(true) => (
            false,
            Sureness::Likely,
            "the process id is the same, which says little; if it is one process, say --same-process",
        ),
        _ => (
            false,
            Sureness::Likely,
            "nothing says that it is one process",
        ),
    };
    step.sureness = sureness;
    step.reasons.push(reason.to_owned());
    if same_process {
        step.relation = Relation::SameProcess;
    }
    if let (Some(old), Some(new)) = (old.core.pid, new.core.pid) {
        let reason = match old == new {
            true => format!("the process id is {new} in both"),
            false => format!("the process id was {old} and is {new}"),
        };
        step.reasons.push(reason);
    }
}

/// What the program is called.
fn program(facts: &Facts) -> &str {
    facts
        .identity
        .package
        .as_deref()
        .unwrap_or(file_name(facts))
}

fn file_name(facts: &Facts) -> &str {
    let path = Path::new(&facts.binary.path);
    let name = path.file_name().and_then(|name| name.to_str());
    name.unwrap_or(&facts.binary.path)
}

#[cfg(test)]
mod tests {
    use objref_snapshot::{Binary, Core, Identity};

    use super::*;

    fn facts(build: &str, package: Option<&str>, began: Option<i64>, pid: u64) -> Facts {
        Facts {
            core: Core {
                path: format!("{pid}.core"),
                pid: Some(pid),
                ..Core::default()
            },
            binary: Binary {
                path: "/srv/server".to_owned(),
                go_build_id: Some(build.to_owned()),
                ..Binary::default()
            },
            go: Default::default(),
            gc_phase: GcPhase::Off,
            counters: Err("none".to_owned()),
            identity: Identity {
                package: package.map(str::to_owned),
                began,
                places: None,
            },
            missing: None,
        }
    }

    fn related(old: &Facts, new: &Facts, given: Given) -> (Relation, Sureness) {
        let step = relate(old, new, given).unwrap();
        assert!(!step.reasons.is_empty());
        (step.relation, step.sureness)
    }

    #[test]
    fn by_what_dumps_say_of_themselves() {
        let one = facts("1", Some("a/server"), Some(5), 7);
        for (other, relation, sureness) in [
            (
                facts("1", Some("a/server"), Some(5), 7),
                Relation::SameProcess,
                Sureness::Certain,
            ),
            (
                facts("1", Some("a/server"), Some(6), 7),
                Relation::OtherProcess,
                Sureness::Certain,
            ),
            (
                facts("1", Some("a/server"), None, 7),
                Relation::OtherProcess,
                Sureness::Likely,
            ),
            (
                facts("2", Some("a/server"), Some(5), 7),
                Relation::OtherBuild,
                Sureness::Certain,
            ),
            (
                facts("2", None, Some(5), 7),
                Relation::OtherBuild,
                Sureness::Likely,
            ),
        ] {
            let none = Given::default();
            assert_eq!(
                related(&one, &other, none),
                (relation, sureness),
                "{other:?}"
            );
            assert_eq!(
                related(&other, &one, none),
                (relation, sureness),
                "{other:?}"
            );
        }
    }

    #[test]
    fn without_a_symbol_table_the_kernels_dice_tell() {
        let with = |places, pid| {
            let mut facts = facts("1", None, None, pid);
            facts.identity.places = Some(places);
            facts
        };
        let none = Given::default();
        let related = |a, b| related(&a, &b, none);
        assert_eq!(
            related(with(3, 7), with(3, 7)),
            (Relation::SameProcess, Sureness::Likely)
        );
        assert_eq!(
            related(with(3, 7), with(4, 7)),
            (Relation::OtherProcess, Sureness::Certain)
        );
        assert_eq!(
            related(with(3, 7), with(3, 8)),
            (Relation::OtherProcess, Sureness::Likely)
        );
    }

    #[test]
    fn what_the_user_says_counts_unless_it_cannot_be() {
        let one = facts("1", Some("a/server"), Some(5), 7);
        let later = facts("1", Some("a/server"), Some(6), 7);
        let rebuilt = facts("2", Some("a/server"), Some(5), 7);
        let other = facts("2", Some("a/client"), Some(5), 7);
        let say = |same| Given {
            same_process: Some(same),
            force: false,
        };
        assert_eq!(
            related(&one, &later, say(true)),
            (Relation::SameProcess, Sureness::Told)
        );
        assert_eq!(
            related(&one, &one, say(false)),
            (Relation::OtherProcess, Sureness::Told)
        );
        assert_eq!(related(&one, &rebuilt, say(false)).0, Relation::OtherBuild);
        let error = relate(&one, &rebuilt, say(true)).unwrap_err().to_string();
        assert!(error.contains("two builds"), "{error}");
        let error = relate(&one, &other, Given::default())
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "7.core is of a/server, 7.core is of a/client: different programs; \
             to compare them all the same: --force"
        );
        let force = Given {
            force: true,
            ..Given::default()
        };
        assert_eq!(
            related(&one, &other, force),
            (Relation::OtherProgram, Sureness::Certain)
        );
    }
}
