"""Runs a fixture program and takes a core dump of it at its quietest."""

import json
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import build, toolchains

KINDS = ("kernel", "gcore")
# QEMU's name for the architectures that it runs fixtures of.
EMULATORS = {"arm64": "qemu-aarch64"}
TIMEOUT = 300  # seconds for a program to publish its truth


class DumpError(Exception):
    """No dump came out; says why."""


def kinds(program, wanted):
    """Those of the wanted kinds of dumps that there are of this program.

    What QEMU runs can only crash: QEMU then writes the core that the kernel would
    have written, without the table of mapped files; gdb would dump QEMU itself.
    """
    return [kind for kind in wanted if kind == "kernel" or not program.goarch]


def take_once(program, exe, kind, folder):
    """Take a dump unless it is there from the same executable; says whether it did."""
    stamp = folder / f"core.{kind}.key"
    key = program.key() + " " + " ".join(program.arguments)
    if stamp.exists() and stamp.read_text() == key and (folder / f"core.{kind}").exists():
        return False
    stamp.unlink(missing_ok=True)
    _take(program, exe, kind, folder)
    stamp.write_text(key)
    return True


def at_hand(program, kind):
    """The folder of a program and its executable, built and dumped unless that has been done."""
    folder = toolchains.cache_dir() / "matrix" / program.name
    exe = build.build(program, folder)
    take_once(program, exe, kind, folder)
    return folder, exe


def _take(program, exe, kind, folder):
    """Run `exe` and leave `core.KIND` and `truth.KIND.json` in `folder`."""
    with tempfile.TemporaryDirectory(prefix="run.", dir=folder) as scratch:
        scratch = Path(scratch)
        truth = scratch / "truth.json"
        process = _start(program, exe, scratch, truth)
        try:
            _await_truth(process, truth, scratch)
            core = (_qemu if program.goarch else _DUMPERS[kind])(process, scratch)
        finally:
            process.kill()
            process.wait()
        core.rename(folder / f"core.{kind}")
        truth.rename(folder / f"truth.{kind}.json")
        if kind == "kernel":  # the runtime's own account of every goroutine
            (scratch / "stderr.txt").rename(folder / "stderr.txt")


def collections(program, exe):
    """Run `exe` until it is at its quietest and return what it said of its garbage collections."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        truth = scratch / "truth.json"
        process = _start(program, exe, scratch, truth, GODEBUG="gctrace=1")
        try:
            _await_truth(process, truth, scratch)
        finally:
            process.kill()
            process.wait()
        return (scratch / "stderr.txt").read_text()


def _start(program, exe, scratch, truth, **env):
    """Start the program in `scratch`, allowed to dump core."""
    # No more: it ends up in the core.
    env = {"GOTRACEBACK": "crash", "OBJREF_TRUTH": str(truth), **env}
    emulator = [shutil.which(EMULATORS[program.goarch])] if program.goarch else []
    if emulator == [None]:
        raise DumpError(f"no {EMULATORS[program.goarch]}: apt-get install qemu-user")
    with open(scratch / "stderr.txt", "wb") as stderr:
        return subprocess.Popen(
            [*emulator, Path(exe).resolve(), *program.arguments],
            cwd=scratch, env=env, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
            preexec_fn=_allow_only_qemu if emulator else allow_core,
        )


def allow_core():
    """Lift the limit on the size of core files (runs in the child)."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _allow_only_qemu():
    """As allow_core, but keep the kernel from dumping QEMU's own memory as well."""
    allow_core()
    Path("/proc/self/coredump_filter").write_text("0")


def _await_truth(process, truth, scratch):
    """Wait until the program has written all of its truth and has parked."""
    deadline = time.monotonic() + TIMEOUT
    while not _is_json(truth):
        if process.poll() is not None:
            errors = (scratch / "stderr.txt").read_text(errors="replace")
            raise DumpError(f"exit status {process.returncode} before the truth: {errors[-2000:]}")
        if time.monotonic() > deadline:
            raise DumpError(f"no truth within {TIMEOUT} s")
        time.sleep(0.02)
    time.sleep(0.3)


def _is_json(path):
    """Whether the file is there and complete."""
    try:
        json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return True


def _kernel(process, scratch):
    """Let the program die of SIGABRT and find what the kernel wrote."""
    process.send_signal(signal.SIGABRT)
    process.wait(TIMEOUT)
    return kernel_core(scratch)


def kernel_core(scratch):
    """The core that the kernel wrote into `scratch`."""
    cores = list(scratch.glob("core*"))
    if len(cores) != 1:
        pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
        raise DumpError(
            f"the kernel wrote no core into {scratch}: kernel.core_pattern is '{pattern}'; "
            "as root: sysctl -w kernel.core_pattern=core")
    return cores[0]


def _qemu(process, scratch):
    """Let the program die of SIGABRT and find what QEMU wrote."""
    process.send_signal(signal.SIGABRT)
    process.wait(TIMEOUT)
    cores = list(scratch.glob("qemu_*.core"))
    if len(cores) != 1:
        raise DumpError(f"QEMU wrote no core into {scratch}")
    return cores[0]


def _gcore(process, scratch):
    """Let gdb write the core of the living program; punch holes into its zeros."""
    core = gcore(process, scratch)
    subprocess.run(["fallocate", "--dig-holes", core], check=True)
    return core


def gcore(process, scratch):
    """Let gdb write the core of the living program."""
    done = subprocess.run(
        ["gcore", "-o", "core", str(process.pid)],
        cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )
    core = scratch / f"core.{process.pid}"
    if not core.exists():
        raise DumpError(f"gcore wrote nothing: {done.stdout}{done.stderr}")
    return core


_DUMPERS = {"kernel": _kernel, "gcore": _gcore}
