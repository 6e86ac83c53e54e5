// Random operands, and the plain double-precision meaning of every weight type, written independently of the kernels.
#include "CTensorKernels.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t seed_state;

static inline uint64_t next_random(void) {  // SplitMix64
  uint64_t z = (seed_state += 0x9e3779b97f4a7c15);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static inline double random_uniform(void) { return (double)(next_random() >> 11) * 0x1p-53; }
static inline float random_normal(void) {
  return (float)(sqrt(-2 * log(random_uniform() + 1e-300)) * cos(6.283185307179586 * random_uniform()));
}

static inline double half_value(uint16_t h) {
  const int e = h >> 10 & 31, m = h & 1023;
  const double v = e == 0 ? ldexp(m, -24) : e == 31 ? (m ? NAN : INFINITY) : ldexp(1024 + m, e - 25);
  return h & 0x8000 ? -v : v;
}

static inline uint16_t half_near(double v) {  // nearest, by search over the 16-bit patterns' order
  uint16_t best = 0;
  const double a = fabs(v);
  uint16_t low = 0, high = 0x7bff;
  while (low < high) {
    const uint16_t middle = (uint16_t)((low + high + 1) / 2);
    if (half_value(middle) <= a) low = middle; else high = (uint16_t)(middle - 1);
  }
  best = low;
  if (low < 0x7bff) {
    const double down = a - half_value(low), up = half_value((uint16_t)(low + 1)) - a;
    if (up < down || (up == down && (low & 1))) best = (uint16_t)(low + 1);
  }
  return (uint16_t)(best | (v < 0 ? 0x8000 : 0));
}

static const uint32_t all_types[] = {
  TK_TYPE_Q4_0, TK_TYPE_Q4_1, TK_TYPE_Q5_0, TK_TYPE_Q5_1, TK_TYPE_Q8_0, TK_TYPE_Q4_K, TK_TYPE_Q6_K, TK_TYPE_F16, TK_TYPE_BF16,
  TK_TYPE_F32};
enum { type_count = sizeof all_types / sizeof all_types[0] };

static inline const char *type_name(uint32_t type) {
  switch (type) {
    case TK_TYPE_F32: return "f32"; case TK_TYPE_F16: return "f16"; case TK_TYPE_BF16: return "bf16";
    case TK_TYPE_Q4_0: return "q4_0"; case TK_TYPE_Q4_1: return "q4_1"; case TK_TYPE_Q5_0: return "q5_0";
    case TK_TYPE_Q5_1: return "q5_1"; case TK_TYPE_Q8_0: return "q8_0"; case TK_TYPE_Q4_K: return "q4_K";
    case TK_TYPE_Q6_K: return "q6_K"; default: return "?";
  }
}

static inline void put_half(uint8_t *p, double v) { const uint16_t h = half_near(v); memcpy(p, &h, 2); }

/// Random weights of about unit size.
static inline void random_weights(uint8_t *w, uint32_t type, ptrdiff_t elements) {
  const ptrdiff_t blocks = elements / tk_block_element_count(type), size = tk_block_byte_count(type);
  for (ptrdiff_t b = 0; b < blocks; b++) {
    uint8_t *p = w + b * size;
    for (ptrdiff_t i = 0; i < size; i++) p[i] = (uint8_t)next_random();
    const double d = 0.02 + 0.1 * random_uniform(), sign = next_random() & 1 ? -1 : 1;
    switch (type) {
      case TK_TYPE_F32: { const float v = random_normal(); memcpy(p, &v, 4); break; }
      case TK_TYPE_F16: put_half(p, random_normal()); break;
      case TK_TYPE_BF16: { const float v = random_normal(); memcpy(p, (const uint8_t *)&v + 2, 2); break; }
      case TK_TYPE_Q4_1: case TK_TYPE_Q5_1: put_half(p, d); put_half(p + 2, -7.5 * d + 0.05 * random_normal()); break;
      case TK_TYPE_Q4_K: put_half(p, d / 30); put_half(p + 2, d / 8); break;
      case TK_TYPE_Q6_K: put_half(p + 208, sign * d / 500); break;
      case TK_TYPE_Q8_0: put_half(p, sign * d / 16); break;
      default: put_half(p, sign * d); break;
    }
  }
}

static inline double half_at(const uint8_t *p) { uint16_t h; memcpy(&h, p, 2); return half_value(h); }

/// Element i of a row.
static inline double weight_at(const uint8_t *row, uint32_t type, ptrdiff_t i) {
  const ptrdiff_t n = tk_block_element_count(type);
  const uint8_t *p = row + i / n * tk_block_byte_count(type);
  const int e = (int)(i % n);
  switch (type) {
    case TK_TYPE_F32: { float v; memcpy(&v, p, 4); return v; }
    case TK_TYPE_F16: return half_at(p);
    case TK_TYPE_BF16: { const uint32_t bits = (uint32_t)(p[0] | p[1] << 8) << 16; float v; memcpy(&v, &bits, 4); return v; }
    case TK_TYPE_Q4_0: return half_at(p) * ((e < 16 ? p[2 + e] & 15 : p[2 + e - 16] >> 4) - 8);
    case TK_TYPE_Q4_1: return half_at(p) * (e < 16 ? p[4 + e] & 15 : p[4 + e - 16] >> 4) + half_at(p + 2);
    case TK_TYPE_Q5_0: {
      const int q = (e < 16 ? p[6 + e] & 15 : p[6 + e - 16] >> 4) | (p[2 + e / 8] >> e % 8 & 1) << 4;
      return half_at(p) * (q - 16);
    }
    case TK_TYPE_Q5_1: {
      const int q = (e < 16 ? p[8 + e] & 15 : p[8 + e - 16] >> 4) | (p[4 + e / 8] >> e % 8 & 1) << 4;
      return half_at(p) * q + half_at(p + 2);
    }
    case TK_TYPE_Q8_0: return half_at(p) * (int8_t)p[2 + e];
    case TK_TYPE_Q4_K: {
      const int sub = e / 32;
      const uint8_t *s = p + 4;
      const int scale = sub < 4 ? s[sub] & 63 : (s[sub + 4] & 15) + 16 * (s[sub - 4] >> 6);
      const int minimum = sub < 4 ? s[sub + 4] & 63 : (s[sub + 4] >> 4) + 16 * (s[sub] >> 6);
      const uint8_t byte = p[16 + e / 64 * 32 + e % 32];
      return half_at(p) * scale * (e / 32 % 2 ? byte >> 4 : byte & 15) - half_at(p + 2) * minimum;
    }
    case TK_TYPE_Q6_K: {
      const int half = e / 128, within = e % 128, quarter = within / 32, l = within % 32;
      const uint8_t low = p[64 * half + quarter % 2 * 32 + l], high = p[128 + 32 * half + l];
      const int q = ((quarter < 2 ? low & 15 : low >> 4) | (high >> 2 * quarter & 3) << 4) - 32;
      return half_at(p + 208) * (int8_t)p[192 + e / 16] * q;
    }
    default: return 0;
  }
}

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
