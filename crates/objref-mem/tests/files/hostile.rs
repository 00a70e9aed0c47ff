//! Damaged and malicious files: errors, faults, counted oddities, never a panic.

use crate::common::{core, exercise};
use objref_synth::{CoreBuilder, ImageBuilder, Layout, R, RW, RX};
use proptest::prelude::*;

fn sample(layout: Layout) -> Vec<u8> {
    let base = 0x400000;
    CoreBuilder::new()
        .layout(layout)
        .note(objref_synth::prstatus(1, 6, &[base; 27]))
        .note(objref_synth::prpsinfo(1, "x", "x y"))
        .note(objref_synth::siginfo(6, 0, 0))
        .note(objref_synth::auxv(&[
            (3, base + 64),
            (4, 56),
            (5, 3),
            (9, base),
        ]))
        .note(objref_synth::mapped_files(&[(
            base,
            base + 0x2000,
            0x1000,
            "/exe",
        )]))
        .partial(base, RX, [0xcc; 300], 0x2000)
        .segment(0x500000, RW, [1; 500])
        .partial(0x600000, 0, [], 1 << 40)
        .build()
}

fn sample_image() -> Vec<u8> {
    ImageBuilder::pie(0x1000)
        .segment(0x1000, RX, &[0x90; 300], 300)
        .segment(0x3000, RW, &[0x91; 30], 3000)
        .section(
            ".note.gnu.build-id",
            7,
            0,
            &objref_synth::note("GNU", 3, &[7; 20]),
        )
        .symbol("main.main", 0x1000, 8, 2)
        .build()
}

#[test]
fn truncated_anywhere() {
    let image = sample_image();
    for layout in [Layout::Kernel, Layout::Gdb] {
        let file = sample(layout);
        (0..file.len()).for_each(|n| exercise(&file[..n], &[]));
    }
    let file = sample(Layout::Kernel);
    (0..image.len())
        .step_by(7)
        .for_each(|n| exercise(&file, &image[..n]));
}

#[test]
fn every_header_field_gone_wild() {
    let (core, image) = (sample(Layout::Kernel), sample_image());
    for value in [
        0,
        1,
        7,
        0x7fff_ffff,
        u32::MAX.into(),
        1 << 63,
        u64::MAX - 4095,
        u64::MAX,
    ] {
        for at in (4..core.len().min(4096)).step_by(4) {
            let mut wild = core.clone();
            let end = wild.len().min(at + 8);
            wild[at..end].copy_from_slice(&u64::to_le_bytes(value)[..end - at]);
            exercise(&wild, &image);
        }
        let headers = image.len() - 64 * 6;
        for at in (4..300).chain(headers..image.len()).step_by(4) {
            let mut wild = image.clone();
            let end = wild.len().min(at + 8);
            wild[at..end].copy_from_slice(&u64::to_le_bytes(value)[..end - at]);
            exercise(&core, &wild);
        }
    }
}

#[test]
fn damaged_notes_are_counted_and_the_rest_is_read() {
    let wild_count = {
        let mut note = objref_synth::mapped_files(&[(1, 2, 0, "/x")]);
        note[20..28].copy_from_slice(&u64::MAX.to_le_bytes());
        note
    };
    let built = CoreBuilder::new()
        .note(objref_synth::note("CORE", 1, &[1; 50]))
        .note(wild_count)
        .note(objref_synth::prstatus(9, 0, &[0; 27]))
        .note(objref_synth::note("CORE", 6, &[3; 17]))
        .note([200, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0, b'x'])
        .segment(0x1000, R, [1; 10]);
    let core = core(&built.build());
    assert_eq!(core.threads().len(), 1);
    assert_eq!(core.damaged_notes(), 3);
    assert!(core.mapped_files().is_empty());
}

#[test]
fn overlapping_segments_keep_the_first() {
    let built = CoreBuilder::new()
        .segment(0x1000, RW, [1; 0x2000])
        .segment(0x2000, RW, [2; 0x2000])
        .segment(0x1800, RW, [3; 0x100])
        .partial(u64::MAX - 10, RW, [4; 5], u64::MAX)
        .partial(0, RW, [], u64::MAX);
    exercise(&built.build(), &sample_image());
    let space = objref_mem::AddressSpace::new(&core(&built.build()), &[]);
    let at = |a| space.u8(objref_mem::Addr(a));
    assert_eq!((at(0x1800), at(0x2fff), at(0x3000)), (Ok(1), Ok(1), Ok(2)));
}

proptest! {
    #[test]
    fn mutated(
        gdb in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        exe_changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut core = sample(if gdb { Layout::Gdb } else { Layout::Kernel });
        let mut image = sample_image();
        for (at, value) in changes {
            let at = at.index(core.len());
            core[at] = value;
        }
        for (at, value) in exe_changes {
            let at = at.index(image.len());
            image[at] = value;
        }
        exercise(&core, &image);
    }
}
