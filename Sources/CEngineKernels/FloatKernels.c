#include "Kernels.h"

typedef float f32x4 __attribute__((vector_size(16)));
typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int8_t i8x8 __attribute__((vector_size(8)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));

enum { MATRIX_SIZE = 64, VALUE_COUNT = 4096, BLOCK_COUNT = 256, BLOCK_VALUES = 32 };

static _Alignas(16) float a[VALUE_COUNT], b[VALUE_COUNT], c[VALUE_COUNT];

/// As in a weight file: a scale in half precision, then the values.
typedef struct { uint16_t scale; int8_t values[BLOCK_VALUES]; } q8_0_block;
/// Value i in the low half of byte i, value 16 + i in its high half, each with 8 added.
typedef struct { uint16_t scale; uint8_t nibbles[BLOCK_VALUES / 2]; } q4_0_block;

static q8_0_block left[BLOCK_COUNT], right[BLOCK_COUNT];
static q4_0_block nibbles[BLOCK_COUNT];

void engine_floats_prepare(void) {
  uint64_t state = 0x853C49E6748FEA9B;
  for (int i = 0; i < VALUE_COUNT; i++) {
    a[i] = (float)(int32_t)((engine_random(&state) >> 32 & 0xFFFF) - 0x8000) * 0x1p-15f;
    b[i] = (float)(int32_t)((engine_random(&state) >> 32 & 0xFFFF) - 0x8000) * 0x1p-15f;
  }
  for (int i = 0; i < BLOCK_COUNT; i++) {
    // Between 2^-7 and 2^-5.
    left[i].scale = (uint16_t)(0x2000 | (engine_random(&state) >> 32 & 0x7FF));
    right[i].scale = (uint16_t)(0x2000 | (engine_random(&state) >> 32 & 0x7FF));
    nibbles[i].scale = (uint16_t)(0x2000 | (engine_random(&state) >> 32 & 0x7FF));
    for (int j = 0; j < BLOCK_VALUES; j++) {
      left[i].values[j] = (int8_t)(engine_random(&state) >> 32);
      right[i].values[j] = (int8_t)(engine_random(&state) >> 32);
    }
    for (int j = 0; j < BLOCK_VALUES / 2; j++) nibbles[i].nibbles[j] = (uint8_t)(engine_random(&state) >> 32);
  }
}

uint64_t engine_matmul(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    int32_t place = repetition * 67 & (VALUE_COUNT - 1);
    a[place] = -a[place];
    for (int i = 0; i < MATRIX_SIZE; i++) {
      float *row = c + i * MATRIX_SIZE;
      for (int j = 0; j < MATRIX_SIZE; j++) row[j] = 0;
      for (int k = 0; k < MATRIX_SIZE; k++) {
        float factor = a[i * MATRIX_SIZE + k];
        for (int j = 0; j < MATRIX_SIZE; j++) row[j] += factor * b[k * MATRIX_SIZE + j];
      }
    }
    sum = engine_mix_float(sum, c[place]);
  }
  return sum;
}

static float total(f32x4 s) { return (s[0] + s[1]) + (s[2] + s[3]); }

uint64_t engine_dot(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    int32_t place = repetition * 67 & (VALUE_COUNT - 1);
    a[place] = -a[place];
    f32x4 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    for (int i = 0; i < VALUE_COUNT; i += 16) {
      s0 += *(const f32x4 *)(a + i) * *(const f32x4 *)(b + i);
      s1 += *(const f32x4 *)(a + i + 4) * *(const f32x4 *)(b + i + 4);
      s2 += *(const f32x4 *)(a + i + 8) * *(const f32x4 *)(b + i + 8);
      s3 += *(const f32x4 *)(a + i + 12) * *(const f32x4 *)(b + i + 12);
    }
    sum = engine_mix_float(sum, total((s0 + s1) + (s2 + s3)));
  }
  return sum;
}

// MARK: Blocks

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
static inline i32x4 dot_i16(i16x8 a, i16x8 b) { return (i32x4)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b); }
#elif defined(__SSE2__)
#include <emmintrin.h>
static inline i32x4 dot_i16(i16x8 a, i16x8 b) { return (i32x4)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#else
static inline i32x4 dot_i16(i16x8 a, i16x8 b) {
  i32x4 r;
  for (int i = 0; i < 4; i++) r[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return r;
}
#endif

/// Half precision to single, exact for all finite values: the exponent is corrected by a product.
static inline float half(uint16_t bits) {
  uint32_t wide = (uint32_t)(bits & 0x7FFF) << 13;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  value *= 0x1p112f;
  return bits & 0x8000 ? -value : value;
}

static inline i16x8 low(i8x16 v) { return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), i16x8); }
static inline i16x8 high(i8x16 v) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15), i16x8);
}

static inline i8x16 load(const void *p) {
  i8x16 v;
  __builtin_memcpy(&v, p, 16);
  return v;
}

static inline i32x4 product(i8x16 a, i8x16 b) { return dot_i16(low(a), low(b)) + dot_i16(high(a), high(b)); }

uint64_t engine_q8_0(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    left[repetition & (BLOCK_COUNT - 1)].scale ^= 1;
    f32x4 s = {0};
    for (int i = 0; i < BLOCK_COUNT; i++) {
      i32x4 p = product(load(left[i].values), load(right[i].values))
        + product(load(left[i].values + 16), load(right[i].values + 16));
      s += __builtin_convertvector(p, f32x4) * (half(left[i].scale) * half(right[i].scale));
    }
    sum = engine_mix_float(sum, total(s));
  }
  return sum;
}

uint64_t engine_q4_0(int32_t repetitions) {
  uint64_t sum = 0;
  for (int32_t repetition = 0; repetition < repetitions; repetition++) {
    nibbles[repetition & (BLOCK_COUNT - 1)].scale ^= 1;
    f32x4 s = {0};
    for (int i = 0; i < BLOCK_COUNT; i++) {
      u8x16 bytes = (u8x16)load(nibbles[i].nibbles);
      i8x16 first = (i8x16)(bytes & 15) - 8, second = (i8x16)(bytes >> 4) - 8;
      i32x4 p = product(first, load(right[i].values)) + product(second, load(right[i].values + 16));
      s += __builtin_convertvector(p, f32x4) * (half(nibbles[i].scale) * half(right[i].scale));
    }
    sum = engine_mix_float(sum, total(s));
  }
  return sum;
}
