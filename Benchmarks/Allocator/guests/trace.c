// A program that allocates: what is compared, built once with each allocator. Every step draws an allocation with a size and
// a time to live, and frees what has come to its end. The draws do not depend on addresses, so all allocators see the same requests.
//
// Sizes: most are small, a few large. Times to live: most are short, few long. Phases: see trace_step.

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name)
#endif

enum { OBJECT_COUNT_MAX = 1 << 16, WHEEL_LOG2 = 17, PHASE_COUNT = 6 };

struct object {
  unsigned char *bytes;
  uint32_t byte_count;
  uint32_t next;  // of those that end at the same step, or of the unused
};
static struct object objects[OBJECT_COUNT_MAX];
static uint32_t ending[1 << WHEEL_LOG2];
static uint32_t unused, step, touches;
static uint64_t random_state, live_byte_count, live_count, operation_count, failure_count;

static uint64_t draw(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state * 0x2545f4914f6cdd1d;
}
static uint32_t below(uint32_t count) { return (uint32_t)((draw() >> 32) * count >> 32); }

/// Between the powers of two, evenly in the logarithm, roughly.
static uint32_t logarithmic(unsigned low, unsigned high) {
  unsigned power = low + below(high - low);
  return (1u << power) + below(1u << power);
}

/// Mean `mean`, falling off: the least of what a few draws give is small, the greatest rare.
static uint32_t falling(uint32_t mean) { return below(1 + below(4 * mean)); }

static uint32_t draw_size(uint32_t phase) {
  uint32_t kind = below(1000);
  if (phase == 3) return kind < 700 ? 8 + below(57) : 16 + falling(250);  // small only, of other sizes than before
  if (phase == 1) {                                                      // more large ones
    if (kind < 500) return 8 + falling(100);
    if (kind < 800) return logarithmic(8, 12);
    if (kind < 980) return logarithmic(12, 16);
    return logarithmic(16, 20);
  }
  if (kind < 620) return 4 + falling(60);
  if (kind < 880) return 64 + falling(400);
  if (kind < 985) return logarithmic(10, 14);
  return logarithmic(14, 19);
}

static uint32_t draw_life(void) {
  uint32_t kind = below(100);
  uint32_t life = kind < 70 ? falling(100) : kind < 92 ? falling(5000) : falling(30000);
  return life + 1;
}

static void touch(struct object *object, size_t from) {
  if (touches) {
    memset(object->bytes + from, (int)step, object->byte_count - from);
  } else if (object->byte_count > 0) {
    object->bytes[0] = (unsigned char)step;
  }
}

static void end(struct object *object) {
  free(object->bytes);
  live_byte_count -= object->byte_count;
  live_count--;
  operation_count++;
  object->bytes = NULL;
  object->next = unused;
  unused = (uint32_t)(object - objects) + 1;
}

static void begin(uint32_t phase) {
  uint32_t byte_count = draw_size(phase), life = draw_life();
  if (unused == 0) return;
  struct object *object = objects + (unused - 1);
  operation_count++;
  unsigned char *bytes = malloc(byte_count);
  if (bytes == NULL) {
    failure_count++;
    return;
  }
  unused = object->next;
  object->bytes = bytes;
  object->byte_count = byte_count;
  live_byte_count += byte_count;
  live_count++;
  touch(object, 0);
  uint32_t *list = ending + ((step + life) & ((1u << WHEEL_LOG2) - 1));
  object->next = *list;
  *list = (uint32_t)(object - objects) + 1;
}

/// Some allocations grow, as arrays do.
static void resize(void) {
  struct object *object = objects + below(OBJECT_COUNT_MAX);
  uint32_t part = below(16);
  if (object->bytes == NULL || object->byte_count > 1 << 18) return;
  uint32_t byte_count = part < 12 ? object->byte_count + object->byte_count / 2 + 16 : object->byte_count / 2 + 1;
  operation_count++;
  unsigned char *bytes = realloc(object->bytes, byte_count);
  if (bytes == NULL) {
    failure_count++;
    return;
  }
  uint32_t old = object->byte_count;
  object->bytes = bytes;
  object->byte_count = byte_count;
  live_byte_count += byte_count;
  live_byte_count -= old;
  if (byte_count > old) touch(object, old);
}

static void advance(void) {
  uint32_t number = ending[step & ((1u << WHEEL_LOG2) - 1)];
  ending[step & ((1u << WHEEL_LOG2) - 1)] = 0;
  while (number != 0) {
    struct object *object = objects + (number - 1);
    number = object->next;
    end(object);
  }
  step++;
}

EXPORT(trace_start) void trace_start(uint32_t seed, uint32_t touches_all) {
  random_state = 0x9e3779b97f4a7c15 * (seed + 1);
  touches = touches_all;
  memset(ending, 0, sizeof ending);
  for (uint32_t index = 0; index < OBJECT_COUNT_MAX; index++) objects[index] = (struct object){NULL, 0, index + 2};
  objects[OBJECT_COUNT_MAX - 1].next = 0;
  unused = 1;
  step = 0;
}

/// So many steps of a phase: 0 a mixture, 1 with more and larger allocations, 2 one step in ten allocates, 3 small ones only,
/// 4 nearly everything ends, 5 everything ends.
EXPORT(trace_run) void trace_run(uint32_t phase, uint32_t step_count) {
  for (uint32_t count = 0; count < step_count; count++) {
    if (phase < 2 || phase == 3 || (phase == 2 && below(10) == 0)) begin(phase == 2 ? 0 : phase);
    if (phase < 4 && (count & 3) == 0) resize();
    advance();
  }
}

/// Ends all allocations but one of a hundred, or all; each at once, in the order of the table.
EXPORT(trace_end) void trace_end(uint32_t ends_all) {
  memset(ending, 0, sizeof ending);
  for (uint32_t index = 0; index < OBJECT_COUNT_MAX; index++) {
    if (objects[index].bytes != NULL && (below(100) != 0 || ends_all)) end(objects + index);
  }
}

EXPORT(live_byte_count) uint64_t get_live_byte_count(void) { return live_byte_count; }
EXPORT(live_count) uint64_t get_live_count(void) { return live_count; }
EXPORT(operation_count) uint64_t get_operation_count(void) { return operation_count; }
EXPORT(failure_count) uint64_t get_failure_count(void) { return failure_count; }
#ifdef __wasm__
extern unsigned char __heap_base;
EXPORT(heap_base) uint32_t get_heap_base(void) { return (uint32_t)&__heap_base; }
#endif
