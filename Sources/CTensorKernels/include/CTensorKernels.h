// Native kernels for tensors: products with quantised weights, normalisation, rotary positions, attention over a chunked
// cache, activations. Plain C17 with three levels of instructions, chosen once at run time (see tk_level).
//
// Rules that hold for every function:
// - Nothing is allocated, no thread is started, nothing global is written. The caller splits work: functions that are worth
//   splitting take a range (first, count); disjoint ranges may run on several threads at once.
// - Pointers may be unaligned, also for f32 and f16 operands. Ranges must be valid: nothing is checked here, and nothing
//   outside an operand is read or written (prefetch instructions may name addresses past a weight matrix; they never fault).
// - Counts are elements, not bytes. Matrices are row-major and dense unless a stride is said.
// - At most 64 KiB of the calling thread's stack is used.
// - No pointer may alias another unless said ("out may equal x").
//
// Letters: M rows of activations, K columns_in, N columns_out, T cached positions, H query heads, G key/value heads,
// D head dimension.
#ifndef BINDERY_CTENSORKERNELS_H
#define BINDERY_CTENSORKERNELS_H

#include "MachineProbes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: Element types

// Numbers of element types as in GGUF files. Block layouts are those of ggml (docs: ggml-org/ggml, docs/gguf.md, and the
// block structures it names); all numbers little-endian; d, m are f16; q are unsigned fields unless said:
//
//   type   weights bytes  layout                                              weight i of the block
//   q4_0        32   18   d, q[16]                                            d * (nibble(i) - 8)
//   q4_1        32   20   d, m, q[16]                                         d * nibble(i) + m
//   q5_0        32   22   d, h[4], q[16]                                      d * (nibble(i) + 16 * bit(h, i) - 16)
//   q5_1        32   24   d, m, h[4], q[16]                                   d * (nibble(i) + 16 * bit(h, i)) + m
//   q8_0        32   34   d, int8 q[32]                                       d * q[i]
//   q4_K       256  144   d, dmin, s[12], q[128]                              d * scale(i / 32) * nibble - dmin * min(i / 32)
//   q6_K       256  210   low[128], high[64], int8 scale[16], d               d * scale[i / 16] * (six bits - 32)
//
// nibble(i) of the 32-weight types: i < 16: low half of q[i], else high half of q[i - 16].
enum {
  TK_TYPE_F32 = 0, TK_TYPE_F16 = 1, TK_TYPE_Q4_0 = 2, TK_TYPE_Q4_1 = 3, TK_TYPE_Q5_0 = 6, TK_TYPE_Q5_1 = 7, TK_TYPE_Q8_0 = 8,
  TK_TYPE_Q4_K = 12, TK_TYPE_Q6_K = 14, TK_TYPE_BF16 = 30,
};

/// Whether the kernels know the type as a weight type.
bool tk_type_is_supported(uint32_t type);
/// Weights in one block: 1, 32 or 256; 0 for an unknown type. Rows of a matrix are a whole number of blocks.
ptrdiff_t tk_block_element_count(uint32_t type);
/// Bytes of one block; 0 for an unknown type.
ptrdiff_t tk_block_byte_count(uint32_t type);
/// Bytes of a row of `columns` elements (a multiple of the block's element count).
ptrdiff_t tk_row_byte_count(uint32_t type, ptrdiff_t columns);

// MARK: Levels

enum { TK_LEVEL_PORTABLE = 0, TK_LEVEL_AVX2 = 1, TK_LEVEL_AVX512 = 2 };

/// The best level of this machine: AVX2 needs avx2, fma, f16c; AVX-512 needs f, bw, dq, vl and vnni, and an operating system
/// that saves the registers. Elsewhere (other processors) the portable level, which the compiler vectorises for NEON.
int tk_level_best(void);
/// The level in use: the best one, unless tk_set_level was called.
int tk_level(void);
/// For tests and benchmarks: uses a lower level from now on, in the whole process. Returns the level that is then in use
/// (never above tk_level_best).
int tk_set_level(int level);
/// "portable", "avx2", "avx512".
const char *tk_level_name(int level);

// MARK: Products

/// Bytes of workspace for the quantised form of x[M, K]: 0 for the float types, which read x itself.
/// About 1.5 bytes per element. Filled by tk_quantize_activations, shared by any number of tk_matmul calls and threads.
ptrdiff_t tk_activations_byte_count(uint32_t type, ptrdiff_t rows, ptrdiff_t columns);

/// Quantises rows [first, first + count) of x[M, K] into the workspace (64-byte aligned is fastest, any alignment works).
/// K is a multiple of 32. Each block of 32 becomes int8 q = round(x / s), s = max|x| / 127, with s and the sums of s * q.
/// Error: |x - s * q| <= s / 2. A block with an infinity or NaN makes every product with it NaN or infinite.
void tk_quantize_activations(void *activations, const float *x, ptrdiff_t columns, ptrdiff_t first, ptrdiff_t count);

/// out[M, N] columns [first, first + count) = x[M, K] · Wᵀ with W[N, K] of `type`; other columns of out are left alone.
/// - activations: what tk_quantize_activations made of all M rows, for quantised types; ignored (may be null) for f32, f16, bf16.
/// - x: read for the float types only.
/// Few rows (up to 4 quantised, 7 float): weights are read once, straight from where they lie, as four streams (bound by memory).
/// More rows: weights are unpacked in panels of two tiles and up to 1024 inputs on the stack, and used for all rows.
/// Precision: quantised types: integer products are exact, sums over blocks in f32; against exact arithmetic on the quantised
/// activations the normalised squared error is below 1e-11, against unquantised activations below 1e-4 (5e-5 typical).
/// float types: f32 products and sums, normalised squared error below 1e-11.
/// Best column granularity of slices: multiples of 32 (of 16 with AVX2); less than 16 (8) columns take a slow path.
void tk_matmul(
  float *out, const float *x, const void *activations, const void *w, uint32_t type, ptrdiff_t rows, ptrdiff_t columns_in,
  ptrdiff_t columns_out, ptrdiff_t first, ptrdiff_t count);

/// out[count, columns] = rows [first, first + count) of w[?, columns] as f32. Exact: what the definition of the type gives,
/// rounded once to f32.
void tk_dequantize_rows(
  float *out, const void *w, uint32_t type, ptrdiff_t first, ptrdiff_t count, ptrdiff_t columns);

/// out[rows, columns] = rows ids[r] of w, as tk_dequantize_rows. The ids are not checked.
void tk_get_rows(float *out, const void *w, uint32_t type, const int32_t *ids, ptrdiff_t rows, ptrdiff_t columns);

// MARK: Normalisation, positions

/// out = x / sqrt(mean(x²) + eps) * weight, per row of x[rows, columns]; weight[columns] of any supported type.
/// out may equal x. Relative error below 1e-6.
void tk_rms_norm(
  float *out, const float *x, const void *weight, uint32_t type, ptrdiff_t rows, ptrdiff_t columns, float eps);

/// out = (x - mean) / sqrt(variance + eps) * weight + bias, per row; two passes over the row. weight and bias as above.
void tk_layer_norm(
  float *out, const float *x, const void *weight, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns, float eps);

/// Rotates the first rope_dim (even, at most head_dim) elements of every head of x[rows, heads, head_dim] in place:
/// pair i turns by positions[r] * scale * base^(-2i / rope_dim) radians. mode 0: pair = (2i, 2i + 1); mode 1: pair =
/// (i, i + rope_dim / 2). Angles, their reduction and sine and cosine are double: absolute error of x' below 1e-6 |x| at any
/// 32-bit position.
void tk_rope(
  float *x, const int32_t *positions, ptrdiff_t rows, ptrdiff_t heads, ptrdiff_t head_dim, ptrdiff_t rope_dim, float base,
  float scale, int32_t mode);

// MARK: Cache and attention

/// Stores row r of x[rows, width] as `type` (f32 or f16, round to nearest even) at
/// cache + bases[r] + (p / chunk_positions) * chunk_stride + plane_offset + (p % chunk_positions) * width * element bytes,
/// p = positions[r]. Offsets and strides in bytes.
void tk_cache_append(
  const float *x, void *cache, const int64_t *bases, const int32_t *positions, int64_t plane_offset, int64_t chunk_positions,
  int64_t chunk_stride, ptrdiff_t rows, ptrdiff_t width, uint32_t type);

typedef struct tk_attention_arguments {
  float *out;                // [rows, heads, head_dim]
  const float *q;            // [rows, heads, head_dim]
  const void *cache;         // address of byte 0
  const int64_t *bases;      // [rows] offset of the row's sequence in the cache
  const int32_t *positions;  // [rows]
  int64_t key_plane_offset, value_plane_offset, chunk_positions, chunk_stride;
  ptrdiff_t heads, kv_heads, head_dim;  // heads is a multiple of kv_heads
  uint32_t type;             // of keys and values: f32 or f16; a cache row is [kv_heads, head_dim]
  float scale;
  int32_t window;            // attends positions p - window + 1 ... p; 0: 0 ... p
  float softcap;             // scores s become softcap * tanh(s / softcap); 0: unchanged
  int64_t position_begin, position_end;  // with state: the positions of this part
  float *state;              // [rows, heads, 2] maximum and sum so far; null: all positions in one call
} tk_attention_arguments;

/// Causal attention of rows [first_row, +row_count) and heads [first_head, +head_count): out = softmax(q · kᵀ * scale) · v over
/// the row's positions, key/value head = head / (heads / kv_heads). One pass over the cache (online softmax), in f32, keys and
/// values are read once per group of query heads, and once for up to 32 queries where consecutive rows share a sequence.
/// A negative position gives zeros. Slices of whole groups are best.
/// With state: the same in parts, which bound the time of a call. Part by part, from position 0 up, without gaps, each adds the
/// positions [position_begin, position_end) to out and state, which nobody else touches in between; a row is finished by the part
/// that holds its last position. Bit for bit what one call gives where the parts begin at multiples of 32 (and no window is used).
/// Normalised squared error against double arithmetic on the same cache below 1e-10.
void tk_attention(
  const tk_attention_arguments *arguments, ptrdiff_t first_row, ptrdiff_t row_count, ptrdiff_t first_head, ptrdiff_t head_count);

// MARK: Elementwise; out may equal any input

void tk_add(float *out, const float *a, const float *b, ptrdiff_t count);
void tk_mul(float *out, const float *a, const float *b, ptrdiff_t count);
void tk_scale(float *out, const float *x, ptrdiff_t count, float factor);
/// out[rows, columns] = x + bias[columns], bias of any supported type.
void tk_add_bias(float *out, const float *x, const void *bias, uint32_t type, ptrdiff_t rows, ptrdiff_t columns);
/// x / (1 + e^-x). Relative error below 1e-6.
void tk_silu(float *out, const float *x, ptrdiff_t count);
/// x * (1 + erf(x / √2)) / 2. Absolute error below 1e-6 * max(1, |x|).
void tk_gelu(float *out, const float *x, ptrdiff_t count);
/// x * (1 + tanh(√(2/π) * (x + 0.044715 x³))) / 2. Absolute error below 1e-6 * max(1, |x|).
void tk_gelu_tanh(float *out, const float *x, ptrdiff_t count);
/// silu(gate) * up.
void tk_silu_mul(float *out, const float *gate, const float *up, ptrdiff_t count);
/// gelu_tanh(gate) * up.
void tk_gelu_tanh_mul(float *out, const float *gate, const float *up, ptrdiff_t count);

// MARK: Distributions

/// Softmax of each row of x[rows, columns]; out may equal x. Relative error below 1e-6 + 1e-7 (max x - min x): x - max rounds.
/// A row of only -infinity gives NaN, as the formula does.
void tk_softmax(float *out, const float *x, ptrdiff_t rows, ptrdiff_t columns);

/// The k largest of each row, descending, ties by the lower index; k <= columns. NaN counts as the smallest value.
void tk_top_k(float *values, int32_t *ids, const float *x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t k);

/// The same for one row, in parts of bounded time: steps [first, first + count) of the tk_top_k_step_count(columns, k) that it takes, in
/// order, with values and ids left alone in between. A step takes at most O(log k).
void tk_top_k_steps(
  float *values, int32_t *ids, const float *x, ptrdiff_t columns, ptrdiff_t k, ptrdiff_t first, ptrdiff_t count);
ptrdiff_t tk_top_k_step_count(ptrdiff_t columns, ptrdiff_t k);

#ifdef __cplusplus
}
#endif
#endif
