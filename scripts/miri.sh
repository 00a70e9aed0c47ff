#!/usr/bin/env bash
# Runs under Miri what it can run: unit tests that need no file and no mapped memory.
#
# Needs a nightly toolchain with the components miri and rust-src. Miri interprets: properties are tried on two inputs each.
set -euo pipefail
cd "$(dirname "$0")/.."

# Tests read the clock and their own sources.
export MIRIFLAGS=-Zmiri-disable-isolation
export PROPTEST_CASES=2 PROPTEST_MAX_SHRINK_ITERS=0

begun=$SECONDS
cargo +nightly miri test -p objref-graph --lib
cargo +nightly miri test -p objref-mem --lib -- addr arch:: encoding layers notes registers watch
printf '%d s\n' $((SECONDS - begun))
