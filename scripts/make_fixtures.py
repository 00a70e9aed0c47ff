#!/usr/bin/env python3
"""Make the dumps that are kept in the repository, in fixtures/dumps/.

Each is a core and the executable it came from, compressed with zstd, and what
the program said about itself:

    <name>.core.zst  <name>.exe.zst  <name>.truth.json

Addresses differ from run to run, so every run changes every file: remake them
only when a fixture has changed, all together.
"""

import argparse
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fixturelib import build, dump, hostile

DUMPS = build.FIXTURES / "dumps"


@dataclass(frozen=True)
class Fixture:
    """One committed dump. Where `exe` is given, that fixture's executable serves."""

    name: str
    program: build.Program
    kind: str = "kernel"
    exe: str = ""


# zstd compresses plain DWARF better than zlib's: most are built with nocompress.
FIXTURES = (
    Fixture("zoo-1.19.13", build.Program("zoo", "1.19.13", "nocompress", 1)),
    Fixture("zoo-1.21.13", build.Program("zoo", "1.21.13", "nocompress", 1)),
    Fixture("zoo-1.22.10", build.Program("zoo", "1.22.10", "nocompress", 1)),
    Fixture("zoo-1.24.11", build.Program("zoo", "1.24.11", "nocompress", 1)),
    Fixture("zoo-1.25.5", build.Program("zoo", "1.25.5", "nocompress", 1)),
    Fixture("zoo-1.26.6", build.Program("zoo", "1.26.6", "default", 1)),
    Fixture("zoo-1.26.6-gcore", build.Program("zoo", "1.26.6", "default", 1), "gcore", "zoo-1.26.6"),
    Fixture("zoo-1.26.6-arm64", build.Program("zoo", "1.26.6", "arm64-nocompress", 1)),
    Fixture("zoo-1.26.6-stripped", build.Program("zoo", "1.26.6", "stripped", 1)),
    Fixture("zoo-1.27.3", build.Program("zoo", "1.27.3", "nocompress", 1)),
    Fixture("service-1.26.6", build.Program("service", "1.26.6", "nocompress")),
    Fixture("deep-1.27.3", build.Program("deep", "1.27.3", "nocompress", 10_000)),
    Fixture("goroutines-1.27.3", build.Program("goroutines", "1.27.3", "nocompress", 500)),
    Fixture("goroutines-1.26.6-pie", build.Program("goroutines", "1.26.6", "pie", 200)),
    Fixture("cgo-1.26.6", build.Program("cgo", "1.26.6", "nocompress", 200)),
    Fixture("hostile-1.27.3", build.Program("hostile", "1.27.3", "nocompress")),
)


def main():
    """Remake every dump, or those named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(f.name for f in FIXTURES)} (default: all)")
    names = parser.parse_args().names
    DUMPS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="objref-fixtures.") as scratch:
        for fixture in FIXTURES:
            if not names or fixture.name in names:
                make(fixture, Path(scratch))
    total = sum(path.stat().st_size for path in DUMPS.iterdir())
    print(f"{total / 1e6:.1f} MB in {DUMPS}")


def make(fixture, scratch):
    """Build, run, dump and compress one fixture."""
    folder = scratch / fixture.program.name
    exe = build.build(fixture.program, folder)
    if fixture.program.case == "hostile":
        exe = hostile.run_as(exe, folder)
    dump.take_once(fixture.program, exe, fixture.kind, folder)
    if not fixture.exe:
        compress(exe, DUMPS / f"{fixture.name}.exe.zst")
    compress(folder / f"core.{fixture.kind}", DUMPS / f"{fixture.name}.core.zst")
    shutil.copyfile(folder / f"truth.{fixture.kind}.json", DUMPS / f"{fixture.name}.truth.json")


def compress(source, target):
    """zstd at a level whose window any decoder accepts (8 MB)."""
    subprocess.run(["zstd", "-19", "--quiet", "--force", "-o", target, source], check=True)
    print(f"{target.name}: {source.stat().st_size / 1e6:.1f} -> {target.stat().st_size / 1e6:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
