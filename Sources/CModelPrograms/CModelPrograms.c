// `#embed` is C23; clang takes it in every mode and writes the files into the dependencies, so a rebuilt guest is rebuilt here.
#pragma clang diagnostic ignored "-Wc23-extensions"
#include "CModelPrograms.h"

#if __has_embed("../../models/programs/llama.wasm")
static const unsigned char llama[] = {
#embed "../../models/programs/llama.wasm"
};
#define LLAMA llama, sizeof llama
#else
#define LLAMA NULL, 0
#endif

#if __has_embed("../../models/programs/kernels.wasm")
static const unsigned char kernels[] = {
#embed "../../models/programs/kernels.wasm"
};
#define KERNELS kernels, sizeof kernels
#else
#define KERNELS NULL, 0
#endif

static const unsigned char *give(size_t *byte_count, const unsigned char *bytes, size_t count) {
  *byte_count = count;
  return bytes;
}

const unsigned char *bindery_program_llama(size_t *byte_count) { return give(byte_count, LLAMA); }
const unsigned char *bindery_program_kernels(size_t *byte_count) { return give(byte_count, KERNELS); }
