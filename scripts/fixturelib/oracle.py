"""A Go runtime that writes down what it allocates.

Go keeps no type with most objects, so no dump says whether a type that was
inferred is the right one. A program built with this runtime does: every
allocation is logged with its address, size and type in memory outside the heap,
and the log is part of the dump.
"""

import json
import re

from . import toolchains

LOG = "runtime.oracleLog"      # *[CAPACITY]{address, size, type}
COUNT = "runtime.oracleCount"  # allocations so far, logged or not
RECORD = "<QQQ"
CAPACITY = 1 << 25             # only what is written takes memory

SOURCE = """
type oracleRecord struct{ address, size, typ uintptr }

var oracleLog *[%(capacity)d]oracleRecord
var oracleCount uint64

func oracleInit() {
	oracleLog = (*[%(capacity)d]oracleRecord)(%(allocate)s)
}

func mallocgc(size uintptr, typ *_type, needzero bool) unsafe.Pointer {
	p := oracleMallocgc(size, typ, needzero)
	if oracleLog != nil && size != 0 {
		i := atomic.Xadd64((*uint64)(unsafe.Pointer(&oracleCount)), 1) - 1
		if i < %(capacity)d {
			oracleLog[i] = oracleRecord{uintptr(p), size, uintptr(unsafe.Pointer(typ))}
		}
	}
	return p
}
"""


def overlay(goroot, scratch):
    """Write a file for `go build -overlay` that puts the log into the runtime; returns its path."""
    runtime = goroot / "src/runtime"
    original = runtime / "malloc.go"
    patched = scratch / "malloc.go"
    patched.write_text(_patch(original.read_text(), (runtime / "mem.go").read_text()))
    path = scratch / "overlay.json"
    path.write_text(json.dumps({"Replace": {str(original): str(patched)}}))
    return path


def experiment(version):
    """GOEXPERIMENT for a build that logs: from 1.26 on the compiler calls past mallocgc where it knows the size."""
    return "nosizespecializedmalloc" if toolchains.minor(version) >= 26 else ""


def _patch(malloc, mem):
    """malloc.go with mallocgc wrapped, and the log allocated at the end of mallocinit."""
    head, found, tail = malloc.partition("\nfunc mallocgc(")
    if not found:
        raise ValueError("runtime/malloc.go has no mallocgc")
    malloc = head + "\nfunc oracleMallocgc(" + tail
    start = malloc.index("\nfunc mallocinit() {")
    end = malloc.index("\n}\n", start)
    parameters = re.search(r"^func sysAlloc\((.*?)\)", mem, re.MULTILINE).group(1)
    name = ', "oracle"' if parameters.count(",") == 2 else ""
    # 1.19 checks that its counters of memory add up: it must be one of those.
    allocate = f"sysAlloc({CAPACITY}*unsafe.Sizeof(oracleRecord{{}}), &memstats.other_sys{name})"
    return (malloc[:end] + "\n\toracleInit()" + malloc[end:]
            + SOURCE % {"capacity": CAPACITY, "allocate": allocate})
