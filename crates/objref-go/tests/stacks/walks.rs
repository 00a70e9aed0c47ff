//! How stacks are walked, and which pointers are found on them.

use objref_go::{
    AddrRange, LogicalFrame, Pclntab, RegisterFile, StackRoot, StackRootKind, StackScan, Start,
    StartKind, SystemStack, UnwindEnd,
};
use objref_mem::{Addr, Arch};

use crate::synth::{self, GS, HEAP, Layouts, Program, SP_WRITE};
use crate::{TOP, function, goexit, read, read_amid, two_frames};

#[test]
fn walks_to_the_first_function_and_reads_the_maps() {
    // Row 0 holds up to +100, row 1 beyond: the return address +120 counts as the call before it.
    let mut outer = function("main.outer", 32, vec!["000", "011"]);
    outer.args = 16;
    outer.arg_maps = vec!["00", "01"];
    let p = two_frames(outer, function("main.inner", 32, vec!["101", "000"]));
    // Locals of inner: three words below its frame pointer.
    p.words(TOP - 136, &[HEAP + 1, HEAP + 2, HEAP + 3]);
    p.words(TOP - 96, &[HEAP + 4, HEAP + 5, HEAP + 6]);
    p.words(TOP - 56, &[HEAP + 7, HEAP + 8]);
    let r = read(&p, None);
    assert_eq!(r.end, UnwindEnd::Complete);
    assert_eq!(r.names, ["main.inner", "main.outer", "runtime.goexit"]);
    let inner = r.frames[0];
    assert_eq!(
        (inner.sp.0, inner.fp.0, inner.varp.0),
        (TOP - 136, TOP - 96, TOP - 112)
    );
    assert_eq!(r.frames[1].argp.0, TOP - 56);
    use StackRootKind::{Arg, Local};
    let expected = [
        (0, Local, false, 1),
        (0, Local, false, 3),
        (1, Local, false, 5),
        (1, Local, false, 6),
        (1, Arg, false, 8),
    ];
    assert_eq!(r.found(), expected);
    assert_eq!(r.scan, StackScan::default());
}

#[test]
fn stack_objects_live_only_while_something_points_to_them() {
    let mut outer = function("main.outer", 64, vec!["0000000", "0000000"]);
    // Three variables of two words, the second of which is a pointer.
    outer.objects = vec![(-48, 16, "01"), (-32, 16, "01"), (-16, 16, "01")];
    let mut p = Program::new(Arch::Amd64);
    p.add(goexit())
        .add(outer)
        .add(function("main.inner", 32, vec!["100", "000"]));
    p.words(TOP - 64, &[p.entry("runtime.goexit") + 1]);
    let varp = TOP - 72;
    p.words(TOP - 64 - 72, &[p.entry("main.outer") + 120]);
    let sp = TOP - 64 - 72 - 32;
    p.goroutine(p.entry("main.inner") + 50, sp, 0);
    // inner's local points into the last one, which points to the first; nothing points to the second.
    p.words(sp, &[varp - 8]);
    p.words(varp - 48, &[0, HEAP + 1, 0, HEAP + 2, 0, varp - 48]);
    let r = read(&p, None);
    assert_eq!(r.end, UnwindEnd::Complete);
    assert_eq!(r.found(), [(1, StackRootKind::StackObject, false, 1)]);
}

#[test]
fn a_frame_that_faulted_lives_on_only_to_run_deferred_calls() {
    let program = |deferreturn| {
        let mut outer = function("main.outer", 32, vec!["100", "010"]);
        outer.deferreturn = deferreturn;
        let mut sigpanic = function("main.inner", 32, vec!["000", "000"]);
        (sigpanic.name, sigpanic.id) = ("runtime.sigpanic", 20);
        let mut p = Program::new(Arch::Amd64);
        p.add(goexit()).add(outer).add(sigpanic);
        p.words(TOP - 64, &[p.entry("runtime.goexit") + 1]);
        p.words(TOP - 104, &[p.entry("main.outer") + 120]);
        p.words(TOP - 96, &[HEAP + 1, HEAP + 2, HEAP + 3]);
        p.goroutine(p.entry("runtime.sigpanic") + 50, TOP - 136, 0);
        p
    };
    let dead = read(&program(0), None);
    assert_eq!((dead.frames[1].continpc.0, dead.frames[1].trap), (0, true));
    assert_eq!(dead.found(), []);
    // The deferred calls return at +40, where row 0 holds.
    let p = program(40);
    let alive = read(&p, None);
    assert_eq!(alive.frames[1].continpc.0, p.entry("main.outer") + 41);
    assert_eq!(alive.found(), [(1, StackRootKind::Local, false, 1)]);
}

#[test]
fn preempted_code_and_its_saved_registers_are_scanned_conservatively() {
    let mut preempt = function("main.inner", 32, vec!["000", "000"]);
    (preempt.name, preempt.id) = ("runtime.asyncPreempt", 3);
    let mut p = Program::new(Arch::Amd64);
    p.add(goexit())
        .add(function("main.outer", 32, vec!["000", "000"]))
        .add(preempt);
    p.words(TOP - 64, &[p.entry("runtime.goexit") + 1]);
    p.words(TOP - 104, &[p.entry("main.outer") + 120]);
    p.words(TOP - 136, &[HEAP + 1]);
    p.words(TOP - 96, &[0, HEAP + 2]);
    p.goroutine(p.entry("runtime.asyncPreempt") + 50, TOP - 136, 0);
    let r = read(&p, None);
    use StackRootKind::Local;
    assert_eq!(r.found(), [(0, Local, true, 1), (1, Local, true, 2)]);
    assert_eq!(
        (
            r.scan.conservative,
            r.scan.conservative_frames,
            r.scan.unmapped_frames
        ),
        (false, 2, 0)
    );
}

#[test]
fn running_code_is_read_with_its_registers() {
    let inner = function("main.inner", 32, vec!["000", "000"]);
    let p = two_frames(function("main.outer", 32, vec!["000", "100"]), inner);
    p.words(TOP - 136, &[HEAP + 1]);
    p.words(TOP - 96, &[HEAP + 2, HEAP + 3]);
    let (pc, sp) = (Addr(p.entry("main.inner") + 50), Addr(TOP - 136));
    let regs = RegisterFile {
        pc,
        sp,
        lr: Addr(0),
        general: vec![1, HEAP + 4, sp.0],
    };
    let start = Start {
        kind: StartKind::Registers,
        pc,
        sp,
        lr: Addr(0),
        regs: Some(regs),
    };
    let r = read(&p, Some(start));
    use StackRootKind::{Local, Register};
    let none = StackRoot::NO_FRAME;
    assert_eq!(
        r.found(),
        [
            (0, Local, true, 1),
            (1, Local, false, 2),
            (none, Register, true, 4)
        ]
    );
    assert!(r.frames[0].trap && !r.frames[1].trap);
}

#[test]
fn the_system_stack_of_the_thread_may_hold_what_the_goroutine_is_about() {
    let mut outer = function("main.outer", 64, vec!["0000000", "0000000"]);
    outer.objects = vec![(-48, 16, "01")];
    let mut p = Program::new(Arch::Amd64);
    p.add(goexit())
        .add(outer)
        .add(function("main.inner", 32, vec!["000", "000"]));
    p.words(TOP - 64, &[p.entry("runtime.goexit") + 1]);
    let varp = TOP - 72;
    p.words(TOP - 64 - 72, &[p.entry("main.outer") + 120]);
    p.words(varp - 48, &[0, HEAP + 1]);
    p.goroutine(p.entry("main.inner") + 50, TOP - 64 - 72 - 32, 0);
    // Another thread's stack, of which one word points to a variable of main.outer, and a register.
    let stack = GS + 0x8000;
    p.words(stack, &[HEAP + 2, varp - 48, HEAP + 3]);
    let system = SystemStack {
        current: Addr(GS + 0x100),
        regs: RegisterFile {
            pc: Addr(0),
            sp: Addr(stack),
            lr: Addr(0),
            general: vec![HEAP + 4],
        },
        words: AddrRange {
            start: Addr(stack),
            end: Addr(stack + 16),
        },
        marking: false,
        copying: false,
    };
    let none = StackRoot::NO_FRAME;
    let r = read_amid(&p, None, Some(&system), false);
    let expected = [
        (0x1, StackRootKind::StackObject, true, 1),
        (none, StackRootKind::SystemStack, true, 2),
        (none, StackRootKind::SystemStack, true, 4),
    ];
    assert_eq!(r.found(), expected);
    assert_eq!((r.scan.system_stacks, r.scan.conservative), (1, false));
    assert_eq!(read(&p, None).found(), []);
}

#[test]
fn a_stack_that_is_being_moved_is_scanned_frame_by_frame() {
    let p = two_frames(
        function("main.outer", 32, vec!["000", "000"]),
        function("main.inner", 32, vec!["000", "000"]),
    );
    p.words(TOP - 136, &[HEAP + 1]);
    p.words(TOP - 96, &[HEAP + 2]);
    let r = read_amid(&p, None, None, true);
    use StackRootKind::Local;
    assert_eq!(r.found(), [(0, Local, true, 1), (1, Local, true, 2)]);
    let expected = StackScan {
        conservative_frames: 3,
        ..StackScan::default()
    };
    assert_eq!(r.scan, expected);
}

#[test]
fn a_stack_that_cannot_be_walked_is_scanned_as_a_whole() {
    let p = two_frames(
        function("main.outer", 32, vec!["000", "000"]),
        function("main.inner", 32, vec!["000", "000"]),
    );
    p.words(TOP - 104, &[0xdead_beef]);
    p.words(TOP - 96, &[HEAP + 1]);
    p.words(TOP - 8, &[HEAP + 2]);
    let r = read(&p, None);
    assert_eq!(r.end, UnwindEnd::UnknownPc(Addr(0xdead_beef)));
    assert!(r.scan.conservative);
    use StackRootKind::Local;
    let none = StackRoot::NO_FRAME;
    assert_eq!(r.found(), [(none, Local, true, 1), (none, Local, true, 2)]);
}

#[test]
fn a_switch_of_stacks_ends_the_walk_except_at_its_start() {
    let program = |outer_flags, inner_flags| {
        let mut outer = function("main.outer", 32, vec!["000", "000"]);
        outer.flags = outer_flags;
        let mut inner = function("main.inner", 32, vec!["000", "000"]);
        inner.flags = inner_flags;
        two_frames(outer, inner)
    };
    assert_eq!(read(&program(0, SP_WRITE), None).end, UnwindEnd::Complete);
    assert_eq!(
        read(&program(SP_WRITE, 0), None).end,
        UnwindEnd::StackSwitch
    );
}

#[test]
fn frames_without_maps_are_counted() {
    let p = two_frames(
        function("main.outer", 32, vec![]),
        function("main.inner", 32, vec!["000", "000"]),
    );
    p.words(TOP - 96, &[HEAP + 1]);
    let r = read(&p, None);
    assert_eq!(r.found(), [(1, StackRootKind::Local, true, 1)]);
    assert_eq!((r.scan.conservative_frames, r.scan.unmapped_frames), (1, 1));
}

#[test]
fn deferred_calls_and_the_context_are_roots_and_lists_may_loop() {
    let p = two_frames(
        function("main.outer", 32, vec!["000", "000"]),
        function("main.inner", 32, vec!["000", "000"]),
    );
    let g = GS + 0x100;
    let (first, second) = (GS + 0x1000, GS + 0x1040);
    p.words(g + 0x28, &[first]);
    p.words(g + 0x50, &[HEAP + 1]);
    // The first lies on the stack, the second on the heap, and it leads back.
    p.words(first, &[0, HEAP + 2, second]);
    p.words(second, &[1, HEAP + 3, first]);
    let r = read(&p, None);
    let none = StackRoot::NO_FRAME;
    let mut found = r.found();
    found.dedup();
    use StackRootKind::{Context, Deferred};
    assert_eq!(
        found,
        [
            (none, Deferred, false, 2),
            (none, Deferred, false, 3),
            (none, Context, false, 1)
        ]
    );
    let second_record = r
        .roots
        .iter()
        .find(|root| root.value.0 == second && root.slot.0 == first + 16);
    assert!(second_record.is_some());
    assert!(r.scan.unreadable_words > 0);
}

#[test]
fn on_machines_with_a_link_register_the_return_address_lies_below() {
    let mut p = Program::new(Arch::Arm64);
    let mut leaf = function("main.leaf", 0, vec![]);
    leaf.sp = vec![(0, 256)];
    p.add(goexit())
        .add(function("main.outer", 48, vec!["0000", "1000"]))
        .add(leaf);
    let sp = TOP - 16 - 48;
    // The frame: return address at its bottom, the locals end below the caller's frame pointer.
    p.words(sp, &[p.entry("runtime.goexit") + 4]);
    p.words(sp + 48 - 8 - 32, &[HEAP + 1]);
    // A leaf has no frame: its return address is in the register.
    p.goroutine(p.entry("main.leaf") + 40, sp, p.entry("main.outer") + 120);
    let r = read(&p, None);
    assert_eq!(r.names, ["main.leaf", "main.outer", "runtime.goexit"]);
    assert_eq!(r.end, UnwindEnd::Complete);
    assert_eq!((r.frames[0].sp, r.frames[0].fp), (Addr(sp), Addr(sp)));
    assert_eq!(
        (r.frames[1].fp.0, r.frames[1].varp.0, r.frames[1].argp.0),
        (TOP - 16, TOP - 24, TOP - 8)
    );
    assert_eq!(r.found(), [(1, StackRootKind::Local, false, 1)]);
}

/// arm64's signal handler pushes the link register and fakes a call: what it interrupted is in the link register then.
#[test]
fn preempted_code_has_its_link_register_on_the_stack() {
    let mut preempt = function("runtime.asyncPreempt", 32, vec!["00", "00"]);
    preempt.id = 3;
    let mut leaf = function("main.leaf", 0, vec![]);
    leaf.sp = vec![(0, 256)];
    let sp = TOP - 16 - 48;
    for (interrupted, frames) in [("main.leaf", 4), ("main.outer", 3)] {
        let mut p = Program::new(Arch::Arm64);
        p.add(goexit())
            .add(function("main.outer", 48, vec!["0000", "1000"]))
            .add(leaf.clone())
            .add(preempt.clone());
        p.words(sp, &[p.entry("runtime.goexit") + 4]);
        p.words(sp + 48 - 8 - 32, &[HEAP + 1]);
        // Of use only to code without a frame; else any value.
        let saved = match frames {
            4 => p.entry("main.outer") + 120,
            _ => p.entry("main.leaf") + 60,
        };
        p.words(sp - 16, &[saved]);
        p.words(sp - 48, &[p.entry(interrupted) + 120, HEAP + 2]);
        p.goroutine(p.entry("runtime.asyncPreempt") + 52, sp - 48, 0);
        let r = read(&p, None);
        assert_eq!(r.end, UnwindEnd::Complete);
        assert_eq!(r.names.len(), frames, "{:?}", r.names);
        assert_eq!((&*r.names[1], r.frames[1].trap), (interrupted, true));
        assert_eq!((r.frames[1].sp, r.frames[2].trap), (Addr(sp), false));
        use StackRootKind::Local;
        // Its own registers, and the frame of what it interrupted, may hold anything.
        let outer = (frames as u32 - 2, Local, frames == 3, 1);
        assert_eq!(r.found(), [(0, Local, true, 2), outer]);
    }
}

#[test]
fn inlined_calls_are_restored() {
    let mut f = function("main.outer", 32, vec!["000", "000"]);
    f.inlined = vec![(-1, 60), (1, 80), (0, 90), (-1, 256)];
    f.inline_tree = vec![("main.mid", 30), ("main.low", 85)];
    f.lines = vec![(0, 10, 60), (1, 77, 80), (0, 33, 90), (0, 12, 256)];
    let mut p = Program::new(Arch::Amd64);
    p.add(f);
    let (space, module) = p.build();
    let tab = Pclntab::new(&space, &Layouts, &[module], 26).unwrap();
    let at = Addr(p.entry("main.outer") + 70);
    let f = tab.find(at).unwrap();
    let mut calls = Vec::new();
    f.logical_frames(at, &mut calls);
    let brief = |c: &LogicalFrame<'_>| (c.name.to_owned(), c.file.to_owned(), c.line, c.inlined);
    let expected = [
        ("main.low".to_owned(), "b.go".to_owned(), 77, true),
        ("main.mid".to_owned(), "a.go".to_owned(), 33, true),
        ("main.outer".to_owned(), "a.go".to_owned(), 10, false),
    ];
    assert_eq!(calls.iter().map(brief).collect::<Vec<_>>(), expected);
    assert_eq!(tab.len(), 1);
    assert!(
        tab.find(Addr(synth::TEXT - 1)).is_none() && tab.find(Addr(synth::TEXT + 256)).is_none()
    );
}
