// A lock for classes whose state is guarded as a whole, where a closure per critical section would cost more than it shows.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

typedef struct bindery_lock bindery_lock;

/// Never NULL: without memory for a lock the process stops.
bindery_lock *bindery_lock_create(void);
void bindery_lock_destroy(bindery_lock *lock);
void bindery_lock_acquire(bindery_lock *lock);
void bindery_lock_release(bindery_lock *lock);

/// Tells this thread from all others that are alive. Never 0.
static inline uintptr_t bindery_thread_identity(void) { return (uintptr_t)pthread_self(); }
static inline void bindery_thread_yield(void) { sched_yield(); }
