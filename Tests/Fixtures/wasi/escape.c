// Tries to get out of its folder in every way it can think of. Nothing may succeed. (The native build gets out, of course.)
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void try_open(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  if (fd >= 0) { printf("OPENED %s\n", path); failures++; close(fd); }
}

int main(void) {
  struct stat status;
  const char *paths[] = {"../secret", "../../secret", "inside/../../secret", "./../secret", "out/secret", "outdir", "out", "absolute",
    "inside/up/../secret", "inside/up/secret", "../sandbox/../secret", "inside/chain", "/../secret", "//etc/passwd", "/etc/passwd", "up-file",
    "inside/up-then-file"};
  for (int i = 0; i < sizeof paths / sizeof *paths; i++) {
    try_open(paths[i], O_RDONLY);
    try_open(paths[i], O_WRONLY);
    try_open(paths[i], O_RDONLY | O_DIRECTORY);
    if (stat(paths[i], &status) == 0) { printf("STAT %s\n", paths[i]); failures++; }
  }
  const char *fresh[] = {"../new", "out/new", "inside/up/new", "dangling-out", "absolute-new"};
  for (int i = 0; i < 5; i++) {
    try_open(fresh[i], O_CREAT | O_WRONLY);
    try_open(fresh[i], O_CREAT | O_WRONLY | O_TRUNC);
  }
  if (mkdir("../newdir", 0755) == 0 || mkdir("out/newdir", 0755) == 0 || mkdir("inside/up/newdir", 0755) == 0) { printf("MKDIR\n"); failures++; }
  if (unlink("../secret") == 0 || unlink("out/secret") == 0 || unlink("inside/up/secret") == 0) { printf("UNLINK\n"); failures++; }
  if (rmdir("../victim") == 0 || rmdir("out/victim") == 0) { printf("RMDIR\n"); failures++; }
  if (rename("../secret", "stolen") == 0 || rename("inside/file", "../dropped") == 0 || rename("out/secret", "stolen") == 0) { printf("RENAME\n"); failures++; }
  if (link("../secret", "stolen") == 0 || link("out/secret", "stolen") == 0 || link("inside/file", "out/dropped") == 0) { printf("LINK\n"); failures++; }
  if (symlink("x", "../planted") == 0 || symlink("x", "out/planted") == 0 || symlink("/etc/passwd", "passwd") == 0) { printf("SYMLINK\n"); failures++; }
  // A link may say anything that is not absolute; following it is what counts.
  if (symlink("../secret", "own-link") == 0) { try_open("own-link", O_RDONLY); unlink("own-link"); }
  if (link("out", "hard-to-link") == 0) { try_open("hard-to-link/secret", O_RDONLY); unlink("hard-to-link"); }
  struct timespec times[2] = {{1, 0}, {1, 0}};
  if (utimensat(AT_FDCWD, "out/secret", times, 0) == 0 || utimensat(AT_FDCWD, "../secret", times, 0) == 0) { printf("TIMES\n"); failures++; }
  // Moving a folder while inside of it does not move the walls.
  mkdir("deep", 0755); mkdir("deep/er", 0755);
  int fd = open("deep/er", O_RDONLY | O_DIRECTORY);
  rename("deep/er", "er");
  int outside = openat(fd, "../../secret", O_RDONLY);
  if (outside >= 0) { printf("OPENED through a moved folder\n"); failures++; }
  close(fd); rmdir("er"); rmdir("deep");
  int file = open("inside/file", O_RDONLY);
  printf("inside %s\n", file >= 0 ? "works" : "does not work");
  file = open("link-inside", O_RDONLY);
  printf("link inside %s\n", file >= 0 ? "works" : "does not work");
  printf("%d ways out\n", failures);
  return failures != 0;
}
