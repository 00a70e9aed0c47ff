//! A process made by hand: memory, function tables, goroutines. It shares no layout with the reader: offsets are
//! chosen here, and told to the reader as a binary's debug information would.

use std::cell::RefCell;
use std::io::Write;

use objref_go::{AddrRange, FieldAt, Mask, Module, RawSlice, StructSource};
use objref_mem::{Addr, AddressSpace, Arch, Core, Input};

pub(crate) const TEXT: u64 = 0x10_0000;
pub(crate) const RODATA: u64 = 0x20_0000;
pub(crate) const TABLES: u64 = 0x30_0000;
pub(crate) const GS: u64 = 0x40_0000;
pub(crate) const STACK: u64 = 0x50_0000;
pub(crate) const STACK_SIZE: u64 = 0x1000;
/// Addresses from here on stand for heap objects.
pub(crate) const HEAP: u64 = 0xc0_0000_0000;

/// A function of the synthetic program.
#[derive(Clone, Default)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) size: u32,
    /// (stack pointer below its value at the entry, until this offset)
    pub(crate) sp: Vec<(i32, u32)>,
    /// (stack map row, until this offset)
    pub(crate) maps: Vec<(i32, u32)>,
    /// (inlined call, until this offset)
    pub(crate) inlined: Vec<(i32, u32)>,
    pub(crate) args: u32,
    pub(crate) deferreturn: u32,
    pub(crate) id: u8,
    pub(crate) flags: u8,
    /// Rows of bits, as strings of 0 and 1, lowest word first.
    pub(crate) locals: Vec<&'static str>,
    pub(crate) arg_maps: Vec<&'static str>,
    /// (offset, size, mask)
    pub(crate) objects: Vec<(i32, u32, &'static str)>,
    /// (name, code offset of the call in the parent)
    pub(crate) inline_tree: Vec<(&'static str, u32)>,
    /// (file number, line, until this offset)
    pub(crate) lines: Vec<(i32, i32, u32)>,
}

pub(crate) const TOP_FRAME: u8 = 1;
pub(crate) const SP_WRITE: u8 = 2;

#[derive(Default)]
pub(crate) struct Program {
    functions: Vec<Function>,
    arm64: bool,
    memory: RefCell<Vec<(u64, Vec<u8>)>>,
}

fn varint(out: &mut Vec<u8>, mut n: u32) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn bits(rows: &[&str]) -> Vec<u8> {
    let width = rows.first().map_or(0, |r| r.len());
    let mut out = Vec::new();
    for row in rows {
        assert_eq!(row.len(), width);
        let mut bytes = vec![0u8; width.div_ceil(8)];
        for (i, c) in row.chars().enumerate().filter(|(_, c)| *c == '1') {
            let _ = c;
            bytes[i / 8] |= 1 << (i % 8);
        }
        out.extend(bytes);
    }
    out
}

fn stack_map(rows: &[&str]) -> Vec<u8> {
    let mut out = (rows.len() as u32).to_le_bytes().to_vec();
    out.extend((rows.first().map_or(0, |r| r.len()) as u32).to_le_bytes());
    out.extend(bits(rows));
    out
}

impl Program {
    /// Of amd64 or arm64.
    pub(crate) fn new(arch: Arch) -> Program {
        Program {
            arm64: arch == Arch::Arm64,
            ..Program::default()
        }
    }

    pub(crate) fn add(&mut self, f: Function) -> &mut Self {
        self.functions.push(f);
        self
    }

    /// Entry of the function called `name`.
    pub(crate) fn entry(&self, name: &str) -> u64 {
        let before = self.functions.iter().take_while(|f| f.name != name);
        TEXT + before.map(|f| u64::from(f.size)).sum::<u64>()
    }

    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.borrow_mut().push((at, bytes.to_vec()));
    }

    pub(crate) fn words(&self, at: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.write(at, &bytes);
    }

    /// Writes the goroutine that the tests look at, parked with this program counter and stack pointer.
    pub(crate) fn goroutine(&self, pc: u64, sp: u64, lr: u64) {
        let g = GS + 0x100;
        self.words(GS, &[GS + 0x40, 1]);
        self.words(GS + 0x40, &[g]);
        self.words(g, &[STACK, STACK + STACK_SIZE]);
        self.words(g + 0x38, &[sp, pc, 0, 0, lr, 0]);
        self.words(g + 0x90, &[4, 7]);
    }

    /// Tables, memory and the module that describes them.
    pub(crate) fn build(&self) -> (AddressSpace, Module) {
        let (mut names, mut records, mut ftab, mut funcdata) = (vec![0u8], vec![], vec![], vec![]);
        let mut pctab = vec![0u8];
        let name_of = |names: &mut Vec<u8>, name: &str| {
            let at = names.len() as u32;
            names.extend(name.bytes().chain([0]));
            at
        };
        let mut masks = Vec::new();
        let mut at = 0u32;
        for f in &self.functions {
            let mut table = |entries: Vec<(i32, u32)>| -> u32 {
                if entries.is_empty() {
                    return 0;
                }
                let start = pctab.len() as u32;
                let (mut value, mut pc) = (-1i32, 0u32);
                for (v, end) in entries {
                    let delta = v.wrapping_sub(value);
                    varint(&mut pctab, ((delta << 1) ^ (delta >> 31)) as u32);
                    varint(&mut pctab, (end - pc) / if self.arm64 { 4 } else { 1 });
                    (value, pc) = (v, end);
                }
                pctab.push(0);
                start
            };
            let pcsp = table(f.sp.clone());
            let pcfile = table(f.lines.iter().map(|l| (l.0, l.2)).collect());
            let pcln = table(f.lines.iter().map(|l| (l.1, l.2)).collect());
            let pcdata = [0, table(f.maps.clone()), table(f.inlined.clone())];
            let mut data = |bytes: Option<Vec<u8>>| -> u32 {
                let Some(bytes) = bytes else { return u32::MAX };
                while funcdata.len() % 8 != 0 {
                    funcdata.push(0);
                }
                let at = funcdata.len() as u32;
                funcdata.extend(bytes);
                at
            };
            let args = data((!f.arg_maps.is_empty()).then(|| stack_map(&f.arg_maps)));
            let locals = data((!f.locals.is_empty()).then(|| stack_map(&f.locals)));
            let objects = data((!f.objects.is_empty()).then(|| {
                let mut out = (f.objects.len() as u64).to_le_bytes().to_vec();
                for (offset, size, mask) in &f.objects {
                    out.extend(offset.to_le_bytes());
                    out.extend(size.to_le_bytes());
                    out.extend((mask.len() as i32 * 8).to_le_bytes());
                    out.extend((masks.len() as u32).to_le_bytes());
                    masks.extend(bits(&[mask]));
                }
                out
            }));
            let tree = data((!f.inline_tree.is_empty()).then(|| {
                let mut out = Vec::new();
                for (name, parent) in &f.inline_tree {
                    out.extend([0u8; 4]);
                    out.extend(name_of(&mut names, name).to_le_bytes());
                    out.extend(parent.to_le_bytes());
                    out.extend([0u8; 4]);
                }
                out
            }));
            while records.len() % 4 != 0 {
                records.push(0);
            }
            ftab.extend(at.to_le_bytes());
            ftab.extend((records.len() as u32).to_le_bytes());
            let name = name_of(&mut names, f.name);
            for word in [at, name, f.args, f.deferreturn, pcsp, pcfile, pcln, 3, 0, 0] {
                records.extend(word.to_le_bytes());
            }
            records.extend([f.id, f.flags, 0, 4]);
            for word in pcdata.into_iter().chain([args, locals, objects, tree]) {
                records.extend(word.to_le_bytes());
            }
            at += f.size;
        }
        ftab.extend(at.to_le_bytes());
        ftab.extend([0u8; 4]);

        let files = b"a.go\0b.go\0".to_vec();
        let cutab: Vec<u8> = [0u32, 5].iter().flat_map(|w| w.to_le_bytes()).collect();
        let mut place = TABLES;
        let mut put = |bytes: &[u8], element: u64| {
            let slice = RawSlice {
                data: Addr(place),
                len: bytes.len() as u64 / element,
            };
            self.write(place, bytes);
            place += (bytes.len() as u64).next_multiple_of(64);
            slice
        };
        let pcs = AddrRange {
            start: Addr(TEXT),
            end: Addr(TEXT + u64::from(at)),
        };
        let module = Module {
            addr: Addr(0),
            name: String::new(),
            funcnametab: put(&names, 1),
            cutab: put(&cutab, 4),
            filetab: put(&files, 1),
            pctab: put(&pctab, 1),
            pclntable: put(&records, 1),
            ftab: put(&ftab, 8),
            gofunc: put(&funcdata, 1).data,
            pcs,
            text: pcs,
            noptrdata: AddrRange::default(),
            data: AddrRange::default(),
            bss: AddrRange::default(),
            noptrbss: AddrRange::default(),
            // Masks count from here, as moduledata has no other base in this process.
            types: AddrRange {
                start: Addr(RODATA),
                end: Addr(RODATA + 1),
            },
            text_sections: Vec::new(),
            gcdatamask: Mask::default(),
            gcbssmask: Mask::default(),
        };
        self.write(RODATA, &masks);
        (self.space(), module)
    }

    /// A core with what was written.
    fn space(&self) -> AddressSpace {
        let regions = [
            (RODATA, 0x1000),
            (TABLES, 0x10000),
            (GS, 0x10000),
            (STACK, STACK_SIZE),
        ];
        let mut file = vec![0u8; 64 + 56 * regions.len()];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
        file[18] = if self.arm64 { 0xb7 } else { 0x3e };
        file[20] = 1;
        file[32] = 64;
        file[52..58].copy_from_slice(&[64, 0, 56, 0, regions.len() as u8, 0]);
        for (i, (start, len)) in regions.into_iter().enumerate() {
            let offset = file.len() as u64;
            let mut bytes = vec![0u8; len as usize];
            for (at, data) in self.memory.borrow().iter() {
                if (start..start + len).contains(at) {
                    let at = (at - start) as usize;
                    bytes[at..at + data.len()].copy_from_slice(data);
                }
            }
            let header: Vec<u8> = [1 | 6 << 32, offset, start, 0, len, len, 4096]
                .into_iter()
                .flat_map(u64::to_le_bytes)
                .collect();
            file[64 + i * 56..][..56].copy_from_slice(&header);
            file.extend(bytes);
        }
        let mut temp = tempfile::NamedTempFile::new().unwrap();
        temp.write_all(&file).unwrap();
        let core = Core::parse(Input::open(temp.path()).unwrap()).unwrap();
        AddressSpace::new(&core, &[])
    }
}

/// The layouts of the synthetic runtime.
pub(crate) struct Layouts;

impl StructSource for Layouts {
    fn field(&self, name: &str, path: &str) -> Option<FieldAt> {
        let (offset, size) = match (name, path) {
            ("runtime._func", "nameOff") => (4, 4),
            ("runtime._func", "args") => (8, 4),
            ("runtime._func", "deferreturn") => (12, 4),
            ("runtime._func", "pcsp") => (16, 4),
            ("runtime._func", "pcfile") => (20, 4),
            ("runtime._func", "pcln") => (24, 4),
            ("runtime._func", "npcdata") => (28, 4),
            ("runtime._func", "cuOffset") => (32, 4),
            ("runtime._func", "funcID") => (40, 1),
            ("runtime._func", "flag") => (41, 1),
            ("runtime._func", "nfuncdata") => (43, 1),
            ("runtime.inlinedCall", "funcID") => (0, 1),
            ("runtime.inlinedCall", "nameOff") => (4, 4),
            ("runtime.inlinedCall", "parentPc") => (8, 4),
            ("runtime.stackObjectRecord", "off") => (0, 4),
            ("runtime.stackObjectRecord", "size") => (4, 4),
            ("runtime.stackObjectRecord", "ptrBytes") => (8, 4),
            ("runtime.stackObjectRecord", "gcdataoff") => (12, 4),
            ("runtime._defer", "heap") => (0, 1),
            ("runtime._defer", "fn") => (8, 8),
            ("runtime._defer", "link") => (16, 8),
            ("runtime.g", path) => match path {
                "stack.lo" => (0, 8),
                "stack.hi" => (8, 8),
                "_panic" => (0x20, 8),
                "_defer" => (0x28, 8),
                "m" => (0x30, 8),
                "sched.sp" => (0x38, 8),
                "sched.pc" => (0x40, 8),
                "sched.ctxt" => (0x50, 8),
                "sched.lr" => (0x58, 8),
                "sched.bp" => (0x60, 8),
                "syscallsp" => (0x70, 8),
                "syscallpc" => (0x78, 8),
                "atomicstatus.value" => (0x90, 4),
                "goid" => (0x98, 8),
                "waitsince" => (0xa0, 8),
                "waitreason" => (0xa8, 1),
                "asyncSafePoint" => (0xa9, 1),
                "lockedm" => (0xb0, 8),
                "gopc" => (0xb8, 8),
                "startpc" => (0xc0, 8),
                "waiting" => (0xc8, 8),
                "labels" => (0xd0, 8),
                _ => return None,
            },
            _ => return None,
        };
        Some(FieldAt { offset, size })
    }

    fn size_of(&self, name: &str) -> Option<u64> {
        match name {
            "runtime.g" => Some(0x100),
            "runtime.inlinedCall" | "runtime.stackObjectRecord" => Some(16),
            _ => None,
        }
    }

    fn constant(&self, _name: &str) -> Option<i64> {
        None
    }
}
