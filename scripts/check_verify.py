#!/usr/bin/env python3
"""Run `objref verify` on every dump of the matrix.

The programs collect, write their truth and allocate nothing more before they
are dumped, so for every selected dump that matrix.py has made: nothing
contradicts (exit status 0), every object that survived the last collection is
reached, and none was allocated since. Up to Go 1.24 a few objects may be lost, see
fixturelib/truth.py.

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import json
import subprocess
import sys
from pathlib import Path

from fixturelib import selection, truth as known

REPOSITORY = Path(__file__).resolve().parents[1]
FORMAT = "{:<14} {:<8} {:<13} {:<6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>7}  {}"
COLUMNS = ("case", "version", "variant", "dump", "wrong", "dangling", "lost", "new", "alloc B", "frames", "verdict")


def main():
    """Check everything selected."""
    parser = selection.parser(__doc__)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    options = parser.parse_args()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    print(FORMAT.format(*COLUMNS), flush=True)
    passed = failed = 0
    for program, kind in selection.dumps(options):
        row, ok = check(options.objref, options.out / program.name, kind, program.version)
        case = program.case + ("" if program.scale is None else str(program.scale))
        print(FORMAT.format(case, program.version, program.variant, kind, *row), flush=True)
        passed += ok
        failed += not ok
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def check(objref, folder, kind, version):
    """Check one dump; returns (the row's cells after the dump's kind, success)."""
    core = folder / f"core.{kind}"
    if not core.exists():
        return [*["-"] * 6, "FAIL not there: run matrix.py"], False
    done = subprocess.run([objref, "verify", core, "--exe", folder / "exe", "--format", "json"], capture_output=True)
    if done.returncode not in (0, 1) or not done.stdout:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return [*["-"] * 6, f"FAIL exit status {done.returncode}: {last}"], False
    found = json.loads(done.stdout)
    checks = {c["code"]: c for c in found["checks"]}
    dangling = sum(c["objects"] for code, c in checks.items() if code.startswith("pointers."))
    lost = checks["cycle.survivors-unreachable"]["objects"]
    new = checks["cycle.allocated-since"]["objects"]
    alloc = checks["counters.heap-alloc"]["bytes"]
    frames = sum(f["count"] for f in found["conservative_frames"])
    row = [found["contradictions"], dangling, lost, new, alloc, frames]
    wrong = [c["code"] for c in found["checks"] if c["verdict"] == "contradicts"]
    unexplained = lost if lost > known.dropped(version) else 0
    wrong += [f"{n} {what}" for n, what in ((unexplained, "survivors unreachable"), (new, "allocated since")) if n]
    return [*row, "FAIL " + ", ".join(wrong) if wrong else "ok"], not wrong


if __name__ == "__main__":
    main()
