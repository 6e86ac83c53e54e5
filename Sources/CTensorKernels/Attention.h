// Attention over a chunked cache. Included by each level after Elementwise.h and Vectors.h.
//
// The query heads of one key/value head, up to TK_ATTENTION_HEADS at once, walk the cached positions in blocks of 32:
//
//   scores[h][p] = q[h] · k[p]      four positions at once, one load (and conversion) of a key for all heads
//   online softmax                   running maximum and sum per head; out is rescaled when the maximum grows
//   out[h] += e^(score - max) v[p]   out in registers, 4 vectors of a head's elements at once
//
// Source of the online form: Milakov and Gimelshein, arXiv:1805.02867.

enum { tk_attention_block = 32 };

TK_INLINE tk_vf tk_cache_vector(const uint8_t *row, uint32_t type, ptrdiff_t element) {
  return type == TK_TYPE_F32 ? tk_vf_load(row + 4 * element) : tk_vf_load_half(row + 2 * element);
}

TK_INLINE float tk_cache_element(const uint8_t *row, uint32_t type, ptrdiff_t element) {
  return type == TK_TYPE_F32 ? tk_load_f32(row + 4 * element) : tk_half_to_float(tk_load_u16(row + 2 * element));
}

/// scores[h][0 ..< count] for `count` keys of one block.
TK_INLINE void tk_attention_scores(
  uint32_t type, const int heads, float scores[][tk_attention_block], const tk_f32 *q, ptrdiff_t dim,
  const uint8_t *const *keys, int count) {
  const ptrdiff_t whole = dim / TK_LANES * TK_LANES;
  int p = 0;
  for (; p + 4 <= count; p += 4) {
    tk_vf sums[TK_ATTENTION_HEADS][4];
    for (int h = 0; h < heads; h++) {
      for (int i = 0; i < 4; i++) sums[h][i] = (tk_vf){0};
    }
    for (ptrdiff_t d = 0; d < whole; d += TK_LANES) {
      tk_vf k[4];
      for (int i = 0; i < 4; i++) k[i] = tk_cache_vector(keys[p + i], type, d);
      for (int h = 0; h < heads; h++) {
        const tk_vf x = tk_vf_load(q + h * dim + d);
        for (int i = 0; i < 4; i++) sums[h][i] = tk_vf_multiply_add(x, k[i], sums[h][i]);
      }
    }
    for (int h = 0; h < heads; h++) {
      tk_v4 dots = tk_vf_sums(sums[h][0], sums[h][1], sums[h][2], sums[h][3]);
      for (ptrdiff_t d = whole; d < dim; d++) {
        for (int i = 0; i < 4; i++) dots[i] += q[h * dim + d] * tk_cache_element(keys[p + i], type, d);
      }
      memcpy(&scores[h][p], &dots, sizeof dots);
    }
  }
  for (; p < count; p++) {
    for (int h = 0; h < heads; h++) {
      tk_vf sum = (tk_vf){0};
      for (ptrdiff_t d = 0; d < whole; d += TK_LANES) {
        sum = tk_vf_multiply_add(tk_vf_load(q + h * dim + d), tk_cache_vector(keys[p], type, d), sum);
      }
      float dot = tk_vf_sum(sum);
      for (ptrdiff_t d = whole; d < dim; d++) dot += q[h * dim + d] * tk_cache_element(keys[p], type, d);
      scores[h][p] = dot;
    }
  }
}

/// out[h] += Σ weights[h][p] * values[p], `vectors` vectors from element d.
TK_INLINE void tk_attention_values(
  uint32_t type, const int heads, const int vectors, tk_f32 *out, ptrdiff_t dim, ptrdiff_t d,
  float weights[][tk_attention_block], const uint8_t *const *values, int count) {
  tk_vf sums[TK_ATTENTION_HEADS][4];
  for (int h = 0; h < heads; h++) {
    for (int i = 0; i < vectors; i++) sums[h][i] = tk_vf_load(out + h * dim + d + i * TK_LANES);
  }
  for (int p = 0; p < count; p++) {
    tk_vf v[4];
    for (int i = 0; i < vectors; i++) v[i] = tk_cache_vector(values[p], type, d + i * TK_LANES);
    for (int h = 0; h < heads; h++) {
      const tk_vf weight = tk_vf_fill(weights[h][p]);
      for (int i = 0; i < vectors; i++) sums[h][i] = tk_vf_multiply_add(weight, v[i], sums[h][i]);
    }
  }
  for (int h = 0; h < heads; h++) {
    for (int i = 0; i < vectors; i++) tk_vf_store(out + h * dim + d + i * TK_LANES, sums[h][i]);
  }
}

/// One row, `heads` query heads that share key/value head `kv_head`.
TK_INLINE void tk_attention_group(
  uint32_t type, const int heads, const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t head, ptrdiff_t kv_head) {
  const ptrdiff_t dim = a->head_dim;
  const tk_f32 *q = a->q + (row * a->heads + head) * dim;
  tk_f32 *out = a->out + (row * a->heads + head) * dim;
  const int64_t last = tk_load_i32(a->positions + row);
  const int64_t first = a->window > 0 && last >= a->window ? last - a->window + 1 : 0;
  const int64_t element_byte_count = type == TK_TYPE_F32 ? 4 : 2;
  const int64_t row_byte_count = a->kv_heads * dim * element_byte_count;
  const uint8_t *base = (const uint8_t *)a->cache + tk_load_i64(a->bases + row) + kv_head * dim * element_byte_count;

  float maximum[TK_ATTENTION_HEADS], sum[TK_ATTENTION_HEADS];
  for (int h = 0; h < heads; h++) {
    maximum[h] = -INFINITY;
    sum[h] = 0;
  }
  for (ptrdiff_t i = 0; i < heads * dim; i++) out[i] = 0;

  int64_t position = first;
  while (position <= last) {
    const int count = last + 1 - position < tk_attention_block ? (int)(last + 1 - position) : tk_attention_block;
    const uint8_t *keys[tk_attention_block], *values[tk_attention_block];
    int64_t chunk = position / a->chunk_positions, within = position % a->chunk_positions;
    for (int p = 0; p < count; p++) {
      const uint8_t *chunk_row = base + chunk * a->chunk_stride + within * row_byte_count;
      keys[p] = chunk_row + a->key_plane_offset;
      values[p] = chunk_row + a->value_plane_offset;
      if (++within == a->chunk_positions) {
        within = 0;
        chunk++;
      }
    }
    float scores[TK_ATTENTION_HEADS][tk_attention_block];
    tk_attention_scores(type, heads, scores, q, dim, keys, count);
    for (int h = 0; h < heads; h++) {
      float *s = scores[h];
      float block_maximum = maximum[h];
      for (int p = 0; p < count; p++) {
        s[p] *= a->scale;
        // c tanh(s / c) = c - 2c / (e^(2s/c) + 1)
        if (a->softcap > 0) s[p] = a->softcap - 2 * a->softcap / (tk_exp(2 * s[p] / a->softcap) + 1);
        block_maximum = s[p] > block_maximum ? s[p] : block_maximum;
      }
      if (block_maximum > maximum[h]) {
        const float factor = tk_exp(maximum[h] - block_maximum);  // 0 for the first block
        sum[h] *= factor;
        for (ptrdiff_t d = 0; d < dim; d++) out[h * dim + d] *= factor;
        maximum[h] = block_maximum;
      }
      for (int p = count; p < tk_attention_block; p++) s[p] = -INFINITY;
      for (int p = 0; p < tk_attention_block; p++) s[p] = tk_exp(s[p] - maximum[h]);
      float block_sum = 0;
      {
#pragma clang fp reassociate(on)
        for (int p = 0; p < tk_attention_block; p++) block_sum += s[p];
      }
      sum[h] += block_sum;
    }
    ptrdiff_t d = 0;
    for (; d + 4 * TK_LANES <= dim; d += 4 * TK_LANES) {
      tk_attention_values(type, heads, 4, out, dim, d, scores, values, count);
    }
    for (; d + TK_LANES <= dim; d += TK_LANES) tk_attention_values(type, heads, 1, out, dim, d, scores, values, count);
    for (; d < dim; d++) {
      for (int h = 0; h < heads; h++) {
        float total = out[h * dim + d];
        for (int p = 0; p < count; p++) total += scores[h][p] * tk_cache_element(values[p], type, d);
        out[h * dim + d] = total;
      }
    }
    position += count;
  }
  for (int h = 0; h < heads; h++) {
    const float factor = last < 0 ? 0 : 1.0f / sum[h];
    for (ptrdiff_t d = 0; d < dim; d++) out[h * dim + d] *= factor;
  }
}

static void attention(
  const tk_attention_arguments *a, ptrdiff_t first_row, ptrdiff_t row_count, ptrdiff_t first_head, ptrdiff_t head_count) {
  const ptrdiff_t group = a->heads / a->kv_heads;
  for (ptrdiff_t head = first_head; head < first_head + head_count;) {
    const ptrdiff_t kv_head = head / group;
    ptrdiff_t count = (kv_head + 1) * group - head;
    if (count > first_head + head_count - head) count = first_head + head_count - head;
    if (count > TK_ATTENTION_HEADS) count = TK_ATTENTION_HEADS;
    for (ptrdiff_t row = first_row; row < first_row + row_count; row++) {
#define TK_GROUP(T, C) tk_attention_group(T, C, a, row, head, kv_head)
      if (a->type == TK_TYPE_F32) {
        switch (count) {
          case 1: TK_GROUP(TK_TYPE_F32, 1); break;
          case 2: TK_GROUP(TK_TYPE_F32, 2); break;
#if TK_ATTENTION_HEADS >= 4
          case 3: TK_GROUP(TK_TYPE_F32, 3); break;
          default: TK_GROUP(TK_TYPE_F32, 4); break;
#endif
        }
      } else {
        switch (count) {
          case 1: TK_GROUP(TK_TYPE_F16, 1); break;
          case 2: TK_GROUP(TK_TYPE_F16, 2); break;
#if TK_ATTENTION_HEADS >= 4
          case 3: TK_GROUP(TK_TYPE_F16, 3); break;
          default: TK_GROUP(TK_TYPE_F16, 4); break;
#endif
        }
      }
#undef TK_GROUP
    }
    head += count;
  }
}
