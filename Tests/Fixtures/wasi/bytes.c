// Shows its arguments, its environment and what it reads, byte by byte.
#include <stdio.h>
#include <unistd.h>

extern char **environ;

static void show(const char *kind, const char *text) {
  printf("%s", kind);
  for (; *text != 0; text++) printf(" %02x", (unsigned char)*text);
  printf("\n");
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) show("argument", arguments[i]);
  for (char **variable = environ; variable != NULL && *variable != NULL; variable++) show("variable", *variable);
  char buffer[100];
  printf("read %zd\n", read(0, buffer, sizeof buffer));
  return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 9;
}
