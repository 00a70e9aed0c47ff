//! Cores of every layout, whole, large and truncated.

use crate::common::{core, image, input};
use objref_mem::{Addr, AddressSpace, Arch, Core, CoreError, ElfKind, FaultKind, LoadBias, Writer};
use objref_synth::{ARM64, CoreBuilder, ImageBuilder, Layout, R, RW, RX};

const AT_ENTRY: u64 = 9;

fn registers() -> Vec<u64> {
    (100..127).collect()
}

/// The notes in the kernel's order.
fn kernel() -> CoreBuilder {
    CoreBuilder::new()
        .note(objref_synth::prstatus(7001, 11, &registers()))
        .note(objref_synth::prpsinfo(
            7000,
            "server",
            "/srv/server -port 80 ",
        ))
        .note(objref_synth::siginfo(11, 1, 0xdead))
        .note(objref_synth::auxv(&[(6, 4096), (AT_ENTRY, 0x401000)]))
        .note(objref_synth::mapped_files(&[
            (0x400000, 0x401000, 0, "/srv/server"),
            (0x401000, 0x403000, 0x1000, "/srv/server"),
        ]))
        .note(objref_synth::note("LINUX", 0x202, &[0; 832]))
        .note(objref_synth::prstatus(7000, 0, &registers()))
}

#[test]
fn a_kernel_core() {
    let core = core(
        &kernel()
            .segment(0x3000, RW, [1; 4096])
            .segment(0x1000, R, [2; 100])
            .build(),
    );
    assert_eq!((core.arch(), core.writer()), (Arch::Amd64, Writer::Kernel));
    let threads: Vec<_> = core.threads().iter().map(|t| (t.tid, t.signal)).collect();
    assert_eq!(threads, [(7001, 11), (7000, 0)]);
    let regs = core.threads()[0].regs;
    assert_eq!(
        (regs.g(), regs.fp(), regs.pc(), regs.sp()),
        (Some(101), 104, 116, 119)
    );
    assert_eq!(regs.tls_base(), Some(121));
    let process = core.process().unwrap();
    assert_eq!(
        (process.pid, &*process.name, &*process.args),
        (7000, "server", "/srv/server -port 80")
    );
    let signal = core.signal().unwrap();
    assert_eq!(
        (signal.signo, signal.code, signal.addr),
        (11, 1, Some(Addr(0xdead)))
    );
    assert_eq!((core.auxv(AT_ENTRY), core.auxv(33)), (Some(0x401000), None));
    let file = &core.mapped_files()[1];
    assert_eq!((file.start, file.end), (Addr(0x401000), Addr(0x403000)));
    assert_eq!((file.file_offset, &*file.path), (0x1000, "/srv/server"));
    assert_eq!(core.executable_path(), Some("/srv/server"));
    let segments: Vec<_> = core
        .segments()
        .iter()
        .map(|s| (s.addr.0, s.present))
        .collect();
    assert_eq!(segments, [(0x1000, 100), (0x3000, 4096)]);
    assert_eq!((core.missing().bytes, core.damaged_notes()), (0, 0));
}

#[test]
fn a_gdb_core() {
    let built = CoreBuilder::new()
        .layout(Layout::Gdb)
        .note(objref_synth::prpsinfo(5, "a", "a"))
        .note(objref_synth::prstatus(5, 0, &registers()))
        .note(objref_synth::siginfo(19, 0x80, 0xdead))
        .segment(0x1000, RX, [9; 33])
        .segment(0x2000, RW, [8; 33]);
    let core = core(&built.build());
    assert_eq!((core.writer(), core.threads().len()), (Writer::Gdb, 1));
    assert_eq!(core.signal().unwrap().addr, None);
    let space = AddressSpace::new(&core, &[]);
    assert_eq!(
        (space.u8(Addr(0x1020)), space.u8(Addr(0x2000))),
        (Ok(9), Ok(8))
    );
}

#[test]
fn an_arm64_core() {
    let registers: Vec<u64> = (0..34).collect();
    let built = CoreBuilder::new()
        .machine(ARM64)
        .note(objref_synth::prstatus(1, 0, &registers))
        .note(objref_synth::note("LINUX", 0x401, &0x7777u64.to_le_bytes()))
        .note(objref_synth::prstatus(2, 0, &registers));
    let core = core(&built.build());
    assert_eq!(
        (core.arch().name(), core.arch().pointer_size()),
        ("arm64", 8)
    );
    let tls: Vec<_> = core.threads().iter().map(|t| t.regs.tls_base()).collect();
    assert_eq!(tls, [Some(0x7777), None]);
}

/// As many segments as wanted, 16 bytes each, a page apart.
fn many(count: u64, layout: Layout) -> CoreBuilder {
    let start = match layout {
        Layout::Kernel => kernel(),
        Layout::Gdb => CoreBuilder::new().layout(layout),
    };
    (0..count).fold(start, |b, i| {
        let bytes: Vec<u8> = i.to_le_bytes().repeat(2);
        b.segment(0x10000 + i * 4096, RW, bytes)
    })
}

#[test]
fn more_segments_than_the_header_can_count() {
    for count in [65_533, 65_534, 65_535, 70_000] {
        let core = core(&many(count, Layout::Gdb).build());
        assert_eq!(core.segments().len() as u64, count);
        let space = AddressSpace::new(&core, &[]);
        for i in [0, 1, 65_532, count - 1] {
            assert_eq!(space.u64(Addr(0x10008 + i * 4096)), Ok(i));
        }
        assert!(space.u64(Addr(0x10010)).is_err());
    }
}

#[test]
fn a_truncated_core_with_many_segments_lost_its_count() {
    let file = many(66_000, Layout::Kernel).build();
    // The kernel writes section header 0, which has the count, at the very end.
    let core = core(&file[..file.len() - 64]);
    assert_eq!(core.segments().len(), 66_000);
    assert_eq!(core.threads().len(), 2);
}

#[test]
fn truncation_is_told_exactly() {
    let built = kernel()
        .segment(0x1000, R, [1; 8192])
        .segment(0x3000, R, [2; 4096]);
    let file = built.segment(0x9000, RW, [3; 4096]).build();
    for cut in 0..=file.len().min(4096 * 4 + 100) {
        let Ok(core) = Core::parse(input(&file[..file.len() - cut])) else {
            continue;
        };
        let missing = core.missing();
        assert_eq!(missing.bytes, (cut as u64).min(16384));
        let present: u64 = core.segments().iter().map(|s| s.present).sum();
        assert_eq!(present + missing.bytes, 16384);
    }
    // A third of the first segment is there: it and its neighbour are one range.
    let core = core(&file[..file.len() - 8192 - 5000]);
    assert_eq!(
        core.missing().ranges,
        [(Addr(0x3000 - 5000), 9096), (Addr(0x9000), 4096)]
    );
    let space = AddressSpace::new(&core, &[]);
    let fault = space.bytes(Addr(0x1000), 8192).unwrap_err();
    assert_eq!(
        (fault.addr, fault.kind),
        (Addr(0x3000 - 5000), FaultKind::NotInCore)
    );
    assert_eq!(space.missing_bytes(), 13_192);
}

#[test]
fn a_gdb_core_loses_its_notes_first() {
    let exe = ImageBuilder::pie(0x2002)
        .headers(0x1000)
        .segment(0x2000, RX, b"code", 4)
        .build();
    let notes = objref_synth::prstatus(5, 0, &registers());
    let loaded = 0x7f00_0000_1000;
    let built = CoreBuilder::new()
        .layout(Layout::Gdb)
        .note(&notes)
        .segment(0x1000, R, [0; 4096])
        .segment(loaded, RX, &exe[..4100]);
    let file = built.build();
    let end = file.windows(notes.len()).position(|w| w == notes).unwrap();
    let core = core(&file[..end]);
    assert_eq!((core.threads().len(), core.writer()), (0, Writer::Other));
    assert_eq!(
        (core.missing().bytes, core.missing().notes),
        (0, notes.len() as u64)
    );
    // Without an auxiliary vector the binary is found by its first page.
    assert_eq!(
        image(&exe).load_bias(&core).unwrap(),
        LoadBias(loaded - 0x1000)
    );
    assert_eq!(core.page_size(), 4096);
}

#[test]
fn what_is_no_core_says_what_it_is() {
    let error = |bytes: &[u8]| Core::parse(input(bytes)).unwrap_err();
    assert!(matches!(error(b""), CoreError::NotElf { .. }));
    assert!(matches!(
        error(b"{\"json\": true}"),
        CoreError::NotElf { .. }
    ));
    let exe = ImageBuilder::executable(0x401000).build();
    let told = error(&exe);
    assert!(matches!(
        told,
        CoreError::NotACore {
            kind: ElfKind::Executable,
            ..
        }
    ));
    assert_eq!(told.to_string(), "test: this is an executable, not a core");
    assert_eq!(told.code(), "core.not-a-core");
    let told = error(&CoreBuilder::new().machine(243).build());
    assert_eq!(
        told.to_string(),
        "test: linux/riscv64 cores are not supported yet"
    );
    let core = kernel().segment(0x1000, R, [0; 10]).build();
    let told = error(&core[..100]);
    assert_eq!(
        told.to_string(),
        "test: truncated: the program headers end at byte 176 but the file has only 100"
    );
    assert!(matches!(
        error(&core[..40]),
        CoreError::HeaderBeyondEof {
            what: "file header",
            ..
        }
    ));
    for (at, value) in [(4, 3), (5, 0)] {
        let mut other = core.clone();
        other[at] = value;
        assert!(matches!(error(&other), CoreError::Malformed { .. }));
    }
}
