// Sleeping on a word, for a pool of worker threads. The word is read and written with the atomics below: Swift's own atomics
// do not give their address away.
#pragma once
#include <stdint.h>

/// Sleeps while *word == expected, at most timeout_nanoseconds (negative: no limit). Returns 0 when woken or when the word
/// differed, ETIMEDOUT after the time, or EINTR: callers test the word again in every case.
int bindery_futex_wait(uint32_t *word, uint32_t expected, int64_t timeout_nanoseconds);

/// Wakes up to count sleepers (INT32_MAX: all).
void bindery_futex_wake(uint32_t *word, int32_t count);

static inline uint32_t bindery_atomic_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void bindery_atomic_store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
/// Returns the value before the addition.
static inline uint32_t bindery_atomic_add(uint32_t *word, uint32_t value) {
  return __atomic_fetch_add(word, value, __ATOMIC_ACQ_REL);
}
static inline uint32_t bindery_atomic_exchange(uint32_t *word, uint32_t value) {
  return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL);
}

/// Tells the core that this thread spins.
static inline void bindery_spin_hint(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/// Nanoseconds of a clock that only goes forward. About 25 ns.
uint64_t bindery_clock_nanoseconds(void);

/// The number of cores this process may run on: its affinity mask, and the quota of its control group where there is one.
int32_t bindery_processor_count(void);
