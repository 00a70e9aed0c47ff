//! The objects that retain the most.

use std::cmp::Reverse;

use objref_go::ObjId;
use objref_snapshot::{Certainty, Dominator, Holder, INSIDE, Retained, Snapshot};
use regex::Regex;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::root_frames::full_name;
use crate::top::{matches, unmatched};
use crate::top_report::{HeldBy, TopObject, TopReport, TopRow, TopSort};
use crate::{Amount, NotFound, TopOptions};

/// Puts the first objects into `report`.
pub(crate) fn rank(
    snapshot: &Snapshot,
    retained: &Retained,
    options: &TopOptions,
    report: &mut TopReport,
) -> Result<(), NotFound> {
    let size = |object: u32| snapshot.objects.size(ObjId(object));
    let counts = counts(snapshot, retained);
    let mut objects = snapshot.tree.order.clone();
    if let Some(focus) = &options.focus {
        let below = below(snapshot, retained, focus)?;
        objects.retain(|object| below[*object as usize]);
    }
    if let Some(ignore) = &options.ignore {
        let below = below(snapshot, retained, ignore)?;
        objects.retain(|object| !below[*object as usize]);
    }
    let bytes = |objects: &[u32]| objects.iter().map(|o| size(*o)).sum::<u64>();
    report.filtered.rows = report.live.objects - objects.len() as u64;
    report.filtered.amount.objects = report.filtered.rows;
    report.filtered.amount.bytes = report.live.bytes - bytes(&objects);

    let key = |object: &u32| {
        let value = match options.sort {
            TopSort::Retained => retained.bytes(*object),
            TopSort::Shallow => size(*object),
            TopSort::Objects => u64::from(counts[*object as usize]),
        };
        (Reverse(value), *object)
    };
    let shown = options.limit.unwrap_or(objects.len()).min(objects.len());
    if (1..objects.len()).contains(&shown) {
        objects.select_nth_unstable_by_key(shown - 1, key);
    }
    let rest = objects.split_off(shown);
    report.left_out.rows = rest.len() as u64;
    report.left_out.amount.objects = report.left_out.rows;
    report.left_out.amount.bytes = bytes(&rest);
    drop(rest);
    objects.sort_unstable_by_key(key);

    let mut holders = FxHashMap::default();
    for root in &snapshot.roots {
        holders.insert(root.target.0, root.holder);
    }
    report.rows = objects
        .into_iter()
        .map(|object| TopRow {
            name: name(snapshot, object),
            shallow: Some(Amount {
                bytes: size(object),
                objects: 1,
            }),
            retained: Amount {
                bytes: retained.bytes(object),
                objects: u64::from(counts[object as usize]),
            },
            object: Some(TopObject {
                address: address(snapshot, object),
                certainty: snapshot.certainty(object).word().to_owned(),
                held_by: held_by(snapshot, retained, &holders, object),
            }),
            ..TopRow::default()
        })
        .collect();
    Ok(())
}

fn name(snapshot: &Snapshot, object: u32) -> String {
    let name = snapshot.type_name(object);
    name.unwrap_or_else(|| "?".to_owned())
}

fn address(snapshot: &Snapshot, object: u32) -> String {
    format!("0x{:x}", snapshot.objects.address(ObjId(object)))
}

/// `first`: the roots that objects are reached from directly.
fn held_by(
    snapshot: &Snapshot,
    retained: &Retained,
    first: &FxHashMap<u32, Holder>,
    object: u32,
) -> HeldBy {
    let step = || match snapshot.step(object) {
        INSIDE => None,
        step => Some(snapshot.steps.text(step).to_owned()),
    };
    match retained.dominator(object) {
        Some(Dominator::Object(above)) => HeldBy::Object {
            address: address(snapshot, above),
            name: name(snapshot, above),
            step: match snapshot.tree.parents()[object as usize] == above {
                true => step(),
                false => None,
            },
        },
        Some(Dominator::Holder(holder)) => HeldBy::Root {
            name: full_name(snapshot, holder),
            step: match first.get(&object) == Some(&holder) {
                true => step(),
                false => None,
            },
        },
        _ => HeldBy::Shared,
    }
}

/// Per object: how many it retains, itself included.
fn counts(snapshot: &Snapshot, retained: &Retained) -> Vec<u32> {
    let mut counts = vec![1; snapshot.objects.len()];
    // An object's dominator stands before it.
    for &object in snapshot.tree.order.iter().rev() {
        if let Some(Dominator::Object(above)) = retained.dominator(object) {
            counts[above as usize] += counts[object as usize];
        }
    }
    counts
}

/// Per object: whether it or anything that alone keeps it alive has a name that matches.
fn below(snapshot: &Snapshot, retained: &Retained, pattern: &Regex) -> Result<Vec<bool>, NotFound> {
    let views = snapshot.distinct_views();
    let view_names: Vec<String> = views
        .iter()
        .map(|view| match view.certainty {
            Certainty::Unknown => "?".to_owned(),
            _ => snapshot.view_name(view),
        })
        .collect();
    let view_matches: Vec<bool> = view_names.iter().map(|n| matches(pattern, n)).collect();
    let mut holder_matches: FxHashMap<Holder, bool> = FxHashMap::default();
    // Callers stand before callees.
    for holder in retained.holders() {
        let caller = match holder {
            Holder::Stack(node) => snapshot.stacks.parent(node).map(Holder::Stack),
            _ => None,
        };
        let hit = caller.is_some_and(|caller| holder_matches[&caller])
            || matches(pattern, &full_name(snapshot, holder));
        holder_matches.insert(holder, hit);
    }
    let mut below = vec![false; snapshot.objects.len()];
    let mut found = false;
    for &object in &snapshot.tree.order {
        let hit = view_matches[snapshot.view_index(object) as usize]
            || match retained.dominator(object) {
                Some(Dominator::Object(above)) => below[above as usize],
                Some(Dominator::Holder(holder)) => holder_matches[&holder],
                _ => false,
            };
        below[object as usize] = hit;
        found |= hit;
    }
    if found {
        return Ok(below);
    }
    let used: FxHashSet<u32> = snapshot
        .tree
        .order
        .iter()
        .map(|o| snapshot.view_index(*o))
        .collect();
    let roots = retained.holders().filter(|h| retained.holder_bytes(*h) > 0);
    let mut names: Vec<String> = roots.map(|holder| full_name(snapshot, holder)).collect();
    let used = used
        .into_iter()
        .map(|view| view_names[view as usize].clone());
    names.extend(used);
    Err(unmatched(pattern, names.iter().map(String::as_str)))
}
