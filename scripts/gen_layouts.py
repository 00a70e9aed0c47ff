#!/usr/bin/env python3
"""Generate the built-in tables of struct layouts for binaries without DWARF.

Builds the zoo with every toolchain, for every architecture and experiment that moves something, asks its DWARF for
what objref's sources ask for (the `layout!` declarations and the calls that name a struct and a field), and writes one
file for each minor version to crates/objref-go/src/layouts:

    field STRUCT PATH OFFSET SIZE
    size STRUCT BYTES
    const NAME VALUE

in a first section for linux/amd64 with the default experiments, then a section `[NAME]` for each architecture or
experiment that differs, with the lines that differ; `-` stands for what is absent there.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from fixturelib import build, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = ("crates/objref-go/src", "crates/objref-snapshot/src")
TABLES = REPOSITORY / "crates/objref-go/src/layouts"
# Experiments that move fields, by the minor versions that have them.
EXPERIMENTS = {
    "noallocheaders": range(22, 23),
    "noswissmap": range(24, 26),
    "nospinbitmutex": range(24, 25),
    "greenteagc": range(25, 26),
    "nogreenteagc": range(26, 28),
    "mapsplitgroup": range(27, 28),
}
ARCHITECTURES = ("arm64",)
# What the sources ask for in two steps, which the patterns below do not see.
MORE = (
    *((name, path) for name in ("runtime.finBlock", "runtime.finblock") for path in ("alllink", "cnt", "fin")),
    *(("runtime.cleanupBlock", path) for path in ("cleanupBlockHeader.alllink", "cleanupBlockHeader.n", "cleanups")),
    ("runtime.cleanupFn", None),
)


def main():
    """Write all tables, or check that they answer what the sources ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minors", nargs="*", type=int, metavar="MINOR", help="e.g. 26 (default: all)")
    parser.add_argument("--check", action="store_true", help="only say whether the tables are up to date")
    options = parser.parse_args()
    questions = harvest()
    if options.check:
        stale = [path.name for path in TABLES.glob("*.txt") if stamp(questions) not in path.read_text()]
        sys.exit(f"not up to date, run {sys.argv[0]}: {', '.join(stale)}" if stale else 0)
    with tempfile.TemporaryDirectory() as scratch:
        reader = compile_reader(Path(scratch))
        for version in toolchains.VERSIONS:
            minor = toolchains.minor(version)
            if options.minors and minor not in options.minors:
                continue
            table = TABLES / f"go1.{minor}.txt"
            table.write_text(generate(version, reader, questions, Path(scratch)))
            print(f"{table.relative_to(REPOSITORY)}: {len(table.read_text().splitlines())} lines")


def stamp(questions):
    """A line for the tables that changes with the questions."""
    return f"# Questions: {hashlib.sha256(chr(10).join(questions).encode()).hexdigest()[:16]}"


def harvest():
    """The questions that the sources ask, sorted."""
    asked = set(MORE)
    constants = set()
    for folder in SOURCES:
        for path in sorted((REPOSITORY / folder).rglob("*.rs")):
            text = re.sub(r"//.*", "", path.read_text())
            for names, body in re.findall(r'struct \w+ = "([^"]+)" \{(.*?)\}', text, re.S):
                for paths in re.findall(r'\w+: (?:\? )?"([^"]+)"', body):
                    asked |= {(name, field) for name in split(names) for field in split(paths)}
            for names, paths in re.findall(r'"((?:runtime|internal)[./][^"]+)",(?=\s*"([\w. |]+)")', text):
                asked |= {(name, field) for name in split(names) for field in split(paths)}
            for names in re.findall(r'(?:find_size\(\s*\w+,\s*|size_of\()"([^"]+)"', text):
                asked |= {(name, None) for name in split(names)}
            constants |= set(re.findall(r'"(runtime\.(?:_Kind|arena)\w+)"', text))
    fields = {f"field {name} {path}" for name, path in asked if path and "." in name}
    sizes = {f"size {name}" for name, _ in asked if "." in name}
    return sorted(fields) + sorted(sizes) + sorted(f"const {name}" for name in constants)


def split(alternatives):
    """'a | b' -> ['a', 'b']."""
    return [part.strip() for part in alternatives.split("|")]


def compile_reader(scratch):
    """Compile the reader of DWARF with the newest toolchain; return its path."""
    goroot = toolchains.goroot(toolchains.VERSIONS[-1])
    reader = scratch / "reader"
    environment = {**os.environ, "GOROOT": str(goroot), "GOTOOLCHAIN": "local", "GO111MODULE": "off",
                   "GOCACHE": str(toolchains.cache_dir() / "gocache")}
    subprocess.run([goroot / "bin/go", "build", "-o", reader, REPOSITORY / "scripts/gen_layouts/main.go"],
                   env=environment, check=True)
    return reader


def generate(version, reader, questions, scratch):
    """The text of one minor version's table."""
    minor = toolchains.minor(version)
    base = answers(version, reader, questions, scratch)
    lines = [f"# Generated by scripts/gen_layouts.py from go{version}. Do not edit.", stamp(questions), *base.values()]
    variants = [(arch, {"GOARCH": arch}) for arch in ARCHITECTURES]
    variants += [(name, {"GOEXPERIMENT": name}) for name, minors in EXPERIMENTS.items() if minor in minors]
    for name, environment in variants:
        found = answers(version, reader, questions, scratch, environment)
        different = [found.get(q, f"{q} -") for q in questions if found.get(q) != base.get(q)]
        if different:
            lines += ["", f"[{name}]", *different]
    return "\n".join(lines) + "\n"


def answers(version, reader, questions, scratch, environment=None):
    """Build the zoo in this way and ask its DWARF; question -> line with the answer."""
    program = build.Program("zoo", version)
    exe = scratch / "exe"
    subprocess.run(
        [toolchains.goroot(version) / "bin/go", "build", "-buildvcs=false", "-trimpath",
         f"-modfile={build._module_file(program, scratch)}", "-o", exe, "."],
        cwd=build.FIXTURES / "zoo", env={**build._environment(program), **(environment or {})}, check=True,
    )
    done = subprocess.run([reader, exe], input="\n".join(questions) + "\n", text=True, capture_output=True, check=True)
    lines = done.stdout.splitlines()
    return {next(q for q in (line.rsplit(" ", n)[0] for n in (1, 2)) if q in set(questions)): line for line in lines}


if __name__ == "__main__":
    main()
