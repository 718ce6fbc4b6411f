/*
** gather.c - one element of x for every element of an index tensor.
*/
#include <string.h>

#include "ops.h"

static const lun_attrdef attrs[] = {
    {.name = "dim", .at = 0, .count = 1, .fallback = 2},
    {.name = NULL},
};

static int infer(lun_node *n, lun_err *err) {
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
  LUN_TRY(ops_index(n, 1, x->dim[axis], err));
  return lun_node_shape(n, index->ndim, index->dim, err);
}

/* Where in x the element for output element i is. */
static int64_t source(const lun_node *n, int axis, const int64_t *step,
                      int64_t i) {
  const lun_tensor *index = n->in[1];
  int64_t off = ((int64_t)index->data[i] - 1) * step[axis];
  for (int d = index->ndim - 1; d >= 0; d--) {
    if (d != axis) off += i % index->dim[d] * step[d];
    i /= index->dim[d];
  }
  return off;
}

static int gather_forward(lun_node *n, lun_err *err) {
  int64_t step[LUN_MAXDIM];
  int axis;
  LUN_TRY(ops_axis(n, 0, n->in[0]->ndim, &axis, err));
  ops_strides(n->in[0]->ndim, n->in[0]->dim, step);
  for (int64_t i = 0; i < n->out->size; i++)
    n->out->data[i] = n->in[0]->data[source(n, axis, step, i)];
  return LUN_OK;
}

/* An element that was taken twice collects twice. */
static int gather_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  int64_t step[LUN_MAXDIM];
  int axis;
  ops_zero(b, 0);
  ops_zero(b, 1);
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(ops_axis(n, 0, n->in[0]->ndim, &axis, err));
  /* again: somebody may have written into the index since infer */
  LUN_TRY(ops_index(n, 1, n->in[0]->dim[axis], err));
  ops_strides(n->in[0]->ndim, n->in[0]->dim, step);
  for (int c = 0; c < b->copies; c++)
    for (int64_t i = 0; i < n->out->size; i++)
      b->dx[0][c * n->in[0]->size + source(n, axis, step, i)] +=
          b->dy[c * n->out->size + i];
  return LUN_OK;
}

OPS_PLAIN(gather);
OPS_OPERATOR(gather,
             "gather(x, index, dim): y[i][j] = x[i][index[i][j]] for dim 2; "
             "indices count from 1",
             2, 2, .attrs = attrs, .infer = infer);
