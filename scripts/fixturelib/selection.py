"""The command line that the matrix scripts share: which programs, which dumps."""

import argparse
from pathlib import Path

from . import build, dump, toolchains


def parser(description):
    """A parser with the options that select programs and dumps."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--cases", type=cases, metavar="CASE[:N],...",
                        default="zoo,service", help=f"of {', '.join(build.CASES)} (default zoo,service)")
    result.add_argument("--versions", type=versions, metavar="V,...",
                        default=",".join(toolchains.VERSIONS), help="e.g. 1.21,1.26.6 (default: all)")
    result.add_argument("--variants", type=variants, metavar="NAME,...",
                        default="default", help=f"of {', '.join(build.VARIANTS)} (default: default)")
    result.add_argument("--dump", type=_comma_list(_known(dump.KINDS)), metavar="KIND,...",
                        default=",".join(dump.KINDS), help="kernel, gcore or both (default); of other architectures there is only kernel")
    result.add_argument("--out", type=Path, default=toolchains.cache_dir() / "matrix", metavar="DIR",
                        help="default: $OBJREF_CACHE/matrix or ~/.cache/objref/matrix")
    return result


def programs(options):
    """Every program selected that exists; versions outermost, for the build cache."""
    for version in options.versions:
        for case, scale in options.cases:
            for variant in options.variants:
                program = build.Program(case, version, variant, scale)
                if program.exists():
                    yield program


def dumps(options):
    """(program, kind) of every dump selected that there can be."""
    for program in programs(options):
        for kind in dump.kinds(program, options.dump):
            yield program, kind


def _comma_list(convert):
    """An argparse type: a comma-separated list with each item converted."""
    def parse(text):
        try:
            return [convert(item) for item in text.split(",") if item]
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return parse


def _known(names):
    """A converter that lets only known names through."""
    def check(name):
        if name not in names:
            raise ValueError(f"{name} is none of {', '.join(names)}")
        return name
    return check


cases = _comma_list(build.parse_case)
versions = _comma_list(toolchains.resolve)
variants = _comma_list(_known(build.VARIANTS))
