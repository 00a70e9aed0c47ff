//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the biggest binary unit that leaves a whole number: `512 B`, `12.3 MiB`.
pub fn iec(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // 1023.95 would be printed as 1024.0.
    while value >= 1023.95 {
        value /= 1024.0;
        unit = units.next().unwrap_or(unit);
    }
    format!("{value:.1} {unit}")
}

/// `12 s`, `3 min`, `2 h 5 min`; `None` for less than a second.
pub fn duration(ns: u64) -> Option<String> {
    let seconds = ns / 1_000_000_000;
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match (hours, minutes, seconds) {
        (0, 0, 0) => None,
        (0, 0, s) => Some(format!("{s} s")),
        (0, m, _) => Some(format!("{m} min")),
        (h, m, _) if h < 48 => Some(format!("{h} h {} min", m % 60)),
        (h, ..) => Some(format!("{} days", thousands(h / 24))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three() {
        let shown = [0, 7, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn binary_units() {
        let sizes = [0, 1023, 1024, 1536, 1_048_575, 12_910_592, u64::MAX];
        let shown = sizes.map(iec);
        assert_eq!(
            shown,
            [
                "0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "12.3 MiB", "16.0 EiB"
            ]
        );
    }

    #[test]
    fn durations() {
        let shown = [0, 59, 60, 3599, 3600, 7500, 200_000].map(|s| duration(s * 1_000_000_000));
        let shown: Vec<_> = shown.iter().map(|s| s.as_deref().unwrap_or("-")).collect();
        assert_eq!(
            shown,
            [
                "-",
                "59 s",
                "1 min",
                "59 min",
                "1 h 0 min",
                "2 h 5 min",
                "2 days"
            ]
        );
    }
}
