#include "NativeKernels.h"

typedef float f32x4 __attribute__((vector_size(16)));
typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef int8_t i8x8 __attribute__((vector_size(8)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef f32x4 f32x4_u __attribute__((aligned(4)));

float dot(const float *a, const float *b, int32_t count) {
  f32x4 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  for (int32_t i = 0; i < count; i += 16) {
    s0 += *(const f32x4_u *)(a + i) * *(const f32x4_u *)(b + i);
    s1 += *(const f32x4_u *)(a + i + 4) * *(const f32x4_u *)(b + i + 4);
    s2 += *(const f32x4_u *)(a + i + 8) * *(const f32x4_u *)(b + i + 8);
    s3 += *(const f32x4_u *)(a + i + 12) * *(const f32x4_u *)(b + i + 12);
  }
  f32x4 s = (s0 + s1) + (s2 + s3);
  return (s[0] + s[1]) + (s[2] + s[3]);
}

uint64_t xorshift(uint64_t seed, int32_t count) {
  uint64_t x = seed, sum = 0;
  for (int32_t i = 0; i < count; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    sum += x;
  }
  return sum;
}

#if defined(__wasm__)
#include <wasm_simd128.h>
static inline i32x4 dot_i16(i16x8 a, i16x8 b) { return (i32x4)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)b); }
#elif defined(__x86_64__)
static inline i32x4 dot_i16(i16x8 a, i16x8 b) { return (i32x4)__builtin_ia32_pmaddwd128(a, b); }
#else
static inline i32x4 dot_i16(i16x8 a, i16x8 b) {
  i32x4 r;
  for (int i = 0; i < 4; i++) r[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
  return r;
}
#endif

static inline i16x8 widen(const int8_t *p) {
  i8x8 v;
  __builtin_memcpy(&v, p, 8);
  return __builtin_convertvector(v, i16x8);
}

float q8_dot(const q8_block *a, const q8_block *b, int32_t block_count) {
  f32x4 sum = {0};
  for (int32_t i = 0; i < block_count; i++) {
    i32x4 s = dot_i16(widen(a[i].values), widen(b[i].values)) + dot_i16(widen(a[i].values + 8), widen(b[i].values + 8))
      + dot_i16(widen(a[i].values + 16), widen(b[i].values + 16)) + dot_i16(widen(a[i].values + 24), widen(b[i].values + 24));
    sum += __builtin_convertvector(s, f32x4) * (a[i].scale * b[i].scale);
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

int32_t sort(int32_t *values, int32_t count) {
  int32_t swaps = 0;
  for (int32_t end = count - 1; end > 0; end--)
    for (int32_t i = 0; i < end; i++)
      if (values[i] > values[i + 1]) {
        int32_t v = values[i];
        values[i] = values[i + 1];
        values[i + 1] = v;
        swaps++;
      }
  return swaps;
}

int32_t fibonacci(int32_t n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
