//! What might have been meant by a name that nothing has.

use std::fmt;

/// How many names are offered.
const OFFERED: usize = 4;

/// Nothing is called so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What was looked for, and why it is not there.
    pub what: String,
    /// Names that are like it.
    pub nearest: Vec<String>,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.nearest[..] {
            [] => Ok(()),
            nearest => write!(f, "; there is {}", nearest.join(", ")),
        }
    }
}

impl std::error::Error for NotFound {}

/// The names that have the part that is most like `wanted`, the shortest first; case does not matter, nor do the signs of
/// regular expressions in `wanted`.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let plain = |c: &char| !"^$\\*+?()[]{}|".contains(*c);
    let wanted = wanted.to_lowercase().replace(".*", "");
    let wanted: Vec<char> = wanted.chars().filter(plain).collect();
    let mut found: Vec<(usize, usize, &str)> = names
        .into_iter()
        .map(|name| (distance(&wanted, name), name.len(), name))
        .filter(|(distance, ..)| distance * 3 <= wanted.len() && !wanted.is_empty())
        .collect();
    found.sort_unstable();
    found.dedup();
    let best = found.first().map_or(0, |(distance, ..)| *distance);
    let offered = found
        .into_iter()
        .take_while(|(distance, ..)| *distance == best);
    offered
        .take(OFFERED)
        .map(|(_, _, name)| name.to_owned())
        .collect()
}

/// How many letters to change, add or leave out to make of `wanted` a part of `name` (Sellers' algorithm).
fn distance(wanted: &[char], name: &str) -> usize {
    let mut column: Vec<usize> = (0..=wanted.len()).collect();
    let mut best = wanted.len();
    for letter in name.chars().flat_map(char::to_lowercase) {
        // A part may start anywhere, for nothing.
        let mut diagonal = 0;
        for (i, w) in wanted.iter().enumerate() {
            let changed = diagonal + usize::from(*w != letter);
            diagonal = column[i + 1];
            column[i + 1] = changed.min(diagonal + 1).min(column[i] + 1);
        }
        best = best.min(column[wanted.len()]);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar() {
        let names = [
            "main.SessionStore",
            "main.Session",
            "net/http.conn",
            "main.Page",
        ];
        let like = |wanted| nearest(wanted, names);
        assert_eq!(like("sesion"), ["main.Session", "main.SessionStore"]);
        assert_eq!(like("^htp\\.con$"), ["net/http.conn"]);
        assert_eq!(like("main.sessionsstore")[0], "main.SessionStore");
        assert!(like("xyzzy").is_empty() && like("").is_empty() && like(".*").is_empty());
    }

    #[test]
    fn distances_to_parts() {
        let letters: Vec<char> = "abc".chars().collect();
        for (name, expected) in [
            ("xxabcxx", 0),
            ("xxacxx", 1),
            ("ABC", 0),
            ("", 3),
            ("xbx", 2),
        ] {
            assert_eq!(distance(&letters, name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_said() {
        let mut error = NotFound {
            what: "nothing matches x".to_owned(),
            nearest: vec![],
        };
        assert_eq!(error.to_string(), "nothing matches x");
        error.nearest = vec!["y".to_owned(), "z".to_owned()];
        assert_eq!(error.to_string(), "nothing matches x; there is y, z");
    }
}
