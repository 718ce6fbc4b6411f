/*
** layer_norm.c - layer normalisation (Ba et al. 2016): every group of values of one
** sample to mean 0 and variance 1, then scaled and shifted.
**
** The groups are what dimensions `dim` .. `last` span: the last one of tokens
** (N, T, C), the second of maps (N, C, H, W), whose places are normalised one by
** one.  With m the mean and r = 1 / sqrt(variance + eps) of a group,
**   h = (x - m) r            y = h gamma + beta
**   dx = r (g - mean g - h mean(g h))    where g = dy gamma
**   dgamma = sum dy h        dbeta = sum dy       over all groups
**
** Relevance (AttnLRP, Achtibat et al. 2024): r is held fixed, so that y is linear in x,
** and what each x adds to y shares R, by `epsilon`:
**   q = R / stab(y)          R_in = x r (g - mean g)   where g = q gamma
** beta takes the rest.
*/
#include <math.h>
#include <string.h>

#include "../core.h"
#include "products.h"
#include "relevance.h"

enum { X, GAMMA, BETA };
enum { DIM, LAST, EPS };

static const lun_attrdef attrs[] = {
    {.name = "dim", .at = DIM, .count = 1, .fallback = -1},
    {.name = "last", .at = LAST, .count = 1, .fallback = -1},
    {.name = "eps", .at = EPS, .count = 1, .fallback = 1e-5},
    {.name = NULL},
};

/* Groups abreast whose sums are carried together, where their values are
** `inner` apart: whole lines of the cache. */
enum { ABREAST = 32 };

/* A group: `len` values, `inner` floats apart; `inner` groups lie abreast. */
typedef struct groups {
  const lun_node *n;
  const lun_back *b;
  int64_t len, inner, count; /* count: groups of one copy */
  int fixed;                 /* r is a constant */
} groups;

static int measure(const lun_node *n, groups *g, lun_err *err) {
  const lun_tensor *x = n->in[X];
  int from, to;
  *g = (groups){.n = n, .len = 1, .inner = 1};
  LUN_TRY(ops_axis(n, DIM, x->ndim, &from, err));
  LUN_TRY(ops_axis(n, LAST, x->ndim, &to, err));
  if (from > to)
    return ops_fail(n, err, LUN_EARG,
                    "dimensions %d to %d are none: 'last' comes before 'dim'",
                    from + 1, to + 1);
  for (int d = from; d < x->ndim; d++)
    *(d <= to ? &g->len : &g->inner) *= x->dim[d];
  g->count = x->size ? x->size / g->len : 0;
  return LUN_OK;
}

static int infer(lun_node *n, lun_err *err) {
  groups g;
  char text[LUN_SHAPETEXT];
  LUN_TRY(measure(n, &g, err));
  for (int i = GAMMA; i < n->nin; i++) {
    const lun_tensor *t = n->in[i];
    if (t && t->size != g.len)
      return ops_fail(n, err, LUN_ESHAPE,
                      "%s has shape %s, %lld values are normalised together",
                      i == GAMMA ? "gamma" : "beta",
                      lun_shape_text(text, sizeof text, t->ndim, t->dim),
                      (long long)g.len);
  }
  if (!(n->attr[EPS] >= 0))
    return ops_fail(n, err, LUN_EARG, "'eps' is %g, must not be negative",
                    n->attr[EPS]);
  LUN_TRY(ops_same(n, err));
  return lun_tensor_new(&n->aux, 2, (int64_t[]){2, g.count}, err);
}

/* gamma or beta, or NULL. */
static const float *values_of(const lun_node *n, int i) {
  return i < n->nin && n->in[i] ? n->in[i]->data : NULL;
}

/* The same of value k, or what stands for a missing one. */
static float parameter(const lun_node *n, int i, int64_t k, float missing) {
  const float *values = values_of(n, i);
  return values ? values[k] : missing;
}

/* Work is cut into blocks of groups abreast; block i begins at group `group`,
** float `at` and is `width` wide. */
typedef struct block {
  int64_t group, at;
  int width;
} block;

static int64_t blocks_each(const groups *g) { /* of `inner` groups */
  return (g->inner + ABREAST - 1) / ABREAST;
}

static block block_at(const groups *g, int64_t i) {
  int64_t each = blocks_each(g), row = i / each, from = i % each * ABREAST;
  int64_t left = g->inner - from;
  return (block){.group = row * g->inner + from,
                 .at = row * g->len * g->inner + from,
                 .width = (int)(left < ABREAST ? left : ABREAST)};
}

static int each_block(groups *g, int64_t copies, lun_job *fn, lun_err *err) {
  int64_t rows = g->count / g->inner * copies;
  int64_t work = g->len * (g->inner < ABREAST ? g->inner : ABREAST);
  return ops_units(g->n, rows * blocks_each(g), work, fn, g, err);
}

/* Lanes in which the values of a group that stands alone are summed, side by side. */
enum { LANES = 8 };

static double total(const double *lane) {
  double sum = 0;
  for (int j = 0; j < LANES; j++) sum += lane[j];
  return sum;
}

/* sum x of the groups of a block, in a fixed order. */
static void plain_sums(const groups *g, int width, const float *x,
                       double *sum) {
  double lane[LANES] = {0};
  int64_t k = 0;
  if (g->inner > 1) {
    for (; k < g->len; k++, x += g->inner)
      for (int j = 0; j < width; j++) sum[j] += (double)x[j];
    return;
  }
  for (; k + LANES <= g->len; k += LANES)
    for (int j = 0; j < LANES; j++) lane[j] += (double)x[k + j];
  for (int j = 0; k < g->len; k++, j++) lane[j] += (double)x[k];
  *sum = total(lane);
}

/* sum (x - mean)^2 likewise. */
static void square_sums(const groups *g, int width, const float *x,
                        const double *mean, double *square) {
  double lane[LANES] = {0};
  int64_t k = 0;
  if (g->inner > 1) {
    for (; k < g->len; k++, x += g->inner)
      for (int j = 0; j < width; j++) {
        double d = (double)x[j] - mean[j];
        square[j] += d * d;
      }
    return;
  }
  for (; k + LANES <= g->len; k += LANES)
    for (int j = 0; j < LANES; j++) {
      double d = (double)x[k + j] - *mean;
      lane[j] += d * d;
    }
  for (int j = 0; k < g->len; k++, j++) {
    double d = (double)x[k] - *mean;
    lane[j] += d * d;
  }
  *square = total(lane);
}

/* First the mean, then the variance from differences to it: as mean(x^2) - mean(x)^2
** large numbers would cancel. */
static void statistics(const groups *g, block k, float *mean, float *inverse) {
  const float *x = g->n->in[X]->data + k.at;
  double sum[ABREAST] = {0}, square[ABREAST] = {0};
  plain_sums(g, k.width, x, sum);
  for (int j = 0; j < k.width; j++) sum[j] /= (double)g->len;
  square_sums(g, k.width, x, sum, square);
  for (int j = 0; j < k.width; j++) {
    mean[j] = (float)sum[j];
    inverse[j] =
        (float)(1 / sqrt(square[j] / (double)g->len + g->n->attr[EPS]));
  }
}

/* A group of neighbouring values (inner = 1, the usual case) with both parameters. */
static void normalise_row(const float *x, float mean, float inverse,
                          const float *gamma, const float *beta, int64_t len,
                          float *y) {
  for (int64_t c = 0; c < len; c++)
    y[c] = (x[c] - mean) * inverse * gamma[c] + beta[c];
}

static void normalise(void *arg, int64_t i) {
  const groups *g = arg;
  block k = block_at(g, i);
  float *mean = g->n->aux->data + k.group, *inverse = mean + g->count;
  const float *x = g->n->in[X]->data + k.at;
  float *y = g->n->out->data + k.at;
  const float *gamma = values_of(g->n, GAMMA), *beta = values_of(g->n, BETA);
  statistics(g, k, mean, inverse);
  if (g->inner == 1 && gamma && beta) {
    normalise_row(x, *mean, *inverse, gamma, beta, g->len, y);
    return;
  }
  for (int64_t c = 0; c < g->len; c++, x += g->inner, y += g->inner) {
    float scale = parameter(g->n, GAMMA, c, 1);
    float shift = parameter(g->n, BETA, c, 0);
    for (int j = 0; j < k.width; j++)
      y[j] = (x[j] - mean[j]) * inverse[j] * scale + shift;
  }
}

static int layer_norm_forward(lun_node *n, lun_err *err) {
  groups g;
  LUN_TRY(measure(n, &g, err));
  return each_block(&g, 1, normalise, err);
}

/* mean g and mean g h of a block's groups. */
static void means(const groups *g, block k, const float *dy, const float *x,
                  const float *mean, const float *inverse, double *plain,
                  double *product) {
  for (int64_t c = 0; c < g->len; c++, x += g->inner, dy += g->inner) {
    double scale = (double)parameter(g->n, GAMMA, c, 1);
    for (int j = 0; j < k.width; j++) {
      double v = (double)dy[j] * scale;
      plain[j] += v;
      product[j] += v * (double)((x[j] - mean[j]) * inverse[j]);
    }
  }
  for (int j = 0; j < k.width; j++)
    plain[j] /= (double)g->len, product[j] /= (double)g->len;
}

/* The same of a group that stands alone and has a gamma. */
static void row_means(const float *dy, const float *x, const float *scale,
                      float mean, float inverse, int64_t len, double *plain,
                      double *product) {
  double lane[2][LANES] = {{0}};
  int64_t k = 0;
  for (; k + LANES <= len; k += LANES)
    for (int j = 0; j < LANES; j++) {
      double v = (double)dy[k + j] * (double)scale[k + j];
      lane[0][j] += v;
      lane[1][j] += v * (double)((x[k + j] - mean) * inverse);
    }
  for (int j = 0; k < len; k++, j++) {
    double v = (double)dy[k] * (double)scale[k];
    lane[0][j] += v;
    lane[1][j] += v * (double)((x[k] - mean) * inverse);
  }
  *plain = total(lane[0]) / (double)len;
  *product = total(lane[1]) / (double)len;
}

static void normalise_row_back(const float *dy, const float *x,
                               const float *scale, float mean, float inverse,
                               float plain, float product, int64_t len,
                               float *dx) {
  for (int64_t c = 0; c < len; c++) {
    float h = (x[c] - mean) * inverse;
    dx[c] = inverse * (dy[c] * scale[c] - plain - h * product);
  }
}

static void normalise_back(void *arg, int64_t i) {
  const groups *g = arg;
  block k = block_at(g, i);
  int64_t own = k.group % g->count, size = g->n->in[X]->size;
  const float *mean = g->n->aux->data + own, *inverse = mean + g->count;
  const float *x = g->n->in[X]->data + k.at % size, *dy = g->b->dy + k.at;
  float *dx = g->b->dx[X] + k.at;
  double plain[ABREAST] = {0}, product[ABREAST] = {0};
  const float *gamma = g->inner == 1 ? values_of(g->n, GAMMA) : NULL;
  if (gamma)
    row_means(dy, x, gamma, *mean, *inverse, g->len, plain, product);
  else
    means(g, k, dy, x, mean, inverse, plain, product);
  if (g->fixed) memset(product, 0, sizeof product);
  if (gamma) {
    normalise_row_back(dy, x, gamma, *mean, *inverse, (float)*plain,
                       (float)*product, g->len, dx);
    return;
  }
  for (int64_t c = 0; c < g->len; c++) {
    float scale = parameter(g->n, GAMMA, c, 1);
    for (int j = 0; j < k.width; j++) {
      int64_t at = c * g->inner + j;
      float h = (x[at] - mean[j]) * inverse[j];
      dx[at] = inverse[j] *
               (dy[at] * scale - (float)plain[j] - h * (float)product[j]);
    }
  }
}

/* gamma's and beta's gradients of value c in one copy. */
static void parameters(void *arg, int64_t unit) {
  const groups *g = arg;
  int64_t copy = unit / g->len, c = unit % g->len, size = g->n->in[X]->size;
  const float *mean = g->n->aux->data, *inverse = mean + g->count;
  const float *x = g->n->in[X]->data, *dy = g->b->dy + copy * size;
  double plain = 0, product = 0;
  for (int64_t i = 0; i < g->count; i++) {
    int64_t at = (i / g->inner * g->len + c) * g->inner + i % g->inner;
    plain += (double)dy[at];
    product += (double)dy[at] * (double)((x[at] - mean[i]) * inverse[i]);
  }
  if (g->b->dx[GAMMA]) g->b->dx[GAMMA][unit] = (float)product;
  if (g->b->dx[BETA]) g->b->dx[BETA][unit] = (float)plain;
}

static int layer_norm_back(const lun_back *b, lun_err *err) {
  groups g;
  LUN_TRY(measure(b->node, &g, err));
  g.b = b;
  if (b->dx[GAMMA] || b->dx[BETA])
    LUN_TRY(
        ops_units(b->node, b->copies * g.len, g.count, parameters, &g, err));
  if (!b->dx[X] || g.count == 0) return LUN_OK;
  return each_block(&g, b->copies, normalise_back, err);
}

/* What beta takes of q's relevance. */
static double taken(const groups *g, const lun_tensor *beta, const float *q) {
  double sum = 0;
  for (int64_t i = 0; i < g->count * g->b->copies / g->inner * g->len; i++)
    sum += (double)beta->data[i % g->len] * lun_sum(q + i * g->inner, g->inner);
  return sum;
}

static int layer_norm_epsilon(const lun_back *b, lun_err *err) {
  ops_scratch s = {.b = b, .err = err};
  lun_tensor *q = ops_quotient(&s, b->node->out, 1);
  lun_back plain = *b;
  groups g;
  if (q) s.status = measure(b->node, &g, err);
  if (!q || s.status != LUN_OK || g.count == 0) return ops_scratch_free(&s);
  plain.dy = q->data;
  g.b = &plain, g.fixed = 1;
  ops_zero(b, GAMMA), ops_zero(b, BETA);
  if (b->bias && b->node->nin > BETA && b->node->in[BETA])
    *b->bias += taken(&g, b->node->in[BETA], q->data);
  if (b->dx[X]) s.status = each_block(&g, b->copies, normalise_back, err);
  if (b->dx[X] && s.status == LUN_OK)
    s.status = ops_times(b, X, b->node->in[X]->data, 1);
  return ops_scratch_free(&s);
}

OPS_RULES(layer_norm, RELEVANCE_IDENTITY,
          {.name = "epsilon",
           .back = layer_norm_epsilon,
           .attrs = lun_relevance_epsilon_attrs,
           .needs_input = 1});
OPS_OPERATOR(
    layer_norm,
    "layer_norm(x, gamma, beta, dim = -1, last = -1, eps): "
    "(x - mean) / sqrt(var + eps) gamma + beta, mean and variance over "
    "dimensions dim to last",
    1, 3, .attrs = attrs, .infer = infer);
