#define _GNU_SOURCE
#include "bindery_fault.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// A watch is what a caller holds: one mapping of a file. Its pieces are what of the mapping is still the file: one at first, more
// where parts of it have been given up.
//
// The handler may run at any instruction of any thread, so it takes no lock and allocates nothing: it walks a list of pieces that
// only grows. A piece that is given back stays in the list, empty (end == 0), and is used again, but not before every handler that
// may have seen it has ended: `retire` waits for them. No handler waits for anybody.
typedef struct piece {
  uintptr_t start;
  uintptr_t end;  // 0: not in use. Written last when a piece is filled, first when it is emptied.
  bindery_fault_range *watch;
  struct piece *next;           // Never changes once the piece is in the list.
  struct piece *next_of_watch;  // Under the lock; of a piece that is not in use, the next one.
} piece;

struct bindery_fault_range {
  uint32_t is_lost;
  uint32_t is_writable;
  uint32_t is_scattered;
  piece *pieces;                   // Under the lock.
  bindery_fault_range *next_free;  // Under the lock.
};

// An interrupt word of somebody who runs code over files. The list is kept as that of the pieces is.
struct bindery_fault_listener {
  uint32_t *word;  // NULL: not in use.
  uint32_t bits;
  bindery_fault_listener *next;       // Never changes once the listener is in the list.
  bindery_fault_listener *next_free;  // Under the lock.
};

static piece *first_piece;
static bindery_fault_listener *first_listener;
static bindery_fault_listener *first_free_listener;
static piece *first_free_piece;
static bindery_fault_range *first_free_watch;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_installed;
static struct sigaction previous;
static uintptr_t page_mask;
static uint32_t lost_page_count;
static uint32_t active_handler_count;

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

/// Maps zeroes over what is left of a piece, or, where its bounds cannot be trusted, over the page of the address alone.
static bool map_zeroes(const piece *piece, uintptr_t start, uintptr_t end, uintptr_t address) {
  int access = __atomic_load_n(&piece->watch->is_writable, __ATOMIC_RELAXED) ? PROT_READ | PROT_WRITE : PROT_READ;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  // mmap is a bare system call in every C library we build with; POSIX does not list it, the kernel does not mind.
  if (!__atomic_load_n(&piece->watch->is_scattered, __ATOMIC_SEQ_CST)) {
    uintptr_t from = start & page_mask;
    uintptr_t to = (end + ~page_mask) & page_mask;
    if (mmap((void *)from, to - from, access, flags, -1, 0) != MAP_FAILED) return true;
  }
  return mmap((void *)(address & page_mask), (size_t)(~page_mask + 1), access, flags, -1, 0) != MAP_FAILED;
}

static void tell_listeners(void) {
  bindery_fault_listener *listener = __atomic_load_n(&first_listener, __ATOMIC_ACQUIRE);
  for (; listener; listener = listener->next) {
    uint32_t *word = __atomic_load_n(&listener->word, __ATOMIC_SEQ_CST);
    if (word) __atomic_fetch_or(word, listener->bits, __ATOMIC_SEQ_CST);
  }
}

/// Whether the address was that of a lost page, which is readable now.
static bool replace_lost_page(uintptr_t address) {
  bool is_ours = false;
  __atomic_fetch_add(&active_handler_count, 1, __ATOMIC_SEQ_CST);
  for (piece *piece = __atomic_load_n(&first_piece, __ATOMIC_ACQUIRE); piece; piece = piece->next) {
    uintptr_t end = __atomic_load_n(&piece->end, __ATOMIC_SEQ_CST);
    uintptr_t start = __atomic_load_n(&piece->start, __ATOMIC_SEQ_CST);
    if (end == 0 || address < start || address >= end) continue;
    // First the news, then the zeroes: who has read a zero finds out at its next check.
    __atomic_store_n(&piece->watch->is_lost, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&lost_page_count, 1, __ATOMIC_SEQ_CST);
    tell_listeners();
    // Pieces overlap where pages could not be replaced and another file was bound there: all of them are told.
    if (map_zeroes(piece, start, end, address)) is_ours = true;
  }
  __atomic_fetch_sub(&active_handler_count, 1, __ATOMIC_SEQ_CST);
  return is_ours;
}

static void handle(int number, siginfo_t *information, void *context) {
  int saved = errno;
  // si_code > 0: raised by the kernel for an address, not sent by a process.
  bool is_ours = information != NULL && information->si_code > 0 && replace_lost_page((uintptr_t)information->si_addr);
  errno = saved;
  if (!is_ours) call_previous(number, information, context);
}

static int install(void) {
  page_mask = ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGBUS, NULL, &previous) != 0) return errno;
  return sigaction(SIGBUS, &action, NULL) == 0 ? 0 : errno;
}

/// Under the lock: waits for handlers that may have seen a piece as it was. They are system calls of microseconds.
static void retire(void) {
  while (__atomic_load_n(&active_handler_count, __ATOMIC_SEQ_CST) != 0) sched_yield();
}

/// Under the lock: adds a piece to a watch; false if there is no memory for it.
static bool add_piece(bindery_fault_range *watch, uintptr_t start, uintptr_t end) {
  piece *piece = first_free_piece;
  bool is_new = piece == NULL;
  if (is_new) {
    piece = calloc(1, sizeof *piece);
    if (piece == NULL) return false;
  } else {
    first_free_piece = piece->next_of_watch;
  }
  piece->watch = watch;
  piece->next_of_watch = watch->pieces;
  watch->pieces = piece;
  __atomic_store_n(&piece->start, start, __ATOMIC_SEQ_CST);
  __atomic_store_n(&piece->end, end, __ATOMIC_SEQ_CST);
  if (is_new) {
    piece->next = first_piece;
    __atomic_store_n(&first_piece, piece, __ATOMIC_RELEASE);
  }
  return true;
}

/// Under the lock: gives the pieces of a watch back that are empty.
static void free_empty_pieces(bindery_fault_range *watch) {
  piece **link = &watch->pieces;
  while (*link) {
    piece *piece = *link;
    if (piece->end != 0) {
      link = &piece->next_of_watch;
      continue;
    }
    *link = piece->next_of_watch;
    piece->next_of_watch = first_free_piece;
    first_free_piece = piece;
  }
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
  bindery_fault_range *watch = first_free_watch;
  if (watch != NULL) {
    first_free_watch = watch->next_free;
  } else {
    watch = calloc(1, sizeof *watch);
  }
  if (watch != NULL) {
    watch->is_scattered = 0;
    __atomic_store_n(&watch->is_lost, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&watch->is_writable, is_writable, __ATOMIC_RELAXED);
    if (!add_piece(watch, (uintptr_t)address, (uintptr_t)address + byte_count)) {
      watch->next_free = first_free_watch;
      first_free_watch = watch;
      watch = NULL;
    }
  }
  pthread_mutex_unlock(&lock);
  if (watch == NULL) *error = ENOMEM;
  return watch;
}

void bindery_fault_range_forget(bindery_fault_range *watch, const void *address, size_t byte_count) {
  uintptr_t from = (uintptr_t)address;
  uintptr_t to = from + byte_count;
  pthread_mutex_lock(&lock);
  for (piece *piece = watch->pieces; piece; piece = piece->next_of_watch) {
    uintptr_t start = piece->start;
    uintptr_t end = piece->end;
    if (to <= start || end <= from) continue;
    if (start < from && to < end && !add_piece(watch, to, end)) {
      // What is right of the hole must stay watched, so the piece stays as it is, and is never again replaced as a whole.
      __atomic_store_n(&watch->is_scattered, 1, __ATOMIC_SEQ_CST);
      continue;
    }
    if (start < from) {
      __atomic_store_n(&piece->end, from, __ATOMIC_SEQ_CST);
    } else if (to < end) {
      __atomic_store_n(&piece->start, to, __ATOMIC_SEQ_CST);
    } else {
      __atomic_store_n(&piece->end, 0, __ATOMIC_SEQ_CST);
    }
  }
  retire();
  free_empty_pieces(watch);
  pthread_mutex_unlock(&lock);
}

void bindery_fault_range_scatter(bindery_fault_range *watch) {
  pthread_mutex_lock(&lock);
  __atomic_store_n(&watch->is_scattered, 1, __ATOMIC_SEQ_CST);
  retire();
  pthread_mutex_unlock(&lock);
}

void bindery_fault_range_unregister(bindery_fault_range *watch) {
  pthread_mutex_lock(&lock);
  for (piece *piece = watch->pieces; piece; piece = piece->next_of_watch) __atomic_store_n(&piece->end, 0, __ATOMIC_SEQ_CST);
  retire();
  free_empty_pieces(watch);
  watch->next_free = first_free_watch;
  first_free_watch = watch;
  pthread_mutex_unlock(&lock);
}

bindery_fault_listener *bindery_fault_listener_register(uint32_t *word, uint32_t bits) {
  pthread_mutex_lock(&lock);
  bindery_fault_listener *listener = first_free_listener;
  if (listener != NULL) {
    first_free_listener = listener->next_free;
    listener->bits = bits;
    __atomic_store_n(&listener->word, word, __ATOMIC_SEQ_CST);
  } else if ((listener = calloc(1, sizeof *listener)) != NULL) {
    *listener = (bindery_fault_listener){.word = word, .bits = bits, .next = first_listener};
    __atomic_store_n(&first_listener, listener, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&lock);
  return listener;
}

void bindery_fault_listener_unregister(bindery_fault_listener *listener) {
  pthread_mutex_lock(&lock);
  __atomic_store_n(&listener->word, NULL, __ATOMIC_SEQ_CST);
  retire();
  listener->next_free = first_free_listener;
  first_free_listener = listener;
  pthread_mutex_unlock(&lock);
}

bool bindery_fault_range_is_lost(const bindery_fault_range *watch) {
  return __atomic_load_n(&watch->is_lost, __ATOMIC_ACQUIRE) != 0;
}
