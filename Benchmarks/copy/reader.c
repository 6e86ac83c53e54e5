// A WASI command that gets a file into its memory as WASI programs do, and goes over it once.
//   reader FILE CHUNK     the file in the first folder it may see; bytes a call, 0: one call for all of it
// Prints nanoseconds until the file was there, nanoseconds of the pass, and the sum; then waits for a byte on standard input.
// `reserve` and `pass` are for hosts that write the file into the memory themselves.
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef struct { void *bytes; uint32_t count; } io_vector;
typedef struct { uint64_t device, node; uint8_t type; uint64_t links, size, accessed, modified, changed; } file_status;

IMPORT(args_sizes_get) int32_t args_sizes_get(uint32_t *count, uint32_t *byte_count);
IMPORT(args_get) int32_t args_get(char **arguments, char *bytes);
IMPORT(clock_time_get) int32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *time);
IMPORT(path_open)
int32_t path_open(uint32_t folder, uint32_t lookup, const char *path, uint32_t path_count, uint32_t open, uint64_t rights,
                  uint64_t inherited, uint32_t flags, uint32_t *file);
IMPORT(fd_filestat_get) int32_t fd_filestat_get(uint32_t file, file_status *status);
IMPORT(fd_read) int32_t fd_read(uint32_t file, const io_vector *vectors, uint32_t count, uint32_t *done);
IMPORT(fd_write) int32_t fd_write(uint32_t file, const io_vector *vectors, uint32_t count, uint32_t *done);
IMPORT(proc_exit) _Noreturn void proc_exit(uint32_t status);

static const uint64_t right_to_read = 1 << 1, right_to_inspect = 1 << 21;

static uint64_t now(void) {
  uint64_t time = 0;
  clock_time_get(1, 0, &time);
  return time;
}

static void say(const char *text, uint32_t count) {
  io_vector vector = {(void *)text, count};
  uint32_t done;
  fd_write(1, &vector, 1, &done);
}

static _Noreturn void fail(char step) {
  char text[] = "failed: ?\n";
  text[8] = step;
  say(text, sizeof text - 1);
  proc_exit(1);
}

static void say_number(uint64_t number, char end) {
  char text[21];
  uint32_t at = 21;
  text[--at] = end;
  do text[--at] = '0' + number % 10;
  while (number /= 10);
  say(text + at, 21 - at);
}

/// Memory for so many bytes, at a multiple of 64 KiB; 0 if there is none.
__attribute__((export_name("reserve"))) uint32_t reserve(uint32_t byte_count) {
  uint32_t pages = (uint32_t)(((uint64_t)byte_count + 0xFFFF) >> 16);
  uint32_t first = (uint32_t)__builtin_wasm_memory_grow(0, pages);
  return first == UINT32_MAX ? 0 : first << 16;
}

/// Adds up all of it, 8 bytes at a time. Whole multiples of 64 bytes.
__attribute__((export_name("pass"))) uint64_t pass(uint32_t address, uint32_t byte_count) {
  const uint64_t *at = (const uint64_t *)address, *end = (const uint64_t *)(address + byte_count);
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (; at < end; at += 8) {
    a += at[0] + at[1];
    b += at[2] + at[3];
    c += at[4] + at[5];
    d += at[6] + at[7];
  }
  return a + b + c + d;
}

static char argument_bytes[4096];
static char *arguments[64];

__attribute__((export_name("_start"))) void start(void) {
  uint32_t count = 0, byte_count = 0;
  if (args_sizes_get(&count, &byte_count) || count != 3 || byte_count > sizeof argument_bytes) fail('a');
  if (args_get(arguments, argument_bytes)) fail('a');
  uint32_t name_count = 0, chunk = 0;
  while (arguments[1][name_count]) name_count++;
  for (const char *digit = arguments[2]; *digit; digit++) chunk = chunk * 10 + (uint32_t)(*digit - '0');

  uint64_t begin = now();
  uint32_t file = 0;
  file_status status = {0};
  if (path_open(3, 0, arguments[1], name_count, 0, right_to_read | right_to_inspect, 0, 0, &file)) fail('o');
  if (fd_filestat_get(file, &status) || status.size > 0xF0000000u) fail('s');
  uint32_t size = (uint32_t)status.size, address = reserve(size);
  if (!address) fail('m');
  for (uint32_t at = 0; at < size;) {
    uint32_t left = size - at, done = 0;
    io_vector vector = {(void *)(address + at), chunk && chunk < left ? chunk : left};
    if (fd_read(file, &vector, 1, &done) || !done) fail('r');
    at += done;
  }
  uint64_t ready = now();
  uint64_t sum = pass(address, size);
  uint64_t end = now();
  say_number(ready - begin, ' ');
  say_number(end - ready, ' ');
  say_number(sum, '\n');
  io_vector vector = {argument_bytes, 1};
  fd_read(0, &vector, 1, &count);
}
