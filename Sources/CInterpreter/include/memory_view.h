// The interpreter's view of one linear memory: what an access must test, and nothing else.
//
// An instance owns one view per memory index, inline in an array that does not move, and registers each with its Memory
// (Swift: `Memory.register(_:)`). The memory fills the view, refreshes it whenever its size, a page state or a binding
// changes, and moves its windows when an access misses them. Views belong to instances, not to memories, so that two
// threads working in two instances over the same memory do not race on a window.
//
//     base      read_start                         read_start + length of the window          byte_count
//     |  ...    |  every page readable: an access here needs one compare  |        ...        |  out of bounds
//
// A window is the maximal run of pages around the last miss that allow the access (for a memory without page states:
// the whole memory). So an access that straddles two accessible pages is always inside one window.
//
// A bound file that shrinks is not seen here: the SIGBUS handler of CPlatform lets the access read zeroes and counts. At its
// safepoints the interpreter compares `*bindery_lost_page_count_pointer()` (one relaxed load; it keeps the pointer) with the
// count it saw on entry, and asks `Memory.isLost` of its memories when they differ.
#pragma once
#include <stdbool.h>
#include <stdint.h>

/// Why an access or a memory-control instruction was refused. The Swift twin is `MemoryFault`; its descriptions are the
/// trap texts. The order is part of the interface: the generated code and `MemoryFault` use the raw values.
typedef enum bindery_memory_fault {
  BINDERY_MEMORY_OK = 0,
  BINDERY_MEMORY_OUT_OF_BOUNDS = 1,
  BINDERY_MEMORY_UNMAPPED = 2,
  BINDERY_MEMORY_PROTECTED = 3,
  BINDERY_MEMORY_LOST = 4,
} bindery_memory_fault;

enum {
  /// The memory has page states (virtual, mappable, or static sections): an access can be refused inside byte_count.
  BINDERY_MEMORY_VIEW_HAS_PAGE_STATES = 1,
  /// The memory is shared between threads.
  BINDERY_MEMORY_VIEW_SHARED = 2,
  /// Addresses are 64-bit: address + offset can carry.
  BINDERY_MEMORY_VIEW_64 = 4,
};

typedef struct bindery_memory_view bindery_memory_view;

/// Decides an access that missed the window: checks the whole of [address, address + byte_count) against the size and the
/// page states, moves the window of `view` on success, and returns a `bindery_memory_fault`. Zero bytes check bounds only.
typedef int32_t bindery_memory_slow_path(
    bindery_memory_view *view, uint64_t address, uint64_t byte_count, int32_t is_write);

/// 136 bytes; the fields of a load come first, on two cache lines with those of a store.
struct bindery_memory_view {
  /// Host address of guest address 0. Never changes during the life of the memory.
  uint8_t *base;
  /// First byte of the readable window.
  uint64_t read_start;
  /// By log2 of the access size (1, 2, 4, 8, 16 bytes): the number of start positions in the window that allow it, that is
  /// max(0, window length - size + 1). An access at `address` is inside if address - read_start < read_limit[log2].
  uint64_t read_limit[5];
  uint64_t write_start;
  uint64_t write_limit[5];
  /// Current size of the memory. Every window lies inside it.
  uint64_t byte_count;
  bindery_memory_slow_path *slow_path;
  /// The owner (Swift `Memory`), not retained: the instance keeps it alive.
  void *memory;
  /// log2 of the page size of the memory's type: 16 or 0.
  uint32_t page_log2;
  uint32_t flags;
};

// Changes of a view. Each limit is one atomic store, so that the thread that uses the view, if it is another one, sees it old or
// new. Only that thread may move the start of a window; others lower limits, or raise those of a memory without page states.

static inline void bindery_memory_view_set_limits_(uint64_t *limits, uint64_t length) {
  for (unsigned log2 = 0; log2 < 5; log2++) {
    uint64_t size = (uint64_t)1 << log2;
    __atomic_store_n(&limits[log2], length < size ? 0 : length - size + 1, __ATOMIC_RELEASE);
  }
}
static inline void bindery_memory_view_set_read_length(bindery_memory_view *view, uint64_t length) {
  bindery_memory_view_set_limits_(view->read_limit, length);
}
static inline void bindery_memory_view_set_write_length(bindery_memory_view *view, uint64_t length) {
  bindery_memory_view_set_limits_(view->write_limit, length);
}
static inline void bindery_memory_view_set_byte_count(bindery_memory_view *view, uint64_t byte_count) {
  __atomic_store_n(&view->byte_count, byte_count, __ATOMIC_RELEASE);
}

/// An aligned word of guest memory, sequentially consistent: 8 bytes or 4.
static inline uint64_t bindery_atomic_load_bytes(const void *address, bool is_64) {
  return is_64 ? __atomic_load_n((const uint64_t *)address, __ATOMIC_SEQ_CST)
               : __atomic_load_n((const uint32_t *)address, __ATOMIC_SEQ_CST);
}

/// The effective address of an access, added once. False if it carries out of 64 bits: then the access is out of bounds.
static inline bool bindery_memory_effective_address(uint64_t address, uint64_t offset, uint64_t *result) {
  return !__builtin_add_overflow(address, offset, result);
}

/// True if the access of 2^size_log2 bytes at `address` lies in the readable window. One compare: an address below the
/// window wraps to a huge distance.
static inline bool bindery_memory_can_read(const bindery_memory_view *view, uint64_t address, unsigned size_log2) {
  return address - view->read_start < view->read_limit[size_log2];
}

static inline bool bindery_memory_can_write(const bindery_memory_view *view, uint64_t address, unsigned size_log2) {
  return address - view->write_start < view->write_limit[size_log2];
}

/// For accesses of any length (memory.fill, copy, init, and host functions): inside the window, or decided by the slow path.
/// read_limit[0] is the window's length in bytes. Zero bytes always go to the slow path, which checks bounds only.
static inline int32_t bindery_memory_check_range(
    bindery_memory_view *view, uint64_t address, uint64_t byte_count, int32_t is_write) {
  uint64_t start = is_write ? view->write_start : view->read_start;
  uint64_t length = is_write ? view->write_limit[0] : view->read_limit[0];
  uint64_t distance = address - start;
  if (__builtin_expect(byte_count != 0 && distance < length && byte_count <= length - distance, 1)) return BINDERY_MEMORY_OK;
  return view->slow_path(view, address, byte_count, is_write);
}
