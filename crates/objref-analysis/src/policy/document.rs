//! The tables of a policy, with the place of everything in them.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Key;
use super::{Date, Pattern, PolicyError, Quantity};
use crate::nearest;

/// The text of a policy, and what is wrong with it.
pub(super) struct Source<'t> {
    text: &'t str,
    pub(super) errors: Vec<PolicyError>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Source {
            text,
            errors: Vec::new(),
        }
    }

    /// Line and column, from 1.
    pub(super) fn place(&self, at: usize) -> (u32, u32) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line as u32, before[start..].chars().count() as u32 + 1)
    }

    pub(super) fn wrong(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let (line, column) = self.place(span.start);
        let what = what.into();
        self.errors.push(PolicyError { line, column, what });
    }
}

/// A table: its keys with their values, those that it may have.
pub(super) struct Table<'s, 't, 'i> {
    pub(super) source: &'s mut Source<'t>,
    table: &'s DeTable<'i>,
    /// Where it begins.
    pub(super) span: Range<usize>,
}

/// A value, and where it stands.
pub(super) type Value<'s, 'i> = &'s Spanned<DeValue<'i>>;

impl<'s, 't, 'i> Table<'s, 't, 'i> {
    /// The table; keys that are none of `keys` are wrong.
    pub(super) fn new(
        source: &'s mut Source<'t>,
        table: &'s DeTable<'i>,
        span: Range<usize>,
        keys: &[Key],
    ) -> Self {
        for key in table.keys() {
            let name = key.get_ref();
            if !keys.iter().any(|known| known.name == name) {
                source.wrong(&key.span(), unknown(name, keys));
            }
        }
        Table {
            source,
            table,
            span,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'s, 'i>> {
        self.table.get(key)
    }

    /// Where a key stands.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        let found = self.table.get_key_value(key);
        found.map_or(self.span.clone(), |(key, _)| key.span())
    }

    pub(super) fn string(&mut self, key: &str) -> Option<&'s str> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text),
            DeValue::String(_) => self.wrong(value, format!("'{key}' is empty")),
            _ => self.wrong(value, format!("'{key}' takes a text in quotes")),
        }
    }

    pub(super) fn pattern(&mut self, key: &str) -> Option<Pattern> {
        let text = self.string(key)?;
        match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let what = format!("{text} is no regular expression: {error}");
                self.source.wrong(&self.table.get(key)?.span(), what);
                None
            }
        }
    }

    pub(super) fn date(&mut self, key: &str) -> Option<Date> {
        let value = self.get(key)?;
        let date = match value.get_ref() {
            DeValue::Datetime(date) => match (date.date, date.time) {
                (Some(date), None) => Some(date.into()),
                _ => None,
            },
            DeValue::String(text) => Date::parse(text),
            _ => None,
        };
        match date {
            Some(date) => Some(date),
            None => self.wrong(value, format!("'{key}' takes a day: {key} = 2026-12-31")),
        }
    }

    /// A number, or a size; `percent`: whether a part will do.
    pub(super) fn quantity(
        &mut self,
        key: &str,
        is_count: bool,
        percent: bool,
    ) -> Option<Quantity> {
        let value = self.get(key)?;
        let found = match value.get_ref() {
            DeValue::Integer(n) => u64::from_str_radix(n.as_str(), n.radix())
                .ok()
                .map(Quantity::Bytes),
            DeValue::String(text) => Quantity::parse(text),
            _ => None,
        };
        let is_number = matches!(value.get_ref(), DeValue::Integer(_));
        match found {
            Some(Quantity::Bytes(n)) if is_count && is_number => Some(Quantity::Count(n)),
            Some(Quantity::Bytes(_)) if is_count => {
                self.wrong(value, format!("'{key}' takes a number: {key} = 100"))
            }
            Some(Quantity::Percent(_)) if !percent => {
                let example = if is_count { "100" } else { "\"24 MB\"" };
                self.wrong(
                    value,
                    format!("'{key}' is no part of anything: {key} = {example}"),
                )
            }
            Some(quantity) => Some(quantity),
            None => {
                let example = match (is_count, percent) {
                    (true, false) => "a number: 100",
                    (true, true) => "a number or a part: 100 or \"10%\"",
                    (false, false) => "a size: \"24 MB\" or \"1.5GiB\"",
                    (false, true) => "a size or a part: \"24 MB\", \"1.5GiB\" or \"10%\"",
                };
                self.wrong(value, format!("'{key}' takes {example}"))
            }
        }
    }

    pub(super) fn wrong<T>(&mut self, value: Value<'_, '_>, what: String) -> Option<T> {
        self.source.wrong(&value.span(), what);
        None
    }
}

/// That no key is called so, and which one may have been meant.
pub(super) fn unknown(name: &str, keys: &[Key]) -> String {
    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let meant = nearest(name, known.iter().copied()).into_iter().next();
    // `objects` is a part of `max_objects`, and the other way round.
    let meant = meant.or_else(|| {
        let part = known.iter().find(|key| name.contains(**key));
        part.map(|key| (*key).to_owned())
    });
    match meant {
        Some(meant) => format!("unknown key '{name}', did you mean '{meant}'?"),
        None => format!("unknown key '{name}'; there are {}", known.join(", ")),
    }
}
