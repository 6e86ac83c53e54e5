// SIMD128 types and the instructions that Swift's SIMD types do not express.
//
// Swift sees these as SIMD4<Float>, SIMD16<Int8> and so on, and compiles their + - * & | ^ to one instruction each.
// Conversions, widening, narrowing and dot products it would compile to scalar code: they are spelled here, one wasm
// instruction per function, named after the instruction.
#ifndef BINDERY_GUEST_SIMD_H
#define BINDERY_GUEST_SIMD_H

#include <stdint.h>

typedef float f32x4 __attribute__((vector_size(16)));
typedef int8_t i8x16 __attribute__((vector_size(16)));
typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

#define GUEST_INLINE static inline __attribute__((always_inline, unused))

GUEST_INLINE i8x16 i8x16_from_f32x4(f32x4 a) { return (i8x16)a; }
GUEST_INLINE i8x16 i8x16_from_i32x4(i32x4 a) { return (i8x16)a; }
GUEST_INLINE f32x4 f32x4_from_i8x16(i8x16 a) { return (f32x4)a; }
GUEST_INLINE f32x4 f32x4_from_i32x4(i32x4 a) { return (f32x4)a; }
GUEST_INLINE i32x4 i32x4_from_i8x16(i8x16 a) { return (i32x4)a; }
GUEST_INLINE i32x4 i32x4_from_f32x4(f32x4 a) { return (i32x4)a; }
GUEST_INLINE i16x8 i16x8_from_i8x16(i8x16 a) { return (i16x8)a; }

GUEST_INLINE f32x4 f32x4_splat(float a) { return (f32x4){a, a, a, a}; }
GUEST_INLINE i32x4 i32x4_splat(int32_t a) { return (i32x4){a, a, a, a}; }
GUEST_INLINE i8x16 i8x16_splat(int8_t a) { return (i8x16){a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a}; }
GUEST_INLINE f32x4 f32x4_abs(f32x4 a) { return __builtin_elementwise_abs(a); }
GUEST_INLINE f32x4 f32x4_sqrt(f32x4 a) { return __builtin_elementwise_sqrt(a); }
GUEST_INLINE f32x4 f32x4_nearest(f32x4 a) { return __builtin_wasm_nearest_f32x4(a); }
GUEST_INLINE f32x4 f32x4_min(f32x4 a, f32x4 b) { return __builtin_wasm_min_f32x4(a, b); }
GUEST_INLINE f32x4 f32x4_max(f32x4 a, f32x4 b) { return __builtin_wasm_max_f32x4(a, b); }
/// a * b + c, rounded once or twice as the engine likes.
GUEST_INLINE f32x4 f32x4_madd(f32x4 a, f32x4 b, f32x4 c) { return __builtin_wasm_relaxed_madd_f32x4(a, b, c); }
GUEST_INLINE f32x4 f32x4_convert(i32x4 a) { return __builtin_convertvector(a, f32x4); }
GUEST_INLINE i32x4 i32x4_truncate(f32x4 a) { return __builtin_wasm_trunc_saturate_s_i32x4_f32x4(a); }
/// Bits of `a` where the mask is one, of `b` where it is zero.
GUEST_INLINE f32x4 f32x4_select(i32x4 mask, f32x4 a, f32x4 b) {
  return (f32x4)__builtin_wasm_bitselect((i32x4)a, (i32x4)b, mask);
}
GUEST_INLINE i32x4 f32x4_less(f32x4 a, f32x4 b) { return a < b; }

GUEST_INLINE i32x4 i32x4_shift_left(i32x4 a, int count) { return (i32x4)((u32x4)a << count); }
GUEST_INLINE i32x4 i32x4_shift_right(i32x4 a, int count) { return a >> count; }
GUEST_INLINE i32x4 i32x4_shift_right_unsigned(i32x4 a, int count) { return (i32x4)((u32x4)a >> count); }
GUEST_INLINE i8x16 i8x16_shift_right_unsigned(i8x16 a, int count) { return (i8x16)((u8x16)a >> count); }
GUEST_INLINE i8x16 i8x16_shift_left(i8x16 a, int count) { return (i8x16)((u8x16)a << count); }
GUEST_INLINE i8x16 i8x16_max(i8x16 a, i8x16 b) { return __builtin_elementwise_max(a, b); }
GUEST_INLINE i16x8 i16x8_narrow(i32x4 a, i32x4 b) { return __builtin_wasm_narrow_s_i16x8_i32x4(a, b); }
GUEST_INLINE i8x16 i8x16_narrow(i16x8 a, i16x8 b) { return __builtin_wasm_narrow_s_i8x16_i16x8(a, b); }
GUEST_INLINE i32x4 i32x4_pairwise_sum(i16x8 a) { return __builtin_wasm_extadd_pairwise_i16x8_s_i32x4(a); }
/// c[i] + sum of the four products a[4i+j] * b[4i+j]. Every byte of `b` must be 0...127: then all engines agree.
GUEST_INLINE i32x4 i32x4_dot_add(i8x16 a, i8x16 b, i32x4 c) {
  return __builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4(a, b, c);
}

#define GUEST_SHUFFLE32(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
GUEST_INLINE i32x4 i32x4_even(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 0, 2, 4, 6); }
GUEST_INLINE i32x4 i32x4_odd(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 1, 3, 5, 7); }
GUEST_INLINE f32x4 f32x4_even(f32x4 a, f32x4 b) { return GUEST_SHUFFLE32(a, b, 0, 2, 4, 6); }
GUEST_INLINE f32x4 f32x4_odd(f32x4 a, f32x4 b) { return GUEST_SHUFFLE32(a, b, 1, 3, 5, 7); }
GUEST_INLINE f32x4 f32x4_interleave_low(f32x4 a, f32x4 b) { return GUEST_SHUFFLE32(a, b, 0, 4, 1, 5); }
GUEST_INLINE f32x4 f32x4_interleave_high(f32x4 a, f32x4 b) { return GUEST_SHUFFLE32(a, b, 2, 6, 3, 7); }
GUEST_INLINE f32x4 f32x4_duplicate_even(f32x4 a) { return GUEST_SHUFFLE32(a, a, 0, 0, 2, 2); }
GUEST_INLINE f32x4 f32x4_duplicate_odd(f32x4 a) { return GUEST_SHUFFLE32(a, a, 1, 1, 3, 3); }
GUEST_INLINE f32x4 f32x4_swap_pairs(f32x4 a) { return GUEST_SHUFFLE32(a, a, 1, 0, 3, 2); }
GUEST_INLINE i32x4 i32x4_interleave_low(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 0, 4, 1, 5); }
GUEST_INLINE i32x4 i32x4_interleave_high(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 2, 6, 3, 7); }
GUEST_INLINE i32x4 i32x4_low_halves(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 0, 1, 4, 5); }
GUEST_INLINE i32x4 i32x4_high_halves(i32x4 a, i32x4 b) { return GUEST_SHUFFLE32(a, b, 2, 3, 6, 7); }
/// The low 16 bits of each 32-bit lane: a's four, then b's four.
GUEST_INLINE i8x16 i16x8_low_halves(i32x4 a, i32x4 b) {
  return (i8x16)__builtin_shufflevector((i16x8)a, (i16x8)b, 0, 2, 4, 6, 8, 10, 12, 14);
}
/// Lane i as bits 31...16 of the 32-bit lane i, zero below: eight f16 become two vectors of shifted bits.
GUEST_INLINE i32x4 i32x4_widen_low(i8x16 a) {
  i16x8 zero = {0};
  return (i32x4)__builtin_shufflevector(zero, (i16x8)a, 0, 8, 1, 9, 2, 10, 3, 11);
}
GUEST_INLINE i32x4 i32x4_widen_high(i8x16 a) {
  i16x8 zero = {0};
  return (i32x4)__builtin_shufflevector(zero, (i16x8)a, 4, 12, 5, 13, 6, 14, 7, 15);
}

/// Bytes 0 and 1, each eight times; bytes 2 and 3 likewise.
GUEST_INLINE i8x16 i8x16_first_two_bytes(i8x16 a) {
  return __builtin_shufflevector(a, a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
}
GUEST_INLINE i8x16 i8x16_last_two_bytes(i8x16 a) {
  return __builtin_shufflevector(a, a, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
}
/// All ones in byte i where its bit i % 8 is set.
GUEST_INLINE i8x16 i8x16_bits_set(i8x16 a) {
  const i8x16 bits = {1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128};
  return (a & bits) == bits;
}
GUEST_INLINE i16x8 i16x8_extend_low(i8x16 a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7), i16x8);
}
GUEST_INLINE i16x8 i16x8_extend_high(i8x16 a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15), i16x8);
}
GUEST_INLINE i16x8 i16x8_extend_low_unsigned(i8x16 a) {
  return __builtin_convertvector(__builtin_shufflevector((u8x16)a, (u8x16)a, 0, 1, 2, 3, 4, 5, 6, 7), i16x8);
}
GUEST_INLINE i16x8 i16x8_extend_high_unsigned(i8x16 a) {
  return __builtin_convertvector(__builtin_shufflevector((u8x16)a, (u8x16)a, 8, 9, 10, 11, 12, 13, 14, 15), i16x8);
}
GUEST_INLINE i32x4 i32x4_extend_low(i16x8 a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, 0, 1, 2, 3), i32x4);
}
GUEST_INLINE i32x4 i32x4_extend_high(i16x8 a) {
  return __builtin_convertvector(__builtin_shufflevector(a, a, 4, 5, 6, 7), i32x4);
}
/// Of the header of a q4_K block, and the same shifted by four: its lanes 1, 2 and 3, and lane 3 of the other.
GUEST_INLINE i8x16 i32x4_header_parts(i8x16 a, i8x16 b) { return (i8x16)GUEST_SHUFFLE32((i32x4)a, (i32x4)b, 1, 2, 3, 7); }
/// Its lanes 1 and 2, twice.
GUEST_INLINE i8x16 i32x4_header_uppers(i8x16 a) { return (i8x16)GUEST_SHUFFLE32((i32x4)a, (i32x4)a, 1, 2, 1, 2); }

// Loads of memory 0. The offset is unsigned and stays inside the object, so that it becomes the instruction's immediate:
// Swift's pointer arithmetic promises less and costs an addition for each load.
GUEST_INLINE i8x16 memory_load_i8x16(const void *pointer, unsigned offset) {
  return *(const i8x16 *)((const char *)pointer + offset);
}
GUEST_INLINE f32x4 memory_load_f32x4(const void *pointer, unsigned offset) {
  return *(const f32x4 *)((const char *)pointer + offset);
}
GUEST_INLINE f32x4 memory_load32_splat(const void *pointer, unsigned offset) {
  return f32x4_splat(*(const float *)((const char *)pointer + offset));
}
GUEST_INLINE i8x16 memory_load32_splat_i8x16(const void *pointer, unsigned offset) {
  return (i8x16)i32x4_splat(*(const int32_t *)((const char *)pointer + offset));
}
/// The 32 bits at the address become lane `lane` of the vector.
GUEST_INLINE f32x4 memory_load32_lane(const void *pointer, unsigned offset, int lane, f32x4 vector) {
  vector[lane] = *(const float *)((const char *)pointer + offset);
  return vector;
}

#endif
