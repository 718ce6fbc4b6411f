/*
** matmul.c - the product of two matrices, or of many, either transposed on the
** way.
*/
#include <string.h>

#include "../kernels/kernels.h"
#include "relevance.h"

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 };

static const lun_attrdef attrs[] = {
    {.name = "transpose_a", .at = TRANSPOSE_A, .count = 1, .fallback = 0},
    {.name = "transpose_b", .at = TRANSPOSE_B, .count = 1, .fallback = 0},
    {.name = NULL},
};

/* c (m,n) = op(a) (m,k) op(b) (k,n), `count` times: the dimensions before the
** last two are broadcast, and step along by as many floats as `a` and `b` say. */
typedef struct sizes {
  int ta, tb;
  int64_t m, n, k;
  int nd; /* dimensions before the last two */
  int64_t count, dim[LUN_MAXDIM], a[LUN_MAXDIM], b[LUN_MAXDIM];
} sizes;

static int64_t from_end(const lun_tensor *t, int i) {
  return i < t->ndim ? t->dim[t->ndim - 1 - i] : 1;
}

/* Floats from one matrix of t to the next along each dimension; 0: repeated. */
static void steps(const lun_tensor *t, const sizes *s, int64_t *step) {
  int64_t size = from_end(t, 0) * from_end(t, 1);
  for (int d = s->nd - 1; d >= 0; d--) {
    int64_t own = from_end(t, s->nd - d + 1);
    step[d] = own == 1 ? 0 : size;
    size *= own;
  }
}

static sizes measure(const lun_node *n) {
  const lun_tensor *a = n->in[0], *b = n->in[1];
  sizes s = {.ta = n->attr[TRANSPOSE_A] != 0, .tb = n->attr[TRANSPOSE_B] != 0};
  s.m = from_end(a, !s.ta);
  s.k = from_end(a, s.ta);
  s.n = from_end(b, s.tb);
  s.nd = (a->ndim > b->ndim ? a->ndim : b->ndim) - 2;
  s.count = 1;
  for (int d = 0; d < s.nd; d++) {
    int64_t x = from_end(a, s.nd - d + 1), y = from_end(b, s.nd - d + 1);
    s.dim[d] = x == 1 ? y : x;
    s.count *= s.dim[d];
  }
  steps(a, &s, s.a);
  steps(b, &s, s.b);
  /* Where b is one matrix, all rows of a sample are one product.  Samples are not
** joined: BLAS rounds a row differently in products of different heights, and a
** sample's result must not depend on its batch. */
  if (b->ndim == 2 && !s.ta && s.nd > 0 && s.count > 0) {
    s.m *= s.count / s.dim[0], s.count = s.dim[0], s.nd = 1;
    s.a[0] = s.m * s.k;
  }
  return s;
}

static int broadcast(const lun_node *n, lun_err *err) {
  const lun_tensor *a = n->in[0], *b = n->in[1];
  char p[LUN_SHAPETEXT], q[LUN_SHAPETEXT];
  for (int i = 2; i < LUN_MAXDIM; i++) {
    int64_t x = from_end(a, i), y = from_end(b, i);
    if (x != y && x != 1 && y != 1)
      return ops_fail(n, err, LUN_ESHAPE,
                      "matrices of %s and %s do not broadcast",
                      lun_shape_text(p, sizeof p, a->ndim, a->dim),
                      lun_shape_text(q, sizeof q, b->ndim, b->dim));
  }
  return LUN_OK;
}

static int infer(lun_node *n, lun_err *err) {
  const lun_tensor *a = n->in[0], *b = n->in[1];
  int64_t flag, k, dim[LUN_MAXDIM];
  int nd = a->ndim > b->ndim ? a->ndim : b->ndim;
  LUN_TRY(ops_int(n, TRANSPOSE_A, 0, 1, &flag, err));
  LUN_TRY(ops_int(n, TRANSPOSE_B, 0, 1, &flag, err));
  LUN_TRY(ops_ndim(n, 0, 2, LUN_MAXDIM, err));
  LUN_TRY(ops_ndim(n, 1, 2, LUN_MAXDIM, err));
  LUN_TRY(broadcast(n, err));
  sizes s = measure(n);
  k = from_end(b, !s.tb);
  if (k != s.k)
    return ops_fail(n, err, LUN_ESHAPE,
                    "left matrix has %lld columns, right has %lld rows",
                    (long long)s.k, (long long)k);
  for (int d = 0; d < nd - 2; d++) {
    int64_t x = from_end(a, nd - 1 - d);
    dim[d] = x == 1 ? from_end(b, nd - 1 - d) : x;
  }
  dim[nd - 2] = from_end(a, !s.ta);
  dim[nd - 1] = s.n;
  return lun_node_shape(n, nd, dim, err);
}

/* Where the i-th product's matrices begin. */
static int64_t offset(const sizes *s, const int64_t *step, int64_t i) {
  int64_t at = 0;
  for (int d = s->nd - 1; d >= 0; d--) {
    at += i % s->dim[d] * step[d];
    i /= s->dim[d];
  }
  return at;
}

/* An empty inner dimension makes a product of zeros. */
static int product(int ta, int tb, int64_t m, int64_t n, int64_t k,
                   const float *a, const float *b, float *c, lun_err *err) {
  if (m == 0 || n == 0) return LUN_OK;
  if (k > 0) return lun_gemm(ta, tb, m, n, k, a, b, c, err);
  memset(c, 0, (size_t)m * (size_t)n * sizeof *c);
  return LUN_OK;
}

static int matmul_forward(lun_node *n, lun_err *err) {
  sizes s = measure(n);
  for (int64_t i = 0; i < s.count; i++)
    LUN_TRY(product(s.ta, s.tb, s.m, s.n, s.k,
                    n->in[0]->data + offset(&s, s.a, i),
                    n->in[1]->data + offset(&s, s.b, i),
                    n->out->data + i * s.m * s.n, err));
  return LUN_OK;
}

/* With A = op(a), B = op(b):  dA = dC B',  dB = A' dC;  and where a was
** transposed da = dA' = B dC', likewise db = dC' A. */
static int da_of(const sizes *s, const float *b, const float *dc, float *da,
                 lun_err *err) {
  if (s->ta) return product(s->tb, 1, s->k, s->m, s->n, b, dc, da, err);
  return product(0, !s->tb, s->m, s->k, s->n, dc, b, da, err);
}

static int db_of(const sizes *s, const float *a, const float *dc, float *db,
                 lun_err *err) {
  if (s->tb) return product(1, s->ta, s->n, s->k, s->m, dc, a, db, err);
  return product(!s->ta, 0, s->k, s->n, s->m, a, dc, db, err);
}

/* The gradient of input `which` for one copy: what a repeated matrix gets from
** each product is summed, in their order, through `sum`. */
static int one_input(const lun_node *n, const sizes *s, int which,
                     const float *dc, float *dx, float *sum, lun_err *err) {
  const int64_t *own = which ? s->b : s->a, *step = which ? s->a : s->b;
  int64_t size = which ? s->k * s->n : s->m * s->k;
  const float *other = n->in[!which]->data;
  memset(dx, 0, (size_t)n->in[which]->size * sizeof *dx);
  for (int64_t i = 0; i < s->count; i++) {
    float *to = dx + offset(s, own, i);
    const float *x = other + offset(s, step, i);
    LUN_TRY((which ? db_of : da_of)(s, x, dc + i * s->m * s->n, sum, err));
    for (int64_t e = 0; e < size; e++) to[e] += sum[e];
  }
  return LUN_OK;
}

static int matmul_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  sizes s = measure(n);
  int64_t most = s.k * (s.m > s.n ? s.m : s.n);
  float *sum = lun_malloc((size_t)(most + 1) * sizeof *sum);
  int status = LUN_OK;
  if (!sum) return ops_fail(n, err, LUN_ENOMEM, "no memory for its gradient");
  for (int c = 0; c < b->copies; c++)
    for (int i = 0; i < 2 && status == LUN_OK; i++)
      if (b->dx[i])
        status = one_input(n, &s, i, b->dy + c * n->out->size,
                           b->dx[i] + c * n->in[i]->size, sum, err);
  lun_free(sum);
  return status;
}

OPS_RULES(matmul, RELEVANCE_RULES, RELEVANCE_RULE(uniform, uniform));
OPS_OPERATOR(
    matmul,
    "matmul(a (..,m,k), b (..,k,n), transpose_a, transpose_b): a b, the "
    "dimensions before broadcast",
    2, 2, .attrs = attrs, .infer = infer);
