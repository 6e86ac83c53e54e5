// Arguments, environment, an exit status.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  printf("%d arguments\n", argc - 1);
  for (int i = 1; i < argc; i++) printf("[%s]\n", argv[i]);
  const char *value = getenv("GREETING");
  printf("GREETING=%s\n", value ? value : "(unset)");
  printf("MISSING=%s\n", getenv("MISSING") ? "set" : "(unset)");
  fprintf(stderr, "to standard error\n");
  return argc == 3 ? 7 : 1;
}
