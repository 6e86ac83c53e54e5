#!/usr/bin/env bash
# Runs every benchmark and writes a report with charts into .build/bench. About 11 minutes on an idle machine.
#   Benchmarks/report.sh [MODEL]      default: models/smollm2-135m-instruct
# Peers take part if Benchmarks/peers.sh has installed them; what is missing is named in the report.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:-models/smollm2-135m-instruct}
bindery=.build/release/bindery
out=.build/bench
mkdir -p "$out"
report=$out/report.md

section() {  # section TITLE "PICTURE ..." COMMAND...
  local title=$1 pictures=$2 picture begin=$SECONDS
  shift 2
  echo "== $title" >&2
  {
    printf '\n## %s\n\n    %s\n\n' "$title" "$*"
    for picture in $pictures; do printf '![%s](%s)\n\n' "$title" "$picture"; done
  } >>"$report"
  "$@" >>"$report"
  echo "== $((SECONDS - begin)) s" >&2
}

{
  echo "# Benchmarks of $(git rev-parse --short HEAD 2>/dev/null || echo 'an unknown revision')"
  echo
  echo "- $(date -u +%F), $(uname -srm)"
  echo "- $(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2- | xargs), $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
  echo "- $(grep MemTotal /proc/meminfo | awk '{printf "%.1f GiB of memory", $2 / 1048576}')"
  echo "- $(swift --version 2>/dev/null | head -n 1)"
} >"$report"

section "What copies cost" "copy.svg pages.svg" "$bindery" bench copy --rounds 2 --svg "$out/copy.svg" --pages-svg "$out/pages.svg"
section "What giving memory back costs" memory.svg "$bindery" bench memory "$model" --svg "$out/memory.svg"
section "Tensor operations" kernels.svg "$bindery" bench kernels --svg "$out/kernels.svg"
section "The interpreter" engine.svg "$bindery" bench engine --svg "$out/engine.svg"
section "A model: prefill and decode" llm.svg "$bindery" bench llm "$model" --threads 1 --svg "$out/llm.svg"

if [ -x .build/peers/bin/python ]; then
  section "What copies cost in other engines" "" .build/peers/bin/python Benchmarks/copy/compare.py
  section "Beside llama.cpp and ik_llama.cpp" "" .build/peers/bin/python Benchmarks/llm/compare.py "$model" --threads 1,2 --rounds 3
  section "The same beside a busy process" "" .build/peers/bin/python Benchmarks/llm/compare.py "$model" --threads 2 --rounds 1 --busy
  section "The interpreter beside other engines" "" .build/peers/bin/python Benchmarks/engine/compare.py
else
  printf '\n## Peers\n\nNot installed: `make bench-peers` (compiles llama.cpp).\n' >>"$report"
fi
echo "$report"
