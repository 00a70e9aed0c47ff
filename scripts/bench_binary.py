#!/usr/bin/env python3
"""Measure what a large binary costs: its DWARF and its symbols, with next to no heap.

Builds a program of many packages (150: 430 MB, 272 of them DWARF) with its DWARF compressed, which is
Go's default, and as it is; dumps it with gcore; and runs objref from the core to its reports, from an
index, and from a core with its index beside it. What it looked at of its files is in the last column:
with an index nothing of the binary may be.

Prints a Markdown table. Building takes ten minutes on two cores at first, and 3 GB of disk.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import bench
from fixturelib import dump, large, toolchains

VARIANTS = {"default": "compressed", "nocompress": "as it is"}
REPORTS = {
    "picture": lambda objref, dump, out: [objref, *dump, "-o", out / "x.svg"],
    "summary": lambda objref, dump, out: [objref, "summary", *dump],
    "index": lambda objref, dump, out: [objref, "index", *dump, "-o", out / "x.objref"],
    "picture, from the index": lambda objref, dump, out: [objref, out / "x.objref", "-o", out / "x.svg"],
    "picture, the index is written": lambda objref, dump, out: [objref, *dump, "--index", "-o", out / "x.svg"],
    "picture, the index is there": lambda objref, dump, out: [objref, *dump, "--index", "-o", out / "x.svg"],
}


def main():
    """Measure every variant and print the table."""
    options = parse_arguments()
    print(f"{bench.circumstances(options)}\n")
    print("| DWARF | binary MB | report | wall s | CPU s | anonymous MB | mapped and read MB |")
    print("|---|--:|---|--:|--:|--:|--:|", flush=True)
    for variant in options.variants:
        program = large.Program("large", options.version, variant, options.packages)
        folder, exe = dump.at_hand(program, "gcore")
        for name, usage, mapped in measure_all(options, folder / "core.gcore", exe):
            print(f"| {VARIANTS[variant]} | {exe.stat().st_size / 1e6:.0f} | {name} | {usage.wall:.2f} | {usage.cpu:.2f} "
                  f"| {usage.anonymous / 1e6:.0f} | {mapped / 1e6:.0f} |", flush=True)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=150, metavar="N", help="of the program (default 150)")
    parser.add_argument("--variants", type=lambda text: text.split(","), default=list(VARIANTS), metavar="NAME,...",
                        help=f"default: {','.join(VARIANTS)}")
    parser.add_argument("--version", type=toolchains.resolve, default="1.26.6", help="of Go (default 1.26.6)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each report (default 3)")
    parser.add_argument("--objref", type=Path, default=bench.REPOSITORY / "target/release/objref", metavar="FILE",
                        help="default: target/release/objref")
    options = parser.parse_args()
    options.cold = False
    if set(options.variants) - set(VARIANTS):
        parser.error(f"no variant but {', '.join(VARIANTS)}")
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    return options


def measure_all(options, core, exe):
    """Every report with the median of what it cost, and how many bytes of files it looked at."""
    with tempfile.TemporaryDirectory() as out:
        out = Path(out)
        # An index is kept beside the core.
        (out / "core").symlink_to(core)
        dump_of = [out / "core", "--exe", exe]
        for name, report in REPORTS.items():
            usages, mapped = [], 0
            for _ in range(options.runs):
                if "written" in name:
                    (out / "core.objref").unlink(missing_ok=True)
                usages.append(bench.run_once([*report(options.objref, dump_of, out), "--quiet", "--stats=json"], out))
                phases = json.loads((out / "stderr").read_text())["phases"]
                mapped = max(phase["mapped_bytes"] for phase in phases)
            yield name, bench.median(usages), mapped


if __name__ == "__main__":
    main()
