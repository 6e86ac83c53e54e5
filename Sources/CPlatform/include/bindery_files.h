// Calls on files that Swift cannot import: variadic ones, and those of Linux alone. Modules WASI and SystemFiles call them.
// Each returns 0, or the errno of the failure.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/// A descriptor that only names a file: for stat, times, and as the base of other calls. Where there is no such thing (macOS), a
/// descriptor for reading.
int bindery_open_path_flag(void);

/// openat.
int bindery_open_at(int directory, const char *path, int flags, uint32_t mode, int *descriptor);

/// openat2 with RESOLVE_BENEATH: no component of `path`, and no symbolic link on the way, leads out of `directory` (EXDEV).
/// ENOSYS where the system does not have it, or a filter forbids it.
int bindery_open_beneath(int directory, const char *path, int flags, uint32_t mode, int *descriptor);

int bindery_descriptor_flags(int descriptor, int *flags);
int bindery_descriptor_set_flags(int descriptor, int flags);

/// Writes all bytes. A descriptor that does not wait is waited for.
int bindery_descriptor_write(int descriptor, const void *bytes, size_t byte_count);
/// Reads what there is, at most byte_count bytes; *read_byte_count is 0 at the end. A descriptor that does not wait is waited for.
int bindery_descriptor_read(int descriptor, void *buffer, size_t byte_count, size_t *read_byte_count);

/// Bytes that can be read now from a pipe or terminal.
int bindery_readable_byte_count(int descriptor, size_t *byte_count);

/// Waits for one of the descriptors, at most so long. events and results are those of poll(2). Interrupted: as if the time had
/// passed.
typedef struct bindery_poll_entry {
  int descriptor;
  int events;
  int results;
} bindery_poll_entry;
int bindery_poll(bindery_poll_entry *entries, size_t count, int64_t timeout_nanoseconds);

/// readv, writev, or at an offset unless it is negative: the count, or the negative errno. A write to a pipe that nobody reads, or
/// past the limit of file sizes, is an error and never a signal.
ptrdiff_t bindery_read_vectors(int descriptor, const struct iovec *vectors, size_t count, int64_t offset);
ptrdiff_t bindery_write_vectors(int descriptor, const struct iovec *vectors, size_t count, int64_t offset);
/// ftruncate, without a signal past the limit of file sizes.
int bindery_set_size(int descriptor, int64_t byte_count);

/// Duplicates a standard stream, or where it is closed the null device: at its end for reading, refusing writes.
int bindery_inherited_duplicate(int stream, int *duplicate);

int bindery_random(void *buffer, size_t byte_count);

/// Sets the times of the file that a descriptor names, also one made with `bindery_open_path_flag`. Nanoseconds of -1: now, of
/// -2: unchanged.
int bindery_set_times(int descriptor, int64_t access_s, int64_t access_ns, int64_t modification_s, int64_t modification_ns);

/// ENOSPC if byte_count bytes are more than the file has already and its device has room for.
int bindery_check_room(int descriptor, uint64_t byte_count);
/// ENOTSUP where the file system cannot: nothing is written in its place.
int bindery_allocate(int descriptor, uint64_t offset, uint64_t byte_count);
int bindery_advise(int descriptor, uint64_t offset, uint64_t byte_count, int advice);

/// Lists a directory: calls `entry` for each name, "." and ".." among them, until it returns false.
typedef bool bindery_directory_entry(void *context, const char *name, uint64_t inode, uint8_t type);
int bindery_list_directory(int directory, bindery_directory_entry *entry, void *context);
