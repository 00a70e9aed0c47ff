"""What is known to differ between the truth that a program writes and its dump."""

from . import toolchains


def dropped_by_unique(go_version):
    """How many objects 'go1.24.11' may have dropped since its last collection.

    At the start of each collection package unique of Go 1.24 makes closures that it
    drops at once: they survive that collection, and nothing holds them any more
    (src/unique/handle.go: registerCleanup, addUniqueMap).
    """
    return 4 if toolchains.minor(go_version) == 24 else 0
