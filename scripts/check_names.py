#!/usr/bin/env python3
"""Hand what objref writes of a program with hostile names to the programs that read it.

The dump is fixtures/dumps/hostile-1.27.3, whose types, fields, functions, variables, labels and files have names
that try to be more than text (scripts/fixturelib/hostile.py). Graphviz lays out its graphs, `go tool pprof` lists its
profiles, and Chromium opens its pictures, in which nothing may run. What the formats themselves ask for,
crates/objref/tests/hostile_names.rs knows; the page has scripts/check_html.py.

Prints a line per check and `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from pathlib import Path

from fixturelib import toolchains
from fixturelib.browser import Browser

REPOSITORY = Path(__file__).resolve().parents[1]
DUMPS = REPOSITORY / "fixtures/dumps"
VERSION = "1.27.3"
# Of one of the names: the part that no report has to change or shorten.
PART = "titl"
FILES = {
    "graph.dot": ["--format", "dot"],
    "why.dot": ["why", "--format", "dot", "string"],
    "paths.pb.gz": ["--format", "pprof"],
    "dominators.pb.gz": ["--format", "pprof", "--tree", "dominator"],
    "paths.svg": ["--format", "svg", "--min-width", "0"],
    "dominators.svg": ["--format", "svg", "--min-width", "0", "--tree", "dominator"],
}


def main():
    """Write every file and check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    objref = parser.parse_args().objref
    passed = failed = 0
    with tempfile.TemporaryDirectory() as scratch, Browser() as browser:
        for name, arguments in FILES.items():
            path = Path(scratch) / name
            write(objref, arguments, path)
            try:
                check(path, browser)
                verdict = "ok"
            except (AssertionError, subprocess.CalledProcessError, xml.etree.ElementTree.ParseError) as error:
                verdict = f"FAILED: {error}"
            passed += verdict == "ok"
            failed += verdict != "ok"
            print(f"{name:<20} {verdict}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def write(objref, arguments, path):
    """Have objref write a file; what is asked about stands behind the core."""
    asked = arguments[-1:] if arguments[0] == "why" else []
    options = arguments[:len(arguments) - len(asked)]
    core, exe = DUMPS / f"hostile-{VERSION}.core.zst", DUMPS / f"hostile-{VERSION}.exe.zst"
    subprocess.run([objref, *options, core, *asked, "--exe", exe, "-o", path], check=True)


def check(path, browser):
    """Have the program read it that it is for."""
    if path.suffix == ".dot":
        picture = run("dot", "-Tsvg", path)
        xml.etree.ElementTree.fromstring(picture)
        assert PART in picture
    elif path.suffix == ".gz":
        for listing in ("-top", "-traces", "-raw"):
            text = run(toolchains.goroot(VERSION) / "bin/go", "tool", "pprof", listing, "-nodecount=0", path)
            assert PART in text, listing
    else:
        runs_nothing(path, browser)


def run(*command):
    """What a program writes; it must have nothing to complain about."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(("Type:", "File:", "Main binary"))]
    assert not complaints, complaints
    return done.stdout


def runs_nothing(path, browser):
    """The picture is whole, its own script is the only one, and no name has made an element."""
    root = xml.etree.ElementTree.fromstring(path.read_text())
    frames = sum(element.tag.endswith("}title") for element in root.iter())
    browser.open(path.as_uri())
    browser.wait("return document.readyState === 'complete'")
    count = "return [document.querySelectorAll('title').length, document.querySelectorAll('script').length]"
    assert browser.run(count) == [frames, 1] and frames > 10
    # Each click is a navigation, of which Chromium takes so many.
    browser.run("""[...document.querySelectorAll('#frames g, #frames a')].forEach((e, i) =>
        ['mouseover', 'mouseout', ...(i < 20 ? ['click'] : [])].forEach((kind) =>
            e.dispatchEvent(new MouseEvent(kind, { bubbles: true }))));""")
    made = browser.run("""return [typeof ran, document.querySelectorAll('img, svg svg svg svg, iframe, foreignObject').length,
        document.documentElement.textContent.includes(arguments[0])]""", PART)
    assert made == ["undefined", 0, True], made
    complaints = browser.complaints()
    assert not complaints, complaints


if __name__ == "__main__":
    main()
