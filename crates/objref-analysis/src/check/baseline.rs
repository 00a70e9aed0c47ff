//! What a heap was like: written down by one check, held against by the next.

use std::collections::{BTreeMap, BTreeSet};

use objref_snapshot::Snapshot;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::goroutines::Group;
use super::report::{ARROW, SignatureRow};
use super::ways::{Floor, Ways};
use crate::{Amount, Signature, Tool};

/// The version of the JSON form of [`Baseline`].
pub const BASELINE_SCHEMA_VERSION: u32 = 1;

/// What a heap was like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// [`BASELINE_SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Who wrote this.
    pub tool: Tool,
    /// The program.
    pub program: Program,
    /// All live objects.
    pub live: Amount,
    /// Ways that held less bytes than this had no signature.
    pub threshold: u64,
    /// The ways that held much, by signature.
    pub signatures: Vec<Known>,
    /// Live objects by type.
    pub types: BTreeMap<String, Amount>,
    /// What roots held and retained.
    pub roots: BTreeMap<String, RootAmount>,
    /// Goroutines by stack.
    pub goroutines: Vec<Stacked>,
}

/// Which program a baseline is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Program {
    /// The main package's module, or the name of the binary if it has none.
    pub name: String,
    /// Its Go version.
    pub go: String,
    /// The build, for people.
    pub build_id: Option<String>,
}

/// A way that held much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// Its signature.
    pub signature: Signature,
    /// The names on it.
    pub way: String,
    /// Whether it held enough to have a signature; others nearly did, and are remembered so as not to be new next time.
    pub full: bool,
    /// All objects at its end and below.
    #[serde(flatten)]
    pub held: Amount,
}

/// Bytes that hang from a root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootAmount {
    /// Of objects whose way starts there.
    pub held: u64,
    /// That would have been freed without it.
    pub retained: u64,
}

/// Goroutines on one stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stacked {
    /// The signature of the stack.
    pub signature: Signature,
    /// Its functions, the first one first.
    pub functions: Vec<String>,
    /// What they waited for, or their status.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// How the ways of a dump compare with those of a baseline.
pub(super) struct Compared {
    pub(super) known: u64,
    /// Their frames.
    pub(super) new: Vec<u32>,
    pub(super) gone: Vec<SignatureRow>,
}

impl Program {
    /// The program of a dump.
    pub fn of(snapshot: &Snapshot) -> Program {
        let binary = &snapshot.facts.binary;
        let file = || {
            let name = binary.path.rsplit('/').next().unwrap_or_default();
            name.to_owned()
        };
        Program {
            name: binary.module.clone().unwrap_or_else(file),
            go: snapshot.facts.go.version.clone(),
            build_id: binary.build_id.clone().or(binary.go_build_id.clone()),
        }
    }
}

impl Baseline {
    pub(super) fn of(
        snapshot: &Snapshot,
        ways: &Ways<'_>,
        floor: Floor,
        (types, roots): (BTreeMap<String, Amount>, BTreeMap<String, RootAmount>),
        goroutines: &[Group],
    ) -> Baseline {
        let full: BTreeSet<u32> = ways.with_signature(floor).into_iter().collect();
        let mut signatures: Vec<Known> = ways
            .with_signature(floor.slack())
            .into_iter()
            .map(|frame| Known {
                full: full.contains(&frame),
                signature: ways.signature(frame),
                way: ways.names(frame).join(ARROW),
                held: held(ways, frame),
            })
            .collect();
        signatures.sort_by(|a, b| (&a.signature, &a.way).cmp(&(&b.signature, &b.way)));
        let mut goroutines: Vec<Stacked> = goroutines
            .iter()
            .map(|group| Stacked {
                signature: group.signature.clone(),
                functions: group.functions.clone(),
                state: group.state.clone(),
                count: group.count,
            })
            .collect();
        goroutines.sort_by(|a, b| (&a.functions, &a.state).cmp(&(&b.functions, &b.state)));
        Baseline {
            schema_version: BASELINE_SCHEMA_VERSION,
            tool: Tool::this(),
            program: Program::of(snapshot),
            live: Amount {
                bytes: ways.totals.bytes[0],
                objects: ways.totals.objects[0],
            },
            threshold: floor.bytes,
            signatures,
            types,
            roots,
            goroutines,
        }
    }

    /// Reads one that was written.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Baseline, String> {
        let mut read: Baseline = serde_json::from_str(text).map_err(|error| error.to_string())?;
        // Somebody may have edited it.
        read.signatures
            .sort_by(|a, b| a.signature.cmp(&b.signature));
        Ok(read)
    }

    /// Why this cannot be the baseline of a dump, if it cannot.
    pub fn mismatch(&self, snapshot: &Snapshot) -> Option<String> {
        if self.schema_version != BASELINE_SCHEMA_VERSION {
            return Some(format!(
                "a baseline of version {}, this program reads {BASELINE_SCHEMA_VERSION}; write it again with --write-baseline",
                self.schema_version
            ));
        }
        let this = Program::of(snapshot);
        (self.program.name != this.name).then(|| {
            format!(
                "a baseline of {}, but the dump is of {}; write one of this program with --write-baseline",
                self.program.name, this.name
            )
        })
    }

    /// What a way held.
    pub(super) fn held(&self, signature: &Signature) -> Option<Amount> {
        let at = self
            .signatures
            .partition_point(|known| known.signature < *signature);
        let found = self.signatures.get(at)?;
        (found.signature == *signature).then_some(found.held)
    }

    /// Which of the ways that have a signature now are new, and which are gone.
    pub(super) fn compare(&self, ways: &Ways<'_>, floor: Floor) -> Compared {
        let all = ways.with_signature(floor);
        let new: Vec<u32> = all
            .iter()
            .copied()
            .filter(|frame| self.held(&ways.signature(*frame)).is_none())
            .collect();
        // What is below a new one is no news.
        let is_below = |frame: u32| {
            let above = |other: &u32| *other != frame && ways.is_below(frame, *other);
            new.iter().any(above)
        };
        let known = all.len() as u64 - new.len() as u64;
        let still: BTreeSet<Signature> = ways
            .with_signature(floor.slack())
            .into_iter()
            .map(|frame| ways.signature(frame))
            .collect();
        let is_gone = |known: &&Known| known.full && !still.contains(&known.signature);
        let gone = self.signatures.iter().filter(is_gone);
        let mut gone: Vec<SignatureRow> = gone
            .map(|known| SignatureRow {
                signature: known.signature.clone(),
                way: known.way.clone(),
                held: Amount::default(),
                before: Some(known.held),
            })
            .collect();
        gone.sort_by(|a, b| {
            let before = |row: &SignatureRow| row.before.map(|amount| amount.bytes);
            (before(b), &a.signature).cmp(&(before(a), &b.signature))
        });
        Compared {
            known,
            new: new
                .iter()
                .copied()
                .filter(|frame| !is_below(*frame))
                .collect(),
            gone,
        }
    }
}

/// What is at a frame and below.
pub(super) fn held(ways: &Ways<'_>, frame: u32) -> Amount {
    Amount {
        bytes: ways.totals.bytes[frame as usize],
        objects: ways.totals.objects[frame as usize],
    }
}
