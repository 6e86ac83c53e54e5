#define _GNU_SOURCE

#include "COpenBLAS.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

// CBLAS's constants and signatures (netlib.org/blas, "C interface"), with 32-bit integers: what libopenblas.so.0 exports. Its variant
// with 64-bit integers has another file name.
enum { row_major = 101, not_transposed = 111, transposed = 112 };

typedef void sgemm_function(
    int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
    float beta, float *c, int ldc);
typedef void sgemv_function(
    int order, int transpose, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta, float *y,
    int incy);

static const char *const names[] = {
#ifdef __APPLE__
    "libopenblas.dylib", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib", "/usr/local/opt/openblas/lib/libopenblas.dylib",
#else
    "libopenblas.so.0",
#endif
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sgemm_function *sgemm;
static sgemv_function *sgemv;
static void (*set_num_threads)(int);
static char *(*get_corename)(void);
static bool is_available;

static void load(void) {
  void *library = NULL;
  for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  sgemm = (sgemm_function *)dlsym(library, "cblas_sgemm");
  sgemv = (sgemv_function *)dlsym(library, "cblas_sgemv");
  set_num_threads = (void (*)(int))dlsym(library, "openblas_set_num_threads");
  get_corename = (char *(*)(void))dlsym(library, "openblas_get_corename");
  is_available = sgemm && sgemv && set_num_threads && get_corename;
  // Threads are ours: a product uses the one that calls.
  if (is_available) set_num_threads(1);
}

bool bindery_openblas_is_available(void) {
  pthread_once(&once, load);
  return is_available;
}

void bindery_openblas_start_no_threads(void) { setenv("OPENBLAS_NUM_THREADS", "1", 0); }

void bindery_openblas_multiply(
    int32_t m, int32_t n, int32_t k, const float *a, int32_t a_stride, const float *b, int32_t b_stride, float *c, int32_t c_stride) {
  sgemm(row_major, not_transposed, transposed, m, n, k, 1, a, a_stride, b, b_stride, 0, c, c_stride);
}

void bindery_openblas_multiply_vector(int32_t n, int32_t k, const float *w, const float *x, float *y) {
  sgemv(row_major, not_transposed, n, k, 1, w, k, x, 1, 0, y, 1);
}

void bindery_openblas_set_thread_count(int32_t count) { set_num_threads(count); }

const char *bindery_openblas_core_name(void) { return get_corename(); }
