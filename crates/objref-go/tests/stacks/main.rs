//! Stacks written word by word.

mod starts;
mod synth;
mod walks;

use objref_go::{
    Frame, Goroutines, Pclntab, StackReader, StackRoot, StackRootKind, StackScan, Start, StartKind,
    SystemStack, UnwindEnd, Walked,
};
use objref_mem::{Addr, Arch};
use synth::{Function, GS, HEAP, Layouts, Program, STACK, STACK_SIZE, TOP_FRAME};

const TOP: u64 = STACK + STACK_SIZE;

/// runtime.goexit, which every goroutine starts from.
fn goexit() -> Function {
    Function {
        name: "runtime.goexit",
        size: 16,
        sp: vec![(0, 16)],
        id: 8,
        flags: TOP_FRAME,
        ..Function::default()
    }
}

/// A function with `locals` words of locals, its saved frame pointer included in `frame`.
fn function(name: &'static str, frame: i32, locals: Vec<&'static str>) -> Function {
    Function {
        name,
        size: 256,
        sp: vec![(0, 8), (frame, 248), (0, 256)],
        maps: vec![(-1, 8), (0, 100), (1, 256)],
        locals,
        ..Function::default()
    }
}

struct Read {
    frames: Vec<Frame>,
    end: UnwindEnd,
    roots: Vec<StackRoot>,
    scan: StackScan,
    names: Vec<String>,
}

impl Read {
    /// (frame, kind, conservative, value − HEAP) of the roots, sorted.
    fn found(&self) -> Vec<(u32, StackRootKind, bool, u64)> {
        let mut found: Vec<_> = self
            .roots
            .iter()
            .filter(|r| r.value.0 >= HEAP)
            .map(|r| (r.frame, r.kind, r.conservative, r.value.0 - HEAP))
            .collect();
        found.sort();
        found
    }
}

/// Reads the program's goroutine from where the scheduler parked it, or from `start`.
fn read(program: &Program, start: Option<Start>) -> Read {
    read_amid(program, start, None, false)
}

/// As [`read`], with what else is going on.
fn read_amid(
    program: &Program,
    start: Option<Start>,
    system: Option<&SystemStack>,
    moving: bool,
) -> Read {
    let (space, module) = program.build();
    let tab = Pclntab::new(&space, &Layouts, &[module], 26).unwrap();
    let globals = |name: &str| (name == "runtime.allgs").then_some(Addr(GS));
    let goroutines = Goroutines::read(&space, &Layouts, &globals, &tab, 26).unwrap();
    let g = &goroutines.list[0];
    assert_eq!(g.id, 7);
    let start = start.unwrap_or(Start {
        kind: StartKind::Parked,
        pc: g.sched.pc,
        sp: g.sched.sp,
        lr: g.sched.lr,
        regs: None,
    });
    let mut reader = StackReader::new(&tab, &Layouts, 26).unwrap();
    let (mut frames, mut roots) = (Vec::new(), Vec::new());
    let end = reader.unwinder().unwind(&start, g.stack, &mut frames);
    let walked = Walked {
        start: &start,
        frames: &frames,
        end,
        system,
        moving,
    };
    let scan = reader.roots(g, &walked, &mut |root| roots.push(root));
    let names = frames
        .iter()
        .map(|f| tab.func(f.func).unwrap().name().to_owned())
        .collect();
    Read {
        frames,
        end,
        roots,
        scan,
        names,
    }
}

/// Two frames below goexit. `main.inner` waits in a call at +50, `main.outer` called it at +120.
fn two_frames(outer: Function, inner: Function) -> Program {
    let mut p = Program::new(Arch::Amd64);
    p.add(goexit()).add(outer).add(inner);
    let goexit = p.entry("runtime.goexit") + 1;
    let outer = p.entry("main.outer") + 120;
    // Return address, then 32 bytes of frame with the frame pointer on top, and so on.
    p.words(TOP - 64, &[goexit]);
    p.words(TOP - 104, &[outer]);
    p.goroutine(p.entry("main.inner") + 50, TOP - 136, 0);
    p
}
