/*
** gemm.c - matrix products by OpenBLAS, cut into fixed tiles of our own.
**
** OpenBLAS picks its inner kernels by the size of the whole product and by
** its number of threads; tiles of a fixed size on one thread each make the
** result independent of lun_threads().
**
** The library is opened by the first product: opening it takes longer than the
** rest of the program's start, and most networks never ask for one.
*/
#include "kernels.h"

#include <cblas.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static const char LIBRARY[] = "libopenblas.so.0"; /* since 0.2.20, of 2017 */

static struct {
  void *lib;
  __typeof__(cblas_sgemm) *sgemm; /* NULL: it could not be opened */
  __typeof__(openblas_get_config) *config;
} blas;

enum { TILE_M = 128, TILE_N = 256 }; /* one job: TILE_M x TILE_N outputs */

typedef struct gemm_job {
  int ta, tb;
  int64_t m, n, k, rows, cols; /* sizes, tiles down and across */
  const float *a, *b;
  float *c;
} gemm_job;

static void open_blas(void) {
  void *lib = dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL);
  __typeof__(openblas_set_num_threads) *threads;
  if (!lib) return;
  blas.lib = lib;
  *(void **)&threads = dlsym(lib, "openblas_set_num_threads");
  *(void **)&blas.config = dlsym(lib, "openblas_get_config");
  if (!threads || !blas.config) return;
  threads(1);
  *(void **)&blas.sgemm = dlsym(lib, "cblas_sgemm");
}

static int have_blas(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_blas);
  return blas.sgemm != NULL;
}

void *lun_blas_function(const char *name, lun_err *err) {
  void *found = have_blas() ? dlsym(blas.lib, name) : NULL;
  if (!found)
    lun_fail(err, LUN_EIO, "%s: not to be had from %s; install libopenblas0",
             name, LIBRARY);
  return found;
}

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static void tile(void *arg, int64_t job) {
  const gemm_job *g = arg;
  int64_t i = job / g->cols * TILE_M, j = job % g->cols * TILE_N;
  int64_t lda = g->ta ? g->m : g->k, ldb = g->tb ? g->k : g->n;
  blas.sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans,
             g->tb ? CblasTrans : CblasNoTrans,
             (blasint)min64(TILE_M, g->m - i), (blasint)min64(TILE_N, g->n - j),
             (blasint)g->k, 1.0f, g->a + (g->ta ? i : i * lda), (blasint)lda,
             g->b + (g->tb ? j * ldb : j), (blasint)ldb, 0.0f,
             g->c + i * g->n + j, (blasint)g->n);
}

int lun_gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a,
             const float *b, float *c, lun_err *err) {
  gemm_job g = {ta, tb, m, n, k, 0, 0, a, b, c};
  if (m <= 0 || n <= 0) return LUN_OK;
  if (k <= 0) {
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    return LUN_OK;
  }
  if (!have_blas())
    return lun_fail(err, LUN_EIO,
                    "matrix product: cannot open %s; install libopenblas0",
                    LIBRARY);
  g.rows = (m + TILE_M - 1) / TILE_M;
  g.cols = (n + TILE_N - 1) / TILE_N;
  if (lun_parallel(g.rows * g.cols, tile, &g) != LUN_OK) {
    return lun_fail(err, LUN_EINTR, "interrupted");
  }
  return LUN_OK;
}

const char *lun_blas(void) {
  return have_blas() ? blas.config() : "none: install libopenblas0";
}
