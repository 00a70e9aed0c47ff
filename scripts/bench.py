#!/usr/bin/env python3
"""Measure objref, and its peers, on the same dumps in the same run.

Builds the workloads mix, tree and mapcache, dumps each with gcore once, and runs
every tool on every dump: wall clock, CPU time (user + system), peak memory, and
how much of the heap it found, held against what the program itself says is live.
The peers are goref (github.com/cloudwego/goref) and viewcore
(golang.org/x/debug); one that cannot be installed is left out with a message.

Prints a Markdown table. The median of the runs is shown, the dump is read once
before them so that every tool finds it in the page cache.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fixturelib import build, dump, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
SCALES = {
    "200MB": {"mix": 210, "tree": 10_000_000, "mapcache": 90_000},
    "2GB": {"mix": 2100, "tree": 64_000_000, "mapcache": 900_000},
}
TIMEOUT = 900  # seconds for one run of one tool


@dataclass(frozen=True)
class Tool:
    """A program to measure: its command for a dump, and how to read what it found."""

    name: str
    command: callable
    found: callable


@dataclass(frozen=True)
class Usage:
    """What one run cost."""

    wall: float
    cpu: float
    peak: int  # bytes


class RunFailed(Exception):
    """A tool did not do its job; says how."""


def main():
    """Measure everything asked for and print the table."""
    options = parse_arguments()
    tools = [objref(options.objref)] + ([] if options.no_peers else peers())
    print_header(options)
    for workload in options.workloads:
        program = build.Program(workload, options.version, "default", SCALES[options.size][workload])
        folder = toolchains.cache_dir() / "matrix" / program.name
        dump.take_once(program, build.build(program, folder), "gcore", folder)
        measure_all(tools, folder, workload, options.runs)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SCALES, default="200MB", help="of the heap (default 200MB)")
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=["mix", "tree", "mapcache"],
                        metavar="NAME,...", help="default: mix,tree,mapcache")
    parser.add_argument("--version", type=toolchains.resolve, default="1.26.6", help="of Go (default 1.26.6)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each tool (default 3)")
    parser.add_argument("--no-peers", action="store_true", help="measure objref alone")
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="default: target/release/objref")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(SCALES[options.size])
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}")
    if not options.objref.exists():
        parser.error(f"no {options.objref}: cargo build --release, or name it with --objref")
    return options


def objref(binary):
    """The tool of this repository: a dump to a flame graph."""
    def found(core, exe, _out):
        done = subprocess.run([binary, "summary", core, "--exe", exe, "--format", "json"],
                              check=True, capture_output=True)
        return json.loads(done.stdout)["heap"]["live"]["bytes"]

    return Tool("objref", lambda core, exe, out: [binary, core, "--exe", exe, "-o", out / "objref.svg"], found)


def peers():
    """The peers that can be had; says which cannot."""
    wanted = (
        ("github.com/cloudwego/goref/cmd/grf", goref),
        ("golang.org/x/debug/cmd/viewcore", viewcore),
    )
    tools = []
    for package, tool in wanted:
        try:
            tools.append(tool(installed(package)))
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

    return Tool("goref", lambda core, exe, out: [binary, "core", exe, core, "-o", out / "grf.out"], found)


def viewcore(binary):
    """viewcore types the heap for its histogram; the exact sum is in its breakdown."""
    def found(core, exe, _out):
        done = subprocess.run([binary, core, "--exe", exe, "breakdown"], check=True, capture_output=True, text=True)
        return int(re.search(r"^\s*live\s+(\d+)", done.stdout, re.MULTILINE)[1])

    return Tool("viewcore", lambda core, exe, out: [binary, core, "--exe", exe, "histogram"], found)


def print_header(options):
    """Say what was measured where, and begin the table."""
    print(f"{options.size} heaps, go{options.version}, gcore, median of {options.runs}, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| workload | live MB | tool | wall s | CPU s | peak MB | found % | wall ratio | CPU ratio |")
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|", flush=True)


def measure_all(tools, folder, workload, runs):
    """Run every tool on one dump and print its lines; the ratios are to the first tool."""
    live = json.loads((folder / "truth.gcore.json").read_text())["heap_alloc"]
    warm(folder / "core.gcore")
    first = None
    for tool in tools:
        start = f"| {workload} | {live / 1e6:.0f} | {tool.name} |"
        try:
            usage, found = measure(tool, folder, runs)
        except RunFailed as failure:
            print(f"{start} {failure} | | | | | |", flush=True)
            continue
        first = first or usage
        print(f"{start} {usage.wall:.2f} | {usage.cpu:.2f} | {usage.peak / 1e6:.0f} | {100 * found / live:.1f} "
              f"| {usage.wall / first.wall:.1f} | {usage.cpu / first.cpu:.1f} |", flush=True)


def warm(path):
    """Read a file once."""
    with open(path, "rb") as file:
        while file.read(1 << 24):
            pass


def measure(tool, folder, runs):
    """The median usage over the runs, and the bytes found."""
    core, exe = folder / "core.gcore", folder / "exe"
    with tempfile.TemporaryDirectory() as out:
        out = Path(out)
        usages = [run_once(tool.command(core, exe, out), out) for _ in range(runs)]
        found = tool.found(core, exe, out)
    return Usage(*(statistics.median(getattr(u, key) for u in usages) for key in ("wall", "cpu", "peak"))), found


def run_once(command, out):
    """Run a command and say what it cost."""
    with open(out / "stdout", "wb") as stdout, open(out / "stderr", "wb") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                   preexec_fn=limit_cpu)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = (out / "stderr").read_text(errors="replace").strip().rpartition("\n")[2]
        raise RunFailed(f"exit status {process.returncode}: {last}")
    return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def limit_cpu():
    """Give a run a limit of CPU time (runs in the child)."""
    resource.setrlimit(resource.RLIMIT_CPU, (TIMEOUT, TIMEOUT))


if __name__ == "__main__":
    main()
