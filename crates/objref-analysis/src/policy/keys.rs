//! The keys of a policy: what the reader knows, and its schema.

use serde::Serialize;

use super::Measure;

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    takes: Takes,
    /// For people.
    what: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Text,
    Pattern,
    Day,
    Severity,
    Signature,
    Count,
    Size,
    SizeOrPart,
    Tables(&'static [Key]),
    Table(&'static [Key]),
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

const fn key(name: &'static str, takes: Takes, what: &'static str) -> Key {
    Key { name, takes, what }
}

/// A key that limits something.
pub(super) struct LimitKey {
    pub(super) name: &'static str,
    pub(super) measure: Measure,
    /// Subjects by their first key; "" is the heap.
    pub(super) of: &'static [&'static str],
    pub(super) is_count: bool,
    pub(super) percent: bool,
}

const fn limit(
    name: &'static str,
    measure: Measure,
    of: &'static [&'static str],
    is_count: bool,
    percent: bool,
) -> LimitKey {
    LimitKey {
        name,
        measure,
        of,
        is_count,
        percent,
    }
}

/// What can be limited, and of what.
pub(super) const LIMITS: [LimitKey; 11] = [
    limit("max_live", Measure::Live, &[""], false, false),
    limit(
        "max_retained",
        Measure::Retained,
        &["root", "type", "package"],
        false,
        true,
    ),
    limit(
        "max_bytes",
        Measure::Bytes,
        &["type", "package", "path", "root"],
        false,
        true,
    ),
    limit(
        "max_objects",
        Measure::Objects,
        &["", "type", "package", "path"],
        true,
        false,
    ),
    limit(
        "max_goroutines",
        Measure::Goroutines,
        &["", GOROUTINES],
        true,
        false,
    ),
    limit("max_garbage", Measure::Garbage, &[""], false, true),
    limit("max_untyped", Measure::Untyped, &[""], false, true),
    limit("max_missing", Measure::Missing, &[""], false, true),
    limit("max_uncovered", Measure::Uncovered, &[""], false, true),
    limit(
        "max_growth",
        Measure::Growth,
        &["", "root", "type", "package", "path", GOROUTINES],
        false,
        true,
    ),
    limit(
        "max_new_signatures",
        Measure::NewSignatures,
        &[""],
        true,
        false,
    ),
];

/// Stands for `function`, `state` and `label`.
pub(super) const GOROUTINES: &str = "function, state or label";

pub(super) const RULE: &[Key] = &[
    key("name", Takes::Text, "the rule's name; no other rule has it"),
    key("reason", Takes::Text, "why it is there"),
    key(
        "severity",
        Takes::Severity,
        "\"error\", or \"warning\": said, without failing the check",
    ),
    key(
        "expires",
        Takes::Day,
        "its last day; afterwards it still holds, with a warning",
    ),
    key(
        "root",
        Takes::Pattern,
        "each root of that name: a variable, the function that goroutines started with",
    ),
    key("type", Takes::Pattern, "each type of that name"),
    key("package", Takes::Pattern, "each package of that name"),
    key(
        "path",
        Takes::Pattern,
        "each way with a signature whose words match: root › step › step",
    ),
    key(
        "function",
        Takes::Pattern,
        "goroutines with such a function on their stacks",
    ),
    key(
        "state",
        Takes::Pattern,
        "goroutines that do this, or wait for it: \"chan send\"",
    ),
    key(
        "label",
        Takes::Text,
        "goroutines with this label: \"key\" or \"key=value\"",
    ),
    key("max_live", Takes::Size, "live bytes"),
    key(
        "max_retained",
        Takes::SizeOrPart,
        "bytes that would be freed without it, or their part of the live heap",
    ),
    key(
        "max_bytes",
        Takes::SizeOrPart,
        "bytes of its objects, or their part of the live heap; of a path or a root, of all that it holds",
    ),
    key("max_objects", Takes::Count, "live objects"),
    key(
        "max_goroutines",
        Takes::Count,
        "goroutines, without those of the runtime",
    ),
    key(
        "max_garbage",
        Takes::SizeOrPart,
        "allocated bytes that nothing reaches, or their part of what is allocated",
    ),
    key(
        "max_untyped",
        Takes::SizeOrPart,
        "live bytes of unknown type, or their part of the live heap",
    ),
    key(
        "max_missing",
        Takes::SizeOrPart,
        "bytes that the core should have and lacks, or their part of it",
    ),
    key(
        "max_uncovered",
        Takes::SizeOrPart,
        "bytes by which our count differs from the runtime's, or their part of that",
    ),
    key(
        "max_growth",
        Takes::SizeOrPart,
        "by how much there is more than in the baseline: bytes, a number of goroutines, or a part of what there was",
    ),
    key(
        "max_new_signatures",
        Takes::Count,
        "ways that hold much and that the baseline does not have",
    ),
    key(
        "ignore_below",
        Takes::Size,
        "matches smaller than this are not looked at",
    ),
];

pub(super) const SUPPRESS: &[Key] = &[
    key("signature", Takes::Signature, "the way with this signature"),
    key(
        "path",
        Takes::Pattern,
        "ways of such words: root › step › step",
    ),
    key("rule", Takes::Pattern, "of rules of this name only"),
    key("reason", Takes::Text, "why"),
    key(
        "expires",
        Takes::Day,
        "its last day; afterwards it exempts nothing",
    ),
];

pub(super) const SIGNATURES: &[Key] = &[
    key(
        "min_share",
        Takes::SizeOrPart,
        "ways that hold less of the live heap have no signature [\"1%\"]",
    ),
    key(
        "min_bytes",
        Takes::Size,
        "ways that hold less have no signature [\"64 KiB\"]",
    ),
];

pub(super) const TOP: &[Key] = &[
    key("rule", Takes::Tables(RULE), "what must not be"),
    key("suppress", Takes::Tables(SUPPRESS), "what is exempt"),
    key(
        "signatures",
        Takes::Table(SIGNATURES),
        "which ways have a signature",
    ),
];

/// A JSON schema.
#[derive(Serialize)]
#[serde(untagged)]
enum Schema {
    Object {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'static str>,
        properties: Properties,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        required: &'static [&'static str],
        #[serde(rename = "additionalProperties")]
        additional: bool,
    },
    Array {
        #[serde(rename = "type")]
        kind: &'static str,
        description: &'static str,
        items: Box<Schema>,
    },
    Value {
        description: &'static str,
        #[serde(rename = "type")]
        kind: &'static [&'static str],
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<&'static str>,
        #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
        one_of: Option<&'static [&'static str]>,
    },
}

struct Properties(Vec<(&'static str, Schema)>);

impl Serialize for Properties {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, schema)| (name, schema)))
    }
}

fn object(keys: &'static [Key], description: Option<&'static str>) -> Schema {
    let required: &[&str] = match keys {
        keys if keys == RULE => &["name"],
        keys if keys == SUPPRESS => &["reason"],
        _ => &[],
    };
    Schema::Object {
        kind: "object",
        description,
        properties: Properties(keys.iter().map(|key| (key.name, schema(key))).collect()),
        required,
        additional: false,
    }
}

fn schema(key: &Key) -> Schema {
    const SIZE: &str = r"^\s*[0-9][0-9._,]*\s*([kKmMgGtT][iI]?)?[bB]?\s*$";
    const SIZE_OR_PART: &str = r"^\s*[0-9][0-9._,]*\s*(([kKmMgGtT][iI]?)?[bB]?|%)\s*$";
    let value = |kind, pattern, one_of| Schema::Value {
        description: key.what,
        kind,
        pattern,
        one_of,
    };
    match key.takes {
        Takes::Text | Takes::Pattern | Takes::Day => value(&["string"], None, None),
        Takes::Severity => value(&["string"], None, Some(&["error", "warning"])),
        Takes::Signature => value(&["string"], Some("^[0-9a-f]{16}$"), None),
        Takes::Count => value(&["integer"], None, None),
        Takes::Size => value(&["integer", "string"], Some(SIZE), None),
        Takes::SizeOrPart => value(&["integer", "string"], Some(SIZE_OR_PART), None),
        Takes::Tables(keys) => Schema::Array {
            kind: "array",
            description: key.what,
            items: Box::new(object(keys, None)),
        },
        Takes::Table(keys) => object(keys, Some(key.what)),
    }
}

/// The JSON schema of a policy, for editors that know TOML.
pub fn policy_schema() -> impl Serialize {
    #[derive(Serialize)]
    struct Root {
        #[serde(rename = "$schema")]
        dialect: &'static str,
        title: &'static str,
        #[serde(flatten)]
        schema: Schema,
    }
    Root {
        dialect: "https://json-schema.org/draft/2020-12/schema",
        title: "A policy of objref check",
        schema: object(TOP, None),
    }
}
