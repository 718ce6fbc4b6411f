/*
** binary.c - elementwise functions of two tensors, and where, broadcast as
** numpy does: shapes are aligned at the right, a dimension of 1 repeats.
** The gradient of a repeated operand is the sum over its repetitions.
*/
#include <math.h>
#include <string.h>

#include "relevance.h"

/* ---- shapes ------------------------------------------------------------- */

/* Grows dim[] (ndim of them, right-aligned) by the shape of input i. */
static int join(const lun_node *n, int i, int ndim, int64_t *dim,
                lun_err *err) {
  const lun_tensor *t = n->in[i];
  int lead = ndim - t->ndim;
  for (int d = 0; d < t->ndim; d++) {
    int64_t *to = &dim[lead + d], own = t->dim[d];
    if (own == *to || own == 1) continue;
    if (*to != 1) {
      char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
      lun_shape_text(a, sizeof a, ndim, dim);
      lun_shape_text(b, sizeof b, t->ndim, t->dim);
      return ops_fail(n, err, LUN_ESHAPE,
                      "shapes %s and %s do not broadcast: counted from "
                      "the last, sizes must be equal, or 1",
                      a, b);
    }
    *to = own;
  }
  return LUN_OK;
}

static int infer(lun_node *n, lun_err *err) {
  int ndim = 1;
  int64_t dim[LUN_MAXDIM];
  for (int i = 0; i < n->nin; i++)
    if (n->in[i]->ndim > ndim) ndim = n->in[i]->ndim;
  for (int d = 0; d < ndim; d++) dim[d] = 1;
  for (int i = 0; i < n->nin; i++) LUN_TRY(join(n, i, ndim, dim, err));
  return lun_node_shape(n, ndim, dim, err);
}

/* ---- rows --------------------------------------------------------------- */

/* One row: `to` from the gradient g and operands a, b, c, of which every
** one steps by 0 or 1. */
typedef void row(float *to, const float *g, const float *const *in,
                 const int64_t *step, int64_t len);

/* The cases that matter get loops of their own, which vectorise: both step,
** or one of them stands. */
#define ROW(id, expression)                                                    \
  static void id(float *to, const float *dy, const float *const *in,           \
                 const int64_t *step, int64_t len) {                           \
    const float *A = in[0], *B = in[1];                                        \
    const float none = 0.0f, *G = dy ? dy : &none;                             \
    const int64_t sg = dy != NULL, sa = step[0], sb = step[1];                 \
    if (sa && sb) OPS_IVDEP for (int64_t i = 0; i < len; i++) {                \
        const float g = G[i * sg], a = A[i], b = B[i];                         \
        (void)g, (void)a, (void)b;                                             \
        to[i] = (expression);                                                  \
      }                                                                        \
    else if (sa)                                                               \
      OPS_IVDEP for (int64_t i = 0; i < len; i++) {                            \
        const float g = G[i * sg], a = A[i], b = *B;                           \
        (void)g, (void)a, (void)b;                                             \
        to[i] = (expression);                                                  \
      }                                                                        \
    else                                                                       \
      OPS_IVDEP for (int64_t i = 0; i < len; i++) {                            \
        const float g = G[i * sg], a = *A, b = B[i * sb];                      \
        (void)g, (void)a, (void)b;                                             \
        to[i] = (expression);                                                  \
      }                                                                        \
  }

typedef struct work {
  const lun_node *n;
  const ops_iter *it;
  row *fn;         /* NULL: to = dy, and no operand is read */
  const float *dy; /* NULL: forward */
  float *to;
} work;

static void run_row(void *arg, int64_t copy, int64_t at, const int64_t *off,
                    int64_t len) {
  const work *w = arg;
  const float *in[OPS_OPERANDS] = {0};
  int64_t step[OPS_OPERANDS];
  (void)copy; /* one at a time, see operand_back */
  if (!w->fn) {
    memcpy(w->to + at, w->dy + at, (size_t)len * sizeof *w->to);
    return;
  }
  for (int k = 0; k < OPS_OPERANDS; k++) {
    if (k < w->n->nin) in[k] = w->n->in[k]->data + off[k];
    step[k] = w->it->step[k][w->it->nd - 1];
  }
  w->fn(w->to + at, w->dy ? w->dy + at : NULL, in, step, len);
}

static void iterate(const lun_node *n, ops_iter *it) {
  int64_t step[OPS_OPERANDS][LUN_MAXDIM] = {0};
  for (int k = 0; k < n->nin; k++) ops_spread(n->in[k], n->out->ndim, step[k]);
  ops_iter_make(it, n->out->ndim, n->out->dim, step);
}

static int forward(lun_node *n, row *fn, lun_err *err) {
  ops_iter it;
  iterate(n, &it);
  work w = {.n = n, .it = &it, .fn = fn, .to = n->out->data};
  return ops_rows(n, &it, 1, run_row, &w, err);
}

/* Which dimensions of the output repeat operand k? */
static void repeated(const lun_node *n, int k, int *flag) {
  const lun_tensor *t = n->in[k];
  int lead = n->out->ndim - t->ndim;
  for (int d = 0; d < n->out->ndim; d++)
    flag[d] = d < lead || (t->dim[d - lead] == 1 && n->out->dim[d] != 1);
}

/* dx[k] of every copy: straight into place, or, where the operand repeats,
** by way of a scratch map of the output's size.  fn NULL: dx = dy, no operand is read,
** and it need not have values. */
static int operand_back(const lun_back *b, int k, row *fn, lun_err *err) {
  const lun_node *n = b->node;
  const lun_tensor *out = n->out;
  int64_t size = n->in[k]->size;
  int flag[LUN_MAXDIM], status = LUN_OK;
  float *scratch = NULL;
  ops_iter it;
  if (!b->dx[k]) return LUN_OK;
  if (size != out->size) repeated(n, k, flag);
  if (size != out->size && fn) {
    scratch = lun_malloc((size_t)out->size * sizeof(float));
    if (!scratch)
      return ops_fail(n, err, LUN_ENOMEM, "no memory for %lld floats",
                      (long long)out->size);
  }
  iterate(n, &it);
  for (int c = 0; c < b->copies && status == LUN_OK; c++) {
    float *dx = b->dx[k] + c * size;
    work w = {.n = n, .it = &it, .fn = fn, .dy = b->dy + c * out->size};
    const float *sum = scratch ? scratch : w.dy;
    w.to = scratch ? scratch : dx;
    if (fn || size == out->size) status = ops_rows(n, &it, 1, run_row, &w, err);
    if (status == LUN_OK && size != out->size)
      status = ops_sum(n, sum, out->ndim, out->dim, flag, 1, dx, err);
  }
  lun_free(scratch);
  return status;
}

/* ---- the operators ------------------------------------------------------ */

/* id(a, b) with value F and gradients DA, DB, expressions of a, b, g.
** rules: how its table is made. */
#define BINARY_WITH(id, text, F, DA, DB, rules)                                \
  ROW(id##_row, F)                                                             \
  ROW(id##_da, DA)                                                             \
  ROW(id##_db, DB)                                                             \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return forward(n, id##_row, err);                                          \
  }                                                                            \
  static int id##_back(const lun_back *k, lun_err *err) {                      \
    LUN_TRY(operand_back(k, 0, id##_da, err));                                 \
    return operand_back(k, 1, id##_db, err);                                   \
  }                                                                            \
  rules;                                                                       \
  OPS_OPERATOR(id, text, 2, 2, .infer = infer);

/* A product, whose operands share relevance: dx_k = share_k R. */
static int uniform_back(const lun_back *b, lun_err *err) {
  for (int k = 0; k < 2; k++) {
    int64_t size = b->copies * b->node->in[k]->size;
    float share = lun_relevance_share(b, k);
    LUN_TRY(operand_back(b, k, NULL, err));
    for (int64_t i = 0; b->dx[k] && i < size; i++) b->dx[k][i] *= share;
  }
  return LUN_OK;
}

#define UNIFORM                                                                \
  {                                                                            \
    .name = "uniform", .back = uniform_back,                                   \
    .attrs = lun_relevance_uniform_attrs                                       \
  }
#define BINARY_PRODUCT(id, text, F, DA, DB)                                    \
  BINARY_WITH(id, text, F, DA, DB, OPS_RULES(id, UNIFORM))
#define BINARY(id, text, F, DA, DB)                                            \
  BINARY_WITH(id, text, F, DA, DB, OPS_PLAIN(id))

/* d/da a^b = b a^(b-1), and 0 for b = 0 even where a = 0. */
static float slope_in_base(float a, float b) {
  return b == 0 ? 0.0f : b * powf(a, b - 1.0f);
}
/* d/db a^b = a^b log a, and its limit 0 where a = 0. */
static float slope_in_power(float a, float b) {
  return a == 0 && b >= 0 ? 0.0f : powf(a, b) * logf(a);
}
/* How much of the gradient the winner gets: ties are shared, as PyTorch. */
static float share(float mine, float other) {
  return mine > other ? 1.0f : mine == other ? 0.5f : 0.0f;
}
/* fmaxf would drop a NaN; these keep it. */
static float larger(float a, float b) { return a > b || a != a ? a : b; }
static float smaller(float a, float b) { return a < b || a != a ? a : b; }

/* The layer before it can add in its own pass: its true gradient reads no values. */
ROW(add_row, a + b)
static int add_forward(lun_node *n, lun_err *err) {
  return forward(n, add_row, err);
}
static int add_back(const lun_back *b, lun_err *err) {
  LUN_TRY(operand_back(b, 0, NULL, err));
  return operand_back(b, 1, NULL, err);
}
/* An operand that does not repeat has the sum's gradient. */
static int64_t add_part(const lun_node *n, int k) {
  return n->in[k]->size == n->out->size ? 0 : -1;
}
OPS_RULES(add, RELEVANCE_NORM);
OPS_OPERATOR(add, "add(a, b): a + b", 2, 2, .infer = infer,
             .epilogue = LUN_ADD_EPILOGUE, .part_of_dy = add_part);

BINARY_WITH(sub, "sub(a, b): a - b", a - b, g, -g,
            OPS_RULES(sub, RELEVANCE_NORM))
BINARY_PRODUCT(mul, "mul(a, b): a b", (a * b), (g * b), (g * a))
BINARY_PRODUCT(div, "div(a, b): a / b", a / b, g / b, (-g * a / (b * b)))
BINARY_PRODUCT(pow, "pow(a, b): a^b", powf(a, b), (g * slope_in_base(a, b)),
               (g * slope_in_power(a, b)))
BINARY(maximum, "maximum(a, b): the larger; ties share the gradient",
       larger(a, b), (g * share(a, b)), (g * share(b, a)))
BINARY(minimum, "minimum(a, b): the smaller; ties share the gradient",
       smaller(a, b), (g * share(b, a)), (g * share(a, b)))
BINARY(atan2, "atan2(a, b): the angle of (x = b, y = a)", atan2f(a, b),
       (g * b / (a * a + b * b)), (-g * a / (a * a + b * b)))

/* ---- comparisons: 1 or 0, without gradient ------------------------------ */

static int no_gradient_back(const lun_back *b, lun_err *err) {
  (void)err;
  ops_zero(b, 0);
  ops_zero(b, 1);
  return LUN_OK;
}

OPS_PLAIN(no_gradient);

#define COMPARISON(id, text, op)                                               \
  ROW(id##_row, a op b ? 1.0f : 0.0f)                                          \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return forward(n, id##_row, err);                                          \
  }                                                                            \
  OPS_OPERATOR_WITH(id, text, 2, 2, id##_forward, no_gradient_rules,           \
                    .infer = infer);

COMPARISON(gt, "gt(a, b): 1 where a > b, else 0", >)
COMPARISON(lt, "lt(a, b): 1 where a < b, else 0", <)
COMPARISON(ge, "ge(a, b): 1 where a >= b, else 0", >=)
COMPARISON(le, "le(a, b): 1 where a <= b, else 0", <=)
COMPARISON(eq, "eq(a, b): 1 where a = b, else 0", ==)
COMPARISON(ne, "ne(a, b): 1 where a and b differ, else 0", !=)

/* ---- where -------------------------------------------------------------- */

static void where_row(float *to, const float *dy, const float *const *in,
                      const int64_t *s, int64_t len) {
  (void)dy;
  for (int64_t i = 0; i < len; i++)
    to[i] = in[0][i * s[0]] != 0 ? in[1][i * s[1]] : in[2][i * s[2]];
}

static void where_da(float *to, const float *dy, const float *const *in,
                     const int64_t *s, int64_t len) {
  for (int64_t i = 0; i < len; i++) to[i] = in[0][i * s[0]] != 0 ? dy[i] : 0.0f;
}

static void where_db(float *to, const float *dy, const float *const *in,
                     const int64_t *s, int64_t len) {
  for (int64_t i = 0; i < len; i++) to[i] = in[0][i * s[0]] != 0 ? 0.0f : dy[i];
}

static int where_forward(lun_node *n, lun_err *err) {
  return forward(n, where_row, err);
}

static int where_back(const lun_back *b, lun_err *err) {
  ops_zero(b, 0);
  LUN_TRY(operand_back(b, 1, where_da, err));
  return operand_back(b, 2, where_db, err);
}

OPS_PLAIN(where);
OPS_OPERATOR(where, "where(c, a, b): a where c is not 0, else b", 3, 3,
             .infer = infer);
