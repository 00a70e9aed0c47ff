#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use objref_mem::{AddressSpace, Core, Image, Input, LinkAddr, LoadBias};

static CORE: LazyLock<Core> = LazyLock::new(|| {
    let built = objref_synth::CoreBuilder::new()
        .note(objref_synth::prstatus(1, 6, &[0; 27]))
        .note(objref_synth::auxv(&[(3, 0x40_0040), (4, 56), (5, 3), (9, 0x40_1000)]))
        .note(objref_synth::mapped_files(&[(0x40_1000, 0x40_3000, 0x1000, "/image")]))
        .partial(0x40_1000, objref_synth::RX, [0xcc; 300], 0x2000)
        .segment(0x50_0000, objref_synth::RW, [1; 500]);
    Core::parse(Input::from_bytes(Path::new("core"), &built.build()).unwrap()).unwrap()
});

fuzz_target!(|data: &[u8]| {
    let Ok(image) = Image::parse(Input::from_bytes(Path::new("image"), data).unwrap()) else {
        return;
    };
    let _ = (image.is_pie(), image.phdr_vaddr(), image.build_ids().to_string());
    let _ = image.sections().map(|s| s.name.len() + s.data.len()).fold(0, usize::wrapping_add);
    let _ = image.symbols().map(|s| s.name.len()).fold(0, usize::wrapping_add);
    for s in image.segments() {
        let _ = image.link_bytes(s.addr, s.file_size);
        let _ = image.link_bytes(LinkAddr(s.addr.0.wrapping_sub(1)), u64::MAX);
    }
    let bias = image.load_bias(&CORE).unwrap_or(LoadBias(0));
    let space = AddressSpace::new(&CORE, &[(Arc::new(image), bias)]);
    for r in space.regions() {
        let _ = (space.u64(r.start), space.bytes(r.start.add(r.len - 1), 9000));
    }
});
