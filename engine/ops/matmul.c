/*
** matmul.c - the product of two matrices, either transposed on the way.
*/
#include <string.h>

#include "../kernels/kernels.h"
#include "ops.h"

enum { TRANSPOSE_A = 0, TRANSPOSE_B = 1 };

static const lun_attrdef attrs[] = {
    {.name = "transpose_a", .at = TRANSPOSE_A, .count = 1, .fallback = 0},
    {.name = "transpose_b", .at = TRANSPOSE_B, .count = 1, .fallback = 0},
    {.name = NULL},
};

/* c (m,n) = op(a) (m,k) op(b) (k,n) */
typedef struct sizes {
  int ta, tb;
  int64_t m, n, k;
} sizes;

static sizes measure(const lun_node *n) {
  const lun_tensor *a = n->in[0], *b = n->in[1];
  sizes s = {.ta = n->attr[TRANSPOSE_A] != 0, .tb = n->attr[TRANSPOSE_B] != 0};
  s.m = a->dim[s.ta];
  s.k = a->dim[!s.ta];
  s.n = b->dim[!s.tb];
  return s;
}

static int infer(lun_node *n, lun_err *err) {
  int64_t flag, k;
  LUN_TRY(ops_int(n, TRANSPOSE_A, 0, 1, &flag, err));
  LUN_TRY(ops_int(n, TRANSPOSE_B, 0, 1, &flag, err));
  LUN_TRY(ops_ndim(n, 0, 2, 2, err));
  LUN_TRY(ops_ndim(n, 1, 2, 2, err));
  sizes s = measure(n);
  k = n->in[1]->dim[s.tb];
  if (k != s.k)
    return ops_fail(n, err, LUN_ESHAPE,
                    "left matrix has %lld columns, right has %lld rows",
                    (long long)s.k, (long long)k);
  return lun_node_shape(n, 2, (int64_t[]){s.m, s.n}, err);
}

/* An empty inner dimension makes a product of zeros. */
static int product(int ta, int tb, int64_t m, int64_t n, int64_t k,
                   const float *a, const float *b, float *c, lun_err *err) {
  if (m == 0 || n == 0) return LUN_OK;
  if (k > 0) return lun_gemm(ta, tb, m, n, k, a, b, c, err);
  memset(c, 0, (size_t)m * (size_t)n * sizeof *c);
  return LUN_OK;
}

static int forward(lun_node *n, lun_err *err) {
  sizes s = measure(n);
  return product(s.ta, s.tb, s.m, s.n, s.k, n->in[0]->data, n->in[1]->data,
                 n->out->data, err);
}

/* With A = op(a), B = op(b):  dA = dC B',  dB = A' dC;  and where a was
** transposed da = dA' = B dC', likewise db = dC' A. */
static int one_copy(const lun_node *n, const float *dc, float *da, float *db,
                    lun_err *err) {
  const float *a = n->in[0]->data, *b = n->in[1]->data;
  sizes s = measure(n);
  if (da && !s.ta) LUN_TRY(product(0, !s.tb, s.m, s.k, s.n, dc, b, da, err));
  if (da && s.ta) LUN_TRY(product(s.tb, 1, s.k, s.m, s.n, b, dc, da, err));
  if (db && !s.tb) LUN_TRY(product(!s.ta, 0, s.k, s.n, s.m, a, dc, db, err));
  if (db && s.tb) LUN_TRY(product(1, s.ta, s.n, s.k, s.m, dc, a, db, err));
  return LUN_OK;
}

static int back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  for (int c = 0; c < b->copies; c++) {
    float *da = b->dx[0] ? b->dx[0] + c * n->in[0]->size : NULL;
    float *db = b->dx[1] ? b->dx[1] + c * n->in[1]->size : NULL;
    LUN_TRY(one_copy(n, b->dy + c * n->out->size, da, db, err));
  }
  return LUN_OK;
}

static const lun_rule rules[] = {
    {.name = "plain", .back = back},
    {.name = NULL},
};

const lun_op lun_op_matmul = {
    .name = "matmul",
    .doc = "matmul(a (m,k), b (k,n), transpose_a, transpose_b): a b",
    .min_in = 2,
    .max_in = 2,
    .attrs = attrs,
    .infer = infer,
    .forward = forward,
    .rules = rules,
};
