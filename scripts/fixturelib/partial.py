"""Makes cores that lack a part of the memory, as limits, filters and full disks do."""

import os
import struct
import subprocess
from pathlib import Path

from . import memory

PT_LOAD, PF_W = 1, 2
HEADER = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr: type, flags, offset, vaddr, paddr, filesz, memsz, align
PAGE = 4096
LOW = 1 << 32  # programs that are not loaded at a random place lie below


class Core:
    """The program headers of a core, to be written again with holes."""

    def __init__(self, path):
        self.path = Path(path)
        with open(path, "rb") as file:
            head = file.read(64)
            self.start, = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            assert size == HEADER.size and count != 0xFFFF, f"{path}: program headers of another kind"
            file.seek(self.start)
            self.headers = [HEADER.unpack(file.read(size)) for _ in range(count)]

    def loads(self):
        """(address, length, offset in the file) of each segment that has bytes and could be written."""
        return [(h[3], h[5], h[2]) for h in self.headers if h[0] == PT_LOAD and h[5] and h[1] & PF_W]


def cut(core, percent, target):
    """The first `percent` of the file."""
    rest = core.path.stat().st_size * percent // 100
    with open(core.path, "rb") as source, open(target, "wb") as file:
        at = 0
        while at < rest:
            try:
                at = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole up to the end
                break
            end = min(os.lseek(source.fileno(), at, os.SEEK_HOLE), rest)
            file.seek(at)
            while at < end:
                at += os.copy_file_range(source.fileno(), file.fileno(), end - at, at)
        file.truncate(rest)


def exclude(core, holes, target, how):
    """The core without the memory of `holes`, (address, one past the last) each: 'empty' leaves segments there that
    promise no bytes, 'none' leaves no segments, 'zero' leaves zeros in place of the bytes."""
    _copy(core, target)
    if how == "zero":
        with open(target, "r+b") as file:
            for address, length, offset in core.loads():
                for start, end in holes:
                    low, high = max(address, start), min(address + length, end)
                    if low < high:
                        file.seek(offset + low - address)
                        file.write(bytes(high - low))
        return
    headers = [part for header in core.headers for part in _split(header, holes, how)]
    assert len(headers) < 0xFFFF
    with open(target, "r+b") as file:
        # At the end, where there is room for more of them than before.
        file.seek(0, os.SEEK_END)
        at = (file.tell() + 7) // 8 * 8
        file.seek(at)
        file.write(b"".join(HEADER.pack(*header) for header in headers))
        file.seek(32)
        file.write(struct.pack("<Q", at))
        file.seek(56)
        file.write(struct.pack("<H", len(headers)))


def _split(header, holes, how):
    """The headers that one becomes when the holes are left out."""
    kind, flags, offset, address, physical, length, memory, align = header
    if kind != PT_LOAD or not length:
        return [header]
    parts, at, end = [], address, address + length
    for start, stop in sorted(holes):
        low, high = max(at, start), min(end, stop)
        if low >= high:
            continue
        if low > at:
            parts.append((kind, flags, offset + at - address, at, physical, low - at, low - at, align))
        if how == "empty":
            parts.append((kind, flags, offset, low, physical, 0, high - low, align))
        at = high
    if at < end:
        rest = memory - (at - address)
        parts.append((kind, flags, offset + at - address, at, physical, end - at, rest, align))
    return parts


def _copy(core, target):
    """Copy it without filling its holes."""
    subprocess.run(["cp", "--sparse=auto", "--reflink=auto", core.path, target], check=True)


def places(core, exe):
    """By name, holes in the middle of what objref reads: of the heap, of span records, of variables, of module data."""
    loads = core.loads()
    heap = [(address, address + length) for address, length, _ in loads if _is_heap(address)]
    low, high = heap[0][0], heap[-1][1]
    holes = {"heap": [_middle(low, high)]}
    symbols = dict((name, address) for name, address in memory.symbols(exe))
    image = [(address, address + length) for address, length, _ in loads if address < LOW]
    records = _records(core, low, high)
    if records:
        third = len(records) // 3
        holes["spans"] = [(records[third] // PAGE * PAGE, records[-third - 1] // PAGE * PAGE + PAGE)]
    if image:
        holes["data"] = [_middle(image[0][0], image[-1][1])]
    if "runtime.firstmoduledata" in symbols:
        at = symbols["runtime.firstmoduledata"]
        holes["module"] = [(at // PAGE * PAGE, at // PAGE * PAGE + PAGE)]
    return holes


def _is_heap(address):
    """Where Go puts its heap: at 0xc000000000, and from 1.26 on at a random place in the lower 64 TiB; programs that
    are loaded at a random place lie above."""
    return LOW <= address < 1 << 46


def _middle(low, high):
    """The middle third, in pages."""
    third = (high - low) // 3
    return ((low + third) // PAGE * PAGE, (high - third) // PAGE * PAGE + PAGE)


def _records(core, low, high):
    """Addresses, ascending, of what looks like the record of a span: where it starts, and a small number of pages."""
    found = []
    with open(core.path, "rb") as file:
        for address, length, offset in core.loads():
            if _is_heap(address) or address < high or length > 8 << 20:
                continue
            file.seek(offset)
            words = struct.unpack(f"<{length // 8}Q", file.read(length // 8 * 8))
            found += [address + i * 8 for i in range(len(words) - 1)
                      if low <= words[i] < high and words[i] % 8192 == 0 and 0 < words[i + 1] < 1024]
    return found
