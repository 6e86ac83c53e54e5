// Folders: making, listing, removing.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) { printf("%s: cannot be opened (%s)\n", path, errno == ENOENT ? "ENOENT" : errno == ENOTDIR ? "ENOTDIR" : "?"); return; }
  char *names[2000];
  int count = 0;
  struct dirent *entry;
  while ((entry = readdir(directory)) && count < 2000) names[count++] = strdup(entry->d_name);
  closedir(directory);
  qsort(names, count, sizeof *names, compare);
  printf("%s: %d entries\n", path, count);
  for (int i = 0; i < count && i < 8; i++) printf("  %s\n", names[i]);
  if (count > 8) printf("  ... %s\n", names[count - 1]);
}

int main(void) {
  printf("mkdir %d\n", mkdir("tree", 0755));
  printf("again %d %s\n", mkdir("tree", 0755), errno == EEXIST ? "EEXIST" : "?");
  mkdir("tree/branch", 0755);
  mkdir("tree/branch/twig/", 0755);
  list("tree");
  char name[64];
  for (int i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "tree/branch/leaf-with-a-rather-long-name-%04d", i);
    close(open(name, O_CREAT | O_WRONLY, 0644));
  }
  list("tree/branch");
  list("tree/missing");
  list("tree/branch/leaf-with-a-rather-long-name-0003");
  printf("through dots %d\n", access("tree/./branch/../branch/twig", F_OK));
  printf("full %d %s\n", rmdir("tree/branch"), errno == ENOTEMPTY || errno == EEXIST ? "ENOTEMPTY" : "?");
  printf("a file %d %s\n", rmdir("tree/branch/leaf-with-a-rather-long-name-0000"), errno == ENOTDIR ? "ENOTDIR" : "?");
  for (int i = 0; i < 1000; i++) {
    snprintf(name, sizeof name, "tree/branch/leaf-with-a-rather-long-name-%04d", i);
    if (unlink(name) != 0) printf("cannot remove %s\n", name);
  }
  printf("move %d\n", rename("tree/branch/twig", "tree/twig"));
  printf("rmdir %d %d %d\n", rmdir("tree/twig"), rmdir("tree/branch"), rmdir("tree"));
  list("tree");
  return 0;
}
