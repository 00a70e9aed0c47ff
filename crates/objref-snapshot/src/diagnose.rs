//! What has to be said with every number.

use std::borrow::Cow;

use objref_go::{GoProcess, Goroutines, Heap, TESTED};
use serde::{Deserialize, Serialize};

use crate::goroutines::StackCounts;
use crate::stripped;
use crate::types::Types;

/// Something that every report says with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// A stable name.
    pub code: Cow<'static, str>,
    /// What it means.
    pub message: String,
    /// How often, or how many bytes.
    pub count: u64,
}

/// What is wrong with the files and the heap.
pub(crate) fn diagnose(process: &GoProcess, heap: &Heap) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !process.version.is_tested() {
        let message = format!(
            "{} is outside the tested versions go1.{}–go1.{}: going on as far as the binary describes itself",
            process.version,
            TESTED.start(),
            TESTED.end()
        );
        found.push(Diagnostic {
            code: "go.untested-version".into(),
            message,
            count: 1,
        });
    }
    diagnose_files(&mut found, process);
    found.extend(stripped::diagnose(process));
    let totals = &heap.totals;
    note(
        &mut found,
        "heap.damaged-spans",
        "span records cannot be read or make no sense: they were left out",
        totals.damaged,
    );
    note(
        &mut found,
        "heap.lost-records",
        "records of spans are not in the dump: their pages were divided by what points to them, and what is allocated \
         there is not known",
        totals.lost,
    );
    note(
        &mut found,
        "heap.lost-bitmaps",
        "bytes of spans of which it is not in the dump which slots are in use: free slots there count as garbage",
        totals.lost_bitmaps.bytes,
    );
    note(
        &mut found,
        "heap.lost-pointers",
        "bytes of spans of which it is not in the dump where pointers are: every word there was taken for one, and some \
         garbage may count as live",
        totals.lost_pointers.bytes,
    );
    note(
        &mut found,
        "heap.miscounted-spans",
        "spans whose bitmaps disagree with their own count of objects",
        totals.miscounted,
    );
    found
}

/// What is wrong with the files themselves.
fn diagnose_files(found: &mut Vec<Diagnostic>, process: &GoProcess) {
    let (core, image) = (&process.core, &process.image);
    let (theirs, ours) = (core.executable_ids(), image.build_ids());
    if theirs.agree_with(&ours) == Some(false) {
        let message = format!(
            "the dump was not written by this binary, so nothing here can be relied on: the dump says {theirs}; the \
             binary says {ours}"
        );
        found.push(Diagnostic {
            code: "binary.other-build".into(),
            message,
            count: 1,
        });
    }
    let missing = core.missing();
    note(
        found,
        "core.truncated",
        "bytes that the dump promises are beyond its end: it was cut short",
        missing.bytes,
    );
    note(
        found,
        "core.notes-missing",
        "bytes of the dump's notes are beyond its end: threads and their registers are lost",
        missing.notes,
    );
    note(
        found,
        "core.damaged-notes",
        "notes of the dump make no sense and were left out",
        core.damaged_notes().into(),
    );
    note(
        found,
        "binary.truncated",
        "bytes that the binary promises are beyond its end: it was cut short",
        image.missing(),
    );
    for (code, input) in [
        ("core.decompress", core.input()),
        ("binary.decompress", image.input()),
    ] {
        if let Some(damage) = input.damage() {
            let path = input.path().display();
            found.push(Diagnostic {
                code: code.into(),
                message: format!("{path} was decompressed only as far as it is sound: {damage}"),
                count: 1,
            });
        }
    }
    let damage = process.debug.damage();
    note(
        found,
        "dwarf.damaged",
        "parts of the binary's debug information make no sense and were left out",
        (damage.units + damage.types + damage.fields) as u64,
    );
}

/// What is to be said of inference: `unsettled` objects were not followed again.
pub(crate) fn diagnose_types(found: &mut Vec<Diagnostic>, types: &Types, unsettled: u64) {
    note(
        found,
        "types.unsettled",
        "objects were not looked at again when more became known of them: what they refer to may have less of a type",
        unsettled,
    );
    note(
        found,
        "types.too-many",
        "types were left out: there are too many",
        types.dropped,
    );
}

/// What is wrong with the goroutines.
pub(crate) fn diagnose_stacks(
    found: &mut Vec<Diagnostic>,
    goroutines: &Goroutines,
    counts: &StackCounts,
) {
    note(
        found,
        "goroutines.unreadable",
        "goroutines could not be read",
        goroutines.unreadable as u64,
    );
    note(
        found,
        "stacks.partly-read",
        "goroutines of which frames, or maps of frames, could not be found: they were scanned conservatively",
        counts.partly_read,
    );
    note(
        found,
        "stacks.missing-words",
        "stack words are not in the dump",
        counts.missing_words,
    );
    note(
        found,
        "threads.broken-list",
        "the runtime's list of threads breaks off or loops: goroutines that ran on the others cannot be followed",
        counts.broken_thread_list.into(),
    );
}

/// Says that something happened `count` times, unless that is never.
pub(crate) fn note(
    diagnostics: &mut Vec<Diagnostic>,
    code: &'static str,
    message: &str,
    count: u64,
) {
    if count > 0 {
        diagnostics.push(Diagnostic {
            code: code.into(),
            message: message.to_owned(),
            count,
        });
    }
}
