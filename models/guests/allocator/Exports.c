// A guest that is nothing but the allocator, for tests: the host calls it and looks into its memory. Built for 32-bit and for
// 64-bit addresses. The standard functions are exported by the linker.

#include <stdint.h>

#include "guest_allocator.h"

/// guest_heap_statistics, by number of the member.
__attribute__((export_name("statistic"))) uint64_t statistic(uint32_t member) {
  struct guest_heap_statistics now;
  guest_heap_statistics(&now);
  switch (member) {
    case 0: return now.heap_byte_count;
    case 1: return now.used_byte_count;
    case 2: return now.table_byte_count;
    case 3: return now.free_page_byte_count;
    case 4: return now.dirty_page_byte_count;
    case 5: return now.discard_count;
    case 6: return now.discarded_byte_count;
    default: __builtin_trap();
  }
}

/// What a program does that works in phases: allocates, writes, frees. Returns the number of allocations that failed.
__attribute__((export_name("churn"))) uint32_t churn(uint32_t count, uint32_t byte_count, uint32_t round_count) {
  uint32_t failures = 0;
  for (uint32_t round = 0; round < round_count; round++) {
    uint8_t **blocks = malloc(count * sizeof *blocks);
    if (blocks == NULL) return failures + 1;
    for (uint32_t index = 0; index < count; index++) {
      blocks[index] = malloc(byte_count);
      if (blocks[index] == NULL) {
        failures++;
      } else {
        __builtin_memset(blocks[index], (int)index, byte_count);
      }
    }
    for (uint32_t index = 0; index < count; index++) {
      if (blocks[index] != NULL && byte_count > 0 && blocks[index][byte_count - 1] != (uint8_t)index) __builtin_trap();
      free(blocks[index]);
    }
    free(blocks);
  }
  return failures;
}
