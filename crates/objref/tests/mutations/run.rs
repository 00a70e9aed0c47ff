//! One dump through everything, and what must hold whatever is in it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use objref_analysis::{
    GoroutineOptions, Metric, PruneOptions, TypeOptions, dominator_tree, each_object, frame_tree,
    goroutines, summary, types, verify,
};
use objref_go::ObjId;
use objref_mem::{Core, Image, Input};
use objref_report::{
    FlameOptions, ObjectsTsv, Order, TextOptions, flame_svg, folded, goroutines_text, json,
    speedscope, summary_text, types_text, verify_text,
};
use objref_snapshot::{
    Dump, Holder, Index, Limits, LoadOptions, MapPart, NoProgress, References, Retained, Snapshot,
    Values, write_index,
};

/// The dump, or the one line that says why there is none. `beside` is one of the same binary, which is not read again.
pub(crate) fn open(
    core: Arc<Input>,
    exe: Arc<Input>,
    beside: Option<&Dump>,
    force: bool,
) -> Result<Dump, String> {
    let core = Core::parse(core).map_err(text)?;
    match beside {
        Some(dump) => dump.open_beside(core, force, &NoProgress).map_err(text),
        None => {
            let image = Arc::new(Image::parse(exe).map_err(text)?);
            Dump::open(core, image, force, &NoProgress).map_err(text)
        }
    }
}

/// Bytes as a file.
pub(crate) fn input(name: &str, bytes: &[u8]) -> Arc<Input> {
    Input::from_bytes(Path::new(name), bytes).unwrap()
}

/// The listing of all objects.
pub(crate) fn rows(core: &[u8], exe: &[u8]) -> Result<Vec<u8>, String> {
    let dump = open(input("core", core), input("exe", exe), None, false)?;
    let snapshot = dump
        .snapshot(&LoadOptions::default(), &NoProgress)
        .map_err(text)?;
    let retained = Retained::of(&dump, &snapshot);
    let mut rows = ObjectsTsv::new(Vec::new()).map_err(text)?;
    each_object(&snapshot, &retained, |row| rows.row(row)).map_err(text)?;
    rows.finish().map_err(text)
}

/// What is asked of a dump beside its summary.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    /// Trees, pictures of them, and the page.
    Trees,
    /// What everything retains, object by object.
    Objects,
    /// Types, goroutines, what contradicts.
    Tables,
    /// Values, and the index.
    Values,
}

impl Ask {
    pub(crate) const ALL: [Ask; 4] = [Ask::Trees, Ask::Objects, Ask::Tables, Ask::Values];
}

/// The live bytes, or the one line that says why there are none.
pub(crate) fn run(dump: &Dump, ask: Ask) -> Result<u64, String> {
    let options = LoadOptions::default();
    let (snapshot, references) = match ask {
        Ask::Values => {
            let (snapshot, references) = dump.load(&options, &NoProgress).map_err(text)?;
            (snapshot, Some(references))
        }
        _ => (dump.snapshot(&options, &NoProgress).map_err(text)?, None),
    };
    let numbers = summary(&snapshot);
    let live = numbers.heap.live;
    assert!(
        live.bytes <= numbers.heap.allocated.bytes,
        "more live than there is"
    );
    let by_root: u64 = numbers.roots.iter().map(|kind| kind.bytes).sum();
    assert_eq!(by_root, live.bytes, "roots do not add up");
    summary_text(&numbers, &TextOptions::default(), &mut io::sink()).unwrap();
    json(&numbers, &mut io::sink()).unwrap();
    match ask {
        Ask::Trees => trees(dump, &snapshot, live.bytes),
        Ask::Objects => objects(dump, &snapshot, live.bytes),
        Ask::Tables => tables(dump, &snapshot, live.bytes),
        Ask::Values => {
            values(dump, &snapshot);
            index(dump, &snapshot, &references.unwrap());
        }
    }
    Ok(live.bytes)
}

fn trees(dump: &Dump, snapshot: &Snapshot, live: u64) {
    let retained = Retained::of(dump, snapshot);
    let held = dominator_tree(snapshot, retained.tree());
    assert_eq!(held.totals().bytes[0], live, "retained do not add up");
    let tree = frame_tree(snapshot, Some(&retained));
    assert_eq!(tree.totals().bytes[0], live, "frames do not add up");
    let tree = tree.prune(&PruneOptions {
        either: false,
        metric: Metric::Bytes,
        min_share: 0.0005,
        max_depth: 200,
        max_frames: 10_000,
    });
    assert_eq!(tree.totals().bytes[0], live, "what is left does not add up");
    if live > 0 {
        flame_svg(&tree, &FlameOptions::default(), &mut io::sink()).unwrap();
    }
    folded(&tree, Metric::Bytes, &mut io::sink()).unwrap();
    speedscope(
        &tree,
        "damaged",
        Metric::Bytes,
        Order::Size,
        &mut io::sink(),
    )
    .unwrap();
}

fn objects(dump: &Dump, snapshot: &Snapshot, live: u64) {
    let retained = Retained::of(dump, snapshot);
    let held: u64 = retained
        .holders()
        .filter(|h| !matches!(h, Holder::Stack(n) if snapshot.stacks.parent(*n).is_some()))
        .map(|h| retained.holder_bytes(h))
        .sum();
    assert!(held <= live, "more is retained than is live");
    let mut rows = ObjectsTsv::new(io::sink()).unwrap();
    let mut bytes = 0;
    each_object(snapshot, &retained, |row| {
        bytes += row.size;
        assert!(
            row.size <= row.retained && row.retained <= live,
            "retained by {:#x}",
            row.address
        );
        rows.row(row)
    })
    .unwrap();
    assert_eq!(bytes, live, "objects do not add up");
}

fn tables(dump: &Dump, snapshot: &Snapshot, live: u64) {
    let by_type = types(
        snapshot,
        &TypeOptions {
            unknown: true,
            ..TypeOptions::default()
        },
    );
    assert_eq!(by_type.live.bytes, live, "types do not add up");
    types_text(&by_type, &TextOptions::default(), &mut io::sink()).unwrap();
    let goroutines = goroutines(snapshot, &GoroutineOptions::default());
    goroutines_text(&goroutines, &TextOptions::default(), &mut io::sink()).unwrap();
    if let Some(checks) = verify(dump, snapshot) {
        verify_text(&checks, &TextOptions::default(), &mut io::sink()).unwrap();
    }
}

/// Values of many objects, of all map headers among them.
fn values(dump: &Dump, snapshot: &Snapshot) {
    let values = Values::new(dump, snapshot, Limits::default());
    let every = snapshot.objects.len() / 2000 + 1;
    for object in 0..snapshot.objects.len() as u32 {
        let Some(view) = snapshot.view(object) else {
            continue;
        };
        let name = || &snapshot.types.get(view.ty).name;
        if (object as usize).is_multiple_of(every) || MapPart::of(name()) == Some(MapPart::Header) {
            json(&values.object(ObjId(object), view), &mut io::sink()).unwrap();
        }
    }
}

/// An index of a damaged dump is no damaged index.
fn index(dump: &Dump, snapshot: &Snapshot, references: &References<'_>) {
    let retained = Retained::of(dump, snapshot);
    let mut bytes = Vec::new();
    write_index(snapshot, references, &retained, false, &mut bytes).unwrap();
    let again = Index::open(&input("index", &bytes)).and_then(|index| index.snapshot());
    let again = again.unwrap_or_else(|error| panic!("our own index: {error}"));
    assert_eq!(
        summary(&again),
        summary(snapshot),
        "the index says another thing"
    );
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
