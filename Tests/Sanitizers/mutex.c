// The slow paths of Swift's `Mutex` where ThreadSanitizer sees them.
//
// The standard library is not instrumented: a lock that is taken after waiting, in the library, orders nothing for the sanitizer, which then
// reports every access to what the lock protects. This library is loaded before the standard library and takes its place: the same words are
// taken by compare and exchange, in code that is instrumented. Threads that wait spin, which is good enough for tests.
//
// The functions have the names and the calling convention of Swift 6.3 (`_MutexHandle` in the module Synchronization, Linux).
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// 0, or the number of the thread that holds the lock. A waiter is never announced, so that unlocking is always the fast path.
typedef _Atomic uint32_t handle;

#define METHOD(name) __asm__("$s15Synchronization12_MutexHandleV" name)
#define SELF __attribute__((swift_context)) handle *self

__attribute__((swiftcall)) void lock_slow(uint32_t thread, SELF) METHOD("9_lockSlowyys6UInt32VF");
__attribute__((swiftcall)) void unlock_slow(SELF) METHOD("11_unlockSlowyyF");
__attribute__((swiftcall)) bool try_lock_slow(SELF) METHOD("12_tryLockSlowSbyF");

__attribute__((swiftcall)) void lock_slow(uint32_t thread, SELF) {
  uint32_t expected = 0;
  while (!atomic_compare_exchange_strong_explicit(self, &expected, thread, memory_order_acquire, memory_order_relaxed)) {
    expected = 0;
    sched_yield();
  }
}

__attribute__((swiftcall)) void unlock_slow(SELF) { atomic_store_explicit(self, 0, memory_order_release); }

__attribute__((swiftcall)) bool try_lock_slow(SELF) { return false; }
