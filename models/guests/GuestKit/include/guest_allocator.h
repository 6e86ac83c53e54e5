// The allocator of memory 0: what a C or Swift guest may call beside the standard functions. See the README of the guest kit.
#ifndef BINDERY_GUEST_ALLOCATOR_H
#define BINDERY_GUEST_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>

// Memory of at least `byte_count` bytes, 16-aligned, or NULL where memory 0 cannot grow. 0 bytes have an address of their own.
void *malloc(size_t byte_count);
/// The same, zeroed. Pages that the system just gave are not zeroed again.
void *calloc(size_t count, size_t byte_count);
/// Keeps the bytes, up to the smaller of the two sizes. NULL leaves the old memory as it is. 0 bytes do not free.
void *realloc(void *pointer, size_t byte_count);
/// Traps, with a line in the host's log, where the pointer is not what one of these functions gave, or was freed already.
void free(void *pointer);

/// `alignment`: a power of two, else NULL. The size need not be a multiple of it.
void *aligned_alloc(size_t alignment, size_t byte_count);
/// 0, or 22 (EINVAL) for an alignment that is no power of two, or 12 (ENOMEM); then `result` is left alone.
int posix_memalign(void **result, size_t alignment, size_t byte_count);
/// The bytes that may be used: at least what was asked for. 0 for NULL.
size_t malloc_usable_size(void *pointer);

/// Gives the memory of free pages back to the host, all but about `kept_byte_count` bytes of them, and returns 1 if there were
/// any. `free` does so by itself when many have gathered; call this before a pause, or let the host (--export=malloc_trim).
int malloc_trim(size_t kept_byte_count);

/// What the allocator holds now.
struct guest_heap_statistics {
  /// From the first byte of the heap to the end of memory 0, the allocator's own tables included.
  size_t heap_byte_count;
  /// In allocations, as malloc_usable_size counts.
  size_t used_byte_count;
  /// The allocator's own tables.
  size_t table_byte_count;
  /// In wasm pages that are wholly free, and of those the ones that still hold memory of the host.
  size_t free_page_byte_count, dirty_page_byte_count;
  /// Since the start: calls of memory.discard, and bytes that they covered.
  uint64_t discard_count, discarded_byte_count;
};
/// Walks the whole heap: for tests and measurements.
void guest_heap_statistics(struct guest_heap_statistics *result);

#endif
