//! A dump in memory, and where in its files the things lie that a reader follows.

// A target is a list of places; one of a single place is meant so.
#![allow(clippy::single_range_in_vec_init)]

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use objref_go::{GoProcess, StructSource};
use objref_mem::{Addr, Core, Image, Input};
use objref_snapshot::{Dump, LoadOptions, NoProgress};

use crate::objects;

/// Which of the two files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum File {
    Core,
    Exe,
}

/// Places of one kind.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) file: File,
    pub(crate) places: Vec<Range<usize>>,
    /// Where in memory the things begin that the places are in.
    pub(crate) wholes: Vec<u64>,
}

pub(crate) struct Victim {
    pub(crate) core: Vec<u8>,
    pub(crate) exe: Vec<u8>,
    pub(crate) targets: Vec<Target>,
    /// Addresses that are worth writing into a pointer.
    pub(crate) addresses: Vec<u64>,
}

/// The size of `runtime.special` and what follows it, of a bitmap, of a block: more or less.
const SOME: u64 = 64;

impl Victim {
    /// The victim, and the dump as it is before it is damaged.
    pub(crate) fn open(core: &Path, exe: &Path) -> (Victim, Dump) {
        let core = Core::parse(Input::open(core).unwrap()).unwrap();
        let image = Arc::new(Image::parse(Input::open(exe).unwrap()).unwrap());
        let core_bytes = copy(core.input().bytes());
        let exe_bytes = copy(image.input().bytes());
        let mut victim = Victim {
            targets: headers(&core_bytes, File::Core),
            core: core_bytes,
            exe: exe_bytes,
            addresses: Vec::new(),
        };
        victim.targets.extend(headers(&victim.exe, File::Exe));
        victim.targets.extend(sections(&image));
        let dump = Dump::open(core, image, false, &NoProgress).unwrap();
        let options = LoadOptions::default();
        let snapshot = dump.snapshot(&options, &NoProgress).unwrap();
        let mut finder = Finder {
            process: &dump.process,
            targets: &mut victim.targets,
            addresses: &mut victim.addresses,
        };
        finder.heap();
        finder.goroutines();
        finder.modules();
        for (name, parts) in objects::parts(&snapshot) {
            finder.add_parts(name, parts);
        }
        victim.targets.retain(|target| !target.places.is_empty());
        (victim, dump)
    }
}

/// A copy in which pages of zeros take no memory, as they take no room in the file.
fn copy(bytes: &[u8]) -> Vec<u8> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut copy = vec![0; bytes.len()];
    let pages = copy.chunks_mut(ZEROS.len()).zip(bytes.chunks(ZEROS.len()));
    for (to, from) in pages.filter(|(_, from)| *from != &ZEROS[..from.len()]) {
        to.copy_from_slice(from);
    }
    copy
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()).into()
}

/// The headers of an ELF file, and the notes of a core.
fn headers(bytes: &[u8], file: File) -> Vec<Target> {
    let target = |name: &str, places| Target {
        name: name.to_owned(),
        file,
        places,
        wholes: Vec::new(),
    };
    let (phoff, phnum) = (u64_at(bytes, 32) as usize, u16_at(bytes, 56));
    let programs: Vec<_> = (0..phnum)
        .map(|i| phoff + i * 56..phoff + (i + 1) * 56)
        .collect();
    let notes = programs
        .iter()
        .filter(|p| bytes[p.start] == 4)
        .map(|p| {
            let (offset, size) = (u64_at(bytes, p.start + 8), u64_at(bytes, p.start + 32));
            offset as usize..(offset + size) as usize
        })
        .collect();
    let mut targets = vec![
        target("file header", vec![0..64]),
        target("program headers", programs),
        target("notes", notes),
        target("anywhere", vec![0..bytes.len()]),
    ];
    let (shoff, shnum) = (u64_at(bytes, 40) as usize, u16_at(bytes, 60));
    if shoff != 0 {
        let sections = (0..shnum).map(|i| shoff + i * 64..shoff + (i + 1) * 64);
        targets.push(target("section headers", sections.collect()));
    }
    targets
}

fn sections(image: &Image) -> Vec<Target> {
    let start = image.input().bytes().as_ptr().addr();
    image
        .sections()
        .filter(|section| !section.data.is_empty() && section.name != ".text")
        .map(|section| {
            let from = section.data.as_ptr().addr() - start;
            let mut places = vec![from..from + section.data.len()];
            // Its beginning, with the tables' headers, as often as the rest.
            places.push(from..from + section.data.len().min(64));
            Target {
                name: section.name.to_owned(),
                file: File::Exe,
                places,
                wholes: Vec::new(),
            }
        })
        .collect()
}

struct Finder<'a> {
    process: &'a GoProcess,
    targets: &'a mut Vec<Target>,
    addresses: &'a mut Vec<u64>,
}

impl Finder<'_> {
    /// Where in the core `len` bytes at `addr` lie.
    fn place(&self, addr: Addr, len: u64) -> Option<Range<usize>> {
        let segments = self.process.core.segments();
        let segment = segments
            .iter()
            .find(|s| s.addr <= addr && addr.0 - s.addr.0 < s.present)?;
        let into = addr.0 - segment.addr.0;
        let from = (segment.file_offset + into) as usize;
        Some(from..from + len.min(segment.present - into) as usize)
    }

    fn add(&mut self, name: &str, ranges: impl IntoIterator<Item = (Addr, u64)>) {
        let parts = ranges.into_iter().map(|(addr, len)| (addr, addr, len));
        self.add_parts(name, parts);
    }

    /// Of each: where the whole begins, where the part begins, and how long this is.
    fn add_parts(&mut self, name: &str, parts: impl IntoIterator<Item = (Addr, Addr, u64)>) {
        let (mut places, mut wholes) = (Vec::new(), Vec::new());
        for (whole, addr, len) in parts {
            self.addresses.push(addr.0);
            wholes.push(whole.0);
            places.extend(self.place(addr, len).filter(|place| !place.is_empty()));
        }
        self.targets.push(Target {
            name: name.to_owned(),
            file: File::Core,
            places,
            wholes,
        });
    }

    fn size(&self, name: &str) -> u64 {
        self.process.layouts().size_of(name).unwrap_or(SOME)
    }

    /// The elements of the slice of pointers at `slice`, and their storage.
    fn pointers(&self, slice: Addr) -> ((Addr, u64), Vec<Addr>) {
        let space = &self.process.space;
        let (data, len) = (space.ptr(slice).unwrap(), space.u64(slice.add(8)).unwrap());
        let all = (0..len).map(|i| space.ptr(data.add(i * 8)).unwrap());
        ((data, len * 8), all.collect())
    }

    fn heap(&mut self) {
        let (process, space) = (self.process, &self.process.space);
        let mheap = process.global("runtime.mheap_").unwrap();
        let field = |path| process.field("runtime.mspan", path).unwrap();
        let in_heap = |path| process.field("runtime.mheap", path).unwrap();
        let all = in_heap("allspans").at(mheap);
        let (table, spans) = self.pointers(all);
        self.add("allspans", [table]);
        self.add("mheap", [(all, 24), (in_heap("sweepgen").at(mheap), 4)]);
        let arenas = in_heap("arenas").at(mheap);
        self.add("mheap.arenas", [(arenas, 8)]);
        let size = self.size("runtime.mspan");
        self.add("mspan", spans.iter().map(|at| (*at, size)));
        // What matters of a span, as often as the whole.
        let fields = [
            "startAddr",
            "npages",
            "freeindex",
            "nelems",
            "allocBits",
            "gcmarkBits",
            "sweepgen",
            "allocCount",
            "spanclass",
            "elemsize",
            "specials",
        ];
        for path in fields {
            let f = field(path);
            self.add(
                &format!("mspan.{path}"),
                spans.iter().map(|at| (f.at(*at), f.size)),
            );
        }
        let bitmaps = |path| {
            let f = field(path);
            spans
                .iter()
                .filter_map(move |at| Some((f.ptr(space, *at).ok()?, SOME)))
        };
        self.add("allocBits", bitmaps("allocBits").filter(|(a, _)| a.0 != 0));
        self.add("specials", bitmaps("specials").filter(|(a, _)| a.0 != 0));
        let used: Vec<_> = bitmaps("startAddr").filter(|(a, _)| a.0 != 0).collect();
        let second = space.ptr(arenas).unwrap();
        let entry = |at: Addr| second.add((at.0.wrapping_sub(0xffff_8000_0000_0000) >> 26) * 8);
        self.add("arena table", used.iter().map(|(at, _)| (entry(*at), 8)));
        let size = self.size("runtime.heapArena");
        let arenas: Vec<_> = used
            .iter()
            .filter_map(|(at, _)| space.ptr(entry(*at)).ok())
            .collect();
        self.add("heapArena", arenas.iter().map(|at| (*at, size)));
        let pages = |at: &Addr| Some((field("startAddr").ptr(space, *at).ok()?, 8192));
        self.add("objects", spans.iter().filter_map(pages));
        let ends = |at: &Addr| {
            let start = field("startAddr").ptr(space, *at).ok()?;
            let pages = field("npages").read(space, *at).ok()?;
            Some((start.add(pages * 8192).add(256u64.wrapping_neg()), 256))
        };
        self.add("ends of spans", spans.iter().filter_map(ends));
    }

    fn goroutines(&mut self) {
        let (process, space) = (self.process, &self.process.space);
        let global = |name| process.global(name).unwrap();
        let (table, all) = self.pointers(global("runtime.allgs"));
        let goroutines = all.clone();
        self.add("allgs", [table]);
        self.add(
            "g",
            all.iter()
                .map(|at| (*at, self.size("runtime.g")))
                .collect::<Vec<_>>(),
        );
        let stack = |at: &Addr| {
            let (low, high) = (space.u64(*at).ok()?, space.u64(at.add(8)).ok()?);
            let sp = process
                .field("runtime.g", "sched.sp")?
                .read(space, *at)
                .ok()?;
            let from = if (low..high).contains(&sp) { sp } else { low };
            Some((Addr(from), high.saturating_sub(from)))
        };
        self.add("g.stack", all.iter().map(|at| (*at, 16)));
        self.add("stacks", all.iter().filter_map(stack).collect::<Vec<_>>());
        let (mut at, mut machines) = (space.ptr(global("runtime.allm")).unwrap(), Vec::new());
        let next = process.field("runtime.m", "alllink").unwrap();
        while at.0 != 0 {
            machines.push((at, self.size("runtime.m")));
            at = next.ptr(space, at).unwrap();
        }
        self.add(
            "alllink",
            machines
                .iter()
                .map(|(at, _)| (next.at(*at), 8))
                .collect::<Vec<_>>(),
        );
        self.add("m", machines);
        let (table, all) = self.pointers(global("runtime.allp"));
        self.add("allp", [table]);
        self.add(
            "p",
            all.iter()
                .map(|at| (*at, self.size("runtime.p")))
                .collect::<Vec<_>>(),
        );
        let caches = process.field("runtime.p", "mcache").unwrap();
        let caches: Vec<_> = all
            .iter()
            .filter_map(|at| caches.ptr(space, *at).ok())
            .collect();
        self.add("mcache", caches.iter().map(|at| (*at, 512)));
        let (defer, link) = (
            process.field("runtime.g", "_defer").unwrap(),
            process.field("runtime._defer", "link").unwrap(),
        );
        let mut defers = Vec::new();
        for g in &goroutines {
            let mut at = defer.ptr(space, *g).unwrap();
            while at.0 != 0 {
                defers.push((at, link.at(at), 8));
                at = link.ptr(space, at).unwrap();
            }
        }
        self.add_parts("defers", defers);
        for name in [
            "runtime.allfin",
            "runtime.gcCleanups",
            "runtime.memstats",
            "runtime.gcController",
        ] {
            if let Some(at) = process.global(name) {
                self.add(name, [(at, SOME)]);
            }
        }
    }

    fn modules(&mut self) {
        for module in &self.process.modules {
            self.add(
                "moduledata",
                [(module.addr, self.size("runtime.moduledata"))],
            );
            self.add("data", [(module.data.start, module.data.len())]);
            self.add("bss", [(module.bss.start, module.bss.len())]);
            // Written to the binary: the core does not have what nobody can write.
            for (name, mask) in [
                ("gcdatamask", module.gcdatamask),
                ("gcbssmask", module.gcbssmask),
            ] {
                let at = self.process.bias.to_link(mask.data);
                let segments = self.process.image.segments();
                let Some(s) = segments
                    .iter()
                    .find(|s| s.addr <= at && at.0 - s.addr.0 < s.file_size)
                else {
                    continue;
                };
                let from = (s.file_offset + (at.0 - s.addr.0)) as usize;
                self.targets.push(Target {
                    name: name.to_owned(),
                    file: File::Exe,
                    places: vec![from..from + (mask.bits / 8) as usize],
                    wholes: Vec::new(),
                });
            }
        }
    }
}
