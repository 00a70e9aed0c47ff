#![no_main]
//! The heap of a process of which the input is the memory: first the metadata, then the objects.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use objref_fuzz::{Layout, META, OBJECTS};
use objref_go::{GcPhase, GoVersion, Heap, HeapState, Landmarks, RuntimeTypes};
use objref_mem::{Addr, AddressSpace, Core, Input};
use objref_synth::{CoreBuilder, RW};

fuzz_target!(|data: &[u8]| {
    let Some((&era, data)) = data.split_first() else { return };
    let (meta, objects) = data.split_at(data.len().min(4096));
    let core = CoreBuilder::new()
        .partial(META, RW, meta, 0x1_0000)
        .partial(OBJECTS, RW, objects, 1 << 30)
        .build();
    let core = Core::parse(Input::from_bytes(Path::new("core"), &core).unwrap()).unwrap();
    let space = AddressSpace::new(&core, &[]);
    let layout = Layout(era);
    let version = GoVersion::parse(if era & 4 == 0 { "go1.22.1" } else { "go1.24.1" }).unwrap();
    let types = RuntimeTypes::new(&layout, &version, &[]).unwrap();
    let phase = if era & 8 == 0 { GcPhase::Off } else { GcPhase::Mark };
    let state = HeapState { mheap: Addr(META), phase, minor: version.minor };
    let landmarks = || Landmarks { inside: vec![OBJECTS], ..Landmarks::default() };
    let Ok(heap) = Heap::read(&space, &layout, &types, state, &landmarks) else {
        return;
    };
    let mut next = 0;
    for (id, at, span) in heap.objects() {
        assert_eq!(id.0, next, "dense");
        next += 1;
        assert_eq!(heap.find(at), Some(id));
        assert_eq!(heap.find(at + span.elem_size - 1), Some(id));
        assert_eq!(heap.locate(id).1, at);
        if next < 2000 {
            heap.pointers(&space, id, |offset, _| assert!(offset < span.elem_size));
        }
    }
    assert_eq!(next as usize, heap.len());
});
