//! Where in the process an image was loaded.

use std::ffi::OsStr;
use std::path::Path;

use crate::addr::LoadBias;
use crate::core::Core;
use crate::elf::ElfKind;
use crate::image::{Image, ImageSegment};
use crate::notes::MappedFile;

pub(crate) const AT_PHDR: u64 = 3;
pub(crate) const AT_ENTRY: u64 = 9;

/// Mappings and biases are multiples of this on every supported system.
pub(crate) const PAGE: u64 = 4096;

/// The bias, or `None` when nothing in the core agrees with the image.
pub(crate) fn find(image: &Image, core: &Core) -> Option<LoadBias> {
    if image.kind() == ElfKind::Executable {
        return Some(LoadBias(0));
    }
    let files = core.mapped_files();
    if image.is_pie() {
        let by_entry = core.auxv(AT_ENTRY).map(|a| a.wrapping_sub(image.entry().0));
        let by_phdr = core
            .auxv(AT_PHDR)
            .and_then(|a| Some(a.wrapping_sub(image.phdr_vaddr()?.0)));
        let aligned = |bias: &u64| bias.is_multiple_of(PAGE);
        match (by_entry.filter(aligned), by_phdr.filter(aligned)) {
            // Both agree: there is no better evidence.
            (Some(a), Some(b)) if a == b => return Some(LoadBias(a)),
            // One of them, or two that differ: the file table decides, if there is one.
            (a, b) => {
                let fits = |bias: &u64| files.is_empty() || agrees(image, *bias, files);
                let chosen = [a, b].into_iter().flatten().find(fits);
                if let Some(bias) = chosen {
                    return Some(LoadBias(bias));
                }
            }
        }
    }
    by_name(image, files).or_else(|| by_contents(image, core))
}

/// Whether some file is mapped where the first segment would be with this bias.
fn agrees(image: &Image, bias: u64, files: &[MappedFile]) -> bool {
    image
        .segments()
        .first()
        .is_some_and(|first| files.iter().any(|f| bias_of(first, f) == Some(bias)))
}

/// The bias if the segment is what is mapped by `file`: the same page of the file.
fn bias_of(segment: &ImageSegment, file: &MappedFile) -> Option<u64> {
    let page = |n: u64| n - n % PAGE;
    (page(segment.file_offset) == file.file_offset)
        .then(|| file.start.0.wrapping_sub(page(segment.addr.0)))
}

/// Looks for mappings of a file with the image's name.
fn by_name(image: &Image, files: &[MappedFile]) -> Option<LoadBias> {
    let name = base_name(image.input().path())?;
    let first = image.segments().first()?;
    files
        .iter()
        .filter(|f| base_name(Path::new(f.path.trim_end_matches(" (deleted)"))) == Some(name))
        .find_map(|f| bias_of(first, f))
        .map(LoadBias)
}

/// Looks for memory that starts as the file does. The first page has the headers, with the entry
/// and most often the build ids, so equal pages are no coincidence. For cores without notes.
fn by_contents(image: &Image, core: &Core) -> Option<LoadBias> {
    let first = image.segments().first().filter(|s| s.file_offset == 0)?;
    let len = first.file_size.min(PAGE);
    let wanted = image.link_bytes(first.addr, len).filter(|_| len >= 64)?;
    core.segments()
        .iter()
        .find(|s| core.present_bytes(s.addr, len) == Some(wanted))
        .map(|s| LoadBias(s.addr.0.wrapping_sub(first.addr.0)))
}

fn base_name(path: &Path) -> Option<&OsStr> {
    path.file_name()
}
