//! The heap against a model that does everything the slow way.

mod model;

use std::path::Path;

use model::{
    AT_REST, Era, HEAP, HEAP_PAGES, META, PAGE, Plan, SPAN_SIZE, SPANS, Slot, Sweep, build, plan,
};
use objref_go::{
    AddrRange, Batch, GoVersion, Heap, Landmarks, Miss, ObjId, Reference, RuntimeTypes,
};
use objref_mem::{Addr, AddressSpace, Core, Input};
use proptest::prelude::*;

fn check(era: Era, plans: &[Plan]) {
    let (space, model) = build(era, plans);
    if model.spans == 0 {
        // A hole in the dump, which has its own test.
        return;
    }
    let version = GoVersion::parse("go1.24.1").unwrap();
    let types = RuntimeTypes::new(&era, &version, &[]).unwrap();
    let heap = Heap::read(&space, &era, &types, AT_REST, &Landmarks::default).unwrap();
    assert_eq!(heap.totals.damaged, 0);
    assert_eq!(heap.totals.miscounted, 0);
    assert_eq!(heap.spans().len() as u64, model.spans);
    assert_eq!(heap.totals.allocated.objects, model.allocated);
    assert_eq!(heap.totals.unmade.objects, model.unmade);
    let condemned = model.allocated - model.unmade - model.pointers.len() as u64;
    assert_eq!(heap.totals.condemned.objects, condemned);
    assert_eq!(heap.len(), model.pointers.len());

    let mut objects = heap.objects();
    let mut last = HEAP;
    let evidence = heap.evidence(&space, &era, AT_REST).unwrap();
    for (&at, &(size, slot)) in &model.slots {
        // Nothing lies between the slots.
        for gap in [last, last + (at - last) / 2, at - 1] {
            assert!(
                gap < last || gap >= at || heap.find(gap).is_none(),
                "{gap:#x}"
            );
        }
        last = at + size;
        if slot != Slot::Alive {
            let miss = evidence.miss(&heap, at + size / 2).map(|(miss, ..)| miss);
            let expected = match slot {
                Slot::Free => Some(Miss::FreeSlot),
                Slot::Dead => Some(Miss::Unmarked),
                _ => None,
            };
            assert_eq!(miss, expected, "{at:#x}");
            assert!(
                [at, at + size / 2, at + size - 1]
                    .iter()
                    .all(|a| heap.find(*a).is_none())
            );
            continue;
        }
        let (id, address, span) = objects.next().unwrap();
        assert_eq!((address, span.elem_size), (at, size));
        assert_eq!(heap.locate(id).1, at);
        assert_eq!(heap.size(id), size);
        for inside in [at, at + 1, at + size / 2, at + size - 1] {
            assert_eq!(heap.find(inside), Some(id), "{inside:#x} of {at:#x}");
        }
        let mut pointers = Vec::new();
        heap.pointers(&space, id, |offset, value| pointers.push((offset, value)));
        assert_eq!(
            pointers, model.pointers[&at],
            "{era:?}, {size} bytes at {at:#x}"
        );
    }
    assert!(objects.next().is_none());
    for outside in [0, HEAP - 1, last, HEAP + HEAP_PAGES * PAGE, u64::MAX] {
        assert_eq!(heap.find(outside), None);
    }
    let ids: Vec<ObjId> = heap.objects().map(|(id, ..)| id).collect();
    assert!(ids.iter().enumerate().all(|(i, id)| id.0 as usize == i));
    check_batches(&heap, &space);
}

/// In batches the references are those that each object has by itself.
fn check_batches(heap: &Heap, space: &AddressSpace) {
    let ids: Vec<ObjId> = heap.objects().map(|(id, ..)| id).collect();
    let (mut batch, mut batches) = (Batch::default(), Vec::new());
    for ids in ids.chunks(7) {
        batch.load(heap, space, ids.iter().copied());
        assert!(
            batch
                .objects()
                .iter()
                .map(|object| object.id)
                .eq(ids.iter().copied())
        );
        batch.references(heap, space, &mut |references| {
            batches.extend(references.iter().map(|reference| {
                let Reference {
                    offset,
                    value,
                    target,
                    ..
                } = *reference;
                let found = reference.object(heap);
                assert_eq!(heap.locate(target).1, found.at);
                (ids[usize::from(reference.holder)], offset, value, target)
            }));
        });
    }
    let (mut alone, mut parts) = (Vec::new(), Vec::new());
    for id in ids {
        let span = heap.span(id);
        heap.pointers(space, id, |offset, value| {
            let inside = offset - heap.data_offset(span);
            let found = heap.find(value);
            alone.extend(found.map(|target| (id, inside, value, target)));
        });
        let count = if heap.has_parts(span) { 3 } else { 1 };
        for number in 0..count {
            batch.load_part(heap, space, id, (number, count));
            let within = batch.within();
            batch.references(heap, space, &mut |references| {
                parts.extend(references.iter().map(|reference| {
                    assert!(within.contains(&(reference.offset + heap.data_offset(span))));
                    (id, reference.offset, reference.value, reference.target)
                }));
            });
        }
    }
    assert_eq!(batches, alone);
    assert_eq!(parts, alone);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_model(
        era in prop_oneof![
            Just(Era::TwoBits), Just(Era::OneBit), Just(Era::PerObject), Just(Era::GreenTea),
        ],
        plans in prop::collection::vec(plan(), 1..40),
    ) {
        check(era, &plans);
    }
}

fn ordinary(class: usize, pages: u64) -> Plan {
    Plan {
        gap: 1,
        class,
        pages,
        noscan: false,
        sweep: Sweep::Done,
        freeindex: 3,
        unmade: 0,
        seed: 7,
        type_words: 3,
        type_mask: 5,
    }
}

/// The heap with one word of one span's record overwritten: damaged spans, and objects left.
fn damaged(field: u64, value: u64) -> (u64, usize) {
    let era = Era::PerObject;
    let (space, _) = build(era, &[ordinary(5, 1), ordinary(40, 2), ordinary(0, 4)]);
    let regions: Vec<_> = space.regions().collect();
    let mut core = objref_synth::CoreBuilder::new();
    for region in regions {
        let mut bytes = space
            .bytes(region.start, region.len as usize)
            .unwrap()
            .into_owned();
        if region.start.0 == META {
            let at = (SPANS + SPAN_SIZE + field - META) as usize;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        core = core.segment(region.start.0, objref_synth::RW, bytes);
    }
    let input = Input::from_bytes(Path::new("core"), &core.build()).unwrap();
    let space = AddressSpace::new(&Core::parse(input).unwrap(), &[]);
    let types = RuntimeTypes::new(&era, &GoVersion::parse("go1.24.1").unwrap(), &[]).unwrap();
    let heap = Heap::read(&space, &era, &types, AT_REST, &Landmarks::default).unwrap();
    for (id, at, _) in heap.objects() {
        assert_eq!(heap.find(at), Some(id));
        heap.pointers(&space, id, |_, _| {});
    }
    (heap.totals.damaged, heap.spans().len())
}

#[test]
fn a_span_that_its_slots_do_not_fill_is_left_out_alone() {
    // Start and size.
    for value in [0, 1, HEAP + 1, HEAP - PAGE, 1 << 47, u64::MAX, META + 1] {
        assert_eq!(damaged(0, value), (1, 2), "start {value:#x}");
    }
    for value in [0, 1, 3, 200, 1 << 20, 1 << 35, 1 << 51, u64::MAX] {
        assert_eq!(damaged(8, value), (1, 2), "pages {value:#x}");
    }
    for value in [0, 1, 7, 9, 1155, 4, 1 << 20, u64::MAX, u64::MAX - 7] {
        assert_eq!(damaged(32, value), (1, 2), "slot of {value:#x}");
    }
}

#[test]
fn a_span_without_its_bitmap_is_told() {
    for bits in [0, 1, 1 << 40, u64::MAX] {
        let (damaged, spans) = damaged(40, bits);
        assert_eq!((damaged, spans), (0, 3), "{bits:#x}");
    }
}

#[test]
fn a_heap_without_a_span_is_a_hole_in_the_dump() {
    let (space, _) = build(Era::PerObject, &[]);
    let types = RuntimeTypes::new(&Era::PerObject, &GoVersion::parse("go1.24.1").unwrap(), &[]);
    let landmarks = &Landmarks::default;
    let heap = Heap::read(&space, &Era::PerObject, &types.unwrap(), AT_REST, landmarks);
    assert!(heap.unwrap_err().to_string().contains("a hole in the dump"));
}

/// The heap of a core with these segments, which Go 1.24 wrote.
fn heap_of(segments: &[(u64, Vec<u8>)], inside: &[u64]) -> (AddressSpace, Heap) {
    let mut core = objref_synth::CoreBuilder::new();
    for (start, bytes) in segments {
        core = core.segment(*start, objref_synth::RW, bytes.clone());
    }
    let input = Input::from_bytes(Path::new("core"), &core.build()).unwrap();
    let space = AddressSpace::new(&Core::parse(input).unwrap(), &[]);
    let era = Era::PerObject;
    let types = RuntimeTypes::new(&era, &GoVersion::parse("go1.24.1").unwrap(), &[]).unwrap();
    // A descriptor that was something else says that a stack is all of the heap and more.
    let stack = AddrRange {
        start: Addr(HEAP),
        end: Addr(META),
    };
    let landmarks = || Landmarks {
        inside: inside.to_vec(),
        stacks: vec![stack],
        ..Landmarks::default()
    };
    let heap = Heap::read(&space, &era, &types, AT_REST, &landmarks).unwrap();
    (space, heap)
}

#[test]
fn records_are_found_without_their_table() {
    let (space, _) = build(
        Era::PerObject,
        &[ordinary(5, 1), ordinary(40, 2), ordinary(0, 4)],
    );
    let bytes = |start: Addr, len: u64| space.bytes(start, len as usize).unwrap().into_owned();
    let mut segments = Vec::new();
    for region in space.regions() {
        match region.start.0 {
            // All but the page with the table.
            META => {
                segments.push((META, bytes(Addr(META), 0x1000)));
                let rest = region.len - 0x2000;
                segments.push((META + 0x2000, bytes(Addr(META + 0x2000), rest)));
            }
            start => segments.push((start, bytes(region.start, region.len))),
        }
    }
    let whole = heap_of(
        &[(META, bytes(Addr(META), 0x80_0000)), segments[0].clone()],
        &[],
    )
    .1;
    let (_, found) = heap_of(&segments, &[]);
    assert!(!whole.is_empty());
    let addresses = |heap: &Heap| heap.objects().map(|(_, at, s)| (at, s.elem_size)).collect();
    let (whole, without): (Vec<_>, Vec<_>) = (addresses(&whole), addresses(&found));
    assert_eq!(without, whole);
    assert_eq!((found.totals.lost, found.totals.guessed.objects), (0, 0));
}

/// The heap's variable, with tables of spans and of arenas that are where there is nothing.
fn without_records() -> Vec<u8> {
    let mut mheap = vec![0u8; 0x1000];
    for (at, value) in [
        (0, META + 0x10_0000),
        (8, 2),
        (24, META + 0x20_0000),
        (32, 8),
    ] {
        mheap[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
    }
    mheap
}

/// Where spans that were made up start, and their slots' sizes.
fn guessed(heap: &Heap) -> Vec<(u64, u64)> {
    let spans = heap.spans().iter().filter(|s| s.guessed);
    spans.map(|s| (s.start, s.elem_size)).collect()
}

/// `pages` of the heap, and behind them pointers to `targets` in it, apart from each other; only the runtime's variable knows
/// of the heap.
fn divided(mut pages: Vec<u8>, targets: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut mheap = without_records();
    for target in targets {
        mheap.extend([[0; 8], (HEAP + target).to_le_bytes(), [0; 8], [0; 8]].concat());
    }
    mheap.resize(mheap.len().next_multiple_of(0x1000), 0);
    pages.resize(pages.len().next_multiple_of(PAGE as usize), 0);
    guessed(&heap_of(&[(HEAP, pages), (META, mheap)], &[HEAP]).1)
}

#[test]
fn pages_of_single_words_are_told_by_their_bitmap() {
    // Most of the slots in use are the first of four.
    let mut page: Vec<u8> = (0..PAGE / 8)
        .flat_map(|i| (HEAP + i / 4 * 32).to_le_bytes())
        .collect();
    let targets = || (0..PAGE - PAGE / 64).step_by(32).chain([8]);
    assert_ne!(divided(page.clone(), targets()), [(HEAP, 8)]);
    page[(PAGE - PAGE / 64) as usize..].fill(0xff);
    assert_eq!(divided(page, targets()), [(HEAP, 8)]);
}

#[test]
fn the_first_slots_of_a_span_may_be_free() {
    // Eleven slots in two pages.
    const SIZE: u64 = 1408;
    let mut pages = vec![0; 2 * PAGE as usize];
    pages[(6 * SIZE) as usize..(11 * SIZE) as usize].fill(7);
    assert_eq!(divided(pages, (6..11).map(|i| i * SIZE)), [(HEAP, SIZE)]);
}

#[test]
fn what_looks_like_a_record_of_pages_managed_by_hand_has_nothing_of_objects() {
    let mut page = vec![7; PAGE as usize];
    let with_record = |bitmap: u64| {
        let mut record = without_records();
        for (at, value) in [(0, HEAP), (8, 1), (16, 2 << 56), (40, bitmap)] {
            record[0x800 + at..][..8].copy_from_slice(&u64::to_le_bytes(value));
        }
        for slot in 0..PAGE / 512 {
            record.extend([[0; 8], (HEAP + slot * 512).to_le_bytes(), [0; 8], [0; 8]].concat());
        }
        record.resize(record.len().next_multiple_of(0x1000), 0);
        record
    };
    page[0] = 1;
    let spans = |record: Vec<u8>| {
        let segments = [(HEAP, page.clone()), (META, record)];
        guessed(&heap_of(&segments, &[HEAP]).1)
    };
    assert_eq!(spans(with_record(0)), []);
    assert_eq!(spans(with_record(META)), [(HEAP, 512)]);
}

#[test]
fn pages_without_records_are_divided_by_what_points_to_them() {
    // A page of objects of 64 bytes, which point to each other and to those of a page of 1,024 bytes each, which have no
    // pointers. At the end of the first one is which words are pointers.
    let mut objects = vec![0u8; 3 * PAGE as usize];
    let mut put = |at: u64, value: u64| {
        objects[at as usize..][..8].copy_from_slice(&value.to_le_bytes());
    };
    let slots = (PAGE - PAGE / 64) / 64;
    for slot in 0..slots {
        put(slot * 64, HEAP + (slot + 1) % slots * 64);
        put(slot * 64 + 8, HEAP + PAGE + slot % 8 * 1024);
        put(slot * 64 + 56, 1);
    }
    for at in (PAGE..2 * PAGE).step_by(1024) {
        put(at, 7);
        put(at + 1016, 7);
    }
    // A byte a slot: its first two words.
    objects[(PAGE - PAGE / 64) as usize..][..slots as usize].fill(3);
    let (space, heap) = heap_of(&[(HEAP, objects), (META, without_records())], &[HEAP]);
    assert_eq!(guessed(&heap), [(HEAP, 64), (HEAP + PAGE, 1024)]);
    assert_eq!((heap.totals.lost, heap.totals.lost_pointers.bytes), (2, 0));
    let first = heap.find(HEAP).unwrap();
    let mut pointers = Vec::new();
    heap.pointers(&space, first, |offset, value| {
        pointers.push((offset, value))
    });
    assert_eq!(pointers, [(0, HEAP + 64), (8, HEAP + PAGE)]);
}
