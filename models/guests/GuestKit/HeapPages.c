// The lower half of the allocator: units of 1 KiB and wasm pages of 64 of them.
//
// A page's free units are the ones of a 64-bit word; a page is wholly free if its word is all ones. Spans of 1, 4 or 16 units
// come from the lowest page that has them, first-fit in the order of addresses: that keeps what is small together and lets other
// pages become free. Runs come from the shortest free run that is long enough, whatever pages it touches; free runs of more than
// 4 units are listed by length, and neighbours are joined with boundary tags in the units' records. These two policies are what
// fragments least: P. R. Wilson, M. S. Johnstone et al., "Dynamic Storage Allocation: A Survey and Critical Review", 1995;
// Johnstone, Wilson, "The Memory Fragmentation Problem: Solved?", 1998. Bins by length: TLSF (M. Masmano et al., 2004). Bitmaps
// of pages with summaries for the search by address: the page allocator of Go 1.14 (M. Knyszek, A. Clements, 2019).
//
// Free pages keep the host's memory until more than a threshold of them have gathered: then those in the longest free runs are
// discarded down to half of it. So a program that allocates and frees in turns does not discard each time, one instruction covers
// many pages, and what is kept is what best-fit takes next.

#include "HeapPages.h"

struct heap heap;

enum { RETAINED_PAGE_COUNT_MIN = 16, RETAINED_FRACTION = 8 };
enum { SHORT_RUN_MAX = 4, LIST_WALK_MAX = 64 };
#define NONE ((size_t)-1)

// MARK: Bits

/// The bits at which `count` ones in a row begin; count is 1...64.
static uint64_t starts_of(uint64_t ones, size_t count) {
  for (size_t length = 1; length < count;) {
    size_t step = count - length < length ? count - length : length;
    ones &= ones >> step;
    length += step;
  }
  return ones;
}

static unsigned longest_run(uint64_t ones) {
  if (ones == 0) return 0;
  if (~ones == 0) return 64;
  unsigned length = 1;
  for (uint64_t next; (next = ones & (ones >> length)) != 0; length *= 2) ones = next;
  for (unsigned step = length / 2; step > 0; step /= 2) {
    uint64_t next = ones & (ones >> step);
    if (next != 0) ones = next, length += step;
  }
  return length;
}

static unsigned leading_free(uint64_t ones) { return ~ones == 0 ? 64 : (unsigned)__builtin_ctzll(~ones); }
static unsigned trailing_free(uint64_t ones) { return ~ones == 0 ? 64 : (unsigned)__builtin_clzll(~ones); }

/// `count` ones from bit `first` on; at most to the end of the word.
static uint64_t bits(size_t first, size_t count) {
  return (count >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1) << first;
}

// MARK: Long free runs

/// Free runs of more than 4 units are listed by length: 4 bins for each doubling, the last for all that are longer.
static unsigned bin_of(size_t count) {
  unsigned log2 = 63 - (unsigned)__builtin_clzll(count), bin = (log2 - 2) * 4 + (unsigned)(count >> (log2 - 2) & 3);
  return bin < LONG_RUN_BIN_COUNT ? bin : LONG_RUN_BIN_COUNT - 1;
}

static void list_run(size_t first, size_t count) {
  if (count <= SHORT_RUN_MAX) return;
  unsigned bin = bin_of(count);
  struct heap_unit *run = heap.records + first, *last = run + count - 1;
  run->value = last->value = count;
  run->kind = last->kind = UNIT_FREE;
  run->previous = 0;
  run->next = heap.long_runs[bin];
  if (run->next != 0) heap.records[run->next - 1].previous = (uint32_t)first + 1;
  heap.long_runs[bin] = (uint32_t)first + 1;
  heap.long_run_bins |= (uint64_t)1 << bin;
}

static size_t unlist_run(size_t first) {
  struct heap_unit *run = heap.records + first;
  size_t count = (size_t)run->value;
  unsigned bin = bin_of(count);
  if (run->next != 0) heap.records[run->next - 1].previous = run->previous;
  if (run->previous != 0) {
    heap.records[run->previous - 1].next = run->next;
  } else {
    heap.long_runs[bin] = run->next;
    if (run->next == 0) heap.long_run_bins &= ~((uint64_t)1 << bin);
  }
  run->kind = run[count - 1].kind = UNIT_NONE;
  return count;
}

/// The shortest run that is long enough, the lowest of several: among the first of the list.
static size_t find_long_run(size_t count) {
  uint64_t bins = heap.long_run_bins >> bin_of(count) << bin_of(count);
  for (; bins != 0; bins &= bins - 1) {
    size_t best = NONE, best_count = NONE;
    uint32_t number = heap.long_runs[__builtin_ctzll(bins)];
    for (int steps = 0; number != 0 && steps < LIST_WALK_MAX; steps++) {
      const struct heap_unit *run = heap.records + (number - 1);
      if (run->value >= count && (run->value < best_count || (run->value == best_count && number - 1 < best))) {
        best = number - 1;
        best_count = (size_t)run->value;
      }
      number = run->next;
    }
    if (best != NONE) return best;
  }
  return NONE;
}

/// The free units in a row that end before `unit`.
static size_t run_before(size_t unit) {
  size_t page = unit / PAGE_UNIT_COUNT, bit = unit % PAGE_UNIT_COUNT, run = 0;
  if (bit > 0) {
    run = trailing_free(heap.free_units[page] << (PAGE_UNIT_COUNT - bit));
    if (run < bit) return run;
  }
  for (; page > 0; page--) {
    unsigned part = trailing_free(heap.free_units[page - 1]);
    run += part;
    if (part < PAGE_UNIT_COUNT) break;
  }
  return run;
}

/// Takes the free run that ends before `unit`, or begins there, out of the lists; returns its units.
static size_t unlist_before(size_t unit) {
  if (unit == 0) return 0;
  const struct heap_unit *last = heap.records + (unit - 1);
  return last->kind == UNIT_FREE ? unlist_run(unit - (size_t)last->value) : run_before(unit);
}
static size_t unlist_from(size_t unit) {
  if (unit == heap.unit_count) return 0;
  if (heap.records[unit].kind == UNIT_FREE) return unlist_run(unit);
  size_t page = unit / PAGE_UNIT_COUNT, bit = unit % PAGE_UNIT_COUNT, run = leading_free(heap.free_units[page] >> bit);
  if (run < PAGE_UNIT_COUNT - bit || page + 1 == heap.page_count) return run;
  return run + leading_free(heap.free_units[page + 1]);
}

// MARK: Marking

static bool is_dirty_free(size_t page) { return ~heap.free_units[page] == 0 && ~heap.clean_units[page] != 0; }

static void *address_of_unit(size_t unit) { return (void *)((heap.first_unit + unit) << UNIT_LOG2); }

/// Marks free units as used; on demand, fills those with zeroes that are not clean.
static void mark_used(size_t first, size_t count, bool zeroes) {
  size_t before = run_before(first), start = first - before, end = first + count;
  size_t length = heap.records[start].kind == UNIT_FREE ? unlist_run(start) : 0;  // 0: a short run, in no list
  for (size_t page = first / PAGE_UNIT_COUNT, bit = first % PAGE_UNIT_COUNT; count > 0; page++, bit = 0) {
    size_t part = count < PAGE_UNIT_COUNT - bit ? count : PAGE_UNIT_COUNT - bit;
    uint64_t taken = bits(bit, part);
    if (~heap.free_units[page] == 0) {
      heap.free_page_count--;
      if (is_dirty_free(page)) heap.dirty_page_count--;
    }
    if (zeroes && (taken & ~heap.clean_units[page])) {
      __builtin_memset(address_of_unit(page * PAGE_UNIT_COUNT + bit), 0, part << UNIT_LOG2);
    }
    heap.free_units[page] &= ~taken;
    heap.clean_units[page] &= ~taken;
    heap.longest[page] = longest_run(heap.free_units[page]);
    count -= part;
  }
  if (length > 0) list_run(start, before);
  if (length > end - start) list_run(end, length - (end - start));
}

static void note_free(size_t page) {
  unsigned longest = longest_run(heap.free_units[page]);
  heap.longest[page] = longest;
  if (longest > heap.group_longest[page / GROUP_PAGE_COUNT]) heap.group_longest[page / GROUP_PAGE_COUNT] = longest;
  if (longest >= 1 && page < heap.hints[0]) heap.hints[0] = page;
  if (longest >= 4 && page < heap.hints[1]) heap.hints[1] = page;
  if (longest >= 16 && page < heap.hints[2]) heap.hints[2] = page;
}

static void mark_free(size_t first, size_t count) {
  size_t before = unlist_before(first), behind = unlist_from(first + count);
  list_run(first - before, before + count + behind);
  for (size_t page = first / PAGE_UNIT_COUNT, bit = first % PAGE_UNIT_COUNT; count > 0; page++, bit = 0) {
    size_t part = count < PAGE_UNIT_COUNT - bit ? count : PAGE_UNIT_COUNT - bit;
    heap.free_units[page] |= bits(bit, part);
    if (~heap.free_units[page] == 0) {
      heap.free_page_count++;
      heap.dirty_page_count++;  // These units are not clean.
    }
    note_free(page);
    count -= part;
  }
}

// MARK: Searching

/// The lowest place for a span of 1, 4 or 16 units, at a multiple of its length.
static size_t find_span(size_t count) {
  unsigned tier = count == 1 ? 0 : count == 4 ? 1 : 2;
  uint64_t aligned = tier == 0 ? ~(uint64_t)0 : tier == 1 ? 0x1111111111111111 : 0x0001000100010001;
  size_t page = heap.hints[tier], hint = NONE;
  while (page < heap.page_count) {
    size_t group = page / GROUP_PAGE_COUNT, end = (group + 1) * GROUP_PAGE_COUNT;
    if (end > heap.page_count) end = heap.page_count;
    if (heap.group_longest[group] >= count) {
      bool is_whole = page % GROUP_PAGE_COUNT == 0;
      unsigned longest = 0;
      for (; page < end; page++) {
        unsigned here = heap.longest[page];
        if (here > longest) longest = here;
        if (here < count) continue;
        if (hint == NONE) heap.hints[tier] = hint = page;
        uint64_t starts = starts_of(heap.free_units[page], count) & aligned;
        if (starts != 0) return page * PAGE_UNIT_COUNT + (size_t)__builtin_ctzll(starts);
      }
      if (is_whole) heap.group_longest[group] = longest;
    }
    page = end;
  }
  if (hint == NONE) heap.hints[tier] = heap.page_count;
  return NONE;
}

// MARK: Growing

static size_t table_unit_count(size_t page_capacity) {
  size_t group_capacity = page_capacity / GROUP_PAGE_COUNT + 1;
  size_t byte_count =
    page_capacity * (PAGE_UNIT_COUNT * sizeof(struct heap_unit) + 2 * sizeof(uint64_t) + sizeof(uint8_t)) + group_capacity;
  return (byte_count >> UNIT_LOG2) + 1;
}

/// Moves the tables to the units at `first` (relative), which hold zeroes.
static void place_tables(size_t first, size_t page_capacity) {
  struct heap old = heap;
  heap.page_capacity = page_capacity;
  heap.records = address_of_unit(first);
  heap.free_units = (uint64_t *)(heap.records + page_capacity * PAGE_UNIT_COUNT);
  heap.clean_units = heap.free_units + page_capacity;
  heap.longest = (uint8_t *)(heap.clean_units + page_capacity);
  heap.group_longest = heap.longest + page_capacity;
  heap.record_bias = (uintptr_t)heap.records - heap.first_unit * sizeof(struct heap_unit);
  if (old.records == NULL) return;
  __builtin_memcpy(heap.records, old.records, old.unit_count * sizeof(struct heap_unit));
  __builtin_memcpy(heap.free_units, old.free_units, old.page_count * sizeof(uint64_t));
  __builtin_memcpy(heap.clean_units, old.clean_units, old.page_count * sizeof(uint64_t));
  __builtin_memcpy(heap.longest, old.longest, old.page_count);
  size_t group_count = (old.page_count + GROUP_PAGE_COUNT - 1) / GROUP_PAGE_COUNT;
  __builtin_memcpy(heap.group_longest, old.group_longest, group_count);
  for (int class = 0; class < CLASS_COUNT; class++) {
    if (heap.partial[class] != NULL) heap.partial[class] = heap.records + (heap.partial[class] - old.records);
  }
}

/// Adds pages that the memory has got; they are clean. Between them and the heap's end there may be pages of others.
static void add_pages(size_t first_page, size_t end_page) {
  heap.page_count = end_page;
  heap.free_page_count += end_page - first_page;
  heap.unit_count = end_page * PAGE_UNIT_COUNT;
  size_t first = first_page * PAGE_UNIT_COUNT, before = unlist_before(first);
  list_run(first - before, before + heap.unit_count - first);
  for (size_t page = first_page; page < end_page; page++) {
    heap.free_units[page] = heap.clean_units[page] = ~(uint64_t)0;
    note_free(page);
  }
}

static void take_tables(size_t first) {
  size_t count = table_unit_count(heap.page_capacity);
  mark_used(first, count, false);
  heap.records[first].value = count;
  heap.records[first].kind = UNIT_TABLES;
}

/// What lies behind the linked data must be untouched until the first allocation.
static bool start(void) {
  size_t base_unit = (heap_memory_base() + ((size_t)1 << UNIT_LOG2) - 1) >> UNIT_LOG2;
  size_t first_page = base_unit / PAGE_UNIT_COUNT, end_page = heap_memory_page_count();
  if (end_page < first_page) end_page = first_page;
  size_t capacity = end_page - first_page + 16;
  size_t end_unit = base_unit + table_unit_count(capacity);
  size_t needed_page = (end_unit + PAGE_UNIT_COUNT - 1) / PAGE_UNIT_COUNT;
  if (needed_page > end_page) {
    if (!heap_memory_grow(needed_page - heap_memory_page_count())) return false;
    end_page = needed_page;
  }
  heap.first_unit = first_page * PAGE_UNIT_COUNT;
  size_t first = base_unit - heap.first_unit;
  place_tables(first, capacity);
  add_pages(0, end_page - first_page);
  mark_used(0, first, false);
  take_tables(first);
  return true;
}

/// Grows the memory by `page_count` pages, and what new tables need; generous ones last for longer.
static bool grow_by(size_t page_count, bool is_generous) {
  size_t memory_end = heap_memory_page_count();
  size_t start = memory_end - heap.first_unit / PAGE_UNIT_COUNT;
  size_t end = start + page_count, capacity = heap.page_capacity, tables = 0;
  if (end > (size_t)1 << (26 - 6)) return false;  // Records name 2^26 units: 64 GiB.
  if (end > capacity) {
    capacity = end + end / 32 + 4;
    size_t generous = heap.page_capacity + heap.page_capacity / 4;
    if (is_generous && capacity < generous) capacity = generous;
    tables = table_unit_count(capacity);
    end += (tables + PAGE_UNIT_COUNT - 1) / PAGE_UNIT_COUNT;
  }
  if (end < start || !heap_memory_grow(end - start)) return false;
  if (tables == 0) {
    add_pages(start, end);
    return true;
  }
  struct heap_unit *old = heap.records;
  // At the end: the new pages and the free units before them are one run.
  size_t first = end * PAGE_UNIT_COUNT - tables;
  place_tables(first, capacity);
  add_pages(start, end);
  take_tables(first);
  struct heap_unit *run = unit_of((uintptr_t)old);
  heap_give_back(run, (size_t)run->value);
  return true;
}

/// Grows so that `count` units in a row are free at the end.
static bool grow(size_t count) {
  size_t tail = 0;
  if (heap_memory_page_count() == heap.first_unit / PAGE_UNIT_COUNT + heap.page_count) {
    tail = run_before(heap.unit_count);
  }
  if (tail >= count) tail = 0;  // There are enough, but not aligned.
  size_t page_count = (count - tail + PAGE_UNIT_COUNT - 1) / PAGE_UNIT_COUNT;
  return grow_by(page_count, true) || grow_by(page_count, false);
}

// MARK: Units in a row

static size_t find(size_t count, bool is_span) { return is_span ? find_span(count) : find_long_run(count); }

struct heap_unit *heap_take(size_t count, bool is_span, bool zeroes) {
  if (heap.unit_count == 0 && !start()) return NULL;
  size_t first = find(count, is_span);
  if (first == NONE) {
    if (!grow(count)) return NULL;
    first = find(count, is_span);
    if (first == NONE) return NULL;
  }
  mark_used(first, count, zeroes);
  return heap.records + first;
}

bool heap_extend(struct heap_unit *run, size_t count, size_t new_count) {
  size_t first = (size_t)(run - heap.records), end = first + new_count;
  if (new_count > heap.unit_count || end > heap.unit_count) return false;
  for (size_t unit = first + count; unit < end;) {
    size_t bit = unit % PAGE_UNIT_COUNT, part = PAGE_UNIT_COUNT - bit;
    if (part > end - unit) part = end - unit;
    uint64_t wanted = bits(bit, part);
    if ((heap.free_units[unit / PAGE_UNIT_COUNT] & wanted) != wanted) return false;
    unit += part;
  }
  mark_used(first + count, new_count - count, false);
  return true;
}

void heap_give_back(struct heap_unit *first, size_t count) {
  first->kind = UNIT_NONE;
  mark_free((size_t)(first - heap.records), count);
  size_t retained = (heap.page_count - heap.free_page_count) / RETAINED_FRACTION;
  if (retained < RETAINED_PAGE_COUNT_MIN) retained = RETAINED_PAGE_COUNT_MIN;
  if (heap.dirty_page_count > retained) heap_trim(retained / 2);
}

bool heap_is_free(uintptr_t address) {
  size_t unit = (address >> UNIT_LOG2) - heap.first_unit;
  return heap.free_units[unit / PAGE_UNIT_COUNT] >> unit % PAGE_UNIT_COUNT & 1;
}

/// Discards the dirty pages of [first, end), from the last on, until few enough are left; returns how many they were.
static size_t discard_pages(size_t first, size_t end, size_t kept_page_count) {
  while (end > first && !is_dirty_free(end - 1)) end--;
  size_t count = 0, lowest = end;
  for (size_t page = end; page > first && heap.dirty_page_count > kept_page_count; page--) {
    if (!is_dirty_free(page - 1)) continue;
    heap.dirty_page_count--;
    lowest = page - 1;
    count++;
  }
  if (count == 0) return 0;
  // Clean pages between them included: one instruction for all.
  heap_memory_discard((uintptr_t)(heap.first_unit / PAGE_UNIT_COUNT + lowest) << PAGE_LOG2, (end - lowest) << PAGE_LOG2);
  heap.discard_count++;
  heap.discarded_page_count += end - lowest;
  for (size_t page = lowest; page < end; page++) heap.clean_units[page] = ~(uint64_t)0;
  return count;
}

size_t heap_trim(size_t kept_page_count) {
  size_t count = 0;
  if (!HEAP_DISCARDS || heap.dirty_page_count <= kept_page_count) return 0;
  // A wholly free page is in a long run.
  for (int bin = LONG_RUN_BIN_COUNT - 1; bin >= 0; bin--) {
    for (uint32_t number = heap.long_runs[bin]; number != 0; number = heap.records[number - 1].next) {
      size_t first = number - 1, end = first + (size_t)heap.records[first].value;
      count += discard_pages((first + PAGE_UNIT_COUNT - 1) / PAGE_UNIT_COUNT, end / PAGE_UNIT_COUNT, kept_page_count);
      if (heap.dirty_page_count <= kept_page_count) return count;
    }
  }
  return count;
}
