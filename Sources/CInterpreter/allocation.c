#include "interpreter.h"

#include <stdlib.h>

bool bindery_can_allocate(size_t byte_count) {
  // Volatile: the compiler may otherwise leave the pair out, and take for granted that there was memory.
  void *volatile room = malloc(byte_count);
  bool result = room != NULL;
  free(room);
  return result;
}
