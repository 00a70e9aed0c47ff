//! Files that somebody changes while they are read, at an instant that the test chooses: the core is mapped when the
//! binary, a pipe, is still to come.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// On linux, of all architectures that we run on.
const O_NONBLOCK: i32 = 0o4000;

/// A directory with a core, and a binary to be sent.
struct Scene {
    dir: tempfile::TempDir,
    exe: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
        let read = |kind| {
            objref_mem::Input::open(&folder.join(format!("deep-1.27.3.{kind}.zst"))).unwrap()
        };
        let scene = Scene {
            dir: tempfile::tempdir().unwrap(),
            exe: read("exe").bytes().to_vec(),
        };
        fs::write(scene.path("core"), read("core").bytes()).unwrap();
        scene
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it with the core and a pipe; does `meanwhile`, with its process id, before anything comes out of the pipe.
    fn run(&self, args: &[&str], meanwhile: impl FnOnce(u32)) -> Output {
        let pipe = self.path("exe");
        if !pipe.exists() {
            let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success());
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_objref"))
            .args(args)
            .args(["core", "--exe", "exe"])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Until it opens the pipe, nobody can write into it.
        let open = |flags| {
            OpenOptions::new()
                .write(true)
                .custom_flags(flags)
                .open(&pipe)
        };
        let held = loop {
            match open(O_NONBLOCK) {
                Ok(pipe) => break pipe,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "{args:?}: it never opened the binary"
            );
        };
        // Were there no writer for an instant, the pipe would seem to have ended.
        let mut pipe = open(0).unwrap();
        drop(held);
        meanwhile(child.id());
        // It may be gone, which is for the caller to judge.
        let _ = pipe.write_all(&self.exe);
        drop(pipe);
        child.wait_with_output().unwrap()
    }

    /// The line that it ends with, status 3; nothing is written or left behind.
    fn failure(&self, args: &[&str], meanwhile: impl FnOnce(&File)) -> String {
        let output = self.run(args, |_| {
            meanwhile(
                &OpenOptions::new()
                    .write(true)
                    .open(self.path("core"))
                    .unwrap(),
            )
        });
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
        self.only_inputs_are_left();
        stderr
    }

    fn only_inputs_are_left(&self) {
        let names = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["core", "exe"]);
    }
}

#[test]
fn left_alone_it_is_read() {
    let output = Scene::new().run(&["summary"], |_| {});
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn cut_short() {
    for (args, len) in [
        (&["-o", "heap.html"][..], 0),
        (&["index", "-o", "heap.objref"], 4096),
        (&["summary"], 100_000),
        (&["-o", "heap.svg", "--index"], 4096),
        (
            &[
                "check",
                "--write-baseline",
                "heap.json",
                "--report",
                "heap.xml",
                "--report",
                "heap.sarif",
            ],
            4096,
        ),
    ] {
        let line = Scene::new().failure(args, |core| core.set_len(len).unwrap());
        assert!(
            line.starts_with("objref: core: cannot be read any more"),
            "{line}"
        );
    }
}

#[test]
fn written_to() {
    for args in [
        &["-o", "heap.html"][..],
        &["summary"],
        &["objects", "-o", "heap.tsv"],
    ] {
        let line = Scene::new().failure(args, |core| {
            // Bytes that nothing is made of: only the clock of the file tells.
            let len = core.metadata().unwrap().len();
            core.write_all_at(&[0; 8], len - 8).unwrap();
        });
        assert!(
            line.starts_with("objref: core: was changed while it was read"),
            "{line}"
        );
    }
}

#[test]
fn replaced_by_another_file() {
    let scene = Scene::new();
    let output = scene.run(&["summary"], |_| {
        fs::write(scene.path("new"), "short").unwrap();
        fs::rename(scene.path("new"), scene.path("core")).unwrap();
    });
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

/// Whether we, and so what we start, ignore the signal.
// Linux, Documentation/filesystems/proc.rst: SigIgn
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    u64::from_str_radix(mask.unwrap().trim(), 16).unwrap() >> (signal - 1) & 1 != 0
}

#[test]
fn signals_end_it_and_leave_nothing() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1), ("BUS", 7)] {
        // As it is below `nohup` and in the background of a script: then it has to go on.
        if is_ignored(number) {
            continue;
        }
        let scene = Scene::new();
        let output = scene.run(&["-o", "heap.svg"], |pid| {
            assert_eq!(
                fs::read_dir(scene.dir.path()).unwrap().count(),
                3,
                "one in the making"
            );
            let sent = Command::new("kill")
                .args([format!("-{name}"), pid.to_string()])
                .status();
            assert!(sent.unwrap().success());
        });
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        scene.only_inputs_are_left();
    }
}
