// Allocation, sorting, strings: the guest's own memory grows and is used all over.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
  uint32_t state = 7;
  int count = 40000;
  char **words = malloc(count * sizeof *words);
  for (int i = 0; i < count; i++) {
    state = state * 1664525 + 1013904223;
    words[i] = malloc(4 + state % 60);
    snprintf(words[i], 4 + state % 60, "%08x-%d", state, i);
  }
  qsort(words, count, sizeof *words, compare);
  int ordered = 1;
  for (int i = 1; i < count; i++) ordered &= strcmp(words[i - 1], words[i]) <= 0;
  printf("%d %s %s %s\n", ordered, words[0], words[count / 2], words[count - 1]);
  for (int i = 0; i < count; i += 2) free(words[i]);
  for (int i = 0; i < count; i += 2) words[i] = strdup("again");
  char *large = realloc(malloc(10), 30 << 20);
  memset(large, 'x', 30 << 20);
  large[(30 << 20) - 1] = 0;
  printf("%zu\n", strlen(large));
  printf("%s\n", malloc((size_t)-1 / 2) == NULL ? "too much is refused" : "?");
  char text[] = "one,two;;three four";
  for (char *part = strtok(text, ",; "); part; part = strtok(NULL, ",; ")) printf("<%s>", part);
  printf("\n");
  return 0;
}
