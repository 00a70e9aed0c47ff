#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use objref_dwarf::DebugInfo;
use objref_mem::Input;

fuzz_target!(|data: &[u8]| {
    let file = Input::from_bytes(Path::new("exe"), data).unwrap();
    let Ok(info) = DebugInfo::load(&file) else { return };
    let types = info.types();
    for (at, ty) in types.iter() {
        types.name(at);
        let mut end = 0;
        for field in types.fields(at) {
            types.field_name(field);
            assert!(field.offset >= end, "fields in order");
            end = field.offset + types.get(field.ty).size;
            assert!(end <= ty.size, "fields inside");
        }
    }
    for variable in info.globals() {
        types.name(variable.ty);
    }
    for function in info.functions().take(1000) {
        let range = info.function_range(function);
        let _ = (info.function_name(function), info.captures(function));
        for pc in [range.start, range.start.add((range.end.0 - range.start.0) / 2)] {
            for local in info.locals_at(pc) {
                types.name(local.ty);
            }
        }
    }
});
