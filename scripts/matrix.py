#!/usr/bin/env python3
"""Build the fixture programs with every Go version and variant, and dump them.

For every case x version x variant this leaves in OUT/<case>-<version>-<variant>/

    exe  core.kernel  core.gcore  truth.kernel.json  truth.gcore.json  stderr.txt

What is there already from the same sources is kept, so a second run is instant.
A case may carry its scale: `mix:210` runs `mix -n 210` and is named `mix210`.

Variants for other architectures than this machine's are cross-compiled and run by
QEMU (Debian's qemu-user). They have no core.gcore: `kernel` is the core that QEMU
writes in the kernel's stead when the program dies.
"""

import subprocess
import sys
import time

from fixturelib import build, dump, selection


def main():
    """Parse the command line and make what it asks for."""
    options = selection.parser(__doc__).parse_args()
    failed = 0
    for program in selection.programs(options):
        for line, ok in produce(program, options):
            print(line, flush=True)
            failed += not ok
    if failed:
        sys.exit(f"{failed} not made")


def produce(program, options):
    """Build one program and take its dumps; yields (line to print, success)."""
    folder = options.out / program.name
    try:
        exe = build.build(program, folder)
    except subprocess.CalledProcessError as error:
        yield f"{program.name}: build failed: {error}", False
        return
    for kind in dump.kinds(program, options.dump):
        started = time.monotonic()
        try:
            fresh = dump.take_once(program, exe, kind, folder)
        except dump.DumpError as error:
            yield f"{program.name}: {kind} dump failed: {error}", False
            continue
        note = f"{time.monotonic() - started:.1f} s" if fresh else "cached"
        yield f"{folder / f'core.{kind}'} ({note})", True


if __name__ == "__main__":
    main()
