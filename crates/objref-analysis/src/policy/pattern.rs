//! Names in a policy.

use std::fmt;

use objref_snapshot::short;
use regex::Regex;

use crate::question::spellings;

/// A name, or between slashes a regular expression that matches a part of it: `main.Session`, `/^main\.Sess/`.
///
/// Names may be short: `sql.Conn` is `database/sql.Conn`. Types may be spelled as in Go: `[]byte` is `[]uint8`.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Ways to spell one name.
    Name(Vec<String>),
    Regex(Regex),
}

impl Pattern {
    /// What `text` says.
    ///
    /// # Errors
    ///
    /// What is wrong with the regular expression.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let inner = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        let kind = match inner {
            Some(inner) => {
                // The last line says what is wrong, those before point at it.
                let wrong = |error: regex::Error| {
                    let error = error.to_string();
                    let last = error.lines().last().unwrap_or_default();
                    last.trim_start_matches("error: ").to_owned()
                };
                Kind::Regex(Regex::new(inner).map_err(wrong)?)
            }
            None => Kind::Name(spellings(text)),
        };
        Ok(Pattern {
            text: text.to_owned(),
            kind,
        })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is one name.
    pub fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Name(_))
    }

    /// Whether a name is meant, with or without the directories of import paths.
    pub fn matches(&self, name: &str) -> bool {
        match &self.kind {
            Kind::Regex(regex) => regex.is_match(name) || regex.is_match(&short(name)),
            Kind::Name(spellings) => {
                let short = short(name);
                spellings.iter().any(|s| s == name || *s == short)
            }
        }
    }

    /// The same of functions, whose names may be written with `()` or without.
    pub fn matches_function(&self, name: &str) -> bool {
        match (&self.kind, self.text.strip_suffix("()")) {
            (Kind::Name(_), Some(text)) => text == name || text == short(name),
            _ => self.matches(name),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_expressions() {
        let matches = |pattern: &str, name| Pattern::parse(pattern).unwrap().matches(name);
        assert!(matches("main.Session", "main.Session"));
        assert!(!matches("main.Session", "main.SessionStore"));
        assert!(!matches("main.Session", "mainxSession"));
        assert!(matches("sql.Conn", "database/sql.Conn"));
        assert!(matches("database/sql.Conn", "database/sql.Conn"));
        assert!(matches("[]byte", "[]uint8"));
        assert!(matches("/^main\\./", "main.SessionStore"));
        assert!(matches("/^sql\\.C/", "database/sql.Conn"));
        let function = |pattern: &str| Pattern::parse(pattern).unwrap().matches_function("a/b.f");
        assert!(function("b.f()") && function("a/b.f") && !function("f"));
        let error = Pattern::parse("/(/").unwrap_err();
        assert_eq!(error, "unclosed group");
    }
}
