#![no_main]
//! A policy of `objref check`.

use libfuzzer_sys::fuzz_target;
use objref_analysis::{Baseline, Policy};

fuzz_target!(|text: &str| {
    match Policy::parse(text) {
        Ok(policy) => assert!(!policy.rules.is_empty()),
        Err(errors) => {
            let lines = text.lines().count().max(1) as u32 + 1;
            assert!(!errors.is_empty());
            for error in errors {
                assert!((1..=lines).contains(&error.line) && error.column > 0, "{error}");
            }
        }
    }
    let _ = Baseline::parse(text);
});
