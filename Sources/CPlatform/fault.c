#define _GNU_SOURCE
#include "bindery_fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// The handler may run at any instruction of any thread, so it takes no lock and allocates nothing: it walks a list that only
// grows. An entry that is given back stays in the list, empty (end == 0), and is used again.
struct bindery_fault_range {
  uintptr_t start;
  uintptr_t end;  // 0: not in use. Written last when an entry is filled, first when it is emptied.
  uint32_t is_lost;
  uint32_t is_writable;
  bindery_fault_range *next;       // Never changes once the entry is in the list.
  bindery_fault_range *next_free;  // Under the lock.
};

static bindery_fault_range *first_range;
static bindery_fault_range *first_free;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_installed;
static struct sigaction previous;
static uintptr_t page_mask;
static uint32_t lost_page_count;

const uint32_t *bindery_lost_page_count_pointer(void) { return &lost_page_count; }

static void call_previous(int number, siginfo_t *information, void *context) {
  if (previous.sa_flags & SA_SIGINFO) {
    if (previous.sa_sigaction) {
      previous.sa_sigaction(number, information, context);
      return;
    }
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(number);
    return;
  }
  // The default action. It is taken when the instruction faults again after the return; a signal sent by kill() is raised
  // again, blocked until then. Ignoring a synchronous fault would repeat it for ever, so that is not offered.
  struct sigaction fallback = {.sa_handler = SIG_DFL};
  sigemptyset(&fallback.sa_mask);
  sigaction(number, &fallback, NULL);
  if (information == NULL || information->si_code <= 0) raise(number);
}

static void handle(int number, siginfo_t *information, void *context) {
  int saved = errno;
  // si_code > 0: raised by the kernel for an address, not sent by a process.
  if (information != NULL && information->si_code > 0) {
    uintptr_t address = (uintptr_t)information->si_addr;
    bool is_ours = false;
    for (bindery_fault_range *range = __atomic_load_n(&first_range, __ATOMIC_ACQUIRE); range; range = range->next) {
      uintptr_t end = __atomic_load_n(&range->end, __ATOMIC_ACQUIRE);
      uintptr_t start = __atomic_load_n(&range->start, __ATOMIC_RELAXED);
      if (end == 0 || address < start || address >= end) continue;
      if (!is_ours) {
        void *page = (void *)(address & page_mask);
        size_t byte_count = (size_t)(~page_mask + 1);
        int access = range->is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
        // mmap is a bare system call in every C library we build with; POSIX does not list it, the kernel does not mind.
        if (mmap(page, byte_count, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) break;
        is_ours = true;
      }
      // Ranges overlap where a guest has unmapped part of one and another was bound there: all of them are told.
      __atomic_store_n(&range->is_lost, 1, __ATOMIC_RELEASE);
    }
    if (is_ours) {
      __atomic_fetch_add(&lost_page_count, 1, __ATOMIC_RELEASE);
      errno = saved;
      return;
    }
  }
  errno = saved;
  call_previous(number, information, context);
}

static int install(void) {
  page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, NULL, &previous) != 0) return errno;
  return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : errno;
}

bindery_fault_range *bindery_fault_range_register(
    const void *address, size_t byte_count, bool is_writable, int *error) {
  pthread_mutex_lock(&lock);
  if (!is_installed) {
    int failure = install();
    if (failure != 0) {
      pthread_mutex_unlock(&lock);
      *error = failure;
      return NULL;
    }
    is_installed = true;
  }
  bindery_fault_range *range = first_free;
  bool is_new = range == NULL;
  if (is_new) {
    range = calloc(1, sizeof *range);
    if (range == NULL) {
      pthread_mutex_unlock(&lock);
      *error = ENOMEM;
      return NULL;
    }
  } else {
    first_free = range->next_free;
  }
  __atomic_store_n(&range->start, (uintptr_t)address, __ATOMIC_RELAXED);
  __atomic_store_n(&range->is_lost, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&range->is_writable, is_writable, __ATOMIC_RELAXED);
  __atomic_store_n(&range->end, (uintptr_t)address + byte_count, __ATOMIC_RELEASE);
  if (is_new) {
    range->next = first_range;
    __atomic_store_n(&first_range, range, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&lock);
  return range;
}

void bindery_fault_range_unregister(bindery_fault_range *range) {
  pthread_mutex_lock(&lock);
  __atomic_store_n(&range->end, 0, __ATOMIC_RELEASE);
  range->next_free = first_free;
  first_free = range;
  pthread_mutex_unlock(&lock);
}

bool bindery_fault_range_is_lost(const bindery_fault_range *range) {
  return __atomic_load_n(&range->is_lost, __ATOMIC_ACQUIRE) != 0;
}
