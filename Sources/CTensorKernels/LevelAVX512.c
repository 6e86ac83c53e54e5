// The AVX-512 level: f, bw, dq, vl and vnni (Ice Lake, Zen 4 and later).
//
// Products with quantised weights put one weight row in each of the 16 lanes. The 16 bytes of packed weights that 16 rows have at
// one place are transposed by eight shuffles, so that dword j of lane r holds the weights of inputs 4j ... 4j + 3 of row r; one
// instruction (vpdpbusd) then multiplies the 64 of them with four broadcast activations and adds to 16 sums. No sum crosses
// lanes, scales are one vector multiplication per 32 inputs for 16 rows, and the same form serves one row of activations, where
// the weights are used from registers, and many, where they are kept in a panel on the stack.
#if defined(__x86_64__)
#include <immintrin.h>
#include "Internal.h"

#pragma clang attribute push( \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))), apply_to = function)

#define TK_LANES 16
#define TK_ATTENTION_HEADS 4

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
  return (tk_vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p));
}

#include "Attention.h"

// MARK: Sixteen rows as sixteen lanes

typedef __m512i tk_vi;

/// Where the sixteen weight rows lie: four runs of four consecutive rows, run L in lanes 4L ... 4L + 3.
typedef struct tk_rows {
  const uint8_t *run[4];
  ptrdiff_t stride;
} tk_rows;

enum { tk_tile = 16, tk_run = 4 };

/// Lane group L of r[i] = 16 bytes at `offset` of row i of run L.
TK_INLINE void tk_load_chunk(const tk_rows *w, ptrdiff_t offset, __m512i r[4]) {
  for (int i = 0; i < 4; i++) {
    const ptrdiff_t at = offset + i * w->stride;
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i_u *)(w->run[0] + at)));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i_u *)(w->run[1] + at)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i_u *)(w->run[2] + at)), 2);
    r[i] = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i_u *)(w->run[3] + at)), 3);
  }
}

TK_INLINE void tk_transposed_chunk(const tk_rows *w, ptrdiff_t offset, __m512i t[4]) {
  __m512i r[4];
  tk_load_chunk(w, offset, r);
  const __m512i a = _mm512_unpacklo_epi32(r[0], r[1]), b = _mm512_unpackhi_epi32(r[0], r[1]);
  const __m512i c = _mm512_unpacklo_epi32(r[2], r[3]), d = _mm512_unpackhi_epi32(r[2], r[3]);
  t[0] = _mm512_unpacklo_epi64(a, c);
  t[1] = _mm512_unpackhi_epi64(a, c);
  t[2] = _mm512_unpacklo_epi64(b, d);
  t[3] = _mm512_unpackhi_epi64(b, d);
}

/// Only dword 0 of the 16 bytes at each row.
TK_INLINE __m512i tk_transposed_first(const tk_rows *w, ptrdiff_t offset) {
  __m512i r[4];
  tk_load_chunk(w, offset, r);
  return _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpacklo_epi32(r[2], r[3]));
}

TK_INLINE tk_vf tk_vf_low_halves(__m512i v) { return (tk_vf)_mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
TK_INLINE tk_vf tk_vf_high_halves(__m512i v) {
  return (tk_vf)_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v, 16)));
}

/// Rows that follow each other.
TK_INLINE tk_rows tk_consecutive_rows(const uint8_t *p, ptrdiff_t stride) {
  const ptrdiff_t run = tk_run * stride;
  return (tk_rows){{p, p + run, p + 2 * run, p + 3 * run}, stride};
}

#include "MatmulFloat.h"

/// Thirty-two inputs of sixteen weight rows: weight = scale * q + minimum, q unsigned bytes; dword j of lane r: inputs
/// 4j ... 4j + 3 of row r.
/// The second scale and minimum are those of inputs 16 ... 31, for q6_K only.
typedef struct tk_unit {
  __m512i q[8];
  __m512 scale[2], minimum[2];
} tk_unit;

TK_INLINE bool tk_has_halves(uint32_t type) { return type == TK_TYPE_Q6_K; }

TK_INLINE void tk_split_nibbles(const __m512i t[4], tk_unit *u) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (int j = 0; j < 4; j++) {
    u->q[j] = _mm512_and_si512(t[j], mask);
    u->q[j + 4] = _mm512_and_si512(_mm512_srli_epi16(t[j], 4), mask);
  }
}

/// Adds 16 to the weights whose bit is set; dword lane r of bits holds the 32 bits of row r.
TK_INLINE void tk_add_fifth_bits(__m512i bits, tk_unit *u) {
  const __m512i sixteen = _mm512_set1_epi8(16);
  for (int j = 0; j < 8; j++) {
    const __m512i order = _mm512_add_epi8(
      _mm512_set1_epi8((char)(j / 2)),
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)));
    const __m512i spread = _mm512_shuffle_epi8(bits, order);
    const __m512i place = _mm512_set1_epi32(j & 1 ? (int)0x80402010 : 0x08040201);
    u->q[j] = _mm512_mask_add_epi8(u->q[j], _mm512_test_epi8_mask(spread, place), u->q[j], sixteen);
  }
}

TK_INLINE __m512 tk_low_halves(__m512i v) { return (__m512)tk_vf_low_halves(v); }
TK_INLINE __m512 tk_high_halves(__m512i v) { return (__m512)tk_vf_high_halves(v); }

TK_INLINE void tk_load_unit(uint32_t type, const tk_rows *w, ptrdiff_t unit, tk_unit *u) {
  __m512i t[4];
  switch (type) {
    case TK_TYPE_Q4_0: {
      const ptrdiff_t p = unit * 18;
      tk_transposed_chunk(w, p + 2, t);
      tk_split_nibbles(t, u);
      u->scale[0] = tk_low_halves(tk_transposed_first(w, p));
      u->minimum[0] = _mm512_mul_ps(u->scale[0], _mm512_set1_ps(-8));
      break;
    }
    case TK_TYPE_Q4_1: {
      const ptrdiff_t p = unit * 20;
      tk_transposed_chunk(w, p + 4, t);
      tk_split_nibbles(t, u);
      const __m512i d = tk_transposed_first(w, p);
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
      u->minimum[0] = _mm512_mul_ps(u->scale[0], _mm512_set1_ps(-16));
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
      // Signed weights become unsigned by adding 128 (flipping the top bit); the minimum takes it away again.
      const ptrdiff_t p = unit * 34;
      const __m512i flip = _mm512_set1_epi8((char)0x80);
      tk_transposed_chunk(w, p + 2, u->q);
      tk_transposed_chunk(w, p + 18, u->q + 4);
      for (int j = 0; j < 8; j++) u->q[j] = _mm512_xor_si512(u->q[j], flip);
      u->scale[0] = tk_low_halves(tk_transposed_first(w, p));
      u->minimum[0] = _mm512_mul_ps(u->scale[0], _mm512_set1_ps(-128));
      break;
    }
    case TK_TYPE_Q4_K: {
      const ptrdiff_t block = unit / 8 * 144;
      const int j = (int)(unit % 8);
      const __m128i nibble_shift = _mm_cvtsi32_si128(j & 1 ? 4 : 0), byte_shift = _mm_cvtsi32_si128((j & 3) * 8);
      const __m512i mask = _mm512_set1_epi8(15), low_six = _mm512_set1_epi32(63), low_four = _mm512_set1_epi32(15);
      const ptrdiff_t nibbles = block + 16 + j / 2 * 32;
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        tk_transposed_chunk(w, nibbles + 16 * h, t);
        for (int i = 0; i < 4; i++) u->q[4 * h + i] = _mm512_and_si512(_mm512_srl_epi16(t[i], nibble_shift), mask);
      }
      tk_transposed_chunk(w, block, t);
      const __m512i a = _mm512_srl_epi32(t[1], byte_shift), b = _mm512_srl_epi32(t[2], byte_shift);
      const __m512i c = _mm512_srl_epi32(t[3], byte_shift);
      __m512i scale, minimum;
      if (j < 4) {
        scale = _mm512_and_si512(a, low_six);
        minimum = _mm512_and_si512(b, low_six);
      } else {
        const __m512i top_two = _mm512_set1_epi32(0x30);
        scale = _mm512_or_si512(_mm512_and_si512(c, low_four), _mm512_and_si512(_mm512_srli_epi32(a, 2), top_two));
        minimum = _mm512_or_si512(
          _mm512_and_si512(_mm512_srli_epi32(c, 4), low_four), _mm512_and_si512(_mm512_srli_epi32(b, 2), top_two));
      }
      u->scale[0] = _mm512_mul_ps(tk_low_halves(t[0]), _mm512_cvtepi32_ps(scale));
      u->minimum[0] = _mm512_sub_ps(
        _mm512_setzero_ps(), _mm512_mul_ps(tk_high_halves(t[0]), _mm512_cvtepi32_ps(minimum)));
      break;
    }
    case TK_TYPE_Q6_K: {
      const ptrdiff_t block = unit / 8 * 210;
      const int j = (int)(unit % 4), half = (int)(unit / 4 % 2);
      const __m128i low_shift = _mm_cvtsi32_si128(j >= 2 ? 4 : 0), high_shift = _mm_cvtsi32_si128(2 * j);
      const __m512i low_mask = _mm512_set1_epi8(15), high_mask = _mm512_set1_epi8(3);
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        __m512i high[4];
        tk_transposed_chunk(w, block + 64 * half + (j & 1) * 32 + 16 * h, t);
        tk_transposed_chunk(w, block + 128 + 32 * half + 16 * h, high);
        for (int i = 0; i < 4; i++) {
          const __m512i low_bits = _mm512_and_si512(_mm512_srl_epi16(t[i], low_shift), low_mask);
          const __m512i high_bits = _mm512_and_si512(_mm512_srl_epi16(high[i], high_shift), high_mask);
          u->q[4 * h + i] = _mm512_or_si512(low_bits, _mm512_slli_epi16(high_bits, 4));
        }
      }
      // The scale bytes of this unit are 8 * half + 2 j and the next; d is the last half of the 16 bytes from 194.
      __m512i ends[4];
      tk_transposed_chunk(w, block + 192, t);
      tk_transposed_chunk(w, block + 194, ends);
      const __m512 d = tk_high_halves(ends[3]);
      const __m512i scales = half ? (j < 2 ? t[2] : t[3]) : (j < 2 ? t[0] : t[1]);
      const __m512i pair = _mm512_srl_epi32(scales, _mm_cvtsi32_si128((j & 1) * 16));
#pragma clang loop unroll(full)
      for (int h = 0; h < 2; h++) {
        const __m512i s = _mm512_srai_epi32(_mm512_slli_epi32(pair, h ? 16 : 24), 24);
        u->scale[h] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(s));
        u->minimum[h] = _mm512_mul_ps(u->scale[h], _mm512_set1_ps(-32));
      }
      break;
    }
    default: break;
  }
}

TK_INLINE __m512i tk_four_inputs(const int8_t *q) { return _mm512_set1_epi32(tk_load_i32(q)); }
TK_INLINE __m512 tk_fill(const uint8_t *p) { return _mm512_set1_ps(tk_load_f32(p)); }

/// sum += the part of 32 inputs, given the integer sums of the first and second sixteen (or, without halves, of all in dot[0]).
TK_INLINE __m512 tk_add_unit(
  const bool halves, __m512 sum, const __m512i dot[2], const __m512 scale[2], const __m512 minimum[2],
  const tk_activation_row *a, ptrdiff_t unit) {
  __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[0]), scale[0]);
  if (halves) {
    scaled = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[1]), scale[1], scaled);
    sum = _mm512_fmadd_ps(minimum[0], tk_fill(a->halves + 8 * unit), sum);
    sum = _mm512_fmadd_ps(minimum[1], tk_fill(a->halves + 8 * unit + 4), sum);
  } else {
    sum = _mm512_fmadd_ps(minimum[0], tk_fill(a->pairs + 8 * unit + 4), sum);
  }
  return _mm512_fmadd_ps(scaled, tk_fill(a->pairs + 8 * unit), sum);
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

TK_INLINE void tk_store_tile(float *out, tk_place place, __m512 v) {
  float *o = out + place.column;
  if (place.first_lane == 0) {
    _mm_storeu_ps(o, _mm512_castps512_ps128(v));
    _mm_storeu_ps(o + place.distance, _mm512_extractf32x4_ps(v, 1));
    _mm_storeu_ps(o + 2 * place.distance, _mm512_extractf32x4_ps(v, 2));
    _mm_storeu_ps(o + 3 * place.distance, _mm512_extractf32x4_ps(v, 3));
    return;
  }
  _mm512_mask_storeu_ps(o, (__mmask16)(0xffffu << place.first_lane), v);
}

TK_INLINE __m512 tk_load_tile(const float *out, tk_place place) {
  const float *o = out + place.column;
  __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(o));
  v = _mm512_insertf32x4(v, _mm_loadu_ps(o + place.distance), 1);
  v = _mm512_insertf32x4(v, _mm_loadu_ps(o + 2 * place.distance), 2);
  return _mm512_insertf32x4(v, _mm_loadu_ps(o + 3 * place.distance), 3);
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

/// A tile's sums for up to 4 rows of activations.
TK_INLINE void tk_direct(
  uint32_t type, const int m_count, __m512 sums[], const tk_activation_row *a, const tk_rows *w, ptrdiff_t units) {
  for (int m = 0; m < m_count; m++) sums[m] = _mm512_setzero_ps();
  for (ptrdiff_t unit = 0; unit < units; unit++) {
    tk_fetch_ahead(type, w, unit);
    tk_unit u;
    tk_load_unit(type, w, unit, &u);
    for (int m = 0; m < m_count; m++) {
      const int8_t *x = a[m].q + unit * TK_UNIT;
      __m512i dot[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      for (int j = 0; j < 8; j++) dot[j / 4] = _mm512_dpbusd_epi32(dot[j / 4], u.q[j], tk_four_inputs(x + 4 * j));
      if (!tk_has_halves(type)) dot[0] = _mm512_add_epi32(dot[0], dot[1]);
      sums[m] = tk_add_unit(tk_has_halves(type), sums[m], dot, u.scale, u.minimum, &a[m], unit);
    }
  }
}

// MARK: Many rows: weights unpacked to a panel

enum { tk_panel_units = 32, tk_micro_rows = 6 };

/// 32 weight rows (two tiles of 16) by up to 1024 inputs, unpacked.
typedef struct tk_panel {
  _Alignas(64) __m512i q[tk_panel_units][2][8];
  __m512 scale[tk_panel_units][2], minimum[tk_panel_units][2];
} tk_panel;

/// The second scales and minima of q6_K.
typedef struct tk_panel_halves {
  __m512 scale[tk_panel_units][2], minimum[tk_panel_units][2];
} tk_panel_halves;

TK_INLINE void tk_micro(
  const bool halves, const int m_count, const int tiles, float *out, const tk_activation_row *a, const tk_panel *panel,
  const tk_panel_halves *seconds, ptrdiff_t unit_first, ptrdiff_t units, ptrdiff_t columns_out, const tk_place places[2]) {
  __m512 sums[tk_micro_rows][2];
  for (int m = 0; m < m_count; m++) {
    for (int t = 0; t < tiles; t++) {
      sums[m][t] = unit_first == 0
        ? _mm512_setzero_ps() : tk_load_tile(out + m * columns_out, places[t]);
    }
  }
  for (ptrdiff_t unit = 0; unit < units; unit++) {
    __m512i dots[tk_micro_rows][2][2];
    for (int m = 0; m < m_count; m++) {
      for (int t = 0; t < tiles; t++) dots[m][t][0] = dots[m][t][1] = _mm512_setzero_si512();
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 8; j++) {
      const int half = halves ? j / 4 : 0;
#pragma clang loop unroll(full)
      for (int m = 0; m < m_count; m++) {
        const __m512i x = tk_four_inputs(a[m].q + (unit_first + unit) * TK_UNIT + 4 * j);
#pragma clang loop unroll(full)
        for (int t = 0; t < tiles; t++) dots[m][t][half] = _mm512_dpbusd_epi32(dots[m][t][half], panel->q[unit][t][j], x);
      }
    }
#pragma clang loop unroll(full)
    for (int t = 0; t < tiles; t++) {
      const __m512 scale[2] = {panel->scale[unit][t], halves ? seconds->scale[unit][t] : _mm512_setzero_ps()};
      const __m512 minimum[2] = {panel->minimum[unit][t], halves ? seconds->minimum[unit][t] : _mm512_setzero_ps()};
#pragma clang loop unroll(full)
      for (int m = 0; m < m_count; m++) {
        sums[m][t] = tk_add_unit(halves, sums[m][t], dots[m][t], scale, minimum, &a[m], unit_first + unit);
      }
    }
  }
  for (int m = 0; m < m_count; m++) {
    for (int t = 0; t < tiles; t++) tk_store_tile(out + m * columns_out, places[t], sums[m][t]);
  }
}

TK_INLINE void tk_panel_products(
  const bool halves, const int tiles, float *out, const void *activations, const tk_panel *panel,
  const tk_panel_halves *seconds, ptrdiff_t unit_first, ptrdiff_t units, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, const tk_place places[2]) {
  tk_activation_row a[tk_micro_rows];
  for (ptrdiff_t m = 0; m < rows; m += tk_micro_rows) {
    const ptrdiff_t m_count = rows - m < tk_micro_rows ? rows - m : tk_micro_rows;
    for (ptrdiff_t i = 0; i < m_count; i++) a[i] = tk_activation_row_at(activations, columns_in, m + i);
    float *o = out + m * columns_out;
#define TK_ROWS(M) \
  case M: tk_micro(halves, M, tiles, o, a, panel, seconds, unit_first, units, columns_out, places); break;
    switch (m_count) {
      TK_ROWS(1) TK_ROWS(2) TK_ROWS(3) TK_ROWS(4) TK_ROWS(5) TK_ROWS(6)
      default: break;
    }
#undef TK_ROWS
  }
}

// Not inlined into the callers by type: the product of a panel does not depend on the weight type.
static __attribute__((noinline)) void tk_panel_products_plain(
  float *out, const void *activations, const tk_panel *panel, ptrdiff_t unit_first, ptrdiff_t units, ptrdiff_t rows,
  ptrdiff_t columns_in, ptrdiff_t columns_out, const tk_place places[2], int tiles) {
  if (tiles == 2) {
    tk_panel_products(false, 2, out, activations, panel, NULL, unit_first, units, rows, columns_in, columns_out, places);
  } else {
    tk_panel_products(false, 1, out, activations, panel, NULL, unit_first, units, rows, columns_in, columns_out, places);
  }
}

static __attribute__((noinline)) void tk_panel_products_halves(
  float *out, const void *activations, const tk_panel *panel, const tk_panel_halves *seconds, ptrdiff_t unit_first,
  ptrdiff_t units, ptrdiff_t rows, ptrdiff_t columns_in, ptrdiff_t columns_out, const tk_place places[2], int tiles) {
  if (tiles == 2) {
    tk_panel_products(true, 2, out, activations, panel, seconds, unit_first, units, rows, columns_in, columns_out, places);
  } else {
    tk_panel_products(true, 1, out, activations, panel, seconds, unit_first, units, rows, columns_in, columns_out, places);
  }
}

TK_INLINE void tk_matmul_panels(
  uint32_t type, float *out, const void *activations, const uint8_t *w, ptrdiff_t stride, ptrdiff_t rows,
  ptrdiff_t columns_in, ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t units_total = columns_in / TK_UNIT;
  const ptrdiff_t parts = (units_total + tk_panel_units - 1) / tk_panel_units;
  tk_panel panel;
  tk_panel_halves seconds;
  const ptrdiff_t tile_count = tk_tile_count(count);
  for (ptrdiff_t tile = 0; tile < tile_count; tile += 2) {
    const int tiles = tile + 2 <= tile_count ? 2 : 1;
    tk_place places[2];
    for (int t = 0; t < tiles; t++) places[t] = tk_place_of(tile + t, first, count);
    for (ptrdiff_t part = 0; part < parts; part++) {
      const ptrdiff_t unit_first = units_total * part / parts, units = units_total * (part + 1) / parts - unit_first;
      for (int t = 0; t < tiles; t++) {
        const tk_rows rows_of_tile = tk_rows_at(w, stride, places[t]);
        for (ptrdiff_t unit = 0; unit < units; unit++) {
          tk_fetch_ahead(type, &rows_of_tile, unit_first + unit);
          tk_unit u;
          tk_load_unit(type, &rows_of_tile, unit_first + unit, &u);
          for (int j = 0; j < 8; j++) panel.q[unit][t][j] = u.q[j];
          panel.scale[unit][t] = u.scale[0];
          panel.minimum[unit][t] = u.minimum[0];
          if (tk_has_halves(type)) {
            seconds.scale[unit][t] = u.scale[1];
            seconds.minimum[unit][t] = u.minimum[1];
          }
        }
      }
      if (tk_has_halves(type)) {
        tk_panel_products_halves(
          out, activations, &panel, &seconds, unit_first, units, rows, columns_in, columns_out, places, tiles);
      } else {
        tk_panel_products_plain(
          out, activations, &panel, unit_first, units, rows, columns_in, columns_out, places, tiles);
      }
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
    __m512 sums[tk_direct_rows_max];
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
  if (count < 16) {
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

#define TK_IN_REGISTER(v) "+v"(v)
#include "Probes.h"

static ptrdiff_t probe_integer(uint32_t *sum, uint8_t a, int8_t b, ptrdiff_t turns) {
  const __m512i q = _mm512_set1_epi8((char)a), x = _mm512_set1_epi8(b);
  __m512i dots[tk_probe_chains];
  for (int c = 0; c < tk_probe_chains; c++) dots[c] = _mm512_setzero_si512();
  for (ptrdiff_t turn = 0; turn < turns; turn++) {
#pragma clang loop unroll(full)
    for (int c = 0; c < tk_probe_chains; c++) {
      dots[c] = _mm512_dpbusd_epi32(dots[c], q, x);
      __asm__ volatile("" : TK_IN_REGISTER(dots[c]));
    }
  }
  uint32_t total = 0;
  for (int c = 0; c < tk_probe_chains; c++) total += (uint32_t)_mm512_reduce_add_epi32(dots[c]);
  *sum = total;
  return 2 * 64 * tk_probe_chains * turns;
}

const tk_functions tk_functions_avx512 = {
#include "Functions.h"
};

#pragma clang attribute pop
#endif
