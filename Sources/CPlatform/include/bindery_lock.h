// A lock for classes whose state is guarded as a whole, where a closure per critical section would cost more than it shows.
#pragma once

typedef struct bindery_lock bindery_lock;

/// Never NULL: without memory for a lock the process stops.
bindery_lock *bindery_lock_create(void);
void bindery_lock_destroy(bindery_lock *lock);
void bindery_lock_acquire(bindery_lock *lock);
void bindery_lock_release(bindery_lock *lock);
