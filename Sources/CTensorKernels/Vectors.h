// One vector of TK_LANES floats, in the compiler's vector extension: 4, 8 or 16 lanes by level.
// The level defines TK_LANES, and tk_vf_load_half for its f16 conversion.
#ifndef BINDERY_TENSORKERNELS_VECTORS_H
#define BINDERY_TENSORKERNELS_VECTORS_H

#include "Internal.h"

typedef float tk_vf __attribute__((vector_size(4 * TK_LANES)));
typedef float tk_v4 __attribute__((vector_size(16)));
typedef uint16_t tk_vu16 __attribute__((vector_size(2 * TK_LANES)));
typedef uint32_t tk_vu32 __attribute__((vector_size(4 * TK_LANES)));

TK_INLINE tk_vf tk_vf_load(const void *p) { tk_vf v; memcpy(&v, p, sizeof v); return v; }
TK_INLINE void tk_vf_store(void *p, tk_vf v) { memcpy(p, &v, sizeof v); }

/// x in every lane. (Not zero + x: the compiler must keep that addition, for the sake of -0.)
TK_INLINE tk_vf tk_vf_fill(float x) {
#if TK_LANES == 16
  return (tk_vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif TK_LANES == 8
  return (tk_vf){x, x, x, x, x, x, x, x};
#else
  return (tk_vf){x, x, x, x};
#endif
}

/// a * b + c, fused where the level has it.
TK_INLINE tk_vf tk_vf_multiply_add(tk_vf a, tk_vf b, tk_vf c) { return a * b + c; }

TK_INLINE tk_vf tk_vf_load_bf16(const void *p) {
  tk_vu16 h;
  memcpy(&h, p, sizeof h);
  const tk_vu32 bits = __builtin_convertvector(h, tk_vu32) << 16;
  tk_vf v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/// The lanes added down to four.
TK_INLINE tk_v4 tk_vf_fold(tk_vf v) {
#if TK_LANES == 16
  typedef float v8 __attribute__((vector_size(32)));
  const v8 a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)
    + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
#elif TK_LANES == 8
  return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
#else
  return v;
#endif
}

/// The sums of the lanes of four vectors.
TK_INLINE tk_v4 tk_vf_sums(tk_vf a, tk_vf b, tk_vf c, tk_vf d) {
  const tk_v4 w = tk_vf_fold(a), x = tk_vf_fold(b), y = tk_vf_fold(c), z = tk_vf_fold(d);
  const tk_v4 wx = __builtin_shufflevector(w, x, 0, 4, 1, 5) + __builtin_shufflevector(w, x, 2, 6, 3, 7);
  const tk_v4 yz = __builtin_shufflevector(y, z, 0, 4, 1, 5) + __builtin_shufflevector(y, z, 2, 6, 3, 7);
  return __builtin_shufflevector(wx, yz, 0, 1, 4, 5) + __builtin_shufflevector(wx, yz, 2, 3, 6, 7);
}

TK_INLINE float tk_vf_sum(tk_vf a) {
  const tk_v4 v = tk_vf_fold(a);
  return (v[0] + v[2]) + (v[1] + v[3]);
}

#endif
