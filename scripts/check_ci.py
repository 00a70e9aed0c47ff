#!/usr/bin/env python3
"""Do what docs/ci.md says, on fixtures/leaky and its repaired twin, and see that the check is right.

* The steps of docs/ci/workflow.yml and of the action that it uses are run as they stand there (but for those that need
  GitHub or another machine): the leaking service must fail with the rules, the paths and the signatures that it breaks,
  the repaired one must pass.
* Both services are dumped at N moments under load: held against the baselines of all moments before, no signature is
  new or gone.
* Another version of Go builds a service with the same signatures.
* A test that dumps itself, as docs/ci.md shows it, can be checked.

Prints a line per check and `N passed, N failed`; exit status 1 if anything failed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from fixturelib import build, toolchains

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOW = REPOSITORY / "docs/ci/workflow.yml"
ACTION = REPOSITORY / "docs/ci/action.yml"
# What the leaks of fixtures/leaky are: rule -> a part of the way that holds it.
LEAKS = {
    "sessions end": "byUser map[string][]*main.Session › [value] []*main.Session › [] *main.Session",
    "reports are received": "main.(*App).render",
}
VARIANTS = {"leaking": "", "repaired": "-tags=repaired"}


class Failure(Exception):
    """A check that did not hold; says which."""


def main():
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objref", type=Path, default=REPOSITORY / "target/release/objref", metavar="FILE",
                        help="the binary to check (default: target/release/objref)")
    parser.add_argument("--version", default="1.26", help="the Go that builds the service (default: %(default)s)")
    parser.add_argument("--other", default="1.24", help="another Go (default: %(default)s)")
    parser.add_argument("-n", type=int, default=20, help="moments at which each service is dumped (default: %(default)s)")
    options = parser.parse_args()
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="objref-ci.") as scratch:
        world = World(options, Path(scratch))
        for check in (the_job, moments, another_build, a_test):
            started = time.monotonic()
            try:
                verdict = f"ok: {check(world)}"
            except (Failure, OSError, subprocess.SubprocessError, KeyError) as error:
                verdict = f"FAILED: {error}"
            passed += verdict.startswith("ok")
            failed += verdict.startswith("FAILED")
            print(f"{check.__name__.replace('_', ' '):<14} {time.monotonic() - started:5.1f} s  {verdict}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


class World:
    """Where services are built and dumped."""

    def __init__(self, options, scratch):
        self.objref = options.objref.resolve()
        self.version, self.other, self.n = options.version, options.other, options.n
        self.scratch = scratch
        # rule -> signatures, as the job found them
        self.signatures = {}

    def folder(self, name):
        """A copy of the service's source."""
        folder = self.scratch / name
        if not folder.exists():
            shutil.copytree(build.FIXTURES / "leaky", folder)
        return folder

    def environment(self, version, **more):
        """The environment of a step: that Go, and nothing of this machine's own."""
        goroot = toolchains.goroot(toolchains.resolve(version))
        keep = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")}
        return keep | {
            "PATH": f"{goroot / 'bin'}:{os.environ['PATH']}", "GOROOT": str(goroot), "GOTOOLCHAIN": "local",
            "GOPROXY": "off", "GOCACHE": str(toolchains.cache_dir() / "gocache"), "CGO_ENABLED": "0",
        } | more

    def check(self, core, exe, *arguments):
        """(exit status, report) of a check."""
        command = [self.objref, "check", core, "--exe", exe, *arguments, "--format", "json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode not in (0, 1) or done.stderr:
            raise Failure(f"objref check: status {done.returncode}: {done.stderr}")
        return done.returncode, json.loads(done.stdout)


def the_job(world):
    """The whole job, step by step, on both services."""
    workflow = yaml.safe_load(WORKFLOW.read_text())
    action = yaml.safe_load(ACTION.read_text())
    job = workflow["jobs"]["soak"]
    expect({step.get("id") for step in job["steps"]} >= {"host", "objref"}, "the workflow's steps have changed")
    for variant, flags in VARIANTS.items():
        folder = world.folder(variant)
        summary = folder / "summary.md"
        env = world.environment(world.version, **job["env"])
        env |= {"BUILD_FLAGS": flags, "SOAK": "5s", "GITHUB_STEP_SUMMARY": str(summary)}
        status = 0
        for step in job["steps"]:
            if step.get("id") in ("host", "objref"):
                continue  # .ci/run has done it
            if "run" in step:
                shell(step["run"], folder, env)
            elif step["uses"] == "./.github/actions/heap-check":
                given = step["with"] | {"objref": str(world.objref)}
                status = run_action(action, given, folder, env)
        expect(status == (variant == "leaking"), f"{variant}: the check ended with status {status}")
        reports = folder / "heap-check"
        files = sorted(path.name for path in reports.iterdir())
        expected = ["annotations.txt", "heap.md", "heap.objref", "heap.sarif", "heap.xml"]
        expect(files == expected, f"{variant}: {files} were written")
        expect("Heap check" in summary.read_text(), "nothing in the summary")
        annotations = (reports / "annotations.txt").read_text().splitlines()
        expect(len(annotations) <= 10, f"{len(annotations)} annotations")
        found = results(reports / "heap.sarif")
        if variant == "repaired":
            expect(not found, f"repaired: {sorted(found)}")
            expect(not annotations, f"repaired: {annotations}")
            continue
        expect(set(found) == set(LEAKS), f"rules that do not hold: {sorted(found)}")
        for rule, way in LEAKS.items():
            ways = [held for held, _ in found[rule]]
            expect(any(way in held for held in ways), f"{rule}: no way with {way} among {ways}")
            world.signatures[rule] = {signature for held, signature in found[rule] if way in held}
    counts = ", ".join(f"{rule} {'/'.join(sorted(s))}" for rule, s in world.signatures.items())
    return f"the leaks fail ({counts}), the repaired service passes"


def results(sarif):
    """rule -> [(way, signature)] of a SARIF log."""
    found = {}
    for result in json.loads(sarif.read_text())["runs"][0]["results"]:
        flow = result["codeFlows"][0]["threadFlows"][0]["locations"]
        way = " › ".join(step["location"]["message"]["text"] for step in flow)
        signature = result["partialFingerprints"]["objrefSignature/v1"]
        found.setdefault(result["ruleId"], []).append((way, signature))
    return found


def run_action(action, given, folder, env):
    """Runs the steps of a composite action that are commands; returns the exit status of the first that fails."""
    inputs = {name: str(spec.get("default", "")) for name, spec in action["inputs"].items()} | given
    missing = [n for n, spec in action["inputs"].items() if spec.get("required") and n not in given]
    expect(not missing and set(given) <= set(action["inputs"]), f"inputs of the action: {given}")
    for step in action["runs"]["steps"]:
        if "run" not in step:
            continue
        more = {key: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda m: inputs[m[1]], text)
                for key, text in step.get("env", {}).items()}
        status = shell(step["run"], folder, env | more, fails=True)
        if status:
            return status
    return 0


def shell(script, folder, env, fails=False):
    """Runs a script as GitHub's runner does."""
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    with open(folder / "log.txt", "a") as log:
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if done.returncode and not fails:
        raise Failure(f"{script!r}: status {done.returncode}: {(folder / 'log.txt').read_text()[-1000:]}")
    return done.returncode


def moments(world):
    """Dumps of both services at many moments under load."""
    said = []
    for variant, flags in VARIANTS.items():
        folder = world.folder(variant)
        exe = folder / "server"
        if not exe.exists():
            shell("go build $BUILD_FLAGS -o server .", folder, world.environment(world.version, BUILD_FLAGS=flags))
        baselines, sets, ways = [], [], {}
        with Service(exe, folder) as service:
            time.sleep(4)  # until the leaks are there
            for number in range(world.n):
                core = service.dump()
                baseline = folder / f"{number}.json"
                _, report = world.check(core, exe, "--write-baseline", baseline)
                sets.append({row["signature"] for row in report["signatures"]["all"]})
                ways |= {row["signature"]: f"{row['way']} ({row['held']['bytes']} B)" for row in report["signatures"]["all"]}
                for other in baselines:
                    status, report = world.check(core, exe, "--baseline", other)
                    rows = report["signatures"]
                    changed = [(word, row["way"]) for word in ("new", "gone") for row in rows[word]]
                    expect(status == 0 and not changed, f"{variant}: dump {number} against {other.name}: {changed}")
                core.unlink()
                baselines.append(baseline)
                time.sleep(0.05 * (number % 7))
        always, ever = set.intersection(*sets), set.union(*sets)
        for signature in sorted(ever - always):
            times = sum(signature in found for found in sets)
            print(f"{variant}: in {times} of {world.n} dumps: {ways[signature]}")
        said.append(f"{variant} {len(always)} in every dump, {len(ever)} in any")
    return f"{world.n} dumps of each, nothing new or gone; signatures: {'; '.join(said)}"


class Service:
    """The service with users who do not stop."""

    def __init__(self, exe, folder):
        self.exe, self.folder = exe, folder

    def __enter__(self):
        self.server = subprocess.Popen([self.exe, "-listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        address = self.server.stdout.readline().strip()
        self.users = subprocess.Popen([self.exe, "-load", f"http://{address}", "-for", "1h"], stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        for process in (self.users, self.server):
            process.kill()
            process.wait()
        self.server.stdout.close()

    def dump(self):
        """A core of the living service."""
        pid = self.server.pid
        command = ["gcore", "-o", "moment", str(pid)]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return self.folder / f"moment.{pid}"


def another_build(world):
    """The leaks have the same signatures when another Go builds the service."""
    folder = world.folder("other")
    shell("go build -o server .", folder, world.environment(world.other))
    exe = folder / "server"
    with Service(exe, folder) as service:
        time.sleep(4)
        core = service.dump()
    _, report = world.check(core, exe, "--policy", folder / "objref.toml")
    found = {rule["name"]: {o["signature"] for o in rule["offenders"]} for rule in report["rules"]}
    for rule, signatures in world.signatures.items():
        expect(signatures <= found[rule], f"{rule}: {found[rule]}, before {signatures}")
    return f"Go {world.other} gives the same signatures as {world.version}"


def a_test(world):
    """A test that dumps itself."""
    folder = world.folder("test")
    env = world.environment(world.version)
    shell("go test -c -o soak.test . && ./soak.test -test.run TestSoak", folder, env)
    (core,) = folder.glob("heap.*")
    # In a test, package main goes by its import path.
    policy = folder / "objref.toml"
    policy.write_text(policy.read_text().replace('"main.', '"leaky.'))
    status, report = world.check(core, folder / "soak.test", "--policy", policy)
    broken = {rule["name"] for rule in report["rules"] if rule["verdict"] == "failed"}
    expect(status == 1 and broken == set(LEAKS), f"status {status}, {broken}")
    return "its own dump has the leaks"


def expect(holds, what):
    """Fails if it does not hold."""
    if not holds:
        raise Failure(what)


if __name__ == "__main__":
    main()
