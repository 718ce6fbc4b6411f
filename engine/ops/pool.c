/*
** pool.c - pooling of (N, C, H, W) maps: max, average, and both over whole
** planes.  Every plane is a unit of its own, but where windows are VGG's 2x2
** bands of rows are.
*/
#include <math.h>
#include <string.h>

#include "../kernels/simd.h"
#include "relevance.h"

/* ---- windows ----------------------------------------------------------- */

enum { KERNEL = 0, STRIDE = 2, PAD = 4, CEIL = 6, COUNT_PAD = 7 };

#define WINDOW_ATTRS                                                           \
  {.name = "kernel", .at = KERNEL, .count = 2, .fallback = LUN_UNSET},         \
      {.name = "stride", .at = STRIDE, .count = 2, .fallback = LUN_UNSET},     \
      {.name = "padding", .at = PAD, .count = 2, .fallback = 0}, {             \
    .name = "ceil_mode", .at = CEIL, .count = 1, .fallback = 0                 \
  }

/* Axis 0 is vertical, axis 1 horizontal. */
typedef struct window {
  int64_t planes;        /* N C */
  int64_t in[2], out[2]; /* heights and widths */
  int64_t k[2], stride[2], pad[2];
  int count_pad;
} window;

enum { BANDS = 16 };
enum { MOST = 1 << 24 }; /* a plane's side; sides and taps fit an int32 */

/* Attributes of one axis; a missing stride is the kernel's. */
static int axis_attrs(const lun_node *n, window *w, int a, lun_err *err) {
  LUN_TRY(ops_int(n, KERNEL + a, 1, 4096, &w->k[a], err));
  w->stride[a] = w->k[a];
  if (ops_given(n, STRIDE + a))
    LUN_TRY(ops_int(n, STRIDE + a, 1, MOST, &w->stride[a], err));
  return ops_int(n, PAD + a, 0, w->k[a] / 2, &w->pad[a], err);
}

/* PyTorch's output length: rounded up in ceil mode, but the last window must
** start inside the input or the padding before it. */
static int64_t length(const window *w, int a, int64_t ceil) {
  int64_t room = w->in[a] + 2 * w->pad[a] - w->k[a];
  int64_t out = (room + (ceil ? w->stride[a] - 1 : 0)) / w->stride[a] + 1;
  if (ceil && (out - 1) * w->stride[a] >= w->in[a] + w->pad[a]) out--;
  return out;
}

static int geometry(const lun_node *n, window *w, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t ceil;
  memset(w, 0, sizeof *w);
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  LUN_TRY(ops_int(n, CEIL, 0, 1, &ceil, err));
  w->planes = x->dim[0] * x->dim[1];
  for (int a = 0; a < 2; a++) {
    w->in[a] = x->dim[2 + a];
    LUN_TRY(axis_attrs(n, w, a, err));
    if (w->in[a] < 1 || w->in[a] + 2 * w->pad[a] < w->k[a] || w->in[a] > MOST)
      return ops_fail(n, err, LUN_ESHAPE,
                      "kernel spans %lld in %s, padded input has %lld",
                      (long long)w->k[a], a ? "width" : "height",
                      (long long)(w->in[a] + 2 * w->pad[a]));
    w->out[a] = length(w, a, ceil);
  }
  return LUN_OK;
}

static int window_shape(lun_node *n, const window *w, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[4] = {x->dim[0], x->dim[1], w->out[0], w->out[1]};
  return lun_node_shape(n, 4, dim, err);
}

/* The taps lo .. hi-1 of the window at output o that lie inside the input. */
static void inside(const window *w, int a, int64_t o, int64_t *lo,
                   int64_t *hi) {
  int64_t start = o * w->stride[a] - w->pad[a];
  *lo = start < 0 ? -start : 0;
  *hi = start + w->k[a] > w->in[a] ? w->in[a] - start : w->k[a];
}

typedef struct work {
  window w;
  const float *x, *dy;
  float *y, *dx;
  int32_t *tap;   /* max: which tap won, row by row through the window */
  uint8_t *tap4;  /* the same when there are four: a quarter of the bytes */
  float *scratch; /* a row of windows a worker */
  int64_t planes; /* of the forward pass: copies share taps */
  const lun_gate *gate;
  const lun_simd *isa;
  int64_t channels; /* of an image */
} work;

/* A row of windows for every worker. */
static int row_each(const lun_node *n, work *k, lun_err *err) {
  size_t row = (size_t)k->w.out[1] * sizeof(float);
  k->scratch = lun_malloc(row * (size_t)lun_threads());
  if (k->scratch) return LUN_OK;
  return ops_fail(n, err, LUN_ENOMEM, "no memory for %zu bytes", row);
}

/* ---- max: forward ------------------------------------------------------ */

/* Is the pooling that of VGG: 2 x 2, stride 2, no padding, no ragged edge
** windows?  Then four neighbours meet in one vectorisable pass. */
static int is_maxpool2x2(const window *w) {
  for (int a = 0; a < 2; a++)
    if (w->k[a] != 2 || w->stride[a] != 2 || w->pad[a] ||
        2 * w->out[a] > w->in[a])
      return 0;
  return 1;
}

int ops_maxpool2x2(const lun_node *n) {
  window w;
  return n->op == &lun_op_max_pool2d && geometry(n, &w, NULL) == LUN_OK &&
         is_maxpool2x2(&w);
}

/* best and its tap k give way to v with tap l: the first maximum stays, but
** a NaN wins.  Plain selections, one at a time: compilers vectorise those. */
#define TAKE(v, l, best, k)                                                    \
  do {                                                                         \
    k = (v) != (v) ? (l) : k;                                                  \
    best = (v) != (v) ? (v) : best;                                            \
    k = (v) > best ? (l) : k;                                                  \
    best = (v) > best ? (v) : best;                                            \
  } while (0)

/* Bands of rows of an image: all channels of a band are one unit, so that a
** worker meets the rows that it convolved. */
static int64_t bands(const window *w) {
  return w->out[0] < BANDS ? w->out[0] : BANDS;
}

static void band_rows(const window *w, int64_t unit, int64_t *lo, int64_t *hi) {
  int64_t all = bands(w), band = unit % all;
  *lo = w->out[0] * band / all;
  *hi = w->out[0] * (band + 1) / all;
}

static void maxpool2x2(void *arg, int64_t unit) {
  const work *k = arg;
  const window *w = &k->w;
  int64_t lo, hi, first = unit / bands(w) * k->channels;
  band_rows(w, unit, &lo, &hi);
  for (int64_t p = first; p < first + k->channels; p++) {
    const float *top = k->x + (p * w->in[0] + 2 * lo) * w->in[1];
    int64_t to = (p * w->out[0] + lo) * w->out[1];
    for (int64_t r = lo; r < hi; r++, to += w->out[1], top += 2 * w->in[1])
      k->isa->maxpool2x2(top, top + w->in[1], k->y + to, k->tap4 + to,
                         w->out[1]);
  }
}

/* The output columns from..to-1 whose window has tap column j inside; says
** whether there are any. */
static int columns(const window *w, int64_t j, int64_t *from, int64_t *to) {
  int64_t s = w->stride[1], before = w->pad[1] - j;
  int64_t last = w->in[1] - 1 + before; /* last column starts here or less */
  *from = before > 0 ? (before + s - 1) / s : 0;
  *to = last < 0 ? 0 : last / s + 1;
  if (*to > w->out[1]) *to = w->out[1];
  return *from < *to;
}

/* Offers one tap to a row of windows. */
static inline void offer(const float *x, int64_t stride, int32_t here,
                         float *restrict best, int32_t *restrict tap,
                         int64_t len) {
  for (int64_t i = 0; i < len; i++) {
    const float v = x[i * stride];
    float p = best[i];
    int32_t k = tap[i];
    TAKE(v, here, p, k);
    best[i] = p;
    tap[i] = k;
  }
}

/* A row of windows, tap by tap in reading order. */
static void max_row(const work *k, const float *x, int64_t r, float *y,
                    int32_t *tap) {
  const window *w = &k->w;
  int64_t lo, hi, from, to;
  inside(w, 0, r, &lo, &hi);
  for (int64_t c = 0; c < w->out[1]; c++) {
    int64_t left = w->pad[1] - c * w->stride[1];
    y[c] = -HUGE_VALF;
    tap[c] = (int32_t)(lo * w->k[1] + (left > 0 ? left : 0));
  }
  for (int64_t i = lo; i < hi; i++)
    for (int64_t j = 0; j < w->k[1]; j++) {
      if (!columns(w, j, &from, &to)) continue;
      int64_t s = w->stride[1], row = r * w->stride[0] - w->pad[0] + i;
      const float *v = x + row * w->in[1] + from * s - w->pad[1] + j;
      int32_t here = (int32_t)(i * w->k[1] + j);
      if (s == 1) /* constants, so that these vectorise */
        offer(v, 1, here, y + from, tap + from, to - from);
      else if (s == 2)
        offer(v, 2, here, y + from, tap + from, to - from);
      else
        offer(v, s, here, y + from, tap + from, to - from);
    }
}

static void max_plane(void *arg, int64_t plane) {
  const work *k = arg;
  const window *w = &k->w;
  const float *x = k->x + plane * w->in[0] * w->in[1];
  int64_t at = plane * w->out[0] * w->out[1];
  for (int64_t r = 0; r < w->out[0]; r++, at += w->out[1])
    max_row(k, x, r, k->y + at, k->tap + at);
}

static void set_taps(const lun_node *n, work *k) {
  void *aux = n->aux->data;
  k->tap = aux;
  k->tap4 = aux;
}

/* fn over the bands of `copies` of the batch. */
static int run_bands(const lun_node *n, work *k, int64_t copies, lun_job *fn,
                     lun_err *err) {
  const window *w = &k->w;
  int64_t images = copies * n->in[0]->dim[0];
  k->isa = lun_simd_now();
  k->channels = n->in[0]->dim[1];
  return ops_units(n, images * bands(w),
                   k->channels * w->in[0] * w->in[1] / bands(w), fn, k, err);
}

static int max_infer(lun_node *n, lun_err *err) {
  window w;
  int64_t room;
  LUN_TRY(geometry(n, &w, err));
  LUN_TRY(window_shape(n, &w, err));
  room = is_maxpool2x2(&w) ? (n->out->size + 3) / 4 : n->out->size;
  return lun_tensor_new(&n->aux, 1, &room, err);
}

static int max_pool2d_forward(lun_node *n, lun_err *err) {
  work k = {.x = n->in[0]->data, .y = n->out->data};
  set_taps(n, &k);
  LUN_TRY(geometry(n, &k.w, err));
  if (is_maxpool2x2(&k.w)) return run_bands(n, &k, 1, maxpool2x2, err);
  return ops_units(n, k.w.planes, k.w.in[0] * k.w.in[1], max_plane, &k, err);
}

/* ---- max: backward ----------------------------------------------------- */

/* The gate of the unit that made values y, over n gradients. */
static void gate_span(lun_slopes s, const float *restrict y, float *restrict d,
                      int64_t n) {
  for (int64_t i = 0; i < n; i++) d[i] = lun_gate_value(s, y[i], d[i]);
}

/* Each gradient goes to one of four places; the other three get 0. */
static void maxpool2x2_back_rows(const work *k, int64_t plane, int64_t lo,
                                 int64_t hi) {
  const window *w = &k->w;
  int64_t wide = w->in[1], even = 2 * w->out[1];
  int64_t at = (plane % k->planes * w->out[0] + lo) * w->out[1];
  const float *dy = k->dy + (plane * w->out[0] + lo) * w->out[1];
  float *top = k->dx + (plane * w->in[0] + 2 * lo) * wide;
  for (int64_t r = lo; r < hi; r++) {
    k->isa->maxpool2x2_back(k->gate, dy, k->y + at, k->tap4 + at, top,
                            top + wide, w->out[1]);
    if (even < wide) top[even] = top[wide + even] = 0; /* odd last column */
    at += w->out[1], dy += w->out[1], top += 2 * wide;
  }
  if (hi == w->out[0] && 2 * hi < w->in[0]) /* odd last row */
    memset(top, 0, (size_t)wide * sizeof *top);
}

static void maxpool2x2_back(void *arg, int64_t unit) {
  const work *k = arg;
  int64_t lo, hi, first = unit / bands(&k->w) * k->channels;
  band_rows(&k->w, unit, &lo, &hi);
  for (int64_t p = first; p < first + k->channels; p++)
    maxpool2x2_back_rows(k, p, lo, hi);
}

/* Windows may overlap: start from 0 and add. */
static void max_unplane(void *arg, int64_t plane) {
  const work *k = arg;
  const window *w = &k->w;
  int64_t size = w->in[0] * w->in[1], o = 0;
  const float *dy = k->dy + plane * w->out[0] * w->out[1];
  const int32_t *tap = k->tap + plane % k->planes * w->out[0] * w->out[1];
  float *dx = k->dx + plane * size;
  memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t r = 0; r < w->out[0]; r++)
    for (int64_t c = 0; c < w->out[1]; c++, o++) {
      int64_t i = r * w->stride[0] - w->pad[0] + tap[o] / w->k[1];
      int64_t j = c * w->stride[1] - w->pad[1] + tap[o] % w->k[1];
      dx[i * w->in[1] + j] += dy[o];
    }
  if (k->gate)
    gate_span(k->gate->slope, k->gate->y + plane % k->planes * size, dx, size);
}

static int max_pool2d_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  work k = {.dy = b->dy, .dx = b->dx[0], .y = n->out->data, .gate = b->gate};
  if (!b->dx[0]) return LUN_OK;
  set_taps(n, &k);
  LUN_TRY(geometry(n, &k.w, err));
  k.planes = k.w.planes;
  if (is_maxpool2x2(&k.w))
    return run_bands(n, &k, b->copies, maxpool2x2_back, err);
  return ops_units(n, b->copies * k.planes, k.w.in[0] * k.w.in[1], max_unplane,
                   &k, err);
}

static const lun_attrdef max_attrs[] = {
    WINDOW_ATTRS,
    {.name = NULL},
};

OPS_RULES(max_pool2d, RELEVANCE_NORM);
OPS_OPERATOR(max_pool2d,
             "max_pool2d(x, kernel, stride = kernel, padding, ceil_mode): "
             "gradient to the first maximum",
             1, 1, .attrs = max_attrs, .infer = max_infer, .gated = 1,
             .selects_input = 1);

/* ---- average ----------------------------------------------------------- */

static const lun_attrdef avg_attrs[] = {
    WINDOW_ATTRS,
    {.name = "count_include_pad", .at = COUNT_PAD, .count = 1, .fallback = 1},
    {.name = NULL},
};

static int avg_geometry(const lun_node *n, window *w, lun_err *err) {
  int64_t flag;
  LUN_TRY(geometry(n, w, err));
  LUN_TRY(ops_int(n, COUNT_PAD, 0, 1, &flag, err));
  w->count_pad = (int)flag;
  return LUN_OK;
}

static int avg_infer(lun_node *n, lun_err *err) {
  window w;
  LUN_TRY(avg_geometry(n, &w, err));
  return window_shape(n, &w, err);
}

/* What a window's sum along one axis is divided by: its taps inside the
** input; with the padding counted, also those inside the padding (but not
** those that ceil mode puts beyond it). */
static int64_t divisor(const window *w, int a, int64_t o) {
  int64_t lo, hi, start = o * w->stride[a] - w->pad[a];
  int64_t end = start + w->k[a], room = w->in[a] + w->pad[a];
  inside(w, a, o, &lo, &hi);
  if (!w->count_pad) return hi - lo;
  return (end < room ? end : room) - start;
}

static inline void gather_row(const float *restrict x, int64_t stride,
                              float *restrict y, int64_t len) {
  for (int64_t i = 0; i < len; i++) y[i] += x[i * stride];
}

static inline void scatter_row(const float *restrict g, int64_t stride,
                               float *restrict dx, int64_t len) {
  for (int64_t i = 0; i < len; i++) dx[i * stride] += g[i];
}

/* Adds a row of maps to a row of windows, or (back) the other way round. */
static void add_taps(const window *w, int64_t r, float *map, float *row,
                     int back) {
  int64_t lo, hi, from, to, s = w->stride[1];
  inside(w, 0, r, &lo, &hi);
  for (int64_t i = lo; i < hi; i++)
    for (int64_t j = 0; j < w->k[1]; j++) {
      if (!columns(w, j, &from, &to)) continue;
      int64_t y = r * w->stride[0] - w->pad[0] + i;
      float *v = map + y * w->in[1] + from * s - w->pad[1] + j;
      if (back && s == 2)
        scatter_row(row + from, 2, v, to - from);
      else if (back)
        scatter_row(row + from, s, v, to - from);
      else if (s == 2)
        gather_row(v, 2, row + from, to - from);
      else
        gather_row(v, s, row + from, to - from);
    }
}

/* Multiplies a row of windows by their weights. */
static void weigh(const window *w, int64_t r, const float *from, float *to) {
  int64_t high = divisor(w, 0, r);
  for (int64_t c = 0; c < w->out[1]; c++)
    to[c] = from[c] / (float)(high * divisor(w, 1, c));
}

static void avg_plane(void *arg, int64_t plane) {
  const work *k = arg;
  const window *w = &k->w;
  /* only read: add_taps writes the row */
  float *x = (float *)(uintptr_t)k->x + plane * w->in[0] * w->in[1];
  float *y = k->y + plane * w->out[0] * w->out[1];
  for (int64_t r = 0; r < w->out[0]; r++, y += w->out[1]) {
    memset(y, 0, (size_t)w->out[1] * sizeof *y);
    add_taps(w, r, x, y, 0);
    weigh(w, r, y, y);
  }
}

static void avg_unplane(void *arg, int64_t plane) {
  const work *k = arg;
  const window *w = &k->w;
  int64_t size = w->in[0] * w->in[1];
  const float *dy = k->dy + plane * w->out[0] * w->out[1];
  float *dx = k->dx + plane * size,
        *row = k->scratch + lun_worker() * w->out[1];
  memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t r = 0; r < w->out[0]; r++, dy += w->out[1]) {
    weigh(w, r, dy, row);
    add_taps(w, r, dx, row, 1);
  }
}

static int avg_pool2d_forward(lun_node *n, lun_err *err) {
  work k = {.x = n->in[0]->data, .y = n->out->data};
  LUN_TRY(avg_geometry(n, &k.w, err));
  return ops_units(n, k.w.planes, k.w.in[0] * k.w.in[1], avg_plane, &k, err);
}

static int avg_pool2d_back(const lun_back *b, lun_err *err) {
  work k = {.dy = b->dy, .dx = b->dx[0]};
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(avg_geometry(b->node, &k.w, err));
  LUN_TRY(row_each(b->node, &k, err));
  int status = ops_units(b->node, b->copies * k.w.planes, k.w.in[0] * k.w.in[1],
                         avg_unplane, &k, err);
  lun_free(k.scratch);
  return status;
}

OPS_RULES(avg_pool2d, RELEVANCE_NORM);
OPS_OPERATOR(avg_pool2d,
             "avg_pool2d(x, kernel, stride = kernel, padding, ceil_mode, "
             "count_include_pad = 1)",
             1, 1, .attrs = avg_attrs, .infer = avg_infer);

/* ---- over whole planes ------------------------------------------------- */

static int global_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  char text[LUN_SHAPETEXT];
  LUN_TRY(ops_ndim(n, 0, 4, 4, err));
  if (x->dim[2] < 1 || x->dim[3] < 1 || x->dim[2] * x->dim[3] > INT32_MAX)
    return ops_fail(n, err, LUN_ESHAPE, "input has shape %s",
                    lun_shape_text(text, sizeof text, x->ndim, x->dim));
  return lun_node_shape(n, 4, (int64_t[]){x->dim[0], x->dim[1], 1, 1}, err);
}

static int global_max_infer(lun_node *n, lun_err *err) {
  LUN_TRY(global_infer(n, err));
  return lun_tensor_new(&n->aux, n->out->ndim, n->out->dim, err);
}

typedef struct whole {
  int64_t size, planes;
  const float *x, *dy;
  float *y, *dx;
  int32_t *at; /* place of the maximum */
} whole;

static whole whole_of(const lun_node *n) {
  const lun_tensor *x = n->in[0];
  whole g = {.size = x->dim[2] * x->dim[3], .planes = x->dim[0] * x->dim[1]};
  g.x = x->data;
  g.y = n->out->data;
  if (n->aux) g.at = (int32_t *)(void *)n->aux->data;
  return g;
}

static void mean_of(void *arg, int64_t plane) {
  const whole *g = arg;
  g->y[plane] =
      (float)(ops_run_sum(g->x + plane * g->size, g->size) / (double)g->size);
}

static void fill_mean(void *arg, int64_t plane) {
  const whole *g = arg;
  float *dx = g->dx + plane * g->size, v = g->dy[plane] / (float)g->size;
  for (int64_t i = 0; i < g->size; i++) dx[i] = v;
}

static void max_of(void *arg, int64_t plane) {
  const whole *g = arg;
  const float *x = g->x + plane * g->size;
  float best = x[0];
  int64_t at = 0;
  for (int64_t i = 1; i < g->size && best == best; i++)
    if (x[i] > best || x[i] != x[i]) best = x[at = i];
  g->y[plane] = best;
  g->at[plane] = (int32_t)at;
}

static void fill_max(void *arg, int64_t plane) {
  const whole *g = arg;
  float *dx = g->dx + plane * g->size;
  memset(dx, 0, (size_t)g->size * sizeof *dx);
  dx[g->at[plane % g->planes]] = g->dy[plane];
}

#define GLOBAL(id, text, check, take, give)                                    \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    whole g = whole_of(n);                                                     \
    return ops_units(n, g.planes, g.size, take, &g, err);                      \
  }                                                                            \
  static int id##_back(const lun_back *b, lun_err *err) {                      \
    whole g = whole_of(b->node);                                               \
    g.dy = b->dy;                                                              \
    g.dx = b->dx[0];                                                           \
    if (!g.dx) return LUN_OK;                                                  \
    return ops_units(b->node, b->copies * g.planes, g.size, give, &g, err);    \
  }                                                                            \
  OPS_RULES(id, RELEVANCE_NORM);                                               \
  OPS_OPERATOR(id, text, 1, 1, .infer = check);

GLOBAL(global_avg_pool, "global_avg_pool(x): (N,C,H,W) to (N,C,1,1)",
       global_infer, mean_of, fill_mean)
GLOBAL(global_max_pool, "global_max_pool(x): (N,C,H,W) to (N,C,1,1)",
       global_max_infer, max_of, fill_max)
