//! One object, as text.

use std::io::{self, Write};

use objref_analysis::{DominatorFacts, FieldValue, ObjectReport, Value, iec, short, thousands};

use crate::text::{Page, Style, TextOptions, count};
use crate::why::{described, steps_table};

/// Writes what is known of an object for people.
///
/// # Errors
///
/// What `out` says.
pub fn object_text(
    report: &ObjectReport,
    options: &TextOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut page = Page::new(out, options);
    facts(&mut page, report)?;
    if let Some(value) = &report.value {
        page.heading("Value")?;
        write_value(&mut page, 0, "", value)?;
    } else if !report.has_values {
        page.heading("Value")?;
        page.line(Style::Dim, "an index has none: give the core, too")?;
    }
    if let Some(raw) = &report.raw {
        page.heading("Bytes")?;
        hexdump(&mut page, report.object.address, raw)?;
    }
    let all = thousands(report.refers_to_count);
    let title = format!("Refers to, {all} in all");
    steps_table(&mut page, &title, &report.refers_to)?;
    let all = report.referred_by_count + report.roots.len() as u64;
    let title = format!("Referred to by, {} in all", thousands(all));
    steps_table(&mut page, &title, &report.referred_by)?;
    for root in &report.roots {
        page.line(
            Style::Plain,
            &format!("  root {}: {}", root.name, root.text),
        )?;
    }
    Ok(())
}

fn facts(page: &mut Page<'_>, report: &ObjectReport) -> io::Result<()> {
    let object = &report.object;
    let title = described(object);
    page.title(&title)?;
    if report.offset > 0 {
        let address = object.address + report.offset;
        let text = format!("{address:#x} is {} bytes into it", thousands(report.offset));
        page.line(Style::Dim, &text)?;
    }
    let text = format!("type {}, told by {}", object.certainty, report.told_by);
    page.line(Style::Plain, &text)?;
    let span = &report.span;
    let pointers = match span.noscan {
        true => "without pointers",
        false => "with pointers",
    };
    let class = match span.size_class {
        0 => "a large object".to_owned(),
        class => format!("size class {class}"),
    };
    let slots = count(span.slots, "slot", "slots");
    let text = format!(
        "slot of {} B in a span of {slots} from {:#x}: {class}, {pointers}",
        thousands(object.size),
        span.start
    );
    page.paragraph(Style::Plain, &text, 2)?;
    let Some(distance) = report.distance else {
        return page.line(Style::Warning, "garbage: nothing holds it");
    };
    let far = match distance {
        0 => "held by a root".to_owned(),
        n => format!(
            "{} from an object that a root holds",
            count(n.into(), "reference", "references")
        ),
    };
    page.line(Style::Plain, &far)?;
    let by = match &report.dominator {
        None => return Ok(()),
        Some(DominatorFacts::Shared) => "no single object or root keeps it alive".to_owned(),
        Some(DominatorFacts::Object(above)) => format!("kept alive by {} alone", described(above)),
        Some(DominatorFacts::Root { name, retained }) => {
            format!(
                "kept alive by {name} alone, which retains {}",
                iec(*retained)
            )
        }
    };
    page.paragraph(Style::Plain, &by, 2)
}

/// A value behind `name`, and below it what it consists of.
fn write_value(page: &mut Page<'_>, depth: usize, name: &str, value: &Value) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let name = match name {
        "" => String::new(),
        name => format!("{name} "),
    };
    let text = format!("{indent}{name}{}", one_line(value));
    if !text.trim().is_empty() {
        page.line(Style::Plain, text.trim_end())?;
    }
    match value {
        Value::Struct { fields } => {
            for FieldValue {
                name,
                type_name,
                value,
                ..
            } in fields
            {
                // A pointer says itself where it leads.
                let name = format!("{name} {}", short(type_name));
                write_value(page, depth + 1, &name, value)?;
            }
        }
        Value::List { items, len, .. } => {
            for (index, item) in items.iter().enumerate() {
                write_value(page, depth + 1, &format!("[{index}]"), item)?;
            }
            more(page, depth + 1, *len, items.len())?;
        }
        Value::Map { entries, len } => {
            for (key, value) in entries {
                match is_short(key) {
                    true => write_value(page, depth + 1, &format!("[{}]", one_line(key)), value)?,
                    false => {
                        write_value(page, depth + 1, "[key]", key)?;
                        write_value(page, depth + 1, "[value]", value)?;
                    }
                }
            }
            more(page, depth + 1, *len, entries.len())?;
        }
        Value::Interface { value, .. } if !is_short(value) => {
            write_value(page, depth + 1, "", value)?;
        }
        _ => {}
    }
    Ok(())
}

fn more(page: &mut Page<'_>, depth: usize, len: u64, shown: usize) -> io::Result<()> {
    let rest = len.saturating_sub(shown as u64);
    if rest == 0 {
        return Ok(());
    }
    let indent = "  ".repeat(depth);
    page.line(Style::Dim, &format!("{indent}… {} more", thousands(rest)))
}

/// Whether all of the value is on one line.
fn is_short(value: &Value) -> bool {
    match value {
        Value::Struct { .. } | Value::Map { .. } => false,
        Value::List { len, .. } => *len == 0,
        Value::Interface { value, .. } => is_short(value),
        _ => true,
    }
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Bool { value } => value.to_string(),
        Value::Number { text } => text.clone(),
        Value::Raw { bytes } => format!("0x{bytes} (as it lies in memory)"),
        Value::Nil => "nil".to_owned(),
        Value::Text { text, shown, len } => match shown {
            shown if shown < len => format!("{}… {} bytes", quoted(text), thousands(*len)),
            _ => quoted(text),
        },
        Value::Pointer { address, to } => format!("→ {to} {address:#x}"),
        Value::Bytes {
            text,
            shown,
            len,
            capacity,
        } => {
            let room = capacity.map_or_else(String::new, |c| format!(", cap {}", thousands(c)));
            let more = if shown < len { "…" } else { "" };
            format!("len {}{room} {}{more}", thousands(*len), quoted(text))
        }
        Value::List { len, capacity, .. } => match capacity {
            Some(capacity) => format!("len {}, cap {}", thousands(*len), thousands(*capacity)),
            None => format!("[{}]", thousands(*len)),
        },
        Value::Struct { .. } => String::new(),
        Value::Map { len, .. } => count(*len, "entry", "entries"),
        Value::Channel { len, capacity } => {
            format!("{} of {} waiting", thousands(*len), thousands(*capacity))
        }
        Value::Interface { type_name, value } => match is_short(value) {
            true => format!("({}) {}", short(type_name), one_line(value)),
            false => format!("({})", short(type_name)),
        },
        Value::Missing => "(not in the dump)".to_owned(),
        Value::Deeper => "{…}".to_owned(),
    }
}

/// In quotes, with what would steer a terminal escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `raw` is in hexadecimal.
fn hexdump(page: &mut Page<'_>, start: u64, raw: &str) -> io::Result<()> {
    const ROW: usize = 16;
    let bytes: Vec<u8> = (0..raw.len() / 2)
        .filter_map(|i| u8::from_str_radix(raw.get(2 * i..2 * i + 2)?, 16).ok())
        .collect();
    for (row, chunk) in bytes.chunks(ROW).enumerate() {
        let mut hex = String::new();
        for (i, byte) in chunk.iter().enumerate() {
            hex.push_str(if i == ROW / 2 { "  " } else { " " });
            hex.push_str(&format!("{byte:02x}"));
        }
        let text: String = chunk
            .iter()
            .map(|byte| match byte {
                0x20..=0x7e => char::from(*byte),
                _ => '.',
            })
            .collect();
        let at = start + (row * ROW) as u64;
        page.line(Style::Plain, &format!("{at:#x} {hex:50} {text}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(
            quoted("a\u{1b}[31m\n\"\\\u{9b}"),
            r#""a\x1b[31m\n\"\\\x9b""#
        );
        let text = Value::Text {
            text: "abc".to_owned(),
            shown: 3,
            len: 1234,
        };
        assert_eq!(one_line(&text), "\"abc\"… 1,234 bytes");
    }
}
