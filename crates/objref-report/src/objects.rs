//! Objects as tab-separated values, streamed.

use std::io::{self, Write};

use objref_analysis::{ObjectRow, Parent};

use crate::restore::printable;

/// Writes one line per object: `address size type certainty distance parent retained idom`, with a header
/// line.
///
/// Addresses are hexadecimal with `0x`. The parent is the address of the object that holds this one,
/// or the name of the root that does; so is the immediate dominator, which is `shared` where several
/// roots hold the object. A tab, newline or backslash inside a name is written as `\t`,
/// `\n` or `\\`; other control characters as a picture of them, so that none reaches a terminal.
#[derive(Debug)]
pub struct ObjectsTsv<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> ObjectsTsv<W> {
    /// Writes the header to `out`, which should be buffered.
    ///
    /// # Errors
    ///
    /// What `out` says.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"address\tsize\ttype\tcertainty\tdistance\tparent\tretained\tidom\n")?;
        Ok(Self {
            out,
            line: Vec::with_capacity(256),
        })
    }

    /// Writes one object.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn row(&mut self, row: &ObjectRow<'_>) -> io::Result<()> {
        let line = &mut self.line;
        line.clear();
        hexadecimal(line, row.address);
        line.push(b'\t');
        decimal(line, row.size);
        line.push(b'\t');
        text(line, row.type_name);
        line.push(b'\t');
        text(line, row.certainty);
        line.push(b'\t');
        decimal(line, row.distance.into());
        line.push(b'\t');
        holder(line, row.parent);
        line.push(b'\t');
        decimal(line, row.retained);
        line.push(b'\t');
        match row.dominator {
            Some(dominator) => holder(line, dominator),
            None => line.extend_from_slice(b"shared"),
        }
        line.push(b'\n');
        self.out.write_all(line)
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    ///
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn holder(line: &mut Vec<u8>, holder: Parent<'_>) {
    match holder {
        Parent::Object(address) => hexadecimal(line, address),
        Parent::Root(name) => text(line, name),
    }
}

fn text(line: &mut Vec<u8>, text: &str) {
    // All ASCII but what has to be escaped; the rest is looked at by character.
    if text
        .bytes()
        .all(|b| (b' '..0x7f).contains(&b) && b != b'\\')
    {
        return line.extend_from_slice(text.as_bytes());
    }
    for c in text.chars() {
        match c {
            '\t' => line.extend_from_slice(b"\\t"),
            '\n' => line.extend_from_slice(b"\\n"),
            '\r' => line.extend_from_slice(b"\\r"),
            '\\' => line.extend_from_slice(b"\\\\"),
            c => line.extend_from_slice(printable(c).encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn hexadecimal(line: &mut Vec<u8>, n: u64) {
    line.extend_from_slice(b"0x");
    let digits = (64 - n.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        line.push(b"0123456789abcdef"[(n >> (4 * digit) & 15) as usize]);
    }
}

fn decimal(line: &mut Vec<u8>, mut n: u64) {
    let start = line.len();
    loop {
        line.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    line[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let mut out = ObjectsTsv::new(Vec::new()).unwrap();
        let row = ObjectRow {
            address: 0xc0_0001_4000,
            size: 4096,
            type_name: "struct { A int; B string \"json:\\\"b\\\"\" }",
            certainty: "exact",
            distance: 0,
            parent: Parent::Root("main.cache"),
            retained: 1 << 40,
            dominator: None,
        };
        out.row(&row).unwrap();
        let parent = Parent::Object(row.address);
        out.row(&ObjectRow {
            address: 0,
            size: 0,
            type_name: "a\tb",
            distance: 1_000_000,
            parent,
            dominator: Some(parent),
            ..row
        })
        .unwrap();
        let text = String::from_utf8(out.finish().unwrap()).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn digits() {
        for n in [
            0,
            1,
            9,
            10,
            15,
            16,
            255,
            4096,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            let (mut dec, mut hex) = (Vec::new(), Vec::new());
            decimal(&mut dec, n);
            hexadecimal(&mut hex, n);
            assert_eq!(String::from_utf8(dec).unwrap(), n.to_string());
            assert_eq!(String::from_utf8(hex).unwrap(), format!("{n:#x}"));
        }
    }
}
