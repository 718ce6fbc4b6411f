/*
** affine.c - maps rotated, enlarged or sheared about their centre, bilinear.
**
** The output at p, counted from the centre ((H-1)/2, (W-1)/2), is the input at M p + s:
**   M = | a b |   rows first, as `matrix` = {a, b, c, d}; s is `shift` = {rows,
**       | c d |   columns}
** so that M = R(-t) / k rotates by t and enlarges by k.  What lies outside is `value`,
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
  if (n->in[0]->dim[2] * n->in[0]->dim[3] > INT32_MAX)
    return ops_fail(n, err, LUN_ESHAPE, "maps of more than 2^31 values");
  return ops_same(n, err);
}

/*
** Where the outputs of some rows come from, four inputs and their weights each, is
** worked out once for all planes, BAND outputs (or a row) at a time: as much as the
** caches hold beside the planes.
*/
enum { BAND = 1 << 14 };

typedef struct source {
  int32_t at[4];
  float weight[4];
} source;

typedef struct warp {
  const double *m, *shift;
  int64_t h, w, planes; /* planes: of all copies */
  int mirror;
  float value;
  const float *from;
  float *to;
  source *band;
  int64_t first, rows; /* output rows of the band */
} warp;

static warp measure(const lun_node *n, int copies, const float *from,
                    float *to) {
  const lun_tensor *x = n->in[0];
  return (warp){.m = n->attr + MATRIX,
                .shift = n->attr + SHIFT,
                .h = x->dim[2],
                .w = x->dim[3],
                .planes = copies * x->dim[0] * x->dim[1],
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

/* The sources of a row of outputs: a pair of rows and a pair of columns each. */
static void find_row(void *arg, int64_t row) {
  const warp *k = arg;
  source *to = k->band + row * k->w;
  double cy = (double)(k->h - 1) / 2, cx = (double)(k->w - 1) / 2;
  double dy = (double)(k->first + row) - cy;
  double y0 = k->m[0] * dy + cy + k->shift[0];
  double x0 = k->m[2] * dy + cx + k->shift[1];
  for (int64_t x = 0; x < k->w; x++, to++) {
    double dx = (double)x - cx;
    pair r = pair_at(y0 + k->m[1] * dx, k->h, k->mirror);
    pair c = pair_at(x0 + k->m[3] * dx, k->w, k->mirror);
    for (int i = 0; i < 4; i++) {
      to->at[i] = (int32_t)(r.at[i / 2] * k->w + c.at[i % 2]);
      to->weight[i] = r.weight[i / 2] * c.weight[i % 2];
    }
  }
}

/* A row of outputs of a plane. */
static void affine_row(void *arg, int64_t unit) {
  const warp *k = arg;
  int64_t plane = unit / k->rows, row = unit % k->rows;
  const source *s = k->band + row * k->w;
  const float *from = k->from + plane * k->h * k->w, f = k->value;
  float *to = k->to + (plane * k->h + k->first + row) * k->w;
  for (int64_t i = 0; i < k->w; i++, s++)
    to[i] = f + s->weight[0] * (from[s->at[0]] - f) +
            s->weight[1] * (from[s->at[1]] - f) +
            s->weight[2] * (from[s->at[2]] - f) +
            s->weight[3] * (from[s->at[3]] - f);
}

/* A plane of the gradient.  Outputs are added one after the other, since several may
** have read the same input. */
static void affine_plane_back(void *arg, int64_t plane) {
  const warp *k = arg;
  const source *s = k->band;
  const float *dy = k->from + (plane * k->h + k->first) * k->w;
  float *to = k->to + plane * k->h * k->w;
  if (k->first == 0) memset(to, 0, (size_t)(k->h * k->w) * sizeof *to);
  for (int64_t i = 0; i < k->rows * k->w; i++, s++)
    for (int j = 0; j < 4; j++) to[s->at[j]] += s->weight[j] * dy[i];
}

/* Calls fn for every plane, one band of output rows after the other; with `split`, for
** every row of every plane. */
static int each_band(const lun_node *n, warp *k, lun_job *fn, int split,
                     lun_err *err) {
  int64_t each = BAND / k->w > 0 ? BAND / k->w : 1;
  int st = LUN_OK;
  if (each > k->h) each = k->h;
  k->band = lun_malloc((size_t)(each * k->w) * sizeof *k->band);
  if (!k->band) return ops_fail(n, err, LUN_ENOMEM, "no memory for a band");
  for (k->first = 0; k->first < k->h && st == LUN_OK; k->first += each) {
    k->rows = k->h - k->first < each ? k->h - k->first : each;
    int64_t parts = split ? k->rows : 1;
    st = ops_units(n, k->rows, 16 * k->w, find_row, k, err);
    if (st == LUN_OK)
      st = ops_units(n, k->planes * parts, 8 * k->rows / parts * k->w, fn, k,
                     err);
  }
  lun_free(k->band);
  return st;
}

static int affine_forward(lun_node *n, lun_err *err) {
  warp k = measure(n, 1, n->in[0]->data, n->out->data);
  return n->out->size == 0 ? LUN_OK : each_band(n, &k, affine_row, 1, err);
}

static int affine_back(const lun_back *b, lun_err *err) {
  warp k = measure(b->node, b->copies, b->dy, b->dx[0]);
  if (!b->dx[0] || b->node->out->size == 0) return LUN_OK;
  return each_band(b->node, &k, affine_plane_back, 0, err);
}

OPS_RULES(affine, RELEVANCE_NORM);
OPS_OPERATOR(affine,
             "affine(x (N,C,H,W), matrix, value, mirror, shift): the output at "
             "p from the centre is x at M p + shift, bilinear; outside it is "
             "value, or mirrored",
             1, 1, .attrs = attrs, .infer = infer);
