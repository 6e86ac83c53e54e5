// The module is embedded in native builds, and is not part of itself.
#if !defined(__wasm__)
// `#embed` is C23; clang takes it in every mode and writes the file into the dependencies, so a rebuilt module is rebuilt here.
#pragma clang diagnostic ignored "-Wc23-extensions"
#include "CEngineKernels.h"

static const uint8_t module[] = {
#embed "engine_kernels.wasm"
};

int32_t engine_module_byte_count(void) { return (int32_t)sizeof module; }

uint8_t engine_module_byte(int32_t index) { return index >= 0 && index < (int32_t)sizeof module ? module[index] : 0; }

int32_t engine_is_optimized(void) {
#if defined(__OPTIMIZE__)
  return 1;
#else
  return 0;
#endif
}
#endif
