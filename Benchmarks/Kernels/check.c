// Every kernel at every level against plain double-precision loops, over random and awkward shapes and misaligned operands.
// usage: check [seed]
#include "blocks.h"
#include <sys/mman.h>
#include <unistd.h>

static int failure_count, check_count;

static void expect(bool ok, const char *what, double found, double limit) {
  check_count++;
  if (!ok) {
    failure_count++;
    printf("FAILED %s, %s: %g, limit %g\n", tk_level_name(tk_level()), what, found, limit);
  }
}

/// A buffer that ends where an unreadable page begins: a kernel that reads or writes past an operand dies here.
static uint8_t *guarded(size_t byte_count) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (byte_count + page - 1) / page * page;
  uint8_t *p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(p + whole, page, PROT_NONE);
  return p + whole - byte_count;
}
static void guarded_free(uint8_t *p, size_t byte_count) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (byte_count + page - 1) / page * page;
  munmap(p + byte_count - whole, whole + page);
}
static float *floats(ptrdiff_t n) {
  float *p = (float *)guarded((size_t)n * 4);
  for (ptrdiff_t i = 0; i < n; i++) p[i] = random_normal();
  return p;
}
static void floats_free(float *p, ptrdiff_t n) { guarded_free((uint8_t *)p, (size_t)n * 4); }

static double squared_error(const float *found, const double *wanted, ptrdiff_t n) {
  double error = 0, size = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    error += (found[i] - wanted[i]) * (found[i] - wanted[i]);
    size += wanted[i] * wanted[i];
  }
  return size > 0 ? error / size : error;
}

static void check_matmul(uint32_t type, ptrdiff_t m, ptrdiff_t k, ptrdiff_t n, ptrdiff_t first, ptrdiff_t count) {
  char what[128];
  snprintf(what, sizeof what, "matmul %s M %td K %td N %td slice %td+%td", type_name(type), m, k, n, first, count);
  const ptrdiff_t stride = tk_row_byte_count(type, k);
  uint8_t *w = guarded((size_t)(n * stride));
  random_weights(w, type, n * k);
  float *x = floats(m * k), *out = floats(m * n);
  const ptrdiff_t workspace = tk_activations_byte_count(type, m, k);
  uint8_t *a = guarded((size_t)workspace + 1);
  for (ptrdiff_t i = 0; i < m * n; i++) out[i] = 12345;
  if (workspace > 0) tk_quantize_activations(a, x, k, 0, m);
  tk_matmul(out, x, a, w, type, m, k, n, first, count);
  double *exact = malloc((size_t)(m * count) * 8), *quantized = malloc((size_t)(m * count) * 8);
  float *found = malloc((size_t)(m * count) * 4);
  bool untouched = true;
  for (ptrdiff_t r = 0; r < m; r++) {
    for (ptrdiff_t c = 0; c < n; c++) {
      if (c < first || c >= first + count) {
        untouched = untouched && out[r * n + c] == 12345;
        continue;
      }
      double sum = 0, quantized_sum = 0;
      for (ptrdiff_t i = 0; i < k; i++) {
        const double weight = weight_at(w + c * stride, type, i);
        sum += weight * x[r * k + i];
        if (workspace > 0) {
          const uint8_t *row = a + r * (workspace / m);
          float scale;
          memcpy(&scale, row + k + i / 32 * 8, 4);
          quantized_sum += weight * scale * (int8_t)row[i];
        }
      }
      exact[r * count + c - first] = sum;
      quantized[r * count + c - first] = quantized_sum;
      found[r * count + c - first] = out[r * n + c];
    }
  }
  expect(untouched, what, 1, 0);
  if (workspace > 0) {
    const double e = squared_error(found, quantized, m * count);
    expect(e < 1e-11, what, e, 1e-11);
  }
  const double e = squared_error(found, exact, m * count), limit = workspace > 0 ? 3e-4 : 1e-11;
  // With few sums the size itself may happen to be small.
  if (workspace == 0 || m * count >= 100) expect(e < limit, what, e, limit);
  guarded_free(w, (size_t)(n * stride));
  guarded_free(a, (size_t)workspace + 1);
  floats_free(x, m * k);
  floats_free(out, m * n);
  free(exact); free(quantized); free(found);
}

static void check_rows(uint32_t type) {
  const ptrdiff_t columns = tk_block_element_count(type) == 1 ? 77 : 512, rows = 9;
  uint8_t *w = guarded((size_t)tk_row_byte_count(type, rows * columns));
  random_weights(w, type, rows * columns);
  const int32_t ids[] = {8, 0, 3, 3};
  float *out = floats(4 * columns);
  tk_get_rows(out, w, type, ids, 4, columns);
  double worst = 0;
  for (int r = 0; r < 4; r++) {
    for (ptrdiff_t i = 0; i < columns; i++) {
      const double wanted = weight_at(w + ids[r] * tk_row_byte_count(type, columns), type, i);
      worst = fmax(worst, fabs(out[r * columns + i] - wanted) / (fabs(wanted) + 0.1));
    }
  }
  expect(worst < 5e-7, type_name(type), worst, 5e-7);
  guarded_free(w, (size_t)tk_row_byte_count(type, rows * columns));
  floats_free(out, 4 * columns);
}

static void check_functions(void) {
  const ptrdiff_t n = 100003;
  float *x = floats(n), *y = floats(n), *out = floats(n);
  for (ptrdiff_t i = 0; i < n; i++) x[i] *= i % 3 == 0 ? 0.1f : i % 3 == 1 ? 3 : 20;
  x[0] = 0; x[1] = -100; x[2] = 100; x[3] = 90; x[4] = -88; x[5] = 1e-30f; x[6] = -1e30f; x[7] = 1e30f;
#define EACH(CALL, WANTED, LIMIT) do { \
    CALL; \
    double worst = 0; \
    for (ptrdiff_t i = 0; i < n; i++) { \
      const double v = x[i], u = y[i], wanted = (WANTED); \
      (void)v; (void)u; \
      const double error = fabs(out[i] - wanted) / fmax(1, fabs(v) * fmax(1, fabs(u))); \
      if (!(error <= worst)) worst = error; \
    } \
    expect(worst < (LIMIT), #CALL, worst, LIMIT); \
  } while (0)
  EACH(tk_silu(out, x, n), v < -700 ? 0 : v / (1 + exp(-v)), 3e-7);
  EACH(tk_gelu(out, x, n), fabs(v) > 1e10 ? (v > 0 ? v : 0) : v * 0.5 * erfc(-v / sqrt(2)), 3e-7);
  const double c = sqrt(2 / 3.14159265358979323846);
  EACH(tk_gelu_tanh(out, x, n), fabs(v) > 1e10 ? (v > 0 ? v : 0) : 0.5 * v * (1 + tanh(c * (v + 0.044715 * v * v * v))), 3e-7);
  EACH(tk_silu_mul(out, x, y, n), (v < -700 ? 0 : v / (1 + exp(-v))) * u, 5e-7);
  EACH(tk_gelu_tanh_mul(out, x, y, n),
    (fabs(v) > 1e10 ? (v > 0 ? v : 0) : 0.5 * v * (1 + tanh(c * (v + 0.044715 * v * v * v)))) * u, 5e-7);
  EACH(tk_add(out, x, y, n), (float)(v + u), 1e-30);
  EACH(tk_mul(out, x, y, n), (float)(v * u), 1e-30);
  EACH(tk_scale(out, x, n, 0.125f), v * 0.125, 1e-30);
  for (ptrdiff_t i = 0; i < n; i++) x[i] = random_normal();
  memcpy(out, x, (size_t)n * 4);
  EACH(tk_add(out, out, y, n), (float)(v + u), 1e-30);
  memcpy(out, x, (size_t)n * 4);
  EACH(tk_silu(out, out, n), v / (1 + exp(-v)), 3e-7);

  const ptrdiff_t shapes[] = {1, 7, 31, 512, 100, 576, 1000};
  for (int s = 0; s < 7; s++) {
    const ptrdiff_t columns = shapes[s], rows = 3;
    double *wanted = malloc((size_t)(rows * columns) * 8);
    for (int t = 0; t < type_count; t++) {
      const uint32_t type = all_types[t];
      if (columns % tk_block_element_count(type) != 0) continue;
      const size_t size = (size_t)tk_row_byte_count(type, columns);
      uint8_t *weight = guarded(size), *bias = guarded(size);
      random_weights(weight, type, columns);
      random_weights(bias, type, columns);
      float *a = floats(rows * columns), *o = floats(rows * columns);
      tk_rms_norm(o, a, weight, type, rows, columns, 1e-5f);
      for (ptrdiff_t r = 0; r < rows; r++) {
        double squares = 0;
        for (ptrdiff_t i = 0; i < columns; i++) squares += (double)a[r * columns + i] * a[r * columns + i];
        for (ptrdiff_t i = 0; i < columns; i++) {
          wanted[r * columns + i] = a[r * columns + i] / sqrt(squares / (double)columns + 1e-5f) * weight_at(weight, type, i);
        }
      }
      expect(squared_error(o, wanted, rows * columns) < 1e-12, "rms_norm", squared_error(o, wanted, rows * columns), 1e-12);
      tk_layer_norm(o, a, weight, bias, type, rows, columns, 1e-12f);
      for (ptrdiff_t r = 0; r < rows; r++) {
        double mean = 0, squares = 0;
        for (ptrdiff_t i = 0; i < columns; i++) mean += a[r * columns + i];
        mean /= (double)columns;
        for (ptrdiff_t i = 0; i < columns; i++) squares += (a[r * columns + i] - mean) * (a[r * columns + i] - mean);
        for (ptrdiff_t i = 0; i < columns; i++) {
          wanted[r * columns + i] = (a[r * columns + i] - mean) / sqrt(squares / (double)columns + 1e-12)
            * weight_at(weight, type, i) + weight_at(bias, type, i);
        }
      }
      if (columns > 1) {
        expect(squared_error(o, wanted, rows * columns) < 1e-11, "layer_norm", squared_error(o, wanted, rows * columns), 1e-11);
      }
      tk_add_bias(o, a, bias, type, rows, columns);
      for (ptrdiff_t i = 0; i < rows * columns; i++) wanted[i] = a[i] + weight_at(bias, type, i % columns);
      expect(squared_error(o, wanted, rows * columns) < 1e-13, "add_bias", squared_error(o, wanted, rows * columns), 1e-13);
      for (ptrdiff_t i = 0; i < rows * columns; i++) a[i] *= 10;
      tk_softmax(o, a, rows, columns);
      for (ptrdiff_t r = 0; r < rows; r++) {
        double top = -1e300, sum = 0;
        for (ptrdiff_t i = 0; i < columns; i++) top = fmax(top, a[r * columns + i]);
        for (ptrdiff_t i = 0; i < columns; i++) sum += exp(a[r * columns + i] - top);
        for (ptrdiff_t i = 0; i < columns; i++) wanted[r * columns + i] = exp(a[r * columns + i] - top) / sum;
      }
      double worst = 0;
      for (ptrdiff_t i = 0; i < rows * columns; i++) worst = fmax(worst, fabs(o[i] - wanted[i]) / (wanted[i] + 1e-37));
      expect(worst < 8e-6, "softmax", worst, 8e-6);
      guarded_free(weight, size); guarded_free(bias, size);
      floats_free(a, rows * columns); floats_free(o, rows * columns);
    }
    free(wanted);
  }
  floats_free(x, n); floats_free(y, n); floats_free(out, n);
}

static void check_rope(void) {
  const struct { ptrdiff_t heads, dim, rope; float base, scale; int mode; } cases[] = {
    {9, 64, 64, 100000, 1, 0}, {4, 256, 256, 1e6f, 1, 1}, {1, 80, 20, 10000, 0.25f, 1}, {2, 96, 64, 10000, 1, 0},
    {3, 6, 2, 10, 1, 0}};
  const int32_t positions[] = {0, 1, 511, 8191, 131071};
  const ptrdiff_t rows = 5;
  for (int c = 0; c < 5; c++) {
    const ptrdiff_t heads = cases[c].heads, dim = cases[c].dim, rope = cases[c].rope, n = rows * heads * dim;
    float *x = floats(n), *before = floats(n);
    memcpy(before, x, (size_t)n * 4);
    tk_rope(x, positions, rows, heads, dim, rope, cases[c].base, cases[c].scale, cases[c].mode);
    double worst = 0;
    for (ptrdiff_t r = 0; r < rows; r++) {
      for (ptrdiff_t h = 0; h < heads; h++) {
        const float *b = before + (r * heads + h) * dim, *f = x + (r * heads + h) * dim;
        for (ptrdiff_t i = 0; i < rope / 2; i++) {
          const double angle = positions[r] * (double)cases[c].scale * pow(cases[c].base, -2.0 * (double)i / (double)rope);
          const ptrdiff_t p = cases[c].mode == 0 ? 2 * i : i, q = cases[c].mode == 0 ? 2 * i + 1 : i + rope / 2;
          const double u = b[p] * cos(angle) - b[q] * sin(angle), v = b[p] * sin(angle) + b[q] * cos(angle);
          const double size = hypot(b[p], b[q]);
          worst = fmax(worst, fmax(fabs(f[p] - u), fabs(f[q] - v)) / size);
        }
        for (ptrdiff_t i = rope; i < dim; i++) worst = fmax(worst, fabs(f[i] - b[i]));
      }
    }
    expect(worst < 1e-6, "rope", worst, 1e-6);
    floats_free(x, n); floats_free(before, n);
  }
}

// Rows 0...7 alternate between the sequences; those after them belong to the second, as in a prefill.
static int sequence_of(ptrdiff_t row) { return row < 8 ? (int)(row % 2) : 1; }

static void check_attention(
  uint32_t type, ptrdiff_t heads, ptrdiff_t kv_heads, ptrdiff_t dim, int32_t window, float softcap, int chunk,
  const int32_t *positions, ptrdiff_t rows) {
  char what[128];
  snprintf(what, sizeof what, "attention type %u heads %td/%td dim %td window %d softcap %g chunk %d", type, heads, kv_heads,
    dim, window, softcap, chunk);
  const int64_t width = kv_heads * dim, row_bytes = width * (type == TK_TYPE_F32 ? 4 : 2);
  int32_t last = 0;
  for (ptrdiff_t r = 0; r < rows; r++) last = positions[r] > last ? positions[r] : last;
  const int64_t chunks = last / chunk + 1, stride = 2 * chunk * row_bytes + 64, value_plane = chunk * row_bytes;
  // Two sequences, one behind the other, starting at an odd place.
  const int64_t sequence = chunks * stride, odd = 2;
  const size_t cache_size = (size_t)(odd + 2 * sequence - 64);
  uint8_t *cache = guarded(cache_size);
  int64_t *bases = malloc((size_t)rows * 8), all_bases[2] = {odd, odd + sequence};
  double *keys = malloc((size_t)(2 * (last + 1) * width) * 8), *values = malloc((size_t)(2 * (last + 1) * width) * 8);
  float *one = floats(width);
  for (int s = 0; s < 2; s++) {
    for (int32_t p = 0; p <= last; p++) {
      for (int plane = 0; plane < 2; plane++) {
        for (int64_t i = 0; i < width; i++) one[i] = random_normal();
        tk_cache_append(one, cache, &all_bases[s], &p, plane * value_plane, chunk, stride, 1, width, type);
        for (int64_t i = 0; i < width; i++) {
          (plane ? values : keys)[(s * (last + 1) + p) * width + i] =
            type == TK_TYPE_F32 ? one[i] : half_value(half_near(one[i]));
        }
      }
    }
  }
  const ptrdiff_t n = rows * heads * dim;
  float *q = floats(n), *out = floats(n);
  double *wanted = calloc((size_t)n, 8), *scores = malloc((size_t)(last + 1) * 8);
  const float scale = 1 / sqrtf((float)dim);
  for (ptrdiff_t r = 0; r < rows; r++) {
    const int s = sequence_of(r);
    bases[r] = all_bases[s];
    for (ptrdiff_t h = 0; h < heads; h++) {
      const ptrdiff_t g = h / (heads / kv_heads);
      const int32_t from = window > 0 && positions[r] >= window ? positions[r] - window + 1 : 0;
      double top = -1e300, sum = 0;
      for (int32_t p = from; p <= positions[r]; p++) {
        double dot = 0;
        for (ptrdiff_t i = 0; i < dim; i++) {
          dot += q[(r * heads + h) * dim + i] * keys[((s * (last + 1) + p) * kv_heads + g) * dim + i];
        }
        dot *= scale;
        if (softcap > 0) dot = softcap * tanh(dot / softcap);
        scores[p] = dot;
        top = fmax(top, dot);
      }
      for (int32_t p = from; p <= positions[r]; p++) sum += exp(scores[p] - top);
      for (int32_t p = from; p <= positions[r]; p++) {
        for (ptrdiff_t i = 0; i < dim; i++) {
          wanted[(r * heads + h) * dim + i] +=
            exp(scores[p] - top) / sum * values[((s * (last + 1) + p) * kv_heads + g) * dim + i];
        }
      }
    }
  }
  tk_attention_arguments a = {
    .out = out, .q = q, .cache = cache, .bases = bases, .positions = positions, .key_plane_offset = 0,
    .value_plane_offset = value_plane, .chunk_positions = chunk, .chunk_stride = stride, .heads = heads, .kv_heads = kv_heads,
    .head_dim = dim, .type = type, .scale = scale, .window = window, .softcap = softcap};
  tk_attention(&a, 0, rows, 0, heads);
  expect(squared_error(out, wanted, n) < 1e-10, what, squared_error(out, wanted, n), 1e-10);
  // The same in slices.
  for (ptrdiff_t i = 0; i < n; i++) out[i] = NAN;
  for (ptrdiff_t h = 0; h < heads; h += 2) {
    const ptrdiff_t count = heads - h < 2 ? heads - h : 2;
    tk_attention(&a, 0, rows / 2, h, count);
    tk_attention(&a, rows / 2, rows - rows / 2, h, count);
  }
  expect(squared_error(out, wanted, n) < 1e-10, what, squared_error(out, wanted, n), 1e-10);
  guarded_free(cache, cache_size);
  floats_free(q, n); floats_free(out, n); floats_free(one, width);
  free(bases); free(keys); free(values); free(wanted); free(scores);
}

static void check_top_k(void) {
  const ptrdiff_t shapes[][2] = {{1, 1}, {5, 5}, {100, 1}, {1000, 40}, {49152, 40}, {777, 777}, {64, 33}};
  for (int s = 0; s < 7; s++) {
    const ptrdiff_t n = shapes[s][0], k = shapes[s][1];
    float *x = floats(2 * n), *values = floats(2 * k);
    int32_t *ids = (int32_t *)floats(2 * k);
    for (ptrdiff_t i = 0; i < 2 * n; i++) x[i] = roundf(x[i] * 20);  // many ties
    if (n > 50) x[7] = NAN, x[9] = -INFINITY, x[11] = INFINITY;
    tk_top_k(values, ids, x, 2, n, k);
    bool ok = true;
    for (int r = 0; r < 2; r++) {
      bool *taken = calloc((size_t)n, 1);
      for (ptrdiff_t i = 0; i < k; i++) {
        ptrdiff_t best = -1;
        for (ptrdiff_t j = 0; j < n; j++) {
          const double v = isnan(x[r * n + j]) ? -INFINITY : x[r * n + j];
          if (!taken[j] && (best < 0 || v > (isnan(x[r * n + best]) ? -INFINITY : x[r * n + best]))) best = j;
        }
        taken[best] = true;
        ok = ok && ids[r * k + i] == best && (values[r * k + i] == x[r * n + best] || isnan(x[r * n + best]));
      }
      free(taken);
    }
    expect(ok, "top_k", (double)n, (double)k);
    floats_free(x, 2 * n); floats_free(values, 2 * k); floats_free((float *)ids, 2 * k);
  }
}

static void check_halves(void) {
  // Every half and numbers around the rounding boundaries, through the cache and back through get_rows.
  const ptrdiff_t n = 4096;
  float *x = floats(n);
  uint8_t *stored = guarded((size_t)n * 2);
  int64_t base = 0;
  int32_t position = 0;
  bool ok = true;
  for (int round = 0; round < 40; round++) {
    for (ptrdiff_t i = 0; i < n; i++) {
      const double exact = half_value((uint16_t)(next_random() % 0x7bff)), next = exact * (1 + 0x1p-11);
      const int kind = (int)(next_random() % 4);
      const double near = exact * (1 + random_uniform() * 0x1p-10);
      x[i] = (float)(kind == 0 ? exact : kind == 1 ? next : kind == 2 ? near : random_normal() * 1e-6);
      if (next_random() & 1) x[i] = -x[i];
    }
    tk_cache_append(x, stored, &base, &position, 0, 1, 0, 1, n, TK_TYPE_F16);
    for (ptrdiff_t i = 0; i < n; i++) {
      if (fabsf(x[i]) < 65504) ok = ok && half_at(stored + 2 * i) == half_value(half_near(x[i]));
    }
  }
  x[0] = 65520; x[1] = 1e30f; x[2] = -INFINITY; x[3] = NAN; x[4] = 65519;
  tk_cache_append(x, stored, &base, &position, 0, 1, 0, 1, n, TK_TYPE_F16);
  ok = ok && isinf(half_at(stored)) && isinf(half_at(stored + 2)) && half_at(stored + 4) == -INFINITY
    && isnan(half_at(stored + 6)) && half_at(stored + 8) == 65504;
  uint8_t *all = guarded(65536 * 2);
  for (int h = 0; h < 65536; h++) memcpy(all + 2 * h, &(uint16_t){(uint16_t)h}, 2);
  float *out = floats(65536);
  tk_dequantize_rows(out, all, TK_TYPE_F16, 0, 1, 65536);
  for (int h = 0; h < 65536; h++) {
    const double v = half_value((uint16_t)h);
    ok = ok && (isnan(v) ? isnan(out[h]) : out[h] == v);
  }
  expect(ok, "f16 conversions", 0, 0);
  floats_free(x, n); guarded_free(stored, (size_t)n * 2); guarded_free(all, 65536 * 2); floats_free(out, 65536);
}

int main(int argc, char **argv) {
  const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
  printf("seed %llu, best level %s\n", (unsigned long long)seed, tk_level_name(tk_level_best()));
  for (int level = 0; level <= tk_level_best(); level++) {
    tk_set_level(level);
    seed_state = seed;
    const int before = failure_count;
    for (int t = 0; t < type_count; t++) {
      const uint32_t type = all_types[t];
      const ptrdiff_t block = tk_block_element_count(type);
      const ptrdiff_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17};
      for (int r = 0; r < 11; r++) {
        const ptrdiff_t m = rows[r];
        check_matmul(type, m, block == 1 ? 67 : block == 32 ? 96 : 512, 35, 0, 35);
        check_matmul(type, m, block == 1 ? 1 : block, 7, 2, 5);
        check_matmul(type, m, 256, 50, 3, 31);
        check_matmul(type, m, 256, 40, 0, 16);
        check_matmul(type, m, 256, 9, 0, 9);
      }
      check_matmul(type, 1, 2816, 65, 0, 65);
      check_matmul(type, 7, 2816, 65, 1, 64);
      check_matmul(type, 12, 2816, 70, 1, 68);
      if (block == 1) {
        for (ptrdiff_t k = 1; k < 40; k += 3) {
          check_matmul(type, 1, k, 11, 0, 11);
          check_matmul(type, 9, k, 37, 0, 37);
        }
      }
      check_rows(type);
    }
    check_functions();
    check_rope();
    const int32_t positions[] = {0, 3, 31, 32, 63, 64, 100, 130, 0, 1, 2, 3, 4, 5, 6, 7, 8, 30, 31, 32, 33, 34, 70, 90, 91, 95, 96};
    const int32_t early[] = {0};
    for (int f16 = 0; f16 < 2; f16++) {
      const uint32_t type = f16 ? TK_TYPE_F16 : TK_TYPE_F32;
      check_attention(type, 9, 3, 64, 0, 0, 64, positions, 27);
      check_attention(type, 4, 1, 256, 50, 0, 64, positions, 27);
      check_attention(type, 6, 6, 32, 0, 20, 16, positions, 27);
      check_attention(type, 8, 2, 80, 33, 0, 7, positions, 27);
      check_attention(type, 2, 1, 128, 0, 30, 64, positions, 27);
      check_attention(type, 12, 1, 32, 5, 0, 64, positions, 27);
      check_attention(type, 5, 1, 20, 0, 0, 64, positions, 27);
      check_attention(type, 1, 1, 3, 0, 0, 64, early, 1);
    }
    check_top_k();
    check_halves();
    printf("%s: %d failures\n", tk_level_name(level), failure_count - before);
  }
  printf("%d checks, %d failed\n", check_count, failure_count);
  return failure_count == 0 ? 0 : 1;
}
