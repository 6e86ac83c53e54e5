#include "fuzz_engine.h"

// libFuzzer's own entry point, beside the `main` that it also has. Weak: ordinary builds have no libFuzzer.
__attribute__((weak)) int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*body)(const uint8_t *, size_t));

int bindery_fuzz_run(int *argument_count, char ***arguments, int (*body)(const uint8_t *, size_t)) {
  if (LLVMFuzzerRunDriver == NULL) return -1;
  return LLVMFuzzerRunDriver(argument_count, arguments, body);
}
