#!/usr/bin/env bash
# Runs fuzz targets one after the other: scripts/fuzz.sh [SECONDS [TARGET...]], by default a minute of each.
#
# Needs cargo-fuzz and a C++ compiler. JOBS targets run at a time (default 1). Starts from the inputs in fuzz/seeds, from
# the tests' own, and from what earlier runs kept in fuzz/corpus. Ends with a table, and with status 1 if anything was found.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)

# The code has no `unsafe` for a sanitizer to watch: without one there are more runs in the same time.
cargo fuzz build -s none
cargo run -q -p objref-synth --example seeds -- fuzz/corpus
mkdir -p fuzz/corpus/dwarf
cp crates/objref-dwarf/tests/data/*.elf fuzz/corpus/dwarf
built=fuzz/target/$(rustc -vV | sed -n 's/^host: //p')/release

# The longest input that makes sense: binaries and cores have headers, tables, and something that these lead to.
longest() {
    case $1 in
    dwarf) echo 262144 ;;
    elf_core | image) echo 65536 ;;
    *) echo 16384 ;;
    esac
}

# fuzz TARGET: run one, and keep what it says.
fuzz() {
    local target=$1 log=fuzz/artifacts/$1.log
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/artifacts/$target"
    "$built/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len="$(longest "$target")" \
        -print_final_stats=1 >"$log" 2>&1 && rm -f "$log.found" || touch "$log.found"
}

# row TARGET: its line of the table.
row() {
    local log=fuzz/artifacts/$1.log last result=none
    [ ! -e "$log.found" ] || result="FOUND, see $log"
    last=$(grep -a 'cov:' "$log" | tail -1 || true)
    part() { sed -n "$1" <<<"$2"; }
    printf '%-10s %12s %8s %9s %14s %6s  %s\n' "$1" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(part 's/.* cov: \([0-9]*\).*/\1/p' "$last")" \
        "$(part 's/.* ft: \([0-9]*\).*/\1/p' "$last")" \
        "$(part 's/.* corp: \([^ ]*\).*/\1/p' "$last")" \
        "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")" "$result"
}

for target in "${targets[@]}"; do
    while [ "$(jobs -pr | wc -l)" -ge "${JOBS:-1}" ]; do wait -n; done
    fuzz "$target" &
done
wait
printf '%-10s %12s %8s %9s %14s %6s  %s\n' target runs blocks features corpus MB findings
for target in "${targets[@]}"; do row "$target"; done
for target in "${targets[@]}"; do [ ! -e "fuzz/artifacts/$target.log.found" ]; done
