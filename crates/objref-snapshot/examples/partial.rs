//! What is live in a part of a dump, by the whole one: `partial WHOLE EXE PART`.
//!
//! Marks in the whole dump, slowly and with nothing but words: a reference counts only if the word that holds it is in the
//! part, too. Prints the live objects and the bytes of them that are in the part, and how many of both are in the whole.

use std::path::Path;
use std::sync::Arc;

use objref_go::{ObjId, SpecialRoots, global_roots};
use objref_mem::{AddressSpace, Core, Image, Input, RegionKind};
use objref_snapshot::{Dump, Holder, LoadOptions, NO_GOROUTINE, NoProgress, Snapshot};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [whole, exe, part] = &args[..] else {
        return Err("partial WHOLE EXE PART".into());
    };
    let open =
        |path: &str| -> Result<Core, Error> { Ok(Core::parse(Input::open(Path::new(path))?)?) };
    let image = Arc::new(Image::parse(Input::open(Path::new(exe))?)?);
    let part = open(part)?;
    let bias = image.load_bias(&part)?;
    let space = AddressSpace::new(&part, &[(Arc::clone(&image), bias)]);
    let dump = Dump::open(open(whole)?, image, false, &NoProgress)?;
    let snapshot = dump.snapshot(&LoadOptions::default(), &NoProgress)?;
    let kept = Kept::new(&space);

    let mut seen = vec![false; dump.heap.len()];
    let mut pending: Vec<u32> = roots(&dump, &snapshot, &kept);
    let (mut objects, mut bytes) = (0u64, 0u64);
    while let Some(object) = pending.pop() {
        if std::mem::replace(&mut seen[object as usize], true) {
            continue;
        }
        let (span, at) = dump.heap.locate(ObjId(object));
        objects += 1;
        bytes += kept.bytes(at, span.elem_size);
        dump.heap
            .pointers(&dump.process.space, ObjId(object), |offset, value| {
                if kept.bytes(at + offset, 8) == 8 {
                    pending.extend(dump.heap.find(value).map(|id| id.0));
                }
            });
    }
    let live = |n: &u32| dump.heap.size(ObjId(*n));
    println!(
        "{{\"objects\": {objects}, \"bytes\": {bytes}, \"whole_objects\": {}, \"whole_bytes\": {}}}",
        snapshot.tree.order.len(),
        snapshot.tree.order.iter().map(live).sum::<u64>()
    );
    Ok(())
}

/// What the roots lead to whose words are in the part: those of stacks whose goroutine is there with all its frames.
fn roots(dump: &Dump, snapshot: &Snapshot, kept: &Kept) -> Vec<u32> {
    let process = &dump.process;
    let mut found = Vec::new();
    for module in &process.modules {
        global_roots(&process.space, module, &mut |root| {
            found.push((root.slot, root.value))
        });
    }
    let source = process.layouts();
    if let Some(special) = SpecialRoots::new(&process.space, &source, &process.version) {
        let mut emit = |root: objref_go::RootPointer| found.push((root.slot, root.value));
        special.specials(&dump.heap, &mut emit);
        let at = |name| process.global(name);
        // Lists that break off are none of this program's concern.
        let _ = at("runtime.allfin").map(|at| special.finalizer_queue(at, &mut emit));
        let _ = at("runtime.gcCleanups").map(|at| special.cleanup_queue(at, &mut emit));
        let _ = at("runtime.allp").map(|at| special.tiny_blocks(at, &mut emit));
    }
    let there = found.iter().filter(|(slot, _)| kept.bytes(slot.0, 8) == 8);
    let mut targets: Vec<u32> = there
        .filter_map(|(_, value)| dump.heap.find(*value))
        .map(|id| id.0)
        .collect();
    for root in snapshot.roots.iter().chain(&snapshot.other_roots) {
        if !matches!(root.holder, Holder::Stack(_)) || root.place.goroutine == NO_GOROUTINE {
            continue;
        }
        let g = &snapshot.goroutines.list[root.place.goroutine as usize];
        let sp = g.sched.sp.0.clamp(g.stack.start.0, g.stack.end.0);
        let frames = g.stack.end.0 - sp;
        if kept.bytes(g.addr.0, 8) == 8 && kept.bytes(sp, frames) == frames {
            targets.push(root.target.0);
        }
    }
    targets
}

/// The addresses whose bytes the part has.
struct Kept(Vec<(u64, u64)>);

impl Kept {
    fn new(space: &AddressSpace) -> Kept {
        let there = [RegionKind::Core, RegionKind::Image, RegionKind::Zero];
        let regions = space.regions().filter(|r| there.contains(&r.kind));
        Kept(regions.map(|r| (r.start.0, r.start.0 + r.len)).collect())
    }

    /// How many of `len` bytes at `start` it has.
    fn bytes(&self, start: u64, len: u64) -> u64 {
        let first = self.0.partition_point(|r| r.1 <= start);
        let inside = self.0[first..].iter().take_while(|r| r.0 < start + len);
        inside.map(|r| r.1.min(start + len) - r.0.max(start)).sum()
    }
}
