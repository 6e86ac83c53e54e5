#define _GNU_SOURCE
#include "bindery_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/syscall.h>
#endif

int bindery_open_path_flag(void) {
#if defined(O_PATH)
  return O_PATH;
#else
  return O_RDONLY | O_NONBLOCK;
#endif
}

int bindery_open_at(int directory, const char *path, int flags, uint32_t mode, int *descriptor) {
  int result;
  do result = openat(directory, path, flags | O_CLOEXEC, (mode_t)mode); while (result < 0 && errno == EINTR);
  if (result < 0) return errno;
  *descriptor = result;
  return 0;
}

int bindery_open_beneath(int directory, const char *path, int flags, uint32_t mode, int *descriptor) {
#if defined(__linux__) && defined(SYS_openat2)
  struct open_how how = {
      .flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC),
      .mode = flags & O_CREAT ? mode : 0,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  // EAGAIN: a folder on the way was renamed meanwhile, so the kernel cannot tell whether the walk stayed inside.
  for (int attempt = 0; attempt < 64; attempt++) {
    long result = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (result >= 0) {
      *descriptor = (int)result;
      return 0;
    }
    if (errno != EINTR && errno != EAGAIN) return errno;
  }
  return EAGAIN;
#else
  (void)directory, (void)path, (void)flags, (void)mode, (void)descriptor;
  return ENOSYS;
#endif
}

int bindery_descriptor_flags(int descriptor, int *flags) {
  int result = fcntl(descriptor, F_GETFL);
  if (result < 0) return errno;
  *flags = result;
  return 0;
}

int bindery_descriptor_set_flags(int descriptor, int flags) {
  return fcntl(descriptor, F_SETFL, flags) < 0 ? errno : 0;
}

// Waits until a descriptor that does not wait by itself can go on.
static void wait_for(int descriptor, short events) {
  struct pollfd entry = {.fd = descriptor, .events = events};
  poll(&entry, 1, -1);
}

int bindery_descriptor_write(int descriptor, const void *bytes, size_t byte_count) {
  size_t done = 0;
  while (done < byte_count) {
    // Systems refuse or cut counts above 2^31.
    size_t rest = byte_count - done < 1 << 30 ? byte_count - done : 1 << 30;
    ssize_t count = write(descriptor, (const char *)bytes + done, rest);
    if (count >= 0) {
      done += (size_t)count;
    } else if (errno == EAGAIN) {
      wait_for(descriptor, POLLOUT);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int bindery_descriptor_read(int descriptor, void *buffer, size_t byte_count, size_t *read_byte_count) {
  for (;;) {
    ssize_t count = read(descriptor, buffer, byte_count < 1 << 30 ? byte_count : 1 << 30);
    if (count >= 0) {
      *read_byte_count = (size_t)count;
      return 0;
    }
    if (errno == EAGAIN) wait_for(descriptor, POLLIN);
    else if (errno != EINTR) return errno;
  }
}

int bindery_readable_byte_count(int descriptor, size_t *byte_count) {
  int count = 0;
  if (ioctl(descriptor, FIONREAD, &count) < 0) return errno;
  *byte_count = count < 0 ? 0 : (size_t)count;
  return 0;
}

int bindery_poll(bindery_poll_entry *entries, size_t count, int64_t timeout_nanoseconds) {
  struct pollfd few[16];
  struct pollfd *list = count <= 16 ? few : malloc(count * sizeof *list);
  if (list == NULL) return ENOMEM;
  for (size_t i = 0; i < count; i++) list[i] = (struct pollfd){.fd = entries[i].descriptor, .events = (short)entries[i].events};
#if defined(__linux__)
  struct timespec time = {
      .tv_sec = (time_t)(timeout_nanoseconds / 1000000000), .tv_nsec = (long)(timeout_nanoseconds % 1000000000)};
  int result = ppoll(list, (nfds_t)count, &time, NULL);
#else
  int result = poll(list, (nfds_t)count, (int)((timeout_nanoseconds + 999999) / 1000000));
#endif
  int failure = result < 0 && errno != EINTR ? errno : 0;
  for (size_t i = 0; i < count; i++) entries[i].results = result > 0 ? list[i].revents : 0;
  if (list != few) free(list);
  return failure;
}

// The signals that a write may raise, held back: a guest's write must not end the process, whatever the process has made of them.
typedef struct held_signals {
  sigset_t held, before, pending;
} held_signals;

static void hold_signals(held_signals *state) {
  sigemptyset(&state->held);
  sigaddset(&state->held, SIGPIPE);
  sigaddset(&state->held, SIGXFSZ);
  sigpending(&state->pending);
  pthread_sigmask(SIG_BLOCK, &state->held, &state->before);
}

// Takes back the signal that an error has raised on this thread, unless one was waiting before.
static void release_signals(held_signals *state, int error) {
  int number = error == EPIPE ? SIGPIPE : error == EFBIG ? SIGXFSZ : 0;
#if defined(__linux__)
  if (number != 0 && !sigismember(&state->pending, number)) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    struct timespec no_time = {0};
    while (sigtimedwait(&one, NULL, &no_time) < 0 && errno == EINTR) {}
  }
#else
  (void)number;
#endif
  pthread_sigmask(SIG_SETMASK, &state->before, NULL);
}

ptrdiff_t bindery_read_vectors(int descriptor, const struct iovec *vectors, size_t count, int64_t offset) {
  for (;;) {
    ssize_t result = offset < 0 ? readv(descriptor, vectors, (int)count) : preadv(descriptor, vectors, (int)count, (off_t)offset);
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

ptrdiff_t bindery_write_vectors(int descriptor, const struct iovec *vectors, size_t count, int64_t offset) {
  held_signals state;
  hold_signals(&state);
  ssize_t result;
  int error = 0;
  do {
    result = offset < 0 ? writev(descriptor, vectors, (int)count) : pwritev(descriptor, vectors, (int)count, (off_t)offset);
    error = result < 0 ? errno : 0;
  } while (error == EINTR);
  release_signals(&state, error);
  return error != 0 ? -error : result;
}

int bindery_set_size(int descriptor, int64_t byte_count) {
  held_signals state;
  hold_signals(&state);
  int error;
  do error = ftruncate(descriptor, (off_t)byte_count) == 0 ? 0 : errno; while (error == EINTR);
  release_signals(&state, error);
  return error;
}

int bindery_inherited_duplicate(int stream, int *duplicate) {
  int result = fcntl(stream, F_DUPFD_CLOEXEC, 3);
  if (result < 0 && errno == EBADF) {
    int opened;
    int failure = bindery_open_at(AT_FDCWD, "/dev/null", O_RDONLY, 0, &opened);
    if (failure != 0) return failure;
    if (opened > 2) {
      *duplicate = opened;
      return 0;
    }
    result = fcntl(opened, F_DUPFD_CLOEXEC, 3);
    int error = errno;
    close(opened);
    errno = error;
  }
  if (result < 0) return errno;
  *duplicate = result;
  return 0;
}

int bindery_random(void *buffer, size_t byte_count) {
#if defined(__linux__)
  size_t done = 0;
  while (done < byte_count) {
    ssize_t got = getrandom((char *)buffer + done, byte_count - done, 0);
    if (got < 0 && errno != EINTR) return errno;
    if (got > 0) done += (size_t)got;
  }
#else
  arc4random_buf(buffer, byte_count);
#endif
  return 0;
}

int bindery_set_times(
    int descriptor, int64_t access_s, int64_t access_ns, int64_t modification_s, int64_t modification_ns) {
  struct timespec times[2] = {
      {.tv_sec = (time_t)access_s, .tv_nsec = access_ns == -1 ? UTIME_NOW : access_ns == -2 ? UTIME_OMIT : (long)access_ns},
      {.tv_sec = (time_t)modification_s,
       .tv_nsec = modification_ns == -1 ? UTIME_NOW : modification_ns == -2 ? UTIME_OMIT : (long)modification_ns},
  };
#if defined(AT_EMPTY_PATH)
  if (utimensat(descriptor, "", times, AT_EMPTY_PATH) == 0) return 0;
  if (errno != EINVAL && errno != ENOENT) return errno;  // Older kernels do not know the flag here.
#endif
  return futimens(descriptor, times) == 0 ? 0 : errno;
}

int bindery_check_room(int descriptor, uint64_t byte_count) {
  struct stat status;
  struct statvfs device;
  if (fstat(descriptor, &status) != 0 || fstatvfs(descriptor, &device) != 0) return errno;
  uint64_t present = (uint64_t)status.st_blocks * 512;
  uint64_t room = (uint64_t)device.f_bavail * (uint64_t)device.f_frsize;
  return byte_count > present && byte_count - present > room ? ENOSPC : 0;
}

int bindery_allocate(int descriptor, uint64_t offset, uint64_t byte_count) {
  if (offset > INT64_MAX || byte_count > INT64_MAX) return EFBIG;
#if defined(__linux__)
  // Not posix_fallocate, which writes to every block where the file system cannot.
  held_signals state;
  hold_signals(&state);
  int error;
  do error = fallocate(descriptor, 0, (off_t)offset, (off_t)byte_count) == 0 ? 0 : errno; while (error == EINTR);
  release_signals(&state, error);
  return error;
#else
  return ENOTSUP;
#endif
}

int bindery_advise(int descriptor, uint64_t offset, uint64_t byte_count, int advice) {
  if (offset > INT64_MAX || byte_count > INT64_MAX) return EINVAL;
#if defined(__linux__)
  return posix_fadvise(descriptor, (off_t)offset, (off_t)byte_count, advice);
#else
  (void)descriptor, (void)advice;
  return 0;
#endif
}

int bindery_list_directory(int directory, bindery_directory_entry *entry, void *context) {
  // A descriptor of its own: the stream closes it, and its position is not that of the guest's.
  int own;
  int failure = bindery_open_at(directory, ".", O_RDONLY | O_DIRECTORY, 0, &own);
  if (failure != 0) return failure;
  DIR *stream = fdopendir(own);
  if (stream == NULL) {
    failure = errno;
    close(own);
    return failure;
  }
  for (;;) {
    errno = 0;
    struct dirent *next = readdir(stream);
    if (next == NULL) {
      failure = errno;
      break;
    }
    if (!entry(context, next->d_name, (uint64_t)next->d_ino, next->d_type)) break;
  }
  closedir(stream);
  return failure;
}
