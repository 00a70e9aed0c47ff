"""Go's own type descriptors, read from a dumped process. See internal/abi/type.go for all layouts."""

import struct

# TFlag
UNCOMMON, EXTRA_STAR, NAMED = 1, 2, 4
# Kind
COMPLEX128, ARRAY, CHAN, FUNC, INTERFACE, MAP, POINTER, SLICE, STRUCT = 16, 17, 18, 19, 20, 21, 22, 23, 25
DESCRIPTOR = struct.Struct("<QQIBBBBQQii")
# Size of a descriptor without its methods, by kind; that of maps depends on the version.
BASE = {ARRAY: 72, CHAN: 64, FUNC: 56, INTERFACE: 80, POINTER: 56, SLICE: 56, STRUCT: 80}
FIELD = 24


class GoType:
    """A type descriptor."""

    def __init__(self, address, size, kind, name, full):
        self.address = address
        self.size = size
        self.kind = kind
        self.name = name  # None for types made by reflect, which have none that can be read here
        self.full = full  # with the package's path instead of its name, where that is known

    def __repr__(self):
        return self.name or "(made by reflect)"


class Types:
    """The types of the main module, which lie between two symbols of the linker."""

    def __init__(self, memory, start, end):
        self._memory = memory
        self._start, self._end = start, end
        self._known = {}
        self._by_name = None

    def at(self, address):
        """The type that a descriptor describes."""
        if address not in self._known:
            self._known[address] = self._describe(address)
        return self._known[address]

    def named(self, full):
        """The descriptors of types with this full name; there may be none in the program."""
        if self._by_name is None:
            self._by_name = {}
            for ty in self._search():
                self._by_name.setdefault(ty.full or ty.name, []).append(ty)
        return self._by_name.get(full, ())

    def fields(self, ty):
        """`struct { a T; b U }` without tags, whatever the struct's own name."""
        data, count = struct.unpack("<QQ", self._memory.read(ty.address + 56, 16))
        parts = []
        for i in range(count):
            name_at, type_at, _ = struct.unpack("<QQQ", self._memory.read(data + FIELD * i, FIELD))
            embedded = self._memory.read(name_at, 1)[0] & 8
            name = "" if embedded else self._text(name_at + 1) + " "
            parts.append(f"{name}{self.at(type_at).name}")
        return "struct { " + "; ".join(parts) + " }"

    def _describe(self, address):
        size, _, _, tflag, _, _, kind, _, _, name_at, _ = DESCRIPTOR.unpack(
            self._memory.read(address, DESCRIPTOR.size))
        kind &= 31
        if not self._start <= address < self._end or name_at <= 0:
            return GoType(address, size, kind, None, None)
        name = self._text(self._start + name_at + 1)
        if tflag & EXTRA_STAR:
            name = name[1:]
        return GoType(address, size, kind, name, self._full_name(address, kind, tflag, name))

    def _full_name(self, address, kind, tflag, name):
        """The name with the path of the package that it was declared in."""
        if tflag & NAMED:
            path = self._package(address, kind) if tflag & UNCOMMON and kind != MAP else None
            return f"{path}.{name.partition('.')[2]}" if path else name
        if kind in (POINTER, SLICE, ARRAY):
            elem = self.at(self._memory.u64(address + DESCRIPTOR.size)).full
            prefix = {POINTER: "*", SLICE: "[]"}.get(kind) or name[:name.index("]") + 1]
            return elem and prefix + elem
        return None

    def _package(self, address, kind):
        """UncommonType.PkgPath"""
        at, = struct.unpack("<i", self._memory.read(address + BASE.get(kind, DESCRIPTOR.size), 4))
        return self._text(self._start + at + 1) if at > 0 else None

    def _text(self, at):
        """Length as a varint, text: a Name without its flags."""
        length = shift = 0
        while True:
            byte = self._memory.read(at, 1)[0]
            at += 1
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return self._memory.read(at, length).decode()

    def _search(self):
        """What looks like a descriptor: no list names them all before Go 1.27."""
        whole = self._memory.read(self._start, self._end - self._start)
        for offset in range(0, len(whole) - DESCRIPTOR.size, 8):
            size, pointers, _, tflag, align, field_align, kind, _, _, name_at, other = DESCRIPTOR.unpack_from(
                whole, offset)
            if (pointers <= size < 1 << 40 and tflag < 64 and 0 < kind & 31 <= 26 and align in (1, 2, 4, 8)
                    and field_align in (1, 2, 4, 8) and 0 < name_at < len(whole) and 0 <= other < len(whole)):
                try:
                    yield self.at(self._start + offset)
                except (KeyError, UnicodeDecodeError, ValueError, struct.error):
                    pass
