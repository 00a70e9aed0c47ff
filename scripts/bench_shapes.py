#!/usr/bin/env python3
"""Measure what an element costs in heaps of the shapes that algorithms stumble over.

Each shape of fixtures/shapes is dumped with a tenth of the elements and with all of
them (gcore), and objref's reports are made of both. What is linear costs the same for
each element: the last column is how much more the CPU time is than ten times that of
the small one, less what an empty heap costs. Prints a Markdown table; --write puts it
into docs/shapes.md.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import bench
from fixturelib import build, dump, toolchains

# Elements of the large heap.
SHAPES = {
    "list": 10_000_000,
    "slice": 50_000_000,
    "map": 10_000_000,
    "goroutines": 1_000_000,
    "types": 1_000_000,
    "ladder": 10_000_000,
    "finalizers": 1_000_000,
    "stack": 1_000_000,
}
REPORTS = {
    "picture": lambda objref, dump, out: [objref, *dump, "-o", out / "x.svg"],
    "dominators": lambda objref, dump, out: [objref, *dump, "--tree", "dominator", "-o", out / "x.svg"],
    "page": lambda objref, dump, out: [objref, *dump, "-o", out / "x.html"],
    "summary": lambda objref, dump, out: [objref, "summary", *dump],
    "goroutines": lambda objref, dump, out: [objref, "goroutines", *dump],
    "types": lambda objref, dump, out: [objref, "types", *dump],
    "top": lambda objref, dump, out: [objref, "top", *dump],
    "verify": lambda objref, dump, out: [objref, "verify", *dump],
    "index": lambda objref, dump, out: [objref, "index", *dump, "-o", out / "x.objref"],
}
ROW = "| {} | {:,} | {} | {:.2f} | {:.2f} | {:.0f} | {:.2f} | {:.1f} |"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "shapes.md"


def main():
    """Measure what was asked for and print the table."""
    options = parse_arguments()
    lines = [f"{bench.circumstances(options)}\n",
             "| shape | elements | report | wall s | CPU s | anonymous MB | CPU µs an element | ÷ a tenth |",
             "|---|--:|---|--:|--:|--:|--:|--:|"]
    print("\n".join(lines), flush=True)
    empty = {}
    folder, exe = taken("list", 1, options.version)
    for name, report in REPORTS.items():
        empty[name] = measure(report, folder, exe, options)
    for shape in options.shapes:
        full = SHAPES[shape] // options.divide
        small, large = (taken(shape, n, options.version) for n in (full // 10, full))
        for name, report in REPORTS.items():
            if name not in options.reports:
                continue
            try:
                few = measure(report, *small, options)
                many = measure(report, *large, options)
            except bench.RunFailed as failure:
                line = f"| {shape} | {full:,} | {name} | {failure} | | | | |"
            else:
                fixed = empty[name].cpu
                ratio = max(many.cpu - fixed, 0) / max(10 * (few.cpu - fixed), 0.01)
                line = ROW.format(shape, full, name, many.wall, many.cpu, many.anonymous / 1e6, many.cpu / full * 1e6, ratio)
            lines.append(line)
            print(line, flush=True)
    if options.write:
        bench.write(PAGE, lines)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=lambda text: text.split(","), default=list(SHAPES), metavar="NAME,...",
                        help=f"default: {','.join(SHAPES)}")
    parser.add_argument("--reports", type=lambda text: text.split(","), default=list(REPORTS), metavar="NAME,...",
                        help=f"default: {','.join(REPORTS)}")
    parser.add_argument("--divide", type=int, default=1, metavar="N", help="heaps of an N-th of the size")
    parser.add_argument("--version", type=toolchains.resolve, default="1.26.6", help="of Go (default 1.26.6)")
    parser.add_argument("--write", action="store_true", help="docs/shapes.md")
    parser.add_argument("--objref", type=Path, default=bench.REPOSITORY / "target/release/objref", metavar="FILE",
                        help="default: target/release/objref")
    options = parser.parse_args()
    options.runs, options.cold = 1, False
    unknown = (set(options.shapes) - set(SHAPES)) | (set(options.reports) - set(REPORTS))
    if unknown:
        parser.error(f"no shape or report {', '.join(sorted(unknown))}")
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    return options


def taken(shape, elements, version):
    """The folder and the binary of a dump, which is taken unless it is there."""
    program = build.Program("shapes", version, "default", elements, (f"-shape={shape}",))
    return dump.at_hand(program, "gcore")


def measure(report, folder, exe, options):
    """What one report of one dump costs."""
    core = folder / "core.gcore"
    with tempfile.TemporaryDirectory() as out:
        out = Path(out)
        return bench.run_once(report(options.objref, [core, "--exe", exe], out), out)


if __name__ == "__main__":
    main()
