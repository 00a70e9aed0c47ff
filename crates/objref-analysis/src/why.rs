//! Who holds an object, and what a root holds.

use objref_go::{ObjId, RootKind};
use objref_snapshot::{Dominator, Holder, References, Retained, Root, Snapshot, short};
use rustc_hash::FxHashSet;

use crate::measure::holder_name;
use crate::paths::{Chain, Search};
use crate::root_frames::root_kind_name;
use crate::why_report::{
    Answer, DominatorFacts, HoldingPath, LeftOut, ObjectFacts, PathStep, RootFacts,
    WHY_SCHEMA_VERSION, Why, WhyObject, WhyRoot,
};
use crate::why_type::why_type;
use crate::{Amount, Question, Tool};

/// What is left out of the search for holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exclude {
    /// Handles of weak pointers.
    pub weak: bool,
    /// Finalizers and cleanups.
    pub finalizer: bool,
    /// The contents of pools.
    pub pool: bool,
}

/// How to answer.
#[derive(Clone, Copy, Debug)]
pub struct WhyOptions {
    /// How many different paths to an object.
    pub paths: usize,
    /// What to leave out.
    pub exclude: Exclude,
    /// Steps to show of a path at each end, groups to show of a type, references to show of a root.
    pub limit: usize,
}

impl Default for WhyOptions {
    fn default() -> Self {
        WhyOptions {
            paths: 3,
            exclude: Exclude::default(),
            limit: 20,
        }
    }
}

/// Longer paths lack their middle: so many steps are kept at each end.
const END: usize = 500;

/// Answers the question. An object that nothing holds has no path and no dominator.
pub fn why(
    snapshot: &Snapshot,
    references: &References<'_>,
    retained: &Retained,
    question: &Question,
    options: &WhyOptions,
) -> Why {
    let about = About { snapshot, retained };
    let answer = match question {
        Question::Object { object, offset } => {
            Answer::Object(about.object(references, *object, *offset, options))
        }
        Question::Types { names, views } => {
            Answer::Type(why_type(&about, references, names, views, options))
        }
        Question::Root { name, holders } => Answer::Root(about.root(name, holders, options.limit)),
    };
    let Exclude {
        weak,
        finalizer,
        pool,
    } = options.exclude;
    let excluded = [(weak, "weak"), (finalizer, "finalizer"), (pool, "pool")];
    Why {
        schema_version: WHY_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        excluded: excluded
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| (*word).to_owned())
            .collect(),
        answer,
    }
}

/// A heap to say something about.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) retained: &'a Retained,
}

impl<'a> About<'a> {
    fn object(
        &self,
        references: &References<'_>,
        object: u32,
        offset: u64,
        options: &WhyOptions,
    ) -> WhyObject {
        let mut search = Search::new(self.snapshot, references, &options.exclude);
        let mut paths = Vec::new();
        while paths.len() < options.paths {
            let Some(chain) = search.shortest().chain(object) else {
                break;
            };
            paths.push(self.path(&search, &chain));
            // What something keeps alive all alone has no path without it; only of functions on stacks, others that they
            // called may be on another one.
            match self.retained.dominator(object) {
                Some(Dominator::Shared | Dominator::Holder(Holder::Stack(_))) => {}
                _ => break,
            }
            search.leave_out(&chain);
        }
        WhyObject {
            offset,
            object: self.facts(object),
            dominator: self.dominator(object),
            wanted: options.paths as u64,
            paths,
        }
    }

    /// What is known of an object.
    pub(crate) fn facts(&self, object: u32) -> ObjectFacts {
        let (span, address) = self.snapshot.objects.locate(ObjId(object));
        let name = self.snapshot.type_name(object);
        ObjectFacts {
            address,
            type_name: name.unwrap_or_else(|| "?".to_owned()),
            certainty: self.snapshot.certainty(object).word().to_owned(),
            size: span.elem_size,
            retained: self.retained.bytes(object),
        }
    }

    pub(crate) fn dominator(&self, object: u32) -> Option<DominatorFacts> {
        Some(match self.retained.dominator(object)? {
            Dominator::Object(above) => DominatorFacts::Object(self.facts(above)),
            Dominator::Holder(holder) => DominatorFacts::Root {
                name: holder_name(self.snapshot, holder),
                retained: self.retained.holder_bytes(holder),
            },
            Dominator::Shared => DominatorFacts::Shared,
        })
    }

    /// A chain in words.
    pub(crate) fn path(&self, search: &Search<'_, '_>, chain: &Chain<'_>) -> HoldingPath {
        let objects = &chain.objects;
        let left_out = objects.len().checked_sub(2 * END).filter(|n| *n > 0);
        let shown = |place: &usize| left_out.is_none_or(|n| *place < END || *place >= END + n);
        let step = |place: usize| PathStep {
            text: match place.checked_sub(1) {
                None => self.snapshot.steps.text(chain.root.step).to_owned(),
                Some(before) => search.words(objects[before], objects[place]).into_owned(),
            },
            object: self.facts(objects[place]),
        };
        HoldingPath {
            root: self.root_facts(chain.root),
            references: objects.len() as u64,
            steps: (0..objects.len()).filter(shown).map(step).collect(),
            left_out: left_out.map(|steps| LeftOut {
                after: END as u64,
                steps: steps as u64,
            }),
        }
    }

    pub(crate) fn root_facts(&self, root: &Root) -> RootFacts {
        let snapshot = self.snapshot;
        let goroutine = snapshot.goroutines.list.get(root.place.goroutine as usize);
        let (mut callers, mut goroutines) = (Vec::new(), 0);
        if let Holder::Stack(node) = root.holder {
            goroutines = u64::from(snapshot.stacks.goroutines(node));
            let mut next = snapshot.stacks.parent(node);
            while let Some(node) = next {
                callers.push(holder_name(snapshot, Holder::Stack(node)));
                next = snapshot.stacks.parent(node);
            }
            callers.reverse();
        }
        RootFacts {
            name: holder_name(snapshot, root.holder),
            kind: kind_name(root.holder).to_owned(),
            goroutine: goroutine.map(|g| g.id),
            goroutines,
            callers,
            conservative: root.place.conservative,
        }
    }

    fn root(&self, name: &str, holders: &[Holder], limit: usize) -> WhyRoot {
        let snapshot = self.snapshot;
        let held: FxHashSet<Holder> = holders.iter().copied().collect();
        let mut seen = FxHashSet::default();
        let mut references: Vec<PathStep> = snapshot
            .roots
            .iter()
            .chain(&snapshot.other_roots)
            .filter(|root| held.contains(&root.holder) && seen.insert(root.target))
            .map(|root| PathStep {
                text: snapshot.steps.text(root.step).to_owned(),
                object: self.facts(root.target.0),
            })
            .collect();
        references.sort_by_key(|step| std::cmp::Reverse(step.object.retained));
        let left_out = references.len().saturating_sub(limit);
        references.truncate(limit);
        // A function keeps what those that it called keep, too.
        let is_outermost = |holder: &&Holder| {
            let mut next = match holder {
                Holder::Stack(node) => snapshot.stacks.parent(*node),
                _ => None,
            };
            while let Some(node) = next {
                if held.contains(&Holder::Stack(node)) {
                    return false;
                }
                next = snapshot.stacks.parent(node);
            }
            true
        };
        let outermost = holders.iter().filter(is_outermost);
        WhyRoot {
            name: name.to_owned(),
            kind: holders
                .first()
                .map_or("", |holder| kind_name(*holder))
                .to_owned(),
            places: holders.len() as u64,
            retained: outermost.map(|h| self.retained.holder_bytes(*h)).sum(),
            holds: self.below(&held),
            references,
            left_out: left_out as u64,
        }
    }

    /// What the shortest paths lead to that start at these roots.
    fn below(&self, held: &FxHashSet<Holder>) -> Amount {
        let snapshot = self.snapshot;
        let mut below = vec![false; snapshot.objects.len()];
        for root in snapshot.roots.iter().filter(|r| held.contains(&r.holder)) {
            below[root.target.0 as usize] = true;
        }
        let mut amount = Amount::default();
        for &object in &snapshot.tree.order {
            let parent = snapshot.tree.parents()[object as usize] as usize;
            if below.get(parent).is_some_and(|is| *is) {
                below[object as usize] = true;
            }
            if below[object as usize] {
                amount.objects += 1;
                amount.bytes += snapshot.objects.size(ObjId(object));
            }
        }
        amount
    }
}

fn kind_name(holder: Holder) -> &'static str {
    root_kind_name(match holder {
        Holder::Variable(_) => Some(RootKind::Global),
        Holder::Stack(_) => None,
        Holder::Runtime(kind) => Some(kind),
    })
}

/// The type of what is held in one line: for tables.
pub(crate) fn short_type(name: Option<String>) -> String {
    name.map_or_else(|| "?".to_owned(), |name| short(&name))
}
