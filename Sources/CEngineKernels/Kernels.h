// What Dispatch.c knows of the kernels.
#pragma once
#include "CEngineKernels.h"

// Products and sums are rounded apart, as WebAssembly does: on every machine the same results.
#pragma STDC FP_CONTRACT OFF

void engine_list_prepare(void);
uint64_t engine_list(int32_t repetitions);
void engine_matrix_prepare(void);
uint64_t engine_matrix(int32_t repetitions);
void engine_text_prepare(void);
uint64_t engine_state_machine(int32_t repetitions);
uint64_t engine_crc(int32_t repetitions);
uint64_t engine_sort(int32_t repetitions);
uint64_t engine_xorshift(int32_t repetitions);
uint64_t engine_fibonacci(int32_t repetitions);
void engine_floats_prepare(void);
uint64_t engine_matmul(int32_t repetitions);
uint64_t engine_dot(int32_t repetitions);
uint64_t engine_q8_0(int32_t repetitions);
uint64_t engine_q4_0(int32_t repetitions);
void engine_stream_prepare(void);
uint64_t engine_stream(int32_t repetitions);
void engine_chase_prepare(void);
uint64_t engine_chase(int32_t repetitions);

static inline uint64_t engine_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static inline uint64_t engine_mix(uint64_t sum, uint64_t value) { return (sum << 5 | sum >> 59) ^ value; }

static inline uint64_t engine_mix_float(uint64_t sum, float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return engine_mix(sum, bits);
}
