/*
** conv_transpose.c - conv_transpose2d: a convolution's input gradient as a layer
** (upsampling in decoders).  The convolution meant has this layer's output as its
** input, and the other way round; its weight (K, C/groups, kh, kw) is the same
** tensor, of which K counts this layer's input channels.
*/
#include "conv_shape.h"

enum {
  STRIDE = 0,
  PAD = 2,
  PAD_END = 4,
  OUT_PAD = 6,
  DILATION = 8,
  GROUPS = 10
};

static const lun_attrdef transpose_attrs[] = {
    {.name = "stride", .at = STRIDE, .count = 2, .fallback = 1},
    {.name = "padding", .at = PAD, .count = 2, .fallback = 0},
    {.name = "padding_end", .at = PAD_END, .count = 2, .fallback = LUN_UNSET},
    {.name = "output_padding", .at = OUT_PAD, .count = 2, .fallback = 0},
    {.name = "dilation", .at = DILATION, .count = 2, .fallback = 1},
    {.name = "groups", .at = GROUPS, .count = 1, .fallback = 1},
    {.name = NULL},
};

static const lun_conv_at slots = {STRIDE, PAD, PAD_END, DILATION, GROUPS};

/* Output length along axis a:
**   stride (in - 1) + dilation (k - 1) + 1 - before - after + output_padding */
static int length(const lun_node *n, int a, int64_t in, const lun_conv *s,
                  int *out, lun_err *err) {
  int64_t stride = a ? s->sw : s->sh, dilation = a ? s->dw : s->dh;
  int64_t k = a ? s->kw : s->kh, size;
  int before = a ? s->pl : s->pt, after, more;
  LUN_TRY(weighted_int(n, OUT_PAD + a, 0, &more, err));
  LUN_TRY(ops_conv_end(n, &slots, a, before, &after, err));
  size = stride * (in - 1) + dilation * (k - 1) + 1 - before - after + more;
  if (in < 1 || k < 1 || size < 1 || size > INT_MAX / 4)
    return ops_fail(n, err, LUN_ESHAPE, "the output would be %lld in %s",
                    (long long)size, a ? "width" : "height");
  *out = (int)size;
  return LUN_OK;
}

/* The convolution whose input gradient this is: its k are this layer's input
** channels, its c the output channels, the weight's second dimension in every
** group. */
static int geometry(const lun_node *n, lun_conv *s, lun_err *err) {
  int x[4], w[4];
  int64_t c;
  LUN_TRY(ops_conv_read(n, &slots, s, x, w, err));
  s->k = x[1], s->oh = x[2], s->ow = x[3];
  c = (int64_t)w[1] * s->groups;
  if (c > INT_MAX / 4)
    return ops_fail(n, err, LUN_ESHAPE, "%lld output channels", (long long)c);
  s->c = (int)c;
  LUN_TRY(ops_conv_channels(n, s, w[0], s->k, s->c, "input", err));
  LUN_TRY(length(n, 0, s->oh, s, &s->h, err));
  return length(n, 1, s->ow, s, &s->w, err);
}

static int transpose_infer(lun_node *n, lun_err *err) {
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  return lun_node_shape(n, 4, (int64_t[]){s.n, s.c, s.h, s.w}, err);
}

static int transpose_run(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (out->size == 0) return LUN_OK;
  return lun_conv_transposed(&s, n->in[0]->data, n->in[1]->data,
                             weighted_bias(n), out->data, relu, err);
}

static int conv_transpose2d_forward(lun_node *n, lun_err *err) {
  return transpose_run(n, n->out, 0, err);
}

/* conv_transpose2d -> relu */
static int transpose_relu(lun_node *n, lun_node *const *next, int count,
                          lun_err *err) {
  return transpose_run(n, next[count - 1]->out, 1, err);
}

static lun_joined transpose_join(const lun_node *n, lun_node *const *next,
                                 int count) {
  (void)n;
  if (count == 0) return (lun_joined){NULL, 1};
  if (count > 1 || next[0]->op->epilogue != LUN_RELU_EPILOGUE)
    return (lun_joined){NULL, 0};
  return (lun_joined){transpose_relu, 0};
}

/* x and dy meet as that convolution's dy and x; a call for every copy, whose sum
** is over its batch alone. */
static int transpose_params(const lun_back *b, const lun_conv *s,
                            lun_err *err) {
  const lun_node *n = b->node;
  lun_conv sums = {.n = s->n, .k = s->c, .oh = s->h, .ow = s->w};
  for (int c = 0; c < b->copies; c++) {
    const float *dy = b->dy + c * n->out->size;
    if (b->dx[1])
      LUN_TRY(lun_conv_backward_params(
          s, dy, n->in[0]->data, b->dx[1] + c * n->in[1]->size, NULL, err));
    if (b->dx[2])
      LUN_TRY(lun_conv_backward_params(&sums, NULL, dy, NULL,
                                       b->dx[2] + c * n->in[2]->size, err));
  }
  return LUN_OK;
}

static int conv_transpose2d_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (n->out->size == 0) return weighted_nothing(b);
  if (b->dx[1] || b->dx[2]) LUN_TRY(transpose_params(b, &s, err));
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(weighted_rows(b, s.n, &s.n, err));
  return lun_conv_forward(&s, b->dy, n->in[1]->data, NULL, b->dx[0], 0, err);
}

OPS_RULES(conv_transpose2d, RELEVANCE_RULES);
OPS_OPERATOR(conv_transpose2d,
             "conv_transpose2d(x (N,C,H,W), w (C,K/groups,kh,kw), b (K), "
             "stride, padding, padding_end, output_padding, dilation, groups): "
             "a convolution's input gradient as a layer",
             2, 3, .attrs = transpose_attrs, .infer = transpose_infer,
             .join = transpose_join);
