//! The first module's data by its structure.

use objref_mem::{Addr, AddressSpace, Arch, Image, LinkAddr, LoadBias};

use crate::layout::StructSource;
use crate::module::{AddrRange, Mask, Module, read_modules};

/// Sections that start with the function table, in static and in position-independent binaries.
const PCLNTAB_SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Starts of a function table: a number for the format, two zeros.
// internal/abi/symtab.go: PCLnTabMagic: go1.18, go1.20
const PCLNTAB_MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// Bytes of the start that are the same for every program; tables start at multiples of it, at least.
const HEADER: usize = 8;

/// The address of `runtime.firstmoduledata`.
pub(crate) fn first_module(
    space: &AddressSpace,
    image: &Image,
    bias: LoadBias,
    source: &dyn StructSource,
) -> Option<Addr> {
    let check = |at: LinkAddr| Some(bias.to_addr(at)).filter(|at| is_module(space, source, *at));
    // From 1.26 on it has a section of its own.
    if let Some(found) = image.section(".go.module").and_then(|s| check(s.addr)) {
        return Some(found);
    }
    let section = PCLNTAB_SECTIONS.iter().find_map(|name| image.section(name));
    let tables: Vec<LinkAddr> = match section {
        Some(section) => vec![section.addr],
        None => pclntabs(image),
    };
    tables.into_iter().find_map(|table| {
        references(space, image, bias, bias.to_addr(table)).find(|at| is_module(space, source, *at))
    })
}

/// Function tables in a binary without section headers.
fn pclntabs(image: &Image) -> Vec<LinkAddr> {
    let mut found = Vec::new();
    for segment in image.segments() {
        let Some(bytes) = image.link_bytes(segment.addr, segment.file_size) else {
            continue;
        };
        for (i, start) in bytes.chunks_exact(HEADER).enumerate() {
            if is_pclntab(image.arch(), start) {
                found.push(segment.addr.add((i * HEADER) as u64));
            }
        }
    }
    found
}

/// `magic u32, 0, 0, size of the smallest instruction, size of a pointer`.
// runtime/symtab.go: pcHeader
fn is_pclntab(arch: Arch, start: &[u8]) -> bool {
    let magic = arch.encoding().u32(start, 0);
    let sizes = [arch.instruction_size(), arch.pointer_size() as u32];
    magic.is_some_and(|magic| PCLNTAB_MAGICS.contains(&magic))
        && matches!(*start, [.., 0, 0, a, b] if [a, b].map(u32::from) == sizes)
}

/// Words of the writable data that point to `table`, as the first word of a module's data does.
fn references(
    space: &AddressSpace,
    image: &Image,
    bias: LoadBias,
    table: Addr,
) -> impl Iterator<Item = Addr> {
    let writable = image.segments().iter().filter(|s| s.flags.writable());
    writable.flat_map(move |segment| {
        let start = bias.to_addr(segment.addr);
        let bytes = space
            .bytes(start, segment.file_size as usize)
            .unwrap_or_default();
        let words = space.encoding().words(&bytes).enumerate();
        let found: Vec<Addr> = words
            .filter(|(_, word)| *word == table.0)
            .map(|(i, _)| start.add(i as u64 * space.word_size()))
            .collect();
        found
    })
}

/// The pointer masks of a module have a bit for each whole word of its data, which nothing else has.
fn is_module(space: &AddressSpace, source: &dyn StructSource, at: Addr) -> bool {
    let fits = |mask: Mask, data: AddrRange| mask.bits == data.len() / space.word_size();
    let covers = |m: &Module| fits(m.gcdatamask, m.data) && fits(m.gcbssmask, m.bss);
    read_modules(space, source, at).is_ok_and(|modules| modules.first().is_some_and(covers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_tables_are_known_by_their_first_word() {
        let is = |arch, start: [u8; 8]| is_pclntab(arch, &start);
        assert!(is(Arch::Amd64, [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]));
        assert!(is(Arch::Arm64, [0xf0, 0xff, 0xff, 0xff, 0, 0, 4, 8]));
        assert!(is(Arch::S390x, [0xff, 0xff, 0xff, 0xf1, 0, 0, 2, 8]));
        assert!(!is(Arch::Amd64, [0xf2, 0xff, 0xff, 0xff, 0, 0, 1, 8]));
        assert!(!is(Arch::Amd64, [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 4]));
        assert!(!is(Arch::Amd64, [0xf1, 0xff, 0xff, 0xff, 0, 0, 4, 8]));
        assert!(!is_pclntab(Arch::Amd64, &[]));
    }
}
