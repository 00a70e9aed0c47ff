//! Limits as people write them.

use std::fmt;

use crate::{iec, thousands};

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// So many.
    Count(u64),
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of what it is a part of.
    Percent(f64),
}

impl Quantity {
    /// A size: `24 MB`, `1.5GiB`, `10%`, or a number of bytes. `MB` are millions, `MiB` 1024 × 1024.
    pub fn parse(text: &str) -> Option<Quantity> {
        const UNITS: [(&str, u64); 9] = [
            ("b", 1),
            ("kb", 1000),
            ("mb", 1_000_000),
            ("gb", 1_000_000_000),
            ("tb", 1_000_000_000_000),
            ("kib", 1 << 10),
            ("mib", 1 << 20),
            ("gib", 1 << 30),
            ("tib", 1 << 40),
        ];
        let text = text.trim();
        let digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | '_' | ',');
        let end = text.find(|c| !digit(c)).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: String = number.chars().filter(|c| !matches!(c, '_' | ',')).collect();
        let value: f64 = number.parse().ok()?;
        let unit = unit.trim_start().to_ascii_lowercase();
        if unit == "%" {
            return Some(Quantity::Percent(value));
        }
        let factor = match unit.as_str() {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        let bytes = match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(factor)?,
            Err(_) => {
                let bytes = value * factor as f64;
                // Above this, a float has no odd numbers.
                (bytes < 9e15).then_some(bytes.round() as u64)?
            }
        };
        Some(Quantity::Bytes(bytes))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Count(n) => f.write_str(&thousands(*n)),
            Quantity::Bytes(bytes) => f.write_str(&iec(*bytes)),
            Quantity::Percent(percent) => {
                let text = format!("{percent:.2}");
                let text = match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.'),
                    false => &text,
                };
                write!(f, "{text} %")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, expected) in [
            ("24 MB", Quantity::Bytes(24_000_000)),
            ("1.5GiB", Quantity::Bytes(3 << 29)),
            ("10%", Quantity::Percent(10.0)),
            ("0.5 %", Quantity::Percent(0.5)),
            ("1_000", Quantity::Bytes(1000)),
            ("1,000 b", Quantity::Bytes(1000)),
            (" 64 kib ", Quantity::Bytes(65536)),
            ("18446744073709551615", Quantity::Bytes(u64::MAX)),
        ] {
            assert_eq!(Quantity::parse(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "MB",
            "24 M",
            "1.2.3 MB",
            "-1 MB",
            "99999999 TiB",
            "10 %%",
            "1e3",
            "inf",
            "٣ MB",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn as_they_are_shown() {
        let shown = [
            Quantity::Count(1234),
            Quantity::Bytes(24_000_000),
            Quantity::Percent(10.0),
            Quantity::Percent(0.25),
            Quantity::Percent(100.0),
        ];
        let shown = shown.map(|quantity| quantity.to_string());
        assert_eq!(shown, ["1,234", "22.9 MiB", "10 %", "0.25 %", "100 %"]);
    }
}
