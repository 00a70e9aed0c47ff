#![no_main]
//! An index: whatever its bytes are, it is refused, or everything that it says leads somewhere.

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use objref_analysis::summary;
use objref_fuzz::{damage_index, index_of, seal};
use objref_mem::Input;
use objref_snapshot::{INSIDE, Index};

static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| index_of("cgo-1.26.6"));

// Making the index is not what the first input is timed for.
fuzz_target!(init: { LazyLock::force(&WHOLE); }, |data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    let bytes = if kind & 1 == 0 {
        let mut bytes = WHOLE.clone();
        damage_index(&mut bytes, data);
        bytes
    } else {
        let mut bytes = data.to_vec();
        seal(&mut bytes);
        bytes
    };
    let input = Input::from_bytes(Path::new("x.objref"), &bytes).unwrap();
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
    summary(&snapshot);
});
