/*
** lapack.c - decompositions of one matrix, by LAPACK's routines for doubles in
** OpenBLAS.  LAPACK counts columns first: our rows are its columns, so what it
** gets and gives is transposed, which costs nothing.
*/
#include <limits.h>

#include "kernels.h"

/* The Fortran interfaces, whose integers are 32 bits wide. */
typedef void eigh_fn(const char *jobz, const char *uplo, const int *n,
                     double *a, const int *lda, double *w, double *work,
                     const int *lwork, int *iwork, const int *liwork, int *info,
                     size_t jobz_length, size_t uplo_length);
typedef void svd_fn(const char *jobz, const int *m, const int *n, double *a,
                    const int *lda, double *s, double *u, const int *ldu,
                    double *vt, const int *ldvt, double *work, const int *lwork,
                    int *iwork, int *info, size_t jobz_length);
typedef void least_squares_fn(const int *m, const int *n, const int *nrhs,
                              double *a, const int *lda, double *b,
                              const int *ldb, double *s, const double *rcond,
                              int *rank, double *work, const int *lwork,
                              int *iwork, int *info);

enum { LARGEST = 16384 }; /* rows and columns: 2 GB of doubles */

typedef struct workspace {
  double *work;
  int *iwork, lwork, liwork;
} workspace;

static int allocate(workspace *w, double lwork, int liwork, lun_err *err) {
  if (lwork > INT_MAX) return lun_fail(err, LUN_ENOMEM, "no memory");
  w->lwork = (int)lwork, w->liwork = liwork;
  w->work = lun_malloc((size_t)w->lwork * sizeof *w->work);
  w->iwork = lun_malloc((size_t)liwork * sizeof *w->iwork);
  if (w->work && w->iwork) return LUN_OK;
  return lun_fail(err, LUN_ENOMEM, "no memory for a decomposition's workspace");
}

static int finish(workspace *w, const char *what, int info, lun_err *err) {
  lun_free(w->work);
  lun_free(w->iwork);
  if (info == 0) return LUN_OK;
  return lun_fail(err, LUN_EARG, "%s: LAPACK did not converge (info %d)", what,
                  info);
}

static int check_size(const char *what, int64_t m, int64_t n, lun_err *err) {
  if (m >= 1 && n >= 1 && m <= LARGEST && n <= LARGEST) return LUN_OK;
  return lun_fail(err, LUN_ESHAPE,
                  "%s: a matrix of %lld x %lld; each side may be 1 to %d", what,
                  (long long)m, (long long)n, (int)LARGEST);
}

int lun_eigh(int64_t n, double *a, double *value, lun_err *err) {
  int size = (int)n, info = 0, ask = -1, liwork = 1;
  double lwork = 1;
  workspace w;
  eigh_fn *eigh;
  LUN_TRY(check_size("eigh", n, n, err));
  *(void **)&eigh = lun_blas_function("dsyevd_", err);
  if (!eigh) return LUN_EIO;
  eigh("V", "U", &size, a, &size, value, &lwork, &ask, &liwork, &ask, &info, 1,
       1); /* how much room it wants */
  if (allocate(&w, lwork, liwork, err) != LUN_OK) {
    finish(&w, "eigh", 0, err);
    return LUN_ENOMEM;
  }
  eigh("V", "U", &size, a, &size, value, w.work, &w.lwork, w.iwork, &w.liwork,
       &info, 1, 1);
  return finish(&w, "eigh", info, err);
}

/* Our a is its a transposed = vt' diag(s) u', so what it calls u is our vt. */
int lun_svd(int64_t m, int64_t n, double *a, double *u, double *s, double *vt,
            lun_err *err) {
  int rows = (int)n, columns = (int)m, info = 0, ask = -1;
  int k = rows < columns ? rows : columns;
  double lwork = 1;
  workspace w;
  svd_fn *svd;
  LUN_TRY(check_size("svd", m, n, err));
  *(void **)&svd = lun_blas_function("dgesdd_", err);
  if (!svd) return LUN_EIO;
  svd("S", &rows, &columns, a, &rows, s, vt, &rows, u, &k, &lwork, &ask, NULL,
      &info, 1);
  if (allocate(&w, lwork, 8 * k, err) != LUN_OK) {
    finish(&w, "svd", 0, err);
    return LUN_ENOMEM;
  }
  svd("S", &rows, &columns, a, &rows, s, vt, &rows, u, &k, w.work, &w.lwork,
      w.iwork, &info, 1);
  return finish(&w, "svd", info, err);
}

int lun_least_squares(int64_t m, int64_t n, double *a, double *b, double cutoff,
                      lun_err *err) {
  int rows = (int)m, columns = (int)n, one = 1, info = 0, ask = -1, rank = 0;
  int most = rows > columns ? rows : columns, liwork = 1;
  double lwork = 1, *s = NULL;
  workspace w;
  least_squares_fn *solve;
  LUN_TRY(check_size("least squares", m, n, err));
  *(void **)&solve = lun_blas_function("dgelsd_", err);
  if (!solve) return LUN_EIO;
  solve(&rows, &columns, &one, a, &rows, b, &most, s, &cutoff, &rank, &lwork,
        &ask, &liwork, &info);
  s = lun_malloc((size_t)most * sizeof *s);
  if (allocate(&w, lwork, liwork, err) != LUN_OK || !s) {
    lun_free(s);
    finish(&w, "least squares", 0, err);
    return lun_fail(err, LUN_ENOMEM, "no memory for least squares");
  }
  solve(&rows, &columns, &one, a, &rows, b, &most, s, &cutoff, &rank, w.work,
        &w.lwork, w.iwork, &info);
  lun_free(s);
  return finish(&w, "least squares", info, err);
}
