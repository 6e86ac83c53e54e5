// Attention over a chunked cache. Included by each level after Elementwise.h and Vectors.h.
//
// One row: the query heads of one key/value head, up to TK_ATTENTION_HEADS at once, walk the cached positions in blocks of 32:
//
//   scores[h][p] = q[h] · k[p]      four positions at once, one load (and conversion) of a key for all heads
//   online softmax                   running maximum and sum per head; out is rescaled when the maximum grows
//   out[h] += e^(score - max) v[p]   out in registers, 4 vectors of a head's elements at once
//
// Source of the online form: Milakov and Gimelshein, arXiv:1805.02867.

enum { tk_attention_block = 32 };

/// cap tanh(score / cap) = cap - 2 cap / (e^(2 score / cap) + 1), which cancels where the score is small beside the cap: the series to the ninth
/// power there.
TK_INLINE float tk_softcapped(float score, float cap) {
  const float x = score / cap, square = x * x;
  const float series =
    score + score * square * (-1.0f / 3 + square * (2.0f / 15 + square * (-17.0f / 315 + square * (62.0f / 2835))));
  const float quotient = cap - 2 * cap / (tk_exp(2 * x) + 1);
  return x < 0.3f && x > -0.3f ? series : quotient;
}

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

/// The positions of a row that a call is about: all, or those of its part. Where a row is not begun yet or finished already, none.
typedef struct tk_attention_span {
  int64_t first, last;  // none: first > last
  bool begins, ends;    // holds the row's first position, its last one
} tk_attention_span;

TK_INLINE tk_attention_span tk_attention_span_of(const tk_attention_arguments *a, ptrdiff_t row) {
  const int64_t last = tk_load_i32(a->positions + row);
  const int64_t first = a->window > 0 && last >= a->window ? last - a->window + 1 : 0;
  if (a->state == NULL) return (tk_attention_span){first, last, true, true};
  return (tk_attention_span){
    first > a->position_begin ? first : a->position_begin, last < a->position_end ? last : a->position_end - 1,
    first >= a->position_begin, last < a->position_end};
}

/// One row, `heads` query heads that share key/value head `kv_head`.
TK_INLINE void tk_attention_group(
  uint32_t type, const int heads, const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t head, ptrdiff_t kv_head) {
  const ptrdiff_t dim = a->head_dim;
  const tk_f32 *q = a->q + (row * a->heads + head) * dim;
  tk_f32 *out = a->out + (row * a->heads + head) * dim;
  const tk_attention_span span = tk_attention_span_of(a, row);
  const int64_t first = span.first, last = span.last;
  if (a->state != NULL && first > last) return;
  const int64_t element_byte_count = type == TK_TYPE_F32 ? 4 : 2;
  const int64_t head_byte_count = dim * element_byte_count;
  const int64_t row_byte_count = a->kv_heads * head_byte_count;
  const uint8_t *base = (const uint8_t *)a->cache + tk_load_i64(a->bases + row) + kv_head * head_byte_count;

  float *state = a->state == NULL ? NULL : a->state + 2 * (row * a->heads + head);
  float maximum[TK_ATTENTION_HEADS], sum[TK_ATTENTION_HEADS];
  if (span.begins) {
    for (int h = 0; h < heads; h++) {
      maximum[h] = -INFINITY;
      sum[h] = 0;
    }
    for (ptrdiff_t i = 0; i < heads * dim; i++) out[i] = 0;
  } else {
    for (int h = 0; h < heads; h++) {
      maximum[h] = state[2 * h];
      sum[h] = state[2 * h + 1];
    }
  }

  int64_t position = first;
  while (position <= last) {
    const int count = last + 1 - position < tk_attention_block ? (int)(last + 1 - position) : tk_attention_block;
    const uint8_t *keys[tk_attention_block], *values[tk_attention_block];
    int64_t chunk = position / a->chunk_positions, within = position % a->chunk_positions;
    for (int p = 0; p < count; p++) {
      const uint8_t *chunk_row = base + chunk * a->chunk_stride + within * row_byte_count;
      keys[p] = chunk_row + a->key_plane_offset;
      values[p] = chunk_row + a->value_plane_offset;
      // The weights of a pass have driven the cache out; heads lie apart, so that the processor does not guess what comes.
      for (int64_t line = 0; line < head_byte_count; line += 64) {
        __builtin_prefetch(keys[p] + line);
        __builtin_prefetch(values[p] + line);
      }
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
        if (a->softcap > 0) s[p] = tk_softcapped(s[p], a->softcap);
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
  if (!span.ends) {
    for (int h = 0; h < heads; h++) {
      state[2 * h] = maximum[h];
      state[2 * h + 1] = sum[h];
    }
    return;
  }
  for (int h = 0; h < heads; h++) {
    const float factor = last < 0 ? 0 : 1.0f / sum[h];
    for (ptrdiff_t d = 0; d < dim; d++) out[h * dim + d] *= factor;
  }
}

/// One row, all `heads` query heads, as many at once as there are registers for.
static void tk_attention_row(
  const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t first_head, ptrdiff_t head_count, ptrdiff_t kv_head) {
  for (ptrdiff_t head = first_head; head < first_head + head_count; head += TK_ATTENTION_HEADS) {
    const ptrdiff_t count = first_head + head_count - head;
#define TK_GROUP(T, C) tk_attention_group(T, C, a, row, head, kv_head)
    if (a->type == TK_TYPE_F32) {
      switch (count) {
        case 1: TK_GROUP(TK_TYPE_F32, 1); break;
#if TK_ATTENTION_HEADS >= 4
        case 2: TK_GROUP(TK_TYPE_F32, 2); break;
        case 3: TK_GROUP(TK_TYPE_F32, 3); break;
#endif
        default: TK_GROUP(TK_TYPE_F32, TK_ATTENTION_HEADS); break;
      }
    } else {
      switch (count) {
        case 1: TK_GROUP(TK_TYPE_F16, 1); break;
#if TK_ATTENTION_HEADS >= 4
        case 2: TK_GROUP(TK_TYPE_F16, 2); break;
        case 3: TK_GROUP(TK_TYPE_F16, 3); break;
#endif
        default: TK_GROUP(TK_TYPE_F16, TK_ATTENTION_HEADS); break;
      }
    }
#undef TK_GROUP
  }
}

// MARK: Several rows of one sequence
//
// The keys of 32 positions are converted and transposed once for up to 32 queries (rows times heads of a group), so that scores
// are sums of vectors of positions and no sum crosses lanes; their values are converted once too:
//
//   keys[d][p]      scores[query][p] += q[query][d] * keys[d][p], four queries at once
//   values[p][d]    out[query][d] += weight[query][p] * values[p][d]

enum { tk_tile_positions = 32, tk_tile_queries = 32, tk_tile_dim_max = 128, tk_tile_rows_min = 3 };

typedef struct tk_attention_tile {
  _Alignas(64) float keys[tk_tile_dim_max][tk_tile_positions];
  _Alignas(64) float values[tk_tile_positions][tk_tile_dim_max];
  _Alignas(64) float scores[tk_tile_queries][tk_tile_positions];
} tk_attention_tile;

typedef struct tk_query {
  const tk_f32 *q;
  tk_f32 *out;
  int64_t first, last;  // positions it attends, in this part
  float maximum, sum;
  float *state;         // where they go after this part; null: the part ends the row
} tk_query;

TK_INLINE void tk_tile_convert(uint32_t type, float *out, const uint8_t *row, ptrdiff_t dim) {
  for (ptrdiff_t d = 0; d < dim; d += TK_LANES) tk_vf_store(out + d, tk_cache_vector(row, type, d));
}

/// Fills keys from the rows that lie converted in values.
TK_INLINE void tk_tile_transpose(tk_attention_tile *tile, ptrdiff_t dim) {
  for (ptrdiff_t d = 0; d < dim; d += 4) {
    for (int p = 0; p < tk_tile_positions; p += 4) {
      tk_v4 r[4];
      for (int i = 0; i < 4; i++) memcpy(&r[i], &tile->values[p + i][d], sizeof r[i]);
      const tk_v4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5), b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
      const tk_v4 c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5), e = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
      const tk_v4 t[4] = {
        __builtin_shufflevector(a, c, 0, 1, 4, 5), __builtin_shufflevector(a, c, 2, 3, 6, 7),
        __builtin_shufflevector(b, e, 0, 1, 4, 5), __builtin_shufflevector(b, e, 2, 3, 6, 7)};
      for (int i = 0; i < 4; i++) memcpy(&tile->keys[d + i][p], &t[i], sizeof t[i]);
    }
  }
}

/// Scores of `count` queries (a constant up to 4).
TK_INLINE void tk_tile_scores(
  const int count, tk_attention_tile *tile, const tk_query *const *queries, int first, ptrdiff_t dim) {
  for (int p = 0; p < tk_tile_positions; p += 2 * TK_LANES) {
    tk_vf sums[4][2];
    for (int i = 0; i < count; i++) sums[i][0] = sums[i][1] = (tk_vf){0};
    for (ptrdiff_t d = 0; d < dim; d++) {
      const tk_vf a = tk_vf_load(&tile->keys[d][p]), b = tk_vf_load(&tile->keys[d][p + TK_LANES]);
      for (int i = 0; i < count; i++) {
        const tk_vf x = tk_vf_fill(queries[i]->q[d]);
        sums[i][0] = tk_vf_multiply_add(x, a, sums[i][0]);
        sums[i][1] = tk_vf_multiply_add(x, b, sums[i][1]);
      }
    }
    for (int i = 0; i < count; i++) {
      tk_vf_store(&tile->scores[first + i][p], sums[i][0]);
      tk_vf_store(&tile->scores[first + i][p + TK_LANES], sums[i][1]);
    }
  }
}

/// Turns the scores of one query into weights relative to its running maximum, which it updates together with its sum.
TK_INLINE void tk_tile_weights(
  const tk_attention_arguments *a, tk_query *query, float *s, int64_t position, ptrdiff_t dim) {
  float scaled[tk_tile_positions];
  for (int p = 0; p < tk_tile_positions; p++) scaled[p] = s[p] * a->scale;
  if (a->softcap > 0) {
    for (int p = 0; p < tk_tile_positions; p++) {
      scaled[p] = tk_softcapped(scaled[p], a->softcap);
    }
  }
  const int from = query->first > position ? (int)(query->first - position) : 0;
  const int end = query->last - position < tk_tile_positions ? (int)(query->last - position) + 1 : tk_tile_positions;
  for (int p = 0; p < tk_tile_positions; p++) {
    scaled[p] = (unsigned)(p - from) < (unsigned)(end - from) ? scaled[p] : -INFINITY;
  }
  float lanes[8];
  for (int i = 0; i < 8; i++) lanes[i] = query->maximum;
  for (int p = 0; p < tk_tile_positions; p += 8) {
    for (int i = 0; i < 8; i++) lanes[i] = scaled[p + i] > lanes[i] ? scaled[p + i] : lanes[i];
  }
  float maximum = lanes[0];
  for (int i = 1; i < 8; i++) maximum = lanes[i] > maximum ? lanes[i] : maximum;
  if (maximum > query->maximum) {
    const float factor = tk_exp(query->maximum - maximum);  // 0 for the first tile
    query->sum *= factor;
    tk_f32 *out = query->out;
    for (ptrdiff_t d = 0; d < dim; d++) out[d] *= factor;
    query->maximum = maximum;
  }
  for (int p = 0; p < tk_tile_positions; p++) s[p] = tk_exp(scaled[p] - query->maximum);
  float sum = 0;
  {
#pragma clang fp reassociate(on)
    for (int p = 0; p < tk_tile_positions; p++) sum += s[p];
  }
  query->sum += sum;
}

/// out of `count` queries (a constant) gains the weighted values, `vectors` vectors from element d.
TK_INLINE void tk_tile_values(
  const int count, const int vectors, tk_attention_tile *tile, tk_query *const *queries, int first, ptrdiff_t d,
  int positions) {
  tk_vf sums[TK_ATTENTION_HEADS][4];
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < vectors; j++) sums[i][j] = tk_vf_load(queries[i]->out + d + j * TK_LANES);
  }
  for (int p = 0; p < positions; p++) {
    tk_vf v[4];
    for (int j = 0; j < vectors; j++) v[j] = tk_vf_load(&tile->values[p][d + j * TK_LANES]);
    for (int i = 0; i < count; i++) {
      const tk_vf weight = tk_vf_fill(tile->scores[first + i][p]);
      for (int j = 0; j < vectors; j++) sums[i][j] = tk_vf_multiply_add(weight, v[j], sums[i][j]);
    }
  }
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < vectors; j++) tk_vf_store(queries[i]->out + d + j * TK_LANES, sums[i][j]);
  }
}

TK_INLINE void tk_tile_values_of_all(
  const int count, tk_attention_tile *tile, tk_query *const *queries, int first, ptrdiff_t dim, int positions) {
  ptrdiff_t d = 0;
  for (; d + 4 * TK_LANES <= dim; d += 4 * TK_LANES) tk_tile_values(count, 4, tile, queries, first, d, positions);
  for (; d < dim; d += TK_LANES) tk_tile_values(count, 1, tile, queries, first, d, positions);
}

/// `rows` rows of one sequence and `heads` query heads of one key/value head; rows * heads at most tk_tile_queries, head_dim a
/// multiple of TK_LANES and at most tk_tile_dim_max, no position negative.
TK_INLINE void tk_attention_rows(
  uint32_t type, const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t head, ptrdiff_t heads,
  ptrdiff_t kv_head) {
  const ptrdiff_t dim = a->head_dim;
  const int64_t element_byte_count = type == TK_TYPE_F32 ? 4 : 2;
  const int64_t head_byte_count = dim * element_byte_count;
  const int64_t row_byte_count = a->kv_heads * head_byte_count;
  const uint8_t *base = (const uint8_t *)a->cache + tk_load_i64(a->bases + row) + kv_head * head_byte_count;
  tk_attention_tile tile;
  tk_query all[tk_tile_queries];
  int query_count = 0;
  int64_t lowest = INT64_MAX, highest = 0;
  for (ptrdiff_t r = row; r < row + rows; r++) {
    const tk_attention_span span = tk_attention_span_of(a, r);
    if (span.first > span.last) continue;
    lowest = span.first < lowest ? span.first : lowest;
    highest = span.last > highest ? span.last : highest;
    for (ptrdiff_t h = head; h < head + heads; h++) {
      const ptrdiff_t place = (r * a->heads + h) * dim;
      float *state = a->state == NULL ? NULL : a->state + 2 * (r * a->heads + h);
      tk_query query = {a->q + place, a->out + place, span.first, span.last, -INFINITY, 0, span.ends ? NULL : state};
      if (span.begins) {
        for (ptrdiff_t d = 0; d < dim; d++) ((tk_f32 *)a->out)[place + d] = 0;
      } else {
        query.maximum = state[0];
        query.sum = state[1];
      }
      all[query_count++] = query;
    }
  }
  if (query_count == 0) return;
  for (int64_t position = lowest; position <= highest; position += tk_tile_positions) {
    tk_query *queries[tk_tile_queries];
    int count = 0;
    for (int i = 0; i < query_count; i++) {
      if (all[i].last >= position && all[i].first < position + tk_tile_positions) queries[count++] = &all[i];
    }
    const int positions =
      highest + 1 - position < tk_tile_positions ? (int)(highest + 1 - position) : tk_tile_positions;
    const uint8_t *cache_rows[tk_tile_positions];
    int64_t chunk = position / a->chunk_positions, within = position % a->chunk_positions;
    for (int p = 0; p < positions; p++) {
      cache_rows[p] = base + chunk * a->chunk_stride + within * row_byte_count;
      if (++within == a->chunk_positions) {
        within = 0;
        chunk++;
      }
    }
    for (int p = 0; p < positions; p++) tk_tile_convert(type, tile.values[p], cache_rows[p] + a->key_plane_offset, dim);
    for (int p = positions; p < tk_tile_positions; p++) memset(tile.values[p], 0, (size_t)dim * 4);
    tk_tile_transpose(&tile, dim);
    for (int p = 0; p < positions; p++) tk_tile_convert(type, tile.values[p], cache_rows[p] + a->value_plane_offset, dim);
    for (int i = 0; i < count; i += 4) {
      const tk_query *const *some = (const tk_query *const *)queries + i;
      switch (count - i) {
        case 1: tk_tile_scores(1, &tile, some, i, dim); break;
        case 2: tk_tile_scores(2, &tile, some, i, dim); break;
        case 3: tk_tile_scores(3, &tile, some, i, dim); break;
        default: tk_tile_scores(4, &tile, some, i, dim); break;
      }
    }
    for (int i = 0; i < count; i++) tk_tile_weights(a, queries[i], tile.scores[i], position, dim);
    for (int i = 0; i < count; i += TK_ATTENTION_HEADS) {
      switch (count - i) {
        case 1: tk_tile_values_of_all(1, &tile, queries + i, i, dim, positions); break;
#if TK_ATTENTION_HEADS >= 4
        case 2: tk_tile_values_of_all(2, &tile, queries + i, i, dim, positions); break;
        case 3: tk_tile_values_of_all(3, &tile, queries + i, i, dim, positions); break;
#endif
        default: tk_tile_values_of_all(TK_ATTENTION_HEADS, &tile, queries + i, i, dim, positions); break;
      }
    }
  }
  for (int i = 0; i < query_count; i++) {
    if (all[i].state != NULL) {
      all[i].state[0] = all[i].maximum;
      all[i].state[1] = all[i].sum;
      continue;
    }
    const float factor = 1.0f / all[i].sum;
    tk_f32 *out = all[i].out;
    for (ptrdiff_t d = 0; d < dim; d++) out[d] *= factor;
  }
}

static __attribute__((noinline)) void tk_attention_rows_f32(
  const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t head, ptrdiff_t heads, ptrdiff_t kv_head) {
  tk_attention_rows(TK_TYPE_F32, a, row, rows, head, heads, kv_head);
}
static __attribute__((noinline)) void tk_attention_rows_f16(
  const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t head, ptrdiff_t heads, ptrdiff_t kv_head) {
  tk_attention_rows(TK_TYPE_F16, a, row, rows, head, heads, kv_head);
}

/// How many rows from `row` on, at most `limit`, are of one sequence and have no negative position.
static ptrdiff_t tk_rows_of_sequence(const tk_attention_arguments *a, ptrdiff_t row, ptrdiff_t limit) {
  const int64_t base = tk_load_i64(a->bases + row);
  ptrdiff_t count = 0;
  while (count < limit && tk_load_i64(a->bases + row + count) == base && tk_load_i32(a->positions + row + count) >= 0) count++;
  return count;
}

static void attention(
  const tk_attention_arguments *a, ptrdiff_t first_row, ptrdiff_t row_count, ptrdiff_t first_head, ptrdiff_t head_count) {
  const ptrdiff_t group = a->heads / a->kv_heads, end = first_head + head_count, row_end = first_row + row_count;
  const bool tile_fits = a->head_dim % TK_LANES == 0 && a->head_dim % 4 == 0 && a->head_dim <= tk_tile_dim_max;
  for (ptrdiff_t head = first_head; head < end;) {
    const ptrdiff_t kv_head = head / group;
    const ptrdiff_t heads = (kv_head + 1) * group < end ? (kv_head + 1) * group - head : end - head;
    for (ptrdiff_t row = first_row; row < row_end;) {
      const ptrdiff_t rows_at_once = heads <= tk_tile_queries / tk_tile_rows_min ? tk_tile_queries / heads : 0;
      const ptrdiff_t limit = rows_at_once < row_end - row ? rows_at_once : row_end - row;
      const ptrdiff_t rows = tile_fits && limit >= tk_tile_rows_min ? tk_rows_of_sequence(a, row, limit) : 0;
      if (rows >= tk_tile_rows_min) {
        if (a->type == TK_TYPE_F32) tk_attention_rows_f32(a, row, rows, head, heads, kv_head);
        else tk_attention_rows_f16(a, row, rows, head, heads, kv_head);
        row += rows;
      } else {
        tk_attention_row(a, row, head, heads, kv_head);
        row += 1;
      }
    }
    head += heads;
  }
}
