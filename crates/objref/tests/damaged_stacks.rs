//! A real dump of 500 goroutines, damaged on the way from the list of goroutines to the maps of their frames: what is
//! hit is marked as partly read and counted, and all others read as before.

use std::path::Path;
use std::sync::Arc;

use objref_analysis::{GoroutineOptions, Summary, goroutines, summary};
use objref_go::{FieldAt, GoProcess, Goroutines, Pclntab, StructSource, Unwinder};
use objref_mem::{Addr, Core, Image, Input};
use objref_snapshot::{Dump, LoadOptions, NoProgress, Snapshot};

/// The goroutines that are parked in the function that is damaged.
const IN_SELECT: &str = "main.waitInSelect";

struct Victim {
    core: Vec<u8>,
    exe: Vec<u8>,
    process: GoProcess,
}

/// A frame of a goroutine: where its return address lies.
struct Parked {
    return_slot: Addr,
}

impl Victim {
    fn open() -> Victim {
        let path = |suffix: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
            folder.join(format!("goroutines-1.27.3.{suffix}.zst"))
        };
        let core = Core::parse(Input::open(&path("core")).unwrap()).unwrap();
        let image = Image::parse(Input::open(&path("exe")).unwrap()).unwrap();
        Victim {
            core: core.input().bytes().to_vec(),
            exe: image.input().bytes().to_vec(),
            process: GoProcess::open(core, Arc::new(image), false).unwrap(),
        }
    }

    fn global(&self, name: &str) -> Addr {
        self.process.global(name).unwrap()
    }

    fn ptr(&self, at: Addr) -> Addr {
        self.process.space.ptr(at).unwrap()
    }

    fn u32(&self, at: Addr) -> u32 {
        self.process.space.u32(at).unwrap()
    }

    /// Overwrites memory of the process.
    fn poke(&mut self, at: Addr, bytes: &[u8]) {
        let segments = self.process.core.segments();
        let s = segments
            .iter()
            .find(|s| s.addr <= at && at.0 - s.addr.0 < s.present);
        let s = s.unwrap();
        let from = (s.file_offset + (at.0 - s.addr.0)) as usize;
        self.core[from..from + bytes.len()].copy_from_slice(bytes);
    }

    /// Overwrites what the binary says, and the dump does not.
    fn poke_binary(&mut self, at: Addr, bytes: &[u8]) {
        let at = self.process.bias.to_link(at);
        let segments = self.process.image.segments();
        let s = segments
            .iter()
            .find(|s| s.addr <= at && at.0 - s.addr.0 < s.file_size);
        let s = s.unwrap();
        let from = (s.file_offset + (at.0 - s.addr.0)) as usize;
        self.exe[from..from + bytes.len()].copy_from_slice(bytes);
    }

    /// The frames of the function that is damaged, one a goroutine.
    fn parked(&self) -> Vec<Parked> {
        let process = &self.process;
        let source = process.layouts();
        let tab = Pclntab::new(&process.space, &source, &process.modules, 27).unwrap();
        let globals = |name: &str| process.global(name);
        let all = Goroutines::read(&process.space, &source, &globals, &tab, 27).unwrap();
        let mut unwinder = Unwinder::new(&tab);
        let mut found = Vec::new();
        for g in &all.list {
            let start = unwinder.start(&Default::default(), g);
            let mut frames = Vec::new();
            unwinder.unwind(&start, g.stack, &mut frames);
            let frame = frames
                .iter()
                .find(|f| tab.func(f.func).unwrap().name() == IN_SELECT);
            found.extend(frame.map(|f| Parked {
                return_slot: Addr(f.fp.0 - 8),
            }));
        }
        found
    }

    /// The record of the function that is damaged.
    fn record(&self) -> Addr {
        let process = &self.process;
        let tab = Pclntab::new(&process.space, &process.layouts(), &process.modules, 27).unwrap();
        let module = &process.modules[0];
        for i in 0..module.ftab.len - 1 {
            let at = module.ftab.data.add(i * 8);
            let entry = module.text.start.add(u64::from(self.u32(at)));
            if tab.find(entry).unwrap().name() == IN_SELECT {
                let offset = u64::from(self.u32(at.add(4)));
                return module.pclntable.data.add(offset);
            }
        }
        panic!("no {IN_SELECT}");
    }

    fn field(&self, path: &'static str) -> FieldAt {
        self.process.field("runtime._func", path).unwrap()
    }

    fn load(&self) -> Snapshot {
        let input = |name: &str, bytes: &[u8]| Input::from_bytes(Path::new(name), bytes).unwrap();
        let core = Core::parse(input("core", &self.core)).unwrap();
        let image = Image::parse(input("exe", &self.exe)).unwrap();
        let dump = Dump::open(core, Arc::new(image), false, &NoProgress).unwrap();
        dump.snapshot(&LoadOptions::default(), &NoProgress).unwrap()
    }
}

/// How often the diagnostic `code` was made.
fn diagnosed(summary: &Summary, code: &str) -> u64 {
    let found = summary.diagnostics.iter().find(|d| d.code == code);
    found.map_or(0, |d| d.count)
}

/// Loads the damaged dump, in which `count` goroutines can be read in part only, and the rest is as before.
fn partly_read(victim: &Victim, count: u64) -> Snapshot {
    let before = summary(&Victim::open().load());
    let snapshot = victim.load();
    let after = summary(&snapshot);
    assert_eq!(after.goroutines.total, before.goroutines.total);
    assert_eq!(after.goroutines.unreadable, count);
    assert_eq!(diagnosed(&after, "stacks.partly-read"), count);
    assert_eq!(after.diagnostics.len(), 1, "{:?}", after.diagnostics);
    let report = goroutines(&snapshot, &GoroutineOptions::default());
    assert_eq!(report.partly_read, count);
    // A stack of which not all is known is scanned conservatively: nothing that it holds is lost.
    assert!(after.heap.live.objects >= before.heap.live.objects);
    assert_eq!(after.heap.allocated, before.heap.allocated);
    snapshot
}

#[test]
fn the_dump_has_nothing_to_complain_about() {
    let victim = Victim::open();
    assert!(victim.parked().len() > 50);
    let summary = summary(&victim.load());
    assert!(summary.diagnostics.is_empty() && summary.goroutines.unreadable == 0);
}

#[test]
fn a_return_address_that_makes_no_sense() {
    // Nowhere; on the stack; in the runtime's data; just outside the program's code.
    let victim = Victim::open();
    let (slots, text) = (victim.parked(), victim.process.modules[0].text);
    let slots = [0, 20, 50, slots.len() - 1].map(|i| slots[i].return_slot);
    let data = victim.global("runtime.mheap_");
    for value in [
        Addr(0),
        Addr(0xdead_beef),
        slots[0],
        data,
        text.end,
        Addr(u64::MAX),
    ] {
        let mut victim = Victim::open();
        for slot in slots {
            victim.poke(slot, &value.0.to_le_bytes());
        }
        partly_read(&victim, 4);
    }
}

#[test]
fn a_list_of_goroutines_that_names_some_of_them_again() {
    let mut victim = Victim::open();
    let allgs = victim.global("runtime.allgs");
    let (list, len) = (victim.ptr(allgs), victim.ptr(allgs.add(8)).0);
    let (first, second) = (victim.ptr(list), victim.ptr(list.add(8)));
    // The last hundred are the first two, over and over.
    for i in 0..100 {
        let again = if i % 2 == 0 { first } else { second };
        victim.poke(list.add((len - 1 - i) * 8), &again.0.to_le_bytes());
    }
    let (before, after) = (Victim::open().load().goroutines, victim.load());
    let known = |all: &Goroutines| all.list.len() + all.dead;
    assert_eq!(known(&after.goroutines), known(&before) - 100);
    let after = summary(&after);
    assert_eq!(diagnosed(&after, "goroutines.unreadable"), 100);
    assert_eq!(after.goroutines.unreadable, 100);
}

#[test]
fn a_list_of_threads_that_loops() {
    let mut victim = Victim::open();
    let next = victim.process.field("runtime.m", "alllink").unwrap();
    let first = victim.ptr(victim.global("runtime.allm"));
    let mut last = first;
    while victim.ptr(next.at(last)).0 != 0 {
        last = victim.ptr(next.at(last));
    }
    assert_ne!(first, last);
    let before = summary(&victim.load());
    victim.poke(next.at(last), &first.0.to_le_bytes());
    let after = summary(&victim.load());
    assert_eq!(diagnosed(&after, "threads.broken-list"), 1);
    assert_eq!(
        (after.heap.live, after.goroutines),
        (before.heap.live, before.goroutines)
    );
}

#[test]
fn a_frame_of_the_wrong_size() {
    let parked = Victim::open().parked().len() as u64;
    // No table; one that starts in the middle of another; one beyond the end.
    for pcsp in [0, 1_000_003, u32::MAX] {
        let mut victim = Victim::open();
        let at = victim.field("pcsp").at(victim.record());
        victim.poke_binary(at, &u32::to_le_bytes(pcsp));
        partly_read(&victim, parked);
    }
}

#[test]
fn maps_out_of_range() {
    let parked = Victim::open().parked().len() as u64;
    const LOCALS: u64 = 1;
    for offset in [u32::MAX - 1, 0x7fff_fff0] {
        let mut victim = Victim::open();
        // The words of the tables by code address come first, then the offsets of the maps.
        // runtime/symtab.go: funcdata
        let (record, count) = (victim.record(), victim.field("npcdata"));
        let count = count.read(&victim.process.space, record).unwrap();
        let size = victim.process.layouts().size_of("runtime._func").unwrap();
        victim.poke_binary(
            record.add(size + (count + LOCALS) * 4),
            &u32::to_le_bytes(offset),
        );
        let snapshot = partly_read(&victim, parked);
        // The frames are known, only their maps are not.
        assert!(snapshot.traces.of.iter().all(|trace| trace.complete));
    }
}

#[test]
fn a_row_of_maps_that_does_not_exist() {
    let parked = Victim::open().parked().len() as u64;
    let mut victim = Victim::open();
    let (record, tables) = (victim.record(), victim.process.modules[0].gofunc);
    let count = victim
        .field("npcdata")
        .read(&victim.process.space, record)
        .unwrap();
    let size = victim.process.layouts().size_of("runtime._func").unwrap();
    let offset = victim.u32(record.add(size + (count + 1) * 4));
    // {rows i32, bits i32}
    victim.poke_binary(tables.add(u64::from(offset)), &1u32.to_le_bytes());
    partly_read(&victim, parked);
}
