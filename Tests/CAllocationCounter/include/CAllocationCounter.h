// Counts what this thread asks of the allocator and of the system's page operations. For tests alone: the functions of the C
// library are replaced in the test executable, and no product links this.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// What a thread has asked for since it began.
typedef struct allocation_counts {
  /// malloc, calloc, aligned_alloc, posix_memalign, memalign, and realloc (which counts as an allocation and a release).
  uint64_t allocation_count;
  /// Bytes asked for by them.
  uint64_t byte_count;
  /// free, of something.
  uint64_t release_count;
  /// mmap, munmap, mprotect, madvise: calls by anyone but the C library itself.
  uint64_t page_call_count;
} allocation_counts;

/// Why nothing is counted in this build, NULL if it is.
const char *allocation_counter_obstacle(void);

allocation_counts allocation_counts_of_this_thread(void);
