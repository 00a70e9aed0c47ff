//! The first module's data by its structure.

use objref_mem::{Addr, AddressSpace, Image, LinkAddr, LoadBias};

use crate::layout::StructSource;
use crate::module::{AddrRange, Mask, Module, read_modules};

/// Sections that start with the function table, in static and in position-independent binaries.
const PCLNTAB_SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Starts of a function table: a number for the format, two zeros.
// internal/abi/symtab.go: PCLnTabMagic: go1.18, go1.20
const PCLNTAB_MAGICS: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
const WORD: usize = 8;

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
        for (i, word) in bytes.chunks_exact(WORD).enumerate() {
            if is_pclntab(word) {
                found.push(segment.addr.add((i * WORD) as u64));
            }
        }
    }
    found
}

/// `magic u32, 0, 0, size of the smallest instruction, size of a pointer`.
// runtime/symtab.go: pcHeader
fn is_pclntab(word: &[u8]) -> bool {
    match *word {
        [a, b, c, d, 0, 0, 1 | 4, 8] => PCLNTAB_MAGICS.contains(&u32::from_le_bytes([a, b, c, d])),
        _ => false,
    }
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
        let found: Vec<Addr> = bytes
            .chunks_exact(WORD)
            .enumerate()
            .filter(|(_, word)| *word == table.0.to_le_bytes())
            .map(|(i, _)| start.add((i * WORD) as u64))
            .collect();
        found
    })
}

/// The pointer masks of a module have a bit for each whole word of its data, which nothing else has.
fn is_module(space: &AddressSpace, source: &dyn StructSource, at: Addr) -> bool {
    let fits = |mask: Mask, data: AddrRange| mask.bits == data.len() / WORD as u64;
    let covers = |m: &Module| fits(m.gcdatamask, m.data) && fits(m.gcbssmask, m.bss);
    read_modules(space, source, at).is_ok_and(|modules| modules.first().is_some_and(covers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_tables_are_known_by_their_first_word() {
        assert!(is_pclntab(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]));
        assert!(is_pclntab(&[0xf0, 0xff, 0xff, 0xff, 0, 0, 4, 8]));
        assert!(!is_pclntab(&[0xf2, 0xff, 0xff, 0xff, 0, 0, 1, 8]));
        assert!(!is_pclntab(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 4]));
        assert!(!is_pclntab(&[]));
    }
}
