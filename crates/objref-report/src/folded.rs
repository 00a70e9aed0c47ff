//! The tree as folded stacks: `a;b;c 12`, one line per frame with a value of its own.

use std::io::{self, BufWriter, Write};

use objref_analysis::{FrameTree, Metric};

use crate::restore::printable;
use crate::walk::{self, Order};

/// What a semicolon inside a name becomes, since a semicolon ends a frame: `；`, the full-width
/// semicolon U+FF1B.
pub const SEMICOLON: char = '\u{ff1b}';

/// Writes `tree` for other flame graph tools: flamegraph.pl, inferno, speedscope.
///
/// Siblings stand in the order of their names. Names survive but for [`SEMICOLON`] and, where a name
/// ends in a space and a number (which some tools would read as a first count), a no-break space
/// U+00A0 between them.
///
/// # Errors
///
/// What `out` says.
pub fn folded(tree: &FrameTree, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let names: Vec<String> = tree
        .frames()
        .map(|frame| escape(&tree.label(frame)))
        .collect();
    let totals = walk::totals(tree, metric);
    walk::walk(tree, &totals, metric, Order::Name, |path, value| {
        let path = if path.len() == 1 { path } else { &path[1..] };
        for (i, &frame) in path.iter().enumerate() {
            if i > 0 {
                out.write_all(b";")?;
            }
            out.write_all(names[frame as usize].as_bytes())?;
        }
        writeln!(out, " {value}")
    })?;
    out.flush()
}

/// A name as other tools can read it.
pub(crate) fn escape(name: &str) -> String {
    let mut name: String = name
        .chars()
        .map(|c| if c == ';' { SEMICOLON } else { printable(c) })
        .collect();
    if let Some(space) = name.rfind(' ')
        && name[space + 1..]
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.')
    {
        name.replace_range(space..=space, "\u{a0}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn names_that_would_confuse() {
        assert_eq!(
            escape("struct { A int; B int }"),
            "struct { A int； B int }"
        );
        assert_eq!(escape("len 12"), "len\u{a0}12");
        assert_eq!(escape("v1.2 rest"), "v1.2 rest");
        assert_eq!(escape("tag \"a\tb\nc\""), "tag \"a␉b␊c\"");
    }
}
