#![no_main]
//! Maps of before and since Go 1.24, and the values in them.

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use objref_fuzz::Maps;

thread_local! {
    static ERAS: RefCell<Vec<Maps>> =
        RefCell::new(["zoo-1.19.13", "zoo-1.26.6", "zoo-1.27.3"].map(Maps::of).into());
}

fuzz_target!(|data: &[u8]| {
    let Some((&era, data)) = data.split_first() else { return };
    ERAS.with_borrow_mut(|eras| {
        let era = usize::from(era) % eras.len();
        eras[era].read(data);
    });
});
