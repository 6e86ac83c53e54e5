// The memory under the allocator in a native build: a reserved range, as the runtime's memories are.
#include <stdlib.h>
#include <sys/mman.h>

#include "HeapPages.h"

static uintptr_t base;
static size_t page_count;

uintptr_t heap_memory_base(void) {
  if (base == 0) {
    void *range = mmap(NULL, (size_t)1 << 32, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) abort();
    base = ((uintptr_t)range + 65535) & ~(uintptr_t)65535;
  }
  return base;
}
size_t heap_memory_page_count(void) { return (heap_memory_base() >> PAGE_LOG2) + page_count; }
bool heap_memory_grow(size_t count) {
  if (page_count + count > 65535) return false;
  page_count += count;
  return true;
}
void heap_memory_discard(uintptr_t address, size_t byte_count) { madvise((void *)address, byte_count, MADV_DONTNEED); }
_Noreturn void guest_allocation_fault(const char *what, uintptr_t address) { (void)what, (void)address, abort(); }
