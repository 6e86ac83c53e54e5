#!/bin/bash
# fuzz.sh [MINUTES [TARGET...]]: builds the fuzzer with libFuzzer and AddressSanitizer and runs each target (all, unless some are named) for its
# share of the minutes. Corpora lie in .build/fuzz/TARGET and are kept; what is found is copied to Tests/Regressions/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."

MINUTES=${1:-5}
shift || true
SCRATCH=.build-fuzz
FUZZER=$SCRATCH/release/BinderyFuzzer
CORPORA=.build/fuzz

resources=$(swiftc -print-target-info | sed -n 's/.*"runtimeResourcePath" *: *"\(.*\)".*/\1/p')
if ! ls "$resources"/clang/lib/linux/libclang_rt.fuzzer* >/dev/null 2>&1; then
  echo "fuzz: this Swift toolchain has no libFuzzer (libclang_rt.fuzzer in $resources/clang/lib/linux); a toolchain from swift.org for Linux has it" >&2
  exit 1
fi

if [ -z "${BINDERY_FUZZ_BUILT:-}" ]; then
  echo "Building with libFuzzer and AddressSanitizer in $SCRATCH"
  # lld: gold cannot link what the sanitisers make.
  swift build -c release --omit-frame-pointers --scratch-path $SCRATCH --product BinderyFuzzer --sanitize=address \
    -Xswiftc -sanitize=fuzzer -Xcc -fsanitize=fuzzer-no-link -Xswiftc -use-ld=lld
fi

if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <($FUZZER list); fi
share=$(awk -v m="$MINUTES" -v n=${#targets[@]} 'BEGIN { printf "%d", m * 60 / n }')
[ "$share" -ge 1 ] || share=1

status=0
total=0
for target in "${targets[@]}"; do
  corpus=$CORPORA/$target
  seeds=$CORPORA/seeds/$target
  finds=$CORPORA/finds/$target
  log=$CORPORA/$target.log
  mkdir -p "$corpus" "$finds"
  $FUZZER seeds "$target" "$seeds"
  folders=("$corpus" "$seeds")
  # libFuzzer takes no empty dictionary.
  dictionary=()
  [ -s "$seeds.dict" ] && dictionary=("-dict=$seeds.dict")
  [ -d "Tests/Regressions/$target" ] && folders+=("Tests/Regressions/$target")
  end=$((SECONDS + share))
  executions=0
  found=0
  : >"$log"
  # libFuzzer ends at its first find: it goes on, unless it finds too much.
  while [ $SECONDS -lt $end ] && [ $found -lt 20 ]; do
    before=$(ls "$finds" | wc -l)
    run=0
    BINDERY_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_abort=1:${ASAN_OPTIONS:-} \
      SWIFT_BACKTRACE=enable=no $FUZZER -max_total_time=$((end - SECONDS)) -max_len=$($FUZZER length "$target") -timeout=15 -rss_limit_mb=3000 \
      "${dictionary[@]}" -print_final_stats=1 -artifact_prefix="$finds/" -reload=0 "${folders[@]}" >>"$log" 2>&1 || run=$?
    count=$(grep -ao 'stat::number_of_executed_units: *[0-9]*' "$log" | tail -1 | grep -o '[0-9]*$' || echo 0)
    executions=$((executions + count))
    [ "$run" = 0 ] && break
    after=$(ls "$finds" | wc -l)
    [ "$after" -gt "$before" ] || { echo "$target: ended with status $run and left no input; see $log"; status=1; break; }
    found=$((found + 1))
    new=$(ls -t "$finds" | head -1)
    mkdir -p "Tests/Regressions/$target"
    cp "$finds/$new" "Tests/Regressions/$target/"
    echo "$target: FOUND Tests/Regressions/$target/$new: $(grep -a -m1 -E 'BROKEN PROMISE|ERROR: |Fatal error' <(tac "$log") | cut -c1-300)"
    status=1
  done
  total=$((total + executions))
  echo "$target: $executions executions, $found finds"
done
echo "$total executions"
exit $status
