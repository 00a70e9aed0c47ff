//! The notes of a core, from `linux/elfcore.h`, `linux/elf.h` and `fs/binfmt_elf.c`.

use crate::{p16, p32, p64, pad};

/// Frames a descriptor: name and descriptor padded to 4 bytes.
pub fn note(name: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    p32(&mut out, name.len() as u32 + 1);
    p32(&mut out, desc.len() as u32);
    p32(&mut out, kind);
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(&mut out, 4);
    out.extend_from_slice(desc);
    pad(&mut out, 4);
    out
}

/// `NT_PRSTATUS`: a thread with its register block, as the kernel has it.
pub fn prstatus(tid: u32, signal: u16, registers: &[u64]) -> Vec<u8> {
    let mut d = Vec::new();
    for v in [u32::from(signal), 0, 0] {
        p32(&mut d, v); // si_signo si_code si_errno
    }
    p16(&mut d, signal); // pr_cursig
    p16(&mut d, 0);
    p64(&mut d, 0); // pr_sigpend
    p64(&mut d, 0); // pr_sighold
    for v in [tid, 1, 1, 1] {
        p32(&mut d, v); // pid ppid pgrp sid
    }
    d.resize(d.len() + 4 * 16, 0); // utime stime cutime cstime
    assert_eq!(d.len(), 112);
    for &r in registers {
        p64(&mut d, r);
    }
    p64(&mut d, 0); // pr_fpvalid, padding
    note("CORE", 1, &d)
}

/// `NT_PRPSINFO`: name is cut at 15 bytes, arguments at 79.
pub fn prpsinfo(pid: u32, name: &str, args: &str) -> Vec<u8> {
    let mut d = vec![0, b'R', 0, 0, 0, 0, 0, 0];
    p64(&mut d, 0); // pr_flag
    for v in [1000, 1000, pid, 1, 1, 1] {
        p32(&mut d, v); // uid gid pid ppid pgrp sid
    }
    for (text, len) in [(name, 16), (args, 80)] {
        let from = d.len();
        d.extend(text.bytes().take(len - 1));
        d.resize(from + len, 0);
    }
    assert_eq!(d.len(), 136);
    note("CORE", 3, &d)
}

/// `NT_SIGINFO`: a `siginfo_t` with an address.
pub fn siginfo(signo: i32, code: i32, addr: u64) -> Vec<u8> {
    let mut d = Vec::new();
    for v in [signo, 0, code, 0] {
        p32(&mut d, v as u32);
    }
    p64(&mut d, addr);
    d.resize(128, 0);
    note("CORE", 0x5349_4749, &d)
}

/// `NT_AUXV`: pairs, closed by `AT_NULL`.
pub fn auxv(pairs: &[(u64, u64)]) -> Vec<u8> {
    let mut d = Vec::new();
    for &(key, value) in pairs.iter().chain(&[(0, 0)]) {
        p64(&mut d, key);
        p64(&mut d, value);
    }
    note("CORE", 6, &d)
}

/// `NT_FILE`: (start, end, offset in the file in bytes, path) with pages of 4096 bytes.
pub fn mapped_files(files: &[(u64, u64, u64, &str)]) -> Vec<u8> {
    let mut d = Vec::new();
    p64(&mut d, files.len() as u64);
    p64(&mut d, 4096);
    for &(start, end, offset, _) in files {
        p64(&mut d, start);
        p64(&mut d, end);
        p64(&mut d, offset / 4096);
    }
    for (_, _, _, path) in files {
        d.extend_from_slice(path.as_bytes());
        d.push(0);
    }
    note("CORE", 0x4649_4c45, &d)
}
