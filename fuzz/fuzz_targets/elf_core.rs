#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use objref_mem::{AddressSpace, Core, Image, Input, LoadBias};

static IMAGE: LazyLock<Arc<Image>> = LazyLock::new(|| {
    let built = objref_synth::ImageBuilder::pie(0x1000)
        .segment(0x1000, objref_synth::RX, &[0x90; 300], 300)
        .segment(0x3000, objref_synth::RW, &[0x91; 30], 3000);
    let input = Input::from_bytes(Path::new("image"), &built.build()).unwrap();
    Arc::new(Image::parse(input).unwrap())
});

fuzz_target!(|data: &[u8]| {
    let Ok(core) = Core::parse(Input::from_bytes(Path::new("core"), data).unwrap()) else { return };
    let _ = (core.executable_path(), core.executable_ids().to_string(), core.missing());
    let bias = IMAGE.load_bias(&core).unwrap_or(LoadBias(0x40_0000));
    let space = AddressSpace::new(&core, &[(IMAGE.clone(), bias)]);
    let mut end = 0;
    for r in space.regions() {
        assert!(r.len > 0 && r.start.0 >= end, "regions overlap");
        end = r.start.0.saturating_add(r.len);
        for a in [r.start, r.start.add(r.len - 1), r.start.add(r.len)] {
            let _ = (space.u8(a), space.u64(a), space.slice(a, 5000), space.rest(a));
            let _ = (space.bytes(a, 70_000), space.c_string(a, 100), space.string(a, usize::MAX));
        }
    }
});
