"""A program whose binary is large: many packages, types, functions and inlined calls, and next to no heap."""

import hashlib
from pathlib import Path

from . import build, toolchains

TYPES = 100  # of a package
METHODS = 8  # of a type
HELPERS = 8  # of a package, small enough to be inlined everywhere


class Program(build.Program):
    """A program of `scale` packages, written when it is first asked for."""

    @property
    def source(self):
        """The folder of its main package, named after all that it is made from."""
        digest = hashlib.sha256(Path(__file__).read_bytes() + str(self.scale).encode()).hexdigest()
        folder = toolchains.cache_dir() / "large" / digest[:16]
        if not (folder / "main.go").exists():
            _write(folder, self.scale)
        return folder


def _write(folder, packages):
    """A module of as many packages; what is written last is the main one."""
    for package in range(packages):
        path = folder / f"p{package}"
        path.mkdir(parents=True, exist_ok=True)
        (path / "p.go").write_text(_package(package))
    (folder / "go.mod").write_text(MODULE.format(truth=build.FIXTURES / "truth"))
    imports = "\n".join(f'\t"objref.test/large/p{n}"' for n in range(packages))
    calls = "\n".join(f"\tp{n}.Run," for n in range(packages))
    (folder / "main.go").write_text(MAIN.format(imports=imports, calls=calls))


def _package(number):
    """The source of a package."""
    helpers = "".join(HELPER.format(n=n) for n in range(HELPERS))
    types = "".join(_type(number, n) for n in range(TYPES))
    calls = "".join(f"\tv{n} := Default{n}\n\tkept = append(kept, v{n})\n"
                    + "".join(f"\tn += v{n}.Method{m}(n, kept)\n" for m in range(METHODS)) for n in range(TYPES))
    return PACKAGE.format(number=number, helpers=helpers, types=types, calls=calls)


def _type(package, number):
    """A struct with fields of many kinds, and its methods."""
    methods = "".join(METHOD.format(n=number, m=m, a=m % HELPERS, b=(m + number) % HELPERS,
                                    c=(m + package) % HELPERS) for m in range(METHODS))
    return STRUCT.format(n=number, next=(number + 1) % TYPES, size=number + 1) + methods


MODULE = """module objref.test/large

go 1.22

require objref.test/truth v0.0.0

replace objref.test/truth => {truth}
"""

MAIN = """package main

import (
	"objref.test/truth"
{imports}
)

var runs = []func(int) (int, []any){{
{calls}
}}

var kept []any

func main() {{
	total := 0
	for _, run := range runs {{
		n, values := run(total)
		total += n
		kept = append(kept, values[0])
	}}
	truth.Fact("total", total)
	truth.Publish(nil)
	truth.Block()
}}
"""

PACKAGE = """package p{number}

import "strconv"

{helpers}{types}
// Run calls everything, so that the linker keeps it.
func Run(n int) (int, []any) {{
	var kept []any
{calls}	return n, kept
}}
"""

HELPER = """
func helper{n}(first, second int, text string) (result int, message string) {{
	sum := first*{n} + second
	mixed := sum ^ len(text)
	if mixed&{n} == 1 {{
		message = text
	}}
	return mixed - first, message
}}
"""

STRUCT = """
type Type{n} struct {{
	Name   string
	Next   *Type{next}
	Table  map[string]*Type{n}
	Parts  []Type{next}Part
	Call   func(*Type{n}) error
	Bytes  [{size}]byte
}}

type Type{n}Part struct {{
	Key   [{size}]uint16
	Owner *Type{n}
	Queue chan Type{n}Key
}}

type Type{n}Key uint64

// Default{n} is made by the linker: a variable that refers to data without a name.
var Default{n} = &Type{n}{{Name: "default {n}", Next: &Type{next}{{}}}}
"""

METHOD = """
//go:noinline
func (t *Type{n}) Method{m}(n int, seen []any) int {{
	first, text := helper{a}(n, len(seen), t.Name)
	second, message := helper{b}(first, n, text)
	for at, part := range t.Parts {{
		count, name := helper{c}(second, at, message)
		if part.Owner != nil && t.Table[name] == nil {{
			key := strconv.Itoa(count)
			t.Table[key] = t
		}}
		second += count
	}}
	third, last := helper{a}(second, {m}, message)
	return third + len(last)
}}
"""
