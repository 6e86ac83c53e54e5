// Work to measure the interpreter with, compiled twice from one source: natively, and to engine_kernels.wasm (see the Makefile).
//
// No function takes or gives an address: all data is static, the same on both sides, and made by engine_prepare. So the functions
// have no unsafe use, and are to be called from one thread at a time.
#pragma once
#include <stdint.h>

#if defined(__wasm__)
#define ENGINE_EXPORT(name) __attribute__((export_name(#name)))
#else
#define ENGINE_EXPORT(name)
#endif

enum {
  /// Like CoreMark's list: 256 linked items are searched, reversed, and sorted twice through a comparison function.
  ENGINE_LIST,
  /// Like CoreMark's matrix: sums and products of 24 x 24 matrices of 16-bit integers.
  ENGINE_MATRIX,
  /// Like CoreMark's state machine: 4096 characters of numbers, right and wrong ones, a switch for each character.
  ENGINE_STATE_MACHINE,
  /// CRC-16 of 4096 bytes, bit by bit.
  ENGINE_CRC,
  /// Bubble sort of 256 integers.
  ENGINE_SORT,
  /// Steps of a 64-bit xorshift generator: arithmetic without memory.
  ENGINE_XORSHIFT,
  /// The 21st Fibonacci number by recursion.
  ENGINE_FIBONACCI,
  /// Product of two 64 x 64 matrices of floats.
  ENGINE_MATMUL,
  /// Dot product of 4096 floats, with four running sums of 16 bytes.
  ENGINE_DOT,
  /// Product of a row of 256 Q8_0 blocks with another.
  ENGINE_Q8_0,
  /// Product of a row of 256 Q4_0 blocks with a row of Q8_0 blocks.
  ENGINE_Q4_0,
  /// Sum of 32 MiB of integers, in order.
  ENGINE_STREAM,
  /// A walk through 32 MiB where each step's address comes from the last: one step a cache line, in random order.
  ENGINE_CHASE,
  ENGINE_KERNEL_COUNT
};

/// Fills the data of all kernels. The results of later calls of `engine_run` depend on the calls since.
ENGINE_EXPORT(engine_prepare) void engine_prepare(void);

/// Does a kernel's work a number of times. Returns a sum over what was computed; 0 for a kernel that there is not.
ENGINE_EXPORT(engine_run) uint64_t engine_run(int32_t kernel, int32_t repetitions);

/// Makes the data of one kernel and runs it: for engines that run a function a process.
ENGINE_EXPORT(engine_measure) uint64_t engine_measure(int32_t kernel, int32_t repetitions);

/// Units of work (list passes, bytes, multiplications ...) of one repetition; 0 for a kernel that there is not.
ENGINE_EXPORT(engine_unit_count) int32_t engine_unit_count(int32_t kernel);

#if !defined(__wasm__)
/// The committed WebAssembly module, byte by byte.
int32_t engine_module_byte_count(void);
/// A byte of the module; 0 outside it.
uint8_t engine_module_byte(int32_t index);
/// 1 if the native side was compiled with optimisation.
int32_t engine_is_optimized(void);
#endif
