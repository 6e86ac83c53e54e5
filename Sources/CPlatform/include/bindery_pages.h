// Page operations on address ranges. Module VirtualMemory is their only caller. Each returns 0, or the errno of the failure.
// Addresses and lengths are multiples of the host page, except where said.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BINDERY_PAGES_NONE = 0, BINDERY_PAGES_READ = 1, BINDERY_PAGES_READ_WRITE = 2 };

size_t bindery_page_byte_count(void);

/// Reserves address space without access and without commitment. With `align` (a power of two, at least a host page) the
/// usable part starts on a multiple of it; *mapping and *mapping_byte_count are what to release.
int bindery_pages_reserve(
    size_t byte_count, size_t align, void **address, void **mapping, size_t *mapping_byte_count);
int bindery_pages_release(void *mapping, size_t mapping_byte_count);

/// Changes the access of pages; contents stay.
int bindery_pages_protect(void *address, size_t byte_count, int access);

/// Replaces pages by fresh anonymous ones, zero, with the given access: whatever was there is gone.
int bindery_pages_replace(void *address, size_t byte_count, int access);

/// Zeroes anonymous pages and gives their memory back to the system.
int bindery_pages_discard(void *address, size_t byte_count);

/// Drops clean resident pages of a file mapping from this process; contents are read again on demand.
int bindery_pages_evict(void *address, size_t byte_count);

/// The same for a private writable mapping: pages that were written stay. Without a page map to tell them apart, does nothing.
/// Nobody may write to the pages meanwhile.
int bindery_pages_evict_clean(void *address, size_t byte_count);

enum { BINDERY_ADVICE_HUGE_PAGES = 0, BINDERY_ADVICE_NO_HUGE_PAGES = 1, BINDERY_ADVICE_WILL_NEED = 2, BINDERY_ADVICE_POPULATE_READ = 3,
       BINDERY_ADVICE_POPULATE_WRITE = 4, BINDERY_ADVICE_NOT_DUMPED = 5 };

/// Advises about pages. *taken is false, without a failure, where the system does not know the advice, or cannot take it for these
/// pages.
int bindery_pages_advise(void *address, size_t byte_count, int advice, bool *taken);

/// Maps a file over [address, address + byte_count) of an existing reservation: privately (`writable`: copy on write), or shared.
int bindery_pages_map_file(
    void *address, size_t byte_count, int descriptor, uint64_t offset, bool writable, bool is_shared);

/// Makes memory that can be mapped several times, of fixed size: it can neither shrink nor grow.
int bindery_shared_memory_create(size_t byte_count, int *descriptor);

/// How many of the pages of the range are resident in this process, by /proc/self/pagemap where there is one.
/// Returns ENOTSUP elsewhere.
int bindery_pages_resident_count(const void *address, size_t byte_count, size_t *page_count);

typedef struct bindery_file_facts {
  uint64_t byte_count;
  uint64_t device;
  uint64_t inode;
  int64_t modification_seconds;
  int64_t modification_nanoseconds;
  bool is_regular;
} bindery_file_facts;

/// Opens for reading, close-on-exec, without blocking on a pipe or device.
int bindery_file_open(const char *path, int *descriptor);
int bindery_file_facts_get(int descriptor, bindery_file_facts *facts);
/// Duplicates a descriptor, close-on-exec; never as one of the standard streams, though one of them may be closed.
int bindery_file_duplicate(int descriptor, int *duplicate);
void bindery_file_close(int descriptor);
/// Reads exactly byte_count bytes at offset, or as many as there are: *read_byte_count says.
int bindery_file_read(int descriptor, void *buffer, size_t byte_count, uint64_t offset, size_t *read_byte_count);

/// True in builds with AddressSanitizer, which has its own signal handlers and keeps freed memory for a while.
bool bindery_is_address_sanitized(void);

/// Whether malloc gives byte_count bytes now.
bool bindery_has_room(size_t byte_count);

/// The text of an errno, copied into buffer.
void bindery_error_text(int error, char *buffer, size_t byte_count);
