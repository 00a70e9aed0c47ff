use std::path::Path;

use objref_mem::{Core, Input};

use super::*;

const WORD: u64 = 8;

/// A `g` of five words.
struct Layout;

impl StructSource for Layout {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let fields = ["stack.lo", "stack.hi", "sched.g", "goid", "m"];
        let at = fields.iter().position(|field| *field == path)?;
        (name == "runtime.g").then_some(FieldAt {
            offset: at as u64 * WORD,
            size: WORD,
        })
    }

    fn size_of(&self, _name: &str) -> Option<u64> {
        None
    }

    fn constant(&self, _name: &str) -> Option<i64> {
        None
    }
}

const DATA: u64 = 0x1000;
const LIST: u64 = 0x2000;
const GS: u64 = 0x1_0000;

/// Where `allgs` is found in `data`, when the list of goroutines has `len` entries and the dump lacks the last `lost` bytes
/// of them; `named` are the variables that code uses.
fn allgs(data: &[u64], len: u64, lost: usize, named: &[Addr]) -> Option<Addr> {
    let bytes = |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    let mut list = vec![0; 512];
    let mut gs = Vec::new();
    for i in 0..len {
        let at = GS + i * 5 * WORD;
        list[i as usize] = at;
        gs.extend([0x100, 0x200, at, i, 0]);
    }
    let core = objref_synth::CoreBuilder::new()
        .segment(DATA, objref_synth::RW, bytes(data))
        .segment(LIST, objref_synth::RW, bytes(&list))
        .segment(GS, objref_synth::RW, bytes(&gs));
    let mut core = core.build();
    core.truncate(core.len() - lost);
    let input = Input::from_bytes(Path::new("core"), &core).unwrap();
    let space = AddressSpace::new(&Core::parse(input).unwrap(), &[]);
    let data = Data {
        space: &space,
        source: &Layout,
        parts: vec![(Addr(DATA), bytes(data).into())],
    };
    data.allgs(named)
}

#[test]
fn every_part_of_a_list_of_goroutines_is_looked_at() {
    let (len, cap) = (120, 512);
    let own = [LIST, len, cap];
    // The collector's copy is shorter; allgptr is followed by other numbers, larger ones by chance.
    for other in [60, 121, 150, 500, 40_000_000] {
        let data = [LIST, other, 1 << 30, 0, own[0], own[1], own[2]];
        assert_eq!(
            allgs(&data, len, 0, &[]),
            Some(Addr(DATA + 4 * WORD)),
            "{other}"
        );
    }
    assert_eq!(allgs(&[0, LIST, 121, 512], len, 0, &[]), None);
}

#[test]
fn of_a_list_that_the_dump_lacks_code_tells() {
    let data = [0, LIST, 60, 512, LIST, 120, 512];
    let (own, copy) = (Addr(DATA + 4 * WORD), Addr(DATA + WORD));
    let half = 60 * 5 * WORD as usize;
    assert_eq!(allgs(&data, 120, half, &[]), Some(copy));
    assert_eq!(allgs(&data[4..], 120, half, &[]), None);
    assert_eq!(
        allgs(&data[4..], 120, half, &[Addr(DATA)]),
        Some(Addr(DATA))
    );
    assert_eq!(allgs(&data, 120, half, &[copy, own]), Some(own));
    // The length stands next to its own address; what is there still has to be right.
    let words = [LIST, 64, 512, 1024];
    assert_eq!(
        allgs(&words, 64, half, &[Addr(DATA), Addr(DATA + WORD)]),
        Some(Addr(DATA))
    );
    assert_eq!(allgs(&[DATA, 3, 512], 120, half, &[Addr(DATA)]), None);
}
