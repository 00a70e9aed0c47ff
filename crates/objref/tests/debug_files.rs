//! Binaries whose debug information is in another file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use objref_mem::Input;

const NAME: &str = "zoo-1.26.6";

fn fixture(what: &str) -> Vec<u8> {
    let name = format!("../../fixtures/dumps/{NAME}.{what}.zst");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    Input::open(&path).unwrap().bytes().to_vec()
}

/// A directory with `core`; the binary as it was is `whole`, apart from the others.
struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> (Dir, Vec<u8>) {
        let dir = Dir(tempfile::tempdir().unwrap());
        dir.write("core", &fixture("core"));
        (dir, fixture("exe"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_objref"));
        command.args(["objects", "core"]).args(args);
        command.current_dir(self.0.path()).output().unwrap()
    }

    fn listing(&self, args: &[&str]) -> (Vec<u8>, String) {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
        (output.stdout, stderr)
    }

    fn failure(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// The section headers of an ELF file, to be changed in place: (name, offset of the header).
fn headers(elf: &[u8]) -> Vec<(String, usize)> {
    let u64_at = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let (table, count, names) = (u64_at(40), u16_at(60), u16_at(62));
    let names = u64_at(table + 64 * names + 24);
    let header = |i: usize| {
        let at = table + 64 * i;
        let name = &elf[names + u32_at(elf, at)..];
        let end = name.iter().position(|&b| b == 0).unwrap();
        (String::from_utf8(name[..end].to_vec()).unwrap(), at)
    };
    (0..count).map(header).collect()
}

fn u32_at(elf: &[u8], at: usize) -> usize {
    u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize
}

fn section(elf: &[u8], name: &str) -> usize {
    let found = headers(elf).into_iter().find(|(n, _)| n == name);
    found.expect(name).1
}

/// Makes a section one that nobody reads.
fn hide(elf: &mut [u8], name: &str) {
    let at = section(elf, name);
    elf[at + 4..at + 8].copy_from_slice(&0x6000_0000u32.to_le_bytes());
    elf[at..at + 4].fill(0); // the empty name
}

/// `whole` without debug information and symbols, but with a link to `debug` under that name.
fn linked(whole: &[u8], name: &str, debug: &[u8]) -> Vec<u8> {
    let mut elf = whole.to_vec();
    let at = section(&elf, ".debug_loclists"); // its name has room for the other one
    let names = headers(&elf);
    let strings = section(&elf, ".shstrtab");
    let start = usize::try_from(u64::from_le_bytes(
        elf[strings + 24..strings + 32].try_into().unwrap(),
    ))
    .unwrap();
    let text = start + u32_at(&elf, at);
    elf[text..text + 15].copy_from_slice(b".gnu_debuglink\0");
    let data = usize::try_from(u64::from_le_bytes(
        elf[at + 24..at + 32].try_into().unwrap(),
    ))
    .unwrap();
    let mut link = name.as_bytes().to_vec();
    link.resize((link.len() + 1).next_multiple_of(4), 0);
    let mut crc = flate2::Crc::new();
    crc.update(debug);
    link.extend(crc.sum().to_le_bytes());
    elf[data..data + link.len()].copy_from_slice(&link);
    for (name, _) in names {
        if name == ".symtab" || name.starts_with(".debug_") && name != ".debug_loclists" {
            hide(&mut elf, &name);
        }
    }
    elf
}

/// `whole` without what the program loads.
fn debug_only(whole: &[u8]) -> Vec<u8> {
    let mut elf = whole.to_vec();
    let at = section(&elf, ".text");
    elf[at + 4..at + 8].copy_from_slice(&8u32.to_le_bytes()); // SHT_NOBITS
    elf
}

#[test]
fn wherever_it_is_the_answer_is_the_same() {
    let (dir, whole) = Dir::new();
    dir.write("whole", &whole);
    let expected = dir.listing(&["--exe", "whole"]).0;
    fs::remove_file(dir.path("whole")).unwrap();

    let debug = debug_only(&whole);
    dir.write("bin/server", &linked(&whole, "server.dbg", &debug));
    let stripped = dir.listing(&["--exe", "bin/server"]);
    assert_ne!(stripped.0, expected);
    assert!(stripped.1.contains("[binary.stripped]"), "{}", stripped.1);

    let id = objref_mem::Image::parse(Input::from_bytes("exe".as_ref(), &whole).unwrap()).unwrap();
    let id: String = id
        .gnu_build_id()
        .unwrap()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let home = dir.0.path().canonicalize().unwrap();
    let tree = format!("debug{}/bin/server.dbg", home.display());
    let by_id = format!("debug/.build-id/{}/{}.debug", &id[..2], &id[2..]);
    for place in [
        "bin/server.dbg",
        "bin/.debug/server.dbg",
        "bin/server.debug",
        &tree,
        &by_id,
    ] {
        dir.write(place, &debug);
        let found = dir.listing(&["--exe", "bin/server", "--debug-dir", "debug"]);
        assert!(found.0 == expected, "{place}: {}", found.1);
        assert_eq!(found.1, "", "{place}");
        fs::remove_file(dir.path(place)).unwrap();
    }
    dir.write("elsewhere", &debug);
    let named = dir.listing(&["--exe", "bin/server", "--debug-file", "elsewhere"]);
    assert!(named.0 == expected);
}

#[test]
fn a_file_that_is_not_meant() {
    let (dir, whole) = Dir::new();
    let debug = debug_only(&whole);
    dir.write("server", &linked(&whole, "server.dbg", b"something else"));
    dir.write("server.dbg", &debug);
    let stderr = dir.listing(&["--exe", "server"]).1;
    assert!(
        stderr.contains("server.dbg: not the file that the debug link of"),
        "{stderr}"
    );
    assert!(stderr.contains("[binary.stripped]"), "{stderr}");

    let mut other = debug.clone();
    let note = section(&whole, ".note.gnu.build-id");
    let data = u64::from_le_bytes(whole[note + 24..note + 32].try_into().unwrap()) as usize;
    other[data + 20] ^= 1;
    dir.write("other", &other);
    let stderr = dir.failure(&["--exe", "server", "--debug-file", "other"]);
    assert_eq!(
        stderr,
        "objref: other: not the debug information of server: its build is another one (--force goes on)\n"
    );
    dir.listing(&["--exe", "server", "--debug-file", "other", "--force"]);

    let stderr = dir.failure(&["--exe", "server", "--debug-file", "server"]);
    assert!(
        stderr.starts_with("objref: server: no debug information in it; "),
        "{stderr}"
    );
    let stderr = dir.failure(&["--exe", "server.dbg"]);
    assert_eq!(
        stderr,
        "objref: server.dbg: holds debug information only; name the binary too: --exe BIN --debug-file server.dbg\n"
    );
}
