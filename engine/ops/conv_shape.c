/*
** conv_shape.c - what the attributes and shapes of conv2d and conv_transpose2d say
** (conv_shape.h).
*/
#include "conv_shape.h"

#include <string.h>

int ops_conv_read(const lun_node *n, const lun_conv_at *at, lun_conv *s,
                  int x[4], int w[4], lun_err *err) {
  memset(s, 0, sizeof *s);
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_ndim(n, 1, 4, 4, err));
  LUN_TRY(weighted_ints(n, 0, n->in[0]->dim, 4, x, err));
  LUN_TRY(weighted_ints(n, 1, n->in[1]->dim, 4, w, err));
  s->n = x[0], s->kh = w[2], s->kw = w[3];
  LUN_TRY(weighted_int(n, at->stride, 1, &s->sh, err));
  LUN_TRY(weighted_int(n, at->stride + 1, 1, &s->sw, err));
  LUN_TRY(weighted_int(n, at->dilation, 1, &s->dh, err));
  LUN_TRY(weighted_int(n, at->dilation + 1, 1, &s->dw, err));
  LUN_TRY(weighted_int(n, at->pad, 0, &s->pt, err));
  LUN_TRY(weighted_int(n, at->pad + 1, 0, &s->pl, err));
  return weighted_int(n, at->groups, 1, &s->groups, err);
}

int ops_conv_end(const lun_node *n, const lun_conv_at *at, int axis, int before,
                 int *out, lun_err *err) {
  *out = before;
  if (!ops_given(n, at->pad_end + axis)) return LUN_OK;
  return weighted_int(n, at->pad_end + axis, 0, out, err);
}

int ops_conv_channels(const lun_node *n, const lun_conv *s, int64_t wants,
                      int inputs, int outputs, const char *grouped,
                      lun_err *err) {
  const lun_tensor *b = n->nin > 2 ? n->in[2] : NULL;
  char text[LUN_SHAPETEXT];
  if (wants != inputs)
    return ops_fail(n, err, LUN_ESHAPE,
                    "weight has %lld input channels, input has %d",
                    (long long)wants, inputs);
  if (s->k < 1 || s->c < 1 || s->k % s->groups)
    return ops_fail(n, err, LUN_ESHAPE,
                    "weight has %d %s channels in %d groups", s->k, grouped,
                    s->groups);
  if (b && b->size != outputs)
    return ops_fail(
        n, err, LUN_ESHAPE, "bias has shape %s, weight has %d output channels",
        lun_shape_text(text, sizeof text, b->ndim, b->dim), outputs);
  return LUN_OK;
}
