#!/usr/bin/env bash
# Runs fuzz targets one after the other: scripts/fuzz.sh [SECONDS [TARGET...]], by default a minute of each.
#
# Needs a nightly toolchain and cargo-fuzz. Starts from the inputs in fuzz/seeds, from
# the tests' own, and from what earlier runs kept in fuzz/corpus. Ends with a table, and with status 1 if anything was found.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)

# The code has no `unsafe` for a sanitizer to watch: without one there are more runs in the same time.
cargo +nightly fuzz build -s none
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

found=0
table=()
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/artifacts/$target"
    log=fuzz/artifacts/$target.log
    result=none
    "$built/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -artifact_prefix="fuzz/artifacts/$target/" \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len="$(longest "$target")" \
        -print_final_stats=1 >"$log" 2>&1 || { result=FOUND found=1; }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
    last=$(grep -a 'cov:' "$log" | tail -1)
    cover=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$last")
    features=$(sed -n 's/.* ft: \([0-9]*\).*/\1/p' <<<"$last")
    corpus=$(sed -n 's/.* corp: \([^ ]*\).*/\1/p' <<<"$last")
    table+=("$(printf '%-10s %12s %8s %9s %14s %6s  %s' \
        "$target" "${runs:-?}" "${cover:-?}" "${features:-?}" "${corpus:-?}" "${peak:-?}" "$result")")
    [ $result = none ] || echo "$target: see $log"
done
printf '%-10s %12s %8s %9s %14s %6s  %s\n' target runs blocks features corpus MB findings
printf '%s\n' "${table[@]}"
exit $found
