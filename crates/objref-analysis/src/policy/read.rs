//! From the text of a policy to its rules.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Source, Table};
use super::keys::{GOROUTINES, LIMITS, LimitKey, RULE, SIGNATURES, SUPPRESS, TOP};
use super::{Measure, Policy, PolicyError, Quantity, Rule, Severity, Subject, Suppression};
use crate::Signature;

/// Longer policies are none.
const LONGEST: usize = 16 << 20;

pub(super) fn policy(text: &str) -> Result<Policy, Vec<PolicyError>> {
    let mut source = Source::new(text);
    if text.len() > LONGEST {
        source.wrong(&(0..0), "longer than any policy");
        return Err(source.errors);
    }
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            source.wrong(&error.span().unwrap_or_default(), error.message());
            return Err(source.errors);
        }
    };
    let top = root.get_ref();
    Table::new(&mut source, top, 0..0, TOP);
    let mut policy = Policy::default();
    let mut names: BTreeMap<String, u32> = BTreeMap::new();
    for (table, span) in tables(&mut source, top, "rule") {
        let Some(rule) = rule(&mut source, table, span.clone()) else {
            continue;
        };
        if let Some(first) = names.get(&rule.name) {
            let what = format!(
                "the rule of line {first} has the same name, '{}'",
                rule.name
            );
            let at = Table::new(&mut source, table, span, RULE).place_of("name");
            source.wrong(&at, what);
        }
        names.entry(rule.name.clone()).or_insert(rule.line);
        policy.rules.push(rule);
    }
    for (table, span) in tables(&mut source, top, "suppress") {
        policy
            .suppressions
            .extend(suppression(&mut source, table, span));
    }
    if let Some(value) = top.get("signatures") {
        threshold(&mut source, value, &mut policy);
    }
    if policy.rules.is_empty() && source.errors.is_empty() {
        source.wrong(&(0..0), "no rule in it; [[rule]] begins one");
    }
    let mut errors = source.errors;
    errors.sort_by_key(|error| (error.line, error.column));
    errors.dedup();
    // An array of tables has the place of its first key; what was read in the order of the file stays so.
    policy.rules.sort_by_key(|rule| rule.line);
    match errors.is_empty() {
        true => Ok(policy),
        false => Err(errors),
    }
}

/// The tables of an array of tables.
fn tables<'s, 'i>(
    source: &mut Source<'_>,
    top: &'s DeTable<'i>,
    key: &str,
) -> Vec<(&'s DeTable<'i>, Range<usize>)> {
    let Some(value) = top.get(key) else {
        return Vec::new();
    };
    let whole = format!("'{key}' is a table of its own each time: [[{key}]]");
    let DeValue::Array(values) = value.get_ref() else {
        source.wrong(&value.span(), whole);
        return Vec::new();
    };
    let mut found = Vec::new();
    for value in values.iter() {
        match value.get_ref() {
            DeValue::Table(table) => found.push((table, value.span())),
            _ => source.wrong(&value.span(), whole.clone()),
        }
    }
    found
}

fn rule(source: &mut Source<'_>, table: &DeTable<'_>, span: Range<usize>) -> Option<Rule> {
    let before = source.errors.len();
    let mut table = Table::new(source, table, span, RULE);
    let name = table.string("name");
    if name.is_none() && table.get("name").is_none() {
        let span = table.span.clone();
        table
            .source
            .wrong(&span, "a rule without a name: name = \"…\"");
    }
    let severity = match table.string("severity") {
        None | Some("error") => Severity::Error,
        Some("warning") => Severity::Warning,
        Some(other) => {
            let what = format!("severity is 'error' or 'warning', not '{other}'");
            let at = table.get("severity").map(Spanned::span).unwrap_or_default();
            table.source.wrong(&at, what);
            Severity::Error
        }
    };
    let subject = subject(&mut table);
    // One complaint at a time: what is wrong with the subject, or a key that is none, may be why the limit looks wrong.
    let limit = match &subject {
        Some(subject) if table.source.errors.len() == before => limit(&mut table, subject),
        _ => None,
    };
    let ignore_below = match table.quantity("ignore_below", false, false) {
        Some(Quantity::Bytes(bytes)) => Some(bytes),
        _ => None,
    };
    let one = matches!(subject, Some(Subject::Heap | Subject::Goroutines { .. }));
    if ignore_below.is_some() && one {
        let at = table.place_of("ignore_below");
        let what = "'ignore_below' needs something to match: root, type, package or path";
        table.source.wrong(&at, what);
    }
    let (reason, expires) = (table.string("reason"), table.date("expires"));
    let line = table.source.place(table.place_of("name").start).0;
    if table.source.errors.len() > before {
        return None;
    }
    let (subject, (key, limit)) = (subject?, limit?);
    Some(Rule {
        name: name?.to_owned(),
        reason: reason.map(str::to_owned),
        expires,
        severity,
        subject,
        measure: key.measure,
        limit,
        ignore_below,
        line,
    })
}

const SUBJECTS: [&str; 7] = [
    "root", "type", "package", "path", "function", "state", "label",
];

/// Which keys of `SUBJECTS` speak of goroutines.
fn is_of_goroutines(key: &str) -> bool {
    matches!(key, "function" | "state" | "label")
}

fn subject(table: &mut Table<'_, '_, '_>) -> Option<Subject> {
    let mut given: Vec<&str> = SUBJECTS
        .into_iter()
        .filter(|key| table.get(key).is_some())
        .collect();
    given.sort_by_key(|key| table.place_of(key).start);
    let Some(&first) = given.first() else {
        return Some(Subject::Heap);
    };
    if let Some(other) = given[1..]
        .iter()
        .find(|key| !(is_of_goroutines(first) && is_of_goroutines(key)))
    {
        let what = format!("a rule is about one thing: '{first}' or '{other}', not both");
        let at = table.place_of(other);
        table.source.wrong(&at, what);
        return None;
    }
    let one = |table: &mut Table<'_, '_, '_>, subject: fn(super::Pattern) -> Subject| {
        table.pattern(first).map(subject)
    };
    match first {
        "root" => one(table, Subject::Root),
        "type" => one(table, Subject::Type),
        "package" => one(table, Subject::Package),
        "path" => one(table, Subject::Path),
        _ => Some(Subject::Goroutines {
            function: table.pattern("function"),
            state: table.pattern("state"),
            label: table
                .string("label")
                .map(|label| match label.split_once('=') {
                    Some((key, value)) => (key.trim().to_owned(), Some(value.trim().to_owned())),
                    None => (label.trim().to_owned(), None),
                }),
        }),
    }
}

/// The key of [`LimitKey::of`] for a subject.
fn kind(subject: &Subject) -> &'static str {
    match subject {
        Subject::Heap => "",
        Subject::Root(_) => "root",
        Subject::Type(_) => "type",
        Subject::Package(_) => "package",
        Subject::Path(_) => "path",
        Subject::Goroutines { .. } => GOROUTINES,
    }
}

fn limit(
    table: &mut Table<'_, '_, '_>,
    subject: &Subject,
) -> Option<(&'static LimitKey, Quantity)> {
    let mut given: Vec<&LimitKey> = LIMITS
        .iter()
        .filter(|key| table.get(key.name).is_some())
        .collect();
    given.sort_by_key(|key| table.place_of(key.name).start);
    let kind = kind(subject);
    let fits = |key: &&LimitKey| key.of.contains(&kind);
    let key = match given[..] {
        [] => {
            let names = LIMITS.iter().filter(fits).map(|key| key.name);
            let names: Vec<&str> = names.collect();
            let at = table.place_of("name");
            let what = format!("a rule without a limit; there are {}", names.join(", "));
            table.source.wrong(&at, what);
            return None;
        }
        [key] => key,
        [first, second, ..] => {
            let at = table.place_of(second.name);
            let what = format!(
                "a second limit beside '{}': make it a rule of its own",
                first.name
            );
            table.source.wrong(&at, what);
            return None;
        }
    };
    let at = table.place_of(key.name);
    if !fits(&key) {
        let of = key.of.iter().filter(|of| !of.is_empty());
        let of: Vec<&str> = of.copied().collect();
        let what = match (kind, &of[..]) {
            ("", of) => format!("'{}' of what? add {}", key.name, of.join(" or ")),
            (kind, []) => format!("'{}' is about the whole heap, not about a {kind}", key.name),
            (kind, of) => format!(
                "'{}' goes with {}, not with {kind}",
                key.name,
                of.join(", ")
            ),
        };
        table.source.wrong(&at, what);
        return None;
    }
    let of_goroutines = kind == GOROUTINES;
    if of_goroutines && key.measure == Measure::Growth && table.get("label").is_some() {
        table.source.wrong(
            &at,
            "baselines do not have labels: limit them with 'max_goroutines'",
        );
        return None;
    }
    let quantity = table.quantity(key.name, key.is_count || of_goroutines, key.percent)?;
    Some((key, quantity))
}

fn suppression(
    source: &mut Source<'_>,
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Option<Suppression> {
    let before = source.errors.len();
    let mut table = Table::new(source, table, span, SUPPRESS);
    let signature = table.string("signature").and_then(|digits| {
        let signature = Signature::parse(digits);
        if signature.is_none() {
            let at = table
                .get("signature")
                .map(Spanned::span)
                .unwrap_or_default();
            let what = format!("'{digits}' is no signature: 16 hexadecimal digits");
            table.source.wrong(&at, what);
        }
        signature
    });
    let path = table.pattern("path");
    if table.get("signature").is_some() == table.get("path").is_some() {
        let span = table.span.clone();
        table
            .source
            .wrong(&span, "a suppression has either 'signature' or 'path'");
    }
    let reason = table.string("reason");
    if table.get("reason").is_none() {
        let span = table.span.clone();
        table
            .source
            .wrong(&span, "a suppression without a reason: reason = \"…\"");
    }
    let (rule, expires) = (table.pattern("rule"), table.date("expires"));
    let key = if signature.is_some() {
        "signature"
    } else {
        "path"
    };
    let line = table.source.place(table.place_of(key).start).0;
    if table.source.errors.len() > before {
        return None;
    }
    Some(Suppression {
        signature,
        path,
        rule,
        reason: reason?.to_owned(),
        expires,
        line,
    })
}

fn threshold(source: &mut Source<'_>, value: &Spanned<DeValue<'_>>, policy: &mut Policy) {
    let DeValue::Table(table) = value.get_ref() else {
        return source.wrong(&value.span(), "'signatures' is a table: [signatures]");
    };
    let mut table = Table::new(source, table, value.span(), SIGNATURES);
    match table.quantity("min_share", false, true) {
        Some(Quantity::Percent(percent)) => policy.threshold.percent = percent,
        Some(_) => {
            let at = table.place_of("min_share");
            table
                .source
                .wrong(&at, "'min_share' takes a part: min_share = \"1%\"");
        }
        None => {}
    }
    if let Some(Quantity::Bytes(bytes)) = table.quantity("min_bytes", false, false) {
        policy.threshold.bytes = bytes;
    }
}

/// So that the tables of keys and the limits speak of the same.
const _: () = assert!(RULE.len() == 4 + SUBJECTS.len() + LIMITS.len() + 1);

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let errors = Policy::parse(text).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_one() {
        let policy = Policy::parse(
            r#"
[[rule]]
name = "heap"
max_live = "64 MiB"
reason = "the pod has 128"

[[rule]]
name = "no session survives"
type = "main.Session"
max_objects = 0
expires = 2026-12-31

[[rule]]
name = "stuck"
function = "/^main\\.report/"
state = "chan send"
label = "tenant=acme"
max_goroutines = 10
severity = "warning"

[[rule]]
name = "growth"
type = '/^main\./'
max_growth = "10%"
ignore_below = "1 MB"

[[suppress]]
signature = "d77d918ebf9a9593"
reason = "known"
expires = "2027-01-31"

[[suppress]]
path = "/catalog/"
rule = "growth"
reason = "it is a cache"

[signatures]
min_share = "2%"
"#,
        )
        .unwrap();
        let [heap, session, stuck, growth] = &policy.rules[..] else {
            panic!("{policy:?}")
        };
        assert_eq!((heap.line, heap.limit), (3, Quantity::Bytes(64 << 20)));
        assert_eq!(session.limit, Quantity::Count(0));
        assert_eq!(session.expires, crate::Date::parse("2026-12-31"));
        assert_eq!(stuck.severity, Severity::Warning);
        let Subject::Goroutines { label, .. } = &stuck.subject else {
            panic!("{stuck:?}")
        };
        assert_eq!(label.as_ref().unwrap().1.as_deref(), Some("acme"));
        assert_eq!(growth.ignore_below, Some(1_000_000));
        assert_eq!(policy.suppressions[1].line, 33);
        assert_eq!(policy.threshold.percent, 2.0);
    }

    #[test]
    fn unknown_keys_with_the_nearest() {
        assert_eq!(
            errors("[[rule]]\nname = \"a\"\ntype = \"T\"\n  max_object = 0\n"),
            ["4:3: unknown key 'max_object', did you mean 'max_objects'?"]
        );
        assert_eq!(
            errors("[[rules]]\nname = \"a\"\n"),
            ["1:3: unknown key 'rules', did you mean 'rule'?"]
        );
        assert!(
            errors("[[rule]]\nname = \"a\"\nmax_live = 1\ncolour = 1\n")[0]
                .starts_with("4:1: unknown key 'colour'; there are name, reason")
        );
    }

    #[test]
    fn what_makes_no_sense() {
        for (text, expected) in [
            ("", "1:1: no rule in it; [[rule]] begins one"),
            (
                "x = ",
                "1:5: string values must be quoted, expected literal string",
            ),
            (
                "[rule]\nname = \"a\"",
                "1:1: 'rule' is a table of its own each time: [[rule]]",
            ),
            (
                "[[rule]]\nmax_live = 1",
                "1:1: a rule without a name: name = \"…\"",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = \"1 X\"",
                "3:12: 'max_live' takes a size: \"24 MB\" or \"1.5GiB\"",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = \"10%\"",
                "3:12: 'max_live' is no part of anything: max_live = \"24 MB\"",
            ),
            (
                "[[rule]]\nname = \"a\"\ntype = \"T\"\nmax_objects = \"1 MB\"",
                "4:15: 'max_objects' takes a number: max_objects = 100",
            ),
            (
                "[[rule]]\nname = \"a\"\ntype = \"T\"\nmax_objects = -1",
                "4:15: 'max_objects' takes a number: 100",
            ),
            (
                "[[rule]]\nname = \"a\"\ntype = \"T\"\nroot = \"x\"\nmax_retained = 1",
                "4:1: a rule is about one thing: 'type' or 'root', not both",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_retained = 1",
                "3:1: 'max_retained' of what? add root or type or package",
            ),
            (
                "[[rule]]\nname = \"a\"\ntype = \"T\"\nmax_live = 1",
                "4:1: 'max_live' is about the whole heap, not about a type",
            ),
            (
                "[[rule]]\nname = \"a\"\nroot = \"T\"\nmax_objects = 1",
                "4:1: 'max_objects' goes with type, package, path, not with root",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\nmax_garbage = 1",
                "4:1: a second limit beside 'max_live': make it a rule of its own",
            ),
            (
                "[[rule]]\nname = \"a\"\ntype = \"/(/\"\nmax_objects = 1",
                "3:8: /(/ is no regular expression: unclosed group",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\nseverity = \"bad\"",
                "4:12: severity is 'error' or 'warning', not 'bad'",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\nexpires = 12:00:00",
                "4:11: 'expires' takes a day: expires = 2026-12-31",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\n[[rule]]\nname = \"a\"\nmax_live = 2",
                "5:1: the rule of line 2 has the same name, 'a'",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\n[[suppress]]\nsignature = \"xyz\"\nreason = \"r\"",
                "5:13: 'xyz' is no signature: 16 hexadecimal digits",
            ),
            (
                "[[rule]]\nname = \"a\"\nmax_live = 1\n[[suppress]]\npath = \"x\"",
                "4:1: a suppression without a reason: reason = \"…\"",
            ),
            (
                "[[rule]]\nname = \"a\"\nlabel = \"x\"\nmax_growth = 1",
                "4:1: baselines do not have labels: limit them with 'max_goroutines'",
            ),
        ] {
            assert_eq!(errors(text), [expected], "{text}");
        }
    }
}
