#!/usr/bin/env bash
# Builds the test programs with wasi-libc (Debian: wasi-libc, libclang-rt-14-dev-wasm32) and writes what their native builds
# print, which the tests compare with. Run after changing a program; the results are committed.
set -euo pipefail
cd "$(dirname "$0")"
builtins=$(ls /usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a | tail -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for source in *.c; do
  name=${source%.c}
  model=command
  [ "$name" = reactor ] && model=reactor
  clang --target=wasm32-wasi --sysroot=/usr -mexec-model=$model -Oz -D_GNU_SOURCE -D_WASI_EMULATED_SIGNAL -nodefaultlibs -Wno-everything --no-wasm-opt \
    "$source" -o "$name.wasm" -Wl,--strip-all -lc -lm "$builtins" -lc-printscan-long-double -lc "$builtins" 2>&1
  [ "$name" = escape ] && continue
  [ "$name" = leave ] && continue
  [ "$name" = reactor ] && continue
  [ "$name" = bytes ] && continue
  clang -O1 -D_GNU_SOURCE -Wno-everything "$source" -o "$work/$name" -lm
  mkdir -p "$work/run"
  input=/dev/null
  [ "$name" = count ] && input=$PWD/count.c
  (cd "$work/run" && GREETING=hello "$work/$name" one 'two words' <"$input" >"$OLDPWD/$name.txt" 2>/dev/null) || true
done
ls -l *.wasm
