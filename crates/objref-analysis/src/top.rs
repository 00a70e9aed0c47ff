//! From the snapshot to what retains the most.

use std::cmp::Reverse;

use objref_go::ObjId;
use objref_snapshot::{Retained, Snapshot, short};
use regex::Regex;
use rustc_hash::FxHashMap;

use crate::dominated::retained_by_set;
use crate::top_report::{Omitted, TOP_SCHEMA_VERSION, TopBy, TopReport, TopRow, TopSort};
use crate::types::{add, group_name};
use crate::{Amount, NotFound, Tool, TypeGroup, nearest, top_objects, top_roots};

/// What to rank, and how.
#[derive(Clone, Debug, Default)]
pub struct TopOptions {
    /// What the rows stand for.
    pub by: TopBy,
    /// What comes first.
    pub sort: TopSort,
    /// So many rows at most; `None` for all.
    pub limit: Option<usize>,
    /// Only what this matches: the name, or of objects the name of any that alone keeps them alive.
    pub focus: Option<Regex>,
    /// Not what this matches.
    pub ignore: Option<Regex>,
}

/// What retains the most.
///
/// # Errors
///
/// If `focus` or `ignore` match nothing.
pub fn top(
    snapshot: &Snapshot,
    retained: &Retained,
    options: &TopOptions,
) -> Result<TopReport, NotFound> {
    let mut report = TopReport {
        schema_version: TOP_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        by: options.by,
        sort: options.sort,
        focus: options.focus.as_ref().map(|f| f.as_str().to_owned()),
        ignore: options.ignore.as_ref().map(|f| f.as_str().to_owned()),
        live: live(snapshot),
        ..TopReport::default()
    };
    let rows = match options.by {
        TopBy::Root | TopBy::Goroutine => {
            let stacks_only = options.by == TopBy::Goroutine;
            let roots = top_roots::roots(snapshot, retained, stacks_only);
            report.idle_roots = roots.idle;
            roots.rows
        }
        TopBy::Type => sets(snapshot, retained, TypeGroup::Type),
        TopBy::Package => sets(snapshot, retained, TypeGroup::Package),
        TopBy::Object => {
            top_objects::rank(snapshot, retained, options, &mut report)?;
            return Ok(report);
        }
    };
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for pattern in options.patterns() {
        if !names.iter().any(|name| matches(pattern, name)) {
            return Err(unmatched(pattern, names));
        }
    }
    let (mut rows, filtered): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| options.keeps(&row.name));
    report.filtered = omitted(&filtered);
    rows.sort_by_cached_key(|row| {
        let value = match options.sort {
            TopSort::Retained => row.retained.bytes,
            TopSort::Shallow => row.additive().bytes,
            TopSort::Objects => row.additive().objects,
        };
        (Reverse(value), row.name.clone())
    });
    let shared = rows
        .iter()
        .position(TopRow::is_shared)
        .map(|at| rows.remove(at));
    let shown = options.limit.unwrap_or(rows.len()).min(rows.len());
    report.left_out = omitted(&rows.split_off(shown));
    rows.extend(shared);
    report.rows = rows;
    Ok(report)
}

impl TopOptions {
    fn patterns(&self) -> impl Iterator<Item = &Regex> {
        self.focus.iter().chain(&self.ignore)
    }

    fn keeps(&self, name: &str) -> bool {
        self.focus.as_ref().is_none_or(|f| matches(f, name))
            && !self.ignore.as_ref().is_some_and(|f| matches(f, name))
    }
}

/// Whether the name matches, with or without the directories of import paths.
pub(crate) fn matches(pattern: &Regex, name: &str) -> bool {
    pattern.is_match(name) || pattern.is_match(&short(name))
}

/// That nothing of `names` matches.
pub(crate) fn unmatched<'a>(pattern: &Regex, names: impl IntoIterator<Item = &'a str>) -> NotFound {
    NotFound {
        what: format!("nothing matches {pattern}"),
        nearest: nearest(pattern.as_str(), names),
    }
}

fn omitted(rows: &[TopRow]) -> Omitted {
    let mut omitted = Omitted {
        rows: rows.len() as u64,
        ..Omitted::default()
    };
    rows.iter()
        .for_each(|row| add(&mut omitted.amount, row.additive()));
    omitted
}

fn live(snapshot: &Snapshot) -> Amount {
    let order = &snapshot.tree.order;
    Amount {
        bytes: order.iter().map(|o| snapshot.objects.size(ObjId(*o))).sum(),
        objects: order.len() as u64,
    }
}

/// Objects put together, with what each set retains: what its members do that no other member dominates.
fn sets(snapshot: &Snapshot, retained: &Retained, group: TypeGroup) -> Vec<TopRow> {
    let mut rows: Vec<TopRow> = Vec::new();
    let mut by_name: FxHashMap<String, u32> = FxHashMap::default();
    let views = snapshot.distinct_views().iter().map(|view| {
        let name = group_name(snapshot, view, group);
        *by_name.entry(name).or_insert_with_key(|name| {
            rows.push(TopRow {
                name: name.clone(),
                shallow: Some(Amount::default()),
                ..TopRow::default()
            });
            rows.len() as u32 - 1
        })
    });
    let set_of_view: Vec<u32> = views.collect();
    let set_of = |object| set_of_view[snapshot.view_index(object) as usize];
    let mut own = vec![Amount::default(); rows.len()];
    for &object in &snapshot.tree.order {
        let own = &mut own[set_of(object) as usize];
        own.bytes += snapshot.objects.size(ObjId(object));
        own.objects += 1;
    }
    let retained = retained_by_set(snapshot, retained, rows.len(), set_of);
    for ((row, own), retained) in rows.iter_mut().zip(own).zip(retained) {
        (row.shallow, row.retained) = (Some(own), retained);
    }
    rows.retain(|row| row.retained.objects > 0);
    rows
}
