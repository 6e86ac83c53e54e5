#include "Kernels.h"

typedef struct item {
  struct item *next;
  int16_t value, index;
} item;

enum { ITEM_COUNT = 256, SEARCH_COUNT = 16 };

static item items[ITEM_COUNT];
static item *first;

void engine_list_prepare(void) {
  uint64_t state = 0x9E3779B97F4A7C15;
  for (int i = 0; i < ITEM_COUNT; i++) {
    items[i].value = (int16_t)(engine_random(&state) & 0x1FF);
    items[i].index = (int16_t)i;
    items[i].next = i + 1 < ITEM_COUNT ? &items[i + 1] : 0;
  }
  first = items;
}

static item *find(item *list, int16_t value) {
  while (list && list->value != value) list = list->next;
  return list;
}

static item *reverse(item *list) {
  item *done = 0;
  while (list) {
    item *next = list->next;
    list->next = done;
    done = list;
    list = next;
  }
  return done;
}

typedef int32_t comparison(const item *a, const item *b);

static int32_t by_value(const item *a, const item *b) { return a->value - b->value; }
static int32_t by_index(const item *a, const item *b) { return a->index - b->index; }

/// Merge sort from the bottom up: runs of 1, 2, 4 ... items are merged until one is left. Stable.
__attribute__((noinline)) static item *sort(item *list, comparison *compare) {
  for (int32_t length = 1;; length *= 2) {
    item *rest = list, *last = 0;
    int32_t merge_count = 0;
    list = 0;
    while (rest) {
      merge_count++;
      item *a = rest, *b = rest;
      int32_t a_count = 0, b_count = length;
      while (a_count < length && b) {
        a_count++;
        b = b->next;
      }
      while (a_count > 0 || (b_count > 0 && b)) {
        item *taken;
        if (a_count > 0 && (b_count == 0 || !b || compare(a, b) <= 0)) {
          taken = a;
          a = a->next;
          a_count--;
        } else {
          taken = b;
          b = b->next;
          b_count--;
        }
        if (last) last->next = taken; else list = taken;
        last = taken;
      }
      rest = b;
    }
    if (last) last->next = 0;
    if (merge_count <= 1) return list;
  }
}

static uint64_t sum_of(const item *list, uint64_t sum) {
  for (; list; list = list->next) sum = engine_mix(sum, (uint16_t)list->value);
  return sum;
}

uint64_t engine_list(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    for (int32_t search = 0; search < SEARCH_COUNT; search++) {
      item *found = find(first, (int16_t)((repetition * 7 + search * 37) & 0x1FF));
      first = reverse(first);
      sum = engine_mix(sum, found ? (uint16_t)found->index : 0xFFFF);
    }
    first->value = (int16_t)((first->value + 17) & 0x1FF);
    first = sort(first, by_value);
    sum = sum_of(first, sum);
    first = sort(first, by_index);
    sum = sum_of(first, sum);
  }
  return sum;
}
