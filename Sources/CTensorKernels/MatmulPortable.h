// Products in plain C: the portable level, and at the other levels the columns that do not fill a tile.
// Included after Elementwise.h.

/// One column of W, quantised: out[m, n] for rows m of quantised activations.
TK_INLINE void tk_column_quantized(
  uint32_t type, float *out, const void *activations, const uint8_t *w_row, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out) {
  enum { rows_at_once = 8 };
  for (ptrdiff_t m0 = 0; m0 < rows; m0 += rows_at_once) {
    const int m_count = rows - m0 < rows_at_once ? (int)(rows - m0) : rows_at_once;
    float sums[rows_at_once] = {0};
    for (ptrdiff_t unit = 0; unit < columns_in / TK_UNIT; unit++) {
      int16_t q[32];
      float scale[2], minimum[2];
      tk_unit_at(type, w_row, unit, q, scale, minimum);
      for (int m = 0; m < m_count; m++) {
        const tk_activation_row a = tk_activation_row_at(activations, columns_in, m0 + m);
        const int8_t *x = a.q + unit * TK_UNIT;
        int32_t low = 0, high = 0;
        for (int i = 0; i < 16; i++) low += q[i] * x[i];
        for (int i = 16; i < 32; i++) high += q[i] * x[i];
        const float x_scale = tk_load_f32(a.pairs + 8 * unit);
        if (type == TK_TYPE_Q6_K) {
          sums[m] += x_scale * (scale[0] * (float)low + scale[1] * (float)high)
            + minimum[0] * tk_load_f32(a.halves + 8 * unit) + minimum[1] * tk_load_f32(a.halves + 8 * unit + 4);
        } else {
          sums[m] += x_scale * scale[0] * (float)(low + high) + minimum[0] * tk_load_f32(a.pairs + 8 * unit + 4);
        }
      }
    }
    for (int m = 0; m < m_count; m++) tk_store_f32(out + (m0 + m) * columns_out, sums[m]);
  }
}

static void tk_columns_quantized(
  float *out, const void *activations, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t stride = tk_row_byte_count(type, columns_in);
  for (ptrdiff_t n = first; n < first + count; n++) {
    const uint8_t *row = (const uint8_t *)w + n * stride;
    switch (type) {
#define TK_CASE(T) case T: tk_column_quantized(T, out + n, activations, row, rows, columns_in, columns_out); break;
      TK_CASE(TK_TYPE_Q4_0) TK_CASE(TK_TYPE_Q4_1) TK_CASE(TK_TYPE_Q5_0) TK_CASE(TK_TYPE_Q5_1) TK_CASE(TK_TYPE_Q8_0)
      TK_CASE(TK_TYPE_Q4_K) TK_CASE(TK_TYPE_Q6_K)
#undef TK_CASE
      default: break;
    }
  }
}

/// Columns of a float-typed W: sums in sixteen lanes, which the compiler vectorises.
static void tk_columns_float(
  float *out, const float *x, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in, ptrdiff_t columns_out,
  ptrdiff_t first, ptrdiff_t count) {
  const ptrdiff_t stride = tk_row_byte_count(type, columns_in);
  for (ptrdiff_t n = first; n < first + count; n++) {
    const uint8_t *row = (const uint8_t *)w + n * stride;
    for (ptrdiff_t m = 0; m < rows; m++) {
      const tk_f32 *s = x + m * columns_in;
      float sum = 0;
      {
#pragma clang fp reassociate(on) contract(fast)
      if (type == TK_TYPE_F32) {
        for (ptrdiff_t k = 0; k < columns_in; k++) sum += s[k] * ((const tk_f32 *)row)[k];
      } else if (type == TK_TYPE_F16) {
        for (ptrdiff_t k = 0; k < columns_in; k++) sum += s[k] * tk_half_to_float(((const tk_u16 *)row)[k]);
      } else {
        for (ptrdiff_t k = 0; k < columns_in; k++) sum += s[k] * tk_bf16_to_float(((const tk_u16 *)row)[k]);
      }
      }
      tk_store_f32(out + m * columns_out + n, sum);
    }
  }
}
