// Speeds of the products. usage: speed            tables per type, level and number of rows
//                               speed FILE.gguf   all matrices of a model, used from the mapped file by 1 to 128 rows
// Medians and bests of rounds; the machine may be shared, so compare ratios of interleaved runs.
#include "blocks.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}
static double median(double *v, int n) { qsort(v, (size_t)n, sizeof *v, by_value); return v[n / 2]; }

static void *aligned(size_t n) {
  void *p = aligned_alloc(64, (n + 63) / 64 * 64);
  memset(p, 0, n);
  return p;
}

static void table(void) {
  const ptrdiff_t k = 1536, n = 576, rows[] = {1, 2, 4, 5, 8, 16, 64, 256};
  const uint32_t types[] = {
    TK_TYPE_Q4_1, TK_TYPE_Q8_0, TK_TYPE_Q4_0, TK_TYPE_Q5_0, TK_TYPE_Q5_1, TK_TYPE_Q4_K, TK_TYPE_Q6_K, TK_TYPE_F16, TK_TYPE_BF16,
    TK_TYPE_F32};
  const int best = tk_level_best();
  printf(
    "W[%td, %td] from cache (one matrix); from memory (400 MB of matrices in turn), one row. GB/s, then GFLOP/s by rows\n", n, k);
  printf("%-6s %-9s %7s %7s |", "type", "level", "cache", "memory");
  for (int r = 1; r < 8; r++) printf(" M=%-5td", rows[r]);
  printf("\n");
  float *x = aligned(256 * k * 4), *out = aligned(256 * n * 4);
  for (ptrdiff_t i = 0; i < 256 * k; i++) x[i] = random_normal();
  for (int t = 0; t < 10; t++) {
    const uint32_t type = types[t];
    const ptrdiff_t size = tk_row_byte_count(type, k) * n, copies = (400 << 20) / size;
    uint8_t *w = aligned((size_t)(size * copies));
    random_weights(w, type, n * k);
    for (ptrdiff_t c = 1; c < copies; c++) memcpy(w + c * size, w, (size_t)size);
    void *a = aligned((size_t)tk_activations_byte_count(type, 256, k) + 64);
    for (int level = best; level >= 0; level--) {
      tk_set_level(level);
      double speed[10], samples[64];
      if (level == 0 && t > 1 && t < 7) continue;
      const int rounds = level == 0 ? 3 : 9;
      for (int c = 0; c < rounds; c++) {
        if (tk_activations_byte_count(type, 1, k) > 0) tk_quantize_activations(a, x, k, 0, 1);
        const double start = now();
        for (int i = 0; i < 4; i++) tk_matmul(out, x, a, w, type, 1, k, n, 0, n);
        samples[c] = (now() - start) / 4;
      }
      speed[0] = (double)size / median(samples, rounds) * 1e-9;
      const ptrdiff_t per_round = copies / rounds;
      for (int c = 0; c < rounds; c++) {
        const double start = now();
        for (ptrdiff_t i = 0; i < per_round; i++) tk_matmul(out, x, a, w + (c * per_round + i) * size, type, 1, k, n, 0, n);
        samples[c] = (now() - start) / (double)per_round;
      }
      speed[1] = (double)size / median(samples, rounds) * 1e-9;
      for (int r = 1; r < 8; r++) {
        const int tries = level == 0 ? 2 : 7;
        for (int c = 0; c < tries; c++) {
          const double start = now();
          if (tk_activations_byte_count(type, 1, k) > 0) tk_quantize_activations(a, x, k, 0, rows[r]);
          tk_matmul(out, x, a, w, type, rows[r], k, n, 0, n);
          samples[c] = now() - start;
        }
        speed[r + 1] = 2e-9 * (double)(rows[r] * k * n) / median(samples, tries);
        if (level == 0 && rows[r] > 16) speed[r + 1] = 0;
      }
      printf("%-6s %-9s %7.1f %7.1f |", type_name(type), tk_level_name(level), speed[0], speed[1]);
      for (int r = 1; r < 8; r++) printf(" %7.0f", speed[r + 1]);
      printf("\n");
      fflush(stdout);
    }
    free(w); free(a);
  }
}

// MARK: A model file

typedef struct matrix { uint32_t type; ptrdiff_t in, out; const uint8_t *data; bool is_output; } matrix;

static uint64_t u64_at(const uint8_t **p) { uint64_t v; memcpy(&v, *p, 8); *p += 8; return v; }
static uint32_t u32_at(const uint8_t **p) { uint32_t v; memcpy(&v, *p, 4); *p += 4; return v; }
static void skip_value(const uint8_t **p, uint32_t type) {
  static const int sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  if (type == 8) { const uint64_t n = u64_at(p); *p += n; }
  else if (type == 9) { const uint32_t e = u32_at(p); for (uint64_t n = u64_at(p); n > 0; n--) skip_value(p, e); }
  else *p += sizes[type];
}

static int load(const char *path, matrix *matrices, int limit, ptrdiff_t *byte_count) {
  const int fd = open(path, O_RDONLY);
  struct stat s;
  if (fd < 0 || fstat(fd, &s) != 0) { perror(path); exit(1); }
  const uint8_t *file = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0), *p = file + 8;
  const uint64_t tensors = u64_at(&p), keys = u64_at(&p);
  for (uint64_t i = 0; i < keys; i++) {
    const uint64_t n = u64_at(&p);
    p += n;
    const uint32_t type = u32_at(&p);
    skip_value(&p, type);
  }
  int count = 0;
  *byte_count = 0;
  for (uint64_t i = 0; i < tensors; i++) {
    const uint64_t name_length = u64_at(&p);
    const char *name = (const char *)p;
    p += name_length;
    const uint32_t rank = u32_at(&p);
    uint64_t d[4] = {1, 1, 1, 1};
    for (uint32_t j = 0; j < rank; j++) d[j] = u64_at(&p);
    const uint32_t type = u32_at(&p);
    const uint64_t offset = u64_at(&p);
    if (rank < 2 || count == limit) continue;
    const bool is_output = memmem(name, name_length, "token_embd", 10) != NULL;
    matrices[count++] = (matrix){type, (ptrdiff_t)d[0], (ptrdiff_t)d[1], (const uint8_t *)offset, is_output};
    *byte_count += tk_row_byte_count(type, (ptrdiff_t)d[0]) * (ptrdiff_t)d[1];
  }
  const uint64_t start = ((uint64_t)(p - file) + 31) / 32 * 32;
  for (int i = 0; i < count; i++) matrices[i].data = file + start + (uint64_t)matrices[i].data;
  return count;
}

static void pass(const matrix *matrices, int count, ptrdiff_t rows, const float *x, float *out, void *a) {
  ptrdiff_t quantized_for = 0;
  for (int i = 0; i < count; i++) {
    const matrix *w = &matrices[i];
    const ptrdiff_t m = w->is_output ? 1 : rows;
    // Activations are made once for the matrices that share an input; every change of the width stands for a new input.
    if (quantized_for != w->in * 2 + (m == 1)) tk_quantize_activations(a, x, w->in, 0, m);
    quantized_for = w->in * 2 + (m == 1);
    tk_matmul(out, x, a, w->data, w->type, m, w->in, w->out, 0, w->out);
  }
}

static void model(const char *path) {
  static matrix matrices[4096];
  ptrdiff_t byte_count, widest_in = 0, widest_out = 0;
  const int count = load(path, matrices, 4096, &byte_count);
  for (int i = 0; i < count; i++) {
    if (matrices[i].in > widest_in) widest_in = matrices[i].in;
    if (matrices[i].out > widest_out) widest_out = matrices[i].out;
  }
  const ptrdiff_t rows[] = {1, 4, 8, 16, 64, 128};
  float *x = aligned((size_t)(128 * widest_in * 4)), *out = aligned((size_t)(128 * widest_out * 4));
  for (ptrdiff_t i = 0; i < 128 * widest_in; i++) x[i] = random_normal();
  void *a = aligned((size_t)tk_activations_byte_count(TK_TYPE_Q8_0, 128, widest_in));
  const double megabytes = (double)byte_count * 1e-6;
  printf("%d matrices, %.1f MB; products only (no norms, no attention); tokens/s, median (best)\n", count, megabytes);
  for (int level = tk_level_best(); level >= TK_LEVEL_AVX2; level--) {
    tk_set_level(level);
    printf("%-9s", tk_level_name(level));
    for (int r = 0; r < 6; r++) {
      double samples[15];
      const int rounds = rows[r] == 1 ? 15 : 5;
      pass(matrices, count, rows[r], x, out, a);
      for (int i = 0; i < rounds; i++) {
        const double start = now();
        pass(matrices, count, rows[r], x, out, a);
        samples[i] = (now() - start) / (double)rows[r];
      }
      const double m = median(samples, rounds);
      printf(" M=%td: %.1f (%.1f)", rows[r], 1 / m, 1 / samples[0]);
      if (rows[r] == 1) printf(" = %.1f (%.1f) GB/s", (double)byte_count * 1e-9 / m, (double)byte_count * 1e-9 / samples[0]);
      fflush(stdout);
    }
    printf("\n");
  }
}

int main(int argc, char **argv) {
  if (argc > 1) model(argv[1]); else table();
  return 0;
}
