//! Names on their way through inferno and back.
//!
//! inferno takes lines `a;b;c 12`: a semicolon ends a frame, a number after a space is a count, and
//! a frame that ends in `_[k]` loses that. Go's type names have semicolons, spaces and brackets, so
//! these travel as control characters of one byte each, which XML forbids and which therefore no
//! name may contain, and are put back as inferno writes. One more stands for what a frame's title
//! has to say beyond its count; others make two of one name, for frames of different colours, and vanish.

use std::io::{self, Write};

/// Characters that mean something to inferno, and what they travel as.
const STAND_INS: [(char, u8); 3] = [(';', 1), (' ', 2), (']', 3)];

/// Stands where the text of [`Restore::new`]'s iterator goes.
pub(crate) const NOTE: char = '\u{5}';

/// Make names different; nothing takes their place.
const MARKS: [u8; 20] = [
    6, 7, 8, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
];

/// Appends the mark of that number; 0 is none.
pub(crate) fn mark(number: usize, out: &mut String) {
    if let Some(index) = number.checked_sub(1) {
        out.push(MARKS[index % MARKS.len()].into());
    }
}

/// Appends `name` to `out` in the form in which it survives inferno.
pub(crate) fn disguise(name: &str, out: &mut String) {
    for c in name.chars() {
        match STAND_INS.iter().find(|(original, _)| *original == c) {
            Some(&(_, stand_in)) => out.push(stand_in.into()),
            None => out.push(printable(c)),
        }
    }
}

/// `c`, or a picture of it if it is a control character: what comes from a dump must not steer a terminal.
pub fn printable(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        // These turn the direction of the text around them.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        _ => c,
    }
}

/// `text` with each control character as [`printable`] has it.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// The name of a frame as it is shown: clean, and never empty.
pub(crate) fn shown(name: &str) -> String {
    match name {
        "" => "?".to_owned(),
        name => clean(name),
    }
}

/// Puts the original characters back into what is written through it.
pub(crate) struct Restore<W, N> {
    to: W,
    notes: N,
}

impl<W: Write, N: Iterator<Item = String>> Restore<W, N> {
    /// Writes to `to`; each [`NOTE`] becomes the next of `notes`.
    pub(crate) fn new(to: W, notes: N) -> Self {
        Self { to, notes }
    }
}

impl<W: Write, N: Iterator<Item = String>> Write for Restore<W, N> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut rest = buf;
        let stands_for_other = |b: &u8| (1..=5).contains(b) || MARKS.contains(b);
        while let Some(at) = rest.iter().position(stands_for_other) {
            self.to.write_all(&rest[..at])?;
            if rest[at] == NOTE as u8 {
                self.to
                    .write_all(self.notes.next().unwrap_or_default().as_bytes())?;
            } else if let Some((original, _)) = STAND_INS.iter().find(|(_, b)| *b == rest[at]) {
                self.to
                    .write_all(original.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
            rest = &rest[at + 1..];
        }
        self.to.write_all(rest)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
