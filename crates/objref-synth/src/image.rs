//! Executables and shared objects.

use crate::{AMD64, FileHeader, Phdr, R, Shdr, file_header, p16, p32, p64, pad};

struct Segment {
    addr: u64,
    flags: u32,
    offset: u64,
    size: u64,
    mem_size: u64,
}

struct Section {
    name: String,
    sh_type: u32,
    addr: u64,
    bytes: Vec<u8>,
    link: u32,
}

/// Describes a binary. Its file starts with the headers, which take the first page.
#[derive(Default)]
pub struct ImageBuilder {
    pie: bool,
    entry: u64,
    /// The file from offset 4096 on.
    contents: Vec<u8>,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    symbols: Vec<(String, u64, u64, u8)>,
}

impl ImageBuilder {
    /// An executable at fixed addresses.
    pub fn executable(entry: u64) -> Self {
        Self {
            entry,
            ..Self::default()
        }
    }

    /// A position-independent executable: `ET_DYN` with an interpreter.
    pub fn pie(entry: u64) -> Self {
        Self {
            entry,
            pie: true,
            ..Self::default()
        }
    }

    /// A loaded segment at an address that is a multiple of the page size; what it has in memory
    /// beyond its bytes is zero.
    pub fn segment(mut self, addr: u64, flags: u32, bytes: &[u8], mem_size: u64) -> Self {
        assert_eq!(addr % 4096, 0);
        pad(&mut self.contents, 4096);
        let (offset, size) = (4096 + self.contents.len() as u64, bytes.len() as u64);
        self.contents.extend_from_slice(bytes);
        self.segments.push(Segment {
            addr,
            flags,
            offset,
            size,
            mem_size,
        });
        self
    }

    /// Loads the first page of the file, which has the headers.
    pub fn headers(mut self, addr: u64) -> Self {
        self.segments.push(Segment {
            addr,
            flags: R,
            offset: 0,
            size: 4096,
            mem_size: 4096,
        });
        self
    }

    /// A section with bytes of its own in the file.
    pub fn section(mut self, name: &str, sh_type: u32, addr: u64, bytes: &[u8]) -> Self {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        self.sections.push(Section {
            name,
            sh_type,
            addr,
            bytes,
            link: 0,
        });
        self
    }

    /// A symbol; `kind` is `STT_OBJECT` = 1 or `STT_FUNC` = 2.
    pub fn symbol(mut self, name: &str, addr: u64, size: u64, kind: u8) -> Self {
        self.symbols.push((name.to_owned(), addr, size, kind));
        self
    }

    /// Where in the file the segment at `addr` starts.
    pub fn file_offset(&self, addr: u64) -> Option<u64> {
        self.segments
            .iter()
            .find(|s| s.addr == addr)
            .map(|s| s.offset)
    }

    /// The bytes of the file.
    pub fn build(mut self) -> Vec<u8> {
        if !self.symbols.is_empty() {
            let mut names = vec![0];
            let mut table = vec![0; 24];
            for (name, addr, size, kind) in &self.symbols {
                p32(&mut table, names.len() as u32);
                table.extend([0x10 | kind, 0]);
                p16(&mut table, 1);
                p64(&mut table, *addr);
                p64(&mut table, *size);
                names.extend(name.bytes());
                names.push(0);
            }
            let link = self.sections.len() as u32 + 2;
            let name = ".symtab".to_owned();
            self.sections.push(Section {
                name,
                sh_type: 2,
                addr: 0,
                bytes: table,
                link,
            });
            let name = ".strtab".to_owned();
            self.sections.push(Section {
                name,
                sh_type: 3,
                addr: 0,
                bytes: names,
                link: 0,
            });
        }

        let mut body = self.contents;
        let mut names = vec![0];
        let mut headers = Vec::new();
        Shdr::default().write(&mut headers);
        let strings = Section {
            name: ".shstrtab".into(),
            sh_type: 3,
            addr: 0,
            bytes: Vec::new(),
            link: 0,
        };
        let count = self.sections.len() + 2;
        for s in self.sections.iter().chain([&strings]) {
            let name = names.len() as u32;
            names.extend(s.name.bytes());
            names.push(0);
            let bytes = if s.name == ".shstrtab" {
                &names
            } else {
                &s.bytes
            };
            pad(&mut body, 8);
            let (offset, size) = (4096 + body.len() as u64, bytes.len() as u64);
            body.extend_from_slice(bytes);
            let (sh_type, addr, link) = (s.sh_type, s.addr, s.link);
            let entsize = if sh_type == 2 { 24 } else { 0 };
            Shdr {
                name,
                sh_type,
                addr,
                offset,
                size,
                link,
                align: 4,
                entsize,
                ..Shdr::default()
            }
            .write(&mut headers);
        }
        pad(&mut body, 8);
        let mut out = file_header(&FileHeader {
            e_type: if self.pie { 3 } else { 2 },
            machine: AMD64,
            entry: self.entry,
            phnum: self.segments.len() as u16 + u16::from(self.pie),
            shoff: 4096 + body.len() as u64,
            shnum: count as u16,
            shstrndx: count as u16 - 1,
        });
        for s in &self.segments {
            let (flags, offset, vaddr) = (s.flags, s.offset, s.addr);
            let (filesz, memsz) = (s.size, s.mem_size);
            Phdr {
                p_type: 1,
                flags,
                offset,
                vaddr,
                filesz,
                memsz,
                align: 4096,
            }
            .write(&mut out);
        }
        if self.pie {
            Phdr {
                p_type: 3,
                flags: 4,
                offset: 0,
                vaddr: 0,
                filesz: 0,
                memsz: 0,
                align: 1,
            }
            .write(&mut out);
        }
        assert!(out.len() <= 4096);
        out.resize(4096, 0);
        out.extend(body);
        out.extend(headers);
        out
    }
}
