//! What is said about a binary without DWARF, and what stands in for names.

use objref_go::GoProcess;
use objref_mem::Addr;

use crate::diagnose::Diagnostic;

/// Stands for all variables of a binary without symbols; what they hold is told apart by its place.
pub(crate) const STRIPPED: &str = "(globals, names stripped)";

/// Where in its module's data a variable is: `bss+0x2a40`.
pub(crate) fn segment_offset(process: &GoProcess, slot: Addr) -> String {
    let segments = process
        .modules
        .iter()
        .flat_map(|m| [("data", m.data), ("bss", m.bss)]);
    for (name, range) in segments {
        if range.contains(slot) {
            return format!("{name}+{:#x}", slot.0 - range.start.0);
        }
    }
    slot.to_string()
}

/// What is missing because the binary is stripped.
pub(crate) fn diagnose(process: &GoProcess) -> Vec<Diagnostic> {
    let Some(stripped) = &process.stripped else {
        return Vec::new();
    };
    let message = if stripped.symbols {
        "names of local variables and most types are missing: the binary has no DWARF"
    } else {
        "variable names and most types are missing: the binary is stripped"
    };
    let mut found = vec![Diagnostic {
        code: "binary.stripped".into(),
        message: message.to_owned(),
        count: 1,
    }];
    let missing = stripped.missing();
    if !missing.is_empty() {
        found.push(Diagnostic {
            code: "runtime.not-found".into(),
            message: format!(
                "variables of the runtime were not found: {}",
                missing.join(", ")
            ),
            count: missing.len() as u64,
        });
    }
    found
}
