// A library of functions that prints, and has a constructor: built with -mexec-model=reactor.
#include <stdio.h>

static int base;

__attribute__((constructor)) static void prepare(void) { base += 41; }

__attribute__((export_name("answer"))) int answer(int number) {
  printf("answer(%d)\n", number);
  fflush(stdout);
  return base + number;
}
