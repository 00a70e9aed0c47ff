#!/bin/sh
# Rebuilds ../tiny-go*.elf: make.sh GOROOT_OF_1.21 GOROOT_OF_1.27
set -eu
cd "$(dirname "$0")"
for root in "$@"; do
    version=$("$root/bin/go" env GOVERSION | cut -d. -f1,2)
    GOROOT=$root GOTOOLCHAIN=local CGO_ENABLED=0 "$root/bin/go" build -trimpath -o "/tmp/tiny-$version" .
    python3 trim.py "/tmp/tiny-$version" "../tiny-$version.elf"
    rm "/tmp/tiny-$version"
done
