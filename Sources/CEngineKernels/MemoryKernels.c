#include "Kernels.h"

enum { WORD_COUNT = 1 << 22, LINE_COUNT = 1 << 19, STEP_COUNT = 1 << 16 };

static uint64_t words[WORD_COUNT];
/// A cache line each.
static _Alignas(64) struct { uint32_t next, padding[15]; } lines[LINE_COUNT];
static uint32_t place;

void engine_stream_prepare(void) {
  uint64_t state = 0xDA942042E4DD58B5;
  for (int i = 0; i < WORD_COUNT; i++) words[i] = engine_random(&state);
}

void engine_chase_prepare(void) {
  uint64_t state = 0xC2B2AE3D27D4EB4F;
  // Sattolo's shuffle: one cycle through all lines.
  for (uint32_t i = 0; i < LINE_COUNT; i++) lines[i].next = i;
  for (uint32_t i = LINE_COUNT - 1; i > 0; i--) {
    uint32_t other = (uint32_t)((engine_random(&state) >> 32) % i), next = lines[i].next;
    lines[i].next = lines[other].next;
    lines[other].next = next;
  }
  place = 0;
}

uint64_t engine_stream(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    words[repetition & (WORD_COUNT - 1)] += 1;
    for (int i = 0; i < WORD_COUNT; i++) sum += words[i];
  }
  return sum;
}

uint64_t engine_chase(int32_t repetitions) {
  uint32_t at = place;
  for (int32_t repetition = 0; repetition < repetitions; repetition++)
    for (int i = 0; i < STEP_COUNT; i++) at = lines[at].next;
  place = at;
  return at;
}
