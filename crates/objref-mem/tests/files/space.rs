//! What lies over what, and how reads behave at the seams.

use crate::common::{core, image};
use objref_mem::{
    Addr, AddressSpace, Fault, FaultKind, LinkAddr, LoadBias, RegionKind, Section, SymbolKind,
};
use objref_synth::{CoreBuilder, ImageBuilder, R, RW, RX};
use proptest::prelude::*;

const FILES: [(u64, u64, u64, &str); 2] = [
    (0x400000, 0x404000, 0x1000, "/exe"),
    (0x404000, 0x406000, 0x5000, "/exe"),
];

fn fault(addr: u64, kind: FaultKind) -> Fault {
    Fault {
        addr: Addr(addr),
        kind,
    }
}

#[test]
fn the_layers_lie_in_order() {
    // The binary: read-only text of three pages and a bit, writable data of one page.
    let exe = image(
        &ImageBuilder::executable(0x400000)
            .segment(0x400000, RX, &[0xe1; 0x3100], 0x3100)
            .segment(0x404000, RW, &[0xe2; 0x1800], 0x3000)
            .section(".text", 1, 0x400000, &[])
            .build(),
    );
    let images = [(exe, LoadBias(0))];
    let build = |truncate: bool| {
        let built = CoreBuilder::new()
            .note(objref_synth::mapped_files(&FILES))
            .partial(0x400000, RX, [0xc1; 0x1000], 0x4000)
            .partial(0x500000, RW, [0xc3; 0x10], 0x1000)
            .partial(0x600000, 0, [], 0x1000)
            .partial(0x700000, RW, [], 0x1000)
            .segment(0x404000, RW, [0xc2; 0x2000]);
        let file = built.build();
        let keep = file.len() - if truncate { 0x1000 } else { 0 };
        AddressSpace::new(&core(&file[..keep]), &images)
    };
    let space = build(false);
    let u8 = |a| space.u8(Addr(a));
    assert_eq!(
        (u8(0x400fff), u8(0x401000), u8(0x4030ff)),
        (Ok(0xc1), Ok(0xe1), Ok(0xe1))
    );
    // The rest of the page is in the file too: padding, as this one was written.
    assert_eq!(u8(0x403fff), Ok(0));
    assert_eq!((u8(0x404000), u8(0x405fff)), (Ok(0xc2), Ok(0xc2)));
    assert_eq!(u8(0x3fffff), Err(fault(0x3fffff, FaultKind::Unmapped)));
    assert_eq!(u8(0x406000), Err(fault(0x406000, FaultKind::Unmapped)));
    // Anonymous tail: zero. Reserved and left out: neither readable nor zero, but mapped.
    assert_eq!(
        (u8(0x50000f), u8(0x500010), u8(0x500fff)),
        (Ok(0xc3), Ok(0), Ok(0))
    );
    for (a, kind) in [
        (0x600000, RegionKind::Reserved),
        (0x700000, RegionKind::LeftOut),
    ] {
        assert_eq!(u8(a), Err(fault(a, FaultKind::NotInCore)));
        assert!(space.is_mapped(Addr(a)));
        let region = space.regions().find(|r| r.start == Addr(a)).unwrap();
        assert_eq!((region.kind, region.len), (kind, 0x1000));
    }
    assert_eq!(space.missing_bytes(), 0);

    // What truncation lost of writable memory is not what the binary starts with.
    let space = build(true);
    assert_eq!(space.u8(Addr(0x404fff)), Ok(0xc2));
    assert_eq!(
        space.u8(Addr(0x405000)),
        Err(fault(0x405000, FaultKind::NotInCore))
    );
    assert_eq!(space.missing_bytes(), 0x1000);
}

#[test]
fn without_the_binary_file_backed_tails_are_missing() {
    let built = CoreBuilder::new()
        .note(objref_synth::mapped_files(&FILES))
        .partial(0x3ff000, RX, [0xc1; 0x800], 0x2000)
        .partial(0x402000, RX, [], 0x2000);
    let space = AddressSpace::new(&core(&built.build()), &[]);
    let kinds: Vec<_> = space
        .regions()
        .map(|r| (r.start.0, r.len, r.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            (0x3ff000, 0x800, RegionKind::Core),
            (0x3ff800, 0x800, RegionKind::Zero),
            (0x400000, 0x1000, RegionKind::Missing),
            (0x402000, 0x2000, RegionKind::Missing),
        ]
    );
    assert_eq!(space.missing_bytes(), 0x3000);
}

#[test]
fn reads_across_seams() {
    // Written in another order than by address, so that the bytes are not adjacent in the file.
    let built = CoreBuilder::new()
        .segment(0x2000, RW, [2; 0x1000])
        .partial(0x1000, RW, [1; 0xffc], 0x1000)
        .partial(0x10_0000, RW, [9], 0x30_0000)
        .segment(u64::MAX - 0xfff, R, [7; 0x800]);
    let space = AddressSpace::new(&core(&built.build()), &[]);
    assert_eq!(space.u64(Addr(0x1ffc)), Ok(0x0202_0202_0000_0000));
    assert_eq!(space.u32(Addr(0x1ffa)), Ok(0x0000_0101));
    assert_eq!(space.i32(Addr(0x2000)), Ok(0x0202_0202));
    assert_eq!(
        space.slice(Addr(0x1ff0), 0x20),
        Err(fault(0x1ffc, FaultKind::Split))
    );
    let bytes = space.bytes(Addr(0x1ff0), 0x20).unwrap();
    assert_eq!(&bytes[..], [&[1; 12][..], &[0; 4], &[2; 16]].concat());
    assert_eq!(
        space.u64(Addr(0x2ffc)),
        Err(fault(0x3000, FaultKind::Unmapped))
    );
    assert_eq!(
        space.u64(Addr(0xffc)),
        Err(fault(0xffc, FaultKind::Unmapped))
    );
    assert_eq!(space.rest(Addr(0x2ffe)), Ok(&[2, 2][..]));
    assert_eq!(space.slice(Addr(5), 0), Ok(&[][..]));

    // Zeros: a slice up to 1 MiB, copies beyond.
    assert_eq!(
        space.slice(Addr(0x10_0001), 1 << 20).map(<[u8]>::len),
        Ok(1 << 20)
    );
    let kind = space
        .slice(Addr(0x10_0001), (1 << 20) + 1)
        .unwrap_err()
        .kind;
    assert_eq!(kind, FaultKind::Split);
    assert_eq!(
        space.bytes(Addr(0x10_0000), 0x30_0000).unwrap().len(),
        0x30_0000
    );
    let past = fault(0x40_0000, FaultKind::Unmapped);
    assert_eq!(space.bytes(Addr(0x10_0000), 0x30_0001), Err(past));
    assert_eq!(space.bytes(Addr(0x10_0000), isize::MAX as usize), Err(past));

    // The end of the address space.
    assert_eq!(space.u8(Addr(u64::MAX - 0xfff)), Ok(7));
    assert_eq!(
        space.u64(Addr(u64::MAX - 2)),
        Err(fault(u64::MAX - 2, FaultKind::Overflow))
    );
    assert_eq!(
        space.u8(Addr(u64::MAX)),
        Err(fault(u64::MAX, FaultKind::Unmapped))
    );
    assert_eq!(
        fault(16, FaultKind::Unmapped).to_string(),
        "address 0x10 is not mapped"
    );
}

#[test]
fn text() {
    let built = CoreBuilder::new()
        .segment(0x1000, R, "abc\0def\u{fffd}".as_bytes())
        .segment(0x2000, R, b"\xff!");
    let space = AddressSpace::new(&core(&built.build()), &[]);
    assert_eq!(space.c_string(Addr(0x1000), 100).unwrap(), "abc");
    assert_eq!(space.c_string(Addr(0x1000), 2).unwrap(), "ab");
    assert_eq!(
        space.c_string(Addr(0x1004), 100),
        Err(fault(0x100a, FaultKind::Unmapped))
    );
    assert_eq!(space.c_string(Addr(0x1004), 6).unwrap(), "def\u{fffd}");
    assert_eq!(space.string(Addr(0x2000), 2).unwrap(), "\u{fffd}!");
}

#[test]
fn a_position_independent_binary_is_found() {
    let built = |entry| {
        ImageBuilder::pie(entry)
            .segment(0x1000, RX, b"code", 4)
            .section(
                ".note.go.buildid",
                7,
                0,
                &objref_synth::note("Go", 4, b"one/two"),
            )
            .symbol("main.cache", 0x2000, 24, 1)
            .symbol("main.main", 0x1000, 4, 2)
            .build()
    };
    let exe = image(&built(0x1002));
    assert!(exe.is_pie());
    assert_eq!(
        (exe.go_build_id(), exe.gnu_build_id()),
        (Some("one/two"), None)
    );
    assert_eq!(exe.link_bytes(LinkAddr(0x1001), 3), Some(&b"ode"[..]));
    assert_eq!(exe.link_bytes(LinkAddr(0x1001), 4), None);
    let symbols: Vec<_> = exe
        .symbols()
        .map(|s| (s.name, s.addr.0, s.size, s.kind))
        .collect();
    assert_eq!(
        symbols,
        [
            ("main.cache", 0x2000, 24, SymbolKind::Object),
            ("main.main", 0x1000, 4, SymbolKind::Function)
        ]
    );
    let Some(Section { data, size, .. }) = exe.section(".note.go.buildid") else {
        panic!("no section")
    };
    assert_eq!(data.len() as u64, size);
    assert!(exe.has_section(".symtab") && !exe.has_section(".debug_info"));

    let bias = 0x5555_5555_0000;
    let loaded = [(bias + 0x1000, bias + 0x2000, 0x1000, "/exe")];
    let with = |auxv: &[(u64, u64)], files: &[(u64, u64, u64, &str)]| {
        let notes = objref_synth::mapped_files(files);
        core(
            &CoreBuilder::new()
                .note(objref_synth::auxv(auxv))
                .note(notes)
                .build(),
        )
    };
    let by_entry = with(&[(9, bias + 0x1002)], &loaded);
    assert_eq!(exe.load_bias(&by_entry).unwrap(), LoadBias(bias));
    let entry_only = with(&[(9, bias + 0x1002)], &[]);
    assert_eq!(exe.load_bias(&entry_only).unwrap(), LoadBias(bias));
    // Another program: its entry does not fit the pages that are mapped.
    let other = with(&[(9, bias + 0x7002)], &loaded);
    assert_eq!(
        exe.load_bias(&other).unwrap_err().code(),
        "image.not-loaded"
    );
    // As a shared object it is found by name.
    let named = with(
        &[],
        &[(bias + 0x1000, bias + 0x2000, 0x1000, "/lib/test (deleted)")],
    );
    assert_eq!(exe.load_bias(&named).unwrap(), LoadBias(bias));
    assert_eq!(
        LoadBias(bias).to_link(LoadBias(bias).to_addr(exe.entry())),
        exe.entry()
    );
}

#[derive(Clone, Debug)]
struct Piece {
    page: u64,
    bytes: usize,
    mem: u64,
    flags: u32,
}

fn piece() -> impl Strategy<Value = Piece> {
    let flags = prop_oneof![Just(R), Just(RW), Just(RX), Just(0)];
    (1u64..30, 0usize..9000, 0u64..9000, flags).prop_map(|(page, bytes, more, flags)| Piece {
        page,
        bytes,
        mem: bytes as u64 + more,
        flags,
    })
}

/// What the documentation of the space says, byte by byte, without any cleverness.
fn model(
    core: &[Piece],
    image: &[Piece],
    files: &[(u64, u64)],
    cut: u64,
) -> Vec<Option<Option<u8>>> {
    const SIZE: usize = 60 * 4096;
    // None: unmapped; Some(None): not in the core.
    let mut map: Vec<Option<Option<u8>>> = vec![None; SIZE];
    let mut put = |a: u64, value: Option<u8>| {
        if let Some(slot @ None) = map.get_mut(a as usize) {
            *slot = Some(value);
        }
    };
    let lost_from = |i: usize, p: &Piece| {
        if i + 1 == core.len() {
            (p.bytes as u64).saturating_sub(cut)
        } else {
            p.bytes as u64
        }
    };
    for (i, p) in core.iter().enumerate() {
        (0..lost_from(i, p)).for_each(|n| put(p.page * 4096 + n, Some(i as u8)));
    }
    for writable in [false, true] {
        for (i, p) in image
            .iter()
            .enumerate()
            .filter(|(_, p)| (p.flags == RW) == writable)
        {
            (0..p.bytes as u64).for_each(|n| put(p.page * 4096 + n, Some(100 + i as u8)));
        }
        if !writable {
            // Text is padded with zeros to the end of its page in the file.
            for p in image
                .iter()
                .filter(|p| p.flags != RW && p.mem == p.bytes as u64)
            {
                let end = p.bytes.next_multiple_of(4096) as u64;
                (p.bytes as u64..end).for_each(|n| put(p.page * 4096 + n, Some(0)));
            }
            for (i, p) in core.iter().enumerate() {
                (lost_from(i, p)..p.bytes as u64).for_each(|n| put(p.page * 4096 + n, None));
            }
        }
    }
    for p in core {
        for a in p.page * 4096 + p.bytes as u64..p.page * 4096 + p.mem {
            let of_file = files.iter().any(|&(start, end)| (start..end).contains(&a));
            put(a, (!of_file && p.flags != 0 && p.bytes > 0).then_some(0));
        }
    }
    map
}

/// Pieces that do not overlap, as in any core that a kernel wrote.
fn apart(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut end = 0;
    let mut sorted = pieces;
    sorted.sort_by_key(|p| p.page);
    sorted.retain(|p| {
        let fits = p.page * 4096 >= end && p.mem > 0;
        if fits {
            end = p.page * 4096 + p.mem;
        }
        fits
    });
    sorted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_a_byte_map(
        segments in prop::collection::vec(piece(), 1..6),
        loaded in prop::collection::vec(piece(), 0..4),
        files in prop::collection::vec((0u64..30, 1u64..4), 0..4),
        cut in 0u64..9000,
        reads in prop::collection::vec((0u64..40 * 4096, 0usize..6000), 30),
        preferred in prop::collection::vec(0u64..40 * 4096, 0..4),
    ) {
        let (segments, loaded) = (apart(segments), apart(loaded));
        let cut = cut.min(segments.last().map_or(0, |p| p.bytes as u64));
        let files: Vec<_> = files.iter().map(|(p, n)| (p * 4096, (p + n) * 4096)).collect();
        let named: Vec<_> = files.iter().map(|&(a, b)| (a, b, 0, "/x")).collect();
        let mut builder = CoreBuilder::new().note(objref_synth::mapped_files(&named));
        for (i, p) in segments.iter().enumerate() {
            builder = builder.partial(p.page * 4096, p.flags, vec![i as u8; p.bytes], p.mem);
        }
        let file = builder.build();
        let mut exe = ImageBuilder::executable(0);
        for (i, p) in loaded.iter().enumerate() {
            exe = exe.segment(p.page * 4096, p.flags, &vec![100 + i as u8; p.bytes], p.mem);
        }
        // The file goes on after the last segment, as real ones do.
        let exe = exe.section(".comment", 1, 0, &[0; 9000]).build();
        let mut space = AddressSpace::new(
            &core(&file[..file.len() - cut as usize]),
            &[(image(&exe), LoadBias(0))],
        );
        // Where it is looked first makes no difference.
        space.prefer(preferred.into_iter().map(Addr));
        let model = model(&segments, &loaded, &files, cut);
        for (a, len) in reads {
            let want: Result<Vec<u8>, Fault> = (a..a + len as u64)
                .map(|a| match model[a as usize] {
                    None => Err(fault(a, FaultKind::Unmapped)),
                    Some(None) => Err(fault(a, FaultKind::NotInCore)),
                    Some(Some(byte)) => Ok(byte),
                })
                .collect();
            let got = space.bytes(Addr(a), len).map(|b| b.into_owned());
            prop_assert_eq!(&got, &want);
            if let Some(bytes) = space.main_stretch().get(Addr(a), len) {
                prop_assert_eq!(&Ok(bytes.to_vec()), &want);
            }
            match (space.slice(Addr(a), len), want) {
                (Err(Fault { kind: FaultKind::Split, .. }), Ok(_)) => {}
                // A slice that spans regions does not say more than that it does.
                (Err(_), Err(_)) => {}
                (got, want) => prop_assert_eq!(got.map(<[u8]>::to_vec), want),
            }
        }
    }
}

#[test]
fn the_main_stretch_is_where_most_reads_are() {
    let file = CoreBuilder::new()
        .segment(0x1000, RW, [1; 0x1000])
        .segment(0x8000, RW, [2; 0x3000])
        .build();
    let mut space = AddressSpace::new(&core(&file), &[]);
    let has = |space: &AddressSpace, a| space.main_stretch().get(Addr(a), 8).is_some();
    assert!(has(&space, 0x8000) && !has(&space, 0x1000));
    space.prefer([0x1000, 0x8008, 0x1ff8, 0x5000, 0x5000, 0x5000].map(Addr));
    assert!(has(&space, 0x1000) && !has(&space, 0x8000));
    // Nothing is there.
    space.prefer([Addr(0x5000)]);
    assert!(has(&space, 0x1000));
}
