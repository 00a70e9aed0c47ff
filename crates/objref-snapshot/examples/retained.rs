//! Holds retained sizes against their definition: mark without the object, and see what is missing.
//!
//! `retained CORE EXE [N [SEED]]` checks N objects, and N holders of roots, taken at random: all if there are no more.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use objref_go::ObjId;
use objref_graph::{Csr, Successors};
use objref_mem::{Core, Image, Input};
use objref_snapshot::{Dump, Holder, LoadOptions, NoProgress, Retained, Snapshot};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [core, exe, rest @ ..] = &args[..] else {
        return Err("retained CORE EXE [N [SEED]]".into());
    };
    let many = rest.first().map_or(Ok(usize::MAX), |n| n.parse())?;
    let seed = rest.get(1).map_or(Ok(1), |n| n.parse())?;
    let core = Core::parse(Input::open(Path::new(core))?)?;
    let image = Image::parse(Input::open(Path::new(exe))?)?;
    let dump = Dump::open(core, Arc::new(image), false, &NoProgress)?;
    let snapshot = dump.snapshot(&LoadOptions::default(), &NoProgress)?;
    let retained = Retained::of(&dump, &snapshot);
    let marker = Marker::new(&dump, &snapshot);
    let mut random = Random(seed);

    let all = marker.live(None, &HashSet::new());
    let mut wrong = 0u64;
    let objects = random.some(&snapshot.tree.order, many);
    for &object in &objects {
        let without = all - marker.live(Some(object), &HashSet::new());
        wrong += u64::from(without != retained.bytes(object));
    }
    let holders: Vec<Holder> = retained.holders().collect();
    let holders = random.some(&holders, many);
    for &holder in &holders {
        let gone = called_by(&snapshot, &retained, holder);
        let without = all - marker.live(None, &gone);
        wrong += u64::from(without != retained.holder_bytes(holder));
    }
    let checked = (objects.len() + holders.len()) as u64;
    println!(
        "{} of {} objects, {} holders: {} right, {wrong} wrong",
        objects.len(),
        snapshot.tree.order.len(),
        holders.len(),
        checked - wrong
    );
    Ok(match wrong {
        0 if checked > 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Marks as a collector does, with nothing but the references and a stack.
struct Marker {
    graph: Csr,
    sizes: Vec<u64>,
    roots: Vec<(Holder, u32)>,
}

impl Marker {
    fn new(dump: &Dump, snapshot: &Snapshot) -> Marker {
        let objects = snapshot.objects.len();
        let mut edges = Vec::new();
        for &object in &snapshot.tree.order {
            dump.successors(object, &mut |next| edges.push((object, next)));
        }
        let roots = snapshot.roots.iter().chain(&snapshot.other_roots);
        Marker {
            graph: Csr::from_edges(objects, edges.iter().copied()),
            sizes: (0..objects as u32)
                .map(|object| snapshot.objects.size(ObjId(object)))
                .collect(),
            roots: roots.map(|root| (root.holder, root.target.0)).collect(),
        }
    }

    /// Bytes that are live without an object and without some holders.
    fn live(&self, without: Option<u32>, gone: &HashSet<Holder>) -> u64 {
        let mut seen = vec![false; self.sizes.len()];
        let mut pending: Vec<u32> = Vec::new();
        let mut bytes = 0;
        let mut see = |object: u32, pending: &mut Vec<u32>| {
            if Some(object) != without && !seen[object as usize] {
                seen[object as usize] = true;
                bytes += self.sizes[object as usize];
                pending.push(object);
            }
        };
        for (holder, target) in &self.roots {
            if !gone.contains(holder) {
                see(*target, &mut pending);
            }
        }
        while let Some(object) = pending.pop() {
            for &next in self.graph.targets(object) {
                see(next, &mut pending);
            }
        }
        bytes
    }
}

/// The holder, and for a function on stacks all that it called.
fn called_by(snapshot: &Snapshot, retained: &Retained, holder: Holder) -> HashSet<Holder> {
    let mut gone = HashSet::from([holder]);
    // Callers come first.
    for other in retained.holders() {
        if let Holder::Stack(node) = other
            && let Some(caller) = snapshot.stacks.parent(node)
            && gone.contains(&Holder::Stack(caller))
        {
            gone.insert(other);
        }
    }
    gone
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// `many` of `all`, each once.
    fn some<T: Copy>(&mut self, all: &[T], many: usize) -> Vec<T> {
        let mut all = all.to_vec();
        let many = many.min(all.len());
        for i in 0..many {
            let other = i + self.below(all.len() - i);
            all.swap(i, other);
        }
        all.truncate(many);
        all
    }
}
