/*
** gather.c - one element of x for every element of an index tensor, and its
** transpose: what is added to one element of x for each.
*/
#include <string.h>

#include "ops.h"

static const lun_attrdef attrs[] = {
    {.name = "dim", .at = 0, .count = 1, .fallback = 2},
    {.name = NULL},
};

/* ---- positions --------------------------------------------------------- */

/* The index tensor fits into x but along `dim`, and names places that x has. */
static int check_index(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0], *index = n->in[1];
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  int axis, fits = x->ndim == index->ndim;
  LUN_TRY(ops_axis(n, 0, x->ndim, &axis, err));
  for (int d = 0; d < x->ndim && fits; d++)
    if (d != axis && index->dim[d] > x->dim[d]) fits = 0;
  if (!fits) {
    lun_shape_text(a, sizeof a, index->ndim, index->dim);
    lun_shape_text(b, sizeof b, x->ndim, x->dim);
    return ops_fail(n, err, LUN_ESHAPE, "index %s reaches outside input %s", a,
                    b);
  }
  return ops_index(n, 1, x->dim[axis], err);
}

typedef struct positions {
  int axis;
  int64_t step[LUN_MAXDIM]; /* of x */
} positions;

/* Asks for the index again: somebody may have written into it since infer. */
static int positions_of(const lun_node *n, positions *p, lun_err *err) {
  const lun_tensor *x = n->in[0];
  LUN_TRY(ops_axis(n, 0, x->ndim, &p->axis, err));
  LUN_TRY(ops_index(n, 1, x->dim[p->axis], err));
  ops_strides(x->ndim, x->dim, p->step);
  return LUN_OK;
}

/* Where in x the element is that element i of the index names. */
static int64_t place(const lun_node *n, const positions *p, int64_t i) {
  const lun_tensor *index = n->in[1];
  int64_t off = ((int64_t)index->data[i] - 1) * p->step[p->axis];
  for (int d = index->ndim - 1; d >= 0; d--) {
    if (d != p->axis) off += i % index->dim[d] * p->step[d];
    i /= index->dim[d];
  }
  return off;
}

/* to[i] = from[place of i] */
static void take(const lun_node *n, const positions *p, const float *from,
                 float *to) {
  for (int64_t i = 0; i < n->in[1]->size; i++) to[i] = from[place(n, p, i)];
}

/* to[place of i] += from[i]: an element that is named twice collects twice. */
static void collect(const lun_node *n, const positions *p, const float *from,
                    float *to) {
  for (int64_t i = 0; i < n->in[1]->size; i++) to[place(n, p, i)] += from[i];
}

/* ---- gather ------------------------------------------------------------ */

static int gather_infer(lun_node *n, lun_err *err) {
  LUN_TRY(check_index(n, err));
  return lun_node_shape(n, n->in[1]->ndim, n->in[1]->dim, err);
}

static int gather_forward(lun_node *n, lun_err *err) {
  positions p;
  LUN_TRY(positions_of(n, &p, err));
  take(n, &p, n->in[0]->data, n->out->data);
  return LUN_OK;
}

static int gather_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  int64_t size = n->in[0]->size, taken = n->out->size;
  positions p;
  ops_zero(b, 0);
  ops_zero(b, 1);
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(positions_of(n, &p, err));
  for (int c = 0; c < b->copies; c++)
    collect(n, &p, b->dy + c * taken, b->dx[0] + c * size);
  return LUN_OK;
}

OPS_PLAIN(gather);
OPS_OPERATOR(gather,
             "gather(x, index, dim): y[i][j] = x[i][index[i][j]] for dim 2; "
             "indices count from 1",
             2, 2, .attrs = attrs, .infer = gather_infer);

/* ---- scatter_add ------------------------------------------------------- */

static int scatter_add_infer(lun_node *n, lun_err *err) {
  const lun_tensor *index = n->in[1], *values = n->in[2];
  char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
  LUN_TRY(check_index(n, err));
  if (!lun_tensor_same_shape(index, values)) {
    lun_shape_text(a, sizeof a, index->ndim, index->dim);
    lun_shape_text(b, sizeof b, values->ndim, values->dim);
    return ops_fail(n, err, LUN_ESHAPE, "index %s for values %s", a, b);
  }
  return lun_node_shape(n, n->in[0]->ndim, n->in[0]->dim, err);
}

static int scatter_add_forward(lun_node *n, lun_err *err) {
  positions p;
  LUN_TRY(positions_of(n, &p, err));
  memcpy(n->out->data, n->in[0]->data,
         (size_t)n->out->size * sizeof *n->out->data);
  collect(n, &p, n->in[2]->data, n->out->data);
  return LUN_OK;
}

static int scatter_add_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  int64_t size = n->out->size, taken = n->in[1]->size;
  positions p;
  ops_zero(b, 1);
  if (b->dx[0])
    memcpy(b->dx[0], b->dy, (size_t)(b->copies * size) * sizeof *b->dy);
  if (!b->dx[2]) return LUN_OK;
  LUN_TRY(positions_of(n, &p, err));
  for (int c = 0; c < b->copies; c++)
    take(n, &p, b->dy + c * size, b->dx[2] + c * taken);
  return LUN_OK;
}

OPS_PLAIN(scatter_add);
OPS_OPERATOR(scatter_add,
             "scatter_add(x, index, values, dim): x with y[i][index[i][j]] += "
             "values[i][j] for dim 2; indices count from 1",
             3, 3, .attrs = attrs, .infer = scatter_add_infer);
