#!/usr/bin/env python3
"""Hold what objref says about every dump of the matrix against the truth.

For every selected dump that matrix.py has made:

* `objref summary CORE --exe EXE --format json`: heap.live has the bytes and the
  objects that the program wrote about itself (HeapAlloc, HeapObjects), neither one
  more nor one less; up to Go 1.24 a few may be dropped, see fixturelib/truth.py;
* what else the program wrote down holds: its goroutines, and those with labels;
* `objref CORE --exe EXE --format folded -o -`: the counts add up to
  heap.live.bytes exactly, and a second run gives the same bytes.

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from fixturelib import selection, truth as known

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS = ("case", "version", "variant", "dump", "truth bytes", "live bytes", "diff %",
           "truth objs", "live objs", "typed %", "wall ms", "verdict")
FORMAT = "{:<12} {:<8} {:<13} {:<6} {:>11} {:>11} {:>7} {:>10} {:>10} {:>7} {:>7}  {}"


class Failure(Exception):
    """A check that did not hold; says which."""


def main():
    """Check everything selected."""
    options = parse_arguments()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    print(FORMAT.format(*COLUMNS), flush=True)
    passed = failed = 0
    for program, kind in selection.dumps(options):
        row, ok = check(options.objref, options.out / program.name, kind)
        scale = "" if program.scale is None else str(program.scale)
        print(FORMAT.format(program.case + scale, program.version, program.variant, kind, *row), flush=True)
        passed += ok
        failed += not ok
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def parse_arguments():
    """The command line."""
    parser = selection.parser(__doc__)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    return parser.parse_args()


def check(objref, folder, kind):
    """Check one dump; returns (the row's cells after the dump's kind, success)."""
    row = ["-"] * 7
    if not (folder / f"core.{kind}").exists():
        return [*row, "FAIL not there: run matrix.py"], False
    try:
        truth = json.loads((folder / f"truth.{kind}.json").read_text())
        row[0], row[3] = truth["heap_alloc"], truth["heap_objects"]
        started = time.monotonic()
        summary = json.loads(run(objref, "summary", folder, kind, "--format", "json"))
        row[6] = round((time.monotonic() - started) * 1000)
        compare(summary["heap"], truth, row)
        check_goroutines(objref, folder, kind, truth)
        check_folded(objref, folder, kind, summary["heap"]["live"]["bytes"])
    except Failure as failure:
        return [*row, f"FAIL {failure}"], False
    except (KeyError, ValueError) as error:
        return [*row, f"FAIL unexpected output: {error!r}"], False
    return [*row, "ok"], True


def compare(heap, truth, row):
    """Fill the row with the summary's figures and hold the live bytes to the bar."""
    live, typed = heap["live"], heap["typed"]
    difference = live["bytes"] / truth["heap_alloc"] - 1
    row[1], row[2] = live["bytes"], f"{difference * 100:+.3f}"
    row[4], row[5] = live["objects"], f"{100 * typed['bytes'] / max(live['bytes'], 1):.1f}"
    dropped = truth["heap_objects"] - live["objects"]
    if not 0 <= dropped <= known.dropped(truth["go_version"]):
        raise Failure(f"{-dropped:+} live objects")
    if dropped == 0 and live["bytes"] != truth["heap_alloc"]:
        raise Failure(f"{live['bytes'] - truth['heap_alloc']:+} live bytes")


def check_goroutines(objref, folder, kind, truth):
    """The goroutines are as many, and as many of them have labels, as the program says."""
    report = json.loads(run(objref, "goroutines", folder, kind, "--all", "--format", "json"))
    rows = [row for row in report["goroutines"] if not row["system"]]
    # A finalizer that does not return makes the runtime's goroutine one of the program's, but NumGoroutine goes on
    # to leave it out (runtime/proc.go: newproc1, ngsys).
    rows = [row for row in rows if not (row["created_by"] or {}).get("function", "").startswith("runtime.")]
    # Nor does it count the one that waits for a thread of C's to call Go (runtime/proc.go: oneNewExtraM).
    names = [[frame["function"] for frame in stack["frames"]] for stack in report["stacks"]]
    rows = [row for row in rows if names[row["stack"]] != ["runtime.goexit"]]
    labelled = sum(bool(row["labels"]) for row in rows)
    for found, wanted, what in ((len(rows), truth["num_goroutine"], "goroutines"),
                                (labelled, truth.get("labelled_goroutines", 0), "goroutines with labels")):
        if found != wanted:
            raise Failure(f"{found} {what}, not {wanted}")


def check_folded(objref, folder, kind, live_bytes):
    """The folded stacks add up to the live bytes, and come out the same twice."""
    first = run(objref, None, folder, kind, "--format", "folded", "-o", "-")
    total = sum(int(line.rpartition(b" ")[2]) for line in first.splitlines())
    if total != live_bytes:
        raise Failure(f"folded counts add up to {total}, not to {live_bytes}")
    if run(objref, None, folder, kind, "--format", "folded", "-o", "-") != first:
        raise Failure("two runs differ")


def run(objref, subcommand, folder, kind, *arguments):
    """Run objref on one dump and return its standard output."""
    command = [objref, *([subcommand] if subcommand else []),
               folder / f"core.{kind}", "--exe", folder / "exe", *arguments]
    done = subprocess.run(command, capture_output=True)
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Failure(f"exit status {done.returncode}: {last}")
    return done.stdout


if __name__ == "__main__":
    main()
