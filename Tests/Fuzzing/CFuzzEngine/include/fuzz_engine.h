#ifndef BINDERY_FUZZ_ENGINE_H
#define BINDERY_FUZZ_ENGINE_H

#include <stddef.h>
#include <stdint.h>

// Runs libFuzzer with its command line. -1 at once where the executable was linked without it (`-sanitize=fuzzer`).
int bindery_fuzz_run(int *argument_count, char ***arguments, int (*body)(const uint8_t *bytes, size_t byte_count));

#endif
