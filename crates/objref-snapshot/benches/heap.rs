//! The hot loops over a real heap: the search alone, the search with types, the dominator tree.
//!
//! `cargo bench -p objref-snapshot` takes a committed dump, or the one that `OBJREF_BENCH_CORE` and `OBJREF_BENCH_EXE`
//! name. Wall time, of as many threads as `RAYON_NUM_THREADS` says.

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use objref_go::{Batch, ObjId};
use objref_graph::pieces::Part;
use objref_graph::{Explore, LabeledEdge, Reach, Reached, explore};
use objref_mem::{Core, Image, Input};
use objref_snapshot::{Dump, LoadOptions, NoProgress, Progress, Retained};

fn heap(criterion: &mut Criterion) {
    let dump = open().unwrap();
    let options = LoadOptions::default();
    let (snapshot, references) = dump.load(&options, &NoProgress).unwrap();
    let roots: Vec<u32> = snapshot.roots.iter().map(|root| root.target.0).collect();

    let mut group = criterion.benchmark_group("heap");
    let objects = snapshot.tree.order.len();
    group
        .sample_size(10)
        .throughput(Throughput::Elements(objects as u64));
    group.bench_function("search", |bench| {
        bench.iter(|| {
            let (tree, _) = explore(&mut Bare(&dump), roots.iter().copied());
            assert_eq!(tree.order.len(), objects);
        });
    });
    group.bench_function("search with types", |bench| {
        bench.iter_custom(|times| {
            let search = |_| {
                let clock = Clock::default();
                dump.snapshot(&options, &clock).unwrap();
                clock.of("graph")
            };
            (0..times).map(search).sum()
        });
    });
    group.bench_function("dominators", |bench| {
        bench.iter(|| black_box(Retained::of(&references, &snapshot)));
    });
}

/// The dump, and its binary.
fn open() -> Result<Dump, Box<dyn Error>> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    let path = |name, default| {
        std::env::var_os(name).map_or_else(|| committed.join(default), PathBuf::from)
    };
    let core = path("OBJREF_BENCH_CORE", "service-1.26.6.core.zst");
    let exe = path("OBJREF_BENCH_EXE", "service-1.26.6.exe.zst");
    let core = Core::parse(Input::open(&core)?)?;
    let image = Image::parse(Input::open(&exe)?)?;
    Ok(Dump::open(core, Arc::new(image), false, &NoProgress)?)
}

/// The heap, of which nobody wants to know more than where its references lead.
struct Bare<'d>(&'d Dump);

impl<'d> Explore for Bare<'d> {
    type Notes = ();
    type Scratch = (Batch<'d>, Vec<u32>);

    fn len(&self) -> usize {
        self.0.heap.len()
    }

    fn explore(
        &self,
        nodes: &[u32],
        _: Part,
        _: Reached<'_>,
        (batch, seen): &mut (Batch<'d>, Vec<u32>),
        (): &mut (),
        reach: &mut impl Reach,
    ) {
        let (heap, space) = (&self.0.heap, &self.0.process.space);
        batch.load(heap, space, nodes.iter().copied().map(ObjId));
        batch.references(heap, space, &mut |references| {
            seen.clear();
            seen.extend(references.iter().map(|r| reach.touch(r.target.0)));
            for (reference, seen) in references.iter().zip(&*seen) {
                let edge = LabeledEdge {
                    from: reference.holder.into(),
                    to: reference.target.0,
                    label: 0,
                    to_leaf: reference.to_leaf,
                };
                reach.edge(edge, *seen);
            }
        });
    }

    fn prepare(&mut self, _: &[u32], _: Reached<'_>) {}

    fn settle(&mut self, _: Reached<'_>, _: &mut [()]) {}
}

/// When each phase began.
#[derive(Default)]
struct Clock(Mutex<Vec<(String, Instant)>>);

impl Progress for Clock {
    fn phase(&self, name: &str) {
        self.0
            .lock()
            .unwrap()
            .push((name.to_owned(), Instant::now()));
    }
}

impl Clock {
    /// How long a phase took that is not the last.
    fn of(&self, name: &str) -> Duration {
        let phases = self.0.lock().unwrap();
        let at = phases.iter().position(|(phase, _)| phase == name).unwrap();
        phases[at + 1].1 - phases[at].1
    }
}

criterion_group!(benches, heap);
criterion_main!(benches);
