// Operations on one value that C has no operator for.
#include <math.h>

INLINE uint16_t load_u16(const uint8_t *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }
INLINE uint32_t load_u32(const uint8_t *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
INLINE uint64_t load_u64(const uint8_t *p) { uint64_t v; __builtin_memcpy(&v, p, 8); return v; }
INLINE uint8_t load_u8(const uint8_t *p) { return *p; }
INLINE float load_f32(const uint8_t *p) { float v; __builtin_memcpy(&v, p, 4); return v; }
INLINE double load_f64(const uint8_t *p) { double v; __builtin_memcpy(&v, p, 8); return v; }
INLINE v128 load_v128(const uint8_t *p) { v128 v; __builtin_memcpy(&v, p, 16); return v; }
INLINE void store_u8(uint8_t *p, uint8_t v) { *p = v; }
INLINE void store_u16(uint8_t *p, uint16_t v) { __builtin_memcpy(p, &v, 2); }
INLINE void store_u32(uint8_t *p, uint32_t v) { __builtin_memcpy(p, &v, 4); }
INLINE void store_u64(uint8_t *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }
INLINE void store_f32(uint8_t *p, float v) { __builtin_memcpy(p, &v, 4); }
INLINE void store_f64(uint8_t *p, double v) { __builtin_memcpy(p, &v, 8); }
INLINE void store_v128(uint8_t *p, v128 v) { __builtin_memcpy(p, &v, 16); }

INLINE uint32_t bits_of_float(float v) { uint32_t r; __builtin_memcpy(&r, &v, 4); return r; }
INLINE uint64_t bits_of_double(double v) { uint64_t r; __builtin_memcpy(&r, &v, 8); return r; }
INLINE float float_bits(uint32_t v) { float r; __builtin_memcpy(&r, &v, 4); return r; }
INLINE double double_bits(uint64_t v) { double r; __builtin_memcpy(&r, &v, 8); return r; }

INLINE i32 count_leading_zeros_i32(i32 v) { return v == 0 ? 32 : (i32)__builtin_clz(v); }
INLINE i32 count_trailing_zeros_i32(i32 v) { return v == 0 ? 32 : (i32)__builtin_ctz(v); }
INLINE i64 count_leading_zeros_i64(i64 v) { return v == 0 ? 64 : (i64)__builtin_clzll(v); }
INLINE i64 count_trailing_zeros_i64(i64 v) { return v == 0 ? 64 : (i64)__builtin_ctzll(v); }

// A result of rounding is an arithmetic NaN if the operand is NaN: library functions may pass a signalling one through.
INLINE float quiet_f32(float v) { return v != v ? v + v : v; }
INLINE double quiet_f64(double v) { return v != v ? v + v : v; }

// NaN if either is; -0 below +0.
#define MINIMUM_MAXIMUM(type, bits_type, bits_of, of_bits)                                                                \
  INLINE type minimum_##type(type a, type b) {                                                                     \
    if (a != a || b != b) return a + b;                                                                                   \
    return a == b ? of_bits(bits_of(a) | bits_of(b)) : a < b ? a : b;                                                     \
  }                                                                                                                       \
  INLINE type maximum_##type(type a, type b) {                                                                     \
    if (a != a || b != b) return a + b;                                                                                   \
    return a == b ? of_bits(bits_of(a) & bits_of(b)) : a > b ? a : b;                                                     \
  }
MINIMUM_MAXIMUM(f32, uint32_t, bits_of_float, float_bits)
MINIMUM_MAXIMUM(f64, uint64_t, bits_of_double, double_bits)
#undef MINIMUM_MAXIMUM
