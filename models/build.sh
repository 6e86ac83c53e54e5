#!/usr/bin/env bash
# Builds the guests: models/guests/<name> to models/programs/<name>.wasm, and models/programs/MANIFEST.
#
#   models/build.sh            builds all and writes them
#   models/build.sh --check    builds into a temporary folder and compares: the committed files are what the sources give
#   models/build.sh --linked F builds and leaves the guests before lowering in folder F, for tests under other engines
#
# Needs Swift 6.3 (its swiftc, clang and wasm-ld) and the host's own `bindery lower`, taken from $BINDERY, or from
# .build/release, or built. The same compiler gives the same bytes: no path of this machine and no date gets into them.
# With another compiler --check compares the sources with the manifest, says so, and leaves the bytes alone.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
programs=(kernels llama)   # Embedded Swift
allocators=(allocator allocator64)   # nothing but the allocator, for tests

# -disable-lsr: LLVM's loop strength reduction replaces constant offsets of loads by additions; a JIT folds them back, an
#   interpreter pays 7 to 13 % of the inner loops of the kernels for them.
# -disable-stack-protector: a guest's stack lies at the bottom of its memory, an overflow traps.
swift_flags=(-target wasm32-unknown-none-wasm -enable-experimental-feature Embedded -wmo -O -parse-as-library
  -Xllvm -disable-lsr -Xfrontend -disable-stack-protector -Xcc -msimd128 -Xcc -mrelaxed-simd -I models/guests/GuestKit/include)
c_flags=(-O2 -ffreestanding -Wall -Werror -I models/guests/GuestKit/include -I models/guests/GuestKit)
link_flags=(--no-entry --allow-undefined --gc-sections --strip-debug --stack-first -z stack-size=65536)
allocator_exports=(--export={malloc,calloc,realloc,free,aligned_alloc,posix_memalign,malloc_usable_size,malloc_trim})
memories=(--memory 'weights=bindery.weights i64 virtual 0 16777216' --memory 'cache=bindery.cache i64 virtual 0 16777216'
  --memory 'scratch=bindery.scratch i64 0 16777216')

compiler() { swiftc --version 2>/dev/null | head -n 1; }

# The sources of a program, sorted: kernels do without GuestKit/Program.
sources() {
  local folders=(models/guests/GuestKit/*.swift models/guests/"$1"/*.swift)
  [ "$1" = kernels ] || folders+=(models/guests/GuestKit/Program/*.swift)
  printf '%s\n' "${folders[@]}" | sort
}

# What a rebuild depends on beside the compiler: sources, headers, this script. And on `bindery lower`, which has no hash here:
# a change of it that changes the output shows in --check.
source_hashes() {
  { printf '%s\n' models/build.sh models/guests/GuestKit/*.[ch] models/guests/GuestKit/include/* models/guests/allocator/*
    for program in "${programs[@]}"; do sources "$program"; done; } | sort -u | xargs sha256sum
}

lower_tool() {
  if [ -n "${BINDERY:-}" ]; then echo "$BINDERY"; return; fi
  if [ ! -x .build/release/bindery ]; then swift build -c release --product bindery >&2; fi
  echo .build/release/bindery
}

# The compiler writes a hash of its arguments into what it makes: so every path that it is given is relative, and the same
# everywhere. It runs in the temporary folder, which sees the sources through a link.
build() {  # build FOLDER
  local folder=$1 bindery
  bindery=$(realpath "$(lower_tool)")
  ln -s "$PWD/models" "$folder/models"
  (
    cd "$folder"
    local bits kit=(Allocator HeapPages AllocationFault Runtime)
    for bits in 32 64; do
      for source in "${kit[@]}"; do
        clang --target=wasm$bits "${c_flags[@]}" -c "models/guests/GuestKit/$source.c" -o "$source.$bits.o"
      done
    done
    for program in "${programs[@]}"; do
      # shellcheck disable=SC2046
      swiftc "${swift_flags[@]}" -module-name "$program" -c $(sources "$program") -o "$program.o"
      wasm-ld "${link_flags[@]}" "$program.o" "${kit[@]/%/.32.o}" -o "$program.linked.wasm"
      "$bindery" lower "$program.linked.wasm" -o "$program.wasm" "${memories[@]}" >&2
    done
    for program in "${allocators[@]}"; do
      bits=32
      [ "$program" = allocator ] || bits=64
      clang --target=wasm$bits "${c_flags[@]}" -c models/guests/allocator/Exports.c -o "$program.o"
      wasm-ld -m wasm$bits "${link_flags[@]}" "${allocator_exports[@]}" "$program.o" "${kit[@]/%/.$bits.o}" -o "$program.linked.wasm"
      "$bindery" lower "$program.linked.wasm" -o "$program.wasm" >&2
    done
  )
}

manifest() {  # manifest FOLDER
  echo "compiler $(compiler)"
  (cd "$1" && for program in "${programs[@]}" "${allocators[@]}"; do sha256sum "$program.wasm"; done)
  source_hashes
}

case "${1:-}" in
"")
  temporary=$(mktemp -d)
  trap 'rm -rf "$temporary"' EXIT
  build "$temporary"
  mkdir -p models/programs
  for program in "${programs[@]}" "${allocators[@]}"; do cp "$temporary/$program.wasm" models/programs/; done
  manifest models/programs >models/programs/MANIFEST
  (cd models/programs && ls -l ./*.wasm)
  ;;
--check)
  manifest models/programs | tail -n +2 | diff <(tail -n +2 models/programs/MANIFEST) - >&2 ||
    { echo "models/programs is not what the sources give: run models/build.sh and commit the result" >&2; exit 1; }
  if [ "$(head -n 1 models/programs/MANIFEST)" != "compiler $(compiler)" ]; then
    echo "sources and programs are those of the manifest; another compiler built them, so the bytes are not compared"
    exit 0
  fi
  temporary=$(mktemp -d)
  trap 'rm -rf "$temporary"' EXIT
  build "$temporary"
  for program in "${programs[@]}" "${allocators[@]}"; do
    cmp "$temporary/$program.wasm" "models/programs/$program.wasm" >&2 ||
      { echo "models/programs/$program.wasm differs from a rebuild: run models/build.sh and commit the result" >&2; exit 1; }
  done
  echo "models/programs: a rebuild gives the same bytes"
  ;;
--linked)
  mkdir -p "$2"
  temporary=$(mktemp -d)
  trap 'rm -rf "$temporary"' EXIT
  build "$temporary"
  for program in "${programs[@]}"; do cp "$temporary/$program.linked.wasm" "$2/$program.wasm"; done
  ;;
*)
  echo "usage: models/build.sh [--check | --linked FOLDER]" >&2
  exit 64
  ;;
esac
