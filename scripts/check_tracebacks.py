#!/usr/bin/env python3
"""Compare objref's goroutines with the tracebacks that the dying programs printed.

A program that dies with GOTRACEBACK=crash writes the traceback of every goroutine
to standard error before the kernel writes the core. For every selected kernel dump
that matrix.py has made, or for one dump given by --core, --exe and --stderr,
`objref goroutines CORE --exe EXE --all --format json` has to list the same
goroutines, with the same status or wait reason, the same creator, the same profiler
labels (which Go 1.27 prints), and the same frames: function, file and line, inlined
calls too.

Differences that the moments explain are not counted: frames of the runtime that a
goroutine entered after it had printed its traceback (to raise the signal), and
goroutines that ran on another thread, whose stack the program did not print.

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from fixturelib import selection

REPOSITORY = Path(__file__).resolve().parents[1]
COLUMNS = ("case", "version", "variant", "goroutines", "frames", "unprinted", "verdict")
FORMAT = "{:<12} {:<8} {:<13} {:>10} {:>8} {:>9}  {}"
HEADER = re.compile(r"goroutine (\d+)(?: gp=\S+ m=\S+(?: mp=\S+)?)? \[([^\]]*)\](?: \{(.*)\})?:$")
LABEL = re.compile(r'(?:^|, )("(?:[^"\\]|\\.)*"|[^":, ]+): ("(?:[^"\\]|\\.)*"|[^":, ]+)')
ELIDED = re.compile(r"\.\.\.(\d+) frames elided\.\.\.$")
SHOWN_DIFFERENCES = 5


class Failure(Exception):
    """A comparison that could not be made; says why."""


def main():
    """Compare everything selected."""
    options = parse_arguments()
    if not options.objref.exists():
        sys.exit(f"no {options.objref}: cargo build --release, or name it with --objref")
    print(FORMAT.format(*COLUMNS), flush=True)
    passed = failed = 0
    for labels, core, exe, stderr in dumps(options):
        try:
            count, frames, unprinted, differences = compare(options.objref, core, exe, stderr)
            verdict = f"{len(differences)} differ" if differences else "ok"
            cells = (count, frames, unprinted, verdict)
        except Failure as failure:
            cells, differences = ("-", "-", "-", str(failure)), [None]
        print(FORMAT.format(*labels, *cells), flush=True)
        for difference in filter(None, differences[:SHOWN_DIFFERENCES]):
            print(f"    {difference}", flush=True)
        passed += not differences
        failed += bool(differences)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def parse_arguments():
    """The command line."""
    parser = selection.parser(__doc__)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    parser.add_argument("--core", type=Path, metavar="FILE", help="check this dump instead of the matrix")
    parser.add_argument("--exe", type=Path, metavar="FILE", help="its binary")
    parser.add_argument("--stderr", type=Path, metavar="FILE", help="what it printed")
    return parser.parse_args()


def dumps(options):
    """((case, version, variant), core, binary, printed tracebacks) of what is to be checked."""
    if options.core:
        yield (options.core.name, "-", "-"), options.core, options.exe, options.stderr
        return
    for program in selection.programs(options):
        folder = options.out / program.name
        scale = "" if program.scale is None else str(program.scale)
        labels = (program.case + scale, program.version, program.variant)
        yield labels, folder / "core.kernel", folder / "exe", folder / "stderr.txt"


def compare(objref, core, exe, stderr):
    """(goroutines, frames, goroutines without a printed stack, differences)."""
    try:
        printed = parse(stderr.read_text(errors="replace"))
    except OSError as error:
        raise Failure(error) from error
    if not printed:
        raise Failure("no traceback was printed")
    listed = ask(objref, core, exe)
    differences, frames, unprinted = [], 0, 0
    for number, theirs in printed.items():
        ours = listed.get(number)
        if ours is None:
            differences.append(f"goroutine {number} [{theirs['state']}] is missing")
        elif theirs["frames"] is None:
            unprinted += 1
        else:
            frames += len(theirs["frames"])
            differences.extend(f"goroutine {number}: {text}" for text in difference(theirs, ours))
    return len(printed), frames, unprinted, differences


def parse(text):
    """Goroutines by number from a program's standard error."""
    goroutines = {}
    lines = text.split("\n")
    i = 0
    while i < len(lines):
        header = HEADER.match(lines[i])
        i += 1
        # Goroutine 0 is the system stack of a thread.
        if not header or header[1] == "0":
            continue
        number, state = int(header[1]), header[2].split(", ")[0]
        labels = {unquoted(key): unquoted(value) for key, value in LABEL.findall(header[3] or "")}
        goroutine = {"state": state, "frames": [], "creator": None, "labels": labels}
        while i + 1 < len(lines) and lines[i] and not HEADER.match(lines[i]):
            line, below = lines[i], lines[i + 1]
            i += 1
            if "stack unavailable" in line:
                goroutine["frames"] = None
            elif elided := ELIDED.match(line):
                goroutine["frames"].append(int(elided[1]))
            elif below.startswith("\t"):
                place = below.strip().split(" ")[0]
                i += 1
                if line.startswith("created by "):
                    goroutine["creator"] = (line.removeprefix("created by ").split(" in goroutine ")[0], place)
                else:
                    goroutine["frames"].append((line[:line.rindex("(")], place))
            else:
                break
        # Threads print their own goroutine again, once they are reached, with its stack.
        if number not in goroutines or goroutines[number]["frames"] is None:
            goroutines[number] = goroutine
    return goroutines


def unquoted(text):
    """A key or a value of a label as it was set."""
    return json.loads(text) if text.startswith('"') else text


def ask(objref, core, exe):
    """Goroutines by number from objref."""
    command = [objref, "goroutines", core, "--exe", exe, "--all", "--format", "json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"exit {done.returncode}: {done.stderr.strip().splitlines()[:1]}")
    report = json.loads(done.stdout)
    stacks = [[place(frame) for frame in stack["frames"]] for stack in report["stacks"]]
    return {
        row["id"]: {
            "state": row["wait_reason"] or row["status"],
            "frames": stacks[row["stack"]],
            "creator": place(row["created_by"]) if row["created_by"] else None,
            "labels": dict(row["labels"]),
        }
        for row in report["goroutines"]
    }


def place(frame):
    """A frame as a traceback has it."""
    return printed_name(frame["function"]), f"{frame['file']}:{frame['line']}"


def printed_name(name):
    """A function's name as tracebacks print it: without the types that a generic function is made for."""
    if name == "runtime.gopanic":
        return "panic"
    parts, depth = [], 0
    for char in name:
        if char == "[":
            parts.extend("[...]" if depth == 0 else "")
            depth += 1
        elif char == "]":
            depth -= 1
        elif depth == 0:
            parts.append(char)
    return "".join(parts)


def difference(theirs, ours):
    """Texts for what differs between a printed and a listed goroutine."""
    if theirs["state"] != ours["state"]:
        yield f"state {theirs['state']!r}, listed as {ours['state']!r}"
    if theirs["creator"] is not None and theirs["creator"] != ours["creator"]:
        yield f"created by {theirs['creator']}, listed as {ours['creator']}"
    if theirs["labels"] and theirs["labels"] != ours["labels"]:
        yield f"labels {theirs['labels']}, listed as {ours['labels']}"
    wanted, found = theirs["frames"], ours["frames"]
    gap = next((i for i, frame in enumerate(wanted) if isinstance(frame, int)), None)
    if gap is not None:
        # A deep stack is printed without its middle.
        found = found[:gap] + found[gap + wanted[gap]:]
        wanted = wanted[:gap] + wanted[gap + 1:]
    extra = len(found) - len(wanted)
    if extra > 0 and all(name.startswith("runtime.") for name, _ in found[:extra]):
        found = found[extra:]
    if wanted == found:
        return
    for i, (a, b) in enumerate(zip(wanted, found)):
        if a != b:
            yield f"frame {i} is {a}, listed as {b}"
            return
    yield f"{len(wanted)} frames, listed {len(found)}"


if __name__ == "__main__":
    main()
