"""What a program built with the logging runtime (see oracle.py) allocated."""

import struct

from . import oracle
from .gotypes import Types
from .memory import Memory, symbols

TINY = 16  # runtime/malloc.go: maxTinySize
HEADER = 8  # runtime/mheap.go: mallocHeaderSize
HEADER_ABOVE = 512  # runtime/mbitmap.go: minSizeForMallocHeader


class LogFull(Exception):
    """The program allocated more than the log has room for."""


class Allocations:
    """The last allocation at every address."""

    def __init__(self, core, exe):
        self.memory = Memory(core, exe)
        self._functions = {}
        named = {}
        for name, address in symbols(exe):
            named[name] = address
            self._functions.setdefault(address, set()).add(name)
        self.types = Types(self.memory, named["runtime.types"], named["runtime.etypes"])
        self._at = self._read(self.memory.u64(named[oracle.LOG]), self.memory.u64(named[oracle.COUNT]))

    def of(self, slot, size):
        """[(bytes, GoType or None)] allocated in a slot of the heap: several in a block of tiny objects."""
        first = self._at.get(slot)
        if size > HEADER_ABOVE:
            first = max(filter(None, (first, self._at.get(slot + HEADER))), default=None)
        if first is None or first[1] > size:
            return []
        found = [first]
        if size == TINY:
            later = (self._at.get(slot + i) for i in range(1, TINY))
            found += [record for record in later if record and record[0] > first[0]]
        return [(length, self.types.at(ty) if ty else None) for _, length, ty in found]

    def functions_of(self, slot):
        """The names of the function that the closure in a slot calls."""
        return self._functions.get(self.memory.u64(slot), ())

    def _read(self, log, count):
        """address -> (index, size, type)"""
        if count > oracle.CAPACITY:
            raise LogFull(f"{count} allocations: more than the log has room for ({oracle.CAPACITY})")
        size = struct.calcsize(oracle.RECORD)
        file, offset = self.memory.view(log, size * count)
        records = struct.iter_unpack(oracle.RECORD, memoryview(file)[offset:offset + size * count])
        return {address: (index, size, ty) for index, (address, size, ty) in enumerate(records)}
