"""What is known to differ between the truth that a program writes and its dump."""

from . import toolchains


def dropped(version):
    """How many objects of the fixtures Go 1.24.11 or 'go1.24.11' may have dropped since its last collection.

    At the start of each collection package unique of Go 1.24 makes closures that it
    drops at once: they survive that collection, and nothing holds them any more
    (src/unique/handle.go: registerCleanup, addUniqueMap).

    Up to 1.22 a timer that was stopped, as those of the zoo's four cancelled contexts
    are, stays with its processor until that gets to it, and is dropped together with
    its closure then (src/runtime/time.go: cleantimers, clearDeletedTimers).
    """
    minor = toolchains.minor(version)
    return 8 if minor <= 22 else 4 if minor == 24 else 0
