// The tensor operations: import module "tensor", abi 1.
//
// Addresses of weights lie in memory `weights`, of keys and values in `cache`, of everything else in `scratch`. Rows are
// contiguous f32, row-major. `type` is the ggml number of an element type. None returns a value; misuse traps.
#ifndef BINDERY_GUEST_TENSOR_IMPORTS_H
#define BINDERY_GUEST_TENSOR_IMPORTS_H

#include <stdint.h>

#define TENSOR(name) __attribute__((import_module("tensor"), import_name(#name))) void tensor_##name

/// out[rows, columns_out] = x[rows, columns_in] · Wᵀ; W is [columns_out, columns_in].
TENSOR(matmul)(uint64_t out, uint64_t x, uint64_t w, int32_t type, int32_t rows, int32_t columns_in, int32_t columns_out);
/// out[r] = row ids[r] of W, dequantised. ids: i32[rows].
TENSOR(get_rows)(uint64_t out, uint64_t w, int32_t type, uint64_t ids, int32_t rows, int32_t columns, int32_t row_count_max);
/// x / sqrt(mean(x²) + eps) · weight.
TENSOR(rms_norm)(uint64_t out, uint64_t x, uint64_t weight, int32_t type, int32_t rows, int32_t columns, float eps);
/// (x - mean) / sqrt(variance + eps) · weight + bias.
TENSOR(layer_norm)(uint64_t out, uint64_t x, uint64_t weight, uint64_t bias, int32_t type, int32_t rows, int32_t columns,
                   float eps);
/// Rotates pairs of each head in place; mode 0: adjacent elements, 1: halves.
TENSOR(rope)(uint64_t x, uint64_t positions, int32_t rows, int32_t heads, int32_t head_dim, int32_t rope_dim, float base,
             float scale, int32_t mode);
/// Stores row r of x at position positions[r] of the sequence whose cache begins at bases[r].
TENSOR(cache_append)(uint64_t x, uint64_t bases, uint64_t positions, uint64_t plane_offset, int32_t chunk_positions,
                     uint64_t chunk_stride, int32_t rows, int32_t width, int32_t type);
/// Row r attends positions 0...positions[r] of its own sequence (the last `window` of them where window > 0).
TENSOR(attention)(uint64_t out, uint64_t q, uint64_t bases, uint64_t positions, uint64_t key_plane_offset,
                  uint64_t value_plane_offset, int32_t chunk_positions, uint64_t chunk_stride, int32_t rows, int32_t heads,
                  int32_t kv_heads, int32_t head_dim, int32_t type, float scale, int32_t window, float softcap);
TENSOR(add)(uint64_t out, uint64_t a, uint64_t b, uint64_t count);
TENSOR(mul)(uint64_t out, uint64_t a, uint64_t b, uint64_t count);
TENSOR(scale)(uint64_t out, uint64_t x, uint64_t count, float factor);
TENSOR(add_bias)(uint64_t out, uint64_t x, uint64_t bias, int32_t type, int32_t rows, int32_t columns);
TENSOR(silu)(uint64_t out, uint64_t x, uint64_t count);
TENSOR(gelu)(uint64_t out, uint64_t x, uint64_t count);
TENSOR(gelu_tanh)(uint64_t out, uint64_t x, uint64_t count);
/// silu(gate) · up.
TENSOR(silu_mul)(uint64_t out, uint64_t gate, uint64_t up, uint64_t count);
TENSOR(gelu_tanh_mul)(uint64_t out, uint64_t gate, uint64_t up, uint64_t count);
TENSOR(softmax)(uint64_t out, uint64_t x, int32_t rows, int32_t columns);
/// The k greatest of each row, descending; ties by lower id.
TENSOR(top_k)(uint64_t values, uint64_t ids, uint64_t x, int32_t rows, int32_t columns, int32_t k);

#endif
