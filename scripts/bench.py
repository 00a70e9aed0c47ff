#!/usr/bin/env python3
"""Measure objref, and its peers, on the same dumps in the same run.

Builds the workloads (a mixed service heap, a tree in the order of its addresses and
one in random order, a cache of maps), dumps each with gcore once, and runs every
tool on every dump: wall clock, CPU time (user + system), the most anonymous memory,
and how much of the heap it found, held against what the program itself says is live.
The yardstick is the program's own collector: what it says of a forced collection of
the same heap (gctrace), taken in the same run.

The peers are goref (github.com/cloudwego/goref) and viewcore (golang.org/x/debug);
one that cannot be installed is left out with a message.

Prints Markdown tables; --write puts them into docs/benchmarks.md. The median of the
runs is shown, peers run once; the dump is read once before them so that every tool finds it in the
page cache. With --cold, as root, objref is also run with an empty one.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fixturelib import build, dump, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "benchmarks.md"
# Begins what this script writes; what stands before is kept.
MARK = "<!-- made by scripts/bench.py -->\n"
SCALES = {
    "20MB": {"mix": 20, "tree": 1_000_000, "tree-random": 1_000_000, "mapcache": 9_000},
    "200MB": {"mix": 210, "tree": 10_000_000, "tree-random": 10_000_000, "mapcache": 90_000},
    "2GB": {"mix": 2100, "tree": 64_000_000, "tree-random": 64_000_000, "mapcache": 900_000},
}
TIMEOUT = 900  # seconds for one run of one tool


@dataclass(frozen=True)
class Tool:
    """A program to measure: its command for a dump, and how to read what it found."""

    name: str
    command: callable
    found: callable = None
    once: bool = False  # it takes minutes
    cold: bool = False  # with an empty page cache


@dataclass(frozen=True)
class Usage:
    """What one run cost."""

    wall: float
    cpu: float
    anonymous: int  # bytes


class RunFailed(Exception):
    """A tool did not do its job; says how."""


def main():
    """Measure everything asked for and print the tables."""
    options = parse_arguments()
    tools = ours(options) + ([] if options.no_peers else peers(options))
    report = Report()
    for size in options.sizes:
        report.say(f"\n## {size}\n\n{circumstances(options)}\n")
        report.say("| workload | objects | live MB | tool | wall s | CPU s | anonymous MB | an object, B | found % "
                   "| ÷ objref | ÷ mark |")
        report.say("|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|")
        for workload in options.workloads:
            measure_all(report, tools, workload, size, options)
    if options.write:
        write(PAGE, report.lines)


def write(page, lines):
    """Put the lines into a page, behind what stands there before the mark."""
    kept = page.read_text().partition(MARK)[0] if page.exists() else ""
    page.write_text(kept + MARK + "\n".join(lines) + "\n")


def parse_arguments():
    """The command line."""
    names = list(SCALES["200MB"])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=["200MB"], metavar="SIZE,...",
                        help=f"of the heaps: {', '.join(SCALES)} (default 200MB)")
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=names,
                        metavar="NAME,...", help=f"default: {','.join(names)}")
    parser.add_argument("--version", type=toolchains.resolve, default="1.26.6", help="of Go (default 1.26.6)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each tool (default 3)")
    parser.add_argument("--no-peers", action="store_true", help="measure objref alone")
    parser.add_argument("--goref", type=Path, metavar="FILE", help="its grf (default: installed)")
    parser.add_argument("--viewcore", type=Path, metavar="FILE", help="default: installed")
    parser.add_argument("--cold", action="store_true", help="objref with an empty page cache, too; as root")
    parser.add_argument("--write", action="store_true", help="docs/benchmarks.md")
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="default: target/release/objref")
    options = parser.parse_args()
    unknown = (set(options.workloads) - set(names)) | (set(options.sizes) - set(SCALES))
    if unknown:
        parser.error(f"no workload or size {', '.join(sorted(unknown))}")
    if not options.objref.exists():
        parser.error(f"no {options.objref}: cargo build --release, or name it with --objref")
    return options


class Report:
    """Lines, printed as they come and kept."""

    def __init__(self):
        self.lines = []

    def say(self, line):
        """Another line."""
        self.lines.append(line)
        print(line, flush=True)


def circumstances(options):
    """What was measured where."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
            f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f}; go{options.version}, gcore, warm cache, "
            f"median of {options.runs}, peers once.")


def ours(options):
    """The tool of this repository: a dump to a flame graph, the same by retained sizes, the summary."""
    binary = options.objref

    def found(core, exe, _out):
        done = subprocess.run([binary, "summary", core, "--exe", exe, "--format", "json"],
                              check=True, capture_output=True)
        return json.loads(done.stdout)["heap"]["live"]["bytes"]

    def picture(*more):
        return lambda core, exe, out: [binary, core, "--exe", exe, "-o", out / "objref.svg", *more]

    tools = [
        Tool("objref", picture(), found),
        Tool("objref, dominators", picture("--tree", "dominator")),
        Tool("objref summary", lambda core, exe, out: [binary, "summary", core, "--exe", exe, "-o", out / "sum.txt"]),
    ]
    if options.cold:
        tools.append(Tool("objref, cold cache", picture(), cold=True))
    return tools


def peers(options):
    """The peers that can be had; says which cannot."""
    wanted = (
        ("github.com/cloudwego/goref/cmd/grf", options.goref, goref),
        ("golang.org/x/debug/cmd/viewcore", options.viewcore, viewcore),
    )
    tools = []
    for package, binary, tool in wanted:
        try:
            tools.append(tool(binary or installed(package)))
        except RunFailed as failure:
            print(f"{package} left out: {failure}", file=sys.stderr)
    return tools


def installed(package):
    """The binary of a Go package's newest version, installed into the cache once."""
    folder = toolchains.cache_dir() / "peers"
    binary = folder / package.rpartition("/")[2]
    if not binary.exists():
        root = toolchains.goroot(toolchains.VERSIONS[-1])
        env = {**os.environ, "GOBIN": str(folder), "GOROOT": str(root), "GOTOOLCHAIN": "local", "GOFLAGS": ""}
        done = subprocess.run([root / "bin" / "go", "install", f"{package}@latest"],
                              env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RunFailed(done.stderr.strip().replace("\n", " "))
    return binary


def goref(binary):
    """goref writes a pprof file; what it found is the sum of its samples' sizes."""
    def found(_core, _exe, out):
        go = toolchains.goroot(toolchains.VERSIONS[-1]) / "bin" / "go"
        done = subprocess.run([go, "tool", "pprof", "-raw", out / "grf.out"],
                              check=True, capture_output=True, text=True)
        samples = re.findall(r"^\s*\d+\s+(\d+):", done.stdout, re.MULTILINE)
        return sum(map(int, samples))

    return Tool("goref", lambda core, exe, out: [binary, "core", exe, core, "-o", out / "grf.out"], found, once=True)


def viewcore(binary):
    """viewcore types the heap for its histogram; the exact sum is in its breakdown."""
    def found(core, exe, _out):
        done = subprocess.run([binary, core, "--exe", exe, "breakdown"], check=True, capture_output=True, text=True)
        return int(re.search(r"^\s*live\s+(\d+)", done.stdout, re.MULTILINE)[1])

    return Tool("viewcore", lambda core, exe, out: [binary, core, "--exe", exe, "histogram"], found, once=True)


def measure_all(report, tools, workload, size, options):
    """Run the collector and every tool on one heap and print their lines; ratios are to the first tool, and the mark."""
    case, _, order = workload.partition("-")
    flags = ("-scatter",) if order == "random" else ()
    program = build.Program(case, options.version, "default", SCALES[size][workload], flags)
    folder, exe = dump.at_hand(program, "gcore")
    truth = json.loads((folder / "truth.gcore.json").read_text())
    live, objects = truth["heap_alloc"], truth["heap_objects"]
    wall, cpu = mark(dump.collections(program, exe))
    start = f"| {workload} | {objects:,} | {live / 1e6:.0f} |"
    report.say(f"{start} the collector's mark | {wall:.2f} | {cpu:.2f} | | | | | 1.0 |")
    warm(folder / "core.gcore")
    first = None
    for tool in tools:
        try:
            usage, found = measure(tool, folder, options)
        except RunFailed as failure:
            report.say(f"{start} {tool.name} | {failure} | | | | | | |")
            continue
        first = first or usage
        share = "" if found is None else f"{100 * found / live:.1f}"
        report.say(f"{start} {tool.name} | {usage.wall:.2f} | {usage.cpu:.2f} | {usage.anonymous / 1e6:.0f} "
                   f"| {usage.anonymous / objects:.1f} | {share} | {usage.wall / first.wall:.1f} "
                   f"| {usage.wall / wall:.1f} |")


def mark(trace):
    """Wall clock and CPU seconds of the quickest mark of all forced collections.

    The line is `gc N @s %: 0.2+593+0.01 ms clock, 0.5+0/307/878+0.02 ms cpu, ... (forced)`: the second number of each
    is the mark, its CPU time by assists, dedicated workers and idle ones (runtime/extern.go).
    """
    forced = re.findall(r"[\d.]+\+([\d.]+)\+[\d.]+ ms clock, [\d.]+\+([\d./]+)\+[\d.]+ ms cpu.*\(forced\)", trace)
    if not forced:
        raise SystemExit(f"no forced collection in the trace: {trace[-300:]}")
    times = [(float(wall) / 1e3, sum(map(float, cpu.split("/"))) / 1e3) for wall, cpu in forced]
    return min(times)


def warm(path):
    """Read a file once, from the disk if we may drop what is in memory: how it got there decides how quickly it is mapped."""
    with open(path, "rb") as file:
        os.sync()
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while file.read(1 << 24):
            pass


def measure(tool, folder, options):
    """The median usage over the runs, and the bytes found."""
    core, exe = folder / "core.gcore", folder / "exe"
    with tempfile.TemporaryDirectory() as out:
        out = Path(out)
        usages = []
        for _ in range(1 if tool.once else options.runs):
            if tool.cold:
                os.sync()
                Path("/proc/sys/vm/drop_caches").write_text("3")
            usages.append(run_once(tool.command(core, exe, out), out))
        found = tool.found(core, exe, out) if tool.found else None
    if tool.cold:
        warm(core)
    return median(usages), found


def median(usages):
    """Of each column."""
    columns = ("wall", "cpu", "anonymous")
    return Usage(*(statistics.median(getattr(u, key) for u in usages) for key in columns))


def run_once(command, out):
    """Run a command and say what it cost."""
    with open(out / "stdout", "wb") as stdout, open(out / "stderr", "wb") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                   preexec_fn=limit_cpu)
        watcher = Watcher(process.pid)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = (out / "stderr").read_text(errors="replace").strip().rpartition("\n")[2]
        raise RunFailed(f"exit status {process.returncode}: {last}")
    return Usage(wall, used.ru_utime + used.ru_stime, watcher.peak())


class Watcher:
    """Looks at a process's anonymous memory every 5 ms until it ends."""

    def __init__(self, pid):
        self._status = Path(f"/proc/{pid}/status")
        self._peak = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while True:
            try:
                text = self._status.read_text()
            except OSError:
                return
            kib = re.search(r"^RssAnon:\s+(\d+)", text, re.MULTILINE)
            if not kib:  # it has ended and waits to be told so
                return
            self._peak = max(self._peak, int(kib[1]) * 1024)
            time.sleep(0.005)

    def peak(self):
        """The most that was seen, in bytes; the process has ended."""
        self._thread.join()
        return self._peak


def limit_cpu():
    """Give a run a limit of CPU time (runs in the child)."""
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT, TIMEOUT))


if __name__ == "__main__":
    main()
