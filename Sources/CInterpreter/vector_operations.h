// Operations on vectors that C has no operator for. Everything is written in the compiler's vector extensions; where a set
// has a better instruction (BINDERY_AVX2) it is named.

INLINE v128 splat_u8(uint32_t v) { uint8_t e = (uint8_t)v; return (v128)(u8x16){e, e, e, e, e, e, e, e, e, e, e, e, e, e, e, e}; }
INLINE v128 splat_u16(uint32_t v) { uint16_t e = (uint16_t)v; return (v128)(u16x8){e, e, e, e, e, e, e, e}; }
INLINE v128 splat_u32(uint32_t v) { return (v128)(u32x4){v, v, v, v}; }
INLINE v128 splat_u64(uint64_t v) { return (v128)(u64x2){v, v}; }

// One lane of v from a vector that has the value in every lane. The lane is known only now: to store it into a spilled vector
// and to load that again would wait for the store (some 13 cycles). A window of 16 bytes over a row puts the mask in place.
static const uint8_t lane_rows[4][32] = {
    {[16] = 0xFF},
    {[16] = 0xFF, [17] = 0xFF},
    {[16] = 0xFF, [17] = 0xFF, [18] = 0xFF, [19] = 0xFF},
    {[16] = 0xFF, [17] = 0xFF, [18] = 0xFF, [19] = 0xFF, [20] = 0xFF, [21] = 0xFF, [22] = 0xFF, [23] = 0xFF},
};
INLINE v128 insert_lane(v128 v, v128 value, size_t lane, unsigned log2) {
  v128 mask = load_v128(&lane_rows[log2][16 - (lane << log2)]);
  return (v & ~mask) | (value & mask);
}
INLINE v128 splat_f32(float v) { return (v128)(f32x4){v, v, v, v}; }
INLINE v128 splat_f64(double v) { return (v128)(f64x2){v, v}; }

#define LOAD_HALF(type) INLINE type load_##type(const uint8_t *p) { type v; __builtin_memcpy(&v, p, 8); return v; }
LOAD_HALF(i8x8) LOAD_HALF(u8x8) LOAD_HALF(i16x4) LOAD_HALF(u16x4) LOAD_HALF(i32x2) LOAD_HALF(u32x2)
#undef LOAD_HALF

// Shift counts are already below the lane width.
#define SHIFTS(lane, ulane, element)                                                                                      \
  INLINE ulane shl_##lane(ulane a, uint32_t n) { return a << (ulane)((ulane){0} + (element)n); }                   \
  INLINE lane shr_s_##lane(lane a, uint32_t n) { return a >> (lane)((ulane){0} + (element)n); }                    \
  INLINE ulane shr_u_##lane(ulane a, uint32_t n) { return a >> (ulane)((ulane){0} + (element)n); }
#if BINDERY_AVX2
// One instruction each, where the compiler's own choice moves every lane's count.
INLINE u16x8 shl_i16x8(u16x8 a, uint32_t n) { return (u16x8)_mm_sll_epi16((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE i16x8 shr_s_i16x8(i16x8 a, uint32_t n) { return (i16x8)_mm_sra_epi16((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE u16x8 shr_u_i16x8(u16x8 a, uint32_t n) { return (u16x8)_mm_srl_epi16((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE u32x4 shl_i32x4(u32x4 a, uint32_t n) { return (u32x4)_mm_sll_epi32((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE i32x4 shr_s_i32x4(i32x4 a, uint32_t n) { return (i32x4)_mm_sra_epi32((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE u32x4 shr_u_i32x4(u32x4 a, uint32_t n) { return (u32x4)_mm_srl_epi32((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE u64x2 shl_i64x2(u64x2 a, uint32_t n) { return (u64x2)_mm_sll_epi64((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE u64x2 shr_u_i64x2(u64x2 a, uint32_t n) { return (u64x2)_mm_srl_epi64((__m128i)a, _mm_cvtsi32_si128((int)n)); }
INLINE i64x2 shr_s_i64x2(i64x2 a, uint32_t n) { return (i64x2){a[0] >> n, a[1] >> n}; }
INLINE u8x16 shl_i8x16(u8x16 a, uint32_t n) {
  return (u8x16)shl_i16x8((u16x8)a, n) & (u8x16)splat_u8(0xFFu << n);
}
INLINE u8x16 shr_u_i8x16(u8x16 a, uint32_t n) {
  return (u8x16)shr_u_i16x8((u16x8)a, n) & (u8x16)splat_u8(0xFFu >> n);
}
INLINE i8x16 shr_s_i8x16(i8x16 a, uint32_t n) {
  i8x16 sign = (i8x16)splat_u8(0x80u >> n);
  return ((i8x16)shr_u_i8x16((u8x16)a, n) ^ sign) - sign;
}
#else
SHIFTS(i8x16, u8x16, uint8_t)
SHIFTS(i16x8, u16x8, uint16_t)
SHIFTS(i32x4, u32x4, uint32_t)
SHIFTS(i64x2, u64x2, uint64_t)
#endif
#undef SHIFTS

/// lanes[i] below 16 selects a byte, 16 and above give zero.
INLINE u8x16 swizzle(u8x16 a, u8x16 lanes) {
#if BINDERY_AVX2
  return (u8x16)_mm_shuffle_epi8((__m128i)a, _mm_adds_epu8((__m128i)lanes, _mm_set1_epi8(0x70)));
#else
  u8x16 r;
  for (int i = 0; i < 16; i++) r[i] = lanes[i] < 16 ? a[lanes[i]] : 0;
  return r;
#endif
}
/// lanes[i] is below 16 or 0x80, which gives zero.
INLINE u8x16 select_bytes(u8x16 a, u8x16 lanes) {
#if BINDERY_AVX2
  return (u8x16)_mm_shuffle_epi8((__m128i)a, (__m128i)lanes);
#else
  return swizzle(a, lanes);
#endif
}

INLINE i32 bitmask_i8x16(i8x16 a) {
#if defined(__x86_64__)
  return (i32)__builtin_ia32_pmovmskb128(a);
#else
  i32 r = 0;
  for (int i = 0; i < 16; i++) r |= (i32)(a[i] < 0) << i;
  return r;
#endif
}
#define BITMASK(lane, count)                                                                                              \
  INLINE i32 bitmask_##lane(lane a) {                                                                              \
    i32 r = 0;                                                                                                            \
    for (int i = 0; i < count; i++) r |= (i32)(a[i] < 0) << i;                                                            \
    return r;                                                                                                             \
  }
BITMASK(i16x8, 8) BITMASK(i32x4, 4) BITMASK(i64x2, 2)
#undef BITMASK
#define ALL_TRUE(lane)                                                                                                    \
  INLINE i32 all_true_##lane(lane a) { u64x2 zero = (u64x2)(a == 0); return (zero[0] | zero[1]) == 0; }
ALL_TRUE(i8x16) ALL_TRUE(i16x8) ALL_TRUE(i32x4) ALL_TRUE(i64x2)
#undef ALL_TRUE

INLINE u8x16 average_u8x16(u8x16 a, u8x16 b) { return (a | b) - (((a ^ b) >> 1) & (uint8_t)0x7F); }
INLINE u16x8 average_u16x8(u16x8 a, u16x8 b) { return (a | b) - (((a ^ b) >> 1) & (uint16_t)0x7FFF); }

INLINE u8x16 popcount_u8x16(u8x16 a) {
  a = a - ((a >> 1) & (uint8_t)0x55);
  a = (a & (uint8_t)0x33) + ((a >> 2) & (uint8_t)0x33);
  return (a + (a >> 4)) & (uint8_t)0x0F;
}

// Lanes widened: the low half, the high half, sums of neighbours.
#define WIDEN(from, to, low, high, even, odd)                                                                             \
  INLINE to extend_low_##from(from a) { return __builtin_convertvector(__builtin_shufflevector(a, a, low), to); }  \
  INLINE to extend_high_##from(from a) { return __builtin_convertvector(__builtin_shufflevector(a, a, high), to); } \
  INLINE to pairwise_##from(from a) {                                                                              \
    return __builtin_convertvector(__builtin_shufflevector(a, a, even), to)                                               \
      + __builtin_convertvector(__builtin_shufflevector(a, a, odd), to);                                                  \
  }
#define LANES(...) __VA_ARGS__
#define WIDEN_16(from, to)                                                                                                \
  WIDEN(from, to, LANES(0, 1, 2, 3, 4, 5, 6, 7), LANES(8, 9, 10, 11, 12, 13, 14, 15), LANES(0, 2, 4, 6, 8, 10, 12, 14),    \
        LANES(1, 3, 5, 7, 9, 11, 13, 15))
#define WIDEN_8(from, to) WIDEN(from, to, LANES(0, 1, 2, 3), LANES(4, 5, 6, 7), LANES(0, 2, 4, 6), LANES(1, 3, 5, 7))
#define WIDEN_4(from, to) WIDEN(from, to, LANES(0, 1), LANES(2, 3), LANES(0, 2), LANES(1, 3))
WIDEN_16(i8x16, i16x8)
WIDEN_16(u8x16, u16x8)
WIDEN_8(i16x8, i32x4)
WIDEN_8(u16x8, u32x4)
WIDEN_4(i32x4, i64x2)
WIDEN_4(u32x4, u64x2)
#undef WIDEN_4
#undef WIDEN_8
#undef WIDEN_16
#undef LANES
#undef WIDEN

// Narrowing saturates; the operands are signed.
#if defined(__x86_64__)
INLINE i8x16 narrow_i16x8_s(i16x8 a, i16x8 b) { return (i8x16)__builtin_ia32_packsswb128(a, b); }
INLINE i8x16 narrow_i16x8_u(i16x8 a, i16x8 b) { return (i8x16)__builtin_ia32_packuswb128(a, b); }
INLINE i16x8 narrow_i32x4_s(i32x4 a, i32x4 b) { return (i16x8)__builtin_ia32_packssdw128(a, b); }
#else
INLINE i8x16 narrow_i16x8_s(i16x8 a, i16x8 b) {
  i8x16 r;
  for (int i = 0; i < 16; i++) { int v = i < 8 ? a[i] : b[i - 8]; r[i] = (int8_t)(v < -128 ? -128 : v > 127 ? 127 : v); }
  return r;
}
INLINE u8x16 narrow_i16x8_u(i16x8 a, i16x8 b) {
  u8x16 r;
  for (int i = 0; i < 16; i++) { int v = i < 8 ? a[i] : b[i - 8]; r[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }
  return r;
}
INLINE i16x8 narrow_i32x4_s(i32x4 a, i32x4 b) {
  i16x8 r;
  for (int i = 0; i < 8; i++) { int v = i < 4 ? a[i] : b[i - 4]; r[i] = (int16_t)(v < -32768 ? -32768 : v > 32767 ? 32767 : v); }
  return r;
}
#endif
INLINE u16x8 narrow_i32x4_u(i32x4 a, i32x4 b) {
#if BINDERY_AVX2
  return (u16x8)_mm_packus_epi32((__m128i)a, (__m128i)b);
#else
  u16x8 r;
  for (int i = 0; i < 8; i++) { int v = i < 4 ? a[i] : b[i - 4]; r[i] = (uint16_t)(v < 0 ? 0 : v > 65535 ? 65535 : v); }
  return r;
#endif
}

INLINE i32x4 dot_i16x8(i16x8 a, i16x8 b) {
#if defined(__x86_64__)
  return (i32x4)__builtin_ia32_pmaddwd128(a, b);
#else
  u32x4 low = (u32x4)(extend_low_i16x8(a) * extend_low_i16x8(b)), high = (u32x4)(extend_high_i16x8(a) * extend_high_i16x8(b));
  return (i32x4)(__builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7));
#endif
}

/// (a * b + 2^14) >> 15, saturated: only -2^15 * -2^15 does.
INLINE i16x8 q15mulr(i16x8 a, i16x8 b) {
#if BINDERY_AVX2
  i16x8 r = (i16x8)_mm_mulhrs_epi16((__m128i)a, (__m128i)b);
  return r ^ (i16x8)(r == (int16_t)INT16_MIN);
#else
  i16x8 r;
  for (int i = 0; i < 8; i++) {
    int32_t v = ((int32_t)a[i] * b[i] + 0x4000) >> 15;
    r[i] = (int16_t)(v > INT16_MAX ? INT16_MAX : v);
  }
  return r;
#endif
}

/// Pairs of products of signed bytes of a and unsigned bytes of b, added and saturated to 16 bits.
INLINE i16x8 relaxed_dot(i8x16 a, i8x16 b) {
#if BINDERY_AVX2
  return (i16x8)_mm_maddubs_epi16((__m128i)b, (__m128i)a);
#else
  i16x8 r;
  for (int i = 0; i < 8; i++) {
    int32_t v = (int32_t)a[2 * i] * (uint8_t)b[2 * i] + (int32_t)a[2 * i + 1] * (uint8_t)b[2 * i + 1];
    r[i] = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
  }
  return r;
#endif
}

/// Quadruples of those products, added to c.
INLINE u32x4 relaxed_dot_add(i8x16 a, i8x16 b, u32x4 c) {
#if BINDERY_AVX2
  return c + (u32x4)_mm_madd_epi16((__m128i)relaxed_dot(a, b), _mm_set1_epi16(1));
#else
  return c + (u32x4)pairwise_i16x8(relaxed_dot(a, b));
#endif
}

// NaN if either lane is, quiet; -0 below +0.
#define MINIMUM_MAXIMUM(lane, ulane, ilane)                                                                               \
  INLINE lane minimum_##lane(lane a, lane b) {                                                                     \
    ilane less = a < b, greater = b < a, unordered = (a != a) | (b != b);                                                 \
    ilane chosen = (less & (ilane)a) | (greater & (ilane)b) | (~(less | greater) & ((ilane)a | (ilane)b));                \
    return (lane)((chosen & ~unordered) | ((ilane)(a + b) & unordered));                                                  \
  }                                                                                                                       \
  INLINE lane maximum_##lane(lane a, lane b) {                                                                     \
    ilane less = a < b, greater = b < a, unordered = (a != a) | (b != b);                                                 \
    ilane chosen = (greater & (ilane)a) | (less & (ilane)b) | (~(less | greater) & ((ilane)a & (ilane)b));                \
    return (lane)((chosen & ~unordered) | ((ilane)(a + b) & unordered));                                                  \
  }                                                                                                                       \
  INLINE lane pseudo_minimum_##lane(lane a, lane b) {                                                              \
    ilane less = b < a;                                                                                                   \
    return (lane)((less & (ilane)b) | (~less & (ilane)a));                                                                \
  }                                                                                                                       \
  INLINE lane pseudo_maximum_##lane(lane a, lane b) {                                                              \
    ilane less = a < b;                                                                                                   \
    return (lane)((less & (ilane)b) | (~less & (ilane)a));                                                                \
  }                                                                                                                       \
  INLINE lane quiet_##lane(lane v) {                                                                               \
    ilane unordered = v != v;                                                                                             \
    return (lane)(((ilane)v & ~unordered) | ((ilane)(v + v) & unordered));                                                \
  }
MINIMUM_MAXIMUM(f32x4, u32x4, i32x4)
MINIMUM_MAXIMUM(f64x2, u64x2, i64x2)
#undef MINIMUM_MAXIMUM

#if BINDERY_AVX2
INLINE f32x4 multiply_add_f32x4(f32x4 a, f32x4 b, f32x4 c) { return (f32x4)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c); }
INLINE f64x2 multiply_add_f64x2(f64x2 a, f64x2 b, f64x2 c) { return (f64x2)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c); }
#elif defined(__aarch64__)
INLINE f32x4 multiply_add_f32x4(f32x4 a, f32x4 b, f32x4 c) { return __builtin_elementwise_fma(a, b, c); }
INLINE f64x2 multiply_add_f64x2(f64x2 a, f64x2 b, f64x2 c) { return __builtin_elementwise_fma(a, b, c); }
#else
INLINE f32x4 multiply_add_f32x4(f32x4 a, f32x4 b, f32x4 c) { f32x4 product = a * b; return product + c; }
INLINE f64x2 multiply_add_f64x2(f64x2 a, f64x2 b, f64x2 c) { f64x2 product = a * b; return product + c; }
#endif

INLINE int32_t truncate_lane_s(double v) {
  return v != v ? 0 : v <= -2147483648.0 ? INT32_MIN : v >= 2147483647.0 ? INT32_MAX : (int32_t)v;
}
INLINE uint32_t truncate_lane_u(double v) {
  return !(v > 0) ? 0 : v >= 4294967295.0 ? UINT32_MAX : (uint32_t)v;
}
INLINE i32x4 truncate_sat_s(f32x4 a) {
#if defined(__x86_64__)
  // cvttps2dq gives INT32_MIN for everything out of range: lanes at or above 2^31 become INT32_MAX, NaN 0.
  i32x4 r = (i32x4)__builtin_ia32_cvttps2dq(a), large = a >= 0x1p31f, ordered = a == a;
  return (r ^ large) & ordered;
#else
  return (i32x4){truncate_lane_s(a[0]), truncate_lane_s(a[1]), truncate_lane_s(a[2]), truncate_lane_s(a[3])};
#endif
}
INLINE u32x4 truncate_sat_u(f32x4 a) {
  return (u32x4){truncate_lane_u(a[0]), truncate_lane_u(a[1]), truncate_lane_u(a[2]), truncate_lane_u(a[3])};
}
INLINE i32x4 truncate_sat_zero_s(f64x2 a) { return (i32x4){truncate_lane_s(a[0]), truncate_lane_s(a[1]), 0, 0}; }
INLINE u32x4 truncate_sat_zero_u(f64x2 a) { return (u32x4){truncate_lane_u(a[0]), truncate_lane_u(a[1]), 0, 0}; }
