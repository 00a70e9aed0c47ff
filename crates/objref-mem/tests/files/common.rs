//! Shared by the tests of this directory.
use std::path::Path;
use std::sync::Arc;

use objref_mem::{AddressSpace, Core, Image, Input};

pub(crate) fn input(bytes: &[u8]) -> Arc<Input> {
    Input::from_bytes(Path::new("test"), bytes).unwrap()
}

pub(crate) fn core(bytes: &[u8]) -> Core {
    Core::parse(input(bytes)).unwrap()
}

pub(crate) fn image(bytes: &[u8]) -> Arc<Image> {
    Arc::new(Image::parse(input(bytes)).unwrap())
}

/// Calls everything that reads a core, and an image over it, so that a panic shows.
pub(crate) fn exercise(core: &[u8], image: &[u8]) {
    let image = Image::parse(input(image)).ok();
    if let Some(image) = &image {
        exercise_image(image);
    }
    let Ok(core) = Core::parse(input(core)) else {
        return;
    };
    let _ = (
        core.executable_path(),
        core.executable_ids(),
        core.damaged_notes(),
    );
    let mut images = Vec::new();
    if let Some(image) = image
        && let Ok(bias) = image.load_bias(&core)
    {
        images.push((Arc::new(image), bias));
    }
    exercise_space(&AddressSpace::new(&core, &images));
}

fn exercise_image(image: &Image) {
    let _ = (
        image.is_pie(),
        image.phdr_vaddr(),
        image.build_ids().to_string(),
    );
    let sections: usize = image
        .sections()
        .map(|s| s.data.len().min(1) + s.name.len())
        .sum();
    let symbols: usize = image.symbols().map(|s| s.name.len()).sum();
    let _ = (sections, symbols, image.link_bytes(image.entry(), 16));
}

fn exercise_space(space: &AddressSpace) {
    let mut end = 0;
    for region in space.regions() {
        assert!(
            region.len > 0 && region.start.0 >= end,
            "{region:?} overlaps"
        );
        end = region.start.0.saturating_add(region.len);
        for a in [
            region.start,
            region.start.add(region.len - 1),
            region.start.add(region.len),
        ] {
            let _ = (space.u8(a), space.u64(a), space.i32(a), space.is_mapped(a));
            let _ = (space.slice(a, 4097), space.bytes(a, 70_000), space.rest(a));
            let _ = (space.c_string(a, 100), space.string(a, usize::MAX));
        }
    }
    let _ = space.missing_bytes();
}
