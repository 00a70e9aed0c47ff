//! Laying out text for a terminal.

use std::io::{self, Write};

use crate::restore::clean;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Columns; at least 40 are used.
    pub width: usize,
    /// Whether to use ANSI colours.
    pub colour: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 80,
            colour: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Heading,
    Good,
    Warning,
    Dim,
}

/// A writer with a left column for headings and a right one for what they are about.
pub(crate) struct Page<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) options: TextOptions,
}

/// Where the text under a heading starts.
pub(crate) const INDENT: usize = 2;

impl Page<'_> {
    /// The text without anything that would steer a terminal but its style.
    pub(crate) fn styled(&self, style: Style, text: &str) -> String {
        let text = clean(text);
        let code = match style {
            _ if !self.options.colour => return text,
            Style::Plain => return text,
            Style::Heading => "1",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A heading on a line of its own, after an empty one.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.styled(Style::Heading, text);
        writeln!(self.out, "\n{text}")
    }

    /// One line under a heading.
    pub(crate) fn line(&mut self, style: Style, text: &str) -> io::Result<()> {
        let text = self.styled(style, text);
        writeln!(self.out, "{:INDENT$}{text}", "")
    }

    /// Text under a heading, broken at spaces; the lines after the first stand in by `hang` more.
    pub(crate) fn paragraph(&mut self, style: Style, text: &str, hang: usize) -> io::Result<()> {
        let width = self.options.width.max(40);
        let mut line = String::new();
        let mut indent = INDENT;
        for word in text.split(' ') {
            let (have, more) = (line.chars().count(), word.chars().count());
            if have > 0 && indent + have + 1 + more > width {
                let done = self.styled(style, &line);
                writeln!(self.out, "{:indent$}{done}", "")?;
                line.clear();
                indent = INDENT + hang;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let done = self.styled(style, &line);
        writeln!(self.out, "{:indent$}{done}", "")
    }

    /// Rows of cells: the first column to the left, all others to the right.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        self.columns(head, rows, |i| i == 0)
    }

    /// Rows of cells with words in the last two columns, which stand to the left; names are not cut.
    pub(crate) fn list(&mut self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        self.columns(head, rows, |i| i + 2 >= head.len())
    }

    fn columns(
        &mut self,
        head: &[&str],
        rows: &[Vec<String>],
        to_the_left: impl Fn(usize) -> bool,
    ) -> io::Result<()> {
        let width = |cell: &str| cell.chars().count();
        let widths: Vec<usize> = (0..head.len())
            .map(|i| {
                rows.iter()
                    .map(|row| width(&row[i]))
                    .fold(width(head[i]), usize::max)
            })
            .collect();
        let layout = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (i, cell) in cells.enumerate() {
                let gap = " ".repeat(widths[i] - width(cell));
                let between = if i == 0 { "" } else { "  " };
                match to_the_left(i) {
                    true => line.extend([between, cell, &gap]),
                    false => line.extend([between, &gap, cell]),
                }
            }
            line.trim_end().to_owned()
        };
        if head.iter().any(|cell| !cell.is_empty()) {
            let head = layout(&mut head.iter().copied());
            self.line(Style::Dim, &head)?;
        }
        for row in rows {
            let line = layout(&mut row.iter().map(String::as_str));
            self.line(Style::Plain, &line)?;
        }
        Ok(())
    }
}

/// `1 thread`, `2 threads`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        objref_analysis::thousands(n),
        if n == 1 { one } else { many }
    )
}

/// A part of a whole: `93.2 %`, `< 0.1 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => String::new(),
        (0, _) => "0 %".to_owned(),
        (part, whole) if part == whole => "100 %".to_owned(),
        _ => match part as f64 / whole as f64 * 100.0 {
            p if p < 0.05 => "< 0.1 %".to_owned(),
            // 99.97 is not all of it.
            p if p >= 99.95 && part < whole => "> 99.9 %".to_owned(),
            p => format!("{p:.1} %"),
        },
    }
}
