// Kernels that are compiled twice from one source: to native code, and to WebAssembly (kernels.wasm, see the Makefile).
#pragma once
#include <stdint.h>

#if defined(__wasm__)
#define EXPORTED(name) __attribute__((export_name(#name)))
#else
#define EXPORTED(name)
#endif

typedef struct q8_block { float scale; int8_t values[32]; } q8_block;

/// Sum of a[i] * b[i]; count is a multiple of 16.
EXPORTED(dot) float dot(const float *a, const float *b, int32_t count);
/// Steps of a 64-bit xorshift generator, summed.
EXPORTED(xorshift) uint64_t xorshift(uint64_t seed, int32_t count);
/// Product of two rows of quantised blocks.
EXPORTED(q8_dot) float q8_dot(const q8_block *a, const q8_block *b, int32_t block_count);
/// Bubble sort: loads, stores, branches.
EXPORTED(sort) int32_t sort(int32_t *values, int32_t count);
/// Recursive Fibonacci: calls.
EXPORTED(fibonacci) int32_t fibonacci(int32_t n);
