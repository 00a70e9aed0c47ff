//! Writes binaries for the tests: an ELF file around given sections, and DWARF as Go's toolchain
//! would write it for a made-up program.
#![allow(dead_code, unreachable_pub)]

use std::path::Path;

use objref_dwarf::{DebugInfo, DwarfError};
use objref_mem::Input;

pub mod program;

/// What the bytes of a file say.
pub fn load(file: &[u8]) -> Result<DebugInfo, DwarfError> {
    DebugInfo::load(&Input::from_bytes(Path::new("test"), file).expect("memory"))
}

/// An ELF64 file for amd64 that holds nothing but these sections.
pub fn elf(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut names = vec![0];
    let mut headers: Vec<[u64; 4]> = Vec::new(); // name, type, offset, size
    let mut body = Vec::new();
    for (name, bytes) in sections {
        headers.push([
            names.len() as u64,
            1,
            64 + body.len() as u64,
            bytes.len() as u64,
        ]);
        names.extend_from_slice(name.as_bytes());
        names.push(0);
        body.extend_from_slice(bytes);
    }
    let strings = names.len() as u64;
    names.extend_from_slice(b".shstrtab\0");
    headers.push([strings, 3, 64 + body.len() as u64, names.len() as u64]);
    body.extend_from_slice(&names);

    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend(2u16.to_le_bytes()); // ET_EXEC
    out.extend(62u16.to_le_bytes()); // EM_X86_64
    out.extend(1u32.to_le_bytes());
    out.extend([0; 16]); // entry, program headers
    out.extend((64 + body.len() as u64).to_le_bytes());
    out.extend(0u32.to_le_bytes());
    let count = headers.len() as u16 + 1;
    for half in [64, 0, 0, 64, count, count - 1] {
        out.extend(u16::to_le_bytes(half));
    }
    out.extend(body);
    out.extend([0; 64]);
    for [name, kind, offset, size] in headers {
        out.extend((name as u32).to_le_bytes());
        out.extend((kind as u32).to_le_bytes());
        for word in [0, 0, offset, size, 0, 1, 0] {
            out.extend(u64::to_le_bytes(word));
        }
    }
    out
}
