// Making, writing, seeking, reading, truncating, renaming and removing files.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void show(const char *what, const char *path) {
  struct stat status;
  if (stat(path, &status) != 0) printf("%s: %s is not there (%s)\n", what, path, errno == ENOENT ? "ENOENT" : "another error");
  else printf("%s: %s, %lld bytes, %s, %d link\n", what, path, (long long)status.st_size, S_ISREG(status.st_mode) ? "file" : "folder", (int)status.st_nlink);
}

int main(void) {
  FILE *file = fopen("notes.txt", "w+");
  for (int i = 0; i < 1000; i++) fprintf(file, "line %04d\n", i);
  printf("at %ld\n", ftell(file));
  char line[64];
  fseek(file, 5000, SEEK_SET);
  fgets(line, sizeof line, file);
  printf("%s", line);
  fseek(file, -20, SEEK_END);
  while (fgets(line, sizeof line, file)) printf("%s", line);
  fclose(file);
  show("written", "notes.txt");

  int fd = open("notes.txt", O_RDWR | O_APPEND);
  printf("append %zd\n", write(fd, "the end\n", 8));
  printf("position %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
  printf("past the end %lld\n", (long long)lseek(fd, 100, SEEK_END));
  printf("negative %lld %s\n", (long long)lseek(fd, -1, SEEK_SET), errno == EINVAL ? "EINVAL" : "?");
  printf("truncate %d\n", ftruncate(fd, 12));
  lseek(fd, 0, SEEK_SET);
  memset(line, 0, sizeof line);
  printf("read %zd: %s|\n", read(fd, line, sizeof line), line);
  printf("at end %zd\n", read(fd, line, sizeof line));
  printf("sync %d %d\n", fsync(fd), fdatasync(fd));
  close(fd);
  printf("closed %zd %s\n", read(fd, line, 1), errno == EBADF ? "EBADF" : "?");
  show("truncated", "notes.txt");

  printf("rename %d\n", rename("notes.txt", "renamed.txt"));
  show("renamed", "notes.txt");
  show("renamed", "renamed.txt");
  printf("exclusive %d %s\n", open("renamed.txt", O_CREAT | O_EXCL | O_WRONLY, 0644), errno == EEXIST ? "EEXIST" : "?");
  printf("unlink %d %d\n", unlink("renamed.txt"), unlink("renamed.txt"));
  show("removed", "renamed.txt");

  fd = open("readonly.txt", O_CREAT | O_WRONLY, 0644);
  write(fd, "abc", 3);
  close(fd);
  fd = open("readonly.txt", O_RDONLY);
  printf("write to a reader %s\n", write(fd, "x", 1) < 0 ? "refused" : "allowed");
  close(fd);
  unlink("readonly.txt");
  return 0;
}
