#define _GNU_SOURCE
#include "bindery_futex.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

int bindery_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_nanoseconds) {
  struct timespec time = {
      .tv_sec = (time_t)(timeout_nanoseconds / 1000000000), .tv_nsec = (long)(timeout_nanoseconds % 1000000000)};
  long result = syscall(
      SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_nanoseconds < 0 ? NULL : &time, NULL, 0);
  if (result == 0 || errno == EAGAIN) return 0;
  return errno;
}

void bindery_futex_wake(uint32_t *word, int32_t count) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
#else
#include <pthread.h>
#include <sys/time.h>

// Without a futex: one mutex and one condition for every word. Pools are few and wake-ups rare.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

int bindery_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_nanoseconds) {
  int result = 0;
  pthread_mutex_lock(&lock);
  if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == expected) {
    if (timeout_nanoseconds < 0) {
      result = pthread_cond_wait(&condition, &lock);
    } else {
      struct timeval now;
      gettimeofday(&now, NULL);
      int64_t nanoseconds = (int64_t)now.tv_usec * 1000 + timeout_nanoseconds % 1000000000;
      struct timespec deadline = {
          .tv_sec = now.tv_sec + (time_t)(timeout_nanoseconds / 1000000000) + (time_t)(nanoseconds / 1000000000),
          .tv_nsec = (long)(nanoseconds % 1000000000)};
      result = pthread_cond_timedwait(&condition, &lock, &deadline);
    }
  }
  pthread_mutex_unlock(&lock);
  return result;
}

void bindery_futex_wake(uint32_t *word, int32_t count) {
  (void)word, (void)count;
  pthread_mutex_lock(&lock);
  pthread_cond_broadcast(&condition);
  pthread_mutex_unlock(&lock);
}
#endif

uint64_t bindery_clock_nanoseconds(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) return 0;
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int32_t bindery_processor_count(void) {
  long count = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (file != NULL) {
    long long quota, period;
    if (fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0) {
      long allowed = (long)((quota + period - 1) / period);
      if (allowed < count) count = allowed;
    }
    fclose(file);
  }
#endif
  return count < 1 ? 1 : (int32_t)count;
}
