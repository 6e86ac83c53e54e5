// Ways to end: atexit handlers run, buffers are flushed, the status arrives.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void goodbye(void) { printf("goodbye\n"); }

int main(int argc, char **argv) {
  atexit(goodbye);
  printf("no newline before the end");
  if (argc > 1 && strcmp(argv[1], "quick") == 0) _exit(3);
  if (argc > 1 && strcmp(argv[1], "abort") == 0) abort();
  if (argc > 1 && strcmp(argv[1], "wild") == 0) return *(volatile int *)0x70000000;
  exit(41);
}
