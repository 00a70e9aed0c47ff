//! A short name for a way from a root to what it holds, the same from dump to dump and from build to build.
//!
//! It is a hash of the names on the way: of variables, functions, fields and types. What differs between two dumps of one
//! program is not in it (addresses, counts, sizes), nor what differs between two builds of one source (lines, the
//! compiler's numbering of closures).

use std::fmt;

use objref_snapshot::short;
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The hash of the names on a way, in 16 hexadecimal digits.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Signature(String);

/// Bytes of the hash that are kept: among a million signatures two are equal once in 37 million times.
const BYTES: usize = 8;

impl Signature {
    /// The signature of a way: the names of its root, outermost first, and of the steps from there. A step that would
    /// repeat one before it leads back to that one, so that a list has the same signature whatever its length.
    pub fn of<'a>(
        root: impl IntoIterator<Item = &'a str>,
        steps: impl IntoIterator<Item = &'a str>,
    ) -> Signature {
        let mut names: Vec<String> = root.into_iter().map(stable_name).collect();
        let first = names.len();
        let mut places: FxHashMap<String, usize> = FxHashMap::default();
        for step in steps {
            let step = stable_name(step);
            if let Some(&place) = places.get(&step) {
                names.drain(place + 1..).for_each(|name| {
                    places.remove(&name);
                });
                continue;
            }
            places.insert(step.clone(), names.len());
            names.push(step);
        }
        let mut hash = Sha256::new();
        hash.update((first as u64).to_le_bytes());
        for name in &names {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        let hash = hash.finalize();
        let digits = hash[..BYTES].iter().map(|b| format!("{b:02x}"));
        Signature(digits.collect())
    }

    /// The signature of these digits; `None` if they are none of one.
    pub fn parse(digits: &str) -> Option<Signature> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (digits.len() == 2 * BYTES && digits.bytes().all(is_digit))
            .then(|| Signature(digits.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name without what changes while the source stays the same: directories of import paths (vendored copies, forks),
/// numbers of closures, sizes of what has no type.
pub fn stable_name(name: &str) -> String {
    let name = short(name);
    let name = without_size(&name);
    let mut out = String::with_capacity(name.len());
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '(' | '*' | ')');
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let end = match in_word(c) {
            true => rest.find(|c| !in_word(c)).unwrap_or(rest.len()),
            false => rest.find(in_word).unwrap_or(rest.len()),
        };
        let (part, after) = rest.split_at(end);
        match in_word(c) {
            true => push_word(&mut out, part),
            false => out.push_str(part),
        }
        rest = after;
    }
    out
}

/// `? [64 B]` and `unsafe.Pointer [large]` end in a size, of which the next dump may have another one.
fn without_size(name: &str) -> &str {
    let Some((before, size)) = name.rsplit_once(" [") else {
        return name;
    };
    let is_size = size == "large]"
        || size
            .strip_suffix(" B]")
            .is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    if is_size { before } else { name }
}

/// `main.f.func1.2` as `main.f.func`: which closure of a function it is changes when one is added before it.
// cmd/compile/internal/ir/func.go: closureName
fn push_word(out: &mut String, word: &str) {
    let (word, call) = match word.strip_suffix("()") {
        Some(word) => (word, "()"),
        None => (word, ""),
    };
    for (place, part) in word.split('.').enumerate() {
        let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        // `main.func1` somebody called so.
        if place > 1 && is_number {
            continue;
        }
        let stem = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_made_up = stem.ends_with("-range")
            || place > 1 && ["func", "gowrap", "deferwrap"].contains(&stem);
        out.push_str(if place > 0 { "." } else { "" });
        out.push_str(if is_made_up { stem } else { part });
    }
    out.push_str(call);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_build_changes_is_not_in_it() {
        for (name, expected) in [
            ("main.f.func1", "main.f.func"),
            ("main.f.func2.1", "main.f.func"),
            ("main.(*T).f.func12.gowrap3()", "main.(*T).f.func.gowrap()"),
            ("main.f-range1()", "main.f-range()"),
            ("main.init.0", "main.init"),
            ("main.func1", "main.func1"),
            ("example.com/a/b.T", "b.T"),
            ("cb func main.f.func1", "cb func main.f.func"),
            ("? [64 B]", "?"),
            ("p unsafe.Pointer [large]", "p unsafe.Pointer"),
            ("[] [4]uint8", "[] [4]uint8"),
            ("[value] *main.Session", "[value] *main.Session"),
        ] {
            assert_eq!(stable_name(name), expected, "{name}");
        }
    }

    #[test]
    fn signatures_do_not_change_with_the_program() {
        // Written down in baselines and policies: this value must stay.
        let known = Signature::of(
            ["main.server"],
            ["*main.Server", "sessions *main.SessionStore"],
        );
        assert_eq!(known.as_str(), "d77d918ebf9a9593");
        assert_eq!(Signature::parse(known.as_str()), Some(known));
        assert_eq!(Signature::parse("3F"), None);
        assert_eq!(Signature::parse("xf6b1c7a1d2e3f40"), None);
    }

    #[test]
    fn the_length_of_a_list_does_not_matter() {
        let of = |steps: &[&str]| Signature::of(["main.head"], steps.iter().copied());
        let one = of(&["*main.Node", "next *main.Node", "data []uint8"]);
        let many = of(&[
            "*main.Node",
            "next *main.Node",
            "next *main.Node",
            "next *main.Node",
            "data []uint8",
        ]);
        assert_eq!(one, many);
        let there_and_back = of(&["left *N", "right *N", "left *N", "data []uint8"]);
        assert_eq!(there_and_back, of(&["left *N", "data []uint8"]));
        assert_ne!(one, of(&["*main.Node", "data []uint8"]));
    }

    proptest! {
        #[test]
        fn names_are_kept_apart(a in "[a-z]{0,3}", b in "[a-z]{0,3}") {
            // No step of the two equals the other, which would be taken for a way back to it.
            let joined = format!("{a}X{b}");
            prop_assert_ne!(
                Signature::of(["r"], [a.as_str(), &format!("X{b}")]),
                Signature::of(["r"], [joined.as_str()])
            );
        }

        #[test]
        fn stable_names_stay(name in "[a-z0-9./()*\\[\\] -]{0,30}") {
            // No panic, and nothing is left to be taken away.
            let once = stable_name(&name);
            prop_assert!(once.len() <= name.len());
        }
    }
}
