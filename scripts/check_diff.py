#!/usr/bin/env python3
"""Dump one process several times, and hold `objref diff` to what it says it did in between.

fixtures/grow keeps, adds, frees and hands on objects in steps, says how many of each type,
and waits to be dumped by gdb after each. For every two dumps in a row:

* objref says that they are of one process, and is certain of it (of stripped programs: likely);
* of each type, what survived, is new, was freed and was handed on is what the program says. Of what was freed
  and replaced by an object of the same type and holder, objref may take any part for survivors, but no more;
  without a collection in between not even that;
* goroutines that were started are told apart;
* every table adds up to the growth of the live heap; of two dumps in the wrong order all is reversed, and said;
  of a dump and itself nothing has changed;
* with the index of a dump in its place the answer is the same.

Of all dumps together only what grew in every step is left. Prints a table and `N passed, N failed`; exit status 1
if anything failed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from fixturelib import build, dump, selection, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS = ("version", "variant", "steps", "kept", "added", "freed", "moved", "in place", "verdict")
FORMAT = "{:<8} {:<9} {:<26} {:>7} {:>7} {:>7} {:>7} {:>9}  {}"
ALWAYS = {"main.Session", "main.User", "main.Node"}


class Failure(Exception):
    """A check that did not hold; says which."""


def main():
    """Dump and check every program that was asked for."""
    options = parse_arguments()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    print(FORMAT.format(*COLUMNS), flush=True)
    counts = {True: 0, False: 0}
    programs = [build.Program("grow", v, variant, options.scale) for v in options.versions for variant in options.variants]
    for program in (p for p in programs if p.exists()):
        exe = build.build(program, options.out / program.name)
        with tempfile.TemporaryDirectory(prefix="run.", dir=options.out) as scratch:
            dumps = take(exe, options.scale, Path(scratch))
            quiet = ["--quiet"] if is_stripped(program) else []  # it warns of that
            for row, ok in check(Diff(options.objref, exe, quiet), program, dumps):
                print(FORMAT.format(program.version, program.variant, *row), flush=True)
                counts[ok] += 1
    print(f"{counts[True]} passed, {counts[False]} failed")
    sys.exit(1 if counts[False] or not counts[True] else 0)


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--versions", type=selection.versions, metavar="V,...",
                        default="1.19,1.21,1.24,1.26,1.27", help="default: %(default)s")
    parser.add_argument("--variants", type=selection.variants, metavar="NAME,...", default="default,stripped",
                        help=f"of {', '.join(build.VARIANTS)} (default: %(default)s)")
    parser.add_argument("--scale", type=int, default=1, metavar="N", help="N times as many objects (default 1)")
    parser.add_argument("--out", type=Path, default=toolchains.cache_dir() / "matrix", metavar="DIR",
                        help="default: $OBJREF_CACHE/matrix or ~/.cache/objref/matrix")
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    return parser.parse_args()


def is_stripped(program):
    """Whether objref cannot know all types and variables."""
    return program.variant == "stripped"


def take(exe, scale, scratch):
    """Run the program and dump it after every step: (what it says, core)."""
    dumps = []
    with subprocess.Popen([exe.resolve(), "-n", str(scale)], cwd=scratch, env={},
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            while line := process.stdout.readline():
                said = json.loads(line)
                core = dump.gcore(process, scratch).rename(scratch / f"{len(dumps)}.core")
                dumps.append((said, core))
                process.stdin.write(b"\n")
                process.stdin.flush()
        finally:
            process.kill()
    return dumps


class Diff:
    """`objref diff` with one binary for all."""

    def __init__(self, objref, exe, options=()):
        self.objref, self.exe, self.options = objref, exe, options

    def run(self, *arguments):
        """Standard output of objref."""
        done = subprocess.run([self.objref, *arguments, *self.options], capture_output=True, text=True)
        if done.returncode != 0 or done.stderr:
            raise Failure(f"objref {arguments[0]}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def __call__(self, *dumps):
        return json.loads(self.run("diff", *dumps, "--exe", self.exe, "--format", "json"))


def check(diff, program, dumps):
    """Check all steps and then all together; yields (the row's cells after the variant, success)."""
    for (_, before), (said, after) in zip(dumps, dumps[1:]):
        sums = {word: sum(t[word] for t in said["types"].values())
                for word in ("kept", "added", "freed", "moved", "in_place")}
        try:
            told = one_step(diff, program, before, after, said)
            sums["in_place"] = "-" if is_stripped(program) else f"{told}/{sums['in_place']}"
            verdict = "ok"
        except Failure as failure:
            verdict = f"FAIL {failure}"
        yield [said["step"], *sums.values(), verdict], verdict == "ok"
    try:
        together(diff, program, dumps)
        verdict = "ok"
    except Failure as failure:
        verdict = f"FAIL {failure}"
    yield [f"all {len(dumps)}", *"-----", verdict], verdict == "ok"


def one_step(diff, program, before, after, said):
    """Check a step; returns how many replaced objects were taken for survivors."""
    found = diff(before, after)
    step, = found["steps"]
    expect("relation", step["relation"], "same_process")
    expect("sureness", step["sureness"], "likely" if is_stripped(program) else "certain")
    expect("backwards", step["backwards"], False)
    expect("collections", step["collections"], found["dumps"][1]["num_gc"] - found["dumps"][0]["num_gc"])
    expect("number of collections", found["dumps"][1]["num_gc"], said["num_gc"])
    adds_up(found)
    rows = {row["path"][0]: row for row in found["types"]["rows"]}
    mistaken = sum(types_agree(name, truth, rows.get(name), step["collections"])
                   for name, truth in said["types"].items() if not is_stripped(program))
    goroutines(found, said)
    backwards(found, diff(after, before))
    nothing(diff(after, after))
    for path in (before, after):
        diff.run("index", path, "--exe", diff.exe, "-o", f"{path}.index")
    for old, new in ((f"{before}.index", f"{after}.index"), (before, f"{after}.index")):
        if diff(old, new) != found:
            raise Failure("with an index the answer is another one")
    return mistaken


def types_agree(name, truth, row, collections):
    """Hold the fates of a type's objects against what the program says."""
    limit = truth["in_place"] if collections else 0
    if row is None:  # nothing has changed: all slots of what was freed were used again
        if truth["moved"] or truth["added"] != truth["freed"] or truth["freed"] > limit:
            raise Failure(f"{name}: not listed: {truth}")
        return truth["freed"]
    fates = {word: amount["objects"] for word, amount in row["fates"].items()}
    mistaken = fates["survived"] + fates["moved_here"] - truth["kept"]
    if not 0 <= mistaken <= limit:
        raise Failure(f"{name}: {mistaken} taken for survivors, up to {limit} may be: {fates}, {truth}")
    expect(f"{name} moved", (fates["moved_here"], fates["moved_away"]), (truth["moved"],) * 2)
    expect(f"{name} new", fates["new"], truth["added"] - mistaken)
    expect(f"{name} freed", fates["freed"], truth["freed"] - mistaken)
    return mistaken


def goroutines(found, said):
    """Those that wait in main.receive are told apart."""
    counts = found["goroutines"]["counts"]
    groups = [g for g in found["goroutines"]["groups"] if "main.receive" in g["functions"]]
    grown = counts[1] - counts[0]
    expect("goroutines that were started", sum(g["started"] for g in groups), grown)
    expect("goroutines that ended", sum(g["ended"] for g in groups), 0)
    expect("goroutines", counts[1], said["goroutines"])
    expect("whether there are more", grown > 0, said["step"] != "more")


def adds_up(found):
    """Every table adds up to the growth of the whole, and every row's fates to its amounts."""
    for name in ("types", "roots", "paths"):
        table = found[name]
        for unit in ("bytes", "objects"):
            total = table["not_listed_growth"][unit] + table["left_out_growth"][unit]
            total += sum(row["growth"][unit] for row in table["rows"])
            expect(f"growth of {name}", total, found["growth"][unit])
            for row in table["rows"]:
                fates = {word: amount[unit] for word, amount in row["fates"].items()}
                before, after = (amount[unit] for amount in row["amounts"])
                expect(f"{row['path']} before", fates["survived"] + fates["freed"] + fates["moved_away"], before)
                expect(f"{row['path']} after", fates["survived"] + fates["new"] + fates["moved_here"], after)


def backwards(found, reverse):
    """The same dumps in the wrong order."""
    expect("that the order is wrong", reverse["steps"][0]["backwards"], True)
    expect("collections backwards", reverse["steps"][0]["collections"], found["steps"][0]["collections"])
    for name in ("types", "roots", "paths"):
        there, back = ({tuple(row["path"]): row for row in report[name]["rows"]} for report in (found, reverse))
        expect(f"{name} backwards", [*back], [*there])
        for path, row in there.items():
            expect(f"{path} backwards", back[path]["growth"]["bytes"], -row["growth"]["bytes"])
            expect(f"{path} freed backwards", back[path]["fates"]["freed"], row["fates"]["new"])


def nothing(found):
    """Of a dump and itself."""
    for name in ("types", "roots", "paths"):
        expect(f"{name} of a dump and itself", found[name]["rows"], [])
    expect("goroutines of a dump and itself", found["goroutines"]["groups"], [])


def together(diff, program, dumps):
    """Only what grew in every step is left."""
    found = diff(*(core for _, core in dumps))
    expect("relations", {step["relation"] for step in found["steps"]}, {"same_process"})
    if is_stripped(program):
        return
    rows = {row["path"][0]: row for row in found["types"]["rows"]}
    expect("types that grew in every step", {name for name in rows if name.startswith("main.")}, ALWAYS)
    for name in ALWAYS:
        counts = [amount["objects"] for amount in rows[name]["amounts"]]
        said = [s["types"][name]["kept"] + s["types"][name]["added"] for s, _ in dumps]
        expect(f"{name} in all dumps", counts, said)


def expect(what, found, expected):
    """Fails unless both are equal."""
    if found != expected:
        raise Failure(f"{what}: {found}, expected {expected}")


if __name__ == "__main__":
    main()
