#!/usr/bin/env python3
"""Count the instructions of objref on dumps that do not change, and hold them against what they were.

Time depends on the machine and on what else it does; the number of instructions of one thread hardly does. Each count
may be 5 % above the one in scripts/cost.json; where that was made with another compiler, 25 %. --write makes it
anew, after a change that is worth what it costs, or that costs less.

Needs valgrind. Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fixturelib import build, dump

REPOSITORY = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_name("cost.json")
# Dumps with many objects of many types, with many references in order, and with many goroutines.
DUMPS = {
    "mix": build.Program("mix", "1.26.6", "default", 20),
    "tree": build.Program("tree", "1.26.6", "default", 1_000_000),
    "goroutines": build.Program("goroutines", "1.27.3", "default"),
}
REPORTS = {
    "picture": ["--format", "svg"],
    "dominators": ["--format", "svg", "--tree", "dominator"],
    "summary": ["summary"],
}
COLUMNS = ("dump", "report", "million", "was", "change", "verdict")
FORMAT = "{:<11} {:<11} {:>9} {:>9} {:>8}  {}"


def main():
    """Count everything and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"make {BASELINE.name} anew")
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    options = parser.parse_args()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    compiler = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {"compiler": "", "millions": {}}
    most = 1.05 if known["compiler"] == compiler else 1.25
    print(FORMAT.format(*COLUMNS), flush=True)
    counts, failed = {}, 0
    for name, program in DUMPS.items():
        folder, _ = dump.at_hand(program, "gcore")
        for report, arguments in REPORTS.items():
            key = f"{name} {report}"
            count = counts[key] = round(instructions(options.objref, arguments, folder) / 1e6, 1)
            was = known["millions"].get(key)
            ok = was is not None and count <= was * most
            failed += not ok
            change = "" if was is None else f"{100 * (count / was - 1):+.1f} %"
            verdict = "ok" if ok else "no baseline" if was is None else f"FAIL more than {100 * (most - 1):.0f} % above"
            print(FORMAT.format(name, report, count, was or "-", change, verdict), flush=True)
    if options.write:
        BASELINE.write_text(json.dumps({"compiler": compiler, "millions": counts}, indent=2) + "\n")
    print(f"{len(counts) - failed} passed, {failed} failed")
    sys.exit(1 if failed and not options.write else 0)


def instructions(objref, arguments, folder):
    """How many instructions one thread takes for a report."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={scratch}/out", objref, *arguments, "--threads", "1",
                   folder / "core.gcore", "--exe", folder / "exe", "-o", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"refs:\s+([\d,]+)", done.stderr)
    if done.returncode != 0 or not found:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}: {done.stderr[-300:]}")
    return int(found[1].replace(",", ""))


if __name__ == "__main__":
    main()
