// What the levels share: the table of functions that a level fills, the layout of quantised activations, block sizes.
#ifndef BINDERY_TENSORKERNELS_INTERNAL_H
#define BINDERY_TENSORKERNELS_INTERNAL_H

#include "CTensorKernels.h"
#include <string.h>

#define TK_INLINE static inline __attribute__((always_inline, unused))

/// One level of instructions: the same functions compiled for other processors.
typedef struct tk_functions {
  void (*quantize_activations)(void *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t);
  void (*matmul)(
    float *, const float *, const void *, const void *, uint32_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t);
  void (*dequantize_rows)(float *, const void *, uint32_t, ptrdiff_t, ptrdiff_t, ptrdiff_t);
  void (*get_rows)(float *, const void *, uint32_t, const int32_t *, ptrdiff_t, ptrdiff_t);
  void (*rms_norm)(float *, const float *, const void *, uint32_t, ptrdiff_t, ptrdiff_t, float);
  void (*layer_norm)(float *, const float *, const void *, const void *, uint32_t, ptrdiff_t, ptrdiff_t, float);
  void (*rope)(float *, const int32_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, float, float, int32_t);
  void (*cache_append)(
    const float *, void *, const int64_t *, const int32_t *, int64_t, int64_t, int64_t, ptrdiff_t, ptrdiff_t, uint32_t);
  void (*attention)(const tk_attention_arguments *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t);
  void (*add)(float *, const float *, const float *, ptrdiff_t);
  void (*mul)(float *, const float *, const float *, ptrdiff_t);
  void (*scale)(float *, const float *, ptrdiff_t, float);
  void (*add_bias)(float *, const float *, const void *, uint32_t, ptrdiff_t, ptrdiff_t);
  void (*silu)(float *, const float *, ptrdiff_t);
  void (*gelu)(float *, const float *, ptrdiff_t);
  void (*gelu_tanh)(float *, const float *, ptrdiff_t);
  void (*silu_mul)(float *, const float *, const float *, ptrdiff_t);
  void (*gelu_tanh_mul)(float *, const float *, const float *, ptrdiff_t);
  void (*softmax)(float *, const float *, ptrdiff_t, ptrdiff_t);
  void (*top_k_steps)(float *, int32_t *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t);
  uint32_t (*probe_read)(const void *, ptrdiff_t, int, ptrdiff_t, ptrdiff_t);
  void (*probe_write)(void *, const void *, const void *, uint32_t, ptrdiff_t, ptrdiff_t);
  ptrdiff_t (*probe_float)(float *, float, float, ptrdiff_t);
  ptrdiff_t (*probe_integer)(uint32_t *, uint8_t, int8_t, ptrdiff_t);
} tk_functions;

extern const tk_functions tk_functions_portable;
#if defined(__x86_64__)
extern const tk_functions tk_functions_avx2;
extern const tk_functions tk_functions_avx512;
#endif

// MARK: Unaligned access

// The address of an operand has any alignment, so every scalar access goes through memcpy, which compiles to one load.
TK_INLINE uint16_t tk_load_u16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
TK_INLINE uint32_t tk_load_u32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
TK_INLINE int32_t tk_load_i32(const void *p) { int32_t v; memcpy(&v, p, 4); return v; }
TK_INLINE int64_t tk_load_i64(const void *p) { int64_t v; memcpy(&v, p, 8); return v; }
TK_INLINE float tk_load_f32(const void *p) { float v; memcpy(&v, p, 4); return v; }
TK_INLINE void tk_store_f32(void *p, float v) { memcpy(p, &v, 4); }
TK_INLINE float tk_bits_to_f32(uint32_t v) { float f; memcpy(&f, &v, 4); return f; }
TK_INLINE uint32_t tk_f32_to_bits(float f) { uint32_t v; memcpy(&v, &f, 4); return v; }

// MARK: Block sizes

/// K is cut into units of 32 inputs, whatever the block of the weight type: the activations have one scale per unit.
#define TK_UNIT 32

/// Bytes of one unit of weights, on average (q4_K and q6_K keep the scales of eight units together).
TK_INLINE ptrdiff_t tk_unit_byte_count(uint32_t type) {
  switch (type) {
    case TK_TYPE_Q4_0: case TK_TYPE_Q4_K: return 18;
    case TK_TYPE_Q4_1: return 20;
    case TK_TYPE_Q5_0: return 22;
    case TK_TYPE_Q5_1: return 24;
    case TK_TYPE_Q8_0: return 34;
    case TK_TYPE_Q6_K: return 27;
    default: return 0;
  }
}

TK_INLINE bool tk_is_float_type(uint32_t type) {
  return type == TK_TYPE_F32 || type == TK_TYPE_F16 || type == TK_TYPE_BF16;
}

// MARK: Quantised activations
//
// One row after another, each tk_activation_row_byte_count(K) long:
//
//   int8 q[K] | f32 (scale, sum)[K / 32] | f32 (sum of inputs 0...15, sum of 16...31)[K / 32] | padding to 64
//
// sum = scale * Σ q of the unit, so that a weight's constant part costs one multiplication per unit.

TK_INLINE ptrdiff_t tk_activation_row_byte_count(ptrdiff_t columns) {
  return (columns + columns / TK_UNIT * 16 + 63) & ~(ptrdiff_t)63;
}

typedef struct tk_activation_row {
  const int8_t *q;
  const uint8_t *pairs;   // f32 (scale, sum) of each unit
  const uint8_t *halves;  // f32 (first half's sum, second half's sum) of each unit
} tk_activation_row;

TK_INLINE tk_activation_row tk_activation_row_at(const void *activations, ptrdiff_t columns, ptrdiff_t row) {
  const uint8_t *base = (const uint8_t *)activations + row * tk_activation_row_byte_count(columns);
  return (tk_activation_row){(const int8_t *)base, base + columns, base + columns + columns / TK_UNIT * 8};
}

#endif
