"""Dumps of fixtures/storm at random instants: alive, killed, or dying by itself."""

import os
import random
import select
import signal
import subprocess
import time
from dataclasses import dataclass

from . import dump

DEATHS = ("nil", "panic", "map", "overflow", "oom", "deadlock")
SIGNALS = ("SIGABRT", "SIGABRT", "SIGABRT", "SIGQUIT", "SIGSEGV", "SIGILL", "SIGTRAP")
MODES = ("5", "20", "20", "100", "loop", "vary", "limit", "off")
TIMEOUT = 60  # seconds for the program to get ready, and to be dumped
PATIENCE = 8  # seconds for it to die by itself


@dataclass(frozen=True)
class Plan:
    """How one dump is taken; all of it follows from the seed."""

    how: str  # gcore, a signal's name, or a death
    mode: str
    procs: int
    seed: int
    delay: float

    @staticmethod
    def draw(seed, number):
        """The plan of dump `number`."""
        r = random.Random(f"{seed}/{number}")
        how = r.choice([["gcore"], ["gcore"], SIGNALS, DEATHS])
        return Plan(r.choice(how), r.choice(MODES), r.choice((1, 2, 4, 8)), r.getrandbits(63), r.uniform(0, 0.25))

    def __str__(self):
        return f"{self.how}, GC {self.mode}, {self.procs} processors, after {self.delay * 1000:.0f} ms"


def take(exe, plan, scratch):
    """Run the program and dump it by plan; returns (core, address of the ledger)."""
    arguments = ["-seed", str(plan.seed), "-gc", plan.mode, "-procs", str(plan.procs)]
    if plan.how in DEATHS:
        arguments += ["-die", plan.how, "-after", f"{plan.delay}s"]
    process = subprocess.Popen(
        [exe.resolve(), *arguments], cwd=scratch, env={"GOTRACEBACK": "crash"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=dump.allow_core,
    )
    try:
        ledger = _await_ledger(process)
        if plan.how not in DEATHS:
            time.sleep(plan.delay)
        if plan.how == "gcore":
            return dump.gcore(process, scratch), ledger
        if plan.how not in DEATHS:
            process.send_signal(signal.Signals[plan.how])
        try:
            process.wait(PATIENCE if plan.how in DEATHS else TIMEOUT)
        except subprocess.TimeoutExpired:
            # Not every version notices every deadlock; what is at rest for ever is worth a dump as well.
            process.send_signal(signal.SIGABRT)
            process.wait(TIMEOUT)
        if process.returncode >= 0:
            raise dump.DumpError(f"the program's own check failed: exit status {process.returncode}")
        return dump.kernel_core(scratch), ledger
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _await_ledger(process):
    """Wait until the program says where its ledger is."""
    line, deadline = b"", time.monotonic() + TIMEOUT
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 100) if ready else b""
        if not piece:
            raise dump.DumpError("it did not get ready")
        line += piece
    return int(line.split()[1])
