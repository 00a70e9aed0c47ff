//! What type inference costs: the walk over the heap with it and without.
//!
//! `cost CORE EXE [RUNS]` prints the CPU time of both, of all threads together; in turn, so that what else runs on the
//! machine slows down both.

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};

use objref_go::{Batch, ObjId};
use objref_graph::{Explore, Reach, Reached, explore};
use objref_mem::{Core, Image, Input};
use objref_snapshot::{Dump, LoadOptions, NoProgress, Progress};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [core, exe, rest @ ..] = &args[..] else {
        return Err("cost CORE EXE [RUNS]".into());
    };
    let runs = rest.first().map_or(Ok(3), |n| n.parse())?;
    let core = Core::parse(Input::open(Path::new(core))?)?;
    let image = Image::parse(Input::open(Path::new(exe))?)?;
    let dump = Dump::open(core, Arc::new(image), false, &NoProgress)?;
    let snapshot = dump.snapshot(&LoadOptions::default(), &NoProgress)?;
    let roots: Vec<u32> = snapshot.roots.iter().map(|root| root.target.0).collect();
    let objects = snapshot.tree.order.len();
    drop(snapshot);
    for _ in 0..runs {
        let start = cpu()?;
        let (tree, _) = explore(&mut Bare(&dump), roots.iter().copied());
        let bare = cpu()? - start;
        assert_eq!(tree.order.len(), objects);
        drop(tree);
        let clock = Clock::default();
        dump.snapshot(&LoadOptions::default(), &clock)?;
        let with = clock.walk();
        println!(
            "{objects} objects: {bare:.2} s without types, {with:.2} s with, so {:.2} s for types",
            with - bare,
        );
    }
    Ok(())
}

/// The heap, of which nobody wants to know more than where its references lead.
struct Bare<'d>(&'d Dump);

impl<'d> Explore for Bare<'d> {
    type Notes = ();
    type Scratch = Batch<'d>;

    fn len(&self) -> usize {
        self.0.heap.len()
    }

    fn explore(
        &self,
        nodes: &[u32],
        _: Reached<'_>,
        batch: &mut Batch<'d>,
        (): &mut (),
        reach: &mut impl Reach,
    ) {
        let (heap, space) = (&self.0.heap, &self.0.process.space);
        batch.load(heap, space, nodes.iter().copied().map(ObjId));
        batch.references(heap, space, |references| {
            let touched = references.iter().map(|r| reach.touch(r.target.0));
            black_box(touched.fold(0, |all, one| all ^ one));
            for reference in references {
                reach.edge(reference.holder, reference.target.0, 0);
            }
        });
    }

    fn prepare(&mut self, _: &[u32], _: Reached<'_>) {}

    fn settle(&mut self, _: Reached<'_>, _: &mut [()]) {}
}

/// The CPU time at which each phase began.
#[derive(Default)]
struct Clock(Mutex<Vec<(String, f64)>>);

impl Progress for Clock {
    fn phase(&self, name: &str) {
        let now = cpu().unwrap_or(f64::NAN);
        self.0.lock().unwrap().push((name.to_owned(), now));
    }
}

impl Clock {
    /// How long the walk took.
    fn walk(&self) -> f64 {
        let phases = self.0.lock().unwrap();
        let walk = phases.iter().position(|(name, _)| name == "graph").unwrap();
        phases[walk + 1].1 - phases[walk].1
    }
}

/// CPU time of all threads so far, in seconds.
// proc_pid_schedstat(5): nanoseconds on a processor
fn cpu() -> Result<f64, Error> {
    let mut total = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let times = std::fs::read_to_string(task?.path().join("schedstat"))?;
        total += times.split(' ').next().unwrap_or("").parse::<u64>()?;
    }
    Ok(total as f64 / 1e9)
}
