//! Any report for programs.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use crate::restore::printable;

/// Writes `report` as indented JSON with a newline at its end.
///
/// # Errors
///
/// What `out` says.
pub fn json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    write(report, PrettyFormatter::new(), out)?;
    out.write_all(b"\n")
}

/// Writes `value` as JSON on one line, without its end.
pub(crate) fn compact(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    write(value, CompactFormatter, out)
}

fn write(value: &impl Serialize, layout: impl Formatter, out: &mut dyn Write) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Tame(layout));
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// Escapes in strings all that would steer a terminal, more than JSON asks for.
struct Tame<F>(F);

impl<F: Formatter> Formatter for Tame<F> {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        // What JSON itself has escaped is in no fragment, so that these are the characters above.
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| printable(*c) != *c) {
            self.0.write_string_fragment(out, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_string_fragment(out, rest)
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(out, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_and_steer_nothing() {
        let text = "a\"\\\n\u{1b}[0m\u{7f}\u{9b}5m \u{202e}é\u{ffff}😀/";
        for pretty in [true, false] {
            let mut out = Vec::new();
            match pretty {
                true => json(&[text, ""], &mut out).unwrap(),
                false => compact(&[text, ""], &mut out).unwrap(),
            }
            let written = String::from_utf8(out).unwrap();
            assert!(
                written.chars().all(|c| c == '\n' || printable(c) == c),
                "{written}"
            );
            assert!(written.contains("é\\uffff😀"), "{written}");
            let back: Vec<String> = serde_json::from_str(&written).unwrap();
            assert_eq!(back, [text, ""]);
        }
    }
}
