//! An index whose sections are damaged, and whose sums are right all the same.

use std::path::Path;
use std::sync::Arc;

use objref_mem::{Core, Image, Input};
use objref_snapshot::{Dump, LoadOptions, NoProgress, Retained, write_index};

/// Bytes of an entry of the table: number, CRC-32, offset, length.
const ENTRY: usize = 24;

/// The index of a dump in `fixtures/dumps`.
pub fn index_of(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/dumps"));
    let open = |kind| Input::open(&folder.join(format!("{name}.{kind}.zst"))).unwrap();
    let core = Core::parse(open("core")).unwrap();
    let image = Arc::new(Image::parse(open("exe")).unwrap());
    let dump = Dump::open(core, image, false, &NoProgress).unwrap();
    let (snapshot, references) = dump.load(&LoadOptions::default(), &NoProgress).unwrap();
    let retained = Retained::of(&dump, &snapshot);
    let mut bytes = Vec::new();
    write_index(&snapshot, &references, &retained, false, &mut bytes).unwrap();
    bytes
}

/// Changes a whole index as `input` says: section, how many bytes, offset, value; one, one, four and eight bytes each.
pub fn damage_index(index: &mut [u8], input: &[u8]) {
    let sections = sections(index);
    for change in input.chunks_exact(14) {
        let Some((_, start, len)) = sections.get(usize::from(change[0]) % sections.len().max(1)) else { return };
        let width = 1 << (change[1] & 3);
        if *len < width {
            continue;
        }
        let offset = u32::from_le_bytes([change[2], change[3], change[4], change[5]]) as usize;
        let at = start + offset % (len - width + 1);
        index[at..at + width].copy_from_slice(&change[6..6 + width]);
    }
    seal(index);
}

/// Makes the sums of all sections right.
pub fn seal(index: &mut [u8]) {
    for (entry, start, len) in sections(index) {
        let crc = crc32fast::hash(&index[start..start + len]);
        index[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Where the table's entries are, and the sections that they name, those that are inside.
fn sections(index: &[u8]) -> Vec<(usize, usize, usize)> {
    let word = |at: usize| {
        let bytes = index.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let Some((end, table)) = index.len().checked_sub(16).and_then(|end| Some((end, word(end)?))) else {
        return Vec::new();
    };
    let entries = (table..end.saturating_sub(ENTRY - 1)).step_by(ENTRY).take(256);
    let found = entries.filter_map(|entry| {
        let (start, len) = (word(entry + 8)?, word(entry + 16)?);
        (start.checked_add(len)? <= table).then_some((entry, start, len))
    });
    found.collect()
}
