"""Whether a type that objref reports is the one that was allocated.

The same type is spelled in several ways, and some allocations say less than
what is known of them afterwards:

* Nothing at all is said of strings, of what append makes of elements without
  pointers and of channels of such elements: a string, an array or a channel is
  right.
* Bytes that become a string without being copied are allocated as bytes: by
  strings.Builder up to Go 1.20 (strings/builder.go: grow), for unsafe.String.
* A value that is boxed for an interface is allocated as one of a few types of
  the runtime that stand for all of the same size.
* A closure is allocated as a struct {F uintptr; ...} without a name. Its first
  word tells the function, which the report has to name.
* Code that instances of a generic function share allocates shapes: a type that
  has this shape is right. A number may be allocated as an int and used as a
  type that is an int, as package flag does.
* objref reports arrays as long as their slots, which are rounded up.
* DWARF puts the package before the names of fields of structs without a name.
"""

import re

from .gotypes import COMPLEX128, POINTER, STRUCT

# runtime/iface.go: what convT16 and its like allocate, and which kinds of types they stand for.
BOXED_NUMBERS = ("runtime.uint16InterfacePtr", "runtime.uint32InterfacePtr", "runtime.uint64InterfacePtr")
ITABS = "runtime.itabTableType"  # runtime/iface.go: itabAdd
NUMBER = re.compile(r"u?int\d*|uintptr|float\d+|complex64|bool|[^*\[\]()]+\.[^*()]+|\[\d+\][a-z\d]+|struct\{[^*]*\}")
NAMED = re.compile(r"[^*\[\]()]+\.[^*()]+")
ARRAY = re.compile(r"(?:\[(\d+)\])?(.*)", re.DOTALL)
SHAPE = "go.shape."


def right(allocations, slot, allocated, reported):
    """Whether `reported` names one of the `allocated` [(bytes, GoType or None)] in a slot; None if nobody can tell."""
    verdicts = [_one(allocations, slot, size, ty, reported) for size, ty in allocated]
    return True if True in verdicts else None if None in verdicts or not verdicts else False


def spell(size, ty):
    """An allocation in words."""
    if ty is None:
        return "bytes without a type"
    count = size // ty.size if ty.size else 1
    return repr(ty) if count <= 1 else f"[{count}]{ty!r}"


def _one(allocations, slot, size, ty, reported):
    if ty is None:
        return reported == "string" or reported.startswith("[") or "hchan" in reported or reported == ITABS
    if ty.name is None:
        return None
    if ty.name == "uint8" and reported == "string":
        return True
    if ty.name in BOXED_NUMBERS:
        return NUMBER.fullmatch(normal(reported)) is not None
    if ty.name == "runtime.stringInterfacePtr":
        return reported == "string" or NAMED.fullmatch(reported) is not None
    if ty.name in ("runtime.sliceInterfacePtr", "unsafeheader.Slice"):
        return reported.startswith("[]") or NAMED.fullmatch(reported) is not None
    if ty.name.startswith("struct { F uintptr"):
        wanted = {_generic(name) for name in allocations.functions_of(slot)}
        return reported.startswith("func ") and _generic(reported[5:]) in wanted
    count = size // ty.size if ty.size else 1
    return (any(_same(want, reported, count) for want in (ty.full, ty.name) if want)
            or _converts(allocations.types, ty, reported, count))


def _generic(name):
    """A name without type arguments, which symbols leave out or spell as shapes."""
    return re.sub(r"\[.*\]", "[]", name)


def _same(want, reported, count):
    """Whether `reported` is `count` values of `want`."""
    spelling = normal if "/" not in want else lambda name: re.sub(r"\s+", "", name)
    if SHAPE in want:
        spelling = lambda name: _generic(normal(name))
    want = spelling(want)
    if count == 1 and spelling(reported) == want:
        return True
    length, elem = ARRAY.fullmatch(reported).groups()
    if length is not None and spelling(elem) == want and int(length) >= count:
        return True
    # An array that is one value may be reported as a run of its elements.
    inner = ARRAY.fullmatch(want)
    return inner[1] is not None and spelling(elem) == inner[2] and int(length or 1) >= int(inner[1]) * count


def _converts(types, ty, reported, count):
    """Whether a value of the reported type is laid out as `ty` by the language's own rules: same underlying type."""
    length, elem = ARRAY.fullmatch(reported).groups()
    if (count if length is None else 1) > 1:
        return False
    for other in types.named(elem):
        if other.size != ty.size or other.kind != ty.kind:
            continue
        if ty.kind <= COMPLEX128 or ty.kind == POINTER and ty.name.startswith(SHAPE):
            return True
        if ty.kind == STRUCT and ty.name.startswith(SHAPE):
            return _generic(normal(types.fields(other))) == _generic(normal(types.fields(ty)))
    return False


def normal(name):
    """A type's name with packages for paths and one spelling for each built-in type."""
    name = re.sub(r"[A-Za-z0-9_.~\-@%]+/", "", name)
    name = re.sub(r"interface ?\{\}", "any", name)
    name = re.sub(r"([{;]) ?\w+\.(\w+) ", r"\1 \2 ", name)
    name = re.sub(r"\bbyte\b", "uint8", name)
    name = re.sub(r"\brune\b", "int32", name)
    return re.sub(r"\s+", "", name)
