/*
** conv.c - conv2d: cross-correlation of pictures.
*/
#include "conv_shape.h"

/* ---- shapes ------------------------------------------------------------- */

enum { STRIDE = 0, PAD = 2, PAD_END = 4, DILATION = 6, GROUPS = 8 };

static const lun_attrdef conv_attrs[] = {
    {.name = "stride", .at = STRIDE, .count = 2, .fallback = 1},
    {.name = "padding", .at = PAD, .count = 2, .fallback = 0},
    {.name = "padding_end", .at = PAD_END, .count = 2, .fallback = LUN_UNSET},
    {.name = "dilation", .at = DILATION, .count = 2, .fallback = 1},
    {.name = "groups", .at = GROUPS, .count = 1, .fallback = 1},
    {.name = NULL},
};

static const lun_conv_at slots = {STRIDE, PAD, PAD_END, DILATION, GROUPS};

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

/* All of n's geometry; the only place that reads the attributes. */
static int geometry(const lun_node *n, lun_conv *s, lun_err *err) {
  int x[4], w[4], below, right;
  LUN_TRY(ops_conv_read(n, &slots, s, x, w, err));
  s->c = x[1], s->h = x[2], s->w = x[3], s->k = w[0];
  LUN_TRY(ops_conv_channels(n, s, (int64_t)w[1] * s->groups, s->c, s->k,
                            "output", err));
  LUN_TRY(ops_conv_end(n, &slots, 0, s->pt, &below, err));
  LUN_TRY(ops_conv_end(n, &slots, 1, s->pl, &right, err));
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

/* ---- values ------------------------------------------------------------- */

static int conv_run(lun_node *n, lun_tensor *out, int relu, lun_err *err) {
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (out->size == 0) return LUN_OK;
  return lun_conv_forward(&s, n->in[0]->data, n->in[1]->data, weighted_bias(n),
                          out->data, relu, err);
}

static int conv2d_forward(lun_node *n, lun_err *err) {
  return conv_run(n, n->out, 0, err);
}

/* What follows a convolution in its pass, each at most once and in this order:
** batch_norm, add, an activation; or relu and a 2x2 maximum pooling. */
typedef struct follow {
  const lun_node *norm;
  const float *add; /* the other summand */
  lun_epilogue_kind function;
  int pools, count; /* nodes it is made of */
} follow;

/* The other summand of n, whose input k the convolution makes, if it has values of
** that shape. */
static const float *summand(const lun_node *n, const lun_node *maker) {
  int other = n->in[0] == maker->out;
  if (n->in[0] == n->in[1] || n->in[1 - other] != maker->out) return NULL;
  if (!lun_tensor_same_shape(n->in[0], n->in[1])) return NULL;
  return n->in[other]->data;
}

/* Is the epilogue a function of one value, as relu is? */
static int is_function(lun_epilogue_kind kind) {
  return kind != LUN_NO_EPILOGUE && kind != LUN_AFFINE_EPILOGUE &&
         kind != LUN_ADD_EPILOGUE;
}

static follow follow_of(const lun_node *n, lun_node *const *next, int count) {
  follow f = {0};
  const lun_node *maker = n;
  int i = 0;
  if (i < count && next[i]->op->epilogue == LUN_AFFINE_EPILOGUE)
    maker = f.norm = next[i++];
  if (i < count && next[i]->op->epilogue == LUN_ADD_EPILOGUE &&
      (f.add = summand(next[i], maker)) != NULL)
    i++;
  if (i < count && is_function(next[i]->op->epilogue))
    f.function = next[i++]->op->epilogue;
  f.pools = i == 1 && i < count && f.function == LUN_RELU_EPILOGUE &&
            ops_maxpool2x2(next[i]);
  f.count = i + f.pools;
  return f;
}

/* conv2d and all that follows, into the last one's output. */
static int conv_followed(lun_node *n, lun_node *const *next, int count,
                         lun_err *err) {
  follow f = follow_of(n, next, count);
  const float *bias = weighted_bias(n);
  lun_after after = {.shift = bias, .add = f.add, .function = f.function};
  lun_node *last = next[count - 1];
  float *scale = NULL;
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (last->out->size == 0) return LUN_OK;
  if (f.norm) {
    scale = lun_malloc((size_t)s.k * 2 * sizeof *scale);
    if (!scale) return lun_fail(err, LUN_ENOMEM, "convolution: no memory");
    float *shift = scale + s.k;
    ops_norm_affine(f.norm, scale, shift);
    for (int k = 0; bias && k < s.k; k++) shift[k] += scale[k] * bias[k];
    after.scale = scale;
    after.shift = shift;
  }
  int status = lun_conv_forward_after(&s, n->in[0]->data, n->in[1]->data,
                                      last->out->data, &after, err);
  lun_free(scale);
  return status;
}

/* conv2d -> relu -> max_pool2d of 2x2 */
static int conv_relu_pool(lun_node *n, lun_node *const *next, int count,
                          lun_err *err) {
  lun_conv s;
  lun_node *pool = next[count - 1];
  LUN_TRY(geometry(n, &s, err));
  return lun_conv_forward_pooled(&s, n->in[0]->data, n->in[1]->data,
                                 weighted_bias(n), pool->out->data,
                                 (uint8_t *)pool->aux->data, err);
}

static lun_joined conv_join(const lun_node *n, lun_node *const *next,
                            int count) {
  lun_conv s;
  if (geometry(n, &s, NULL) != LUN_OK) return (lun_joined){NULL, 0};
  if (count == 0) return (lun_joined){NULL, 1};
  follow f = follow_of(n, next, count);
  if (f.count < count) return (lun_joined){NULL, 0};
  if (f.pools) {
    if (!lun_conv_pools(&s)) return (lun_joined){NULL, 0};
    return (lun_joined){conv_relu_pool, 0};
  }
  if (!f.function) return (lun_joined){conv_followed, 1};
  int may_pool = count == 1 && f.function == LUN_RELU_EPILOGUE;
  return (lun_joined){conv_followed, may_pool && lun_conv_pools(&s)};
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

static int conv2d_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  lun_conv s;
  LUN_TRY(geometry(n, &s, err));
  if (n->out->size == 0) return weighted_nothing(b);
  if (b->dx[1] || b->dx[2]) LUN_TRY(conv_params(b, &s, err));
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(weighted_rows(b, s.n, &s.n, err));
  return lun_conv_backward_add(&s, b->dy, n->in[1]->data, b->dx[0], b->add,
                               b->gate, err);
}

OPS_RULES(conv2d, RELEVANCE_RULES);
OPS_OPERATOR(
    conv2d,
    "conv2d(x (N,C,H,W), w (K,C/groups,kh,kw), b (K), stride, padding, "
    "padding_end, dilation, groups): cross-correlation",
    2, 3, .attrs = conv_attrs, .infer = conv_infer, .join = conv_join,
    .gated = 1, .adds = 1);
