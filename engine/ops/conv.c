/*
** conv.c - what kernels.h does, as operators: conv2d and linear.
*/
#include <limits.h>
#include <string.h>

#include "../kernels/kernels.h"
#include "relevance.h"

/* ---- conv2d: shapes ---------------------------------------------------- */

enum { STRIDE = 0, PAD = 2, PAD_END = 4, DILATION = 6, GROUPS = 8 };

static const lun_attrdef conv_attrs[] = {
    {.name = "stride", .at = STRIDE, .count = 2, .fallback = 1},
    {.name = "padding", .at = PAD, .count = 2, .fallback = 0},
    {.name = "padding_end", .at = PAD_END, .count = 2, .fallback = LUN_UNSET},
    {.name = "dilation", .at = DILATION, .count = 2, .fallback = 1},
    {.name = "groups", .at = GROUPS, .count = 1, .fallback = 1},
    {.name = NULL},
};

/* Attribute slot as an int of at least lo. */
static int small(const lun_node *n, int at, int lo, int *out, lun_err *err) {
  int64_t v;
  LUN_TRY(ops_int(n, at, lo, INT_MAX / 4, &v, err));
  *out = (int)v;
  return LUN_OK;
}

/* Dimensions of a tensor as ints; the kernels count in them. */
static int ints(const lun_node *n, int i, const int64_t *dim, int count,
                int *out, lun_err *err) {
  for (int d = 0; d < count; d++) {
    if (dim[d] > INT_MAX / 4)
      return ops_fail(n, err, LUN_ESHAPE, "input %d: dimension %d is %lld",
                      i + 1, d + 1, (long long)dim[d]);
    out[d] = (int)dim[d];
  }
  return LUN_OK;
}

static int attributes(const lun_node *n, lun_conv *s, lun_err *err) {
  LUN_TRY(small(n, STRIDE, 1, &s->sh, err));
  LUN_TRY(small(n, STRIDE + 1, 1, &s->sw, err));
  LUN_TRY(small(n, DILATION, 1, &s->dh, err));
  LUN_TRY(small(n, DILATION + 1, 1, &s->dw, err));
  LUN_TRY(small(n, PAD, 0, &s->pt, err));
  LUN_TRY(small(n, PAD + 1, 0, &s->pl, err));
  return small(n, GROUPS, 1, &s->groups, err);
}

/* Padding below or to the right: its own when given, else as opposite. */
static int end_padding(const lun_node *n, int axis, int same, int *out,
                       lun_err *err) {
  *out = same;
  if (!ops_given(n, PAD_END + axis)) return LUN_OK;
  return small(n, PAD_END + axis, 0, out, err);
}

/* Output length along one axis:
**   floor((in + before + after - dilation (k - 1) - 1) / stride) + 1 */
static int length(const lun_node *n, const char *axis, int64_t in,
                  int64_t padding, int64_t k, int64_t dilation, int64_t stride,
                  int *out, lun_err *err) {
  int64_t reach = dilation * (k - 1) + 1, room = in + padding;
  if (k < 1 || in < 1 || reach > room)
    return ops_fail(n, err, LUN_ESHAPE,
                    "kernel spans %lld in %s, padded input has %lld",
                    (long long)reach, axis, (long long)room);
  *out = (int)((room - reach) / stride + 1);
  return LUN_OK;
}

/* Do channels, groups and bias agree? */
static int channels(const lun_node *n, const lun_conv *s, lun_err *err) {
  const lun_tensor *w = n->in[1], *b = n->nin > 2 ? n->in[2] : NULL;
  long long wants = (long long)w->dim[1] * s->groups;
  char text[LUN_SHAPETEXT];
  if (wants != s->c)
    return ops_fail(n, err, LUN_ESHAPE,
                    "weight has %lld input channels, input has %d", wants,
                    s->c);
  if (s->k < 1 || s->c < 1 || s->k % s->groups)
    return ops_fail(n, err, LUN_ESHAPE,
                    "weight has %d output channels in %d groups", s->k,
                    s->groups);
  if (b && b->size != s->k)
    return ops_fail(n, err, LUN_ESHAPE,
                    "bias has shape %s, weight has %d output channels",
                    lun_shape_text(text, sizeof text, b->ndim, b->dim), s->k);
  return LUN_OK;
}

/* All of n's geometry; the only place that reads the attributes. */
static int geometry(const lun_node *n, lun_conv *s, lun_err *err) {
  int x[4], w[4], below, right;
  memset(s, 0, sizeof *s);
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_ndim(n, 1, 4, 4, err));
  LUN_TRY(ints(n, 0, n->in[0]->dim, 4, x, err));
  LUN_TRY(ints(n, 1, n->in[1]->dim, 4, w, err));
  s->n = x[0], s->c = x[1], s->h = x[2], s->w = x[3];
  s->k = w[0], s->kh = w[2], s->kw = w[3];
  LUN_TRY(attributes(n, s, err));
  LUN_TRY(channels(n, s, err));
  LUN_TRY(end_padding(n, 0, s->pt, &below, err));
  LUN_TRY(end_padding(n, 1, s->pl, &right, err));
  LUN_TRY(length(n, "height", s->h, (int64_t)s->pt + below, s->kh, s->dh, s->sh,
                 &s->oh, err));
  return length(n, "width", s->w, (int64_t)s->pl + right, s->kw, s->dw, s->sw,
                &s->ow, err);
}

static int conv_infer(lun_node *n, lun_err *err) {
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  return lun_node_shape(n, 4, (int64_t[]){s.n, s.k, s.oh, s.ow}, err);
}

/* ---- conv2d: values ---------------------------------------------------- */

static const float *bias(const lun_node *n) {
  return n->nin > 2 && n->in[2] ? n->in[2]->data : NULL;
}

static int conv_run(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (out->size == 0) return LUN_OK;
  return lun_conv_forward(&s, n->in[0]->data, n->in[1]->data, bias(n),
                          out->data, relu, err);
}

static int conv2d_forward(lun_node *n, lun_err *err) {
  return conv_run(n, n->out, 0, err);
}

/* conv2d -> relu */
static int conv_relu(lun_node *n, lun_node *const *next, int count,
                     lun_err *err) {
  return conv_run(n, next[count - 1]->out, 1, err);
}

/* conv2d -> relu -> max_pool2d of 2x2 */
static int conv_relu_pool(lun_node *n, lun_node *const *next, int count,
                          lun_err *err) {
  lun_conv s;
  lun_node *pool = next[count - 1];
  LUN_TRY(geometry(n, &s, err));
  return lun_conv_forward_pooled(&s, n->in[0]->data, n->in[1]->data, bias(n),
                                 pool->out->data, (uint8_t *)pool->aux->data,
                                 err);
}

static lun_joined conv_join(const lun_node *n, lun_node *const *next,
                            int count) {
  lun_conv s;
  int pools = geometry(n, &s, NULL) == LUN_OK && lun_conv_pools(&s);
  if (count == 0) return (lun_joined){NULL, 1};
  if (next[0]->op->epilogue != LUN_RELU_EPILOGUE) return (lun_joined){NULL, 0};
  if (count == 1) return (lun_joined){conv_relu, pools};
  if (count == 2 && pools && ops_maxpool2x2(next[1]))
    return (lun_joined){conv_relu_pool, 0};
  return (lun_joined){NULL, 0};
}

/* How many rows dy has: copies x N, if an int holds it. */
static int all_rows(const lun_back *b, int rows, int *out, lun_err *err) {
  if ((int64_t)rows * b->copies > INT_MAX)
    return ops_fail(b->node, err, LUN_EARG, "%d copies of %d rows are too many",
                    b->copies, rows);
  *out = rows * b->copies;
  return LUN_OK;
}

/* Parameter gradients sum over a copy's batch, so every copy is a call. */
static int conv_params(const lun_back *b, const lun_conv *s, lun_err *err) {
  const lun_node *n = b->node;
  for (int c = 0; c < b->copies; c++) {
    float *dw = b->dx[1] ? b->dx[1] + c * n->in[1]->size : NULL;
    float *db = b->dx[2] ? b->dx[2] + c * n->in[2]->size : NULL;
    LUN_TRY(lun_conv_backward_params(s, n->in[0]->data,
                                     b->dy + c * n->out->size, dw, db, err));
  }
  return LUN_OK;
}

/* An empty batch: nothing comes back to the parameters. */
static int nothing(const lun_back *b) {
  ops_zero(b, 0);
  ops_zero(b, 1);
  ops_zero(b, 2);
  return LUN_OK;
}

static int conv2d_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (n->out->size == 0) return nothing(b);
  if (b->dx[1] || b->dx[2]) LUN_TRY(conv_params(b, &s, err));
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(all_rows(b, s.n, &s.n, err));
  return lun_conv_backward(&s, b->dy, n->in[1]->data, b->dx[0], b->gate, err);
}

OPS_RULES(conv2d, RELEVANCE_RULES);
OPS_OPERATOR(
    conv2d,
    "conv2d(x (N,C,H,W), w (K,C/groups,kh,kw), b (K), stride, padding, "
    "padding_end, dilation, groups): cross-correlation",
    2, 3, .attrs = conv_attrs, .infer = conv_infer, .join = conv_join,
    .gated = 1);

/* ---- linear ------------------------------------------------------------ */

enum { LAYOUT = 0 };

static const char *const layouts[] = {"out_in", "in_out", NULL};

static const lun_attrdef linear_attrs[] = {
    {"weight_layout", .at = LAYOUT, .count = 1, .words = layouts},
    {.name = NULL},
};

/* What is said when it would fit the other way round. */
static const char *const other_layout[] = {
    "; of shape (in, out) it is weight_layout in_out",
    "; of shape (out, in) it is weight_layout out_in"};

static int in_out(const lun_node *n) { return n->attr[LAYOUT] > 0; }

static int linear_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0], *w = n->in[1];
  const lun_tensor *b = n->nin > 2 ? n->in[2] : NULL;
  char text[LUN_SHAPETEXT];
  int rows = 0;
  int64_t layout, in, out;
  LUN_TRY(ops_int(n, LAYOUT, 0, 1, &layout, err));
  LUN_TRY(ops_ndim(n, 0, 2, 2, err));
  LUN_TRY(ops_ndim(n, 1, 2, 2, err));
  LUN_TRY(ints(n, 0, x->dim, 1, &rows, err));
  in = w->dim[!layout], out = w->dim[layout];
  if (in != x->dim[1])
    return ops_fail(n, err, LUN_ESHAPE,
                    "weight has %lld input features, input has %lld%s",
                    (long long)in, (long long)x->dim[1],
                    out == x->dim[1] ? other_layout[layout] : "");
  if (b && b->size != out)
    return ops_fail(n, err, LUN_ESHAPE,
                    "bias has shape %s, weight has %lld output features",
                    lun_shape_text(text, sizeof text, b->ndim, b->dim),
                    (long long)out);
  if (w->size == 0)
    return ops_fail(n, err, LUN_ESHAPE, "weight has shape %s",
                    lun_shape_text(text, sizeof text, w->ndim, w->dim));
  return lun_node_shape(n, 2, (int64_t[]){rows, out}, err);
}

/* The layer for `rows` rows. */
static lun_linear layer(const lun_node *n, int64_t rows) {
  const lun_tensor *w = n->in[1];
  int layout = in_out(n);
  return (lun_linear){(int)rows, w->dim[!layout], w->dim[layout], layout};
}

static int linear_run(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  lun_linear s = layer(n, n->in[0]->dim[0]);
  if (out->size == 0) return LUN_OK;
  return lun_linear_forward(&s, n->in[0]->data, n->in[1]->data, bias(n),
                            out->data, relu, err);
}

static int linear_forward(lun_node *n, lun_err *err) {
  return linear_run(n, n->out, 0, err);
}

/* linear -> relu */
static int linear_relu(lun_node *n, lun_node *const *next, int count,
                       lun_err *err) {
  return linear_run(n, next[count - 1]->out, 1, err);
}

static lun_joined linear_join(const lun_node *n, lun_node *const *next,
                              int count) {
  (void)n;
  if (count == 0) return (lun_joined){NULL, 1};
  if (count > 1 || next[0]->op->epilogue != LUN_RELU_EPILOGUE)
    return (lun_joined){NULL, 0};
  return (lun_joined){linear_relu, 0};
}

static int linear_params(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_linear s = layer(n, n->in[0]->dim[0]);
  for (int c = 0; c < b->copies; c++) {
    float *dw = b->dx[1] ? b->dx[1] + c * n->in[1]->size : NULL;
    float *db = b->dx[2] ? b->dx[2] + c * n->in[2]->size : NULL;
    LUN_TRY(lun_linear_backward_params(&s, n->in[0]->data,
                                       b->dy + c * n->out->size, dw, db, err));
  }
  return LUN_OK;
}

static int linear_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_linear s;
  int rows = 0;
  if (n->out->size == 0) return nothing(b);
  if (b->dx[1] || b->dx[2]) LUN_TRY(linear_params(b, err));
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(all_rows(b, (int)n->in[0]->dim[0], &rows, err));
  s = layer(n, rows);
  return lun_linear_backward(&s, b->dy, n->in[1]->data, b->dx[0], b->gate,
                             b->dead_inputs, err);
}

OPS_RULES(linear, RELEVANCE_RULES);
OPS_OPERATOR(linear,
             "linear(x (N,in), w (out,in), b (out), weight_layout = out_in): "
             "x w' + b; in_out: w is (in,out)",
             2, 3, .attrs = linear_attrs, .infer = linear_infer,
             .join = linear_join, .gated = 1, .skips_dead = 1);
