//! Damaged and hostile binaries: no panic, no hang, and the promises of the type table hold.

mod common;

use std::time::{Duration, Instant};

use common::program::{GO_KIND, Program, sample, sections};
use gimli::write::AttributeValue as Value;
use objref_dwarf::{DebugInfo, Kind, TypeIdx, TypeTable};

/// Walks everything that can be asked for.
fn drive(info: &DebugInfo) {
    check_promises(info.types());
    for variable in info.globals() {
        info.types().name(variable.ty);
    }
    for function in info.functions() {
        assert!(!info.function_range(function).is_empty());
        info.function_name(function);
        info.captures(function);
        let range = info.function_range(function);
        let step = (range.end.0 - range.start.0).div_ceil(8).max(1);
        for n in 0..8 {
            for local in info.locals_at(range.start.add(n * step)) {
                info.types().name(local.ty);
            }
        }
    }
}

fn check_promises(types: &TypeTable) {
    let mut depth = vec![0; types.len()];
    for (at, ty) in types.iter() {
        types.name(at);
        let mut end = 0;
        for field in types.fields(at) {
            types.field_name(field);
            assert!(field.offset >= end, "fields in order");
            end = field.offset + types.get(field.ty).size;
            assert!(end <= ty.size, "fields inside");
        }
        if let (Kind::Array, Some(elem)) = (ty.kind, ty.elem) {
            let elem = types.get(elem).size;
            assert!(
                elem.checked_mul(ty.count)
                    .is_some_and(|size| size <= ty.size)
            );
        }
        nesting(types, at, &mut depth);
    }
}

/// The depth of nesting by value; recursion ends because the table says that it does.
fn nesting(types: &TypeTable, at: TypeIdx, depth: &mut [u32]) -> u32 {
    if depth[at.0 as usize] == 0 {
        let array = types
            .get(at)
            .elem
            .filter(|_| types.get(at).kind == Kind::Array);
        let parts: Vec<TypeIdx> = types.fields(at).iter().map(|f| f.ty).chain(array).collect();
        let below = parts
            .into_iter()
            .map(|part| nesting(types, part, depth))
            .max();
        depth[at.0 as usize] = 1 + below.unwrap_or(0);
        assert!(depth[at.0 as usize] <= TypeTable::MAX_NESTING);
    }
    depth[at.0 as usize]
}

/// xorshift64*: the same mutations in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn mutated_sections() {
    let mut random = Random(0x0b_1ec7);
    for version in [4, 5] {
        let clean = sections(&mut sample(version).dwarf);
        let mut loaded = 0;
        for _ in 0..4000 {
            let mut dirty = clean.clone();
            for _ in 0..1 + random.below(6) {
                // `.debug_info` and `.debug_abbrev` decide most.
                let at = random.below(dirty.len() + 4) % dirty.len();
                let bytes = &mut dirty[at].1;
                let position = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[position] = random.next() as u8,
                    1 => bytes[position] ^= 1 << random.below(8),
                    2 => bytes[position] = [0, 0xff, 0x7f, 0x80][random.below(4)],
                    _ => bytes.truncate(position + 1),
                }
            }
            if let Ok(info) = common::load(&common::elf(&dirty)) {
                loaded += 1;
                drive(&info);
            }
        }
        assert!(loaded > 1000, "only {loaded} of 4000 could be loaded");
    }
}

#[test]
fn mutated_file() {
    let mut random = Random(77);
    let clean = sample(5).elf();
    for _ in 0..2000 {
        let mut dirty = clean.clone();
        let headers = dirty.len() - 700;
        for _ in 0..1 + random.below(4) {
            let position = match random.below(2) {
                0 => random.below(64),
                _ => headers + random.below(700),
            };
            dirty[position] = random.next() as u8;
        }
        if let Ok(info) = common::load(&dirty) {
            drive(&info);
        }
    }
}

fn load(program: Program) -> DebugInfo {
    let start = Instant::now();
    let info = common::load(&program.elf()).expect("loads");
    drive(&info);
    assert!(start.elapsed() < Duration::from_secs(20));
    info
}

#[test]
fn typedefs_in_a_circle() {
    let mut p = Program::new(5);
    let a = p.top(gimli::DW_TAG_typedef, "A");
    let b = p.typedef("B", a);
    p.refer(a, gimli::DW_AT_type, b);
    let own = p.top(gimli::DW_TAG_typedef, "Own");
    p.refer(own, gimli::DW_AT_type, own);
    p.variable("main.v", 0x10, own);
    for kind in [18, 20, 21] {
        let id = p.top(gimli::DW_TAG_typedef, "go");
        p.refer(id, gimli::DW_AT_type, id);
        p.set(id, GO_KIND, Value::Data1(kind));
    }
    let info = load(p);
    let own = info.types().by_name("Own").expect("is there");
    assert_eq!(info.types().get(own).kind, Kind::Other);
    assert_eq!(info.damage().types, 3);
}

#[test]
fn values_that_contain_themselves() {
    let mut p = Program::new(4);
    let a = p.structure("A", 16, 25, &[]);
    let b = p.structure("B", 16, 25, &[("a", 0, a)]);
    p.member(a, "b", 0, b);
    let own = p.array("Own", a, 1, 16);
    p.refer(own, gimli::DW_AT_type, own);
    let info = load(p);
    assert!(info.damage().types >= 2);
}

#[test]
fn deep_nesting() {
    let mut p = Program::new(5);
    let mut inner = p.base("int", gimli::DW_ATE_signed, 8, 2);
    for level in 0..5000 {
        inner = match level % 2 {
            0 => p.structure(&format!("S{level}"), 8, 25, &[("x", 0, inner)]),
            _ => p.array(&format!("A{level}"), inner, 1, 8),
        };
    }
    load(p);
}

#[test]
fn long_chain_of_typedefs() {
    let mut p = Program::new(5);
    let mut inner = p.base("int", gimli::DW_ATE_signed, 8, 2);
    for level in 0..2000 {
        inner = p.typedef(&format!("T{level}"), inner);
    }
    load(p);
}

#[test]
fn absurd_sizes() {
    let mut p = Program::new(5);
    let int = p.base("int", gimli::DW_ATE_signed, 8, 2);
    p.structure("huge", u64::MAX, 25, &[("x", u64::MAX - 3, int)]);
    p.structure("outside", 16, 25, &[("x", 12, int), ("y", 8, int)]);
    p.structure(
        "overlap",
        16,
        25,
        &[("x", 0, int), ("y", 4, int), ("z", 8, int)],
    );
    p.array("many", int, u64::MAX, 80);
    let info = load(p);
    let types = info.types();
    let get = |name| types.by_name(name).expect("is there");
    assert_eq!(types.get(get("huge")).kind, Kind::Other);
    assert_eq!(types.fields(get("outside")).len(), 1);
    assert_eq!(types.fields(get("overlap")).len(), 2);
    assert_eq!(types.get(get("many")).count, 10);
    assert_eq!(info.damage().fields, 2);
}

#[test]
fn references_to_nowhere() {
    let mut p = Program::new(5);
    for tag in [
        gimli::DW_TAG_typedef,
        gimli::DW_TAG_pointer_type,
        gimli::DW_TAG_array_type,
    ] {
        let id = p.top(tag, "wild");
        p.set(id, gimli::DW_AT_type, Value::Udata(u64::MAX));
    }
    let function = p.function("main.f", 0x100, 0x10);
    p.refer(function, gimli::DW_AT_abstract_origin, function);
    let local = p.add(function, gimli::DW_TAG_variable);
    p.refer(local, gimli::DW_AT_abstract_origin, local);
    load(p);
}

#[test]
fn claims_of_more_than_compressed_bytes_can_be() {
    for (claim, said) in [
        (1 << 50, "Invalid GNU compressed section header"),
        (u64::from(u32::MAX), "cannot expand"),
        (2 << 20, "cannot expand"),
    ] {
        let mut sections = sections(&mut sample(5).dwarf);
        let header = [&b"ZLIB"[..], &u64::to_be_bytes(claim)].concat();
        let packed = [&header[..], &[0x78, 0x9c, 1, 2, 3]].concat();
        let info = sections.iter_mut().find(|(name, _)| *name == ".debug_info");
        *info.expect("is there") = (".zdebug_info", packed);
        let error = common::load(&common::elf(&sections)).expect_err("refused");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn places_that_cannot_be_unpacked_are_not_known() {
    let mut sections = sections(&mut sample(5).dwarf);
    let clean = common::load(&common::elf(&sections)).expect("loads");
    let lists = sections
        .iter_mut()
        .find(|(name, _)| *name == ".debug_loclists");
    let header = [&b"ZLIB"[..], &u64::to_be_bytes(64)].concat();
    *lists.expect("is there") = (".zdebug_loclists", [&header[..], &[0x78, 0x9c, 7]].concat());
    let damaged = common::load(&common::elf(&sections)).expect("loads");
    assert_eq!(damaged.globals(), clean.globals());
    let locals = |info: &DebugInfo| -> usize {
        let starts = info.functions().map(|f| info.function_range(f).start);
        starts.map(|pc| info.locals_at(pc).len()).sum()
    };
    assert!(0 < locals(&damaged) && locals(&damaged) < locals(&clean));
}
