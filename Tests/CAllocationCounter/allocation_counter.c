// Functions of the executable come before those of libraries, so the definitions below take the place of glibc's for every
// caller: the Swift runtime, Foundation, the C targets. They count, and go on to glibc by the names it keeps for this purpose
// (no dlsym, which allocates). Whatever is not replaced here, reallocarray for one, is served by the same heap and not counted.
//
// The counts are thread-local: other tests run meanwhile. The storage is that of the executable itself (initial-exec), which
// every thread has from its start without an allocation: the first calls come from the dynamic linker before main.
#define _GNU_SOURCE
#include "CAllocationCounter.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif

#if defined(IS_SANITIZED)

const char *allocation_counter_obstacle(void) { return "the allocator is the sanitizer's in this build"; }
allocation_counts allocation_counts_of_this_thread(void) { return (allocation_counts){0}; }

#elif !defined(__linux__) || !defined(__GLIBC__) || !defined(__LP64__)

const char *allocation_counter_obstacle(void) { return "only the allocator of glibc, with 64 bits, is counted"; }
allocation_counts allocation_counts_of_this_thread(void) { return (allocation_counts){0}; }

#else

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread allocation_counts counts __attribute__((tls_model("initial-exec")));

const char *allocation_counter_obstacle(void) { return NULL; }
allocation_counts allocation_counts_of_this_thread(void) { return counts; }

extern void *__libc_malloc(size_t byte_count);
extern void *__libc_calloc(size_t count, size_t byte_count);
extern void *__libc_realloc(void *pointer, size_t byte_count);
extern void *__libc_memalign(size_t alignment, size_t byte_count);
extern void __libc_free(void *pointer);

#define REPLACES __attribute__((visibility("default"), used))

static void *counted(void *pointer, size_t byte_count) {
  counts.allocation_count++;
  counts.byte_count += byte_count;
  return pointer;
}

REPLACES void *malloc(size_t byte_count) { return counted(__libc_malloc(byte_count), byte_count); }

REPLACES void *calloc(size_t count, size_t byte_count) {
  return counted(__libc_calloc(count, byte_count), count * byte_count);
}

REPLACES void *realloc(void *pointer, size_t byte_count) {
  if (pointer != NULL) counts.release_count++;
  return counted(__libc_realloc(pointer, byte_count), byte_count);
}

REPLACES void *memalign(size_t alignment, size_t byte_count) {
  return counted(__libc_memalign(alignment, byte_count), byte_count);
}

REPLACES void *aligned_alloc(size_t alignment, size_t byte_count) { return memalign(alignment, byte_count); }

REPLACES int posix_memalign(void **pointer, size_t alignment, size_t byte_count) {
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  int before = errno;
  void *result = memalign(alignment, byte_count);
  errno = before;
  if (result == NULL) return ENOMEM;
  *pointer = result;
  return 0;
}

REPLACES void free(void *pointer) {
  if (pointer == NULL) return;
  counts.release_count++;
  __libc_free(pointer);
}

// The C library calls its own copies of these, so what malloc asks of the system is not counted here.

REPLACES void *mmap(void *address, size_t byte_count, int protection, int flags, int file, off_t offset) {
  counts.page_call_count++;
  return (void *)syscall(SYS_mmap, address, byte_count, protection, flags, file, offset);
}

REPLACES void *mmap64(void *address, size_t byte_count, int protection, int flags, int file, off_t offset) {
  return mmap(address, byte_count, protection, flags, file, offset);
}

REPLACES int munmap(void *address, size_t byte_count) {
  counts.page_call_count++;
  return (int)syscall(SYS_munmap, address, byte_count);
}

REPLACES int mprotect(void *address, size_t byte_count, int protection) {
  counts.page_call_count++;
  return (int)syscall(SYS_mprotect, address, byte_count, protection);
}

REPLACES int madvise(void *address, size_t byte_count, int advice) {
  counts.page_call_count++;
  return (int)syscall(SYS_madvise, address, byte_count, advice);
}

#endif
