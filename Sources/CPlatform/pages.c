#define _GNU_SOURCE
#include "bindery_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

size_t bindery_page_byte_count(void) {
  static size_t cached;
  size_t value = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (value == 0) {
    value = (size_t)sysconf(_SC_PAGESIZE);
    __atomic_store_n(&cached, value, __ATOMIC_RELAXED);
  }
  return value;
}

static int protection(int access) {
  switch (access) {
    case BINDERY_PAGES_READ: return PROT_READ;
    case BINDERY_PAGES_READ_WRITE: return PROT_READ | PROT_WRITE;
    default: return PROT_NONE;
  }
}

int bindery_pages_reserve(
    size_t byte_count, size_t align, void **address, void **mapping, size_t *mapping_byte_count) {
  // The slack for the alignment stays reserved with the rest: address space is free, and one mapping is easy to release.
  size_t slack = align > bindery_page_byte_count() ? align : 0;
  size_t total;
  if (__builtin_add_overflow(byte_count, slack, &total)) return ENOMEM;
  void *start = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return errno;
  *mapping = start;
  *mapping_byte_count = total;
  *address = slack ? (void *)(((uintptr_t)start + align - 1) & ~(uintptr_t)(align - 1)) : start;
  return 0;
}

int bindery_pages_release(void *mapping, size_t mapping_byte_count) {
  return munmap(mapping, mapping_byte_count) == 0 ? 0 : errno;
}

int bindery_pages_protect(void *address, size_t byte_count, int access) {
  return mprotect(address, byte_count, protection(access)) == 0 ? 0 : errno;
}

int bindery_pages_replace(void *address, size_t byte_count, int access) {
  void *result = mmap(
      address, byte_count, protection(access), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return result == MAP_FAILED ? errno : 0;
}

int bindery_pages_discard(void *address, size_t byte_count) {
#if defined(__linux__)
  return madvise(address, byte_count, MADV_DONTNEED) == 0 ? 0 : errno;
#else
  // Elsewhere MADV_DONTNEED does not promise zeroes. The caller only discards pages that are readable and writable.
  return bindery_pages_replace(address, byte_count, BINDERY_PAGES_READ_WRITE);
#endif
}

int bindery_pages_evict(void *address, size_t byte_count) {
  return madvise(address, byte_count, MADV_DONTNEED) == 0 ? 0 : errno;
}

// Linux 5.14; the headers of a C library may be older than the system.
#if defined(__linux__) && !defined(MADV_POPULATE_READ)
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

int bindery_pages_advise(void *address, size_t byte_count, int advice, bool *taken) {
  *taken = false;
  int flag;
  switch (advice) {
#if defined(__linux__)
    case BINDERY_ADVICE_HUGE_PAGES: flag = MADV_HUGEPAGE; break;
    case BINDERY_ADVICE_NO_HUGE_PAGES: flag = MADV_NOHUGEPAGE; break;
    case BINDERY_ADVICE_POPULATE_READ: flag = MADV_POPULATE_READ; break;
    case BINDERY_ADVICE_POPULATE_WRITE: flag = MADV_POPULATE_WRITE; break;
    case BINDERY_ADVICE_NOT_DUMPED: flag = MADV_DONTDUMP; break;
#endif
    case BINDERY_ADVICE_WILL_NEED: flag = MADV_WILLNEED; break;
    default: return 0;
  }
  int failure;
  do failure = madvise(address, byte_count, flag) == 0 ? 0 : errno; while (failure == EINTR || failure == EAGAIN);
  // The range is aligned, so EINVAL is about the advice: an older system, one without transparent huge pages, or pages without
  // access, which cannot be populated.
  *taken = failure == 0;
  return failure == EINVAL ? 0 : failure;
}

int bindery_pages_map_file(
    void *address, size_t byte_count, int descriptor, uint64_t offset, bool writable, bool is_shared) {
  int access = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  int sharing = is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE;
  void *result = mmap(address, byte_count, access, sharing | MAP_FIXED, descriptor, (off_t)offset);
  return result == MAP_FAILED ? errno : 0;
}

int bindery_shared_memory_create(size_t byte_count, int *descriptor) {
#if defined(__linux__)
  int file = memfd_create("bindery", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return errno;
  if (ftruncate(file, (off_t)byte_count) != 0 || fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    int failure = errno;
    close(file);
    return failure;
  }
#else
  char name[64];
  static int number;
  snprintf(name, sizeof name, "/bindery-%d-%d", (int)getpid(), __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
  int file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
  if (file < 0) return errno;
  shm_unlink(name);
  if (ftruncate(file, (off_t)byte_count) != 0) {
    int failure = errno;
    close(file);
    return failure;
  }
#endif
  *descriptor = file;
  return 0;
}

#if defined(__linux__)
/// Calls `visit` with the page map entries of a range, some at a time, and the index of the first of them.
static int walk_page_map(
    const void *address, size_t byte_count, int (*visit)(void *state, const uint64_t *entries, size_t first, size_t count),
    void *state) {
  size_t page = bindery_page_byte_count();
  size_t start = (uintptr_t)address / page, count = byte_count / page, done = 0;
  int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno;
  uint64_t entries[1024];
  int error = 0;
  while (done < count && error == 0) {
    size_t wanted = count - done < 1024 ? count - done : 1024;
    ssize_t got = pread(file, entries, wanted * 8, (off_t)((start + done) * 8));
    if (got < 8) {
      error = got < 0 ? errno : EIO;
      if (error == EINTR) error = 0;
      continue;
    }
    error = visit(state, entries, done, (size_t)got / 8);
    done += (size_t)got / 8;
  }
  close(file);
  return error;
}

static bool is_present(uint64_t entry) { return entry >> 63; }
/// A page of a file, or of shared memory: one that was copied on write is neither.
static bool is_of_file(uint64_t entry) { return entry >> 61 & 1; }

static int count_resident(void *state, const uint64_t *entries, size_t first, size_t count) {
  (void)first;
  for (size_t i = 0; i < count; i++) *(size_t *)state += is_present(entries[i]);
  return 0;
}

static int evict_clean(void *state, const uint64_t *entries, size_t first, size_t count) {
  size_t page = bindery_page_byte_count();
  for (size_t i = 0; i < count;) {
    size_t end = i;
    while (end < count && is_present(entries[end]) && is_of_file(entries[end])) end++;
    if (end > i && madvise((char *)state + (first + i) * page, (end - i) * page, MADV_DONTNEED) != 0) return errno;
    i = end > i ? end : i + 1;
  }
  return 0;
}

int bindery_pages_resident_count(const void *address, size_t byte_count, size_t *page_count) {
  size_t count = 0;
  int error = walk_page_map(address, byte_count, count_resident, &count);
  if (error == 0) *page_count = count;
  return error;
}

int bindery_pages_evict_clean(void *address, size_t byte_count) {
  return walk_page_map(address, byte_count, evict_clean, address);
}
#else
int bindery_pages_resident_count(const void *address, size_t byte_count, size_t *page_count) {
  (void)address, (void)byte_count, (void)page_count;
  return ENOTSUP;
}

int bindery_pages_evict_clean(void *address, size_t byte_count) {
  (void)address, (void)byte_count;
  return 0;
}
#endif

int bindery_file_open(const char *path, int *descriptor) {
  int result;
  // O_NONBLOCK: opening a pipe without a writer would wait for ever. It has no effect on a regular file.
  do result = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); while (result < 0 && errno == EINTR);
  if (result < 0) return errno;
  *descriptor = result;
  return 0;
}

int bindery_file_facts_get(int descriptor, bindery_file_facts *facts) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return errno;
  facts->byte_count = status.st_size < 0 ? 0 : (uint64_t)status.st_size;
  facts->device = (uint64_t)status.st_dev;
  facts->inode = (uint64_t)status.st_ino;
#if defined(__APPLE__)
  facts->modification_seconds = status.st_mtimespec.tv_sec;
  facts->modification_nanoseconds = status.st_mtimespec.tv_nsec;
#else
  facts->modification_seconds = status.st_mtim.tv_sec;
  facts->modification_nanoseconds = status.st_mtim.tv_nsec;
#endif
  facts->is_regular = S_ISREG(status.st_mode);
  return 0;
}

int bindery_file_duplicate(int descriptor, int *duplicate) {
  int result = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (result < 0) return errno;
  *duplicate = result;
  return 0;
}

void bindery_file_close(int descriptor) { close(descriptor); }

int bindery_file_read(int descriptor, void *buffer, size_t byte_count, uint64_t offset, size_t *read_byte_count) {
  size_t done = 0;
  while (done < byte_count) {
    ssize_t got = pread(descriptor, (char *)buffer + done, byte_count - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (got == 0) break;
    done += (size_t)got;
  }
  *read_byte_count = done;
  return 0;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BINDERY_ADDRESS_SANITIZED 1
#endif
#endif

bool bindery_is_address_sanitized(void) {
#if defined(BINDERY_ADDRESS_SANITIZED) || defined(__SANITIZE_ADDRESS__)
  return true;
#else
  return false;
#endif
}

void bindery_error_text(int error, char *buffer, size_t byte_count) {
  if (byte_count == 0) return;
  buffer[0] = 0;
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
  const char *text = strerror_r(error, buffer, byte_count);
  if (text != buffer) snprintf(buffer, byte_count, "%s", text);
#else
  if (strerror_r(error, buffer, byte_count) != 0) snprintf(buffer, byte_count, "error %d", error);
#endif
}

bool bindery_has_room(size_t byte_count) {
  // The compiler may not conclude that an allocation which nobody uses always succeeds.
  void *volatile room = malloc(byte_count ? byte_count : 1);
  bool has_room = room != NULL;
  free(room);
  return has_room;
}
