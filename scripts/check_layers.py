#!/usr/bin/env python3
"""Hold the crates' dependencies against the ladder in docs/architecture.md.

Each crate is one level of meaning and may only build on the levels named here; an arrow that the table does not have
fails. Reads `cargo metadata`; development dependencies are free.

And `unsafe`: every crate takes the workspace's lints, which deny it, and one file alone allows it.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

UNSAFE = "crates/objref-mem/src/map.rs"

LADDER = {
    "objref-mem": set(),
    "objref-dwarf": {"objref-mem"},
    "objref-go": {"objref-mem", "objref-dwarf"},
    "objref-graph": set(),
    "objref-snapshot": {"objref-mem", "objref-dwarf", "objref-go", "objref-graph"},
    "objref-analysis": {"objref-mem", "objref-go", "objref-graph", "objref-snapshot"},
    "objref-report": {"objref-analysis"},
    "objref": {"objref-mem", "objref-snapshot", "objref-analysis", "objref-report"},
    "objref-synth": set(),
}


def main():
    """Prints every arrow that is too many and exits with 1 if there is one."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    wrong = []
    for package in packages:
        name = package["name"]
        uses = {d["name"] for d in package["dependencies"] if d["kind"] is None and d["name"] in LADDER}
        if name not in LADDER:
            wrong.append(f"{name}: a crate that the ladder does not have")
        else:
            wrong += [f"{name} -> {used}: not in the ladder" for used in sorted(uses - LADDER[name])]
    wrong += unsafe(Path(__file__).resolve().parents[1])
    print("\n".join(wrong) or f"{len(packages)} crates, no arrow that the ladder does not have; unsafe in {UNSAFE} only")
    sys.exit(bool(wrong))


def unsafe(root):
    """Where `unsafe` is not denied, besides the one file."""
    if 'unsafe_code = "deny"' not in (root / "Cargo.toml").read_text():
        yield "Cargo.toml: the workspace's lints do not deny unsafe_code"
    for manifest in sorted(root.glob("crates/*/Cargo.toml")):
        if "[lints]\nworkspace = true\n" not in manifest.read_text():
            yield f"{manifest.relative_to(root)}: without the workspace's lints"
    for path in sorted(root.glob("crates/*/**/*.rs")):
        name = str(path.relative_to(root))
        if name != UNSAFE and re.search(r"allow\(.*\bunsafe_code\b", path.read_text()):
            yield f"{name}: allows unsafe_code"


if __name__ == "__main__":
    main()
