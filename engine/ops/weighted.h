/*
** weighted.h - what conv2d, conv_transpose2d and linear share: attributes and
** dimensions as ints, which the kernels count in, and batches of no pictures.
*/
#ifndef LUN_WEIGHTED_H
#define LUN_WEIGHTED_H

#include <limits.h>

#include "../kernels/kernels.h"
#include "relevance.h"

/* Attribute slot as an int of at least lo. */
static inline int weighted_int(const lun_node *n, int at, int lo, int *out,
                               lun_err *err) {
  int64_t v;
  LUN_TRY(ops_int(n, at, lo, INT_MAX / 4, &v, err));
  *out = (int)v;
  return LUN_OK;
}

/* Dimensions of a tensor as ints; the kernels count in them. */
static inline int weighted_ints(const lun_node *n, int i, const int64_t *dim,
                                int count, int *out, lun_err *err) {
  for (int d = 0; d < count; d++) {
    if (dim[d] > INT_MAX / 4)
      return ops_fail(n, err, LUN_ESHAPE, "input %d: dimension %d is %lld",
                      i + 1, d + 1, (long long)dim[d]);
    out[d] = (int)dim[d];
  }
  return LUN_OK;
}

static inline const float *weighted_bias(const lun_node *n) {
  return n->nin > 2 && n->in[2] ? n->in[2]->data : NULL;
}

/* How many rows dy has: copies x N, if an int holds it. */
static inline int weighted_rows(const lun_back *b, int rows, int *out,
                                lun_err *err) {
  if ((int64_t)rows * b->copies > INT_MAX)
    return ops_fail(b->node, err, LUN_EARG, "%d copies of %d rows are too many",
                    b->copies, rows);
  *out = rows * b->copies;
  return LUN_OK;
}

/* An empty batch: nothing comes back to the parameters. */
static inline int weighted_nothing(const lun_back *b) {
  ops_zero(b, 0);
  ops_zero(b, 1);
  ops_zero(b, 2);
  return LUN_OK;
}

#endif
