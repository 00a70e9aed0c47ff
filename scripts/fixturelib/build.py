"""Builds the fixture programs: case x Go version x variant."""

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import oracle, toolchains

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CASES = ("zoo", "service", "deep", "goroutines", "cgo", "mix", "tree", "mapcache", "storm", "grow", "hostile", "shapes")
NEEDS_CGO = ("cgo",)

# Raise it when the way of building or dumping changes what comes out.
RECIPE = 1


@dataclass(frozen=True)
class Variant:
    """One way of building: what it adds to the plain `go build`."""

    experiment: str = ""
    flags: tuple = ()
    cgo: bool = False
    minors: range = field(default_factory=lambda: range(0, 1000))
    # Cross-compiled for this GOARCH and run by QEMU; empty: for this machine.
    goarch: str = field(default="", repr=False)
    # The runtime logs what it allocates.
    logs: bool = field(default=False, repr=False)


VARIANTS = {
    "default": Variant(),
    "pie": Variant(flags=("-buildmode=pie",)),
    "stripped": Variant(flags=("-ldflags=-s -w",)),
    "nocompress": Variant(flags=("-ldflags=-compressdwarf=0",)),
    "cgo": Variant(flags=("-ldflags=-linkmode=external",), cgo=True),
    "race": Variant(flags=("-race",), cgo=True),
    "noallochdr": Variant(experiment="noallocheaders", minors=range(22, 23)),
    "noswissmap": Variant(experiment="noswissmap", minors=range(24, 26)),
    "dwarf4": Variant(experiment="nodwarf5", minors=range(25, 1000)),
    "greentea": Variant(experiment="greenteagc", minors=range(25, 26)),
    "nogreentea": Variant(experiment="nogreenteagc", minors=range(26, 28)),
    "mapsplitgroup": Variant(experiment="mapsplitgroup", minors=range(27, 28)),
    "arm64": Variant(goarch="arm64"),
    "arm64-stripped": Variant(goarch="arm64", flags=("-ldflags=-s -w",)),
    "arm64-nocompress": Variant(goarch="arm64", flags=("-ldflags=-compressdwarf=0",)),
    "oracle": Variant(logs=True),
}


@dataclass(frozen=True)
class Program:
    """One fixture program as it is built and run."""

    case: str
    version: str
    variant: str = "default"
    scale: int | None = None
    flags: tuple = ()

    @property
    def name(self):
        """The name of the folder that holds its executable and dumps."""
        scale = "" if self.scale is None else str(self.scale)
        return f"{self.case}{scale}{''.join(self.flags)}-{self.version}-{self.variant}"

    @property
    def arguments(self):
        """The program's own command line."""
        return [*([] if self.scale is None else ["-n", str(self.scale)]), *self.flags]

    @property
    def source(self):
        """The folder of its main package."""
        return FIXTURES / self.case

    @property
    def goarch(self):
        """The architecture it is built for, if that is not this machine's."""
        return VARIANTS[self.variant].goarch

    def exists(self):
        """Whether this version has this variant at all, and this variant this case."""
        if self.goarch and self.case in NEEDS_CGO:
            return False
        return toolchains.minor(self.version) in VARIANTS[self.variant].minors

    def key(self):
        """A digest of everything the executable depends on."""
        digest = hashlib.sha256()
        digest.update(repr((RECIPE, self.version, VARIANTS[self.variant])).encode() + self.goarch.encode())
        if VARIANTS[self.variant].logs:
            digest.update(Path(oracle.__file__).read_bytes())
        for folder in (FIXTURES / "truth", self.source):
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix != ".md":
                    digest.update(str(path.relative_to(folder.parent)).encode() + b"\0")
                    digest.update(path.read_bytes() + b"\0")
        return digest.hexdigest()


def parse_case(text):
    """'mix:210' -> ('mix', 210); 'zoo' -> ('zoo', None)."""
    case, _, scale = text.partition(":")
    if case not in CASES:
        raise ValueError(f"no case {case} among {', '.join(CASES)}")
    return case, int(scale) if scale else None


def build(program, folder):
    """Make `folder/exe` unless it is there from the same sources; return its path."""
    exe, stamp = folder / "exe", folder / "exe.key"
    key = program.key()
    if exe.exists() and stamp.exists() and stamp.read_text() == key:
        return exe
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    variant = VARIANTS[program.variant]
    goroot = toolchains.goroot(program.version)
    with tempfile.TemporaryDirectory() as scratch:
        overlay = [f"-overlay={oracle.overlay(goroot, Path(scratch))}"] if variant.logs else []
        subprocess.run(
            [goroot / "bin" / "go", "build", "-buildvcs=false", "-trimpath",
             f"-modfile={_module_file(program, Path(scratch))}", *overlay, *variant.flags,
             "-o", exe.resolve(), "."],
            cwd=program.source, env=_environment(program), check=True,
        )
    stamp.write_text(key)
    (folder / "program.json").write_text(json.dumps(program.__dict__) + "\n")
    return exe


def _module_file(program, scratch):
    """A go.mod that asks for the toolchain's own language version and defaults.

    The fixtures' own files ask for the oldest version, and with it for the
    oldest behaviour of the runtime (timer channels, for one).
    """
    text = (program.source / "go.mod").read_text()
    old = next(line for line in text.splitlines() if line.startswith("go "))
    path = scratch / "go.mod"
    path.write_text(text.replace(old, f"go 1.{toolchains.minor(program.version)}"))
    return path


def _environment(program):
    """The environment of a reproducible build."""
    variant = VARIANTS[program.variant]
    cgo = variant.cgo or program.case in NEEDS_CGO
    drop = ("GOFLAGS", "GOENV", "GODEBUG", "GOARCH", "GOAMD64", "GOARM64", "GOWORK")
    env = {k: v for k, v in os.environ.items() if k not in drop}
    experiment = oracle.experiment(program.version) if variant.logs else variant.experiment
    env.update(
        GOROOT=str(toolchains.goroot(program.version)),
        GOTOOLCHAIN="local",
        GOPROXY="off",
        GOEXPERIMENT=experiment,
        GOCACHE=str(toolchains.cache_dir() / "gocache"),
        CGO_ENABLED="1" if cgo else "0",
    )
    if program.goarch:
        env["GOARCH"] = program.goarch
    return env
