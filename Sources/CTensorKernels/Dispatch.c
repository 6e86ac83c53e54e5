// Chooses the level of instructions once, and forwards every public function to it.
#include "Internal.h"
#include <stdatomic.h>

#if defined(__x86_64__)
#include <cpuid.h>

/// XCR0: which registers the operating system saves (Intel SDM volume 1, 13.3).
static uint64_t saved_registers(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static int detect_level(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return TK_LEVEL_PORTABLE;
  const uint32_t osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29, fma = 1u << 12;
  if ((c & (osxsave | avx | f16c | fma)) != (osxsave | avx | f16c | fma)) return TK_LEVEL_PORTABLE;
  const uint64_t saved = saved_registers();
  if ((saved & 0x06) != 0x06) return TK_LEVEL_PORTABLE;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return TK_LEVEL_PORTABLE;
  const uint32_t avx2 = 1u << 5;
  if (!(b & avx2)) return TK_LEVEL_PORTABLE;
  const uint32_t avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // f, dq, bw, vl
  const uint32_t vnni = 1u << 11;
  if ((saved & 0xe6) != 0xe6 || (b & avx512) != avx512 || !(c & vnni)) return TK_LEVEL_AVX2;
  return TK_LEVEL_AVX512;
}
#else
static int detect_level(void) { return TK_LEVEL_PORTABLE; }
#endif

// -1: not chosen yet. Choosing twice is harmless: every thread finds the same.
static atomic_int chosen_level = -1;

static const tk_functions *functions_at(int level) {
#if defined(__x86_64__)
  if (level == TK_LEVEL_AVX512) return &tk_functions_avx512;
  if (level == TK_LEVEL_AVX2) return &tk_functions_avx2;
#endif
  (void)level;
  return &tk_functions_portable;
}

int tk_level_best(void) { return detect_level(); }

int tk_level(void) {
  int level = atomic_load_explicit(&chosen_level, memory_order_relaxed);
  if (level < 0) {
    level = detect_level();
    atomic_store_explicit(&chosen_level, level, memory_order_relaxed);
  }
  return level;
}

int tk_set_level(int level) {
  const int best = detect_level();
  const int chosen = level < TK_LEVEL_PORTABLE ? TK_LEVEL_PORTABLE : level > best ? best : level;
  atomic_store_explicit(&chosen_level, chosen, memory_order_relaxed);
  return chosen;
}

const char *tk_level_name(int level) {
  return level == TK_LEVEL_AVX512 ? "avx512" : level == TK_LEVEL_AVX2 ? "avx2" : "portable";
}

static const tk_functions *active(void) { return functions_at(tk_level()); }

// MARK: Element types

bool tk_type_is_supported(uint32_t type) { return tk_is_float_type(type) || tk_unit_byte_count(type) != 0; }

ptrdiff_t tk_block_element_count(uint32_t type) {
  if (tk_is_float_type(type)) return 1;
  if (type == TK_TYPE_Q4_K || type == TK_TYPE_Q6_K) return 256;
  return tk_unit_byte_count(type) != 0 ? 32 : 0;
}

ptrdiff_t tk_block_byte_count(uint32_t type) {
  switch (type) {
    case TK_TYPE_F32: return 4;
    case TK_TYPE_F16: case TK_TYPE_BF16: return 2;
    case TK_TYPE_Q4_K: return 144;
    case TK_TYPE_Q6_K: return 210;
    default: return tk_unit_byte_count(type);
  }
}

ptrdiff_t tk_row_byte_count(uint32_t type, ptrdiff_t columns) {
  const ptrdiff_t elements = tk_block_element_count(type);
  return elements == 0 ? 0 : columns / elements * tk_block_byte_count(type);
}

ptrdiff_t tk_activations_byte_count(uint32_t type, ptrdiff_t rows, ptrdiff_t columns) {
  return tk_is_float_type(type) ? 0 : rows * tk_activation_row_byte_count(columns);
}

// MARK: Forwarding

void tk_quantize_activations(void *activations, const float *x, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t count) {
  active()->quantize_activations(activations, x, columns, first, count);
}
void tk_matmul(
  float *out, const float *x, const void *activations, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count) {
  if (rows > 0 && count > 0) {
    active()->matmul(out, x, activations, w, type, rows, columns_in, columns_out, first, count);
  }
}
void tk_dequantize_rows(
  float *out, const void *w, uint32_t type, ptrdiff_t first, ptrdiff_t count, ptrdiff_t columns) {
  active()->dequantize_rows(out, w, type, first, count, columns);
}
void tk_get_rows(float *out, const void *w, uint32_t type, const int32_t *ids, ptrdiff_t rows, ptrdiff_t columns) {
  active()->get_rows(out, w, type, ids, rows, columns);
}
void tk_rms_norm(
  float *out, const float *x, const void *weight, uint32_t type, ptrdiff_t rows, ptrdiff_t columns, float eps) {
  active()->rms_norm(out, x, weight, type, rows, columns, eps);
}
void tk_layer_norm(
  float *out, const float *x, const void *weight, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns,
  float eps) {
  active()->layer_norm(out, x, weight, bias, type, rows, columns, eps);
}
void tk_rope(
  float *x, const int32_t *positions, ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_dim, ptrdiff_t rope_dim, float base,
  float scale, int32_t mode) {
  active()->rope(x, positions, rows, heads, head_dim, rope_dim, base, scale, mode);
}
void tk_cache_append(
  const float *x, void *cache, const int64_t *bases, const int32_t *positions, int64_t plane_offset, int64_t chunk_positions,
  int64_t chunk_stride, ptrdiff_t rows, ptrdiff_t width, uint32_t type) {
  active()->cache_append(x, cache, bases, positions, plane_offset, chunk_positions, chunk_stride, rows, width, type);
}
void tk_attention(
  const tk_attention_arguments *arguments, ptrdiff_t first_row, ptrdiff_t row_count, ptrdiff_t first_head,
  ptrdiff_t head_count) {
  active()->attention(arguments, first_row, row_count, first_head, head_count);
}
void tk_add(float *out, const float *a, const float *b, ptrdiff_t count) { active()->add(out, a, b, count); }
void tk_mul(float *out, const float *a, const float *b, ptrdiff_t count) { active()->mul(out, a, b, count); }
void tk_scale(float *out, const float *x, ptrdiff_t count, float factor) { active()->scale(out, x, count, factor); }
void tk_add_bias(float *out, const float *x, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns) {
  active()->add_bias(out, x, bias, type, rows, columns);
}
void tk_silu(float *out, const float *x, ptrdiff_t count) { active()->silu(out, x, count); }
void tk_gelu(float *out, const float *x, ptrdiff_t count) { active()->gelu(out, x, count); }
void tk_gelu_tanh(float *out, const float *x, ptrdiff_t count) { active()->gelu_tanh(out, x, count); }
void tk_silu_mul(float *out, const float *gate, const float *up, ptrdiff_t count) {
  active()->silu_mul(out, gate, up, count);
}
void tk_gelu_tanh_mul(float *out, const float *gate, const float *up, ptrdiff_t count) {
  active()->gelu_tanh_mul(out, gate, up, count);
}
void tk_softmax(float *out, const float *x, ptrdiff_t rows, ptrdiff_t columns) {
  active()->softmax(out, x, rows, columns);
}
void tk_top_k(float *values, int32_t *ids, const float *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k) {
  for (ptrdiff_t r = 0; r < rows; r++) {
    tk_top_k_steps(values + r * k, ids + r * k, x + r * columns, columns, k, 0, tk_top_k_step_count(columns, k));
  }
}
ptrdiff_t tk_top_k_step_count(ptrdiff_t columns, ptrdiff_t k) {
  // To copy k elements, to order them as a heap, to look at the others, to sort the heap.
  return k <= 0 ? 0 : k + k / 2 + (columns - k) + (k - 1);
}
void tk_top_k_steps(
  float *values, int32_t *ids, const float *x, ptrdiff_t columns, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count) {
  active()->top_k_steps(values, ids, x, columns, k, first, count);
}

// MARK: Probes

uint32_t tk_probe_read(const void *p, ptrdiff_t byte_count, int streams, ptrdiff_t ahead, ptrdiff_t passes) {
  return active()->probe_read(p, byte_count, streams, ahead, passes);
}
void tk_probe_write(void *out, const void *a, const void *b, uint32_t addend, ptrdiff_t byte_count, ptrdiff_t passes) {
  active()->probe_write(out, a, b, addend, byte_count, passes);
}
ptrdiff_t tk_probe_float(float *sum, float a, float b, ptrdiff_t turns) { return active()->probe_float(sum, a, b, turns); }
ptrdiff_t tk_probe_integer(uint32_t *sum, uint8_t a, int8_t b, ptrdiff_t turns) {
  return active()->probe_integer(sum, a, b, turns);
}
