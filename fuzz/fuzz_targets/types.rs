#![no_main]
//! Type descriptors, their names and masks, in memory that is the input.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use objref_fuzz::{Layout, META};
use objref_go::{GoVersion, MaskBudget, RuntimeTypes};
use objref_mem::{Addr, AddressSpace, Core, Input};
use objref_synth::{CoreBuilder, RW};

fuzz_target!(|data: &[u8]| {
    let Some((&era, data)) = data.split_first() else { return };
    let core = CoreBuilder::new().partial(META, RW, data, 0x10_0000).build();
    let core = Core::parse(Input::from_bytes(Path::new("core"), &core).unwrap()).unwrap();
    let space = AddressSpace::new(&core, &[]);
    let version = GoVersion::parse(if era & 1 == 0 { "go1.22.1" } else { "go1.24.1" }).unwrap();
    let types = RuntimeTypes::new(&Layout(era), &version, &[]).unwrap();
    let mut budget = MaskBudget::default();
    for at in (0..data.len().min(4096) as u64).step_by(48) {
        let at = Addr(META + at);
        let _ = types.mask(&space, at, 1 << 20, &mut budget);
        let Some(ty) = types.read(&space, at) else { continue };
        let _ = (types.name(&space, &ty), types.package_path(&space, &ty));
        let _ = (types.elem(&space, &ty), types.key(&space, &ty), types.array_len(&space, &ty));
        types.fields(&space, &ty, 1 << 12);
    }
});
