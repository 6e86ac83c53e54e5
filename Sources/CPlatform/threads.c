#define _GNU_SOURCE
#include "bindery_threads.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

int bindery_processor_number(int index) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
  for (int processor = 0; processor < CPU_SETSIZE; processor++) {
    if (CPU_ISSET(processor, &set) && index-- == 0) return processor;
  }
#else
  (void)index;
#endif
  return -1;
}

int bindery_thread_pin(int processor) {
#if defined(__linux__)
  if (processor < 0 || processor >= CPU_SETSIZE) return EINVAL;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0 ? 0 : errno;
#else
  (void)processor;
  return ENOTSUP;
#endif
}

double bindery_thread_processor_seconds(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) != 0) return 0;
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int bindery_thread_fault_counts(int64_t *minor, int64_t *major) {
#if defined(__linux__)
  struct rusage usage;
  if (getrusage(RUSAGE_THREAD, &usage) != 0) return errno;
  *minor = usage.ru_minflt;
  *major = usage.ru_majflt;
  return 0;
#else
  (void)minor, (void)major;
  return ENOTSUP;
#endif
}
