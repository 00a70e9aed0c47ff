//! Writes synthetic ELF cores and binaries, for tests.
//!
//! Nothing here is shared with the code that reads them: every offset is spelled out again from
//! the ELF specification and the kernel's headers, so that a mistake in one of the two shows.
//! A core is described by a [`CoreBuilder`], a binary by an [`ImageBuilder`]; both give the bytes
//! of a file.

mod core;
mod image;
mod note;

pub use core::{CoreBuilder, Layout};
pub use image::ImageBuilder;
pub use note::{auxv, mapped_files, note, prpsinfo, prstatus, siginfo};

/// `PF_R`
pub const R: u32 = 4;
/// `PF_R | PF_W`
pub const RW: u32 = 6;
/// `PF_R | PF_X`
pub const RX: u32 = 5;
/// `e_machine` of x86-64
pub const AMD64: u16 = 62;
/// `e_machine` of AArch64
pub const ARM64: u16 = 183;

fn p16(out: &mut Vec<u8>, v: u16) {
    out.extend_from_slice(&v.to_le_bytes());
}

fn p32(out: &mut Vec<u8>, v: u32) {
    out.extend_from_slice(&v.to_le_bytes());
}

fn p64(out: &mut Vec<u8>, v: u64) {
    out.extend_from_slice(&v.to_le_bytes());
}

fn pad(out: &mut Vec<u8>, align: usize) {
    out.resize(out.len().next_multiple_of(align), 0);
}

/// Where things are, for the file header.
struct FileHeader {
    e_type: u16,
    machine: u16,
    entry: u64,
    phnum: u16,
    shoff: u64,
    shnum: u16,
    shstrndx: u16,
}

/// The 64 bytes of `Elf64_Ehdr`; the program headers follow it.
fn file_header(h: &FileHeader) -> Vec<u8> {
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    p16(&mut out, h.e_type);
    p16(&mut out, h.machine);
    p32(&mut out, 1);
    p64(&mut out, h.entry);
    p64(&mut out, 64);
    p64(&mut out, h.shoff);
    p32(&mut out, 0);
    p16(&mut out, 64);
    p16(&mut out, 56);
    p16(&mut out, h.phnum);
    p16(&mut out, if h.shoff == 0 { 0 } else { 64 });
    p16(&mut out, h.shnum);
    p16(&mut out, h.shstrndx);
    assert_eq!(out.len(), 64);
    out
}

/// One `Elf64_Phdr`, 56 bytes.
struct Phdr {
    p_type: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

impl Phdr {
    fn write(&self, out: &mut Vec<u8>) {
        p32(out, self.p_type);
        p32(out, self.flags);
        p64(out, self.offset);
        p64(out, self.vaddr);
        p64(out, 0);
        p64(out, self.filesz);
        p64(out, self.memsz);
        p64(out, self.align);
    }
}

/// One `Elf64_Shdr`, 64 bytes.
#[derive(Default)]
struct Shdr {
    name: u32,
    sh_type: u32,
    flags: u64,
    addr: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entsize: u64,
}

impl Shdr {
    fn write(&self, out: &mut Vec<u8>) {
        p32(out, self.name);
        p32(out, self.sh_type);
        p64(out, self.flags);
        p64(out, self.addr);
        p64(out, self.offset);
        p64(out, self.size);
        p32(out, self.link);
        p32(out, self.info);
        p64(out, self.align);
        p64(out, self.entsize);
    }
}
