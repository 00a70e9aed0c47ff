//! Who holds all objects of a type: the ways to them, put together by their last steps.

use objref_go::ObjId;
use objref_snapshot::{Dominator, Holder, INSIDE, References, StepId};
use rustc_hash::FxHashMap;

use crate::Amount;
use crate::measure::holder_name;
use crate::paths::{Search, Shortest};
use crate::why::{About, WhyOptions, short_type};
use crate::why_report::{HolderGroup, WhyType};

/// Groups whose retained bytes are added up in one pass, a bit each; one more stands for all together.
const MOST: usize = 31;
/// Elements of elements of elements: no further up.
const NESTED: usize = 4;
/// A map's header, table, group; a chain of buckets is not followed for ever.
const INSIDES: usize = 8;

/// The last steps of a way: from a struct, or a root, through maps and slices to the object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Ways {
    from: From,
    /// Outermost first.
    steps: [Option<Step>; NESTED],
}

/// Who refers to the first of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum From {
    Root(Holder),
    /// By the number of its view.
    Object(u32),
}

/// The words of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// The snapshot's.
    Known(StepId),
    /// Of a search that left something out.
    Found(u32),
}

struct Group {
    ways: Ways,
    amount: Amount,
    /// The first of them.
    first: u32,
}

pub(crate) fn why_type(
    about: &About<'_>,
    references: &References<'_>,
    names: &[String],
    views: &[bool],
    options: &WhyOptions,
) -> WhyType {
    let snapshot = about.snapshot;
    let search = Search::new(snapshot, references, &options.exclude);
    let shortest = search.shortest();
    let mut words = Words::default();
    let is_meant = |object: u32| {
        let view = snapshot.view_index(object) as usize;
        views.get(view).is_some_and(|is| *is)
    };
    let (mut amount, mut excluded) = (Amount::default(), Amount::default());
    let mut numbers: FxHashMap<Ways, u32> = FxHashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    let mut number_of: FxHashMap<u32, u32> = FxHashMap::default();
    for &object in snapshot
        .tree
        .order
        .iter()
        .filter(|object| is_meant(**object))
    {
        let size = snapshot.objects.size(ObjId(object));
        add(&mut amount, size);
        if !shortest.tree.is_reached(object) {
            add(&mut excluded, size);
            continue;
        }
        let ways = ways(&search, &shortest, &mut words, object);
        let number = *numbers.entry(ways).or_insert_with(|| {
            groups.push(Group {
                ways,
                amount: Amount::default(),
                first: object,
            });
            groups.len() as u32 - 1
        });
        add(&mut groups[number as usize].amount, size);
        number_of.insert(object, number);
    }
    let mut order: Vec<u32> = (0..groups.len() as u32).collect();
    order.sort_by_key(|number| {
        let amount = groups[*number as usize].amount;
        (std::cmp::Reverse((amount.bytes, amount.objects)), *number)
    });
    let shown = options.limit.min(MOST).min(order.len());
    let mut bits = vec![0u32; groups.len()];
    for (bit, number) in order[..shown].iter().enumerate() {
        bits[*number as usize] = 1 << bit;
    }
    let bit = |object: u32| match number_of.get(&object) {
        Some(number) => bits[*number as usize] | 1 << MOST,
        None => u32::from(is_meant(object)) << MOST,
    };
    let retained = retained(about, bit);
    let mut left_out = Amount::default();
    for number in &order[shown..] {
        left_out.objects += groups[*number as usize].amount.objects;
        left_out.bytes += groups[*number as usize].amount.bytes;
    }
    let shown_groups = order[..shown]
        .iter()
        .enumerate()
        .filter_map(|(bit, number)| {
            let group = &groups[*number as usize];
            let chain = shortest.chain(group.first)?;
            Some(HolderGroup {
                holder: words.holder(about, &group.ways),
                amount: group.amount,
                retained: retained[bit],
                example: about.path(&search, &chain),
            })
        });
    WhyType {
        names: names.to_vec(),
        amount,
        retained: retained[MOST],
        excluded,
        groups: shown_groups.collect(),
        groups_left_out: (order.len() - shown) as u64,
        left_out,
    }
}

fn add(amount: &mut Amount, size: u64) {
    amount.objects += 1;
    amount.bytes += size;
}

/// For each bit, the bytes that the objects with that bit keep alive together: those of objects that none of them
/// dominates. `bit` is asked once for each object.
fn retained(about: &About<'_>, bit: impl Fn(u32) -> u32) -> [u64; MOST + 1] {
    let snapshot = about.snapshot;
    let mut sums = [0; MOST + 1];
    // Of each object, the bits of itself and of all that dominate it.
    let mut above = vec![0u32; snapshot.objects.len()];
    // A dominator stands before what it dominates.
    for &object in &snapshot.tree.order {
        let inherited = match about.retained.dominator(object) {
            Some(Dominator::Object(dominator)) => above[dominator as usize],
            _ => 0,
        };
        let own = bit(object);
        above[object as usize] = inherited | own;
        let mut news = own & !inherited;
        while news != 0 {
            sums[news.trailing_zeros() as usize] += about.retained.bytes(object);
            news &= news - 1;
        }
    }
    sums
}

/// The words of steps that a search found, by number.
#[derive(Default)]
struct Words {
    texts: Vec<String>,
    ids: FxHashMap<String, u32>,
    /// Of objects whose parent is not that of the snapshot's tree.
    of: FxHashMap<u32, u32>,
}

impl Words {
    /// The step by which `object` hangs from its parent in the tree of the search; `None` inside of a Go value.
    fn step(
        &mut self,
        search: &Search<'_, '_>,
        shortest: &Shortest<'_>,
        object: u32,
    ) -> Option<Step> {
        let snapshot = search.snapshot;
        let from = shortest.tree.parents()[object as usize];
        if snapshot.tree.parents()[object as usize] == from {
            return match snapshot.step(object) {
                INSIDE => None,
                step => Some(Step::Known(step)),
            };
        }
        if !self.of.contains_key(&object) {
            self.read(search, shortest, from);
        }
        let id = self.of.get(&object).copied()?;
        (!self.texts[id as usize].is_empty()).then_some(Step::Found(id))
    }

    /// The words for all that hangs from an object, so that it is read but once.
    fn read(&mut self, search: &Search<'_, '_>, shortest: &Shortest<'_>, from: u32) {
        search.each(from, |target, text| {
            if shortest.tree.parents()[target as usize] != from {
                return;
            }
            let id = match self.ids.get(&*text) {
                Some(id) => *id,
                None => {
                    let id = self.texts.len() as u32;
                    self.texts.push(text.clone().into_owned());
                    self.ids.insert(text.into_owned(), id);
                    id
                }
            };
            self.of.entry(target).or_insert(id);
        });
    }

    fn text<'t>(&'t self, about: &About<'t>, step: Step) -> &'t str {
        match step {
            Step::Known(step) => about.snapshot.steps.text(step),
            Step::Found(id) => &self.texts[id as usize],
        }
    }

    /// `main.Store.byName[value] *main.Session`: the holder, the ways through it, and what they lead to.
    fn holder(&self, about: &About<'_>, ways: &Ways) -> String {
        let snapshot = about.snapshot;
        let (mut out, is_root) = match ways.from {
            From::Root(holder) => (holder_name(snapshot, holder), true),
            From::Object(view) => {
                let name = match view {
                    0 => None,
                    view => Some(snapshot.view_name(&snapshot.distinct_views()[view as usize])),
                };
                (short_type(name), false)
            }
        };
        let mut last = "";
        for (place, step) in ways.steps.iter().flatten().enumerate() {
            let text = self.text(about, *step);
            let (path, target) = match place {
                0 if is_root => split_root(text),
                _ => text.split_once(' ').unwrap_or(("", text)),
            };
            match path {
                "" | "*" => {}
                "?" => out.push_str(" ?"),
                _ if path.starts_with('[') => out.push_str(path),
                _ => out.extend([".", path]),
            }
            last = target;
        }
        format!("{out} {last}")
    }
}

/// The way from a root and what it leads to: a variable that is itself the reference has no way.
pub(crate) fn split_root(text: &str) -> (&str, &str) {
    const TYPES: [&str; 6] = [
        "chan",
        "<-chan",
        "func",
        "interface",
        "struct",
        "unsafe.Pointer",
    ];
    let Some((path, target)) = text.split_once(' ') else {
        return ("", text);
    };
    let is_name = |part: &str| part.chars().all(|c| c.is_alphanumeric() || c == '_');
    // `a.b[].c`, `[key]`: brackets with something else in them belong to a type.
    let plain = ["[]", "[key]", "[value]"]
        .iter()
        .fold(path.to_owned(), |path, part| path.replace(part, "."));
    let is_path = path == "?" || !TYPES.contains(&path) && plain.split('.').all(is_name);
    match is_path && !begins_a_type(path) {
        true => (path, target),
        false => ("", text),
    }
}

/// `[]T` is a type, `[].f` and `[]` are ways.
fn begins_a_type(path: &str) -> bool {
    path.match_indices(']').any(|(at, _)| {
        path[at + 1..]
            .chars()
            .next()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '*')
    })
}

/// The last steps of the way to an object, up to a struct's field or a root.
fn ways(search: &Search<'_, '_>, shortest: &Shortest<'_>, words: &mut Words, object: u32) -> Ways {
    let snapshot = search.snapshot;
    let mut steps = [None; NESTED];
    let mut count = 0;
    let mut at = object;
    let mut insides = 0;
    let from = loop {
        if let Some(root) = shortest.held_by_root(at) {
            if count < NESTED {
                steps[count] = Some(Step::Known(root.step));
                count += 1;
            }
            break From::Root(root.holder);
        }
        let parent = shortest.tree.parents()[at as usize];
        match words.step(search, shortest, at) {
            None => {
                insides += 1;
                if insides > INSIDES {
                    break From::Object(snapshot.view_index(parent));
                }
            }
            Some(step) => {
                steps[count] = Some(step);
                count += 1;
                let text = match step {
                    Step::Known(step) => snapshot.steps.text(step),
                    Step::Found(id) => &words.texts[id as usize],
                };
                // Elements say little without what they are elements of.
                let is_element = text.starts_with('[') || text.starts_with("* ");
                if !is_element || count == NESTED {
                    break From::Object(snapshot.view_index(parent));
                }
            }
        }
        at = parent;
    };
    steps[..count].reverse();
    Ways { from, steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roots_way_and_what_it_leads_to() {
        for (text, expected) in [
            ("*main.T", ("", "*main.T")),
            ("[] *main.T", ("[]", "*main.T")),
            ("[]interface {}", ("", "[]interface {}")),
            ("a.b[].c *main.T", ("a.b[].c", "*main.T")),
            ("chan main.T", ("", "chan main.T")),
            ("map[interface {}]int", ("", "map[interface {}]int")),
            (
                "local unsafe.Pointer([]sync.poolLocal)",
                ("local", "unsafe.Pointer([]sync.poolLocal)"),
            ),
            ("? [64 B]", ("?", "[64 B]")),
            ("interface {}(*main.T)", ("", "interface {}(*main.T)")),
        ] {
            assert_eq!(split_root(text), expected);
        }
    }
}
