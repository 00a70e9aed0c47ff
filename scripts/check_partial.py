#!/usr/bin/env python3
"""Take dumps of the matrix apart, and hold what objref says of the rest against the whole.

Of every selected dump cores are made that lack something: cut at 10, 25, 50, 75 and
90 % of the file, and with a hole in the middle of the heap, of the span records, of
the variables, or in the module data, where segments promise no bytes (empty), are
not there at all (none), or have zeros (zero). For each:

* `objref summary` ends with a report, or with one line on standard error and exit
  status 3, which is right only where the runtime's variables are lost themselves;
* the live bytes that are in the part are within 5 % of what the whole dump tells
  (crates/objref-snapshot/examples/partial.rs: reachable by words that are there);
* that something is missing is stated, with how much.

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fixturelib import partial, selection

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS = ("case", "version", "dump", "part", "reference", "live there", "diff %", "lost", "guessed", "undecided", "verdict")
FORMAT = "{:<10} {:<8} {:<6} {:<13} {:>10} {:>10} {:>7} {:>10} {:>9} {:>9}  {}"
CUTS = (10, 25, 50, 75, 90)
# Where there is no way to go on: the heap's own variables are gone.
HOPELESS = {"data-empty", "data-none", "data-zero", "module-empty", "module-none", "module-zero"}
BAR = 0.05


class Failure(Exception):
    """A check that did not hold; says which."""


class Beyond(Failure):
    """More than the bar, where pages were divided by guess."""


def main():
    """Check everything selected."""
    parser = selection.parser(__doc__)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    parser.add_argument("--reference", type=Path, default=REPOSITORY / "target/release/examples/partial", metavar="FILE",
                        help="the example that marks in the whole dump (default: target/release/examples/partial)")
    parser.add_argument("--parts", type=lambda text: text.split(","), metavar="NAME,...",
                        help="e.g. 50%%,heap-none (default: all)")
    parser.add_argument("--outliers", type=int, default=0, metavar="N",
                        help="so many dumps may have parts beyond the bar, of what was divided by guess: in one of some fifty "
                             "small heaps a page taken for another loses what hangs from it (default: 0)")
    options = parser.parse_args()
    for program in (options.objref, options.reference):
        if not program.exists():
            sys.exit(f"no {program}: cargo build --release -p objref -p objref-snapshot --bins --examples")
    print(FORMAT.format(*COLUMNS), flush=True)
    counts = {True: 0, False: 0}
    outliers = set()
    for program, kind in selection.dumps(options):
        folder = options.out / program.name
        if not (folder / f"core.{kind}").exists():
            print(f"{program.name}: no {kind} dump: run matrix.py")
            counts[False] += 1
            continue
        with tempfile.TemporaryDirectory(dir=options.out, prefix="partial.") as scratch:
            target = Path(scratch) / "core"
            for name, make in parts(folder, kind, options.parts).items():
                make(target)
                row, ok = check(options, folder, kind, name, target)
                scale = "" if program.scale is None else str(program.scale)
                print(FORMAT.format(program.case + scale, program.version, kind, name, *row), flush=True)
                if ok is None:
                    outliers.add(program.name)
                else:
                    counts[ok] += 1
                target.unlink()
    print(f"{counts[True]} passed, {counts[False]} failed, {len(outliers)} dumps with parts beyond the bar")
    sys.exit(1 if counts[False] or not counts[True] or len(outliers) > options.outliers else 0)


def parts(folder, kind, selected):
    """By name, what makes each part of a dump that is selected, or all of them."""
    core = partial.Core(folder / f"core.{kind}")
    makers = {f"{percent}%": lambda target, percent=percent: partial.cut(core, percent, target) for percent in CUTS}
    if not selected or not makers.keys() >= set(selected):
        for place, hole in partial.places(core, folder / "exe").items():
            for how in ("empty", "none", "zero"):
                makers[f"{place}-{how}"] = lambda target, hole=hole, how=how: partial.exclude(core, hole, target, how)
    return {name: make for name, make in makers.items() if not selected or name in selected}


def check(options, folder, kind, name, part):
    """Check one part; returns (the row's cells after the part's name, success or None if it is beyond the bar)."""
    row = ["-"] * 6
    exe = folder / "exe"
    try:
        done = subprocess.run([options.objref, "summary", part, "--exe", exe, "--format", "json"], capture_output=True, text=True)
        if done.returncode != 0:
            return [*row, refusal(done, name)], True
        summary = json.loads(done.stdout)
        reference = json.loads(subprocess.run([options.reference, folder / f"core.{kind}", exe, part], check=True,
                                              capture_output=True, text=True).stdout)
        missing = summary["missing"] or {}
        live = summary["heap"]["live"]["bytes"] - missing.get("live_bytes", 0)
        difference = live / max(reference["bytes"], 1) - 1
        row = [reference["bytes"], live, f"{difference * 100:+.2f}", missing.get("heap_bytes", 0),
               missing.get("guessed_bytes", 0), missing.get("undecided_bytes", 0)]
        stated(summary, missing, name)
        # What zeros were cannot be told; that they are holes is.
        if abs(difference) > BAR and not name.endswith("zero"):
            guessed = missing.get("guessed_bytes", 0) > 0
            raise (Beyond if guessed else Failure)(f"{live - reference['bytes']:+} live bytes")
    except Beyond as beyond:
        return [*row, f"BEYOND {beyond}"], None
    except Failure as failure:
        return [*row, f"FAIL {failure}"], False
    except (KeyError, ValueError, subprocess.CalledProcessError) as error:
        return [*row, f"FAIL {error!r}"], False
    return [*row, "ok"], True


def refusal(done, name):
    """What to say of a part that objref refused; it must do so in one line, and with reason."""
    lines = done.stderr.strip().splitlines()
    if done.returncode != 3 or len(lines) != 1 or done.stdout:
        raise Failure(f"exit status {done.returncode}: {' | '.join(lines)[-300:]}")
    if name not in HOPELESS:
        raise Failure(lines[0].partition(": ")[2])
    return "refused"


def stated(summary, missing, name):
    """The report says what is missing."""
    if name.endswith("%") and not summary["core"]["missing_bytes"]:
        raise Failure("not a word of the bytes cut off")
    if name in ("heap-empty", "heap-none") and not missing.get("heap_bytes"):
        raise Failure("not a word of the pages left out")
    if name == "heap-zero" and not missing.get("zero_bytes"):
        raise Failure("not a word of the pages of zeros")
    # A record of zeros is one that waits to be used; but the runtime's own count tells of others.
    counted = summary["reconciliation"] and summary["reconciliation"]["difference_bytes"]
    if name.startswith(("heap", "spans")) and not summary["diagnostics"] and not counted:
        raise Failure("no warning")


if __name__ == "__main__":
    main()
