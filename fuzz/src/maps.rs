//! Maps of real programs whose memory is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use objref_go::ObjId;
use objref_graph::Successors;
use objref_mem::{Addr, AddressSpace, Core, Image, Input};
use objref_snapshot::{Dump, Limits, LoadOptions, MapPart, NoProgress, Snapshot, Values};
use objref_synth::{CoreBuilder, RW};

const PAGE: u64 = 4096;
/// As deep as the tables of the largest map in the fixtures.
const HOPS: usize = 3;

/// A dump with the pages in which its maps are, which is all that the damaged process has.
pub struct Maps {
    dump: Dump,
    snapshot: Snapshot,
    /// The headers of the maps.
    headers: Vec<ObjId>,
    /// Headers, directories, tables, groups, buckets, and what is in them.
    parts: Vec<ObjId>,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Maps {
    /// Those of a dump in `fixtures/dumps`.
    pub fn of(name: &str) -> Maps {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/dumps"));
        let open = |kind| Input::open(&folder.join(format!("{name}.{kind}.zst"))).unwrap();
        let core = Core::parse(open("core")).unwrap();
        let image = Arc::new(Image::parse(open("exe")).unwrap());
        let dump = Dump::open(core, image, false, &NoProgress).unwrap();
        let snapshot = dump.snapshot(&LoadOptions::default(), &NoProgress).unwrap();
        let is_header = |id: &ObjId| {
            let view = snapshot.view(id.0);
            view.is_some_and(|view| {
                MapPart::of(&snapshot.types.get(view.ty).name) == Some(MapPart::Header)
            })
        };
        let mut headers: Vec<ObjId> = snapshot.tree.order.iter().map(|&id| ObjId(id)).collect();
        headers.retain(is_header);
        headers.sort();
        let parts = around(&dump, &headers);
        let mut pages = BTreeMap::new();
        for &part in &parts {
            let (span, at) = dump.heap.locate(part);
            for page in (at / PAGE)..(at + span.elem_size).div_ceil(PAGE) {
                let start = Addr(page * PAGE);
                if let Ok(bytes) = dump.process.space.bytes(start, PAGE as usize) {
                    pages.insert(start.0, bytes.to_vec());
                }
            }
        }
        Maps { dump, snapshot, headers, parts, pages }
    }

    /// Damages the memory as `input` says, and reads a map.
    ///
    /// The input is the map, two bytes, and changes: part, offset, value, two, two and eight bytes each.
    pub fn read(&mut self, input: &[u8]) {
        let Some((which, changes)) = input.split_first_chunk::<2>() else { return };
        let header = self.headers[usize::from(u16::from_le_bytes(*which)) % self.headers.len()];
        let mut pages = self.pages.clone();
        for change in changes.chunks_exact(12) {
            let short = |i| usize::from(u16::from_le_bytes([change[i], change[i + 1]]));
            let (span, at) = self.dump.heap.locate(self.parts[short(0) % self.parts.len()]);
            let at = at + short(2) as u64 % span.elem_size;
            for (at, byte) in (at..).zip(&change[4..]) {
                if let Some(page) = pages.get_mut(&(at / PAGE * PAGE)) {
                    page[(at % PAGE) as usize] = *byte;
                }
            }
        }
        let mut core = CoreBuilder::new();
        for (start, bytes) in pages {
            core = core.segment(start, RW, bytes);
        }
        let core = Core::parse(Input::from_bytes(Path::new("core"), &core.build()).unwrap()).unwrap();
        let process = &self.dump.process;
        let damaged = AddressSpace::new(&core, &[(process.image.clone(), process.bias)]);
        let whole = std::mem::replace(&mut self.dump.process.space, damaged);
        let limits = Limits { depth: 3, entries: 8, bytes: 40 };
        if let Some(view) = self.snapshot.view(header.0) {
            Values::new(&self.dump, &self.snapshot, limits).object(header, view);
        }
        self.dump.process.space = whole;
    }
}

/// `objects`, and what they lead to in a few steps.
fn around(dump: &Dump, objects: &[ObjId]) -> Vec<ObjId> {
    let mut found: BTreeSet<u32> = objects.iter().map(|id| id.0).collect();
    let mut last: Vec<u32> = found.iter().copied().collect();
    for _ in 0..HOPS {
        let mut next = Vec::new();
        for node in last {
            dump.successors(node, &mut |target| {
                if found.insert(target) {
                    next.push(target);
                }
            });
        }
        last = next;
    }
    found.into_iter().map(ObjId).collect()
}
