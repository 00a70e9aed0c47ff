//! One dump through everything, and what must hold whatever is in it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use objref_analysis::{
    GoroutineOptions, Metric, PruneOptions, TypeOptions, dominator_tree, each_object, frame_tree,
    goroutines, summary, types, verify,
};
use objref_mem::{Core, Image, Input};
use objref_report::{
    FlameOptions, ObjectsTsv, TextOptions, flame_svg, folded, goroutines_text, json, summary_text,
    types_text, verify_text,
};
use objref_snapshot::{Dump, Holder, LoadOptions, NoProgress, Retained, Snapshot};

/// The dump and its snapshot, or the one line that says why there are none.
fn load(core: &[u8], exe: &[u8], force: bool) -> Result<(Dump, Snapshot), String> {
    let input = |name: &str, bytes: &[u8]| Input::from_bytes(Path::new(name), bytes);
    let core = Core::parse(input("core", core).map_err(text)?).map_err(text)?;
    let image = Image::parse(input("exe", exe).map_err(text)?).map_err(text)?;
    let dump = Dump::open(core, Arc::new(image), force, &NoProgress).map_err(text)?;
    let snapshot = dump
        .snapshot(&LoadOptions::default(), &NoProgress)
        .map_err(text)?;
    Ok((dump, snapshot))
}

/// The listing of all objects.
pub(crate) fn rows(core: &[u8], exe: &[u8]) -> Result<Vec<u8>, String> {
    let (dump, snapshot) = load(core, exe, false)?;
    let retained = Retained::of(&dump, &snapshot);
    let mut rows = ObjectsTsv::new(Vec::new()).map_err(text)?;
    each_object(&snapshot, &retained, |row| rows.row(row)).map_err(text)?;
    rows.finish().map_err(text)
}

/// The live bytes, or the one line that says why there are none.
pub(crate) fn run(core: &[u8], exe: &[u8], force: bool) -> Result<u64, String> {
    let (dump, snapshot) = load(core, exe, force)?;
    let numbers = summary(&snapshot);
    let live = numbers.heap.live;
    assert!(
        live.bytes <= numbers.heap.allocated.bytes,
        "more live than there is"
    );
    let by_root: u64 = numbers.roots.iter().map(|kind| kind.bytes).sum();
    assert_eq!(by_root, live.bytes, "roots do not add up");

    let retained = Retained::of(&dump, &snapshot);
    let held = dominator_tree(&snapshot, &retained);
    assert_eq!(held.totals().bytes[0], live.bytes, "retained do not add up");
    let tree = frame_tree(&snapshot, Some(&retained));
    assert_eq!(tree.totals().bytes[0], live.bytes, "frames do not add up");
    let tree = tree.prune(&PruneOptions {
        either: false,
        metric: Metric::Bytes,
        min_share: 0.0005,
        max_depth: 200,
        max_frames: 10_000,
    });
    assert_eq!(
        tree.totals().bytes[0],
        live.bytes,
        "what is left does not add up"
    );

    if live.bytes > 0 {
        flame_svg(&tree, &FlameOptions::default(), &mut io::sink()).unwrap();
    }
    folded(&tree, Metric::Bytes, &mut io::sink()).unwrap();
    summary_text(&numbers, &TextOptions::default(), &mut io::sink()).unwrap();
    json(&numbers, &mut io::sink()).unwrap();
    let by_type = types(
        &snapshot,
        &TypeOptions {
            unknown: true,
            ..TypeOptions::default()
        },
    );
    assert_eq!(by_type.live.bytes, live.bytes, "types do not add up");
    types_text(&by_type, &TextOptions::default(), &mut io::sink()).unwrap();
    let mut rows = ObjectsTsv::new(io::sink()).unwrap();
    let mut bytes = 0;
    let held: u64 = retained
        .holders()
        .filter(|h| !matches!(h, Holder::Stack(n) if snapshot.stacks.parent(*n).is_some()))
        .map(|h| retained.holder_bytes(h))
        .sum();
    assert!(held <= live.bytes, "more is retained than is live");
    each_object(&snapshot, &retained, |row| {
        bytes += row.size;
        assert!(
            row.size <= row.retained && row.retained <= live.bytes,
            "retained by {:#x}",
            row.address
        );
        rows.row(row)
    })
    .unwrap();
    assert_eq!(bytes, live.bytes, "objects do not add up");
    let goroutines = goroutines(&snapshot, &GoroutineOptions::default());
    goroutines_text(&goroutines, &TextOptions::default(), &mut io::sink()).unwrap();
    if let Some(checks) = verify(&dump, &snapshot) {
        verify_text(&checks, &TextOptions::default(), &mut io::sink()).unwrap();
    }
    Ok(live.bytes)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Starts counting [`peak_memory`] again.
pub(crate) fn forget_peak_memory() {
    // Linux, Documentation/filesystems/proc.rst: clear_refs
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// The most memory that this process has used since [`forget_peak_memory`], in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches("kB").trim();
    kib.parse::<u64>().unwrap() * 1024
}

/// The time of the processors that this process has used, all threads together.
pub(crate) fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name, which is in parentheses: state, then numbers; user and system time in hundredths.
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let times = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(times.sum::<u64>() * 10)
}
