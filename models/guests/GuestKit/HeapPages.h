// The lower half of the allocator: units of 1 KiB and wasm pages. See HeapPages.c.
#ifndef BINDERY_GUEST_HEAP_PAGES_H
#define BINDERY_GUEST_HEAP_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNIT_LOG2 = 10, PAGE_LOG2 = 16, PAGE_UNIT_COUNT = 64, GROUP_PAGE_COUNT = 16, CLASS_COUNT = 28, LONG_RUN_BIN_COUNT = 64 };

/// What a unit is. All units of a span have its kind; of a run only the first has one, of a long free run first and last.
enum unit_kind { UNIT_NONE, UNIT_SPAN_1, UNIT_SPAN_4, UNIT_SPAN_16, UNIT_RUN, UNIT_TABLES, UNIT_FREE };

/// The record of a unit. There is one for every unit of the heap, in a table: free memory holds nothing of the allocator, so it
/// can be discarded, and a guest that writes past an allocation does not reach the records.
struct heap_unit {
  /// First of a span: bit i is set if the slot that starts at granule i is free. Of a run: how many units it has.
  uint64_t value;
  /// Neighbours in a list (of spans with free slots, of long free runs): index + 1 of their first unit, 0: none. The size class.
  uint32_t next : 26, class : 6;
  uint32_t previous : 26, kind : 6;
};
_Static_assert(sizeof(struct heap_unit) == 16, "unit_of and address_of count on it");

struct heap {
  /// Where the record of address 0 would be.
  uintptr_t record_bias;
  /// Of the heap's first page, counted from address 0; everything below is relative to it.
  size_t first_unit;
  size_t unit_count;
  size_t page_count;
  /// By size class: the spans that have free slots. The first one serves.
  struct heap_unit *partial[CLASS_COUNT];

  /// Room in the tables, in pages.
  size_t page_capacity;
  /// The tables, one block: records, free units, clean units, longest free runs of pages and of groups.
  struct heap_unit *records;
  uint64_t *free_units;
  /// Units known to hold zeroes: never used, or discarded.
  uint64_t *clean_units;
  /// Units of the longest free run inside the page.
  uint8_t *longest;
  /// By group of pages: at least the greatest `longest` of its pages.
  uint8_t *group_longest;
  /// Free runs of more than 4 units, by length. Index + 1 of the first unit, 0: none. A bit says that there are any.
  uint32_t long_runs[LONG_RUN_BIN_COUNT];
  uint64_t long_run_bins;
  /// No page below has 1, 4 or 16 free units in a row.
  size_t hints[3];
  /// Pages that are wholly free, and those of them that are not clean.
  size_t free_page_count, dirty_page_count;
  uint64_t discard_count, discarded_page_count;
};
extern struct heap heap;

static inline struct heap_unit *unit_of(uintptr_t address) {
  return (struct heap_unit *)(heap.record_bias + (address >> UNIT_LOG2) * sizeof(struct heap_unit));
}
static inline uintptr_t address_of(const struct heap_unit *unit) {
  return ((uintptr_t)unit - heap.record_bias) / sizeof(struct heap_unit) << UNIT_LOG2;
}
static inline bool is_in_heap(uintptr_t address) { return (address >> UNIT_LOG2) - heap.first_unit < heap.unit_count; }

/// Units in a row; NULL where memory 0 cannot grow. A span has 1, 4 or 16, and lies at a multiple of its length; other runs have
/// more than 4. `zeroes`: fills with zeroes what does not hold them already.
struct heap_unit *heap_take(size_t unit_count, bool is_span, bool zeroes);
/// Takes the units behind a run, if all are free.
bool heap_extend(struct heap_unit *run, size_t unit_count, size_t new_unit_count);
void heap_give_back(struct heap_unit *first, size_t unit_count);
/// Whether the unit is free now. The address must be in the heap.
bool heap_is_free(uintptr_t address);
/// Discards wholly free pages, those in the longest runs first, until at most `kept_page_count` hold memory of the host. Returns
/// how many no longer do.
size_t heap_trim(size_t kept_page_count);

/// Tells the host what is wrong and traps (AllocationFault.c). The guest may bring its own.
_Noreturn void guest_allocation_fault(const char *what, uintptr_t address);

#ifdef __wasm__
extern uint8_t __heap_base;
static inline uintptr_t heap_memory_base(void) { return (uintptr_t)&__heap_base; }
static inline size_t heap_memory_page_count(void) { return __builtin_wasm_memory_size(0); }
static inline bool heap_memory_grow(size_t page_count) { return __builtin_wasm_memory_grow(0, page_count) != (size_t)-1; }
#ifdef GUEST_HEAP_KEEPS_PAGES  // for guests that do not go through `bindery lower`, which makes this an instruction
enum { HEAP_DISCARDS = false };
static inline void heap_memory_discard(uintptr_t address, size_t byte_count) {}
#else
enum { HEAP_DISCARDS = true };
__attribute__((import_module("memory:0"), import_name("memory.discard"))) void heap_memory_discard(uintptr_t, size_t);
#endif
#else  // A native build, for measuring: who links it provides the memory.
uintptr_t heap_memory_base(void);
size_t heap_memory_page_count(void);
bool heap_memory_grow(size_t page_count);
enum { HEAP_DISCARDS = true };
void heap_memory_discard(uintptr_t address, size_t byte_count);
#endif

#endif
