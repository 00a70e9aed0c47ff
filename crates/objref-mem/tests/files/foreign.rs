//! Cores and binaries of other classes and byte orders, spelled out byte by byte.

use crate::common::{core, image, input};
use objref_mem::{
    Addr, AddressSpace, Arch, Core, CoreError, Image, ImageError, LinkAddr, LoadBias, Registers,
};
use objref_synth::R;

/// Writes numbers as one machine does.
struct Bytes {
    out: Vec<u8>,
    wide: bool,
    big: bool,
}

impl Bytes {
    fn of(arch: &Machine) -> Self {
        Bytes {
            out: Vec::new(),
            wide: arch.wide,
            big: arch.big,
        }
    }

    fn number(mut self, n: u64, len: usize) -> Self {
        let mut bytes = n.to_le_bytes()[..len].to_vec();
        if self.big {
            bytes.reverse();
        }
        self.out.extend(bytes);
        self
    }

    fn half(self, n: u16) -> Self {
        self.number(n.into(), 2)
    }

    fn int(self, n: u32) -> Self {
        self.number(n.into(), 4)
    }

    fn word(self, n: u64) -> Self {
        let len = if self.wide { 8 } else { 4 };
        self.number(n, len)
    }

    fn words(self, all: impl IntoIterator<Item = u64>) -> Self {
        all.into_iter().fold(self, Self::word)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.out.extend(bytes);
        self
    }

    fn fill(mut self, len: usize) -> Self {
        self.out.resize(len, 0);
        self
    }
}

struct Machine {
    e_machine: u16,
    wide: bool,
    big: bool,
}

const I386: Machine = Machine {
    e_machine: 3,
    wide: false,
    big: false,
};
const S390X: Machine = Machine {
    e_machine: 22,
    wide: true,
    big: true,
};

/// The header, one table of program headers right behind it, and what follows that: the first
/// segment starts there.
fn elf(
    m: &Machine,
    kind: u16,
    segments: &[(u32, u64, u64)],
    sections: (u64, u16),
    body: &[u8],
) -> Vec<u8> {
    let (ehsize, phentsize, shentsize) = if m.wide { (64, 56, 64) } else { (52, 32, 40) };
    let ident = [
        0x7f,
        b'E',
        b'L',
        b'F',
        1 + u8::from(m.wide),
        1 + u8::from(m.big),
        1,
    ];
    let mut file = Bytes::of(m).raw(&ident).fill(16);
    file = file.half(kind).half(m.e_machine).int(1).word(0x1040);
    file = file
        .word(ehsize)
        .word(sections.0)
        .int(0)
        .half(ehsize as u16);
    file = file.half(phentsize).half(segments.len() as u16);
    file = file
        .half(shentsize)
        .half(sections.1)
        .half(sections.1.saturating_sub(1));
    assert_eq!(file.out.len() as u64, ehsize);
    let mut offset = ehsize + u64::from(phentsize) * segments.len() as u64;
    for &(p_type, addr, len) in segments {
        file = file.int(p_type);
        if m.wide {
            file = file.int(R);
        }
        file = file.words([offset, addr, 0, len, len]);
        file = if m.wide { file } else { file.int(R) }.word(4);
        offset += len;
    }
    file.raw(body).out
}

fn note(m: &Machine, kind: u32, desc: &[u8]) -> Vec<u8> {
    let head = Bytes::of(m).int(5).int(desc.len() as u32).int(kind);
    let padded = desc.len().next_multiple_of(4);
    head.raw(b"CORE\0\0\0\0").raw(desc).fill(20 + padded).out
}

/// A core with a thread, the kernel's notes and a segment at 0x1000 with these bytes.
fn foreign(m: &Machine, registers: u64, memory: &[u8]) -> Core {
    let zeros = [0; 4].into_iter();
    let prstatus = Bytes::of(m)
        .int(11)
        .int(0)
        .int(0)
        .half(11)
        .half(0)
        .words([0, 0]);
    let prstatus = [77, 1, 1, 1].into_iter().fold(prstatus, Bytes::int);
    let prstatus = prstatus
        .words(zeros.clone().chain(zeros))
        .words(100..100 + registers);
    // uid, gid: of 16 bits on 386
    let prpsinfo = Bytes::of(m).raw(b"\0R\0\0");
    let prpsinfo = if m.wide {
        prpsinfo.fill(8).word(0).int(5).int(5)
    } else {
        prpsinfo.word(0).half(5).half(5)
    };
    let prpsinfo = [76, 1, 1, 1].into_iter().fold(prpsinfo, Bytes::int);
    let start = prpsinfo.out.len();
    let prpsinfo = prpsinfo
        .raw(b"prog")
        .fill(start + 16)
        .raw(b"/bin/prog -x")
        .fill(start + 96);
    let siginfo = Bytes::of(m).int(11).int(0).int(1);
    let siginfo = if m.wide { siginfo.int(0) } else { siginfo }
        .word(0xdead)
        .fill(128);
    let auxv = Bytes::of(m).words([6, 4096, 9, 0x1040, 0, 0]);
    let files = Bytes::of(m)
        .words([1, 4096, 0x1000, 0x2000, 3])
        .raw(b"/bin/prog\0");
    let notes = [
        note(m, 1, &prstatus.out),
        note(m, 3, &prpsinfo.out),
        note(m, 0x5349_4749, &siginfo.out),
        note(m, 6, &auxv.out),
        note(m, 0x4649_4c45, &files.out),
    ]
    .concat();
    let segments = [(4, 0, notes.len() as u64), (1, 0x1000, memory.len() as u64)];
    core(&elf(m, 4, &segments, (0, 0), &[&notes, memory].concat()))
}

fn check_notes(core: &Core) {
    let thread = &core.threads()[0];
    assert_eq!(
        (thread.tid, thread.signal, core.threads().len()),
        (77, 11, 1)
    );
    let process = core.process().unwrap();
    let told = (process.pid, &*process.name, &*process.args);
    assert_eq!(told, (76, "prog", "/bin/prog -x"));
    let signal = core.signal().unwrap();
    assert_eq!(
        (signal.signo, signal.code, signal.addr),
        (11, 1, Some(Addr(0xdead)))
    );
    assert_eq!((core.auxv(9), core.page_size()), (Some(0x1040), 4096));
    let file = &core.mapped_files()[0];
    assert_eq!(
        (file.start, file.end, file.file_offset),
        (Addr(0x1000), Addr(0x2000), 3 * 4096)
    );
    assert_eq!((&*file.path, core.damaged_notes()), ("/bin/prog", 0));
}

#[test]
fn a_core_of_32_bits() {
    let core = foreign(&I386, 17, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((core.arch(), core.arch().pointer_size()), (Arch::I386, 4));
    check_notes(&core);
    let regs = core.threads()[0].regs;
    assert_eq!((regs.pc(), regs.sp(), regs.lr()), (112, 115, None));
    let space = AddressSpace::new(&core, &[]);
    assert_eq!(space.ptr(Addr(0x1000)), Ok(Addr(0x0403_0201)));
    assert_eq!(space.word(Addr(0x1004)), Ok(0x0807_0605));
    assert_eq!(space.u64(Addr(0x1000)), Ok(0x0807_0605_0403_0201));
}

#[test]
fn a_core_with_the_highest_byte_first() {
    let core = foreign(&S390X, 27, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((core.arch(), core.arch().pointer_size()), (Arch::S390x, 8));
    check_notes(&core);
    let regs = core.threads()[0].regs;
    assert_eq!((regs.pc(), regs.sp(), regs.lr()), (101, 117, Some(116)));
    let space = AddressSpace::new(&core, &[]);
    assert_eq!(space.ptr(Addr(0x1000)), Ok(Addr(0x0102_0304_0506_0708)));
    assert_eq!(
        (space.u16(Addr(0x1001)), space.u8(Addr(0x1001))),
        (Ok(0x0203), Ok(2))
    );
    assert_eq!(space.uint(Addr(0x1004), 4), Ok(0x0506_0708));
}

/// A binary with a build id, a section and a symbol.
fn foreign_image(m: &Machine) -> Vec<u8> {
    let note = Bytes::of(m)
        .int(4)
        .int(4)
        .int(3)
        .raw(b"GNU\0\x0a\x0b\x0c\x0d")
        .out;
    let names = b"\0.symtab\0.names\0main.x\0";
    let symbol = Bytes::of(m).int(16);
    let (value, size) = (0x1234, 8);
    let symbol = if m.wide {
        symbol.raw(&[0x11, 0]).half(1).word(value).word(size)
    } else {
        symbol.word(value).word(size).raw(&[0x11, 0]).half(1)
    };
    let headers = if m.wide { 64 + 2 * 56 } else { 52 + 2 * 32 };
    let at = headers + note.len() as u64;
    let (table, text) = (symbol.out.len() as u64, names.len() as u64);
    let section = |b: Bytes, name, kind, offset, len, link| {
        b.int(name)
            .int(kind)
            .words([0, 0, offset, len])
            .int(link)
            .int(0)
            .words([1, 0])
    };
    let sections = section(Bytes::of(m), 0, 0, 0, 0, 0);
    let sections = section(sections, 1, 2, at, table, 2);
    let sections = section(sections, 9, 3, at + table, text, 0);
    let body = [&note[..], &symbol.out, names, &sections.out].concat();
    let segments = [(4, 0, note.len() as u64), (1, 0x1000, table)];
    elf(m, 2, &segments, (at + table + text, 3), &body)
}

#[test]
fn binaries_of_either_kind() {
    for m in [I386, S390X] {
        let image = image(&foreign_image(&m));
        assert_eq!(image.gnu_build_id(), Some(&b"\x0a\x0b\x0c\x0d"[..]));
        assert_eq!(image.entry(), LinkAddr(0x1040));
        let symbols: Vec<_> = image
            .symbols()
            .map(|s| (s.name, s.addr.0, s.size))
            .collect();
        assert_eq!(symbols, [("main.x", 0x1234, 8)]);
        let core = foreign(&m, 27, &[0; 16]);
        assert_eq!(image.load_bias(&core).unwrap(), LoadBias(0));
    }
}

/// A signal's context at 0x1100, on a signal stack from 0x1000 to 0x2000, with `words` from 0x1100 on.
fn interrupted(m: &Machine, before: (usize, u32), words: &[u64]) -> Option<Registers> {
    let context = Bytes::of(m)
        .fill(before.0)
        .int(before.1)
        .fill(0x100)
        .words(words.iter().copied());
    let core = foreign(m, 27, &context.fill(0x1000).out);
    let space = AddressSpace::new(&core, &[]);
    Registers::interrupted(&space, Addr(0x1100), Addr(0x1010)).unwrap()
}

#[test]
fn what_a_signal_interrupted() {
    // uc_flags uc_link, stack; gs fs es ds edi esi ebp esp ebx edx ecx eax trapno err eip cs
    let mut words = vec![0, 0, 0x1000, 0, 0x1000];
    words.extend([0, 0, 0, 0, 1, 2, 3, 0x4000, 5, 6, 7, 8, 0, 0, 0x8048, 0x23]);
    let regs = interrupted(&I386, (0x80, 6), &words).unwrap();
    assert_eq!((regs.pc(), regs.sp(), regs.all()[0]), (0x8048, 0x4000, 8));
    // The signal's description is 128 bytes before; 0 is no signal.
    assert_eq!(interrupted(&I386, (0x80, 0), &words), None);
    // Code of the kernel, or of nobody.
    words[20] = 0x10;
    assert_eq!(interrupted(&I386, (0x80, 6), &words), None);

    let mut words = vec![0, 0, 0x1000, 0, 0x1000, 0x0705_0001_8000_0000, 0x8048];
    words.extend(0x4000..0x4010);
    words[5 + 2 + 15] = 0x5008;
    let regs = interrupted(&S390X, (0x80, 6), &words).unwrap();
    assert_eq!(
        (regs.pc(), regs.sp(), regs.lr()),
        (0x8048, 0x5008, Some(0x400e))
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let of = |e_machine, wide, big| Machine {
        e_machine,
        wide,
        big,
    };
    for (m, name) in [
        (of(243, true, false), "riscv64"),
        (of(21, true, true), "ppc64"),
        (of(21, true, false), "ppc64le"),
        (of(40, false, false), "arm"),
        (of(62, false, false), "(machine 62, 32 bits, little-endian)"),
    ] {
        let bytes = elf(&m, 4, &[], (0, 0), &[]);
        let told = Core::parse(input(&bytes)).unwrap_err();
        assert!(matches!(told, CoreError::Unsupported { .. }));
        assert_eq!(
            told.to_string(),
            format!("test: linux/{name} cores are not supported yet")
        );
        let bytes = elf(&m, 2, &[], (0, 0), &[]);
        let told = Image::parse(input(&bytes)).unwrap_err();
        assert!(matches!(told, ImageError::Unsupported { .. }));
        assert_eq!(
            told.to_string(),
            format!("test: linux/{name} binaries are not supported yet")
        );
    }
}
