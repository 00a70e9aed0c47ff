#!/usr/bin/env python3
"""Dump a program at random instants under full load, and hold objref to its ledger.

fixtures/storm allocates in a few dozen goroutines while the collector runs all
the time, and is dumped alive by gdb, killed by signals, or dies by itself. In a
place that the collector does not see it keeps a ledger of nodes that must be
reachable at every instant (fixtures/storm/README.md), which is read here straight
from the core file. For every dump:

* objref draws, sums up, lists, unwinds and verifies it: exit status 0, nothing on
  standard error, no diagnostic, no contradiction;
* live <= allocated, and what objref counts as allocated is what the runtime
  counts, but for what threads were in the middle of;
* every node of the ledger, and its text, is in a reachable object;
* almost no node that its owner has dropped is.

How and when each dump is taken follows from --seed and its number; --only takes
some again, though threads never meet twice in the same way. Cores that pass are
removed, those that fail are kept. Prints a table and `N passed, N failed`; exit
status 1 if anything failed.
"""

import argparse
import collections
import json
import shutil
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from pathlib import Path

from fixturelib import build, dump, ledger, selection, storm, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS = ("dump", "version", "how", "gc", "procs", "phase", "nodes", "buried", "risen", "cons", "sec", "verdict")
FORMAT = "{:>4} {:<8} {:<8} {:<6} {:>5} {:<6} {:>6} {:>6} {:>5} {:>4} {:>5}  {}"


class Failure(Exception):
    """A check that did not hold; says which."""


def main():
    """Take and check what was asked for."""
    options = parse_arguments()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    options.out.mkdir(parents=True, exist_ok=True)
    programs = [build.Program("storm", v, variant) for v in options.versions for variant in options.variants]
    programs = [p for p in programs if p.exists()]
    print(f"seed {options.seed}")
    print(FORMAT.format(*COLUMNS), flush=True)
    counts = collections.Counter()
    for number in options.only or range(options.n):
        program = programs[number % len(programs)]
        exe = build.build(program, options.out / program.name)
        plan = storm.Plan.draw(options.seed, number)
        row, ok = one(options, program, exe, plan, number)
        print(FORMAT.format(number, program.version, plan.how.removeprefix("SIG"), plan.mode, plan.procs, *row), flush=True)
        counts[ok] += 1
    print(f"{counts[True]} passed, {counts[False]} failed")
    sys.exit(1 if counts[False] or not counts[True] else 0)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=200, help="how many dumps, over all versions (default 200)")
    parser.add_argument("--only", type=lambda text: [int(n) for n in text.split(",")], metavar="N,...",
                        help="the dumps of these numbers")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    parser.add_argument("--versions", type=selection.versions, metavar="V,...",
                        default=",".join(toolchains.VERSIONS), help="default: all")
    parser.add_argument("--variants", type=selection.variants, metavar="NAME,...",
                        default="default", help=f"of {', '.join(build.VARIANTS)} (default: default)")
    parser.add_argument("--out", type=Path, default=toolchains.cache_dir() / "storm", metavar="DIR",
                        help="default: $OBJREF_CACHE/storm or ~/.cache/objref/storm")
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    parser.add_argument("--keep", action="store_true", help="keep all cores")
    return parser.parse_args()


def one(options, program, exe, plan, number):
    """Take and check one dump; returns (the row's cells after the plan's, success)."""
    started = time.monotonic()
    row = ["-"] * 6
    with tempfile.TemporaryDirectory(prefix="run.", dir=options.out) as scratch:
        try:
            core, at = storm.take(exe, plan, Path(scratch))
        except dump.DumpError as error:
            return [*row, f"FAIL no dump: {error}"], False
        verdict, ok = "ok", True
        try:
            check(options.objref, core, exe, at, row)
        except (Failure, ledger.LedgerError) as failure:
            verdict, ok = f"FAIL {failure}", False
        except (KeyError, ValueError) as error:
            verdict, ok = f"FAIL unexpected output: {error!r}", False
        if not ok or options.keep:
            kept = options.out / f"{program.name}.{options.seed}.{number}"
            kept.mkdir(exist_ok=True)
            subprocess.run(["fallocate", "--dig-holes", core], check=True)
            shutil.move(core, kept / "core")
            shutil.copy2(exe, kept / "exe")
            (kept / "ledger").write_text(f"{at}\n")
            verdict += f" ({kept})"
    row[5] = round(time.monotonic() - started, 1)
    return [*row, verdict], ok


def check(objref, core, exe, at, row):
    """Hold everything that objref says about a dump to the ledger, and to itself."""
    summary = json.loads(run(objref, "summary", core, exe, "--format", "json"))
    runtime, heap = summary["runtime"], summary["heap"]
    row[0] = {"off": "off", "mark": "mark"}.get(runtime["gc_phase"], "end")
    objects = Objects(run(objref, "objects", core, exe, "--format", "tsv"))
    with open(core, "rb") as file:
        memory = ledger.CoreFile(file)
        try:
            check_nodes(memory, at, objects, row)
        finally:
            memory.close()
    if summary["diagnostics"]:
        raise Failure("; ".join(f"{d['count']} {d['message']} [{d['code']}]" for d in summary["diagnostics"]))
    check_totals(heap, objects)
    verified = json.loads(run(objref, "verify", core, exe, "--format", "json", statuses=(0, 1)))
    row[4] = sum(f["count"] for f in verified["conservative_frames"])
    if verified["contradictions"]:
        raise Failure("; ".join(f"{c['objects']} {c['text']} [{c['code']}]"
                                for c in verified["checks"] if c["verdict"] == "contradicts"))
    json.loads(run(objref, "goroutines", core, exe, "--all", "--format", "json"))
    run(objref, None, core, exe, "-o", "/dev/null", "--format", "svg")


def check_nodes(memory, at, objects, row):
    """Every node of the ledger is in a reachable object; almost none that was dropped is."""
    lost, nodes = collections.Counter(), 0
    example = None
    for place, node in ledger.entered(memory, at):
        nodes += 1
        for what, address in (("", node.at), (" text", node.text)):
            if not objects.hold(address):
                lost[place + what] += 1
                example = example or f"{address:#x}"
    row[1] = nodes
    seen, risen = set(), 0
    for address in objects.starts:
        if objects.sizes[address] == ledger.NODE.size and (node := ledger.node(memory, address)):
            risen += node.fate == ledger.BURIED
            seen.add(address)
    row[2], row[3] = buried(memory), risen
    if lost:
        places = ", ".join(f"{n} of {place}" for place, n in lost.most_common(4))
        raise Failure(f"{lost.total()} of {nodes} not reached: {places}; {example}")
    if nodes < 500:
        raise Failure(f"only {nodes} nodes: that tells nothing")
    if risen > nodes // 200:
        raise Failure(f"{risen} nodes are reached that were dropped")


def buried(memory):
    """How many nodes lie in memory that were dropped, freed or not."""
    count = 0
    pattern = ledger.MAGIC.to_bytes(8, "little")
    for start, size, offset in memory.loads:
        found = memory.data.find(pattern, offset, offset + size)
        while found >= 0:
            node = ledger.node(memory, start + found - offset)
            count += node is not None and node.fate == ledger.BURIED
            found = memory.data.find(pattern, found + 8, offset + size)
    return count


def check_totals(heap, objects):
    """The sums fit."""
    live, allocated = heap["live"], heap["allocated"]
    if live["bytes"] > allocated["bytes"] or live["objects"] > allocated["objects"]:
        raise Failure(f"live {live} is more than allocated {allocated}")
    if len(objects.starts) != live["objects"] or sum(objects.sizes.values()) != live["bytes"]:
        raise Failure(f"the list of objects does not add up to live {live}")


class Objects:
    """The objects that `objref objects` lists."""

    def __init__(self, tsv):
        lines = tsv.decode().splitlines()
        if lines[0].split("\t")[:2] != ["address", "size"]:
            raise ValueError(lines[0])
        self.sizes = {}
        for line in lines[1:]:
            address, size, _ = line.split("\t", 2)
            self.sizes[int(address, 16)] = int(size)
        self.starts = sorted(self.sizes)

    def hold(self, address):
        """Whether an address lies in one of them."""
        at = bisect_right(self.starts, address) - 1
        return at >= 0 and address - self.starts[at] < self.sizes[self.starts[at]]


def run(objref, subcommand, core, exe, *arguments, statuses=(0,)):
    """Run objref on a dump and return its standard output; standard error must stay empty."""
    command = [objref, *([subcommand] if subcommand else []), core, "--exe", exe, *arguments]
    done = subprocess.run(command, capture_output=True)
    errors = done.stderr.decode(errors="replace").strip()
    if done.returncode not in statuses or errors:
        raise Failure(f"{subcommand or 'svg'}: exit status {done.returncode}: {errors[-300:]}")
    return done.stdout


if __name__ == "__main__":
    main()
