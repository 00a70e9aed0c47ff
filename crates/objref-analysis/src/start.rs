//! Where to start unfolding the dominator tree.

use objref_go::ObjId;
use objref_snapshot::{Certainty, Holder, Retained, Snapshot, short};
use rustc_hash::FxHashSet;

use crate::dominator_frames::SHARED;
use crate::root_frames::full_name;
use crate::{NotFound, iec, nearest};

/// Where to start: what is on top of the tree.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// All roots.
    #[default]
    Everything,
    /// Some roots.
    Roots {
        /// These; none is a caller of another.
        tops: FxHashSet<Holder>,
        /// These, and the functions that they called.
        within: FxHashSet<Holder>,
    },
    /// What several roots share.
    Shared,
    /// An object.
    Object(u32),
    /// All objects of a type that no other one dominates: which views have the type.
    Type(Vec<bool>),
}

impl Start {
    /// What `wanted` means: `0xADDRESS`, a root, a type; or a part of the name of one of them only.
    ///
    /// # Errors
    ///
    /// If it is nothing, or several things.
    pub fn find(snapshot: &Snapshot, retained: &Retained, wanted: &str) -> Result<Self, NotFound> {
        if let Some(digits) = wanted.strip_prefix("0x") {
            return at(snapshot, digits, wanted);
        }
        let roots: Vec<(Holder, String)> = retained
            .holders()
            .filter(|holder| retained.holder_bytes(*holder) > 0)
            .map(|holder| (holder, full_name(snapshot, holder)))
            .collect();
        let types = live_types(snapshot);
        let is = |name: &str| [name, &short(name)].map(|n| n == wanted).contains(&true);
        let is_root = |name: &str| is(name) || name.strip_suffix("()").is_some_and(is);
        let named = |name: &dyn Fn(&str) -> bool| -> Vec<Holder> {
            let roots = roots.iter().filter(|(_, root)| name(root));
            roots.map(|(holder, _)| *holder).collect()
        };
        let exact = named(&is_root);
        if !exact.is_empty() {
            return Ok(Self::roots(snapshot, retained, &exact));
        }
        if let Some((name, _)) = types.iter().find(|(name, _)| is(name)) {
            return Ok(Self::of_type(&types, name));
        }

        let part = wanted.to_lowercase();
        let has = |name: &str| name.to_lowercase().contains(&part);
        let mut names: Vec<&str> = roots.iter().map(|(_, name)| name.as_str()).collect();
        let type_names = types.iter().map(|(name, _)| name.as_str());
        if has(SHARED) && !part.is_empty() {
            names.push(SHARED);
        }
        let mut root_hits: Vec<&str> = names.iter().copied().filter(|name| has(name)).collect();
        let mut type_hits: Vec<&str> = type_names.clone().filter(|name| has(name)).collect();
        for hits in [&mut root_hits, &mut type_hits] {
            hits.sort_unstable();
            hits.dedup();
        }
        match (&root_hits[..], &type_hits[..]) {
            ([SHARED], _) => Ok(Self::Shared),
            ([root], _) => {
                let found = named(&|name| name == *root);
                Ok(Self::roots(snapshot, retained, &found))
            }
            ([], [ty]) => Ok(Self::of_type(&types, ty)),
            (roots, types) => {
                let what = match roots.len() + types.len() {
                    0 => format!("no root and no type is called {wanted}"),
                    n => format!("{n} roots and types have {wanted} in their names"),
                };
                let nearest = nearest(wanted, names.iter().copied().chain(type_names));
                Err(NotFound { what, nearest })
            }
        }
    }

    fn roots(snapshot: &Snapshot, retained: &Retained, found: &[Holder]) -> Self {
        let found: FxHashSet<Holder> = found.iter().copied().collect();
        let (mut tops, mut within) = (FxHashSet::default(), FxHashSet::default());
        // Callers stand before callees.
        for holder in retained.holders() {
            let caller = match holder {
                Holder::Stack(node) => snapshot.stacks.parent(node).map(Holder::Stack),
                _ => None,
            };
            if caller.is_some_and(|caller| within.contains(&caller)) {
                within.insert(holder);
            } else if found.contains(&holder) {
                tops.insert(holder);
                within.insert(holder);
            }
        }
        Start::Roots { tops, within }
    }

    fn of_type(types: &[(String, usize)], name: &str) -> Self {
        let views = types.iter().map(|(_, view)| view + 1).max().unwrap_or(0);
        let mut of_type = vec![false; views];
        for (_, view) in types.iter().filter(|(n, _)| n == name) {
            of_type[*view] = true;
        }
        Start::Type(of_type)
    }

    /// Whether the tree has this root.
    pub(crate) fn has_root(&self, holder: Holder) -> bool {
        match self {
            Start::Everything => true,
            Start::Roots { within, .. } => within.contains(&holder),
            _ => false,
        }
    }

    /// Whether the tree has what several roots share.
    pub(crate) fn has_shared(&self) -> bool {
        matches!(self, Start::Everything | Start::Shared)
    }
}

/// The name of the frame of an object to start at.
pub(crate) fn object_name(snapshot: &Snapshot, object: u32) -> String {
    let name = snapshot.type_name(object);
    let name = name.as_deref().map_or("?".to_owned(), short);
    let address = snapshot.objects.address(ObjId(object));
    format!("0x{address:x} {name}")
}

/// The object that an address lies in.
fn at(snapshot: &Snapshot, digits: &str, wanted: &str) -> Result<Start, NotFound> {
    let error = |what: String| NotFound {
        what: format!("{wanted}: {what}"),
        nearest: Vec::new(),
    };
    let Ok(address) = u64::from_str_radix(digits, 16) else {
        return Err(error("not an address".to_owned()));
    };
    match snapshot.objects.resolve(address) {
        Some(object) if snapshot.is_reached(object.id.0) => Ok(Start::Object(object.id.0)),
        Some(object) => Err(error(format!(
            "garbage: nothing reaches the object of {} there, which starts at 0x{:x}",
            iec(object.span.elem_size),
            object.at
        ))),
        None => Err(error(match snapshot.objects.span_at(address) {
            Some(span) => format!(
                "no object: a free slot of the heap, in a span of slots of {}",
                iec(span.elem_size)
            ),
            None => "not in the heap's objects".to_owned(),
        })),
    }
}

/// The types of live objects, each with a view of it.
fn live_types(snapshot: &Snapshot) -> Vec<(String, usize)> {
    let views = snapshot.distinct_views();
    let mut live = vec![false; views.len()];
    for &object in &snapshot.tree.order {
        live[snapshot.view_index(object) as usize] = true;
    }
    let known = views
        .iter()
        .enumerate()
        .filter(|(view, v)| live[*view] && v.certainty != Certainty::Unknown);
    known
        .map(|(view, v)| (snapshot.view_name(v), view))
        .collect()
}
