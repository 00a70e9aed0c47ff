//! From the snapshot to the histogram of types.

use objref_go::ObjId;
use objref_snapshot::{Certainty, Form, Kind, MapPart, Snapshot, View, is_channel};
use rustc_hash::FxHashMap;

use crate::type_report::{Certain, TYPES_SCHEMA_VERSION, TypeGroup, TypeReport, TypeRow};
use crate::unknown;
use crate::{Amount, Tool};

/// What to put into the histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct TypeOptions {
    /// What objects are put together by.
    pub group_by: TypeGroup,
    /// The biggest groups only; `None` for all.
    pub limit: Option<usize>,
    /// Whether to say why objects have no type.
    pub unknown: bool,
}

type ByCertainty = [Amount; Certainty::ALL.len()];

/// What the live objects are.
pub fn types(snapshot: &Snapshot, options: &TypeOptions) -> TypeReport {
    let mut by_view: Vec<Amount> = vec![Amount::default(); snapshot.distinct_views().len()];
    for &object in &snapshot.tree.order {
        let seen = &mut by_view[snapshot.view_index(object) as usize];
        seen.objects += 1;
        seen.bytes += snapshot.objects.size(ObjId(object));
    }
    let mut groups: FxHashMap<String, ByCertainty> = FxHashMap::default();
    let mut all = ByCertainty::default();
    for (view, amount) in snapshot.distinct_views().iter().zip(by_view) {
        if amount.objects == 0 {
            continue;
        }
        let at = Certainty::ALL
            .iter()
            .position(|w| *w == view.certainty)
            .unwrap_or(0);
        let name = group_name(snapshot, view, options.group_by);
        add(&mut groups.entry(name).or_default()[at], amount);
        add(&mut all[at], amount);
    }
    let mut rows: Vec<TypeRow> = groups
        .into_iter()
        .map(|(name, by)| TypeRow {
            name,
            amount: sum(&by),
            certainty: certain(&by, false),
        })
        .collect();
    rows.sort_by(|a, b| (b.amount.bytes, &a.name).cmp(&(a.amount.bytes, &b.name)));
    let rest = rows.split_off(options.limit.unwrap_or(rows.len()).min(rows.len()));
    let mut left_out_amount = Amount::default();
    rest.iter()
        .for_each(|row| add(&mut left_out_amount, row.amount));
    let mut unknown = match options.unknown {
        true => unknown::reasons(snapshot),
        false => Vec::new(),
    };
    let shown = options.limit.unwrap_or(unknown.len()).min(unknown.len());
    let unknown_left_out = unknown.split_off(shown).len() as u64;
    TypeReport {
        schema_version: TYPES_SCHEMA_VERSION,
        tool: Tool::this(),
        core: snapshot.facts.core.path.clone(),
        group_by: options.group_by,
        live: sum(&all),
        certainty: certain(&all, true),
        rows,
        left_out: rest.len() as u64,
        left_out_amount,
        unknown,
        unknown_left_out,
    }
}

pub(crate) fn add(to: &mut Amount, amount: Amount) {
    to.bytes += amount.bytes;
    to.objects += amount.objects;
}

fn sum(by: &ByCertainty) -> Amount {
    let mut sum = Amount::default();
    by.iter().for_each(|amount| add(&mut sum, *amount));
    sum
}

fn certain(by: &ByCertainty, all: bool) -> Vec<Certain> {
    let amounts = Certainty::ALL.iter().zip(by);
    amounts
        .filter(|(_, amount)| all || amount.objects > 0)
        .map(|(word, amount)| Certain {
            certainty: word.word().to_owned(),
            amount: *amount,
        })
        .collect()
}

/// What objects of the view are put together under; `?` where nothing is known.
pub(crate) fn group_name(snapshot: &Snapshot, view: &View, by: TypeGroup) -> String {
    match by {
        _ if view.certainty == Certainty::Unknown => "?".to_owned(),
        TypeGroup::Type => snapshot.view_name(view),
        TypeGroup::Package => match view.form {
            Form::Text => "(built-in)".to_owned(),
            _ => package(&snapshot.allocated_name(view)).to_owned(),
        },
        TypeGroup::Kind => kind(snapshot, view).to_owned(),
    }
}

/// The package of a type's name, of the first package if it is made of several types: `a/b` of `[]*a/b.T`,
/// `a/b` of `func a/b.f.func1`.
pub(crate) fn package(name: &str) -> &str {
    let letter = |c: char| c.is_alphanumeric() || "./_-~%@+".contains(c);
    let words = name.split(|c: char| !letter(c));
    let mut packages = words.filter_map(|word| {
        let path = word.rfind('/').map_or(0, |slash| slash + 1);
        let dot = path + word[path..].find('.')?;
        (dot > 0).then(|| &word[..dot])
    });
    match packages.next() {
        // The runtime's structs for the insides of maps: `map.group[K]V`.
        None | Some("map") => "(built-in)",
        Some(package) => package,
    }
}

fn kind(snapshot: &Snapshot, view: &View) -> &'static str {
    let ty = snapshot.types.get(view.ty);
    match (view.form, &ty.kind) {
        (Form::Text, _) => "string",
        _ if ty.name.starts_with("func ") => "closure",
        _ if MapPart::of(&ty.name).is_some() => "map",
        _ if ["runtime.hmap", "internal/runtime/maps.Map"].contains(&&*ty.name) => "map",
        _ if is_channel(&ty.name) => "channel",
        (Form::Many, _) => "slice",
        (_, Kind::Struct) => "struct",
        (_, Kind::Array(..)) => "array",
        (_, Kind::Scalar) => "number",
        (_, Kind::String) => "string header",
        (_, Kind::Slice(_)) => "slice header",
        (_, Kind::Interface | Kind::EmptyInterface) => "interface",
        (_, _) => "pointer",
    }
}

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn packages() {
        for (name, expected) in [
            ("main.T", "main"),
            ("[]*github.com/a/b.v2.T", "github.com/a/b"),
            ("*github.com/a.b/c.T", "github.com/a.b/c"),
            ("map.group[string]*a/b.T", "(built-in)"),
            ("func a/b.(*T).f.func1", "a/b"),
            ("struct { x int; y c.D }", "c"),
            ("uint8", "(built-in)"),
            ("[]string", "(built-in)"),
        ] {
            assert_eq!(package(name), expected, "{name}");
        }
    }
}
