//! The version of Go as the linker left it for `go version`: present in stripped binaries, too.

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
// cmd/link/internal/ld/data.go: buildinfo
pub(crate) fn version(image: &Image) -> Option<GoVersion> {
    if let Some(section) = image.section(".go.buildinfo") {
        return parse(section.data);
    }
    image
        .segments()
        .iter()
        .filter(|s| s.flags.writable())
        .find_map(|s| {
            let bytes = image.link_bytes(s.addr, s.file_size)?;
            let at = (0..bytes.len())
                .step_by(ALIGN)
                .find(|&at| bytes[at..].starts_with(MAGIC))?;
            parse(&bytes[at..])
        })
}

fn parse(bytes: &[u8]) -> Option<GoVersion> {
    if !bytes.starts_with(MAGIC) || bytes.get(MAGIC.len() + 1)? & INLINE == 0 {
        return None;
    }
    let (len, text) = varint(bytes.get(HEADER..)?)?;
    let text = text.get(..len.min(MAX_VERSION))?;
    GoVersion::parse(std::str::from_utf8(text).ok()?)
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
        let version = parse(&bytes).unwrap();
        assert_eq!((version.minor, version.patch), (26, 6));
        assert_eq!(version.text.len(), 0x18);
        for cut in 0..bytes.len() - 1 {
            assert!(parse(&bytes[..cut]).is_none(), "{cut}");
        }
        bytes[MAGIC.len() + 1] = 0;
        assert!(parse(&bytes).is_none());
        assert!(varint(&[255; 9]).is_none());
    }
}
