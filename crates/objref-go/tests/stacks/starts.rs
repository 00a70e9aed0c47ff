//! Where walks start.

use objref_go::{
    AddrRange, Goroutines, Machine, Machines, Pclntab, StackRoot, StackRootKind, Start, StartKind,
    UnwindEnd, Unwinder,
};
use objref_mem::{Addr, Arch};

use crate::synth::{GS, HEAP, Layouts, Program, SP_WRITE};
use crate::{TOP, function, goexit, read, two_frames};

/// Registers as the kernel writes them, of a thread on amd64.
fn registers(pc: u64, sp: u64) -> objref_mem::Registers {
    let mut words = [0; 27];
    (words[16], words[19], words[2]) = (pc, sp, HEAP + 9);
    let core = objref_synth::CoreBuilder::new()
        .note(objref_synth::prstatus(5, 0, &words))
        .segment(0x1000, objref_synth::RW, vec![0])
        .build();
    let input = objref_mem::Input::from_bytes(std::path::Path::new("core"), &core).unwrap();
    objref_mem::Core::parse(input).unwrap().threads()[0].regs
}

/// Where the goroutine goes on whose thread has these registers, and which has this status.
fn start_of(p: &Program, status: u64, pc: u64, sp: u64) -> Start {
    start_in_vdso(p, status, pc, sp, (Addr(0), Addr(0)))
}

/// As [`start_of`], with where the thread called into the kernel's shared page.
fn start_in_vdso(p: &Program, status: u64, pc: u64, sp: u64, vdso: (Addr, Addr)) -> Start {
    let g = GS + 0x100;
    let m = GS + 0x3000;
    p.words(g + 0x30, &[m]);
    p.words(g + 0x90, &[status]);
    let (space, module) = p.build();
    let tab = Pclntab::new(&space, &Layouts, &[module], 26).unwrap();
    let globals = |name: &str| (name == "runtime.allgs").then_some(Addr(GS));
    let goroutines = Goroutines::read(&space, &Layouts, &globals, &tab, 26).unwrap();
    let system = AddrRange {
        start: Addr(GS + 0x8000),
        end: Addr(GS + 0x9000),
    };
    let machine = Machine {
        addr: Addr(m),
        id: 0,
        tid: 5,
        g0: Addr(GS + 0x4000),
        g0_stack: system,
        g0_entry: system.end,
        gsignal: Addr(0),
        signal_stack: AddrRange::default(),
        current: Addr(g),
        locked: Addr(0),
        p: Addr(1),
        in_c: false,
        vdso,
        regs: Some(registers(pc, sp)),
    };
    let machines = Machines {
        list: vec![machine],
        ..Machines::default()
    };
    Unwinder::new(&tab).start(&machines, &goroutines.list[0])
}

#[test]
fn a_thread_on_the_stack_of_its_goroutine_says_where_that_is() {
    let inner = function("main.inner", 32, vec!["000", "000"]);
    let p = two_frames(function("main.outer", 32, vec!["000", "000"]), inner);
    let (pc, sp) = (p.entry("main.inner") + 60, TOP - 136);
    const RUNNING: u64 = 2;
    const WAITING: u64 = 4;
    // The end of a cycle runs on the stack of a goroutine that waits by its status.
    for status in [RUNNING, WAITING] {
        let start = start_of(&p, status, pc, sp);
        assert_eq!((start.kind, start.pc.0), (StartKind::Registers, pc));
        // On the system stack: the scheduler knows.
        let start = start_of(&p, status, pc, GS + 0x8100);
        assert_eq!((start.kind, start.pc.0), (StartKind::Parked, pc - 10));
        assert!(start.regs.is_none());
    }
}

#[test]
fn a_thread_that_asks_for_the_time() {
    let inner = function("main.inner", 32, vec!["000", "000"]);
    let p = two_frames(function("main.outer", 32, vec!["000", "000"]), inner);
    let parked = p.entry("main.inner") + 50;
    const RUNNING: u64 = 2;
    let (kernel, system) = (0x7fff_0000_1000, GS + 0x8100);
    // For the scheduler, which has just made the goroutine run: that is where it was parked.
    let called = (Addr(system + 0x80), Addr(parked + 7));
    let start = start_in_vdso(&p, RUNNING, kernel, system, called);
    assert_eq!((start.kind, start.pc.0), (StartKind::Parked, parked));
    // For the goroutine itself: that is where it called.
    let called = (Addr(TOP - 136), Addr(parked + 7));
    let start = start_in_vdso(&p, RUNNING, kernel, system, called);
    assert_eq!((start.kind, start.pc), (StartKind::Vdso, called.1));
    // For neither: C that nobody told the scheduler of.
    let start = start_of(&p, RUNNING, kernel, system);
    assert_eq!(start.kind, StartKind::Stale);
}

#[test]
fn a_goroutine_that_is_being_set_going_is_where_it_was_parked() {
    let mut gogo = function("gogo", 0, vec![]);
    (gogo.sp, gogo.flags) = (vec![(0, 256)], SP_WRITE);
    let mut p = Program::new(Arch::Amd64);
    p.add(goexit())
        .add(function("main.outer", 32, vec!["000", "000"]))
        .add(function("main.inner", 32, vec!["000", "000"]))
        .add(gogo);
    p.words(TOP - 64, &[p.entry("runtime.goexit") + 1]);
    p.words(TOP - 104, &[p.entry("main.outer") + 120]);
    p.goroutine(p.entry("main.inner") + 50, 0, 0);
    // The stack pointer is restored, and cleared where it was saved.
    let start = start_of(&p, 2, p.entry("gogo") + 30, TOP - 136);
    assert_eq!(start.pc.0, p.entry("main.inner") + 50);
    let r = read(&p, Some(start));
    assert_eq!(r.end, UnwindEnd::Complete);
    assert_eq!(r.names, ["main.inner", "main.outer", "runtime.goexit"]);
    // The closure that it begins with may be in a register only.
    let expected = (StackRoot::NO_FRAME, StackRootKind::Register, true, 9);
    assert!(r.found().contains(&expected));
}
