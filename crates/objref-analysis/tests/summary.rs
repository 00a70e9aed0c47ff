//! The JSON form of a summary and its verdict.

use objref_analysis::{Amount, Reconciliation, SCHEMA_VERSION, Summary, Typed};

#[test]
fn json_has_the_promised_keys() {
    let summary = Summary {
        schema_version: SCHEMA_VERSION,
        ..Summary::default()
    };
    let json = serde_json::to_value(&summary).unwrap();
    for key in [
        "/schema_version",
        "/go/version",
        "/heap/live/bytes",
        "/heap/live/objects",
        "/heap/garbage/bytes",
        "/heap/typed/bytes",
        "/heap/typed/objects",
        "/runtime/heap_alloc_bytes",
    ] {
        assert!(json.pointer(key).is_some(), "{key}");
    }
    assert!(
        json.pointer("/runtime/heap_alloc_bytes").unwrap().is_null(),
        "unread is not 0"
    );
    assert_eq!(serde_json::from_value::<Summary>(json).unwrap(), summary);
}

#[test]
fn verdicts() {
    let verdict = |found, runtime| Reconciliation::new("allocated", found, runtime).verdict;
    assert_eq!(verdict(5, 5), "exact");
    assert_eq!(verdict(0, 0), "exact");
    assert_eq!(verdict(5, 0), "the runtime counts nothing");
    assert_eq!(verdict(1_000_001, 1_000_000), "under 0.01 % more");
    assert_eq!(verdict(995, 1000), "0.50 % less");
    let far = Reconciliation::new("allocated", 0, u64::MAX);
    assert_eq!(far.difference_bytes, i64::MIN);
}

#[test]
fn shares() {
    let amount = |bytes| Amount { bytes, objects: 1 };
    assert_eq!(Typed::new(amount(1), amount(4)).share, 0.25);
    assert_eq!(Typed::new(Amount::default(), Amount::default()).share, 1.0);
    assert_eq!(Reconciliation::new("x", 50, 100).share(), 0.5);
}
