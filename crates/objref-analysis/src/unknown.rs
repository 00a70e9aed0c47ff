//! Why objects have no type.

use objref_go::ObjId;
use objref_snapshot::{Holder, Snapshot};
use rustc_hash::FxHashMap;

use crate::measure::holder_name;
use crate::type_report::UnknownRow;

/// Objects without a type, put together by what first refers to an untyped object, the most bytes first.
pub(crate) fn reasons(snapshot: &Snapshot) -> Vec<UnknownRow> {
    let roots: FxHashMap<u32, Holder> = snapshot
        .roots
        .iter()
        .map(|root| (root.target.0, root.holder))
        .collect();
    let mut rows: Vec<UnknownRow> = Vec::new();
    let mut ids: FxHashMap<(String, String, u64), u32> = FxHashMap::default();
    // Per object without a type, the row that it is in.
    let mut row_of = vec![u32::MAX; snapshot.objects.len()];
    for &object in &snapshot.tree.order {
        if snapshot.view(object).is_some() {
            continue;
        }
        let (id, size) = (ObjId(object), snapshot.objects.size(ObjId(object)));
        let root = roots.get(&object);
        let above = match root {
            Some(_) => u32::MAX,
            None => row_of[snapshot.tree.parents()[object as usize] as usize],
        };
        let row = match above {
            u32::MAX => {
                let (reason, holder) = explain(snapshot, object, root.copied());
                let next = rows.len() as u32;
                let row = *ids.entry((reason.to_owned(), holder, size)).or_insert(next);
                if row == next {
                    rows.push(UnknownRow {
                        slot: size,
                        example: format!("{:#x}", snapshot.objects.address(id)),
                        ..UnknownRow::default()
                    });
                }
                rows[row as usize].heads += 1;
                row
            }
            row => row,
        };
        row_of[object as usize] = row;
        let amount = &mut rows[row as usize].amount;
        amount.bytes += size;
        amount.objects += 1;
    }
    for ((reason, holder, _), row) in ids {
        let row = &mut rows[row as usize];
        (row.reason, row.holder) = (reason, holder);
    }
    rows.sort_by(|a, b| {
        (b.amount.bytes, &a.holder, &a.reason, a.slot).cmp(&(
            a.amount.bytes,
            &b.holder,
            &b.reason,
            b.slot,
        ))
    });
    rows
}

/// (why, what refers to it) of an object whose holder has a type, or is a root.
fn explain(snapshot: &Snapshot, object: u32, root: Option<Holder>) -> (&'static str, String) {
    let step = snapshot.steps.text(snapshot.step(object));
    // What a reference to an untyped object ends in: the size class.
    let reference = step.rfind(" [").map_or(step, |at| &step[..at]);
    let Some(holder) = root else {
        let parent = snapshot.tree.parents()[object as usize];
        let view = &snapshot.distinct_views()[snapshot.view_index(parent) as usize];
        let holder = snapshot.view_name(view);
        return (declared(reference), format!("{holder} › {reference}"));
    };
    let reason = match holder {
        _ if reference != "?" => declared(reference),
        Holder::Stack(_) => "a stack slot that no variable in the debug information covers",
        Holder::Variable(_) => "a word of data that no variable in the debug information covers",
        Holder::Runtime(_) => "the runtime keeps no type with it",
    };
    (
        reason,
        format!("{} › {reference}", holder_name(snapshot, holder)),
    )
}

/// Why a reference with a declared type does not tell.
fn declared(reference: &str) -> &'static str {
    let ty = reference.rsplit_once(' ').map_or(reference, |(_, ty)| ty);
    match ty {
        "?" => "the holder's type says nothing about this word",
        _ if ty.ends_with("unsafe.Pointer") => "behind unsafe.Pointer",
        _ if ty.starts_with("func") => "a closure that the binary does not describe",
        _ => "what the reference says does not fit the slot and its pointers",
    }
}
