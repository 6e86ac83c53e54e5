#!/usr/bin/env bash
# tenants.sh address|thread [MINUTES]: builds the tests, C and Swift, with a sanitizer, in .build-asan or .build-tsan, and runs the
# hostile tenants under it. Fails where the sanitizer reports anything.
set -euo pipefail
cd "$(dirname "$0")/../.."
sanitizer=${1:?address or thread}
minutes=${2:-2}
scratch=.build-${sanitizer:0:1}san
# lld: gold cannot link what the sanitizers make.
swift build -c release --omit-frame-pointers --scratch-path "$scratch" --build-tests --sanitize="$sanitizer" -Xswiftc -use-ld=lld
environment=(TENANT_SECONDS=$((minutes * 60)) TENANT_SHARE=0 SWIFT_BACKTRACE=enable=no
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1)
if [ "$sanitizer" = thread ]; then
  "$(dirname "$(command -v swift)")/clang" -O1 -fsanitize=thread -fPIC -shared -o "$scratch/mutex.so" Tests/Sanitizers/mutex.c
  environment+=("LD_PRELOAD=$PWD/$scratch/mutex.so")
fi
status=0
env "${environment[@]}" "$scratch/release/binderyPackageTests.xctest" --testing-library swift-testing --filter TenantTests \
  >"$scratch/tenants.log" 2>&1 || status=$?
grep -aE 'tenants|✔|✘' "$scratch/tenants.log" || true
if grep -aqE 'WARNING: ThreadSanitizer|ERROR: AddressSanitizer' "$scratch/tenants.log"; then
  echo "The sanitizer reports:"
  grep -aE 'SUMMARY' "$scratch/tenants.log" | sort | uniq -c | sort -rn | head -20
  status=1
fi
[ "$status" = 0 ] && echo "$sanitizer: nothing to report (all of the output: $scratch/tenants.log)"
exit "$status"
