#include "Kernels.h"

static const struct kernel {
  /// Makes the data; kernels that follow each other may share it. Null without data.
  void (*prepare)(void);
  uint64_t (*run)(int32_t repetitions);
  int32_t unit_count;
} kernels[ENGINE_KERNEL_COUNT] = {
  [ENGINE_LIST] = {engine_list_prepare, engine_list, 1},
  [ENGINE_MATRIX] = {engine_matrix_prepare, engine_matrix, 1},
  [ENGINE_STATE_MACHINE] = {engine_text_prepare, engine_state_machine, 4096},
  [ENGINE_CRC] = {engine_text_prepare, engine_crc, 4096},
  [ENGINE_SORT] = {0, engine_sort, 256 * 255 / 2},
  [ENGINE_XORSHIFT] = {0, engine_xorshift, 4096},
  [ENGINE_FIBONACCI] = {0, engine_fibonacci, 35421},
  [ENGINE_MATMUL] = {engine_floats_prepare, engine_matmul, 64 * 64 * 64},
  [ENGINE_DOT] = {engine_floats_prepare, engine_dot, 1024},
  [ENGINE_Q8_0] = {engine_floats_prepare, engine_q8_0, 256},
  [ENGINE_Q4_0] = {engine_floats_prepare, engine_q4_0, 256},
  [ENGINE_STREAM] = {engine_stream_prepare, engine_stream, 1 << 21},
  [ENGINE_CHASE] = {engine_chase_prepare, engine_chase, 1 << 16},
};

void engine_prepare(void) {
  for (int32_t kernel = 0; kernel < ENGINE_KERNEL_COUNT; kernel++) {
    void (*prepare)(void) = kernels[kernel].prepare;
    if (prepare && (kernel == 0 || prepare != kernels[kernel - 1].prepare)) prepare();
  }
}

uint64_t engine_run(int32_t kernel, int32_t repetitions) {
  return kernel >= 0 && kernel < ENGINE_KERNEL_COUNT ? kernels[kernel].run(repetitions) : 0;
}

int32_t engine_unit_count(int32_t kernel) {
  return kernel >= 0 && kernel < ENGINE_KERNEL_COUNT ? kernels[kernel].unit_count : 0;
}

uint64_t engine_measure(int32_t kernel, int32_t repetitions) {
  if (kernel >= 0 && kernel < ENGINE_KERNEL_COUNT && kernels[kernel].prepare) kernels[kernel].prepare();
  return engine_run(kernel, repetitions);
}
