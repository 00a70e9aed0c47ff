#![no_main]
//! Function tables whose every byte is the input.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use objref_fuzz::{Layout, META};
use objref_go::{AddrRange, Mask, Module, Pclntab, RawSlice};
use objref_mem::{Addr, AddressSpace, Core, Input};
use objref_synth::{CoreBuilder, RW};

const TEXT: u64 = 0x40_0000;

fuzz_target!(|data: &[u8]| {
    let core = CoreBuilder::new().segment(META, RW, data).build();
    let core = Core::parse(Input::from_bytes(Path::new("core"), &core).unwrap()).unwrap();
    let space = AddressSpace::new(&core, &[]);
    let all = RawSlice { data: Addr(META), len: data.len() as u64 };
    let text = AddrRange { start: Addr(TEXT), end: Addr(TEXT + 0x10_0000) };
    let none = AddrRange::default();
    let module = Module {
        addr: Addr(META),
        name: String::new(),
        funcnametab: all,
        cutab: RawSlice { len: all.len / 4, ..all },
        filetab: all,
        pctab: all,
        pclntable: all,
        ftab: RawSlice { len: all.len / 16, ..all },
        pcs: text,
        text,
        noptrdata: none,
        data: none,
        bss: none,
        noptrbss: none,
        types: AddrRange { start: Addr(META), end: Addr(META + all.len) },
        gofunc: Addr(META),
        text_sections: Vec::new(),
        gcdatamask: Mask::default(),
        gcbssmask: Mask::default(),
    };
    let layout = Layout(0);
    let Ok(tab) = Pclntab::new(&space, &layout, &[module], 24) else { return };
    let mut frames = Vec::new();
    for f in tab.functions().take(200) {
        let _ = (f.name(), f.args(), f.flags(), f.kind(), f.deferreturn());
        for pc in [f.entry(), f.entry().add(1), f.end()] {
            let _ = (f.sp_delta(pc), f.pcdata(0, pc), f.pcdata(1, pc), f.file_line(pc));
            frames.clear();
            f.logical_frames(pc, &mut frames);
        }
        let _ = (0..4).map(|i| f.funcdata(i).is_some()).fold(false, |a, b| a | b);
    }
    for pc in [TEXT, TEXT + 1, TEXT + 0x1000, TEXT + 0xf_ffff] {
        let _ = tab.find(Addr(pc)).map(|f| f.name().len());
    }
});
