// How much of its own stack the calling thread has left. A guest that calls a host function that calls a guest takes some of it at
// each level, as much as the host's code wants; the guests' own stacks do not limit that.
#define _GNU_SOURCE  // pthread_getattr_np
#include "interpreter.h"

#include <pthread.h>

// The thread's stack; low == high: not known.
typedef struct stack_range {
  uintptr_t low, high;
} stack_range;

static stack_range range_of_this_thread(void) {
#if defined(__linux__)
  pthread_attr_t attributes;
  // For the main thread the C library reads /proc/self/maps and the limit of the process, once per thread with what follows.
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return (stack_range){0, 0};
  void *low = NULL;
  size_t byte_count = 0, guard_byte_count = 0;
  int failure = pthread_attr_getstack(&attributes, &low, &byte_count);
  if (pthread_attr_getguardsize(&attributes, &guard_byte_count) != 0) guard_byte_count = 0;
  pthread_attr_destroy(&attributes);
  if (failure != 0 || byte_count <= guard_byte_count) return (stack_range){0, 0};
  // Older C libraries count the guard as part of the stack.
  return (stack_range){(uintptr_t)low + guard_byte_count, (uintptr_t)low + byte_count};
#elif defined(__APPLE__)
  uintptr_t high = (uintptr_t)pthread_get_stackaddr_np(pthread_self());
  return (stack_range){high - pthread_get_stacksize_np(pthread_self()), high};
#else
  return (stack_range){0, 0};
#endif
}

bool bindery_native_stack_is_short(void) {
  static _Thread_local stack_range range;
  static _Thread_local bool is_known;
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  if (!is_known) {
    range = range_of_this_thread();
    if (range.low == range.high) {
      // Unknown: what a thread has at least, below the place of its first call.
      const uintptr_t byte_count = 256 << 10;
      range = (stack_range){here > byte_count ? here - byte_count : 0, here + byte_count};
    }
    is_known = true;
  }
  // Not on this thread's stack: a coroutine of the host's, of which nothing is known.
  if (here < range.low || here >= range.high) return false;
  // What is kept for a host function and for what it calls: an eighth, between 128 and 512 KiB; of a small stack a quarter.
  uintptr_t byte_count = range.high - range.low;
  uintptr_t kept = byte_count / 8;
  if (kept < (128 << 10)) kept = 128 << 10;
  if (kept > (512 << 10)) kept = 512 << 10;
  if (kept > byte_count / 4) kept = byte_count / 4;
  return here - range.low < kept;
}
