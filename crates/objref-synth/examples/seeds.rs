//! Writes small cores and binaries for fuzzing to start from: `seeds DIR` fills `DIR/elf_core`
//! and `DIR/image`.

use std::fs;
use std::path::Path;

use objref_synth::{ARM64, CoreBuilder, ImageBuilder, Layout, R, RW, RX};

fn core(layout: Layout, machine: u16, registers: usize) -> Vec<u8> {
    let base = 0x400000;
    CoreBuilder::new()
        .layout(layout)
        .machine(machine)
        .note(objref_synth::prstatus(1, 6, &vec![base; registers]))
        .note(objref_synth::prpsinfo(1, "x", "x y"))
        .note(objref_synth::siginfo(11, 1, 8))
        .note(objref_synth::note("LINUX", 0x401, &[1; 8]))
        .note(objref_synth::auxv(&[
            (3, base + 64),
            (4, 56),
            (5, 3),
            (9, base + 0x1000),
        ]))
        .note(objref_synth::mapped_files(&[(
            base,
            base + 0x2000,
            0x1000,
            "/exe",
        )]))
        .partial(base, RX, image(true)[..300].to_vec(), 0x2000)
        .segment(0x500000, RW, [1; 50])
        .partial(0x600000, 0, [], 1 << 30)
        .partial(0x70000000, R, [2], 0x1000)
        .build()
}

fn image(pie: bool) -> Vec<u8> {
    let start = if pie {
        ImageBuilder::pie(0x1000)
    } else {
        ImageBuilder::executable(0x401000)
    };
    start
        .segment(0x1000, RX, &[0x90; 30], 30)
        .segment(0x3000, RW, &[0x91; 30], 3000)
        .section(
            ".note.gnu.build-id",
            7,
            0,
            &objref_synth::note("GNU", 3, &[7; 20]),
        )
        .section(
            ".note.go.buildid",
            7,
            0,
            &objref_synth::note("Go", 4, b"a/b/c/d"),
        )
        .symbol("main.main", 0x1000, 8, 2)
        .build()
}

fn main() -> std::io::Result<()> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "fuzz/corpus".into());
    let write = |target: &str, name: &str, bytes: Vec<u8>| {
        let dir = Path::new(&dir).join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(name), bytes)
    };
    write(
        "elf_core",
        "kernel",
        core(Layout::Kernel, objref_synth::AMD64, 27),
    )?;
    write(
        "elf_core",
        "gdb",
        core(Layout::Gdb, objref_synth::AMD64, 27),
    )?;
    write("elf_core", "arm64", core(Layout::Kernel, ARM64, 34))?;
    write("image", "pie", image(true))?;
    write("image", "executable", image(false))
}
