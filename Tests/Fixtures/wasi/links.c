// Symbolic and hard links.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
  char text[64] = {0};
  struct stat status;
  mkdir("d", 0755);
  int fd = open("d/file", O_CREAT | O_WRONLY, 0644);
  write(fd, "hello", 5);
  close(fd);
  printf("symlink %d\n", symlink("d/file", "link"));
  printf("readlink %zd %s\n", readlink("link", text, sizeof text), text);
  printf("readlink of a file %zd %s\n", readlink("d/file", text, sizeof text), errno == EINVAL ? "EINVAL" : "?");
  printf("stat %d %lld\n", stat("link", &status), (long long)status.st_size);
  printf("lstat %d %d\n", lstat("link", &status), S_ISLNK(status.st_mode));
  fd = open("link", O_RDONLY);
  memset(text, 0, sizeof text);
  printf("through the link %zd %s\n", read(fd, text, sizeof text), text);
  close(fd);
  printf("not through it %d %s\n", open("link", O_RDONLY | O_NOFOLLOW), errno == ELOOP ? "ELOOP" : "?");
  symlink("../link", "d/up");
  printf("up and down %d\n", access("d/up", R_OK));
  symlink("circle", "circle");
  printf("circle %d %s\n", open("circle", O_RDONLY), errno == ELOOP ? "ELOOP" : "?");
  symlink("nowhere", "dangling");
  printf("dangling %d %s\n", open("dangling", O_RDONLY), errno == ENOENT ? "ENOENT" : "?");
  printf("link %d\n", link("d/file", "hard"));
  printf("links %d %d\n", stat("hard", &status), (int)status.st_nlink);
  unlink("d/file");
  printf("after unlinking %d %s\n", open("link", O_RDONLY), errno == ENOENT ? "ENOENT" : "?");
  printf("hard %d\n", access("hard", R_OK));
  unlink("hard"); unlink("link"); unlink("d/up"); unlink("circle"); unlink("dangling");
  printf("rmdir %d\n", rmdir("d"));
  return 0;
}
