#![no_main]
//! An index: whatever its bytes are, it is refused, or everything that it says leads somewhere.

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use objref_mem::Input;
use objref_snapshot::{Index, INSIDE};

fuzz_target!(|data: &[u8]| {
    let input = Input::from_bytes(Path::new("x.objref"), data).unwrap();
    let Ok(index) = Index::open(&input) else { return };
    let Ok(snapshot) = index.snapshot() else { return };
    for object in snapshot.tree.order.iter().copied().take(2000) {
        snapshot.type_name(object);
        snapshot.reference_name(object);
        snapshot.steps.text(snapshot.step(object));
    }
    if let Ok(retained) = index.retained(&snapshot) {
        for object in snapshot.tree.order.iter().copied().take(2000) {
            assert!(retained.dominator(object).is_some());
        }
        for holder in retained.holders().take(2000) {
            retained.holder_bytes(holder);
        }
    }
    if let Ok(references) = index.references(&snapshot) {
        for object in snapshot.tree.order.iter().copied().take(2000) {
            references.each(object, |target, word| {
                assert!((target as usize) < snapshot.objects.len());
                references.text(&snapshot, word);
            });
        }
    }
    snapshot.steps.text(INSIDE);
});
