//! The Go version and experiments a binary was built with.

use std::fmt;

/// A Go release as the runtime names itself: `go1.26.6-X:nogreenteagc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoVersion {
    /// The second number: 26 in go1.26.6.
    pub minor: u32,
    /// The third number: 6 in go1.26.6; 0 when absent or not a number (`go1.27rc1`).
    pub patch: u32,
    /// The whole text, vendor suffixes included.
    pub text: String,
    /// GOEXPERIMENT settings that differ from the release's defaults.
    pub experiments: Vec<String>,
}

/// The oldest and newest minor versions that the fixtures cover.
pub const TESTED: std::ops::RangeInclusive<u32> = 19..=27;

impl GoVersion {
    /// Parses `runtime.buildVersion`. The prefix `go1.N[.M]` is looked for anywhere, because development versions read
    /// `devel go1.28-abcdef`; experiments follow ` X:` (up to 1.25) or `-X:` (from 1.26).
    // cmd/link/internal/ld/main.go: buildVersion
    pub fn parse(text: &str) -> Option<GoVersion> {
        let numbers = &text[text.find("go1.")? + 4..];
        let minor = leading_number(numbers)?;
        let after = numbers.trim_start_matches(|c: char| c.is_ascii_digit());
        let patch = after
            .strip_prefix('.')
            .and_then(leading_number)
            .unwrap_or(0);
        let experiments = match text.split_once("X:") {
            Some((_, list)) => list
                .split(',')
                .map(|s| s.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect(),
            None => Vec::new(),
        };
        Some(GoVersion {
            minor,
            patch,
            text: text.to_owned(),
            experiments,
        })
    }

    /// Whether the fixtures cover this minor version.
    pub fn is_tested(&self) -> bool {
        TESTED.contains(&self.minor)
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn leading_number(s: &str) -> Option<u32> {
    let end = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    s[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_releases_experiments_and_development_versions() {
        let v = |t: &str| {
            let v = GoVersion::parse(t).unwrap();
            (v.minor, v.patch, v.experiments.join("+"))
        };
        assert_eq!(v("go1.21.13"), (21, 13, String::new()));
        assert_eq!(v("go1.25.5 X:greenteagc"), (25, 5, "greenteagc".into()));
        assert_eq!(
            v("go1.26.6-X:nogreenteagc,arenas"),
            (26, 6, "nogreenteagc+arenas".into())
        );
        assert_eq!(v("devel go1.28-abcdef12 Mon"), (28, 0, String::new()));
        assert_eq!(v("go1.27rc1"), (27, 0, String::new()));
        assert_eq!(GoVersion::parse("gccgo 14"), None);
        assert_eq!(GoVersion::parse("go1."), None);
    }
}
