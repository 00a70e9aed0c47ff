//! Who holds what, as text.

use std::io::{self, Write};

use objref_analysis::{
    Answer, DominatorFacts, HoldingPath, ObjectFacts, PathStep, Why, WhyObject, WhyRoot, WhyType,
    iec, short, thousands,
};

use crate::text::{Page, Style, TextOptions, count, percent};

/// Columns for the words of a step; longer ones get a line of their own.
const WORDS: usize = 38;
/// More steps with the same words in a row are put together.
const SAME: usize = 4;
/// Steps of a path that are shown at each end.
const ENDS: usize = 16;

/// Writes the answer for people.
///
/// # Errors
///
/// What `out` says.
pub fn why_text(why: &Why, options: &TextOptions, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page::new(out, options);
    match &why.answer {
        Answer::Object(found) => object(&mut page, found, &why.excluded),
        Answer::Type(found) => of_type(&mut page, found, &why.excluded),
        Answer::Root(found) => root(&mut page, found),
    }
}

/// `*main.Session at 0xc000123000, 208 B, retains 4.2 KiB`
pub(crate) fn described(object: &ObjectFacts) -> String {
    format!(
        "{} at {:#x}, {}, retains {}",
        short(&object.type_name),
        object.address,
        iec(object.size),
        iec(object.retained)
    )
}

fn object(page: &mut Page<'_>, found: &WhyObject, excluded: &[String]) -> io::Result<()> {
    let title = described(&found.object);
    page.title(&title)?;
    if found.offset > 0 {
        let address = found.object.address + found.offset;
        let text = format!("{address:#x} is {} bytes into it", thousands(found.offset));
        page.line(Style::Dim, &text)?;
    }
    let by = match &found.dominator {
        None => "nothing keeps it alive".to_owned(),
        Some(DominatorFacts::Shared) => {
            "no single object or root keeps it alive: roots that have nothing in common do"
                .to_owned()
        }
        Some(DominatorFacts::Object(above)) => format!("kept alive by {} alone", described(above)),
        Some(DominatorFacts::Root { name, retained }) => {
            format!(
                "kept alive by {name} alone, which retains {}",
                iec(*retained)
            )
        }
    };
    page.paragraph(Style::Plain, &by, 2)?;
    let paths = found.paths.len();
    for (number, path) in found.paths.iter().enumerate() {
        let references = count(path.references, "reference", "references");
        let title = format!("Path {} of {paths}, {references}", number + 1);
        page.heading(&title)?;
        write_path(page, path)?;
    }
    writeln!(page.out)?;
    let left_out = match excluded {
        [] => String::new(),
        excluded => format!(" ({} references left out)", excluded.join(", ")),
    };
    if paths == 0 && found.wanted > 0 {
        let text = format!("Nothing else holds it{left_out}: the collector could free it.");
        return page.paragraph(Style::Warning, &text, 0);
    }
    if (paths as u64) < found.wanted {
        let text = match found.dominator {
            Some(DominatorFacts::Object(_)) => {
                format!(
                    "There is no other path: all go through what alone keeps it alive{left_out}."
                )
            }
            _ => format!("There is no other path without a root or an object of these{left_out}."),
        };
        page.paragraph(Style::Dim, &text, 0)?;
    }
    Ok(())
}

/// A line of a path.
enum Line<'a> {
    Step(&'a PathStep),
    /// So many more with the same words.
    Same(usize, &'a str),
    LeftOut(u64),
}

/// The root, then a reference a line.
pub(crate) fn write_path(page: &mut Page<'_>, path: &HoldingPath) -> io::Result<()> {
    let mut name = path.root.name.clone();
    if path.root.goroutines > 1 {
        name.push_str(&format!(" ×{}", thousands(path.root.goroutines)));
    }
    if path.root.conservative {
        name.push_str(" (a word that may not be a pointer)");
    }
    let width = WORDS + 2;
    if name.chars().count() > width {
        page.line(Style::Plain, &name)?;
        name.clear();
    }
    columns_of_steps(page, &format!("{name:width$}"))?;
    if let Some(goroutine) = path.root.goroutine {
        let mut text = format!("  on the stack of goroutine {goroutine}");
        if let Some(caller) = path.root.callers.last() {
            text.push_str(&format!(", called by {caller}"));
        }
        page.line(Style::Dim, &text)?;
    }
    for line in lines(path) {
        match line {
            Line::Step(step) => write_step(page, step)?,
            Line::Same(n, text) => {
                let text = format!("  ↻ {} more: {text}", thousands(n as u64));
                page.line(Style::Dim, &text)?;
            }
            Line::LeftOut(n) => {
                let text = format!("  … {} not shown", count(n, "reference", "references"));
                page.line(Style::Dim, &text)?;
            }
        }
    }
    Ok(())
}

fn lines(path: &HoldingPath) -> Vec<Line<'_>> {
    let last = path.steps.len().saturating_sub(1);
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut place = 0;
    let gap = path
        .left_out
        .map(|left_out| (left_out.after as usize, left_out.steps));
    while place < path.steps.len() {
        let step = &path.steps[place];
        let end = match gap {
            Some((after, _)) if place < after => after,
            _ => path.steps.len(),
        };
        let same = path.steps[place..end]
            .iter()
            .take_while(|next| next.text == step.text)
            .count();
        let is_inside = step.text.is_empty() && place != last;
        if same > SAME && !is_inside {
            // The last of them says where the way goes on.
            lines.push(Line::Step(step));
            lines.push(Line::Same(same - 2, &step.text));
            lines.push(Line::Step(&path.steps[place + same - 1]));
            place += same;
        } else {
            if !is_inside {
                lines.push(Line::Step(step));
            }
            place += 1;
        }
        if let Some((after, steps)) = gap
            && place == after
        {
            lines.push(Line::LeftOut(steps));
        }
    }
    if let Some(more) = lines.len().checked_sub(2 * ENDS).filter(|more| *more > 1) {
        lines.splice(ENDS..ENDS + more, [Line::LeftOut(more as u64)]);
    }
    lines
}

/// References under a title, one a line.
pub(crate) fn steps_table(page: &mut Page<'_>, title: &str, steps: &[PathStep]) -> io::Result<()> {
    writeln!(page.out)?;
    match steps {
        [] => return page.line(Style::Heading, title),
        _ => {
            let width = WORDS + 2;
            columns_of_steps(page, &format!("{title:width$}"))?;
        }
    }
    steps.iter().try_for_each(|step| write_step(page, step))
}

/// What the numbers behind the words of steps are.
fn columns_of_steps(page: &mut Page<'_>, before: &str) -> io::Result<()> {
    let text = format!(
        "{before}  {:14}  {:>9}  {:>9}",
        "address", "size", "retained"
    );
    page.line(Style::Plain, &text)
}

fn write_step(page: &mut Page<'_>, step: &PathStep) -> io::Result<()> {
    let object = &step.object;
    let text = match step.text.as_str() {
        "" => format!("(inside) {}", short(&object.type_name)),
        text => text.to_owned(),
    };
    let numbers = format!(
        "{:<14}  {:>9}  {:>9}",
        format!("{:#x}", object.address),
        iec(object.size),
        iec(object.retained)
    );
    match text.chars().count() {
        ..=WORDS => page.line(Style::Plain, &format!("  {text:WORDS$}  {numbers}")),
        _ => {
            page.line(Style::Plain, &format!("  {text}"))?;
            page.line(Style::Plain, &format!("  {:WORDS$}  {numbers}", ""))
        }
    }
}

fn of_type(page: &mut Page<'_>, found: &WhyType, excluded: &[String]) -> io::Result<()> {
    let names = match &found.names[..] {
        [name] => name.clone(),
        names => format!("{} types", thousands(names.len() as u64)),
    };
    let title = format!(
        "{names}: {} in {}, retaining {}",
        iec(found.amount.bytes),
        count(found.amount.objects, "object", "objects"),
        iec(found.retained)
    );
    page.title(&title)?;
    if found.names.len() > 1 {
        page.paragraph(Style::Dim, &found.names.join(", "), 2)?;
    }
    if found.excluded.objects > 0 {
        let text = format!(
            "{} in {} that only {} references hold are left out",
            iec(found.excluded.bytes),
            count(found.excluded.objects, "object", "objects"),
            excluded.join(", ")
        );
        page.paragraph(Style::Plain, &text, 2)?;
    }
    if found.groups.is_empty() {
        return Ok(());
    }
    page.heading("Held by, along the shortest paths")?;
    let mut rows: Vec<Vec<String>> = found
        .groups
        .iter()
        .enumerate()
        .map(|(number, group)| {
            vec![
                format!("{}", number + 1),
                iec(group.amount.bytes),
                percent(group.amount.bytes, found.amount.bytes),
                thousands(group.amount.objects),
                iec(group.retained),
                group.holder.clone(),
            ]
        })
        .collect();
    page.ranking(
        &["", "bytes", "%", "objects", "retained", "holder"],
        &mut rows,
        &[],
    )?;
    if found.groups_left_out > 0 {
        let more = count(found.groups_left_out, "more holder", "more holders");
        let text = format!("{more} of {} not shown", iec(found.left_out.bytes));
        page.line(Style::Dim, &text)?;
    }
    for (number, group) in found.groups.iter().enumerate().take(EXAMPLES) {
        page.heading(&format!("{}. The first in {}", number + 1, group.holder))?;
        write_path(page, &group.example)?;
    }
    Ok(())
}

/// Groups of which an example is shown.
const EXAMPLES: usize = 3;

fn root(page: &mut Page<'_>, found: &WhyRoot) -> io::Result<()> {
    let mut title = found.name.clone();
    // What the runtime holds goes by its kind.
    if !title.starts_with('(') {
        title.push_str(&format!(" ({})", found.kind));
    }
    if found.places > 1 {
        title.push_str(&format!(" in {} places", thousands(found.places)));
    }
    title.push_str(&format!(", retains {}", iec(found.retained)));
    page.title(&title)?;
    let text = format!(
        "the shortest paths to {} of {} start there",
        count(found.holds.objects, "object", "objects"),
        iec(found.holds.bytes)
    );
    page.paragraph(Style::Plain, &text, 2)?;
    if found.references.is_empty() {
        return page.line(Style::Plain, "refers to nothing in the heap");
    }
    writeln!(page.out)?;
    columns_of_steps(page, &format!("{:1$}", "Refers to", WORDS + 2))?;
    for step in &found.references {
        write_step(page, step)?;
    }
    if found.left_out > 0 {
        let text = format!("  … {} more not shown", thousands(found.left_out));
        page.line(Style::Dim, &text)?;
    }
    Ok(())
}
