#!/usr/bin/env python3
"""Blanks what the tests do not need in the debugging information of a Go binary.

usage: trim.py BINARY OUT

Kept as the toolchain wrote them: the units `main` and `runtime` (which has all types), the
abbreviations, and the location and range lists of `main`. Other units keep their header; their
content, and other lists, become zeros, so that offsets stay what they were. Needs llvm-dwarfdump
and GNU objcopy.
"""

import re
import subprocess
import sys
import tempfile

KEEP = {"main", "runtime", "example.com/tiny.v1/pkg.v2"}
KEEP_LISTS = {"main"}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def section(path, name):
    with tempfile.TemporaryDirectory() as directory:
        plain, out = f"{directory}/plain", f"{directory}/out"
        run("objcopy", "--decompress-debug-sections", path, plain)
        run("objcopy", "--dump-section", f"{name}={out}", plain, f"{directory}/unused")
        return bytearray(open(out, "rb").read())


def main():
    binary, out = sys.argv[1:]
    units = []  # start, first offset behind the header, end, name
    lists = {"location": [], "ranges": []}
    version = 4
    for line in run("llvm-dwarfdump", "--debug-info", binary).splitlines():
        if match := re.match(r"0x([0-9a-f]+): Compile Unit:.*version = 0x000(\d).*next unit at 0x([0-9a-f]+)", line):
            version = int(match[2])
            units.append([int(match[1], 16), 0, int(match[3], 16), None])
        elif match := re.match(r"0x([0-9a-f]+): +DW_TAG_compile_unit", line):
            units[-1][1] = int(match[1], 16)
        elif units and units[-1][3] is None and (match := re.search(r'DW_AT_name\t\("(.*)"\)', line)):
            units[-1][3] = match[1]
        elif match := re.search(r"DW_AT_(location|ranges)\t\(0x([0-9a-f]+)", line):
            lists[match[1]].append((int(match[2], 16), units[-1][3]))

    info = section(binary, ".debug_info")
    for _, first, end, name in units:
        if name not in KEEP:
            info[first:end] = bytes(end - first)
    parts = {".debug_info": info, ".debug_abbrev": section(binary, ".debug_abbrev")}
    names = {4: (".debug_loc", ".debug_ranges"), 5: (".debug_loclists", ".debug_rnglists")}[version]
    for kind, name in zip(("location", "ranges"), names):
        data = section(binary, name)
        starts = sorted(set(lists[kind])) + [(len(data), None)]
        for (start, unit), (end, _) in zip(starts, starts[1:]):
            if unit not in KEEP_LISTS:
                data[start:end] = bytes(end - start)
        parts[name] = data
    if version == 5:
        parts[".debug_addr"] = section(binary, ".debug_addr")

    with tempfile.TemporaryDirectory() as directory:
        only = []
        for name in parts:
            only += ["--only-section", name]
        run("objcopy", "--decompress-debug-sections", *only, binary, f"{directory}/plain")
        update = []
        for name, data in parts.items():
            path = f"{directory}/{name}"
            open(path, "wb").write(data)
            update += ["--update-section", f"{name}={path}"]
        run("objcopy", *update, f"{directory}/plain", f"{directory}/trimmed")
        run("objcopy", "--compress-debug-sections=zstd", f"{directory}/trimmed", out)


main()
