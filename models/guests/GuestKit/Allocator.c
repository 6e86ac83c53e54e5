// The allocator of memory 0: size classes in spans, and runs of units for what is larger. See the README of the guest kit.
//
//     | wasm page (64 KiB) = 64 units of 1 KiB                                                       | wasm page ...
//     | span of 48-byte slots (1 unit) | span of 640-byte slots (4 units) | run: 9 units | free ...
//
// A span has 64 granules: of 16 bytes in 1 unit, of 64 in 4, of 256 in 16. A size class is a number of granules, and one 64-bit
// word says which slots are free. So a slot is found by counting trailing zeroes, an address is given back without a division,
// and an address that is not the start of a slot, or of a free one, is told at once. (Slabs with classes: J. Bonwick, "The Slab
// Allocator", 1994; bitmaps instead of lists through free memory, as in phkmalloc: P.-H. Kamp, "Malloc(3) revisited", 1998.)

#include "HeapPages.h"
#include "guest_allocator.h"

enum { SMALL_SIZE_MAX = 256, MIDDLE_SIZE_MAX = 1024, SLOT_SIZE_MAX = 4096, LIST_WALK_MAX = 8 };

/// Granules of a slot. Classes 0...11 are in spans of 1 unit, 12...19 of 4, 20...27 of 16.
static const uint8_t class_granules[CLASS_COUNT] = {1, 2,  3,  4, 5, 6, 7, 8, 9,  10, 12, 16, 5,  6,
                                                    7, 8,  9, 10, 12, 16, 5, 6, 7, 8,  9, 10, 12, 16};
/// By number of granules: the classes of the first tier; those of the others follow in the same order, 8 classes apart.
static const uint8_t class_of_granules[17] = {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 11, 11, 11};
/// Bits of all slots, by granules.
static const uint64_t slots_of_granules[17] = {
  0, ~(uint64_t)0, 0x5555555555555555, 0x1249249249249249, 0x1111111111111111, 0x84210842108421, 0x41041041041041,
  0x102040810204081, 0x101010101010101, 0x40201008040201, 0x4010040100401, 0, 0x1001001001001, 0, 0, 0, 0x1000100010001};

static unsigned tier_of_class(unsigned class) { return class < 12 ? 0 : class < 20 ? 1 : 2; }
static unsigned granule_log2(unsigned tier) { return 4 + 2 * tier; }
static size_t span_unit_count(unsigned tier) { return (size_t)1 << 2 * tier; }
static size_t class_size(unsigned class) { return (size_t)class_granules[class] << granule_log2(tier_of_class(class)); }

/// The class of 1...4096 bytes. (Of 257...4096: more than 4 granules of its tier.)
static unsigned class_of(size_t byte_count) {
  if (byte_count <= SMALL_SIZE_MAX) return class_of_granules[(byte_count + 15) >> 4];
  if (byte_count <= MIDDLE_SIZE_MAX) return 8 + class_of_granules[(byte_count + 63) >> 6];
  return 16 + class_of_granules[(byte_count + 255) >> 8];
}

// MARK: Lists of spans with free slots

static struct heap_unit *neighbour(unsigned number) { return number == 0 ? NULL : heap.records + (number - 1); }
static unsigned number_of(const struct heap_unit *unit) { return unit == NULL ? 0 : (unsigned)(unit - heap.records) + 1; }

static void unlink_span(struct heap_unit *span, unsigned class) {
  struct heap_unit *next = neighbour(span->next), *previous = neighbour(span->previous);
  if (next != NULL) next->previous = span->previous;
  if (previous != NULL) {
    previous->next = span->next;
  } else {
    heap.partial[class] = next;
  }
}

/// Spans at low addresses come first, roughly: the others get time to become empty.
static void link_span(struct heap_unit *span, unsigned class) {
  struct heap_unit *previous = NULL, *next = heap.partial[class];
  for (int steps = 0; next != NULL && next < span && steps < LIST_WALK_MAX; steps++) {
    previous = next;
    next = neighbour(next->next);
  }
  span->next = number_of(next);
  span->previous = number_of(previous);
  if (next != NULL) next->previous = number_of(span);
  if (previous != NULL) {
    previous->next = number_of(span);
  } else {
    heap.partial[class] = span;
  }
}

static __attribute__((noinline)) struct heap_unit *add_span(unsigned class) {
  unsigned tier = tier_of_class(class);
  size_t unit_count = span_unit_count(tier);
  struct heap_unit *span = heap_take(unit_count, true, false);
  if (span == NULL) return NULL;
  for (size_t unit = 0; unit < unit_count; unit++) span[unit].kind = UNIT_SPAN_1 + tier;
  span->value = slots_of_granules[class_granules[class]];
  span->class = class;
  link_span(span, class);
  return span;
}

static void remove_span(struct heap_unit *span, unsigned class) {
  size_t unit_count = span_unit_count(tier_of_class(class));
  unlink_span(span, class);
  for (size_t unit = 0; unit < unit_count; unit++) span[unit].kind = UNIT_NONE;
  heap_give_back(span, unit_count);
}

// MARK: Slots and runs

static inline __attribute__((always_inline)) void *take_slot(unsigned class, unsigned granule) {
  struct heap_unit *span = heap.partial[class];
  if (span == NULL && (span = add_span(class)) == NULL) return NULL;
  uint64_t slots = span->value, rest = slots & (slots - 1);
  span->value = rest;
  if (rest == 0) unlink_span(span, class);
  return (void *)(address_of(span) + ((uintptr_t)__builtin_ctzll(slots) << granule));
}

static void *take_run(size_t byte_count, size_t alignment, bool zeroes) {
  if (byte_count > PTRDIFF_MAX || alignment > PTRDIFF_MAX) return NULL;
  size_t unit_count = (byte_count + ((size_t)1 << UNIT_LOG2) - 1) >> UNIT_LOG2;
  if (unit_count == 0) unit_count = 1;
  size_t surplus = alignment >> UNIT_LOG2;
  if (surplus > 0) surplus--;
  struct heap_unit *run = heap_take(unit_count + surplus, false, zeroes);
  if (run == NULL) return NULL;
  if (surplus > 0) {
    size_t before = (-address_of(run) & (alignment - 1)) >> UNIT_LOG2;
    size_t first = (size_t)(run - heap.records) + before;
    if (before > 0) heap_give_back(run, before);
    if (surplus > before) heap_give_back(heap.records + first + unit_count, surplus - before);
    run = heap.records + first;
  }
  run->value = unit_count;
  run->kind = UNIT_RUN;
  return (void *)address_of(run);
}

/// What an address that the guest gives back belongs to; traps where it is not the start of an allocation.
struct allocation {
  struct heap_unit *first;
  uint64_t slot;
};

static __attribute__((noinline)) _Noreturn void double_free(uintptr_t address) {
  guest_allocation_fault("double free: memory that is free already is freed or resized, at", address);
}

static __attribute__((noinline)) _Noreturn void refuse(uintptr_t address) {
  if (is_in_heap(address) && heap_is_free(address)) double_free(address);
  guest_allocation_fault("invalid free: no allocation starts at", address);
}

static inline __attribute__((always_inline)) struct allocation allocation_at(uintptr_t address) {
  if (!is_in_heap(address)) refuse(address);
  struct heap_unit *unit = unit_of(address);
  unsigned kind = unit->kind;
  if (kind == UNIT_SPAN_1 || kind == UNIT_SPAN_4 || kind == UNIT_SPAN_16) {
    unsigned tier = kind - UNIT_SPAN_1, granule = granule_log2(tier);
    uintptr_t offset = address & (((uintptr_t)1 << (granule + 6)) - 1);
    struct heap_unit *span = unit_of(address - offset);
    uint64_t slot = (uint64_t)1 << (offset >> granule);
    bool is_aligned = (offset & (((uintptr_t)1 << granule) - 1)) == 0;
    if (!is_aligned || (slots_of_granules[class_granules[span->class]] & slot) == 0) refuse(address);
    if ((span->value & slot) != 0) double_free(address);
    return (struct allocation){span, slot};
  }
  if (kind != UNIT_RUN || (address & (((uintptr_t)1 << UNIT_LOG2) - 1)) != 0) refuse(address);
  return (struct allocation){unit, 0};
}

static size_t usable_size(struct allocation allocation) {
  return allocation.slot != 0 ? class_size(allocation.first->class) : (size_t)allocation.first->value << UNIT_LOG2;
}

// MARK: The standard functions

void *malloc(size_t byte_count) {
  if (byte_count <= SMALL_SIZE_MAX) return take_slot(class_of_granules[(byte_count + 15) >> 4], 4);
  if (byte_count <= SLOT_SIZE_MAX) {
    unsigned class = class_of(byte_count);
    return take_slot(class, granule_log2(tier_of_class(class)));
  }
  return take_run(byte_count, 1, false);
}

void free(void *pointer) {
  if (pointer == NULL) return;
  struct allocation allocation = allocation_at((uintptr_t)pointer);
  struct heap_unit *first = allocation.first;
  if (allocation.slot == 0) {
    heap_give_back(first, (size_t)first->value);
    return;
  }
  uint64_t before = first->value, after = before | allocation.slot;
  unsigned class = first->class;
  first->value = after;
  if (before == 0) {
    link_span(first, class);
  } else if (after == slots_of_granules[class_granules[class]] && (first->next != 0 || first->previous != 0)) {
    remove_span(first, class);  // The last one of a class stays for the next allocation.
  }
}

void *calloc(size_t count, size_t byte_count) {
  size_t total;
  if (__builtin_mul_overflow(count, byte_count, &total)) return NULL;
  if (total > SLOT_SIZE_MAX) return take_run(total, 1, true);
  void *pointer = malloc(total);
  return pointer == NULL ? NULL : __builtin_memset(pointer, 0, total);
}

void *realloc(void *pointer, size_t byte_count) {
  if (pointer == NULL) return malloc(byte_count);
  struct allocation allocation = allocation_at((uintptr_t)pointer);
  size_t old = usable_size(allocation);
  if (allocation.slot == 0 && byte_count > SLOT_SIZE_MAX && byte_count <= PTRDIFF_MAX) {
    size_t old_count = (size_t)allocation.first->value;
    size_t count = (byte_count + ((size_t)1 << UNIT_LOG2) - 1) >> UNIT_LOG2;
    if (count <= old_count || heap_extend(allocation.first, old_count, count)) {
      allocation.first->value = count;
      if (count < old_count) heap_give_back(allocation.first + count, old_count - count);
      return pointer;
    }
  }
  if (byte_count <= old && (byte_count > old / 2 || old <= 64)) return pointer;
  void *moved = malloc(byte_count);
  if (moved == NULL) return byte_count <= old ? pointer : NULL;
  __builtin_memcpy(moved, pointer, byte_count < old ? byte_count : old);
  free(pointer);
  return moved;
}

void *aligned_alloc(size_t alignment, size_t byte_count) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return NULL;
  if (alignment <= 16) return malloc(byte_count);
  if (byte_count <= SLOT_SIZE_MAX && alignment <= SLOT_SIZE_MAX) {
    // The slots of a class lie at multiples of its size, and spans of 16 units at multiples of 16 KiB.
    for (unsigned class = class_of(byte_count > alignment ? byte_count : alignment); class < CLASS_COUNT; class++) {
      unsigned tier = tier_of_class(class);
      if (class_size(class) % alignment == 0 && alignment <= (size_t)1 << (granule_log2(tier) + 6)) {
        return take_slot(class, granule_log2(tier));
      }
    }
  }
  return take_run(byte_count, alignment, false);
}

int posix_memalign(void **result, size_t alignment, size_t byte_count) {
  if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) return 22;
  void *pointer = aligned_alloc(alignment, byte_count);
  if (pointer == NULL) return 12;
  *result = pointer;
  return 0;
}

size_t malloc_usable_size(void *pointer) {
  return pointer == NULL ? 0 : usable_size(allocation_at((uintptr_t)pointer));
}

int malloc_trim(size_t kept_byte_count) {
  for (unsigned class = 0; class < CLASS_COUNT; class++) {
    for (struct heap_unit *span = heap.partial[class], *next; span != NULL; span = next) {
      next = neighbour(span->next);
      if (span->value == slots_of_granules[class_granules[class]]) remove_span(span, class);
    }
  }
  return heap_trim(kept_byte_count >> PAGE_LOG2) > 0;
}

void guest_heap_statistics(struct guest_heap_statistics *result) {
  struct guest_heap_statistics sum = {0};
  for (size_t unit = 0; unit < heap.unit_count;) {
    const struct heap_unit *record = heap.records + unit;
    size_t length = 1;
    if (record->kind == UNIT_RUN || record->kind == UNIT_TABLES) {
      length = (size_t)record->value;
      size_t *count = record->kind == UNIT_RUN ? &sum.used_byte_count : &sum.table_byte_count;
      *count += length << UNIT_LOG2;
    } else if (record->kind != UNIT_NONE && record->kind != UNIT_FREE) {
      uint64_t used = slots_of_granules[class_granules[record->class]] & ~record->value;
      sum.used_byte_count += (size_t)__builtin_popcountll(used) * class_size(record->class);
      length = span_unit_count(record->kind - UNIT_SPAN_1);
    }
    unit += length;
  }
  for (size_t page = 0; page < heap.page_count; page++) {
    if (~heap.free_units[page] == 0) sum.free_page_byte_count += (size_t)1 << PAGE_LOG2;
  }
  sum.heap_byte_count = heap.page_count == 0 ? 0 : ((heap.first_unit + heap.unit_count) << UNIT_LOG2) - heap_memory_base();
  sum.dirty_page_byte_count = heap.dirty_page_count << PAGE_LOG2;
  sum.discard_count = heap.discard_count;
  sum.discarded_byte_count = heap.discarded_page_count << PAGE_LOG2;
  *result = sum;
}
