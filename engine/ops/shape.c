/*
** shape.c - operators that keep every value and change the shape or the
** order: identity, dropout, reshape, flatten, permute, expand, concat.
*/
#include <string.h>

#include "ops.h"

/* ---- the same values in the same order (`is_view`) ---------------------- */

/* infer made the view, so nothing is computed.  Only called for operators that are
** run without a tape. */
static int view_forward(lun_node *n, lun_err *err) {
  (void)n, (void)err;
  return LUN_OK;
}

static int same_view(lun_node *n, lun_err *err) {
  return lun_node_view(n, n->in[0]->ndim, n->in[0]->dim, err);
}

#define VIEW(id, text, attributes, check)                                      \
  OPS_OPERATOR_WITH(id, text, 1, 1, view_forward, ops_view_rules,              \
                    .attrs = attributes, .infer = check, .inplace = 1,         \
                    .is_view = 1)

VIEW(identity, "identity(x): x, as a node of its own", NULL, same_view);

static const lun_attrdef dropout_attrs[] = {
    {.name = "p", .at = 0, .count = 1, .fallback = 0.5},
    {.name = NULL},
};
VIEW(dropout, "dropout(x, p): x; only training would drop anything",
     dropout_attrs, same_view);

static const lun_attrdef reshape_attrs[] = {
    {.name = "shape", .at = 0, .count = LUN_MAXDIM, .fallback = LUN_UNSET},
    {.name = NULL},
};

/* The attribute `shape`: its length, and numbers from lo up. */
static int read_shape(const lun_node *n, int64_t *dim, int *ndim,
                      lun_err *err) {
  for (*ndim = 0; *ndim < LUN_MAXDIM && ops_given(n, *ndim); ++*ndim)
    LUN_TRY(ops_int(n, *ndim, -1, INT64_C(1) << 40, &dim[*ndim], err));
  if (*ndim == 0)
    return ops_fail(n, err, LUN_EARG, "'shape' is missing: %s { shape = ... }",
                    n->op->name);
  return LUN_OK;
}

/* Fills in the one -1 with what is left of `size`. */
static int fill_in(const lun_node *n, int64_t *dim, int ndim, int64_t size,
                   lun_err *err) {
  int hole = -1;
  int64_t rest = 1;
  for (int d = 0; d < ndim; d++) {
    if (dim[d] >= 0) continue;
    if (hole >= 0)
      return ops_fail(n, err, LUN_EARG, "'shape' has -1 twice, at %d and %d",
                      hole + 1, d + 1);
    hole = d;
    dim[d] = 1;
  }
  if (hole < 0) return LUN_OK;
  rest = lun_shape_size(ndim, dim);
  dim[hole] = rest > 0 ? size / rest : 0;
  return LUN_OK;
}

static int reshape_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[LUN_MAXDIM];
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  int ndim;
  LUN_TRY(read_shape(n, dim, &ndim, err));
  LUN_TRY(fill_in(n, dim, ndim, x->size, err));
  if (lun_shape_size(ndim, dim) != x->size) {
    lun_shape_text(a, sizeof a, x->ndim, x->dim);
    lun_shape_text(b, sizeof b, ndim, dim);
    return ops_fail(
        n, err, LUN_ESHAPE, "input %s has %lld elements, shape %s has %lld", a,
        (long long)x->size, b, (long long)lun_shape_size(ndim, dim));
  }
  return lun_node_view(n, ndim, dim, err);
}
VIEW(reshape, "reshape(x, shape): one number may be -1", reshape_attrs,
     reshape_infer);

static const lun_attrdef flatten_attrs[] = {
    {.name = "from", .at = 0, .count = 1, .fallback = 2},
    {.name = NULL},
};

static int flatten_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[LUN_MAXDIM];
  int from;
  LUN_TRY(ops_axis(n, 0, x->ndim, &from, err));
  memcpy(dim, x->dim, sizeof dim);
  for (int d = from + 1; d < x->ndim; d++) dim[from] *= x->dim[d];
  return lun_node_view(n, from + 1, dim, err);
}
VIEW(flatten, "flatten(x, from): dims from .. last become one", flatten_attrs,
     flatten_infer);

/* ---- strided copies ----------------------------------------------------- */

typedef struct copying {
  const ops_iter *it;
  const float *from;
  float *to;
  int64_t from_size, to_size; /* a copy */
} copying;

static void copy_row(void *arg, int64_t copy, int64_t at, const int64_t *off,
                     int64_t len) {
  const copying *c = arg;
  const float *from = c->from + copy * c->from_size + off[0];
  float *to = c->to + copy * c->to_size + at;
  int64_t step = c->it->step[0][c->it->nd - 1];
  if (step == 1)
    memcpy(to, from, (size_t)len * sizeof *to);
  else
    for (int64_t i = 0; i < len; i++) to[i] = from[i * step];
}

/* to[i0, i1 ...] = from[i0 step0 + i1 step1 ...] */
static int strided(const lun_node *n, int copies, int ndim, const int64_t *dim,
                   const int64_t *step, const float *from, int64_t from_size,
                   float *to, lun_err *err) {
  int64_t steps[OPS_OPERANDS][LUN_MAXDIM] = {0};
  ops_iter it;
  memcpy(steps[0], step, (size_t)ndim * sizeof *step);
  ops_iter_make(&it, ndim, dim, steps);
  copying c = {.it = &it, .from = from, .to = to, .from_size = from_size};
  c.to_size = it.size;
  return ops_rows(n, &it, copies, copy_row, &c, err);
}

/* ---- permute ------------------------------------------------------------ */

static const lun_attrdef permute_attrs[] = {
    {.name = "dims", .at = 0, .count = LUN_MAXDIM, .fallback = LUN_UNSET},
    {.name = NULL},
};

/* source[d]: the input dimension that becomes output dimension d. */
static int order(const lun_node *n, int *source, lun_err *err) {
  int ndim = n->in[0]->ndim, seen[LUN_MAXDIM] = {0}, given = 0;
  while (given < LUN_MAXDIM && ops_given(n, given)) given++;
  if (given && given != ndim)
    return ops_fail(n, err, LUN_EARG,
                    "'dims' has %d number%s for %d dimensions", given,
                    given == 1 ? "" : "s", ndim);
  for (int d = 0; d < ndim; d++) {
    LUN_TRY(ops_axis(n, d, ndim, &source[d], err));
    if (seen[source[d]]++)
      return ops_fail(n, err, LUN_EARG, "'dims' names dimension %d twice",
                      source[d] + 1);
  }
  return LUN_OK;
}

static int permute_infer(lun_node *n, lun_err *err) {
  int source[LUN_MAXDIM];
  int64_t dim[LUN_MAXDIM];
  LUN_TRY(order(n, source, err));
  for (int d = 0; d < n->in[0]->ndim; d++) dim[d] = n->in[0]->dim[source[d]];
  return lun_node_shape(n, n->in[0]->ndim, dim, err);
}

static int permute_forward(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int source[LUN_MAXDIM];
  int64_t own[LUN_MAXDIM], step[LUN_MAXDIM];
  LUN_TRY(order(n, source, err));
  ops_strides(x->ndim, x->dim, own);
  for (int d = 0; d < x->ndim; d++) step[d] = own[source[d]];
  return strided(n, 1, x->ndim, n->out->dim, step, x->data, x->size,
                 n->out->data, err);
}

/* The inverse order. */
static int permute_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  const lun_tensor *x = n->in[0];
  int source[LUN_MAXDIM];
  int64_t own[LUN_MAXDIM], step[LUN_MAXDIM];
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(order(n, source, err));
  ops_strides(x->ndim, n->out->dim, own);
  for (int d = 0; d < x->ndim; d++) step[source[d]] = own[d];
  return strided(n, b->copies, x->ndim, x->dim, step, b->dy, x->size, b->dx[0],
                 err);
}

OPS_PLAIN(permute);
OPS_OPERATOR(permute,
             "permute(x, dims): dimension d of the result is dims[d] of x", 1,
             1, .attrs = permute_attrs, .infer = permute_infer);

/* ---- expand ------------------------------------------------------------- */

static int expand_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[LUN_MAXDIM];
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  int ndim, fits;
  LUN_TRY(read_shape(n, dim, &ndim, err));
  fits = ndim >= x->ndim;
  for (int d = 0; d < ndim && fits; d++) {
    int64_t own = d < ndim - x->ndim ? 1 : x->dim[d - (ndim - x->ndim)];
    if (dim[d] < 0) dim[d] = own; /* -1: as it is */
    if (own != 1 && own != dim[d]) fits = 0;
  }
  if (fits) return lun_node_shape(n, ndim, dim, err);
  lun_shape_text(a, sizeof a, x->ndim, x->dim);
  lun_shape_text(b, sizeof b, ndim, dim);
  return ops_fail(n, err, LUN_ESHAPE, "input %s does not expand to %s", a, b);
}

static int expand_forward(lun_node *n, lun_err *err) {
  int64_t step[LUN_MAXDIM];
  ops_spread(n->in[0], n->out->ndim, step);
  return strided(n, 1, n->out->ndim, n->out->dim, step, n->in[0]->data,
                 n->in[0]->size, n->out->data, err);
}

/* The sum over the repetitions. */
static int expand_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  const lun_tensor *x = n->in[0], *y = n->out;
  int flag[LUN_MAXDIM], lead = y->ndim - x->ndim;
  if (!b->dx[0]) return LUN_OK;
  for (int d = 0; d < y->ndim; d++)
    flag[d] = d < lead || (x->dim[d - lead] == 1 && y->dim[d] != 1);
  for (int c = 0; c < b->copies; c++)
    LUN_TRY(ops_sum(n, b->dy + c * y->size, y->ndim, y->dim, flag, 1,
                    b->dx[0] + c * x->size, err));
  return LUN_OK;
}

OPS_PLAIN(expand);
OPS_OPERATOR(expand, "expand(x, shape): repeats dimensions of 1; -1 keeps one",
             1, 1, .attrs = reshape_attrs, .infer = expand_infer);

/* ---- concat ------------------------------------------------------------- */

static const lun_attrdef concat_attrs[] = {
    {.name = "dim", .at = 0, .count = 1, .fallback = 2},
    {.name = NULL},
};

/* Input i has input 0's shape, except in dimension `axis`. */
static int alike(const lun_node *n, int i, int axis, lun_err *err) {
  const lun_tensor *a = n->in[0], *t = n->in[i];
  char p[LUN_SHAPETEXT], q[LUN_SHAPETEXT];
  int same = t && t->ndim == a->ndim;
  if (!t) return ops_fail(n, err, LUN_EARG, "input %d is missing", i + 1);
  for (int d = 0; d < a->ndim && same; d++)
    if (d != axis && t->dim[d] != a->dim[d]) same = 0;
  if (same) return LUN_OK;
  lun_shape_text(p, sizeof p, a->ndim, a->dim);
  lun_shape_text(q, sizeof q, t->ndim, t->dim);
  return ops_fail(n, err, LUN_ESHAPE,
                  "input 1 has shape %s, input %d has %s: they may differ in "
                  "dimension %d alone",
                  p, i + 1, q, axis + 1);
}

static int concat_infer(lun_node *n, lun_err *err) {
  int64_t dim[LUN_MAXDIM];
  int axis;
  LUN_TRY(ops_axis(n, 0, n->in[0]->ndim, &axis, err));
  memcpy(dim, n->in[0]->dim, sizeof dim);
  for (int i = 1; i < n->nin; i++) {
    LUN_TRY(alike(n, i, axis, err));
    dim[axis] += n->in[i]->dim[axis];
  }
  return lun_node_shape(n, n->in[0]->ndim, dim, err);
}

/* Blocks of one input: `count` of `block` floats, every `pitch` floats in
** the result. */
typedef struct blocks {
  int64_t block, pitch;
  float *part, *whole;
  int join; /* 1: part into whole; 0: back */
} blocks;

static void move_block(void *arg, int64_t i) {
  const blocks *m = arg;
  float *part = m->part + i * m->block, *whole = m->whole + i * m->pitch;
  memcpy(m->join ? whole : part, m->join ? part : whole,
         (size_t)m->block * sizeof(float));
}

/* Products of the dimensions before and after the one that grows, *axis. */
static int around_axis(const lun_node *n, int *axis, int64_t *outer,
                       int64_t *inner, lun_err *err) {
  LUN_TRY(ops_axis(n, 0, n->in[0]->ndim, axis, err));
  *outer = *inner = 1;
  for (int d = 0; d < *axis; d++) *outer *= n->out->dim[d];
  for (int d = *axis + 1; d < n->out->ndim; d++) *inner *= n->out->dim[d];
  return LUN_OK;
}

/* Moves all inputs (or the gradients that are wanted) in or out. */
static int move_all(const lun_node *n, int copies, float *const *part,
                    float *whole, int join, lun_err *err) {
  int axis;
  int64_t inner, outer, at = 0;
  LUN_TRY(around_axis(n, &axis, &outer, &inner, err));
  outer *= copies;
  for (int i = 0; i < n->nin; i++) {
    blocks m = {.block = n->in[i]->dim[axis] * inner, .join = join};
    m.pitch = n->out->dim[axis] * inner;
    m.part = part[i];
    m.whole = whole + at;
    at += m.block;
    if (part[i] && m.block)
      LUN_TRY(ops_units(n, outer, m.block, move_block, &m, err));
  }
  return LUN_OK;
}

static int concat_forward(lun_node *n, lun_err *err) {
  float *part[LUN_MAXIN];
  for (int i = 0; i < n->nin; i++) part[i] = n->in[i]->data;
  return move_all(n, 1, part, n->out->data, 1, err);
}

static int concat_back(const lun_back *b, lun_err *err) {
  /* only read: move_block writes one side or the other */
  float *dy = (float *)(uintptr_t)b->dy;
  return move_all(b->node, b->copies, b->dx, dy, 0, err);
}

/* In one piece if nothing stands before the dimension that grows. */
static int64_t concat_part(const lun_node *n, int k) {
  int axis;
  int64_t inner, outer, at = 0;
  if (around_axis(n, &axis, &outer, &inner, NULL) != LUN_OK || outer != 1)
    return -1;
  for (int i = 0; i < k; i++) at += n->in[i]->dim[axis] * inner;
  return at;
}

OPS_PLAIN(concat);
OPS_OPERATOR(concat, "concat(x1, x2 ..., dim): one after the other along dim",
             1, LUN_MAXIN, .attrs = concat_attrs, .infer = concat_infer,
             .holds_inputs = 1, .part_of_dy = concat_part);
