// The AVX2 level: avx2, fma, f16c (Haswell, Zen and later).
//
// Products with quantised weights put one weight row in each of the 8 lanes, as LevelAVX512.c explains. The integer product is
// vpmaddubsw (unsigned weights times signed activations, pairs added in 16 bits), whose results are added up in 16 bits for as
// long as they cannot overflow: eight times for 4-bit weights (8 * 2 * 15 * 127 = 30480), four times for 5-bit ones, twice
// for 6-bit ones. 8-bit weights are signed: there |w| is multiplied by the activation with w's sign (2 * 128 * 127 = 32512).
#if defined(__x86_64__)
#include <immintrin.h>
#include "Internal.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define TK_LANES 8
#define TK_ATTENTION_HEADS 2

TK_INLINE float tk_half_to_float(uint16_t half) {
  _Float16 value;
  memcpy(&value, &half, 2);
  return (float)value;
}

TK_INLINE uint16_t tk_float_to_half(float value) {
  const _Float16 rounded = (_Float16)value;
  uint16_t half;
  memcpy(&half, &rounded, 2);
  return half;
}

#include "Elementwise.h"
#include "MatmulPortable.h"
#include "Vectors.h"

TK_INLINE tk_vf tk_vf_load_half(const void *p) {
  return (tk_vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)p));
}

#include "Attention.h"

// MARK: Eight rows as eight lanes

typedef __m256i tk_vi;

/// Where the eight weight rows lie: four runs of two consecutive rows, run g in lanes 2g and 2g + 1.
typedef struct tk_rows {
  const uint8_t *run[4];
  ptrdiff_t stride;
} tk_rows;

enum { tk_tile = 8, tk_run = 2 };

/// 16 bytes at `offset` of the row of a lane.
TK_INLINE __m128i tk_load_row(const tk_rows *w, ptrdiff_t offset, int lane) {
  return _mm_loadu_si128((const __m128i_u *)(w->run[lane / tk_run] + offset + lane % tk_run * w->stride));
}

/// Half L of r[i] = 16 bytes at `offset` of the row of lane i + 4 L.
TK_INLINE void tk_load_chunk(const tk_rows *w, ptrdiff_t offset, __m256i r[4]) {
  for (int i = 0; i < 4; i++) {
    r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(tk_load_row(w, offset, i)), tk_load_row(w, offset, i + 4), 1);
  }
}

TK_INLINE void tk_transposed_chunk(const tk_rows *w, ptrdiff_t offset, __m256i t[4]) {
  __m256i r[4];
  tk_load_chunk(w, offset, r);
  const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
  const __m256i c = _mm256_unpacklo_epi32(r[2], r[3]), d = _mm256_unpackhi_epi32(r[2], r[3]);
  t[0] = _mm256_unpacklo_epi64(a, c);
  t[1] = _mm256_unpackhi_epi64(a, c);
  t[2] = _mm256_unpacklo_epi64(b, d);
  t[3] = _mm256_unpackhi_epi64(b, d);
}

/// Only dword 0 of each row.
TK_INLINE __m256i tk_transposed_first(const tk_rows *w, ptrdiff_t offset) {
  int32_t dwords[8];
  for (int i = 0; i < 8; i++) dwords[i] = tk_load_i32(w->run[i / tk_run] + offset + i % tk_run * w->stride);
  return _mm256_setr_epi32(
    dwords[0], dwords[1], dwords[2], dwords[3], dwords[4], dwords[5], dwords[6], dwords[7]);
}

/// The low (high) halves of the eight dwords as f16, to f32.
TK_INLINE __m256 tk_low_halves(__m256i v) {
  const __m256i order = _mm256_broadcastsi128_si256(
    _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, order), 0xd8);
  return _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
}
TK_INLINE __m256 tk_high_halves(__m256i v) {
  const __m256i order = _mm256_broadcastsi128_si256(
    _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const __m256i sorted = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(v, order), 0xd8);
  return _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}
TK_INLINE tk_vf tk_vf_low_halves(__m256i v) { return (tk_vf)tk_low_halves(v); }
TK_INLINE tk_vf tk_vf_high_halves(__m256i v) { return (tk_vf)tk_high_halves(v); }

/// Rows that follow each other.
TK_INLINE tk_rows tk_consecutive_rows(const uint8_t *p, ptrdiff_t stride) {
  const ptrdiff_t run = tk_run * stride;
  return (tk_rows){{p, p + run, p + 2 * run, p + 3 * run}, stride};
}

#include "MatmulFloat.h"

/// Thirty-two inputs of eight weight rows: weight = scale * q + minimum; dword j of q's lane r: inputs 4j ... 4j + 3. q are
/// unsigned bytes, but signed for q8_0, whose minimum is 0. The second scale and minimum are those of inputs 16 ... 31 of q6_K.
typedef struct tk_unit {
  __m256i q[8];
  __m256 scale[2], minimum[2];
} tk_unit;

/// How the integers of a type are multiplied.
enum { tk_kind_4_bits, tk_kind_5_bits, tk_kind_6_bits_halves, tk_kind_signed_8_bits };

TK_INLINE int tk_kind_of(uint32_t type) {
  switch (type) {
    case TK_TYPE_Q8_0: return tk_kind_signed_8_bits;
    case TK_TYPE_Q6_K: return tk_kind_6_bits_halves;
    case TK_TYPE_Q5_0: case TK_TYPE_Q5_1: return tk_kind_5_bits;
    default: return tk_kind_4_bits;
  }
}

TK_INLINE void tk_split_nibbles(const __m256i t[4], tk_unit *u) {
  const __m256i mask = _mm256_set1_epi8(15);
  for (int j = 0; j < 4; j++) {
    u->q[j] = _mm256_and_si256(t[j], mask);
    u->q[j + 4] = _mm256_and_si256(_mm256_srli_epi16(t[j], 4), mask);
  }
}

/// Adds 16 to the weights whose bit is set; dword lane r of bits holds the 32 bits of row r.
TK_INLINE void tk_add_fifth_bits(__m256i bits, tk_unit *u) {
  for (int j = 0; j < 8; j++) {
    const __m256i order = _mm256_add_epi8(
      _mm256_set1_epi8((char)(j / 2)),
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)));
    const __m256i place = j & 1 ? _mm256_set1_epi32((int)0x80402010) : _mm256_set1_epi32(0x08040201);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(bits, order), place), place);
    u->q[j] = _mm256_or_si256(u->q[j], _mm256_and_si256(is_set, _mm256_set1_epi8(16)));
  }
}

TK_INLINE void tk_load_unit(uint32_t type, const tk_rows *w, ptrdiff_t unit, tk_unit *u) {
  __m256i t[4];
  switch (type) {
    case TK_TYPE_Q4_0: {
      const ptrdiff_t p = unit * 18;
      tk_transposed_chunk(w, p + 2, t);
      tk_split_nibbles(t, u);
      u->scale[0] = tk_low_halves(tk_transposed_first(w, p));
      u->minimum[0] = _mm256_mul_ps(u->scale[0], _mm256_set1_ps(-8));
      break;
    }
    case TK_TYPE_Q4_1: {
      const ptrdiff_t p = unit * 20;
      tk_transposed_chunk(w, p + 4, t);
      tk_split_nibbles(t, u);
      const __m256i d = tk_transposed_first(w, p);
      u->scale[0] = tk_low_halves(d);
      u->minimum[0] = tk_high_halves(d);
      break;
    }
    case TK_TYPE_Q5_0: {
      const ptrdiff_t p = unit * 22;
      tk_transposed_chunk(w, p + 6, t);
      tk_split_nibbles(t, u);
      tk_add_fifth_bits(tk_transposed_first(w, p + 2), u);
      u->scale[0] = tk_low_halves(tk_transposed_first(w, p));
      u->minimum[0] = _mm256_mul_ps(u->scale[0], _mm256_set1_ps(-16));
      break;
    }
    case TK_TYPE_Q5_1: {
      const ptrdiff_t p = unit * 24;
      tk_transposed_chunk(w, p + 8, t);
      tk_split_nibbles(t, u);
      tk_transposed_chunk(w, p, t);
      tk_add_fifth_bits(t[1], u);
      u->scale[0] = tk_low_halves(t[0]);
      u->minimum[0] = tk_high_halves(t[0]);
      break;
    }
    case TK_TYPE_Q8_0: {
      const ptrdiff_t p = unit * 34;
      tk_transposed_chunk(w, p + 2, u->q);
      tk_transposed_chunk(w, p + 18, u->q + 4);
      u->scale[0] = tk_low_halves(tk_transposed_first(w, p));
      u->minimum[0] = _mm256_setzero_ps();
      break;
    }
    case TK_TYPE_Q4_K: {
      const ptrdiff_t block = unit / 8 * 144;
      const int j = (int)(unit % 8);
      const __m128i nibble_shift = _mm_cvtsi32_si128(j & 1 ? 4 : 0), byte_shift = _mm_cvtsi32_si128((j & 3) * 8);
      const __m256i mask = _mm256_set1_epi8(15), low_six = _mm256_set1_epi32(63), low_four = _mm256_set1_epi32(15);
      const ptrdiff_t nibbles = block + 16 + j / 2 * 32;
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        tk_transposed_chunk(w, nibbles + 16 * h, t);
        for (int i = 0; i < 4; i++) u->q[4 * h + i] = _mm256_and_si256(_mm256_srl_epi16(t[i], nibble_shift), mask);
      }
      tk_transposed_chunk(w, block, t);
      const __m256i a = _mm256_srl_epi32(t[1], byte_shift), b = _mm256_srl_epi32(t[2], byte_shift);
      const __m256i c = _mm256_srl_epi32(t[3], byte_shift);
      __m256i scale, minimum;
      if (j < 4) {
        scale = _mm256_and_si256(a, low_six);
        minimum = _mm256_and_si256(b, low_six);
      } else {
        const __m256i top_two = _mm256_set1_epi32(0x30);
        scale = _mm256_or_si256(_mm256_and_si256(c, low_four), _mm256_and_si256(_mm256_srli_epi32(a, 2), top_two));
        minimum = _mm256_or_si256(
          _mm256_and_si256(_mm256_srli_epi32(c, 4), low_four), _mm256_and_si256(_mm256_srli_epi32(b, 2), top_two));
      }
      u->scale[0] = _mm256_mul_ps(tk_low_halves(t[0]), _mm256_cvtepi32_ps(scale));
      u->minimum[0] = _mm256_sub_ps(
        _mm256_setzero_ps(), _mm256_mul_ps(tk_high_halves(t[0]), _mm256_cvtepi32_ps(minimum)));
      break;
    }
    case TK_TYPE_Q6_K: {
      const ptrdiff_t block = unit / 8 * 210;
      const int j = (int)(unit % 4), half = (int)(unit / 4 % 2);
      const __m128i low_shift = _mm_cvtsi32_si128(j >= 2 ? 4 : 0), high_shift = _mm_cvtsi32_si128(2 * j);
      const __m256i low_mask = _mm256_set1_epi8(15), high_mask = _mm256_set1_epi8(3);
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        __m256i high[4];
        tk_transposed_chunk(w, block + 64 * half + (j & 1) * 32 + 16 * h, t);
        tk_transposed_chunk(w, block + 128 + 32 * half + 16 * h, high);
        for (int i = 0; i < 4; i++) {
          const __m256i low_bits = _mm256_and_si256(_mm256_srl_epi16(t[i], low_shift), low_mask);
          const __m256i high_bits = _mm256_and_si256(_mm256_srl_epi16(high[i], high_shift), high_mask);
          u->q[4 * h + i] = _mm256_or_si256(low_bits, _mm256_slli_epi16(high_bits, 4));
        }
      }
      // The scale bytes of this unit are 8 * half + 2 j and the next, within one dword; d ends the block.
      const __m256 d = tk_high_halves(tk_transposed_first(w, block + 206));
      const __m256i scales = tk_transposed_first(w, block + 192 + 8 * half + j / 2 * 4);
      const __m256i pair = _mm256_srl_epi32(scales, _mm_cvtsi32_si128((j & 1) * 16));
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        const __m256i s = _mm256_srai_epi32(_mm256_slli_epi32(pair, h ? 16 : 24), 24);
        u->scale[h] = _mm256_mul_ps(d, _mm256_cvtepi32_ps(s));
        u->minimum[h] = _mm256_mul_ps(u->scale[h], _mm256_set1_ps(-32));
      }
      break;
    }
    default: break;
  }
}

TK_INLINE __m256i tk_four_inputs(const int8_t *q) { return _mm256_set1_epi32(tk_load_i32(q)); }
TK_INLINE __m256 tk_fill(const uint8_t *p) { return _mm256_set1_ps(tk_load_f32(p)); }

/// Products of dword j of the weights, in 16 bits.
TK_INLINE __m256i tk_products(const int kind, __m256i q, __m256i x) {
  if (kind == tk_kind_signed_8_bits) return _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
  return _mm256_maddubs_epi16(q, x);
}

/// How many products may be added in 16 bits.
TK_INLINE int tk_products_at_once(const int kind) {
  return kind == tk_kind_4_bits ? 8 : kind == tk_kind_5_bits ? 4 : kind == tk_kind_6_bits_halves ? 2 : 1;
}

/// The integer sums of 32 inputs: dot[0] all, or with halves dot[0] the first sixteen and dot[1] the others.
TK_INLINE void tk_unit_dots(const int kind, const __m256i q[8], const int8_t *x, __m256i dot[2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const int run = tk_products_at_once(kind);
#pragma clang loop unroll(full)
  for (int j = 0; j < 8; j += run) {
    __m256i sum = tk_products(kind, q[j], tk_four_inputs(x + 4 * j));
#pragma clang loop unroll(full)
    for (int i = 1; i < run; i++) {
      sum = _mm256_add_epi16(sum, tk_products(kind, q[j + i], tk_four_inputs(x + 4 * (j + i))));
    }
    const __m256i wide = _mm256_madd_epi16(sum, ones);
    const int half = kind == tk_kind_6_bits_halves ? j / 4 : 0;
    dot[half] = j == 4 * half ? wide : _mm256_add_epi32(dot[half], wide);
  }
}

TK_INLINE __m256 tk_add_unit(
  const int kind, __m256 sum, const __m256i dot[2], const __m256 scale[2], const __m256 minimum[2],
  const tk_activation_row *a, ptrdiff_t unit) {
  __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(dot[0]), scale[0]);
  if (kind == tk_kind_6_bits_halves) {
    scaled = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[1]), scale[1], scaled);
    sum = _mm256_fmadd_ps(minimum[0], tk_fill(a->halves + 8 * unit), sum);
    sum = _mm256_fmadd_ps(minimum[1], tk_fill(a->halves + 8 * unit + 4), sum);
  } else if (kind != tk_kind_signed_8_bits) {
    sum = _mm256_fmadd_ps(minimum[0], tk_fill(a->pairs + 8 * unit + 4), sum);
  }
  return _mm256_fmadd_ps(scaled, tk_fill(a->pairs + 8 * unit), sum);
}

// MARK: Tiles
//
// The four runs of a tile come from four quarters of the columns, so that memory is read as four streams: one core has too few
// line fill buffers to keep memory busy with its own requests while it computes, and the second-level prefetcher, which could,
// looks only so far ahead within one page. Measured with the work of this kernel between the reads (GB/s, plain reading 15):
// 1 stream 10.8, 2 streams 13.7, 4 streams 16.7, 8 streams 13.3.

/// The columns of one tile: run i is `column + i * distance` and those after it. Lanes before `first_lane` repeat columns of other
/// tiles and are not stored.
typedef struct tk_place {
  ptrdiff_t column, distance;
  int first_lane;
} tk_place;

/// Tiles that cover `count` columns (at least one tile's).
TK_INLINE ptrdiff_t tk_tile_count(ptrdiff_t count) { return (count + tk_tile - 1) / tk_tile; }

/// The quarters side by side; then, where columns are left over, the last ones as consecutive rows.
TK_INLINE tk_place tk_place_of(ptrdiff_t tile, ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t whole = count / tk_tile;
  if (tile < whole) return (tk_place){first + tile * tk_run, whole * tk_run, 0};
  return (tk_place){first + count - tk_tile, tk_run, (int)(whole * tk_tile - (count - tk_tile))};
}

TK_INLINE tk_rows tk_rows_at(const uint8_t *w, ptrdiff_t stride, tk_place place) {
  const uint8_t *p = w + place.column * stride;
  const ptrdiff_t distance = place.distance * stride;
  return (tk_rows){{p, p + distance, p + 2 * distance, p + 3 * distance}, stride};
}

TK_INLINE void tk_store_tile(float *out, tk_place place, __m256 v) {
  float *o = out + place.column;
  if (place.first_lane == 0) {
    const __m128 low = _mm256_castps256_ps128(v), high = _mm256_extractf128_ps(v, 1);
    _mm_storel_pi((__m64 *)o, low);
    _mm_storeh_pi((__m64 *)(o + place.distance), low);
    _mm_storel_pi((__m64 *)(o + 2 * place.distance), high);
    _mm_storeh_pi((__m64 *)(o + 3 * place.distance), high);
    return;
  }
  float values[8];
  _mm256_storeu_ps(values, v);
  for (int i = place.first_lane; i < 8; i++) tk_store_f32(o + i, values[i]);
}

TK_INLINE __m256 tk_load_tile(const float *out, tk_place place) {
  const float *o = out + place.column;
  __m128 low = _mm_loadl_pi(_mm_setzero_ps(), (const __m64 *)o), high = low;
  low = _mm_loadh_pi(low, (const __m64 *)(o + place.distance));
  high = _mm_loadl_pi(high, (const __m64 *)(o + 2 * place.distance));
  high = _mm_loadh_pi(high, (const __m64 *)(o + 3 * place.distance));
  return _mm256_set_m128(high, low);
}

/// While a unit of a tile is used, as many bytes of the rows after its runs are fetched.
TK_INLINE void tk_fetch_ahead(uint32_t type, const tk_rows *w, ptrdiff_t unit) {
  enum { tk_ahead = 512 };
  const ptrdiff_t step = tk_run * tk_unit_byte_count(type), ahead = tk_run * w->stride + tk_ahead + unit * step;
  for (int i = 0; i < 4; i++) {
    for (ptrdiff_t j = 0; j < step; j += 64) _mm_prefetch((const char *)w->run[i] + ahead + j, _MM_HINT_T0);
  }
}

// MARK: Few rows: weights from memory to registers

enum { tk_direct_rows_max = 4 };

#include "MatmulPairs.h"

/// A tile's sums for up to 4 rows of activations.
TK_INLINE void tk_direct(
  uint32_t type, const int m_count, __m256 sums[], const tk_activation_row *a, const tk_rows *w, ptrdiff_t units) {
  const int kind = tk_kind_of(type);
  if (tk_has_pairs(type)) {
    for (int m = 0; m < m_count; m++) sums[m] = _mm256_setzero_ps();
    ptrdiff_t unit = 0;
    // For more rows the registers are wanted otherwise.
    for (; m_count == 1 && unit + 4 <= units; unit += 4) {
      __m256i d[4];
      tk_transposed_firsts(w, unit * tk_unit_byte_count(type), tk_unit_byte_count(type), d);
#pragma clang loop unroll(full)
      for (int u = 0; u < 4; u++) tk_direct_pairs(type, m_count, sums, a, w, unit + u, d[u]);
    }
    for (; unit < units; unit++) {
      tk_direct_pairs(type, m_count, sums, a, w, unit, tk_transposed_first(w, unit * tk_unit_byte_count(type)));
    }
    return;
  }
  for (int m = 0; m < m_count; m++) sums[m] = _mm256_setzero_ps();
  for (ptrdiff_t unit = 0; unit < units; unit++) {
    tk_fetch_ahead(type, w, unit);
    tk_unit u;
    tk_load_unit(type, w, unit, &u);
    for (int m = 0; m < m_count; m++) {
      __m256i dot[2];
      tk_unit_dots(kind, u.q, a[m].q + unit * TK_UNIT, dot);
      sums[m] = tk_add_unit(kind, sums[m], dot, u.scale, u.minimum, &a[m], unit);
    }
  }
}

// MARK: Many rows: weights unpacked to a panel

enum { tk_panel_units = 32, tk_micro_rows = 4 };

/// 16 weight rows (two tiles of 8) by up to 1024 inputs, unpacked.
typedef struct tk_panel {
  _Alignas(64) __m256i q[tk_panel_units][2][8];
  __m256 scale[tk_panel_units][2], minimum[tk_panel_units][2];
  __m256 second_scale[tk_panel_units][2], second_minimum[tk_panel_units][2];  // q6_K only
} tk_panel;

TK_INLINE void tk_micro(
  const int kind, const int m_count, float *out, const tk_activation_row *a, const tk_panel *panel, ptrdiff_t unit_first,
  ptrdiff_t units, ptrdiff_t columns_out, const tk_place places[2]) {
  const int run = tk_products_at_once(kind);
  const bool halves = kind == tk_kind_6_bits_halves;
  const __m256i ones = _mm256_set1_epi16(1);
  __m256 sums[tk_micro_rows][2];
  for (int m = 0; m < m_count; m++) {
    for (int t = 0; t < 2; t++) {
      sums[m][t] = unit_first == 0 ? _mm256_setzero_ps() : tk_load_tile(out + m * columns_out, places[t]);
    }
  }
  for (ptrdiff_t unit = 0; unit < units; unit++) {
    __m256i dots[tk_micro_rows][2][2];
    for (int j = 0; j < 8; j += run) {
      __m256i part[tk_micro_rows][2];
#pragma clang loop unroll(full)
      for (int i = 0; i < run; i++) {
        const __m256i q0 = panel->q[unit][0][j + i], q1 = panel->q[unit][1][j + i];
#pragma clang loop unroll(full)
        for (int m = 0; m < m_count; m++) {
          const __m256i x = tk_four_inputs(a[m].q + (unit_first + unit) * TK_UNIT + 4 * (j + i));
          const __m256i p0 = tk_products(kind, q0, x), p1 = tk_products(kind, q1, x);
          part[m][0] = i == 0 ? p0 : _mm256_add_epi16(part[m][0], p0);
          part[m][1] = i == 0 ? p1 : _mm256_add_epi16(part[m][1], p1);
        }
      }
      const int half = halves ? j / 4 : 0;
#pragma clang loop unroll(full)
      for (int m = 0; m < m_count; m++) {
        for (int t = 0; t < 2; t++) {
          const __m256i wide = _mm256_madd_epi16(part[m][t], ones);
          dots[m][t][half] = j == 4 * half ? wide : _mm256_add_epi32(dots[m][t][half], wide);
        }
      }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < 2; t++) {
      const __m256 scale[2] = {panel->scale[unit][t], halves ? panel->second_scale[unit][t] : _mm256_setzero_ps()};
      const __m256 minimum[2] = {panel->minimum[unit][t], halves ? panel->second_minimum[unit][t] : _mm256_setzero_ps()};
#pragma clang loop unroll(full)
      for (int m = 0; m < m_count; m++) {
        sums[m][t] = tk_add_unit(kind, sums[m][t], dots[m][t], scale, minimum, &a[m], unit_first + unit);
      }
    }
  }
  for (int m = 0; m < m_count; m++) {
    for (int t = 0; t < 2; t++) tk_store_tile(out + m * columns_out, places[t], sums[m][t]);
  }
}

TK_INLINE void tk_panel_products(
  const int kind, float *out, const void *activations, const tk_panel *panel, ptrdiff_t unit_first, ptrdiff_t units,
  ptrdiff_t rows, ptrdiff_t columns_in, ptrdiff_t columns_out, const tk_place places[2]) {
  tk_activation_row a[tk_micro_rows];
  for (ptrdiff_t m = 0; m < rows; m += tk_micro_rows) {
    const ptrdiff_t m_count = rows - m < tk_micro_rows ? rows - m : tk_micro_rows;
    for (ptrdiff_t i = 0; i < m_count; i++) a[i] = tk_activation_row_at(activations, columns_in, m + i);
    float *o = out + m * columns_out;
#define TK_ROWS(M) \
  case M: tk_micro(kind, M, o, a, panel, unit_first, units, columns_out, places); break;
    switch (m_count) {
      TK_ROWS(1) TK_ROWS(2) TK_ROWS(3) TK_ROWS(4)
      default: break;
    }
#undef TK_ROWS
  }
}

// One function per kind of integers, not per weight type.
#define TK_PANEL_PRODUCTS(NAME, KIND) \
  static __attribute__((noinline)) void NAME( \
    float *out, const void *activations, const tk_panel *panel, ptrdiff_t unit_first, ptrdiff_t units, ptrdiff_t rows, \
    ptrdiff_t columns_in, ptrdiff_t columns_out, const tk_place places[2]) { \
    tk_panel_products( \
      KIND, out, activations, panel, unit_first, units, rows, columns_in, columns_out, places); \
  }
TK_PANEL_PRODUCTS(tk_panel_products_4_bits, tk_kind_4_bits)
TK_PANEL_PRODUCTS(tk_panel_products_5_bits, tk_kind_5_bits)
TK_PANEL_PRODUCTS(tk_panel_products_6_bits_halves, tk_kind_6_bits_halves)
TK_PANEL_PRODUCTS(tk_panel_products_signed_8_bits, tk_kind_signed_8_bits)
#undef TK_PANEL_PRODUCTS

TK_INLINE void tk_matmul_panels(
  uint32_t type, float *out, const void *activations, const uint8_t *w, ptrdiff_t stride, ptrdiff_t rows,
  ptrdiff_t columns_in, ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t units_total = columns_in / TK_UNIT;
  const ptrdiff_t parts = (units_total + tk_panel_units - 1) / tk_panel_units;
  const int kind = tk_kind_of(type);
  tk_panel panel;
  const ptrdiff_t tile_count = tk_tile_count(count);
  for (ptrdiff_t tile = 0; tile < tile_count; tile += 2) {
    // An odd last tile is done twice rather than in a function of its own.
    const tk_place place = tk_place_of(tile, first, count);
    const tk_place places[2] = {place, tile + 1 < tile_count ? tk_place_of(tile + 1, first, count) : place};
    for (ptrdiff_t part = 0; part < parts; part++) {
      const ptrdiff_t unit_first = units_total * part / parts, units = units_total * (part + 1) / parts - unit_first;
      for (int t = 0; t < 2; t++) {
        const tk_rows rows_of_tile = tk_rows_at(w, stride, places[t]);
        for (ptrdiff_t unit = 0; unit < units; unit++) {
          tk_fetch_ahead(type, &rows_of_tile, unit_first + unit);
          tk_unit u;
          tk_load_unit(type, &rows_of_tile, unit_first + unit, &u);
          for (int j = 0; j < 8; j++) panel.q[unit][t][j] = u.q[j];
          panel.scale[unit][t] = u.scale[0];
          panel.minimum[unit][t] = u.minimum[0];
          if (kind == tk_kind_6_bits_halves) {
            panel.second_scale[unit][t] = u.scale[1];
            panel.second_minimum[unit][t] = u.minimum[1];
          }
        }
      }
#define TK_PRODUCTS(KIND) \
  case tk_kind_##KIND: \
    tk_panel_products_##KIND( \
      out, activations, &panel, unit_first, units, rows, columns_in, columns_out, places); \
    break;
      switch (kind) {
        TK_PRODUCTS(4_bits) TK_PRODUCTS(5_bits) TK_PRODUCTS(6_bits_halves) TK_PRODUCTS(signed_8_bits)
        default: break;
      }
#undef TK_PRODUCTS
    }
  }
}

TK_INLINE void tk_matmul_quantized(
  uint32_t type, float *out, const void *activations, const uint8_t *w, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t stride = tk_row_byte_count(type, columns_in);
  if (rows > tk_direct_rows_max) {
    tk_matmul_panels(type, out, activations, w, stride, rows, columns_in, columns_out, first, count);
    return;
  }
  tk_activation_row a[tk_direct_rows_max];
  for (ptrdiff_t m = 0; m < rows; m++) a[m] = tk_activation_row_at(activations, columns_in, m);
  const ptrdiff_t units = columns_in / TK_UNIT;
  for (ptrdiff_t t = 0; t < tk_tile_count(count); t++) {
    const tk_place place = tk_place_of(t, first, count);
    const tk_rows tile = tk_rows_at(w, stride, place);
    __m256 sums[tk_direct_rows_max];
    switch (rows) {
      case 1: tk_direct(type, 1, sums, a, &tile, units); break;
      case 2: tk_direct(type, 2, sums, a, &tile, units); break;
      case 3: tk_direct(type, 3, sums, a, &tile, units); break;
      default: tk_direct(type, 4, sums, a, &tile, units); break;
    }
    for (ptrdiff_t m = 0; m < rows; m++) tk_store_tile(out + m * columns_out, place, sums[m]);
  }
}

static void matmul(
  float *out, const float *x, const void *activations, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  if (tk_is_float_type(type)) {
    tk_matmul_float(out, x, w, type, rows, columns_in, columns_out, first, count);
    return;
  }
  if (count < 8) {
    tk_columns_quantized(out, activations, w, type, rows, columns_in, columns_out, first, count);
    return;
  }
  switch (type) {
#define TK_CASE(T) case T: tk_matmul_quantized(T, out, activations, w, rows, columns_in, columns_out, first, count); break;
    TK_CASE(TK_TYPE_Q4_0) TK_CASE(TK_TYPE_Q4_1) TK_CASE(TK_TYPE_Q5_0) TK_CASE(TK_TYPE_Q5_1) TK_CASE(TK_TYPE_Q8_0)
    TK_CASE(TK_TYPE_Q4_K) TK_CASE(TK_TYPE_Q6_K)
#undef TK_CASE
    default: break;
  }
}

// MARK: Probes

#define TK_IN_REGISTER(v) "+x"(v)
#include "Probes.h"

static ptrdiff_t probe_integer(uint32_t *sum, uint8_t a, int8_t b, ptrdiff_t turns) {
  enum { tiles = 6 };
  __m256i q = _mm256_set1_epi8((char)a), dots[tiles];
  const __m256i x = _mm256_set1_epi8(b), ones = _mm256_set1_epi16(1);
  for (int t = 0; t < tiles; t++) dots[t] = _mm256_setzero_si256();
  for (ptrdiff_t turn = 0; turn < turns; turn++) {
#pragma clang loop unroll(full)
    for (int t = 0; t < tiles; t++) {
      __m256i part = _mm256_setzero_si256();
#pragma clang loop unroll(full)
      for (int j = 0; j < 8; j++) {
        // The product of two constants would be computed once.
        __asm__ volatile("" : TK_IN_REGISTER(q));
        const __m256i product = tk_products(tk_kind_4_bits, q, x);
        part = j == 0 ? product : _mm256_add_epi16(part, product);
      }
      dots[t] = _mm256_add_epi32(dots[t], _mm256_madd_epi16(part, ones));
    }
  }
  uint32_t total = 0;
  for (int t = 0; t < tiles; t++) {
    tk_vu32 lanes;
    memcpy(&lanes, &dots[t], sizeof lanes);
    total += tk_words_sum(lanes);
  }
  *sum = total;
  return 2 * 32 * 8 * tiles * turns;
}

const tk_functions tk_functions_avx2 = {
#include "Functions.h"
};

#pragma clang attribute pop
#endif
