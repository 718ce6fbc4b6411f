/*
** kernels.h - the loops that must be fast, on plain float arrays: planar NCHW
** in and out, weights OIHW, or (out, in) or (in, out), every
** pointer aligned to 4 bytes only.  No tensors, no tape.  One source for all
** instruction sets; lun_isa() says which one runs (LUNETTE_ISA forces one).
**
** Promises: the same bits for any number of threads, and, of finite weights, for
** a batch of N as for N batches of one (parameter gradients apart).
*/
#ifndef LUN_KERNELS_H
#define LUN_KERNELS_H

#include "../lunette.h"

typedef struct lun_conv {
  int n, c, h, w;     /* input  (n, c, h, w)                    */
  int k, kh, kw;      /* kernel (k, c/groups, kh, kw)           */
  int oh, ow;         /* output (n, k, oh, ow)                  */
  int sh, sw, dh, dw; /* stride, dilation                       */
  int pt, pl;         /* padding above and to the left; below and to
                              the right what oh, ow imply            */
  int groups;
} lun_conv;

/* y = conv(x, w) + b, then relu when asked.  b may be NULL. */
int lun_conv_forward(const lun_conv *s, const float *x, const float *w,
                     const float *b, float *y, int relu, lun_err *err);
/* What else is done to an output before it is written: the function of
** scale z + shift + add, z the convolution without a bias. */
typedef struct lun_after {
  const float *scale, *shift; /* per output channel, or NULL: 1 and 0 */
  const float *add;           /* as y lies, not y itself, or NULL */
  lun_epilogue_kind function;
} lun_after;
int lun_conv_forward_after(const lun_conv *s, const float *x, const float *w,
                           float *y, const lun_after *after, lun_err *err);
/* 1: the layer can be computed together with the relu and the 2x2 maximum
** pooling (stride 2, no padding) after it. */
int lun_conv_pools(const lun_conv *s);
/* y (n, k, oh/2, ow/2) = the 2x2 maxima of relu(conv(x, w) + b), tap = which of
** the four each is, read in order: the first maximum, but a NaN before it. */
int lun_conv_forward_pooled(const lun_conv *s, const float *x, const float *w,
                            const float *b, float *y, uint8_t *tap,
                            lun_err *err);
/* dx = gradient of the input, overwritten; gate as in lunette.h or NULL.
** s->n is the number of rows of dy. */
int lun_conv_backward(const lun_conv *s, const float *dy, const float *w,
                      float *dx, const lun_gate *gate, lun_err *err);
/* dx = the gate of add + the gradient; add: as dx lies, not dx itself, or NULL. */
int lun_conv_backward_add(const lun_conv *s, const float *dy, const float *w,
                          float *dx, const float *add, const lun_gate *gate,
                          lun_err *err);
/* y = the transposed convolution of x, + b (s->c), then relu when asked: x has the
** shape of s's output, y that of its input. */
int lun_conv_transposed(const lun_conv *s, const float *x, const float *w,
                        const float *b, float *y, int relu, lun_err *err);
/* dw, db overwritten; either may be NULL. Sums over the batch. */
int lun_conv_backward_params(const lun_conv *s, const float *x, const float *dy,
                             float *dw, float *db, lun_err *err);

typedef struct lun_linear {
  int n;
  int64_t in, out;
  int in_out; /* w is (in, out), not (out, in) */
} lun_linear;

/* y (n, out) = x (n, in) w' + b, then relu when asked.  b may be NULL.  With w
** (in, out), row i of w is skipped when x[., i] is 0 in all images of a group of
** 16.  So an infinite or NaN weight times 0 counts as 0 where the row is skipped
** and as NaN where another image of the group needs it. */
int lun_linear_forward(const lun_linear *s, const float *x, const float *w,
                       const float *b, float *y, int relu, lun_err *err);
/* dx (n, in) = dy (n, out) w, gated.  dead, or NULL: dx is not read where
** dead->y <= 0, and may be left 0 there. */
int lun_linear_backward(const lun_linear *s, const float *dy, const float *w,
                        float *dx, const lun_gate *gate, const lun_gate *dead,
                        lun_err *err);
/* dw, of w's shape, and db are overwritten; either may be NULL. */
int lun_linear_backward_params(const lun_linear *s, const float *x,
                               const float *dy, float *dw, float *db,
                               lun_err *err);

typedef struct lun_rows {
  int64_t rows, in, out;
  int in_out; /* w is (in, out), not (out, in) */
} lun_rows;

/* y (rows, out) = x (rows, in) w', for many rows (rows.c). */
int lun_rows_product(const lun_rows *s, const float *x, const float *w,
                     float *y, lun_err *err);

/* Real planes (h, w) and half of their spectra (2h, w/2 + 1), real parts S above
** imaginary parts.  Column k of a spectrum has the factor `scale`, twice that where
** `twice` is set and column w-k, which is its mirror image, is another one. */
typedef struct lun_spectrum {
  int64_t planes;
  int h, w;
  float scale;
  int twice;
} lun_spectrum;

/* S[j][k] = factor_k sum over a, b of x[a][b] exp(-2 pi i (ja/h + kb/w)) */
int lun_rfft2(const lun_spectrum *s, const float *x, float *y, lun_err *err);
/* x[a][b] = sum over j and k <= w/2 of
** factor_k Re(S[j][k] exp(2 pi i (ja/h + kb/w))) */
int lun_irfft2(const lun_spectrum *s, const float *y, float *x, lun_err *err);

/* c (m, n) = a (m, k) b (k, n), with a or b transposed in memory when asked.
** The only user of BLAS besides the tests' references (gemm.c). */
int lun_gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a,
             const float *b, float *c, lun_err *err);

/* A function of BLAS or LAPACK by name; NULL, with a message, where there is none. */
void *lun_blas_function(const char *name, lun_err *err);

/* a (n, n), symmetric, becomes its eigenvectors, one a row; value (n): ascending
** (LAPACK's dsyevd). */
int lun_eigh(int64_t n, double *a, double *value, lun_err *err);

/* Least squares a x = b, of all solutions the shortest (LAPACK's dgelsd): a (m, n) by
** columns and b (m, or n if more) are overwritten, b with x; directions of a whose
** singular value is below `cutoff` times the largest count as none. */
int lun_least_squares(int64_t m, int64_t n, double *a, double *b, double cutoff,
                      lun_err *err);
/* a (m, n) = u (m, k) diag(s) vt (k, n), k = min(m, n), s descending; a is
** overwritten (LAPACK's dgesdd). */
int lun_svd(int64_t m, int64_t n, double *a, double *u, double *s, double *vt,
            lun_err *err);

const char *lun_isa(void);  /* "avx512", "avx2", "sse2", "generic" ... */
const char *lun_blas(void); /* what OpenBLAS says of itself */

#endif
