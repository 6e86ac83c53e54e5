// File times, and asking whether descriptors are ready.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__wasi__)
#include <wasi/api.h>
#endif

int main(void) {
  int fd = open("stamp", O_CREAT | O_RDWR, 0644);
  struct timespec times[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
  struct stat status;
  printf("futimens %d\n", futimens(fd, times));
  fstat(fd, &status);
  printf("%lld.%09ld %lld.%09ld\n", (long long)status.st_atim.tv_sec, status.st_atim.tv_nsec, (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = 1200000000;
  printf("utimensat %d\n", utimensat(AT_FDCWD, "stamp", times, 0));
  stat("stamp", &status);
  printf("%lld %lld\n", (long long)status.st_atim.tv_sec, (long long)status.st_mtim.tv_sec);
#if defined(__wasi__)
  // This wasi-libc reads through the null pointer that means now, and refuses UTIME_NOW.
  int result = __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_MTIM_NOW);
#else
  int result = utimensat(AT_FDCWD, "stamp", NULL, 0);
#endif
  printf("to now %d\n", result);
  stat("stamp", &status);
  printf("now %d\n", status.st_mtim.tv_sec > 1577836800);
  struct pollfd ready = {fd, POLLIN | POLLOUT, 0};
  printf("poll %d %d\n", poll(&ready, 1, 1000), (ready.revents & POLLOUT) != 0);
  close(fd);
  unlink("stamp");
  return 0;
}
