//! Files that somebody changes while they are read, at an instant that the test chooses: one is mapped when the next, a
//! pipe, is still to come.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// On linux, of all architectures that we run on.
const O_NONBLOCK: i32 = 0o4000;

/// A directory with files in the order in which they are opened: the first is for others to change, the second is a pipe.
struct Scene {
    dir: tempfile::TempDir,
    order: &'static [&'static str],
    /// What comes through the pipe.
    sent: Vec<u8>,
}

/// Which files, by the one that is changed.
const CORE: &[&str] = &["core", "exe"];
const BINARY: &[&str] = &["exe", "core"];
const INDEX: &[&str] = &["index", "core", "exe"];

impl Scene {
    fn new(order: &'static [&'static str]) -> Scene {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
        let packed = |kind: &str| folder.join(format!("deep-1.27.3.{kind}.zst"));
        let read = |kind: &str| {
            let input = objref_mem::Input::open(&packed(kind)).unwrap();
            input.bytes().to_vec()
        };
        let scene = Scene {
            dir: tempfile::tempdir().unwrap(),
            order,
            sent: read(order[1]),
        };
        for kind in order {
            match *kind {
                "index" => {
                    let index = Command::new(env!("CARGO_BIN_EXE_objref"))
                        .args(["index", "-o"])
                        .arg(scene.path("index"))
                        .args(["core", "exe"].map(packed))
                        .status();
                    assert!(index.unwrap().success());
                }
                kind if kind == order[1] => {
                    let made = Command::new("mkfifo").arg(scene.path(kind)).status();
                    assert!(made.unwrap().success());
                }
                kind => fs::write(scene.path(kind), read(kind)).unwrap(),
            }
        }
        scene
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it; does `meanwhile`, with its process id, before anything comes out of the pipe.
    fn run(&self, args: &[&str], meanwhile: impl FnOnce(u32)) -> Output {
        let pipe = self.path(self.order[1]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_objref"))
            .args(args)
            .args(&self.order[..2])
            .args(self.order[2..].iter().flat_map(|exe| ["--exe", exe]))
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
                "{args:?}: it never opened the pipe"
            );
        };
        // Were there no writer for an instant, the pipe would seem to have ended.
        let mut pipe = open(0).unwrap();
        drop(held);
        meanwhile(child.id());
        // It may be gone, which is for the caller to judge.
        let _ = pipe.write_all(&self.sent);
        drop(pipe);
        child.wait_with_output().unwrap()
    }

    /// The line that it ends with, status 3; nothing is written or left behind.
    fn failure(&self, args: &[&str], meanwhile: impl FnOnce(&File)) -> String {
        let output = self.run(args, |_| {
            let victim = OpenOptions::new()
                .read(true)
                .write(true)
                .open(self.path(self.order[0]));
            meanwhile(&victim.unwrap());
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
        let mut inputs = self.order.to_vec();
        inputs.sort();
        assert_eq!(names, inputs);
    }
}

#[test]
fn left_alone_it_is_read() {
    for order in [CORE, BINARY, INDEX] {
        let output = Scene::new(order).run(&["summary"], |_| {});
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
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
        for order in [CORE, BINARY] {
            let line = Scene::new(order).failure(args, |file| file.set_len(len).unwrap());
            let said = format!("objref: {}: cannot be read any more", order[0]);
            assert!(line.starts_with(&said), "{line}");
        }
    }
    for (args, len) in [
        (&["summary"][..], 0),
        (&["types"], 4096),
        (&["objects", "-o", "heap.tsv"], 4096),
        (&["index", "-o", "heap.objref"], 100_000),
    ] {
        let line = Scene::new(INDEX).failure(args, |file| file.set_len(len).unwrap());
        assert!(
            line.starts_with("objref: index: cannot be read any more"),
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
        for order in [CORE, BINARY, INDEX] {
            let line = Scene::new(order).failure(args, |file| {
                // What is there already: only the clock of the file tells.
                let mut byte = [0];
                file.read_exact_at(&mut byte, 0).unwrap();
                file.write_all_at(&byte, 0).unwrap();
            });
            let said = format!("objref: {}: was changed while it was read", order[0]);
            assert!(line.starts_with(&said), "{line}");
        }
    }
}

#[test]
fn replaced_by_another_file() {
    for order in [CORE, BINARY, INDEX] {
        let scene = Scene::new(order);
        let output = scene.run(&["summary"], |_| {
            fs::write(scene.path("new"), "short").unwrap();
            fs::rename(scene.path("new"), scene.path(order[0])).unwrap();
        });
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
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
        let scene = Scene::new(CORE);
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
