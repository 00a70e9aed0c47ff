#![no_main]
//! The notes of a core, whose bytes are the input.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use objref_mem::{Addr, AddressSpace, Core, Image, Input};
use objref_synth::{AMD64, ARM64, CoreBuilder, ImageBuilder, Layout, RX};

const BASE: u64 = 0x40_0000;

static IMAGE: LazyLock<Arc<Image>> = LazyLock::new(|| {
    let built = ImageBuilder::executable(BASE + 0x1000).segment(BASE + 0x1000, RX, &[0x90; 300], 300);
    let input = Input::from_bytes(Path::new("image"), &built.build()).unwrap();
    Arc::new(Image::parse(input).unwrap())
});

fuzz_target!(|data: &[u8]| {
    let Some((&kind, notes)) = data.split_first() else { return };
    let built = CoreBuilder::new()
        .layout(if kind & 1 == 0 { Layout::Kernel } else { Layout::Gdb })
        .machine(if kind & 2 == 0 { AMD64 } else { ARM64 })
        .note(notes.to_vec())
        .partial(BASE + 0x1000, RX, [0x90; 300], 0x1000)
        .build();
    let Ok(core) = Core::parse(Input::from_bytes(Path::new("core"), &built).unwrap()) else { return };
    for thread in core.threads() {
        let _ = (thread.tid, thread.signal, format!("{:?}", thread.regs).len());
    }
    for file in core.mapped_files() {
        let _ = (file.path.len(), core.present_bytes(file.start, 64));
    }
    let _ = (core.page_size(), core.process(), core.signal(), core.writer(), core.damaged_notes());
    let _ = (core.executable_path(), core.executable_ids().to_string(), core.missing());
    if let Ok(bias) = IMAGE.load_bias(&core) {
        let space = AddressSpace::new(&core, &[(IMAGE.clone(), bias)]);
        let _ = (space.u64(Addr(BASE + 0x1000)), space.missing_bytes());
    }
});
