//! What has grown from one dump to the next, and of one process also what became of each object.
//!
//! Dumps are looked at one after the other ([`Sighting`]), and nothing else is kept of them. What they have in common is
//! joined by names: types, roots, paths ([`JoinedTree`]), functions on stacks. Addresses count only between two dumps
//! of one process.

mod fates;
mod join;
mod kinship;
mod report;
mod rows;
mod sighting;
mod stacks;

pub use join::JoinedTree;
pub use kinship::{Given, Unlike};
pub use report::{
    Change, DIFF_SCHEMA_VERSION, DiffDump, DiffGoroutines, DiffGroup, DiffReport, DiffRow,
    DiffStep, DiffTable, Fates, Relation, Sureness,
};
pub use sighting::Sighting;

use fates::{Judge, Tally};
use sighting::Joined;

use crate::{Amount, Metric, Names, ROOT_FRAME, Tool};

/// How to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiffOptions {
    /// By what rows are sorted, and by what they have to grow.
    pub metric: Metric,
    /// So many rows of each table at most; `None` for all.
    pub limit: Option<usize>,
    /// What is taken for granted.
    pub given: Given,
}

/// What a comparison found: the numbers, and the tree that its picture is drawn of.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The numbers.
    pub report: DiffReport,
    /// The frames of all dumps.
    pub tree: JoinedTree,
}

/// Compares dumps, the oldest first.
///
/// # Errors
///
/// If they are of different programs, and that is not what was asked for.
///
/// # Panics
///
/// With fewer than two.
pub fn diff(dumps: &[Sighting], options: &DiffOptions) -> Result<Diff, Unlike> {
    let steps = dumps
        .windows(2)
        .map(|pair| kinship::step(&pair[0], &pair[1], options.given));
    let steps = steps.collect::<Result<Vec<DiffStep>, Unlike>>()?;
    let one_process = steps.iter().all(|s| s.relation == Relation::SameProcess);

    let (tree, frame_of) = JoinedTree::join(&dumps.iter().map(|d| &d.tree).collect::<Vec<_>>());
    let mut names = Names::default();
    let type_of: Vec<Vec<u32>> = dumps
        .iter()
        .map(|dump| {
            dump.types
                .iter()
                .map(|(name, _)| names.intern(name))
                .collect()
        })
        .collect();
    let tally = match &steps[..] {
        [step] if one_process => {
            let judge = Judge {
                unknown: names.get("?"),
                reuse: step.collections != Some(0),
            };
            let side = |dump: usize| Joined {
                objects: &dumps[dump].objects,
                types: &type_of[dump],
                frames: &frame_of[dump],
            };
            Some(judge.tell(&side(0), &side(1), names.len(), tree.tree().len()))
        }
        _ => None,
    };

    let table = |rows| rows::table(rows, options.metric, options.limit);
    let groups: Vec<_> = dumps.iter().map(|dump| &dump.groups[..]).collect();
    let (first, last) = (&dumps[0], &dumps[dumps.len() - 1]);
    let report = DiffReport {
        schema_version: DIFF_SCHEMA_VERSION,
        tool: Tool::this(),
        metric: options.metric,
        growth: Change::between(first.dump.heap.live, last.dump.heap.live),
        steps,
        fates: tally.as_ref().map(|tally| tally.all),
        types: table(types(dumps, &names, &type_of, tally.as_ref())),
        roots: table(roots(dumps, &tree, &frame_of, tally.as_ref())),
        paths: table(paths(&tree, tally.as_ref())),
        goroutines: stacks::compare(&groups, one_process, options.limit),
        dumps: dumps.iter().map(|dump| dump.dump.clone()).collect(),
    };
    Ok(Diff { report, tree })
}

fn types(
    dumps: &[Sighting],
    names: &Names,
    type_of: &[Vec<u32>],
    tally: Option<&Tally>,
) -> Vec<DiffRow> {
    let mut rows: Vec<DiffRow> = (0..names.len())
        .map(|ty| DiffRow {
            path: vec![names.name(ty as u32).to_owned()],
            amounts: vec![Amount::default(); dumps.len()],
            fates: tally.map(|tally| tally.types[ty]),
            ..DiffRow::default()
        })
        .collect();
    for (number, (dump, types)) in dumps.iter().zip(type_of).enumerate() {
        for ((_, amount), &ty) in dump.types.iter().zip(types) {
            rows[ty as usize].amounts[number] = *amount;
        }
    }
    rows
}

fn roots(
    dumps: &[Sighting],
    tree: &JoinedTree,
    frame_of: &[Vec<u32>],
    tally: Option<&Tally>,
) -> Vec<DiffRow> {
    let frames = tree.tree();
    let mut kinds = vec![None; frames.len()];
    for (dump, frame_of) in dumps.iter().zip(frame_of) {
        for &(frame, kind) in &dump.root_kinds {
            kinds[frame_of[frame as usize] as usize] = Some(kind);
        }
    }
    let fates = tally.map(|tally| {
        let mut sums = vec![Fates::default(); frames.len()];
        for (root, fates) in tree.roots().into_iter().zip(&tally.frames) {
            fates::add(&mut sums[root as usize], fates);
        }
        sums
    });
    let totals: Vec<Vec<Amount>> = (0..dumps.len()).map(|dump| tree.totals(dump)).collect();
    let roots = frames.frames().skip(1);
    let roots = roots.filter(|root| frames.parent(*root) == ROOT_FRAME);
    let row = |root: u32| DiffRow {
        path: tree.path(root),
        root_kind: kinds[root as usize].map(str::to_owned),
        amounts: totals.iter().map(|dump| dump[root as usize]).collect(),
        fates: fates.as_ref().map(|sums| sums[root as usize]),
        ..DiffRow::default()
    };
    roots.map(row).collect()
}

fn paths(tree: &JoinedTree, tally: Option<&Tally>) -> Vec<DiffRow> {
    let own = |frame: u32| (0..tree.dumps()).map(move |dump| tree.own(dump)[frame as usize]);
    let frames = tree.tree().frames();
    let filled = frames.filter(|frame| own(*frame).any(|amount| amount.objects > 0));
    let row = |frame: u32| DiffRow {
        path: tree.path(frame),
        amounts: own(frame).collect(),
        fates: tally.map(|tally| tally.frames[frame as usize]),
        ..DiffRow::default()
    };
    filled.map(row).collect()
}
