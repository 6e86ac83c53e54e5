// Large transfers, over and inside of pages, and through stdio.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

static uint32_t checksum(const unsigned char *bytes, size_t count) {
  uint32_t hash = 2166136261u;
  for (size_t i = 0; i < count; i++) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

int main(void) {
  size_t count = 5000001;
  unsigned char *bytes = malloc(count), *copy = calloc(count, 1);
  uint32_t state = 1;
  for (size_t i = 0; i < count; i++) { state = state * 1664525 + 1013904223; bytes[i] = state >> 24; }
  int fd = open("large.bin", O_CREAT | O_TRUNC | O_RDWR, 0644);
  size_t done = 0;
  while (done < count) { ssize_t n = write(fd, bytes + done, count - done); if (n <= 0) return 1; done += n; }
  lseek(fd, 0, SEEK_SET);
  for (done = 0; done < count;) { ssize_t n = read(fd, copy + done, 777777 < count - done ? 777777 : count - done); if (n <= 0) return 2; done += n; }
  printf("%08x %08x\n", checksum(bytes, count), checksum(copy, count));
  struct iovec parts[5] = {{copy, 3}, {copy + 100, 0}, {copy + 65530, 20}, {copy + 200000, 100000}, {copy + 1, 1}};
  printf("readv %zd\n", (lseek(fd, 1000, SEEK_SET), readv(fd, parts, 5)));
  printf("%d %d %08x\n", copy[0] == bytes[1000], copy[65530] == bytes[1003], checksum(copy + 200000, 100000));
  printf("writev %zd\n", (lseek(fd, 0, SEEK_END), writev(fd, parts, 5)));
  printf("pread %zd %d\n", pread(fd, copy, 10, 4000000), copy[9] == bytes[4000009]);
  printf("pwrite %zd %lld\n", pwrite(fd, "0123456789", 10, 8), (long long)lseek(fd, 0, SEEK_CUR));
  printf("end %lld\n", (long long)lseek(fd, 0, SEEK_END));
  close(fd);
  FILE *file = fopen("large.bin", "rb");
  setvbuf(file, NULL, _IOFBF, 1 << 20);
  size_t total = 0, n;
  uint32_t sum = 0;
  unsigned char piece[1000];
  while ((n = fread(piece, 1, sizeof piece, file)) > 0) { total += n; sum += checksum(piece, n); }
  printf("stdio %zu %08x\n", total, sum);
  fclose(file);
  unlink("large.bin");
  return 0;
}
