// The allocator of memory 0: the only file that hands out its bytes, to programs and to the Swift runtime.
//
// For now: blocks are cut from the end of the used part and never returned to it; `free` forgets. The programs allocate
// when they are configured and when a request needs more than any before it, so little is lost; a real allocator replaces
// this file without touching another.

#include <stddef.h>
#include <stdint.h>

extern uint8_t __heap_base;
static uintptr_t next_free;

int posix_memalign(void **result, size_t alignment, size_t byte_count) {
  if (next_free == 0) next_free = (uintptr_t)&__heap_base;
  if (alignment < 16) alignment = 16;
  uintptr_t start, end;
  if (__builtin_add_overflow(next_free, alignment - 1, &start)) return 12;
  start &= ~(alignment - 1);
  if (__builtin_add_overflow(start, byte_count, &end)) return 12;
  uintptr_t page_count = __builtin_wasm_memory_size(0), needed = (end >> 16) + 1;
  if (needed > page_count && __builtin_wasm_memory_grow(0, needed - page_count) == (uintptr_t)-1) return 12;
  next_free = end;
  *result = (void *)start;
  return 0;
}

void *malloc(size_t byte_count) {
  void *result;
  return posix_memalign(&result, 16, byte_count) == 0 ? result : NULL;
}

void free(void *pointer) { (void)pointer; }
