//! The dominator tree, unfolded, as text.

use std::io::{self, Write};

use objref_analysis::{Unfolded, UnfoldedRow, iec, thousands};

use crate::text::{INDENT, Page, Style, TextOptions, count, percent, shorten};

/// Writes the tree for people, a frame a line: what it retains, and where it hangs.
///
/// # Errors
///
/// What `out` says.
pub fn tree_text(report: &Unfolded, options: &TextOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out, options);
    page.title(&title(report))?;
    let meaning = "retained: what would be freed if what the line stands for went away; ⋯ is held in several ways or \
                   through others";
    page.paragraph(Style::Dim, meaning, 0)?;
    writeln!(page.out)?;
    lines(&mut page, report)?;
    let more = more(report);
    if !more.is_empty() {
        writeln!(page.out)?;
        let more = format!(
            "smaller frames are left out; to see more: {}",
            more.join(", ")
        );
        page.paragraph(Style::Dim, &more, 2)?;
    }
    Ok(())
}

fn title(report: &Unfolded) -> String {
    let amount = |of: objref_analysis::Amount| {
        let objects = count(of.objects, "object", "objects");
        (iec(of.bytes), objects)
    };
    let (bytes, objects) = amount(report.shown);
    match &report.from {
        None => format!("{bytes} live in {objects}"),
        Some(from) => format!(
            "{bytes} retained from {from} in {objects}, {} of {} live",
            percent(report.shown.bytes, report.live.bytes),
            iec(report.live.bytes)
        ),
    }
}

fn lines(page: &mut Page<'_>, report: &Unfolded) -> io::Result<()> {
    // What is cut off and would not be shown if it were a single frame is no news.
    let least = report.min_percent / 100.0 * report.shown.bytes as f64;
    let is_news = |row: &&UnfoldedRow| !row.cut || row.retained.bytes as f64 >= least;
    let rows: Vec<&UnfoldedRow> = report.frames.iter().filter(is_news).collect();
    let numbers: Vec<[String; 3]> = rows
        .iter()
        .map(|row| {
            [
                iec(row.retained.bytes),
                percent(row.retained.bytes, report.shown.bytes),
                thousands(row.retained.objects),
            ]
        })
        .collect();
    let head = ["retained", "%", "objects"];
    let widths: Vec<usize> = (0..head.len())
        .map(|i| {
            let cells = numbers.iter().map(|cells| cells[i].chars().count());
            cells.fold(head[i].len(), usize::max)
        })
        .collect();
    let columns = |cells: [&str; 3]| {
        let cells = cells.iter().zip(&widths);
        let cells = cells.map(|(cell, width)| format!("{cell:>width$}  "));
        cells.collect::<String>()
    };
    page.line(Style::Dim, columns(head).trim_end())?;
    let branches = branches(&rows);
    for ((row, cells), branch) in rows.iter().zip(&numbers).zip(branches) {
        let mut line = columns(cells.each_ref().map(String::as_str));
        line.push_str(&branch);
        let room = page.room(INDENT + line.chars().count());
        line.push_str(&shorten(&label(row), room));
        let style = if row.cut { Style::Dim } else { Style::Plain };
        page.line(style, &line)?;
    }
    Ok(())
}

fn label(row: &UnfoldedRow) -> String {
    match row.recursion_levels {
        _ if row.cut => format!("… {}", row.name.trim_matches(['(', ')'])),
        Some(levels) => format!("{} ↻ {} levels deep", row.name, thousands(levels.into())),
        None => row.name.clone(),
    }
}

/// The lines that lead to each row.
fn branches(rows: &[&UnfoldedRow]) -> Vec<String> {
    // From the last row up: at which depths there is another one below.
    let mut open: Vec<bool> = Vec::new();
    let mut branches: Vec<String> = rows
        .iter()
        .rev()
        .map(|row| {
            let depth = row.depth as usize;
            open.resize(depth + 1, false);
            let mut branch: String = open[1.min(depth)..depth]
                .iter()
                .map(|open| if *open { "│ " } else { "  " })
                .collect();
            if depth > 0 {
                branch.push_str(if open[depth] { "├ " } else { "└ " });
            }
            open[depth] = true;
            branch
        })
        .collect();
    branches.reverse();
    branches
}

/// The options that show more.
fn more(report: &Unfolded) -> Vec<String> {
    let cut = report.frames.iter().any(|row| row.cut);
    let mut more = Vec::new();
    if !cut {
        return more;
    }
    if report.min_percent > 0.0 {
        more.push(format!("--min {}", report.min_percent / 10.0));
    }
    if let Some(limit) = report.limit {
        more.push(format!("-n {}", limit * 10));
    }
    if report.cut_by_depth {
        more.push("--depth".to_owned());
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_go_on_where_siblings_follow() {
        let row = |depth| UnfoldedRow {
            depth,
            ..UnfoldedRow::default()
        };
        let rows = [0, 1, 2, 2, 1, 2, 0, 1].map(row);
        assert_eq!(
            branches(&rows.each_ref()),
            ["", "├ ", "│ ├ ", "│ └ ", "└ ", "  └ ", "", "└ "]
        );
    }
}
