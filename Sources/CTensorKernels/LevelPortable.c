// The portable level: plain C, vectorised by the compiler for whatever the processor's baseline is (SSE2, NEON).
#include "Internal.h"

#define TK_LANES 4
#define TK_ATTENTION_HEADS 2

#if defined(__aarch64__)
TK_INLINE float tk_half_to_float(uint16_t half) {
  __fp16 value;
  memcpy(&value, &half, 2);
  return (float)value;
}

TK_INLINE uint16_t tk_float_to_half(float value) {
  const __fp16 rounded = (__fp16)value;
  uint16_t half;
  memcpy(&half, &rounded, 2);
  return half;
}
#else
// The exponent is rebased by a multiplication with 2^112, which is exact and handles subnormal halves.
TK_INLINE float tk_half_to_float(uint16_t half) {
  const uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  const uint32_t finite = tk_f32_to_bits(tk_bits_to_f32(magnitude << 13) * 0x1p112f);
  const uint32_t special = 0x7f800000u | (magnitude & 0x3ff) << 13;
  return tk_bits_to_f32(sign | (magnitude >= 0x7c00 ? special : finite));
}

// Round to nearest even: normal halves by adding half a unit of the kept digits to the bits; subnormal ones by adding a
// float whose last digit is 2^-24, the smallest half.
TK_INLINE uint16_t tk_float_to_half(float value) {
  const uint32_t bits = tk_f32_to_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x7f800000) return (uint16_t)(sign | 0x7c00 | (magnitude > 0x7f800000 ? 0x200 : 0));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00);  // rounds to 65536 or more: infinity
  if (magnitude < 0x38800000) {
    return (uint16_t)(sign | (tk_f32_to_bits(tk_bits_to_f32(magnitude) + 0.5f) - 0x3f000000u));
  }
  return (uint16_t)(sign | (magnitude - 0x38000000u + 0xfff + (magnitude >> 13 & 1)) >> 13);
}
#endif

#include "Elementwise.h"
#include "MatmulPortable.h"
#include "Vectors.h"

TK_INLINE tk_vf tk_vf_load_half(const void *p) {
  tk_vf v;
  for (int i = 0; i < TK_LANES; i++) v[i] = tk_half_to_float(tk_load_u16((const uint8_t *)p + 2 * i));
  return v;
}

#include "Attention.h"

static void matmul(
  float *out, const float *x, const void *activations, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  if (tk_is_float_type(type)) {
    tk_columns_float(out, x, w, type, rows, columns_in, columns_out, first, count);
  } else {
    tk_columns_quantized(out, activations, w, type, rows, columns_in, columns_out, first, count);
  }
}

// MARK: Probes

// An operand that the compiler must take from a register, where it may have changed.
#if defined(__x86_64__)
#define TK_IN_REGISTER(v) "+x"(v)
#elif defined(__aarch64__)
#define TK_IN_REGISTER(v) "+w"(v)
#else
#define TK_IN_REGISTER(v) "+m"(v)
#endif
#include "Probes.h"

static ptrdiff_t probe_integer(uint32_t *sum, uint8_t a, int8_t b, ptrdiff_t turns) {
  enum { chains = 4, lanes = 8 };
  typedef int16_t tk_vi16 __attribute__((vector_size(2 * lanes)));
  typedef int32_t tk_vi32 __attribute__((vector_size(4 * lanes)));
  tk_vi16 q = {a, a, a, a, a, a, a, a};
  const tk_vi16 x = {b, b, b, b, b, b, b, b};
  tk_vi32 sums[chains] = {{0}};
  for (ptrdiff_t turn = 0; turn < turns; turn++) {
#pragma clang loop unroll(full)
    for (int c = 0; c < chains; c++) {
      // The product of two constants would be computed once.
      __asm__ volatile("" : TK_IN_REGISTER(q));
      sums[c] += __builtin_convertvector(q, tk_vi32) * __builtin_convertvector(x, tk_vi32);
    }
  }
  uint32_t total = 0;
  for (int c = 0; c < chains; c++) {
    for (int i = 0; i < lanes; i++) total += (uint32_t)sums[c][i];
  }
  *sum = total;
  return 2 * lanes * chains * turns;
}

const tk_functions tk_functions_portable = {
#include "Functions.h"
};
