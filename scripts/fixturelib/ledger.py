"""Reads the ledger of fixtures/storm out of a core file: which nodes must be reachable.

Shares nothing with objref: PT_LOAD headers, then words at fixed offsets. See
fixtures/storm/ledger.go and node.go for the layouts.
"""

import mmap
import struct
from bisect import bisect_right
from dataclasses import dataclass

ACCOUNTS, ENTRIES = 64, 64
ACCOUNT = struct.Struct("<Q24s" + "QQ" * ENTRIES)
# magic owner seq hidden check text.ptr text.len next other fate
NODE = struct.Struct("<10Q")
MAGIC = 0x53544F524D4E4F44
BURIED = 0xDEAD
WORD = (1 << 64) - 1


class LedgerError(Exception):
    """The ledger contradicts itself: the fixture is wrong, not objref."""


class CoreFile:
    """The memory in a core file."""

    def __init__(self, file):
        self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        phoff, = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        if count == 0xFFFF:  # PN_XNUM: the first section header has it
            shoff, = struct.unpack_from("<Q", self.data, 40)
            count, = struct.unpack_from("<I", self.data, shoff + 44)
        self.loads = []
        for i in range(count):
            kind, _, offset, start, _, filesz, _, _ = struct.unpack_from("<IIQQQQQQ", self.data, phoff + i * size)
            if kind == 1 and filesz:
                self.loads.append((start, filesz, offset))
        self.loads.sort()
        self.starts = [load[0] for load in self.loads]

    def read(self, address, size):
        """Bytes at an address; None if the core lacks them."""
        at = bisect_right(self.starts, address) - 1
        if at < 0:
            return None
        start, filesz, offset = self.loads[at]
        if address - start + size > filesz:
            return None
        return self.data[offset + address - start:offset + address - start + size]

    def close(self):
        """Give the file back."""
        self.data.close()


@dataclass(frozen=True)
class Node:
    """A node as it lies in memory."""

    at: int
    owner: int
    seq: int
    hidden: int
    text: int
    text_len: int
    fate: int

    def label(self):
        """What its text has to be."""
        return f"{self.owner}/{self.seq}" + "." * (self.seq % 5 * 9)


def checksum(owner, seq, at):
    """The check of a node."""
    h = MAGIC
    for value in (owner, seq, at):
        h = (h ^ value) * 0x9E3779B97F4A7C15 & WORD
        h ^= h >> 29
    return h


def node(core, at):
    """The node at an address; None if there is none."""
    record = core.read(at, NODE.size)
    if record is None:
        return None
    magic, owner, seq, hidden, check, text, text_len, _, _, fate = NODE.unpack(record)
    if magic != MAGIC or check != checksum(owner, seq, at):
        return None
    return Node(at, owner, seq, hidden, text, text_len, fate)


def entered(core, ledger):
    """Yields (account's name, entry's number, Node) for each node that must be reachable."""
    for i in range(ACCOUNTS):
        record = core.read(ledger + i * ACCOUNT.size, ACCOUNT.size)
        if record is None:
            raise LedgerError("the ledger is not in the core")
        _, name, *entries = ACCOUNT.unpack(record)
        name = name.rstrip(b"\0").decode()
        for e in range(ENTRIES):
            head, count = entries[2 * e:2 * e + 2]
            yield from _chain(core, f"{name} {e}", head, count)


def _chain(core, place, head, count):
    """The nodes of an entry; they must be whole, and as many as it says, or one more."""
    found, link = 0, head
    while link:
        at = link ^ WORD
        this = node(core, at)
        if this is None or this.fate == BURIED:
            raise LedgerError(f"{place}: no living node at {at:#x}, the {found}. of {count}")
        if core.read(this.text, this.text_len) != this.label().encode():
            raise LedgerError(f"{place}: the text of the node at {at:#x} is not {this.label()}")
        yield place, this
        found, link = found + 1, this.hidden
    if head and found not in (count, count + 1):
        raise LedgerError(f"{place}: {found} nodes where there are to be {count}")
