//! Cores as the kernel and gdb lay them out.

use crate::{AMD64, FileHeader, Phdr, Shdr, file_header, pad};

/// In which order a core has its parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Layout {
    /// `fs/binfmt_elf.c`: headers, notes, memory on page boundaries; section header 0 at the end
    /// when there are too many program headers for the file header.
    #[default]
    Kernel,
    /// `gcore`: headers, memory without alignment, notes, section headers.
    Gdb,
}

struct Segment {
    addr: u64,
    flags: u32,
    bytes: Vec<u8>,
    mem_size: u64,
}

/// Describes a core.
#[derive(Default)]
pub struct CoreBuilder {
    layout: Layout,
    machine: Option<u16>,
    segments: Vec<Segment>,
    notes: Vec<u8>,
}

impl CoreBuilder {
    /// An empty amd64 core laid out as the kernel does.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays it out otherwise.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Another machine than amd64, by `e_machine`.
    pub fn machine(mut self, machine: u16) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Memory that is in the core.
    pub fn segment(self, addr: u64, flags: u32, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let mem_size = bytes.len() as u64;
        self.partial(addr, flags, bytes, mem_size)
    }

    /// Memory of which only the first bytes, perhaps none, are in the core.
    pub fn partial(
        mut self,
        addr: u64,
        flags: u32,
        bytes: impl Into<Vec<u8>>,
        mem_size: u64,
    ) -> Self {
        self.segments.push(Segment {
            addr,
            flags,
            bytes: bytes.into(),
            mem_size,
        });
        self
    }

    /// Appends a note; see [`crate::note`] and the functions that make known ones.
    pub fn note(mut self, note: impl AsRef<[u8]>) -> Self {
        self.notes.extend_from_slice(note.as_ref());
        self
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let phnum = self.segments.len() + 1;
        let table_end = 64 + 56 * phnum;
        let gdb = self.layout == Layout::Gdb;

        // Everything behind the program headers; offsets are from the start of the file.
        let mut body: Vec<u8> = Vec::new();
        let at = |body: &Vec<u8>| (table_end + body.len()) as u64;
        let mut notes_at = at(&body);
        if !gdb {
            body.extend_from_slice(&self.notes);
        }
        let mut offsets = Vec::new();
        for s in &self.segments {
            if !gdb {
                let len = at(&body).next_multiple_of(4096) as usize - table_end;
                body.resize(len, 0);
            }
            offsets.push(at(&body));
            body.extend_from_slice(&s.bytes);
        }
        if gdb {
            notes_at = at(&body);
            body.extend_from_slice(&self.notes);
        }

        let many = phnum >= 0xffff;
        let (mut shoff, mut shnum) = (0, 0);
        if many || gdb {
            pad(&mut body, 8);
            shoff = at(&body);
            shnum = 1;
            let info = if many { phnum as u32 } else { 0 };
            Shdr {
                info,
                size: 1,
                ..Shdr::default()
            }
            .write(&mut body);
        }
        let mut out = file_header(&FileHeader {
            e_type: 4,
            machine: self.machine.unwrap_or(AMD64),
            entry: 0,
            phnum: if many { 0xffff } else { phnum as u16 },
            shoff,
            shnum,
            shstrndx: 0,
        });
        let (filesz, align) = (self.notes.len() as u64, if gdb { 1 } else { 4 });
        Phdr {
            p_type: 4,
            flags: 0,
            offset: notes_at,
            vaddr: 0,
            filesz,
            memsz: 0,
            align,
        }
        .write(&mut out);
        for (s, offset) in self.segments.iter().zip(offsets) {
            Phdr {
                p_type: 1,
                flags: s.flags,
                offset,
                vaddr: s.addr,
                filesz: s.bytes.len() as u64,
                memsz: s.mem_size,
                align: if gdb { 1 } else { 4096 },
            }
            .write(&mut out);
        }
        assert_eq!(out.len(), table_end);
        out.extend(body);
        out
    }
}
