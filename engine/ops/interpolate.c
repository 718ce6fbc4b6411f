/*
** interpolate.c - resizing maps: nearest, bilinear, bicubic.
**
** Every output position is a weighted sum of up to four input positions of
** its row, and then of its column (the kernels are separable).  Output o
** looks at input coordinate
**   o (in - 1) / (out - 1)         with align_corners (scipy's zoom)
**   (o + 1/2) in / out - 1/2       without (half-pixel: PyTorch, OpenCV)
** Positions beyond an edge are the edge.  There is no antialiasing: these
** enlarge maps; pictures are reduced by picture.h.  The gradient is the
** transposed sum.
*/
#include <math.h>
#include <string.h>

#include "relevance.h"

enum { SIZE = 0, MODE = 2, ALIGN = 3 };
enum { NEAREST, BILINEAR, BICUBIC };
enum { TAPS = 4 };

static const lun_attrdef attrs[] = {
    {.name = "size", .at = SIZE, .count = 2, .fallback = LUN_UNSET},
    {.name = "mode", .at = MODE, .count = 1, .fallback = BILINEAR},
    {.name = "align_corners", .at = ALIGN, .count = 1, .fallback = 0},
    {.name = NULL},
};

static int infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t size[2], flag;
  char text[LUN_SHAPETEXT];
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_int(n, SIZE, 1, 1 << 20, &size[0], err));
  LUN_TRY(ops_int(n, SIZE + 1, 1, 1 << 20, &size[1], err));
  LUN_TRY(ops_int(n, MODE, NEAREST, BICUBIC, &flag, err));
  LUN_TRY(ops_int(n, ALIGN, 0, 1, &flag, err));
  if (x->dim[2] < 1 || x->dim[3] < 1)
    return ops_fail(n, err, LUN_ESHAPE, "input has shape %s",
                    lun_shape_text(text, sizeof text, x->ndim, x->dim));
  return lun_node_shape(
      n, 4, (int64_t[]){x->dim[0], x->dim[1], size[0], size[1]}, err);
}

/* ---- one axis ----------------------------------------------------------- */

/* The inputs of one output position. */
typedef struct tap {
  int64_t at[TAPS];
  float weight[TAPS];
} tap;

typedef struct axis {
  int64_t in, out;
  int taps; /* used of each: 1, 2 or 4 */
  tap *tap; /* out of them */
} axis;

/* Keys' cubic with a = -3/4, as PyTorch and OpenCV; t is the distance. */
static double cubic(double t) {
  const double a = -0.75;
  t = fabs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

static int64_t inside(int64_t i, int64_t len) {
  return i < 0 ? 0 : i >= len ? len - 1 : i;
}

/* Coordinate in the input of output position o. */
static double place(const axis *a, int64_t o, int align) {
  double in = (double)a->in, out = (double)a->out, at = (double)o;
  if (align) return a->out > 1 ? at * (in - 1) / (out - 1) : 0;
  return (at + 0.5) * in / out - 0.5;
}

static void fill_tap(const axis *a, tap *t, double x, int mode) {
  double low = floor(x);
  int64_t first = (int64_t)low - (mode == BICUBIC);
  for (int k = 0; k < a->taps; k++) {
    double away = fabs(x - (low + k - (mode == BICUBIC)));
    t->at[k] = inside(first + k, a->in);
    t->weight[k] = (float)(mode == BICUBIC ? cubic(away) : 1 - away);
  }
}

/* PyTorch's nearest takes floor(o in / out), whatever align_corners says. */
static void fill_nearest(const axis *a, tap *t, int64_t o) {
  t->at[0] = inside(o * a->in / a->out, a->in);
  t->weight[0] = 1;
}

static void fill_axis(axis *a, int mode, int align) {
  a->taps = mode == NEAREST ? 1 : mode == BILINEAR ? 2 : TAPS;
  for (int64_t o = 0; o < a->out; o++) {
    if (mode == NEAREST)
      fill_nearest(a, &a->tap[o], o);
    else
      fill_tap(a, &a->tap[o], place(a, o, align), mode);
  }
}

/* ---- planes ------------------------------------------------------------- */

typedef struct work {
  axis v, h;
  int64_t planes;
  const float *from;
  float *to;
  float *scratch; /* a plane (in height) x (out width) a worker */
} work;

/* Rows: mid (v.in, h.out) from x (v.in, h.in). */
static void across(const work *k, const float *x, float *mid) {
  for (int64_t r = 0; r < k->v.in; r++, x += k->h.in, mid += k->h.out)
    for (int64_t o = 0; o < k->h.out; o++) {
      const tap *t = &k->h.tap[o];
      float sum = 0;
      for (int i = 0; i < k->h.taps; i++) sum += t->weight[i] * x[t->at[i]];
      mid[o] = sum;
    }
}

/* to[i] = or += weight * from[i] */
static void add_row(float *restrict to, const float *restrict from,
                    float weight, int64_t len, int fresh) {
  if (fresh)
    for (int64_t i = 0; i < len; i++) to[i] = weight * from[i];
  else
    for (int64_t i = 0; i < len; i++) to[i] += weight * from[i];
}

static void resize(void *arg, int64_t plane) {
  const work *k = arg;
  int64_t wide = k->h.out;
  float *mid = k->scratch + lun_worker() * k->v.in * wide;
  float *y = k->to + plane * k->v.out * wide;
  across(k, k->from + plane * k->v.in * k->h.in, mid);
  for (int64_t r = 0; r < k->v.out; r++, y += wide) {
    const tap *t = &k->v.tap[r];
    for (int i = 0; i < k->v.taps; i++)
      add_row(y, mid + t->at[i] * wide, t->weight[i], wide, i == 0);
  }
}

/* The transpose: columns first, then rows. */
static void resize_back(void *arg, int64_t plane) {
  const work *k = arg;
  int64_t wide = k->h.out;
  float *mid = k->scratch + lun_worker() * k->v.in * wide;
  const float *dy = k->from + plane * k->v.out * wide;
  float *dx = k->to + plane * k->v.in * k->h.in;
  memset(mid, 0, (size_t)(k->v.in * wide) * sizeof *mid);
  for (int64_t r = 0; r < k->v.out; r++, dy += wide) {
    const tap *t = &k->v.tap[r];
    for (int i = 0; i < k->v.taps; i++)
      add_row(mid + t->at[i] * wide, dy, t->weight[i], wide, 0);
  }
  memset(dx, 0, (size_t)(k->v.in * k->h.in) * sizeof *dx);
  for (int64_t r = 0; r < k->v.in; r++, dx += k->h.in, mid += wide)
    for (int64_t o = 0; o < wide; o++) {
      const tap *t = &k->h.tap[o];
      for (int i = 0; i < k->h.taps; i++) dx[t->at[i]] += t->weight[i] * mid[o];
    }
}

static int run(const lun_node *n, int copies, const float *from, float *to,
               lun_job *fn, lun_err *err) {
  const lun_tensor *x = n->in[0], *y = n->out;
  work k = {.planes = x->dim[0] * x->dim[1], .from = from, .to = to};
  k.v = (axis){.in = x->dim[2], .out = y->dim[2]};
  k.h = (axis){.in = x->dim[3], .out = y->dim[3]};
  int64_t mid = k.v.in * k.h.out * lun_threads();
  tap *tap_ = lun_malloc((size_t)(k.v.out + k.h.out) * sizeof *tap_);
  k.scratch = lun_malloc((size_t)mid * sizeof(float));
  int status = LUN_ENOMEM;
  if (tap_ && k.scratch) {
    k.v.tap = tap_;
    k.h.tap = tap_ + k.v.out;
    fill_axis(&k.v, (int)n->attr[MODE], n->attr[ALIGN] != 0);
    fill_axis(&k.h, (int)n->attr[MODE], n->attr[ALIGN] != 0);
    int64_t unit = (k.v.in + k.v.out) * k.h.out * k.v.taps;
    status = ops_units(n, copies * k.planes, unit, fn, &k, err);
  } else {
    ops_fail(n, err, LUN_ENOMEM, "no memory for %lld floats", (long long)mid);
  }
  lun_free(tap_);
  lun_free(k.scratch);
  return status;
}

static int interpolate_forward(lun_node *n, lun_err *err) {
  return run(n, 1, n->in[0]->data, n->out->data, resize, err);
}

static int interpolate_back(const lun_back *b, lun_err *err) {
  if (!b->dx[0]) return LUN_OK;
  return run(b->node, b->copies, b->dy, b->dx[0], resize_back, err);
}

OPS_RULES(interpolate, RELEVANCE_NORM);
OPS_OPERATOR(interpolate,
             "interpolate(x (N,C,H,W), size, mode, align_corners): mode "
             "0 nearest, 1 bilinear, 2 bicubic",
             1, 1, .attrs = attrs, .infer = infer);
