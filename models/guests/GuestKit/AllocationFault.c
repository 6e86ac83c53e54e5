// How the allocator ends a guest that misuses it: a line for the host, then a trap. Link another file to do it in another way.

#include <stddef.h>
#include <stdint.h>

#include "HeapPages.h"

#ifdef __wasi__  // standard error
struct text {
  const char *bytes;
  size_t byte_count;
};
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) int32_t wasi_write(
  int32_t descriptor, const struct text *texts, size_t text_count, size_t *written);
static void write_line(char *line, size_t byte_count) {
  line[byte_count] = '\n';
  struct text text = {line, byte_count + 1};
  size_t written;
  wasi_write(2, &text, 1, &written);
}
#else
#include "host_imports.h"
static void write_line(char *line, size_t byte_count) { host_log((const uint8_t *)line, (int32_t)byte_count); }
#endif

_Noreturn void guest_allocation_fault(const char *what, uintptr_t address) {
  char line[128];
  size_t count = 0;
  while (*what != 0 && count < 96) line[count++] = *what++;
  for (const char *mark = " 0x"; *mark != 0; mark++) line[count++] = *mark;
  for (int shift = 8 * (int)sizeof address - 4; shift >= 0; shift -= 4) line[count++] = "0123456789abcdef"[address >> shift & 15];
  write_line(line, count);
  __builtin_trap();
}
