// Products of few rows at the AVX2 level, for types whose integers lie in order. Included by LevelAVX2.c.
//
// One row of activations needs no transposed weights: here two weight rows share a register, one in each half, beside the same inputs in
// both halves, and only the sums are transposed. Of eight rows and 32 inputs that takes 42 instructions for the products in place of 60. The
// sums are the same integers, and what follows is the same: results are those of the transposed form bit for bit.

/// The first (lo) and last (hi) 16 of 32 inputs, rows i and i + 4 in the halves of vector i.
typedef struct tk_pairs {
  __m256i lo[4], hi[4];
} tk_pairs;

/// The types that are faster so; the others need their bits transposed anyway.
TK_INLINE bool tk_has_pairs(uint32_t type) { return type == TK_TYPE_Q4_0 || type == TK_TYPE_Q4_1 || type == TK_TYPE_Q8_0; }

/// The first dwords of four units in a row, of eight rows: d[u] is tk_transposed_first of unit u. Sixteen bytes that hold the dword at its
/// place are read of each, so that four of them blend into one vector.
TK_INLINE void tk_transposed_firsts(const tk_rows *w, ptrdiff_t offset, ptrdiff_t step, __m256i d[4]) {
  __m256i r[4];
  for (int i = 0; i < 4; i++) {
    const uint8_t *low = w->run[i / tk_run] + offset + i % tk_run * w->stride;
    const uint8_t *high = w->run[(i + 4) / tk_run] + offset + i % tk_run * w->stride;
    __m256i v[4];
    for (int u = 0; u < 4; u++) {
      v[u] = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)(low + u * (step - 4)))),
        _mm_loadu_si128((const __m128i_u *)(high + u * (step - 4))), 1);
    }
    r[i] = _mm256_blend_epi32(_mm256_blend_epi32(v[0], v[1], 0x22), _mm256_blend_epi32(v[2], v[3], 0x88), 0xcc);
  }
  const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
  const __m256i c = _mm256_unpacklo_epi32(r[2], r[3]), e = _mm256_unpackhi_epi32(r[2], r[3]);
  d[0] = _mm256_unpacklo_epi64(a, c);
  d[1] = _mm256_unpackhi_epi64(a, c);
  d[2] = _mm256_unpacklo_epi64(b, e);
  d[3] = _mm256_unpackhi_epi64(b, e);
}

TK_INLINE void tk_load_pairs(
  uint32_t type, const tk_rows *w, ptrdiff_t unit, __m256i d, tk_pairs *p, __m256 *scale, __m256 *minimum) {
  const ptrdiff_t block = unit * tk_unit_byte_count(type);
  if (type == TK_TYPE_Q8_0) {
    tk_load_chunk(w, block + 2, p->lo);
    tk_load_chunk(w, block + 18, p->hi);
  } else {
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i r[4];
    tk_load_chunk(w, block + (type == TK_TYPE_Q4_1 ? 4 : 2), r);
    for (int i = 0; i < 4; i++) {
      p->lo[i] = _mm256_and_si256(r[i], mask);
      p->hi[i] = _mm256_and_si256(_mm256_srli_epi16(r[i], 4), mask);
    }
  }
  *scale = tk_low_halves(d);
  if (type == TK_TYPE_Q4_0) *minimum = _mm256_mul_ps(*scale, _mm256_set1_ps(-8));
  if (type == TK_TYPE_Q4_1) *minimum = tk_high_halves(d);
}

/// The integer sums of 32 inputs of eight rows.
TK_INLINE __m256i tk_pair_dots(const int kind, const tk_pairs *p, const int8_t *x) {
  const __m256i x_lo = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)x));
  const __m256i x_hi = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)(x + 16)));
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i s[4];
  if (kind == tk_kind_signed_8_bits) {
    for (int i = 0; i < 4; i++) {
      s[i] = _mm256_add_epi32(
        _mm256_madd_epi16(tk_products(kind, p->lo[i], x_lo), ones), _mm256_madd_epi16(tk_products(kind, p->hi[i], x_hi), ones));
    }
    const __m256i a = _mm256_add_epi32(_mm256_unpacklo_epi32(s[0], s[1]), _mm256_unpackhi_epi32(s[0], s[1]));
    const __m256i b = _mm256_add_epi32(_mm256_unpacklo_epi32(s[2], s[3]), _mm256_unpackhi_epi32(s[2], s[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
  }
  // Eight products of 4 bits fit 16 bits, see above.
  for (int i = 0; i < 4; i++) s[i] = _mm256_add_epi16(tk_products(kind, p->lo[i], x_lo), tk_products(kind, p->hi[i], x_hi));
  const __m256i a = _mm256_add_epi16(_mm256_unpacklo_epi32(s[0], s[1]), _mm256_unpackhi_epi32(s[0], s[1]));
  const __m256i b = _mm256_add_epi16(_mm256_unpacklo_epi32(s[2], s[3]), _mm256_unpackhi_epi32(s[2], s[3]));
  return _mm256_madd_epi16(_mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)), ones);
}

TK_INLINE void tk_direct_pairs(
  uint32_t type, const int m_count, __m256 sums[], const tk_activation_row *a, const tk_rows *w, ptrdiff_t unit, __m256i d) {
  const int kind = tk_kind_of(type);
  tk_fetch_ahead(type, w, unit);
  tk_pairs p;
  __m256 scale[2], minimum[2];
  tk_load_pairs(type, w, unit, d, &p, scale, minimum);
  for (int m = 0; m < m_count; m++) {
    const __m256i dot[2] = {tk_pair_dots(kind, &p, a[m].q + unit * TK_UNIT)};
    sums[m] = tk_add_unit(kind, sums[m], dot, scale, minimum, &a[m], unit);
  }
}
