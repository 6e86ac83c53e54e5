// The guests that are built into this library, as they are committed in models/programs. Read-only data: no start-up cost, no
// resource folder to be found at run time. An absent guest has byte count 0.
#pragma once
#include <stddef.h>

const unsigned char *bindery_program_llama(size_t *byte_count);
const unsigned char *bindery_program_kernels(size_t *byte_count);
