/*
** norm.c - batch normalisation with given statistics (inference), and local
** response normalisation across channels.
*/
#include <math.h>
#include <string.h>

#include "relevance.h"

/* ---- batch_norm --------------------------------------------------------- */

/*
** y = (x - mean) / sqrt(var + eps) gamma + beta, channel by channel.  With
** s = 1 / sqrt(var + eps) and sums over a channel's elements:
**   dx = dy gamma s          dgamma = s sum dy (x - mean)   dbeta = sum dy
**   dmean = -gamma s dbeta   dvar = -gamma s^3 / 2 sum dy (x - mean)
*/
enum { X, MEAN, VAR, GAMMA, BETA };

static const lun_attrdef bn_attrs[] = {
    {.name = "eps", .at = 0, .count = 1, .fallback = 1e-5},
    {.name = NULL},
};

static int bn_infer(lun_node *n, lun_err *err) {
  static const char *const what[] = {"x", "mean", "var", "gamma", "beta"};
  const lun_tensor *x = n->in[X];
  char text[LUN_SHAPETEXT];
  LUN_TRY(ops_ndim(n, X, 2, LUN_MAXDIM, err));
  for (int i = MEAN; i < n->nin; i++) {
    const lun_tensor *t = n->in[i];
    if (t && t->size != x->dim[1])
      return ops_fail(n, err, LUN_ESHAPE,
                      "%s has shape %s, input has %lld channels", what[i],
                      lun_shape_text(text, sizeof text, t->ndim, t->dim),
                      (long long)x->dim[1]);
  }
  if (!(n->attr[0] >= 0))
    return ops_fail(n, err, LUN_EARG, "'eps' is %g, must not be negative",
                    n->attr[0]);
  return ops_same(n, err);
}

typedef struct channel {
  const lun_node *n;
  const lun_back *b;
  int64_t count, size; /* channels; elements of one in one sample */
  float *y;            /* forward: the values ... */
  int relu;            /* ... after the relu that follows */
} channel;

static channel channels(const lun_node *n, const lun_back *b) {
  const lun_tensor *x = n->in[X];
  channel c = {.n = n, .b = b, .count = x->dim[1], .size = 1};
  for (int d = 2; d < x->ndim; d++) c.size *= x->dim[d];
  return c;
}

/* Parameter i of channel c, or what stands for a missing one. */
static float parameter(const lun_node *n, int i, int64_t c, float missing) {
  return i < n->nin && n->in[i] ? n->in[i]->data[c] : missing;
}

static float scale_of(const lun_node *n, int64_t c) {
  double v = (double)n->in[VAR]->data[c] + n->attr[0];
  return (float)(1 / sqrt(v));
}

void ops_norm_affine(const lun_node *n, float *scale, float *shift) {
  for (int64_t c = 0; c < n->in[X]->dim[1]; c++) {
    float s = scale_of(n, c) * parameter(n, GAMMA, c, 1);
    scale[c] = s;
    shift[c] = parameter(n, BETA, c, 0) - n->in[MEAN]->data[c] * s;
  }
}

static void bn_plane(void *arg, int64_t plane) {
  const channel *k = arg;
  int64_t c = plane % k->count;
  const float *x = k->n->in[X]->data + plane * k->size;
  float *y = k->y + plane * k->size;
  float m = k->n->in[MEAN]->data[c];
  float s = scale_of(k->n, c) * parameter(k->n, GAMMA, c, 1);
  float t = parameter(k->n, BETA, c, 0);
  if (!k->relu) {
    OPS_IVDEP for (int64_t i = 0; i < k->size; i++) y[i] = (x[i] - m) * s + t;
    return;
  }
  OPS_IVDEP for (int64_t i = 0; i < k->size; i++) {
    float v = (x[i] - m) * s + t;
    y[i] = v < 0 ? 0.0f : v;
  }
}

static int bn_run(const lun_node *n, float *y, int relu, lun_err *err) {
  channel k = channels(n, NULL);
  k.y = y;
  k.relu = relu;
  return ops_units(n, n->in[X]->dim[0] * k.count, k.size, bn_plane, &k, err);
}

static int batch_norm_forward(lun_node *n, lun_err *err) {
  return bn_run(n, n->out->data, 0, err);
}

/* batch_norm -> relu, the same bits as one after the other */
static int bn_relu(lun_node *n, lun_node *const *next, int count,
                   lun_err *err) {
  return bn_run(n, next[count - 1]->out->data, 1, err);
}

static lun_joined bn_join(const lun_node *n, lun_node *const *next, int count) {
  (void)n;
  if (count == 0) return (lun_joined){NULL, 1};
  if (count > 1 || next[0]->op->epilogue != LUN_RELU_EPILOGUE)
    return (lun_joined){NULL, 0};
  return (lun_joined){bn_relu, 0};
}

static void bn_plane_back(void *arg, int64_t plane) {
  const channel *k = arg;
  int64_t c = plane % k->count;
  float s = scale_of(k->n, c) * parameter(k->n, GAMMA, c, 1);
  const float *dy = k->b->dy + plane * k->size;
  float *dx = k->b->dx[X] + plane * k->size;
  OPS_IVDEP for (int64_t i = 0; i < k->size; i++) dx[i] = dy[i] * s;
}

/* sum dy and sum dy (x - mean) of one channel in one copy. */
static void bn_sums(const channel *k, int64_t copy, int64_t c, double *plain,
                    double *centred) {
  int64_t batch = k->n->in[X]->dim[0];
  double m = (double)k->n->in[MEAN]->data[c];
  *plain = *centred = 0;
  for (int64_t s = 0; s < batch; s++) {
    int64_t at = (s * k->count + c) * k->size;
    const float *x = k->n->in[X]->data + at;
    const float *dy = k->b->dy + copy * k->n->out->size + at;
    for (int64_t i = 0; i < k->size; i++) {
      *plain += (double)dy[i];
      *centred += (double)dy[i] * ((double)x[i] - m);
    }
  }
}

/* One channel of one copy: all parameters that want a gradient. */
static void bn_params(void *arg, int64_t unit) {
  const channel *k = arg;
  int64_t c = unit % k->count;
  float *const *dx = k->b->dx;
  double plain, centred, s = (double)scale_of(k->n, c);
  double g = (double)parameter(k->n, GAMMA, c, 1);
  bn_sums(k, unit / k->count, c, &plain, &centred);
  if (dx[MEAN]) dx[MEAN][unit] = (float)(-g * s * plain);
  if (dx[VAR]) dx[VAR][unit] = (float)(-0.5 * g * s * s * s * centred);
  if (dx[GAMMA]) dx[GAMMA][unit] = (float)(s * centred);
  if (dx[BETA]) dx[BETA][unit] = (float)plain;
}

/* In place is allowed, so what reads dy goes first. */
static int batch_norm_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  channel k = channels(n, b);
  int64_t batch = n->in[X]->dim[0], params = b->copies * k.count;
  if (b->dx[MEAN] || b->dx[VAR] || b->dx[GAMMA] || b->dx[BETA])
    LUN_TRY(ops_units(n, params, batch * k.size, bn_params, &k, err));
  if (!b->dx[X]) return LUN_OK;
  return ops_units(n, params * batch, k.size, bn_plane_back, &k, err);
}

/* epsilon: that of the layer y = s x + t, whose bias t is. */
OPS_RULES(batch_norm, RELEVANCE_IDENTITY,
          {.name = "epsilon",
           .back = lun_relevance_norm,
           .attrs = lun_relevance_epsilon_attrs,
           .needs_input = 1});
OPS_OPERATOR(batch_norm,
             "batch_norm(x (N,C,...), mean, var, gamma, beta, eps): "
             "(x - mean) / sqrt(var + eps) gamma + beta",
             3, 5, .attrs = bn_attrs, .infer = bn_infer, .join = bn_join,
             .inplace = 1, .epilogue = LUN_AFFINE_EPILOGUE,
             .params_read_input = 1);

/* ---- lrn ---------------------------------------------------------------- */

/*
** Krizhevsky et al. 2012, with alpha divided by the window's size as Caffe
** and PyTorch do:
**   s_c = k + alpha / size sum_{j in window(c)} x_j^2      (kept in aux)
**   y_c = x_c s_c^-beta
**   dx_c = dy_c s_c^-beta - 2 alpha beta / size x_c
**          sum_{j: c in window(j)} dy_j y_j / s_j
** window(c) is c - size/2 .. c + (size-1)/2, cut at the ends.
*/
enum { SIZE, ALPHA, LRN_BETA, K };

static const lun_attrdef lrn_attrs[] = {
    {.name = "size", .at = SIZE, .count = 1, .fallback = 5},
    {.name = "alpha", .at = ALPHA, .count = 1, .fallback = 1e-4},
    {.name = "beta", .at = LRN_BETA, .count = 1, .fallback = 0.75},
    {.name = "k", .at = K, .count = 1, .fallback = 1},
    {.name = NULL},
};

static int lrn_infer(lun_node *n, lun_err *err) {
  int64_t size;
  LUN_TRY(ops_ndim(n, 0, 2, LUN_MAXDIM, err));
  LUN_TRY(ops_int(n, SIZE, 1, 1 << 20, &size, err));
  if (!(n->attr[K] > 0 && n->attr[ALPHA] >= 0))
    return ops_fail(n, err, LUN_EARG,
                    "'k' is %g, 'alpha' is %g; need k > 0 and alpha >= 0",
                    n->attr[K], n->attr[ALPHA]);
  LUN_TRY(ops_same(n, err));
  return lun_tensor_new(&n->aux, n->out->ndim, n->out->dim, err);
}

/* Channels before .. after of the window around c, inside 0 .. count-1. */
static void around(int64_t c, int64_t before, int64_t after, int64_t count,
                   int64_t *lo, int64_t *hi) {
  *lo = c - before < 0 ? 0 : c - before;
  *hi = c + after >= count ? count - 1 : c + after;
}

static void lrn_plane(void *arg, int64_t plane) {
  const channel *k = arg;
  const double *attr = k->n->attr;
  int64_t c = plane % k->count, size = (int64_t)attr[SIZE], lo, hi;
  const float *x = k->n->in[0]->data + (plane - c) * k->size;
  float *s = k->n->aux->data + plane * k->size;
  float *y = k->n->out->data + plane * k->size;
  float weight = (float)(attr[ALPHA] / attr[SIZE]),
        beta = (float)attr[LRN_BETA];
  around(c, size / 2, (size - 1) / 2, k->count, &lo, &hi);
  for (int64_t i = 0; i < k->size; i++) s[i] = (float)attr[K];
  for (int64_t j = lo; j <= hi; j++)
    for (int64_t i = 0; i < k->size; i++) {
      float v = x[j * k->size + i];
      s[i] += weight * v * v;
    }
  for (int64_t i = 0; i < k->size; i++)
    y[i] = x[c * k->size + i] * powf(s[i], -beta);
}

static void lrn_plane_back(void *arg, int64_t plane) {
  const channel *k = arg;
  const double *attr = k->n->attr;
  int64_t planes = k->n->in[0]->size / k->size, own = plane % planes;
  int64_t c = plane % k->count, size = (int64_t)attr[SIZE], lo, hi;
  const float *dy = k->b->dy + (plane - c) * k->size;
  const float *x = k->n->in[0]->data + (own - c) * k->size;
  const float *y = k->n->out->data + (own - c) * k->size;
  const float *s = k->n->aux->data + (own - c) * k->size;
  float *dx = k->b->dx[0] + plane * k->size, beta = (float)attr[LRN_BETA];
  float weight = (float)(2 * attr[ALPHA] * attr[LRN_BETA] / attr[SIZE]);
  around(c, (size - 1) / 2, size / 2, k->count, &lo,
         &hi); /* window(j) that holds c */
  memset(dx, 0, (size_t)k->size * sizeof *dx);
  for (int64_t j = lo; j <= hi; j++)
    for (int64_t i = 0; i < k->size; i++) {
      int64_t at = j * k->size + i;
      dx[i] += dy[at] * y[at] / s[at];
    }
  for (int64_t i = 0; i < k->size; i++) {
    int64_t at = c * k->size + i;
    dx[i] = dy[at] * powf(s[at], -beta) - weight * x[at] * dx[i];
  }
}

static int lrn_forward(lun_node *n, lun_err *err) {
  channel k = channels(n, NULL);
  int64_t work = k.size * (4 + (int64_t)n->attr[SIZE]);
  return ops_units(n, n->in[0]->dim[0] * k.count, work, lrn_plane, &k, err);
}

static int lrn_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  channel k = channels(n, b);
  int64_t planes = n->in[0]->dim[0] * k.count * b->copies;
  if (!b->dx[0] || n->in[0]->size == 0) return LUN_OK;
  return ops_units(n, planes, k.size * (4 + (int64_t)n->attr[SIZE]),
                   lrn_plane_back, &k, err);
}

OPS_RULES(lrn, RELEVANCE_IDENTITY);
OPS_OPERATOR(lrn,
             "lrn(x (N,C,...), size, alpha, beta, k): "
             "x / (k + alpha / size sum x^2)^beta over neighbouring channels",
             1, 1, .attrs = lrn_attrs, .infer = lrn_infer);
