#!/usr/bin/env python3
"""Hold what objref says with a stripped binary against what it says with the whole one, on the same dump.

For every selected dump the binary is copied three times, so that the addresses stay: `objcopy --strip-all`,
`objcopy --strip-debug` (the symbols stay, as with -ldflags=-w), and without section headers. With each of them:

* `objref objects` lists the same objects: address, size and distance from the roots;
* `objref summary` counts the same roots and goroutines, and the runtime's own counters are read.

A fourth copy is parted from its debug information (`objcopy --only-keep-debug`, `--add-gnu-debuglink`): with it
objref finds the other file by the link, and every column of the listing is the same, types and names too.

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fixturelib import selection

REPOSITORY = Path(__file__).resolve().parents[1]
SAME = ("address", "size", "distance")
COLUMNS = ("case", "version", "variant", "dump", "without", "objects", "typed %", "whole %", "verdict")
FORMAT = "{:<12} {:<8} {:<13} {:<6} {:<9} {:>9} {:>8} {:>8}  {}"


def main():
    """Check everything selected."""
    parser = selection.parser(__doc__)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    options = parser.parse_args()
    print(FORMAT.format(*COLUMNS), flush=True)
    passed = failed = 0
    for program, kind in selection.dumps(options):
        folder = options.out / program.name
        if not (folder / f"core.{kind}").exists():
            continue
        for row, ok in check(options.objref, folder, kind, program.goarch):
            scale = "" if program.scale is None else str(program.scale)
            print(FORMAT.format(program.case + scale, program.version, program.variant, kind, *row), flush=True)
            passed += ok
            failed += not ok
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def check(objref, folder, kind, goarch):
    """Check one dump; yields (the row's cells after the dump's kind, success) for each way to strip."""
    core = folder / f"core.{kind}"
    whole = read(objref, core, folder / "exe")
    with tempfile.TemporaryDirectory() as scratch:
        for without, strip in WAYS.items():
            copy = Path(scratch) / without
            strip((folder / "exe").resolve(), copy, goarch)
            try:
                stripped = read(objref, core, copy)
            except subprocess.CalledProcessError as error:
                yield [without, "-", "-", "-", f"FAIL {error.stderr.decode().strip()}"], False
                continue
            verdict = compare(whole, stripped, without == "parted")
            row = [without, len(stripped[0]), typed(stripped), typed(whole), verdict or "ok"]
            yield row, verdict is None


def read(objref, core, exe):
    """(the listed objects, the summary) of a dump with this binary."""
    def run(command, form):
        return subprocess.run([objref, command, core, "--exe", exe, "--format", form],
                              check=True, capture_output=True).stdout
    lines = run("objects", "tsv").decode().splitlines()
    columns = [lines[0].split("\t").index(name) for name in SAME]
    objects = [tuple(line.split("\t")[c] for c in columns) for line in lines[1:]]
    return objects, json.loads(run("summary", "json")), lines


def compare(whole, stripped, everything):
    """What differs, or None; types and names only if `everything` has to be the same."""
    if everything and whole[2] != stripped[2]:
        return "FAIL the listings differ"
    if whole[0] != stripped[0]:
        both = sum(a == b for a, b in zip(*(sorted(x[0]) for x in (whole, stripped))))
        return f"FAIL {len(whole[0])} objects with the whole binary, {both} the same"
    for part in ("roots", "goroutines", "runtime"):
        if whole[1][part] != stripped[1][part]:
            return f"FAIL {part} differ"
    if any(d["code"] == "runtime.not-found" for d in stripped[1]["diagnostics"]):
        return "FAIL variables of the runtime were not found"
    return None


def typed(reading):
    """Share of the live bytes whose type is known."""
    return f"{100 * reading[1]['heap']['typed']['share']:.1f}"


def objcopy(option):
    """Strip with objcopy."""
    def strip(exe, copy, goarch):
        subprocess.run([tool(goarch), option, exe, copy], check=True)
    return strip


def tool(goarch):
    """The objcopy for an architecture, which is in binutils-aarch64-linux-gnu for arm64."""
    return {"": "objcopy", "arm64": "aarch64-linux-gnu-objcopy"}[goarch]


def without_sections(exe, copy, _goarch):
    """Clear e_shoff, e_shnum and e_shstrndx."""
    data = bytearray(exe.read_bytes())
    data[40:48] = bytes(8)
    data[60:64] = bytes(4)
    copy.write_bytes(data)


def parted(exe, copy, goarch):
    """Move the debug information and the symbols into a file beside the copy."""
    debug = copy.with_name(copy.name + ".dbg")
    subprocess.run([tool(goarch), "--only-keep-debug", exe, debug], check=True)
    subprocess.run([tool(goarch), "--strip-all", f"--add-gnu-debuglink={debug.name}", exe, copy.name],
                   check=True, cwd=copy.parent)


WAYS = {"all": objcopy("--strip-all"), "debug": objcopy("--strip-debug"), "sections": without_sections,
        "parted": parted}


if __name__ == "__main__":
    main()
