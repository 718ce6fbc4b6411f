/*
** avg_pool.c - means of windows of (N, C, H, W) maps; every plane is a unit of its
** own.
*/
#include <string.h>

#include "relevance.h"
#include "window.h"

typedef struct work {
  lun_window w;
  int count_pad;
  const float *x, *dy;
  float *y, *dx;
  float *scratch; /* a row of windows a worker */
} work;

/* A row of windows for every worker. */
static int row_each(const lun_node *n, work *k, lun_err *err) {
  size_t row = (size_t)k->w.out[1] * sizeof(float);
  k->scratch = lun_malloc(row * (size_t)lun_threads());
  if (k->scratch) return LUN_OK;
  return ops_fail(n, err, LUN_ENOMEM, "no memory for %zu bytes", row);
}

static const lun_attrdef avg_attrs[] = {
    WINDOW_ATTRS,
    {.name = "count_include_pad", .at = COUNT_PAD, .count = 1, .fallback = 1},
    {.name = NULL},
};

static int geometry(const lun_node *n, work *k, lun_err *err) {
  int64_t flag;
  LUN_TRY(ops_window(n, &k->w, err));
  LUN_TRY(ops_int(n, COUNT_PAD, 0, 1, &flag, err));
  k->count_pad = (int)flag;
  return LUN_OK;
}

static int avg_infer(lun_node *n, lun_err *err) {
  work k;
  LUN_TRY(geometry(n, &k, err));
  return ops_window_shape(n, &k.w, err);
}

/* What a window's sum along one axis is divided by: its taps inside the
** input; with the padding counted, also those inside the padding (but not
** those that ceil mode puts beyond it). */
static int64_t divisor(const work *k, int a, int64_t o) {
  const lun_window *w = &k->w;
  int64_t lo, hi, room = w->in[a] + w->end[a] - ops_window_at(w, a, o, 0);
  ops_window_inside(w, a, o, &lo, &hi);
  if (!k->count_pad) return hi - lo;
  hi = (room + w->dilation[a] - 1) / w->dilation[a];
  return hi < w->k[a] ? hi : w->k[a];
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
static void add_taps(const lun_window *w, int64_t r, float *map, float *row,
                     int back) {
  int64_t lo, hi, from, to, s = w->stride[1];
  ops_window_inside(w, 0, r, &lo, &hi);
  for (int64_t i = lo; i < hi; i++)
    for (int64_t j = 0; j < w->k[1]; j++) {
      if (!ops_window_columns(w, j, &from, &to)) continue;
      float *v = map + ops_window_at(w, 0, r, i) * w->in[1] +
                 ops_window_at(w, 1, from, j);
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
static void weigh(const work *k, int64_t r, const float *from, float *to) {
  int64_t high = divisor(k, 0, r);
  for (int64_t c = 0; c < k->w.out[1]; c++)
    to[c] = from[c] / (float)(high * divisor(k, 1, c));
}

static void avg_plane(void *arg, int64_t plane) {
  const work *k = arg;
  const lun_window *w = &k->w;
  /* only read: add_taps writes the row */
  float *x = (float *)(uintptr_t)k->x + plane * w->in[0] * w->in[1];
  float *y = k->y + plane * w->out[0] * w->out[1];
  for (int64_t r = 0; r < w->out[0]; r++, y += w->out[1]) {
    memset(y, 0, (size_t)w->out[1] * sizeof *y);
    add_taps(w, r, x, y, 0);
    weigh(k, r, y, y);
  }
}

static void avg_plane_back(void *arg, int64_t plane) {
  const work *k = arg;
  const lun_window *w = &k->w;
  int64_t size = w->in[0] * w->in[1];
  const float *dy = k->dy + plane * w->out[0] * w->out[1];
  float *dx = k->dx + plane * size,
        *row = k->scratch + lun_worker() * w->out[1];
  memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t r = 0; r < w->out[0]; r++, dy += w->out[1]) {
    weigh(k, r, dy, row);
    add_taps(w, r, dx, row, 1);
  }
}

static int avg_pool2d_forward(lun_node *n, lun_err *err) {
  work k = {.x = n->in[0]->data, .y = n->out->data};
  LUN_TRY(geometry(n, &k, err));
  return ops_units(n, k.w.planes, k.w.in[0] * k.w.in[1], avg_plane, &k, err);
}

static int avg_pool2d_back(const lun_back *b, lun_err *err) {
  work k = {.dy = b->dy, .dx = b->dx[0]};
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(geometry(b->node, &k, err));
  LUN_TRY(row_each(b->node, &k, err));
  int status = ops_units(b->node, b->copies * k.w.planes, k.w.in[0] * k.w.in[1],
                         avg_plane_back, &k, err);
  lun_free(k.scratch);
  return status;
}

OPS_RULES(avg_pool2d, RELEVANCE_NORM);
OPS_OPERATOR(avg_pool2d,
             "avg_pool2d(x, kernel, stride = kernel, padding, padding_end, "
             "ceil_mode, dilation, count_include_pad = 1)",
             1, 1, .attrs = avg_attrs, .infer = avg_infer);
