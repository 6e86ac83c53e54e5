#include "bindery_lock.h"

#include <pthread.h>
#include <stdlib.h>

struct bindery_lock {
  pthread_mutex_t mutex;
};

bindery_lock *bindery_lock_create(void) {
  bindery_lock *lock = malloc(sizeof *lock);
  if (lock == NULL || pthread_mutex_init(&lock->mutex, NULL) != 0) abort();
  return lock;
}

void bindery_lock_destroy(bindery_lock *lock) {
  pthread_mutex_destroy(&lock->mutex);
  free(lock);
}

void bindery_lock_acquire(bindery_lock *lock) { pthread_mutex_lock(&lock->mutex); }
void bindery_lock_release(bindery_lock *lock) { pthread_mutex_unlock(&lock->mutex); }
