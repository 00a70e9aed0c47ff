//! What roots retain, one row for each.

use objref_go::ObjId;
use objref_snapshot::{Dominator, Holder, Retained, Snapshot, StackNode};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::dominator_frames::SHARED;
use crate::goroutines::Counter;
use crate::measure::kind_of;
use crate::root_frames::{full_name, root_kind_name};
use crate::top_report::{SHARED_KIND, TopRow};
use crate::{Amount, StateCount};

/// The rows of roots.
pub(crate) struct Roots {
    /// All that retain something, and what several share.
    pub(crate) rows: Vec<TopRow>,
    /// How many there are beyond these.
    pub(crate) idle: u64,
}

/// What the rows are made of: a root, or what several share.
type Owner = Option<Holder>;

/// Roots, of stacks their outermost functions; `stacks_only`: no other roots.
pub(crate) fn roots(snapshot: &Snapshot, retained: &Retained, stacks_only: bool) -> Roots {
    let outermost = outermost(snapshot);
    let whole = |holder| match holder {
        Holder::Stack(node) => Holder::Stack(outermost[node.0 as usize]),
        other => other,
    };
    let mut rows: FxHashMap<Owner, u32> = FxHashMap::default();
    let mut amounts: Vec<Amount> = Vec::new();
    // An object's dominator stands before it.
    let mut row_of = vec![0u32; snapshot.objects.len()];
    for &object in &snapshot.tree.order {
        let owner = match retained.dominator(object) {
            None => continue,
            Some(Dominator::Object(above)) => Err(row_of[above as usize]),
            Some(Dominator::Holder(holder)) => Ok(Some(whole(holder))),
            Some(Dominator::Shared) => Ok(None),
        };
        let row = owner.map_or_else(
            |row| row,
            |owner| {
                *rows.entry(owner).or_insert_with(|| {
                    amounts.push(Amount::default());
                    amounts.len() as u32 - 1
                })
            },
        );
        row_of[object as usize] = row;
        amounts[row as usize].bytes += snapshot.objects.size(ObjId(object));
        amounts[row as usize].objects += 1;
    }
    let wanted = |owner: &Owner| !stacks_only || matches!(owner, Some(Holder::Stack(_)));
    let all = snapshot.roots.iter().chain(&snapshot.other_roots);
    let all: FxHashSet<Owner> = all.map(|root| Some(whole(root.holder))).collect();
    let idle = all.iter().filter(|o| wanted(o) && !rows.contains_key(*o));
    let idle = idle.count() as u64;
    let mut crowds = crowds(snapshot, &outermost);
    let mut owners: Vec<(Owner, u32)> = rows.into_iter().filter(|(o, _)| wanted(o)).collect();
    owners.sort_by_key(|(_, row)| *row);
    let rows = owners.into_iter().map(|(owner, row)| {
        let mut row = TopRow {
            retained: amounts[row as usize],
            ..TopRow::default()
        };
        match owner {
            None => {
                row.name = SHARED.to_owned();
                row.root_kind = Some(SHARED_KIND.to_owned());
            }
            Some(holder) => {
                row.name = full_name(snapshot, holder);
                row.root_kind = Some(root_kind_name(kind_of(holder)).to_owned());
            }
        }
        if let Some(Holder::Stack(node)) = owner
            && let Some(crowd) = crowds.remove(&node)
        {
            row.goroutines = u64::from(snapshot.stacks.goroutines(node));
            row.longest_wait_ns = crowd.longest_wait_ns;
            let counted = |(state, count): (&str, u64)| StateCount {
                state: state.to_owned(),
                count,
            };
            row.states = crowd.states.sorted().into_iter().map(counted).collect();
        }
        row
    });
    Roots {
        rows: rows.collect(),
        idle,
    }
}

/// Per function on a merged stack, the function that its goroutines started with.
fn outermost(snapshot: &Snapshot) -> Vec<StackNode> {
    let mut outermost = Vec::with_capacity(snapshot.stacks.len());
    for node in (0..snapshot.stacks.len() as u32).map(StackNode) {
        // Callers stand before callees.
        let first = match snapshot.stacks.parent(node) {
            Some(caller) => outermost[caller.0 as usize],
            None => node,
        };
        outermost.push(first);
    }
    outermost
}

/// Goroutines that started with one function.
#[derive(Default)]
struct Crowd<'a> {
    states: Counter<&'a str>,
    longest_wait_ns: Option<u64>,
}

fn crowds<'a>(snapshot: &'a Snapshot, outermost: &[StackNode]) -> FxHashMap<StackNode, Crowd<'a>> {
    let mut crowds: FxHashMap<StackNode, Crowd<'_>> = FxHashMap::default();
    for (g, node) in (0..).zip(snapshot.stacks.innermost()) {
        let crowd = crowds.entry(outermost[node.0 as usize]).or_default();
        crowd.states.add(snapshot.state(g));
        crowd.longest_wait_ns = crowd.longest_wait_ns.max(snapshot.waited(g));
    }
    crowds
}
