// Products with f32, f16 and bf16 weights, for levels with vectors of 8 or 16 lanes.
//
// Included after Vectors.h and MatmulPortable.h. The level defines:
//   tk_vi                                          a vector of TK_LANES 32-bit integers
//   tk_transposed_chunk(rows, offset, tk_vi[4])    dword j (0...3) of the 16 bytes at an offset of each of TK_LANES rows
//   tk_consecutive_rows(address, stride)           TK_LANES rows that follow each other
//   tk_vf_low_halves / tk_vf_high_halves(tk_vi)    f16 in the low or high half of each lane, as floats
//
// Few rows: dot products of several weight rows with each row of x, along K. Many rows: the columns of a panel of 2 * TK_LANES
// weight rows and 256 inputs are transposed (and converted) to the stack, panel[k][lane]; then 6 rows of x at once are multiplied
// into it, one broadcast number of x for two vectors of weights.

enum { tk_float_panel_inputs = 256, tk_float_rows = 6, tk_float_gemm_rows_min = 8 };

TK_INLINE tk_vf tk_weight_vector(const uint8_t *row, uint32_t type, ptrdiff_t k) {
  return type == TK_TYPE_F32 ? tk_vf_load(row + 4 * k)
    : type == TK_TYPE_F16 ? tk_vf_load_half(row + 2 * k) : tk_vf_load_bf16(row + 2 * k);
}

/// Four runs of `run` columns, `distance` columns apart, for `m_count` rows of x; both are small constants. The runs are four
/// streams of memory, as for the quantised types (see "Tiles" in LevelAVX512.c).
TK_INLINE void tk_float_dots(
  uint32_t type, const int run, const int m_count, float *out, ptrdiff_t distance, const tk_f32 *x, const uint8_t *w,
  ptrdiff_t stride, ptrdiff_t columns_in, ptrdiff_t columns_out) {
  const ptrdiff_t whole = columns_in / TK_LANES * TK_LANES, element = type == TK_TYPE_F32 ? 4 : 2;
  const uint8_t *row[8];
  ptrdiff_t column[8];
  tk_vf sums[8][4];
  for (int n = 0; n < 4 * run; n++) {
    column[n] = n / run * distance + n % run;
    row[n] = w + column[n] * stride;
    for (int m = 0; m < m_count; m++) sums[n][m] = (tk_vf){0};
  }
  ptrdiff_t ahead = run * stride + 512;
  const ptrdiff_t step = run * TK_LANES * element;
  for (ptrdiff_t k = 0; k < whole; k += TK_LANES) {
    for (int i = 0; i < 4; i++) {
      for (ptrdiff_t j = 0; j < step; j += 64) __builtin_prefetch(row[i * run] + ahead + j);
    }
    ahead += step;
    tk_vf s[4];
    for (int m = 0; m < m_count; m++) s[m] = tk_vf_load(x + m * columns_in + k);
    for (int n = 0; n < 4 * run; n++) {
      const tk_vf v = tk_weight_vector(row[n], type, k);
      for (int m = 0; m < m_count; m++) sums[n][m] = tk_vf_multiply_add(v, s[m], sums[n][m]);
    }
  }
  for (int n = 0; n < 4 * run; n++) {
    for (int m = 0; m < m_count; m++) {
      float sum = tk_vf_sum(sums[n][m]);
      for (ptrdiff_t k = whole; k < columns_in; k++) sum += x[m * columns_in + k] * tk_load_element(row[n], type, k);
      tk_store_f32(out + m * columns_out + column[n], sum);
    }
  }
}

TK_INLINE void tk_float_few_rows(
  uint32_t type, const int m_count, float *out, const tk_f32 *x, const uint8_t *w, ptrdiff_t stride, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t count) {
  const int run = m_count == 1 ? 2 : 1;
  const ptrdiff_t quarter = count / (4 * run) * run;
  for (ptrdiff_t n = 0; n < quarter; n += run) {
    tk_float_dots(type, run, m_count, out + n, quarter, x, w + n * stride, stride, columns_in, columns_out);
  }
  // What is left, fewer than eight columns.
  tk_columns_float(out, (const float *)x, w, type, m_count, columns_in, columns_out, 4 * quarter, count - 4 * quarter);
}

/// panel[k][0 ..< TK_LANES] = weights k ... of TK_LANES rows, at a distance of 2 * TK_LANES floats.
TK_INLINE void tk_float_pack(
  uint32_t type, float *panel, const uint8_t *w, ptrdiff_t stride, ptrdiff_t k_first, ptrdiff_t k_count) {
  const ptrdiff_t element = type == TK_TYPE_F32 ? 4 : 2, step = 16 / element;
  const tk_rows rows = tk_consecutive_rows(w + k_first * element, stride);
  ptrdiff_t k = 0;
  for (; k + step <= k_count; k += step) {
    tk_vi t[4];
    tk_transposed_chunk(&rows, k * element, t);
    float *o = panel + k * 2 * TK_LANES;
    for (int j = 0; j < 4; j++) {
      if (type == TK_TYPE_F32) {
        memcpy(o + j * 2 * TK_LANES, &t[j], sizeof t[j]);
      } else if (type == TK_TYPE_F16) {
        tk_vf_store(o + (2 * j) * 2 * TK_LANES, tk_vf_low_halves(t[j]));
        tk_vf_store(o + (2 * j + 1) * 2 * TK_LANES, tk_vf_high_halves(t[j]));
      } else {
        tk_vu32 bits;
        memcpy(&bits, &t[j], sizeof bits);
        const tk_vu32 low = bits << 16, high = bits & 0xffff0000u;
        memcpy(o + (2 * j) * 2 * TK_LANES, &low, sizeof low);
        memcpy(o + (2 * j + 1) * 2 * TK_LANES, &high, sizeof high);
      }
    }
  }
  for (; k < k_count; k++) {
    for (int lane = 0; lane < TK_LANES; lane++) {
      panel[k * 2 * TK_LANES + lane] = tk_load_element(w + lane * stride, type, k_first + k);
    }
  }
}

/// out[m, 0 ..< 2 * TK_LANES] (+)= x · panel for a constant number of rows.
TK_INLINE void tk_float_micro(
  const int m_count, float *out, const tk_f32 *x, const float *panel, ptrdiff_t columns_in, ptrdiff_t columns_out,
  ptrdiff_t k_count, ptrdiff_t column_count, bool accumulate) {
  tk_vf sums[tk_float_rows][2];
  for (int m = 0; m < m_count; m++) sums[m][0] = sums[m][1] = (tk_vf){0};
  for (ptrdiff_t k = 0; k < k_count; k++) {
    const tk_vf a = tk_vf_load(panel + k * 2 * TK_LANES), b = tk_vf_load(panel + (k * 2 + 1) * TK_LANES);
    for (int m = 0; m < m_count; m++) {
      const tk_vf s = tk_vf_fill(x[m * columns_in + k]);
      sums[m][0] = tk_vf_multiply_add(s, a, sums[m][0]);
      sums[m][1] = tk_vf_multiply_add(s, b, sums[m][1]);
    }
  }
  for (int m = 0; m < m_count; m++) {
    tk_f32 *o = out + m * columns_out;
    if (column_count == 2 * TK_LANES) {
      for (int i = 0; i < 2; i++) {
        tk_f32 *target = o + i * TK_LANES;
        tk_vf_store(target, accumulate ? tk_vf_load(target) + sums[m][i] : sums[m][i]);
      }
    } else {
      float lanes[2 * TK_LANES];
      tk_vf_store(lanes, sums[m][0]);
      tk_vf_store(lanes + TK_LANES, sums[m][1]);
      for (ptrdiff_t i = 0; i < column_count; i++) o[i] = accumulate ? o[i] + lanes[i] : lanes[i];
    }
  }
}

TK_INLINE void tk_float_many_rows(
  uint32_t type, float *out, const tk_f32 *x, const uint8_t *w, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t count) {
  _Alignas(64) float panel[tk_float_panel_inputs * 2 * TK_LANES];
  for (ptrdiff_t n = 0; n < count; n += 2 * TK_LANES) {
    const ptrdiff_t column_count = count - n < 2 * TK_LANES ? count - n : 2 * TK_LANES;
    for (ptrdiff_t k = 0; k < columns_in || k == 0; k += tk_float_panel_inputs) {
      const ptrdiff_t k_count = columns_in - k < tk_float_panel_inputs ? columns_in - k : tk_float_panel_inputs;
      const uint8_t *rows_start = w + n * stride;
      for (int half = 0; half < 2; half++) {
        float *part = panel + half * TK_LANES;
        if (column_count >= (half + 1) * TK_LANES) {
          tk_float_pack(type, part, rows_start + half * TK_LANES * stride, stride, k, k_count);
        } else {
          // Fewer columns than lanes: those that exist one by one, zeros in the other lanes.
          for (ptrdiff_t i = 0; i < k_count; i++) {
            for (int lane = 0; lane < TK_LANES; lane++) {
              const ptrdiff_t column = half * TK_LANES + lane;
              part[i * 2 * TK_LANES + lane] =
                column < column_count ? tk_load_element(rows_start + column * stride, type, k + i) : 0;
            }
          }
        }
      }
      ptrdiff_t m = 0;
      for (; m + tk_float_rows <= rows; m += tk_float_rows) {
        tk_float_micro(
          tk_float_rows, out + m * columns_out + n, x + m * columns_in + k, panel, columns_in, columns_out, k_count,
          column_count, k > 0);
      }
#define TK_REST(M) \
  case M: \
    tk_float_micro(M, out + m * columns_out + n, x + m * columns_in + k, panel, columns_in, columns_out, k_count, \
      column_count, k > 0); \
    break;
      switch (rows - m) {
        TK_REST(1) TK_REST(2) TK_REST(3) TK_REST(4) TK_REST(5)
        default: break;
      }
#undef TK_REST
    }
  }
}

TK_INLINE void tk_matmul_float_of(
  uint32_t type, float *out, const tk_f32 *x, const uint8_t *w, ptrdiff_t rows, ptrdiff_t columns_in, ptrdiff_t columns_out,
  ptrdiff_t count) {
  const ptrdiff_t stride = columns_in * (type == TK_TYPE_F32 ? 4 : 2);
  if (rows >= tk_float_gemm_rows_min) {
    tk_float_many_rows(type, out, x, w, stride, rows, columns_in, columns_out, count);
    return;
  }
  for (ptrdiff_t m = 0; m < rows;) {
    float *o = out + m * columns_out;
    const tk_f32 *s = x + m * columns_in;
    switch (rows - m) {
      case 1: tk_float_few_rows(type, 1, o, s, w, stride, columns_in, columns_out, count); m += 1; break;
      case 2: tk_float_few_rows(type, 2, o, s, w, stride, columns_in, columns_out, count); m += 2; break;
      case 3: tk_float_few_rows(type, 3, o, s, w, stride, columns_in, columns_out, count); m += 3; break;
      default: tk_float_few_rows(type, 4, o, s, w, stride, columns_in, columns_out, count); m += 4; break;
    }
  }
}

static void tk_matmul_float(
  float *out, const float *x, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in, ptrdiff_t columns_out,
  ptrdiff_t first, ptrdiff_t count) {
  const uint8_t *rows_start = (const uint8_t *)w + first * tk_row_byte_count(type, columns_in);
  switch (type) {
    case TK_TYPE_F32: tk_matmul_float_of(TK_TYPE_F32, out + first, x, rows_start, rows, columns_in, columns_out, count); break;
    case TK_TYPE_F16: tk_matmul_float_of(TK_TYPE_F16, out + first, x, rows_start, rows, columns_in, columns_out, count); break;
    default: tk_matmul_float_of(TK_TYPE_BF16, out + first, x, rows_start, rows, columns_in, columns_out, count); break;
  }
}
