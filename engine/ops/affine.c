/*
** affine.c - maps turned, enlarged or sheared about their centre, bilinear.
**
** The output at p, counted from the centre ((H-1)/2, (W-1)/2), is the input at M p + s:
**   M = | a b |   rows first, as `matrix` = {a, b, c, d}; s is `shift` = {rows,
**       | c d |   columns}
** so that M = R(-t) / k turns by t and enlarges by k.  What lies outside is `value`,
** or with `mirror` the picture again, dcba|abcd|dcba as scipy's 'reflect'.  The
** gradient is the transposed sum: every output gives dy back to its four inputs.
*/
#include <math.h>
#include <string.h>

#include "relevance.h"

enum { MATRIX = 0, VALUE = 4, MIRROR = 5, SHIFT = 6 };

static const lun_attrdef attrs[] = {
    {.name = "matrix", .at = MATRIX, .count = 4, .fallback = LUN_UNSET},
    {.name = "value", .at = VALUE, .count = 1, .fallback = 0},
    {.name = "mirror", .at = MIRROR, .count = 1, .fallback = 0},
    {.name = "shift", .at = SHIFT, .count = 2, .fallback = 0},
    {.name = NULL},
};

/* Positions must fit whole numbers: M times a picture's side. */
static const double most = 1e6;

static int infer(lun_node *n, lun_err *err) {
  int64_t flag;
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_int(n, MIRROR, 0, 1, &flag, err));
  for (int i = MATRIX; i < VALUE; i++)
    if (!ops_given(n, i) || !(fabs(n->attr[i]) <= most))
      return ops_fail(n, err, LUN_EARG,
                      "'matrix' is four numbers of at most %g", most);
  for (int i = SHIFT; i < SHIFT + 2; i++)
    if (!(fabs(n->attr[i]) <= most))
      return ops_fail(n, err, LUN_EARG, "'shift' is two numbers of at most %g",
                      most);
  return ops_same(n, err);
}

typedef struct warp {
  const double *m, *shift;
  int64_t h, w, planes; /* planes: of one copy */
  int mirror;
  float value;
  const float *from;
  float *to;
} warp;

static warp measure(const lun_node *n, const float *from, float *to) {
  const lun_tensor *x = n->in[0];
  return (warp){.m = n->attr + MATRIX,
                .shift = n->attr + SHIFT,
                .h = x->dim[2],
                .w = x->dim[3],
                .planes = x->dim[0] * x->dim[1],
                .mirror = n->attr[MIRROR] != 0,
                .value = (float)n->attr[VALUE],
                .from = from,
                .to = to};
}

/* Two neighbours of a position on an axis of n, and their weights: 0 outside. */
typedef struct pair {
  int64_t at[2];
  float weight[2];
} pair;

static inline pair pair_at(double x, int64_t n, int mirror) {
  int64_t low =
      (int64_t)x - (x < (double)(int64_t)x); /* floor, without a call */
  float share = (float)(x - (double)low);
  pair p = {{low, low + 1}, {1 - share, share}};
  if (low >= 0 && low + 1 < n) return p;
  for (int k = 0; k < 2; k++) {
    int64_t i = p.at[k];
    if (i >= 0 && i < n) continue;
    if (mirror) {
      i = (i % (2 * n) + 2 * n) % (2 * n);
      p.at[k] = i < n ? i : 2 * n - 1 - i;
    } else {
      p.at[k] = i < 0 ? 0 : n - 1;
      p.weight[k] = 0;
    }
  }
  return p;
}

/* Where output (y, x) comes from: a pair of rows, a pair of columns. */
static inline void source(const warp *k, int64_t y, int64_t x, pair *rows,
                          pair *columns) {
  double cy = (double)(k->h - 1) / 2, cx = (double)(k->w - 1) / 2;
  double dy = (double)y - cy, dx = (double)x - cx;
  cy += k->shift[0], cx += k->shift[1];
  *rows = pair_at(k->m[0] * dy + k->m[1] * dx + cy, k->h, k->mirror);
  *columns = pair_at(k->m[2] * dy + k->m[3] * dx + cx, k->w, k->mirror);
}

static void turn(void *arg, int64_t plane) {
  const warp *k = arg;
  const float *from = k->from + plane * k->h * k->w, f = k->value;
  float *to = k->to + plane * k->h * k->w;
  for (int64_t y = 0; y < k->h; y++)
    for (int64_t x = 0; x < k->w; x++) {
      pair r, c;
      const float *a, *b;
      source(k, y, x, &r, &c);
      a = from + r.at[0] * k->w, b = from + r.at[1] * k->w;
      *to++ = f +
              r.weight[0] * (c.weight[0] * (a[c.at[0]] - f) +
                             c.weight[1] * (a[c.at[1]] - f)) +
              r.weight[1] * (c.weight[0] * (b[c.at[0]] - f) +
                             c.weight[1] * (b[c.at[1]] - f));
    }
}

static void unturn(void *arg, int64_t plane) {
  const warp *k = arg;
  const float *dy = k->from + plane * k->h * k->w;
  float *to = k->to + plane * k->h * k->w;
  memset(to, 0, (size_t)(k->h * k->w) * sizeof *to);
  for (int64_t y = 0; y < k->h; y++)
    for (int64_t x = 0; x < k->w; x++, dy++) {
      pair r, c;
      source(k, y, x, &r, &c);
      for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
          to[r.at[i] * k->w + c.at[j]] += r.weight[i] * c.weight[j] * *dy;
    }
}

static int affine_forward(lun_node *n, lun_err *err) {
  warp k = measure(n, n->in[0]->data, n->out->data);
  if (n->out->size == 0) return LUN_OK;
  return ops_units(n, k.planes, 8 * k.h * k.w, turn, &k, err);
}

static int affine_back(const lun_back *b, lun_err *err) {
  warp k = measure(b->node, b->dy, b->dx[0]);
  if (!b->dx[0] || b->node->out->size == 0) return LUN_OK;
  return ops_units(b->node, b->copies * k.planes, 8 * k.h * k.w, unturn, &k,
                   err);
}

OPS_RULES(affine, RELEVANCE_NORM);
OPS_OPERATOR(affine,
             "affine(x (N,C,H,W), matrix, value, mirror, shift): the output at "
             "p from the centre is x at M p + shift, bilinear; outside it is "
             "value, or mirrored",
             1, 1, .attrs = attrs, .infer = infer);
