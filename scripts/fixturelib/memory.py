"""The memory of a dumped process, read with nothing of objref's own code."""

import bisect
import mmap
import struct
import subprocess

PT_LOAD = 1


class Memory:
    """The bytes of a core file, and of the executable where the core has none."""

    def __init__(self, core, exe):
        self._layers = [_segments(core), _segments(exe)]
        self._starts = [[s[0] for s in layer] for layer in self._layers]

    def view(self, address, size):
        """(file, offset) of `size` bytes at `address`; KeyError where nobody has them."""
        for layer, starts in zip(self._layers, self._starts):
            index = bisect.bisect_right(starts, address) - 1
            if index >= 0:
                start, length, offset, file = layer[index]
                if address + size <= start + length:
                    return file, offset + address - start
        raise KeyError(hex(address))

    def read(self, address, size):
        """`size` bytes at `address`."""
        file, offset = self.view(address, size)
        return file[offset:offset + size]

    def u64(self, address):
        """The word at `address`."""
        return struct.unpack("<Q", self.read(address, 8))[0]


def _segments(path):
    """(address, bytes in the file, offset, file) of each loadable segment, by address."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if count == 0xFFFF:  # PN_XNUM: the first section header has the number
        sections, = struct.unpack_from("<Q", data, 40)
        count, = struct.unpack_from("<I", data, sections + 44)
    headers = (struct.unpack_from("<IIQQQQ", data, start + i * size) for i in range(count))
    return sorted(((address, length, offset, data) for kind, _, offset, address, _, length in headers
                   if kind == PT_LOAD and length), key=lambda segment: segment[:3])


def symbols(exe):
    """(name, address) of every symbol of an executable."""
    done = subprocess.run(["nm", exe], capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        parts = line.split(maxsplit=2)
        if len(parts) == 3:
            yield parts[2], int(parts[0], 16)
