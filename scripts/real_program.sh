#!/usr/bin/env bash
# Build a real program that nobody here wrote, etcd, put data into it and dump
# it while it works. What comes out, in $OBJREF_CACHE/etcd:
#
#   exe  core.gcore  core.kernel  metrics.gcore.txt  metrics.kernel.txt
#
# The metrics are etcd's own view of its heap (go_memstats_*) just before the
# dump; unlike the fixtures it does not collect first, so live is below that.
#
# Usage: scripts/real_program.sh [KEYS]     (default 30000)
# Needs: go, python3, curl, gdb.
set -euo pipefail

keys=${1:-30000}
version=v3.6.16
scripts=$(cd "$(dirname "$0")" && pwd)
out=${OBJREF_CACHE:-$HOME/.cache/objref}/etcd
url=http://127.0.0.1:23790
peer=http://127.0.0.1:23800

build() {
    local src=$out/src
    mkdir -p "$src"
    # etcd's modules replace one another, so `go install` refuses them: a main
    # package of its own it is.
    cat >"$src/main.go" <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
    rm -f "$src/go.mod" "$src/go.sum"
    (
        cd "$src"
        go mod init realprogram
        go get "go.etcd.io/etcd/server/v3@$version"
        go mod tidy
        CGO_ENABLED=0 go build -trimpath -o "$out/exe" .
    )
}

# start: run etcd in the fresh folder $run; sets $etcd and $load.
start() {
    trap stop EXIT
    run=$(mktemp -d "$out/run.XXXXXX")
    (
        cd "$run"
        ulimit -c unlimited
        GOTRACEBACK=crash exec "$out/exe" --data-dir data --name one \
            --listen-client-urls "$url" --advertise-client-urls "$url" \
            --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
            --initial-cluster "one=$peer" --log-level error >log.txt 2>&1
    ) &
    etcd=$!
    for _ in $(seq 100); do
        curl -sf "$url/health" >/dev/null && break
        sleep 0.1
    done
    python3 "$scripts/etcd_load.py" "$url" fill "$keys"
    python3 "$scripts/etcd_load.py" "$url" work 2>/dev/null &
    load=$!
    sleep 3
}

# stop: end what start started.
stop() {
    kill -KILL "$etcd" "$load" 2>/dev/null || true
    wait "$etcd" "$load" 2>/dev/null || true
    rm -rf "$run"
    trap - EXIT
}

dump_gcore() {
    start
    curl -sf "$url/metrics" >"$out/metrics.gcore.txt"
    (cd "$run" && gcore -o core "$etcd" >/dev/null 2>&1)
    fallocate --dig-holes "$run/core.$etcd"
    mv "$run/core.$etcd" "$out/core.gcore"
    stop
}

dump_kernel() {
    start
    curl -sf "$url/metrics" >"$out/metrics.kernel.txt"
    kill -ABRT "$etcd"
    wait "$etcd" 2>/dev/null || true
    mv "$run"/core* "$out/core.kernel"
    stop
}

[ -x "$out/exe" ] || build
dump_gcore
dump_kernel
ls -ls "$out"/core.* "$out/exe"
grep -h '^go_memstats_heap_alloc_bytes\|^etcd_debugging_mvcc_keys_total' "$out"/metrics.*.txt
