#!/usr/bin/env python3
"""Build the fixture programs with every Go version and variant, and dump them.

For every case x version x variant this leaves in OUT/<case>-<version>-<variant>/

    exe  core.kernel  core.gcore  truth.kernel.json  truth.gcore.json  stderr.txt

What is there already from the same sources is kept, so a second run is instant.
A case may carry its scale: `mix:210` runs `mix -n 210` and is named `mix210`.
"""

import argparse
import sys
import time
from pathlib import Path

from fixturelib import build, dump, toolchains


def main():
    """Parse the command line and make what it asks for."""
    options = parse_arguments()
    failed = 0
    for program in selected(options):
        for line, ok in produce(program, options):
            print(line, flush=True)
            failed += not ok
    if failed:
        sys.exit(f"{failed} not made")


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=comma_list(build.parse_case), metavar="CASE[:N],...",
                        default="zoo,service", help=f"of {', '.join(build.CASES)} (default zoo,service)")
    parser.add_argument("--versions", type=comma_list(toolchains.resolve), metavar="V,...",
                        default=",".join(toolchains.VERSIONS), help="e.g. 1.21,1.26.6 (default: all)")
    parser.add_argument("--variants", type=comma_list(known(build.VARIANTS)), metavar="NAME,...",
                        default="default", help=f"of {', '.join(build.VARIANTS)} (default: default)")
    parser.add_argument("--dump", type=comma_list(known(dump.KINDS)), metavar="KIND,...",
                        default=",".join(dump.KINDS), help="kernel, gcore or both (default)")
    parser.add_argument("--out", type=Path, default=toolchains.cache_dir() / "matrix", metavar="DIR",
                        help="default: $OBJREF_CACHE/matrix or ~/.cache/objref/matrix")
    return parser.parse_args()


def comma_list(convert):
    """An argparse type: a comma-separated list with each item converted."""
    def parse(text):
        try:
            return [convert(item) for item in text.split(",") if item]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return parse


def known(names):
    """A converter that lets only known names through."""
    def check(name):
        if name not in names:
            raise ValueError(f"{name} is none of {', '.join(names)}")
        return name
    return check


def selected(options):
    """Every program asked for that exists; versions outermost, for the build cache."""
    for version in options.versions:
        for case, scale in options.cases:
            for variant in options.variants:
                program = build.Program(case, version, variant, scale)
                if program.exists():
                    yield program


def produce(program, options):
    """Build one program and take its dumps; yields (line to print, success)."""
    folder = options.out / program.name
    try:
        exe = build.build(program, folder)
    except Exception as error:  # one bad combination must not end the run
        yield f"{program.name}: build failed: {error}", False
        return
    for kind in options.dump:
        started = time.monotonic()
        try:
            fresh = produce_dump(program, exe, kind, folder)
        except dump.DumpError as error:
            yield f"{program.name}: {kind} dump failed: {error}", False
            continue
        note = f"{time.monotonic() - started:.1f} s" if fresh else "cached"
        yield f"{folder / f'core.{kind}'} ({note})", True


def produce_dump(program, exe, kind, folder):
    """Take one dump unless it is there from the same executable; says whether it did."""
    stamp = folder / f"core.{kind}.key"
    key = program.key() + " " + " ".join(program.arguments)
    if stamp.exists() and stamp.read_text() == key and (folder / f"core.{kind}").exists():
        return False
    stamp.unlink(missing_ok=True)
    dump.take(exe, program.arguments, kind, folder)
    stamp.write_text(key)
    return True


if __name__ == "__main__":
    main()
