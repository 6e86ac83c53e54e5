// One decoding step's matrix products of a `llama` model of SmolLM2-135M's shape, in native C with the kernels of
// Sources/CTensorKernels: what the wasm provider is held against. One thread, one row, each level of instructions.
//
//   make -C Benchmarks/llm/native_c run            (or: .build/native_c/decode [blocks] [steps])
//
// Prints one line per level: milliseconds per token and tokens per second, best and median of the steps. The weights are
// random blocks of the right types and sizes (Q4_1 for the blocks, Q8_0 for the output matrix): 96.6 MB, as in the file.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "CTensorKernels.h"

enum { HIDDEN = 576, KV = 192, FFN = 1536, VOCABULARY = 49152, STEPS_MAX = 1000 };

typedef struct { ptrdiff_t columns_in, columns_out; uint32_t type; } shape;
static const shape block_shapes[] = {
  {HIDDEN, HIDDEN, TK_TYPE_Q4_1}, {HIDDEN, KV, TK_TYPE_Q4_1}, {HIDDEN, KV, TK_TYPE_Q4_1}, {HIDDEN, HIDDEN, TK_TYPE_Q4_1},
  {HIDDEN, FFN, TK_TYPE_Q4_1}, {HIDDEN, FFN, TK_TYPE_Q4_1}, {FFN, HIDDEN, TK_TYPE_Q4_1},
};
static const shape output_shape = {HIDDEN, VOCABULARY, TK_TYPE_Q8_0};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static ptrdiff_t byte_count(shape s) { return tk_row_byte_count(s.type, s.columns_in) * s.columns_out; }

static const uint8_t *product(float *out, const float *x, void *activations, const uint8_t *w, shape s) {
  tk_quantize_activations(activations, x, s.columns_in, 0, 1);
  tk_matmul(out, x, activations, w, s.type, 1, s.columns_in, s.columns_out, 0, s.columns_out);
  return w + byte_count(s);
}

int main(int argc, char **argv) {
  int blocks = argc > 1 ? atoi(argv[1]) : 30, steps = argc > 2 ? atoi(argv[2]) : 20;
  if (blocks < 1 || blocks > 1000 || steps < 1 || steps > STEPS_MAX) {
    fprintf(stderr, "usage: decode [blocks 1...1000] [steps 1...%d]\n", STEPS_MAX);
    return 64;
  }
  const int shape_count = sizeof block_shapes / sizeof block_shapes[0];
  ptrdiff_t total = byte_count(output_shape);
  for (int i = 0; i < shape_count; i++) total += blocks * byte_count(block_shapes[i]);
  uint8_t *weights = malloc(total);
  float *x = malloc(FFN * sizeof(float)), *out = malloc(VOCABULARY * sizeof(float));
  void *activations = aligned_alloc(64, (tk_activations_byte_count(TK_TYPE_Q8_0, 1, FFN) + 63) / 64 * 64);
  if (!weights || !x || !out || !activations) { fprintf(stderr, "no memory for %td bytes of weights\n", total); return 1; }
  uint64_t state = 1;
  for (ptrdiff_t i = 0; i < total; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    weights[i] = (uint8_t)((state >> 56) & 0x3F);  // as the high byte of an f16 below 2: never infinite, never NaN
  }
  for (int i = 0; i < FFN; i++) x[i] = (float)(i % 17) / 17 - 0.4f;
  for (int level = TK_LEVEL_PORTABLE; level <= tk_level_best(); level++) {
    static double times[STEPS_MAX];
    tk_set_level(level);
    for (int step = -1; step < steps; step++) {
      double begin = seconds();
      const uint8_t *w = weights;
      for (int b = 0; b < blocks; b++)
        for (int i = 0; i < shape_count; i++) w = product(out, x, activations, w, block_shapes[i]);
      product(out, x, activations, w, output_shape);
      if (step >= 0) times[step] = seconds() - begin;
    }
    qsort(times, steps, sizeof(double), ascending);
    printf("%-9s best %8.3f ms, median %8.3f ms per token; %6.1f tokens/s; %5.2f GB/s (checksum %g)\n", tk_level_name(level), times[0] * 1e3,
      times[steps / 2] * 1e3, 1 / times[steps / 2], total / times[steps / 2] * 1e-9, out[7]);
  }
  return 0;
}
