//! What the linker left for `go version -m`, the version of Go and the main module: in stripped binaries, too.

use objref_mem::Image;

use crate::version::GoVersion;

// debug/buildinfo/buildinfo.go: buildInfoMagic, buildInfoAlign, buildInfoHeaderSize
const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGN: usize = 16;
const HEADER: usize = 32;
/// In the header's flags: the version stands right behind the header (go1.18+).
const INLINE: u8 = 2;
const MAX_VERSION: usize = 256;

/// The version in the binary's build information; `None` where there is none, or one written before go1.18.
pub(crate) fn version(image: &Image) -> Option<GoVersion> {
    parse(find(image)?).map(|(version, _)| version)
}

/// The path of the main package's module; `None` where the program was built without modules.
pub fn main_module(image: &Image) -> Option<String> {
    line(image, "mod")
}

/// The import path of the main package; `None` where the linker left no build information.
pub fn main_package(image: &Image) -> Option<String> {
    line(image, "path")
}

/// The first field of the line of the modules' text that starts with `word`.
// runtime/debug/mod.go: BuildInfo.String
fn line(image: &Image, word: &str) -> Option<String> {
    let (_, modules) = parse(find(image)?)?;
    // debug/buildinfo/buildinfo.go: readRawBuildInfo. The text stands between two marks of 16 bytes.
    let text = modules.get(16..modules.len().checked_sub(16)?)?;
    let text = std::str::from_utf8(text).ok()?;
    let mut fields = text.lines().map(|line| line.split('\t'));
    let mut fields = fields.find(|fields| fields.clone().next() == Some(word))?;
    fields.nth(1).map(str::to_owned)
}

/// The build information, and what follows it.
// cmd/link/internal/ld/data.go: buildinfo
fn find(image: &Image) -> Option<&[u8]> {
    if let Some(section) = image.section(".go.buildinfo") {
        return Some(section.data);
    }
    image
        .segments()
        .iter()
        .filter(|s| s.flags.writable())
        .find_map(|s| search(s.addr.0, image.link_bytes(s.addr, s.file_size)?))
}

/// The part of `bytes`, which lie at `addr`, that starts with a header. A segment does not have to start where one may.
fn search(addr: u64, bytes: &[u8]) -> Option<&[u8]> {
    let first = (addr.wrapping_neg() % ALIGN as u64) as usize;
    let at = (first..bytes.len())
        .step_by(ALIGN)
        .find(|&at| bytes[at..].starts_with(MAGIC))?;
    Some(&bytes[at..])
}

/// The version, and the text about the modules.
fn parse(bytes: &[u8]) -> Option<(GoVersion, &[u8])> {
    if !bytes.starts_with(MAGIC) || bytes.get(MAGIC.len() + 1)? & INLINE == 0 {
        return None;
    }
    let (version, rest) = string(bytes.get(HEADER..)?)?;
    let version = version.get(..version.len().min(MAX_VERSION))?;
    let version = GoVersion::parse(std::str::from_utf8(version).ok()?)?;
    let modules = string(rest).map_or(&[][..], |(modules, _)| modules);
    Some((version, modules))
}

/// A string behind its length, and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, bytes) = varint(bytes)?;
    Some((bytes.get(..len)?, &bytes[len..]))
}

/// A length as `encoding/binary` writes it, and what follows.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 127) << (7 * i);
        if byte & 128 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stands_behind_the_header_and_nothing_else() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(HEADER, 0);
        bytes.extend(b"\x18go1.26.6-X:nogreenteagc!");
        let (version, modules) = parse(&bytes).unwrap();
        assert_eq!((version.minor, version.patch), (26, 6));
        assert_eq!(version.text.len(), 0x18);
        assert!(modules.is_empty());
        for cut in 0..bytes.len() - 1 {
            assert!(parse(&bytes[..cut]).is_none(), "{cut}");
        }
        bytes[MAGIC.len() + 1] = 0;
        assert!(parse(&bytes).is_none());
        assert!(varint(&[255; 9]).is_none());
    }

    #[test]
    fn is_found_by_its_address_wherever_the_segment_starts() {
        let mut bytes = vec![0; 8];
        bytes.extend(MAGIC);
        assert!(search(0x5e_ae38, &bytes).is_some_and(|found| found.starts_with(MAGIC)));
        assert!(search(0x5e_ae30, &bytes).is_none());
        assert!(search(0x5e_ae31, &bytes[8..]).is_none());
        assert!(search(1, &[]).is_none());
    }
}
