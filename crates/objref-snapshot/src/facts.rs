//! What is known of a dump and its binary beyond the heap.

use objref_go::{GcPhase, GoProcess, MemStats, main_module, main_package};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::missing::Missing;

/// What the files and the runtime say of themselves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Facts {
    /// The dump.
    pub core: Core,
    /// The program.
    pub binary: Binary,
    /// Which Go built the program.
    pub go: Go,
    /// What the collector was doing.
    pub gc_phase: GcPhase,
    /// The runtime's own counters, or why they cannot be read.
    pub counters: Result<MemStats, String>,
    /// What tells its process from others.
    pub identity: Identity,
    /// What of the heap is not in the dump.
    pub missing: Option<Missing>,
}

/// What two dumps of one process have in common, and dumps of others have not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The import path of the main package.
    pub package: Option<String>,
    /// When its runtime began, in nanoseconds of the machine's monotonic clock.
    pub began: Option<i64>,
    /// A sum over addresses that the kernel drew by lot when the program was started.
    pub places: Option<u64>,
}

/// The dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Core {
    /// The file as it was named.
    pub path: String,
    /// Who wrote it: `kernel`, `gdb`, ...
    pub kind: String,
    /// The size of the file, decompressed.
    pub bytes: u64,
    /// Bytes that the headers promise and the file does not have.
    pub missing_bytes: u64,
    /// What ended the process, if a signal did.
    pub signal: Option<Signal>,
    /// The number of threads.
    pub threads: u64,
    /// The process id.
    pub pid: Option<u64>,
    /// The command line, as much of it as the dump keeps.
    pub command: Option<String>,
}

/// A signal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Its name, `SIGABRT`.
    pub name: String,
}

/// The program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binary {
    /// The file as it was named or found.
    pub path: String,
    /// The linker's build id, in hex.
    pub build_id: Option<String>,
    /// The build id of the Go toolchain.
    pub go_build_id: Option<String>,
    /// The path of the main package's module, from the build info.
    pub module: Option<String>,
    /// Whether the binary has DWARF, in itself or in the file beside it.
    pub dwarf: bool,
    /// The file with its DWARF, if that is another one.
    pub debug_file: Option<String>,
}

/// Which Go built the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Go {
    /// As in `go1.26.1`.
    pub version: String,
    /// `amd64`, ...
    pub arch: String,
    /// Experiments that are on, `GOEXPERIMENT` names.
    pub experiments: Vec<String>,
    /// Where the layouts of the runtime's structs come from: `dwarf` or a built-in table.
    pub layout_source: String,
}

impl Facts {
    /// What `process` says.
    pub(crate) fn of(process: &GoProcess) -> Facts {
        let image = &process.image;
        Facts {
            core: core(process),
            binary: Binary {
                path: image.input().path().display().to_string(),
                build_id: image
                    .gnu_build_id()
                    .map(|id| id.iter().map(|b| format!("{b:02x}")).collect()),
                go_build_id: image.go_build_id().map(str::to_owned),
                module: main_module(image),
                dwarf: process.stripped.is_none(),
                debug_file: image
                    .debug_file()
                    .map(|debug| debug.input().path().display().to_string()),
            },
            go: Go {
                version: process.version.text.clone(),
                arch: process.core.arch().name().to_owned(),
                experiments: process.version.experiments.clone(),
                layout_source: process.layouts().to_string(),
            },
            gc_phase: process.gc_phase(),
            counters: process.memstats().map_err(|e| e.to_string()),
            identity: Identity {
                package: main_package(image),
                began: began(process),
                places: places(&process.core),
            },
            missing: None,
        }
    }
}

/// When the runtime began.
// runtime/proc.go: main, runtimeInitTime; 0 before that
fn began(process: &GoProcess) -> Option<i64> {
    let at = process.global("runtime.runtimeInitTime")?;
    let time = process.space.u64(at).ok()? as i64;
    (time > 0).then_some(time)
}

/// A sum over where the kernel put the vdso, and on the stack the random bytes and the program's name.
// elf.h: AT_RANDOM, AT_EXECFN, AT_SYSINFO_EHDR
fn places(core: &objref_mem::Core) -> Option<u64> {
    // FNV-1a, by words.
    [25, 31, 33]
        .into_iter()
        .map(|key| core.auxv(key))
        .try_fold(0xcbf2_9ce4_8422_2325_u64, |sum, place| {
            Some((sum ^ place?).wrapping_mul(0x0100_0000_01b3))
        })
}

fn core(process: &GoProcess) -> Core {
    let core = &process.core;
    Core {
        path: core.input().path().display().to_string(),
        kind: core.writer().name().to_owned(),
        bytes: core.input().bytes().len() as u64,
        missing_bytes: core.missing().bytes,
        signal: core.signal().map(|s| Signal {
            number: s.signo,
            name: signal_name(s.signo),
        }),
        threads: core.threads().len() as u64,
        pid: core.process().map(|p| u64::from(p.pid)),
        command: core.process().map(|p| p.args.clone()),
    }
}

/// The name of a Linux signal; the number itself for those that end no process by default.
fn signal_name(number: i32) -> String {
    let name = match number {
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {number}"),
    };
    name.to_owned()
}
