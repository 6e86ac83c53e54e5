// OpenBLAS, found when it is first needed and not before: a process that multiplies nothing dense neither loads 30 MB of library nor
// starts its threads, and the build needs neither the library nor its headers.
#ifndef BINDERY_COPENBLAS_H
#define BINDERY_COPENBLAS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Whether there is an OpenBLAS on this system. The first call looks for it (`dlopen`, by the usual name of the shared library) and
/// sets it to one thread; any number of threads may ask. The functions below may be called once this has been true.
bool bindery_openblas_is_available(void);

/// From now on OpenBLAS starts no threads of its own when it is loaded: sets OPENBLAS_NUM_THREADS to 1 unless it is set. For the
/// start of a program, while it has one thread: it changes the environment.
void bindery_openblas_start_no_threads(void);

/// C[m, n] = A[m, k] * B^T, B row-major [n, k], all row-major f32 with the given distances of rows, in elements. C is overwritten.
void bindery_openblas_multiply(
    int32_t m, int32_t n, int32_t k, const float *a, int32_t a_stride, const float *b, int32_t b_stride, float *c, int32_t c_stride);

/// y[n] = W[n, k] * x[k], W row-major.
void bindery_openblas_multiply_vector(int32_t n, int32_t k, const float *w, const float *x, float *y);

/// OpenBLAS's own threads for later calls, those of all threads of the process.
void bindery_openblas_set_thread_count(int32_t count);

/// The kernels that it has chosen for this processor, e.g. `SkylakeX`. A string of the library that stays where it is.
const char *bindery_openblas_core_name(void);

#ifdef __cplusplus
}
#endif
#endif
