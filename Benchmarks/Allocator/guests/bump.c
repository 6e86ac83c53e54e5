// The simplest allocator: blocks are cut from the end, nothing is given back.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __wasm__
extern unsigned char __heap_base;
static uintptr_t next_free;
static int reserve(uintptr_t end) {
  uintptr_t page_count = __builtin_wasm_memory_size(0), needed = (end + 65535) >> 16;
  return needed <= page_count || __builtin_wasm_memory_grow(0, needed - page_count) != (uintptr_t)-1;
}
#define FIRST ((uintptr_t)&__heap_base)
#else
#include <sys/mman.h>
static uintptr_t next_free;
static int reserve(uintptr_t end) { return (void)end, 1; }
#define FIRST ((uintptr_t)mmap(NULL, (size_t)1 << 36, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))
#endif

void *malloc(size_t byte_count) {
  if (next_free == 0) next_free = FIRST;
  uintptr_t start = ((next_free + 15) & ~(uintptr_t)15) + 16, end = start + byte_count;
  if (end < start || !reserve(end)) return NULL;
  ((size_t *)start)[-1] = byte_count;
  next_free = end;
  return (void *)start;
}
void free(void *pointer) { (void)pointer; }
void *realloc(void *pointer, size_t byte_count) {
  if (pointer == NULL) return malloc(byte_count);
  size_t old = ((size_t *)pointer)[-1];
  if (byte_count <= old) return pointer;
  void *moved = malloc(byte_count);
  return moved == NULL ? NULL : memcpy(moved, pointer, old);
}
