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
    /// Whether to shorten names that do not fit; not where somebody may search for them.
    pub shorten: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 80,
            colour: false,
            shorten: true,
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

impl<'a> Page<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, options: &TextOptions) -> Page<'a> {
        Page {
            out,
            options: *options,
        }
    }

    /// What a report is about, its first line.
    pub(crate) fn title(&mut self, text: &str) -> io::Result<()> {
        let text = self.styled(Style::Heading, text);
        writeln!(self.out, "{text}")
    }

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
        self.columns(head, rows, &[], |i| i == 0)
    }

    /// Rows of cells with words in the last two columns, which stand to the left; names are not cut.
    pub(crate) fn list(&mut self, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        self.columns(head, rows, &[], |i| i + 2 >= head.len())
    }

    /// Rows of numbers with a name at the end, which is shortened to the width. Below each row, what there is to say
    /// beyond it, if there is as much of that.
    pub(crate) fn ranking(
        &mut self,
        head: &[&str],
        rows: &mut [Vec<String>],
        details: &[String],
    ) -> io::Result<()> {
        let last = head.len() - 1;
        let widest = |i: usize| {
            let cells = rows.iter().map(|row| row[i].chars().count());
            cells.fold(head[i].chars().count(), usize::max) + 2
        };
        let indent = widest(0);
        let room = self.room(INDENT + (0..last).map(widest).sum::<usize>());
        for row in rows.iter_mut() {
            row[last] = shorten(&row[last], room);
        }
        let room = self.room(INDENT + indent);
        let detail = |text: &String| format!("{:indent$}{}", "", shorten(text, room));
        let details: Vec<String> = details.iter().map(detail).collect();
        self.columns(head, rows, &details, |i| i == last)
    }

    /// The columns that a name may take behind so many others.
    pub(crate) fn room(&self, taken: usize) -> usize {
        match self.options.shorten {
            true => self.options.width.max(40).saturating_sub(taken).max(16),
            false => usize::MAX,
        }
    }

    fn columns(
        &mut self,
        head: &[&str],
        rows: &[Vec<String>],
        details: &[String],
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
        for (i, row) in rows.iter().enumerate() {
            let line = layout(&mut row.iter().map(String::as_str));
            self.line(Style::Plain, &line)?;
            if let Some(detail) = details.get(i) {
                self.line(Style::Dim, detail)?;
            }
        }
        Ok(())
    }
}

/// `text` in at most `room` columns, without its middle if it does not fit: of names, the end says the most.
pub(crate) fn shorten(text: &str, room: usize) -> String {
    let have = text.chars().count();
    if have <= room {
        return text.to_owned();
    }
    let head = room / 3;
    let tail = room.saturating_sub(head + 1);
    let start = text.chars().take(head);
    let end = text.chars().skip(have - tail);
    start.chain(['…']).chain(end).collect()
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

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn what_does_not_fit_loses_its_middle() {
        assert_eq!(shorten("main.Session", 12), "main.Session");
        assert_eq!(shorten("main.Session", 10), "mai…ession");
        assert_eq!(shorten("ÄÖÜäöüß", 4), "Ä…üß");
    }
}
