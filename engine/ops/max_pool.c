/*
** max_pool.c - the maximum of windows of (N, C, H, W) maps, and where it stands.  Every
** plane is a unit of its own, but where windows are VGG's 2x2 bands of rows are.
*/
#include <math.h>
#include <string.h>

#include "../kernels/simd.h"
#include "relevance.h"
#include "window.h"

enum { BANDS = 16 };

typedef struct work {
  lun_window w;
  const float *x, *dy;
  float *y, *dx;
  int32_t *tap;   /* which tap won, row by row through the window */
  uint8_t *tap4;  /* instead of tap for 2x2 windows: a byte is enough */
  int64_t planes; /* of the forward pass: copies share taps */
  const lun_gate *gate;
  const lun_simd *isa;
  int64_t channels; /* of an image */
} work;

/* ---- forward ------------------------------------------------------------ */

/* Is the pooling that of VGG: 2 x 2, stride 2, no padding, no ragged edge
** windows?  Then four neighbours meet in one vectorisable pass. */
static int is_maxpool2x2(const lun_window *w) {
  for (int a = 0; a < 2; a++)
    if (w->k[a] != 2 || w->stride[a] != 2 || w->pad[a] || w->end[a] ||
        w->dilation[a] != 1 || 2 * w->out[a] > w->in[a])
      return 0;
  return 1;
}

int ops_maxpool2x2(const lun_node *n) {
  lun_window w;
  return n->op == &lun_op_max_pool2d && ops_window(n, &w, NULL) == LUN_OK &&
         is_maxpool2x2(&w);
}

/* Replaces best and its tap k by v and l where v is larger, or NaN; of equal
** values the first stays.  Plain selections, one at a time, vectorise. */
#define TAKE(v, l, best, k)                                                    \
  do {                                                                         \
    k = (v) != (v) ? (l) : k;                                                  \
    best = (v) != (v) ? (v) : best;                                            \
    k = (v) > best ? (l) : k;                                                  \
    best = (v) > best ? (v) : best;                                            \
  } while (0)

/* Bands of rows of an image: all channels of a band are one unit, so that a
** worker meets the rows that it convolved. */
static int64_t bands(const lun_window *w) {
  return w->out[0] < BANDS ? w->out[0] : BANDS;
}

static void band_rows(const lun_window *w, int64_t unit, int64_t *lo,
                      int64_t *hi) {
  int64_t all = bands(w), band = unit % all;
  *lo = w->out[0] * band / all;
  *hi = w->out[0] * (band + 1) / all;
}

static void maxpool2x2(void *arg, int64_t unit) {
  const work *k = arg;
  const lun_window *w = &k->w;
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
static void row_by_taps(const work *k, const float *x, int64_t r, float *y,
                        int32_t *tap) {
  const lun_window *w = &k->w;
  int64_t lo, hi, from, to;
  ops_window_inside(w, 0, r, &lo, &hi);
  for (int64_t c = 0; c < w->out[1]; c++) {
    int64_t left = -ops_window_at(w, 1, c, 0), step = w->dilation[1];
    y[c] = -HUGE_VALF;
    from = left > 0 ? (left + step - 1) / step : 0; /* the first tap inside */
    tap[c] = (int32_t)(lo * w->k[1] + from);
  }
  for (int64_t i = lo; i < hi; i++)
    for (int64_t j = 0; j < w->k[1]; j++) {
      if (!ops_window_columns(w, j, &from, &to)) continue;
      int64_t s = w->stride[1], row = ops_window_at(w, 0, r, i);
      const float *v = x + row * w->in[1] + ops_window_at(w, 1, from, j);
      int32_t here = (int32_t)(i * w->k[1] + j);
      if (s == 1) /* constants, so that these vectorise */
        offer(v, 1, here, y + from, tap + from, to - from);
      else if (s == 2)
        offer(v, 2, here, y + from, tap + from, to - from);
      else
        offer(v, s, here, y + from, tap + from, to - from);
    }
}

/* One window of row r. */
static void one_window(const work *k, const float *x, int64_t r, int64_t c,
                       float *y, int32_t *tap) {
  const lun_window *w = &k->w;
  int64_t top, low, left, right;
  ops_window_inside(w, 0, r, &top, &low);
  ops_window_inside(w, 1, c, &left, &right);
  float best = -HUGE_VALF;
  int32_t won = (int32_t)(top * w->k[1] + left);
  for (int64_t i = top; i < low; i++)
    for (int64_t j = left; j < right; j++) {
      float v =
          x[ops_window_at(w, 0, r, i) * w->in[1] + ops_window_at(w, 1, c, j)];
      TAKE(v, (int32_t)(i * w->k[1] + j), best, won);
    }
  y[c] = best;
  tap[c] = won;
}

/* Windows three wide of stride 2 that meet neighbours: those inside go together. */
static void row_of_three(const work *k, const float *x, int64_t r, float *y,
                         int32_t *tap) {
  const lun_window *w = &k->w;
  int64_t lo, hi, out = w->out[1], from = (w->pad[1] + 1) / 2;
  int64_t room = w->in[1] + w->pad[1] - 3, to = room < 0 ? 0 : room / 2 + 1;
  if (to > out) to = out;
  if (from > to) from = to;
  ops_window_inside(w, 0, r, &lo, &hi);
  for (int64_t c = 0; c < from; c++) one_window(k, x, r, c, y, tap);
  if (from < to)
    k->isa->maxpool3(x + ops_window_at(w, 0, r, lo) * w->in[1] +
                         ops_window_at(w, 1, from, 0),
                     w->in[1] * w->dilation[0], (int)(hi - lo),
                     (int32_t)(3 * lo), y + from, tap + from, to - from);
  for (int64_t c = to; c < out; c++) one_window(k, x, r, c, y, tap);
}

static void max_row(const work *k, const float *x, int64_t r, float *y,
                    int32_t *tap) {
  const lun_window *w = &k->w;
  if (w->k[1] == 3 && w->stride[1] == 2 && w->dilation[1] == 1)
    row_of_three(k, x, r, y, tap);
  else
    row_by_taps(k, x, r, y, tap);
}

static void max_plane(void *arg, int64_t plane) {
  const work *k = arg;
  const lun_window *w = &k->w;
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
  const lun_window *w = &k->w;
  int64_t images = copies * n->in[0]->dim[0];
  k->isa = lun_simd_now();
  k->channels = n->in[0]->dim[1];
  return ops_units(n, images * bands(w),
                   k->channels * w->in[0] * w->in[1] / bands(w), fn, k, err);
}

static int max_infer(lun_node *n, lun_err *err) {
  lun_window w;
  int64_t room;
  LUN_TRY(ops_window(n, &w, err));
  LUN_TRY(ops_window_shape(n, &w, err));
  room = is_maxpool2x2(&w) ? (n->out->size + 3) / 4 : n->out->size;
  return lun_tensor_new(&n->aux, 1, &room, err);
}

static int max_pool2d_forward(lun_node *n, lun_err *err) {
  work k = {.x = n->in[0]->data, .y = n->out->data};
  set_taps(n, &k);
  LUN_TRY(ops_window(n, &k.w, err));
  k.isa = lun_simd_now();
  if (is_maxpool2x2(&k.w)) return run_bands(n, &k, 1, maxpool2x2, err);
  return ops_units(n, k.w.planes, k.w.in[0] * k.w.in[1], max_plane, &k, err);
}

/* ---- backward ----------------------------------------------------------- */

/* Each gradient goes to one of four places; the other three get 0. */
static void maxpool2x2_back_rows(const work *k, int64_t plane, int64_t lo,
                                 int64_t hi) {
  const lun_window *w = &k->w;
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

/* How far a tap lies from its window's first, in the input's plane. */
static int64_t tap_offset(const lun_window *w, int64_t tap) {
  return tap / w->k[1] * w->dilation[0] * w->in[1] +
         tap % w->k[1] * w->dilation[1];
}

enum { FEW = 64 }; /* taps whose offsets are reckoned once, not by division */

static int64_t offsets_of(const lun_window *w, int64_t *offset) {
  int64_t taps = w->k[0] * w->k[1];
  if (taps > FEW) return 0;
  for (int64_t t = 0; t < taps; t++) offset[t] = tap_offset(w, t);
  return taps;
}

/* Windows may overlap: start from 0 and add. */
static void max_plane_back(void *arg, int64_t plane) {
  const work *k = arg;
  const lun_window *w = &k->w;
  int64_t size = w->in[0] * w->in[1], o = 0, offset[FEW];
  int64_t known = offsets_of(w, offset);
  const float *dy = k->dy + plane * w->out[0] * w->out[1];
  const int32_t *tap = k->tap + plane % k->planes * w->out[0] * w->out[1];
  float *dx = k->dx + plane * size;
  memset(dx, 0, (size_t)size * sizeof *dx);
  for (int64_t r = 0; r < w->out[0]; r++) {
    int64_t at = ops_window_at(w, 0, r, 0) * w->in[1] - w->pad[1];
    for (int64_t c = 0; c < w->out[1]; c++, o++, at += w->stride[1])
      dx[at + (known ? offset[tap[o]] : tap_offset(w, tap[o]))] += dy[o];
  }
  if (k->gate)
    ops_gate_span(k->gate->slope, k->gate->y + plane % k->planes * size, dx, dx,
                  size);
}

static int max_pool2d_back(const lun_back *b, lun_err *err) {
  const lun_node *n = b->node;
  work k = {.dy = b->dy, .dx = b->dx[0], .y = n->out->data, .gate = b->gate};
  if (!b->dx[0]) return LUN_OK;
  set_taps(n, &k);
  LUN_TRY(ops_window(n, &k.w, err));
  k.planes = k.w.planes;
  if (is_maxpool2x2(&k.w))
    return run_bands(n, &k, b->copies, maxpool2x2_back, err);
  return ops_units(n, b->copies * k.planes, k.w.in[0] * k.w.in[1],
                   max_plane_back, &k, err);
}

static const lun_attrdef max_attrs[] = {
    WINDOW_ATTRS,
    {.name = NULL},
};

OPS_RULES(max_pool2d, RELEVANCE_NORM);
OPS_OPERATOR(max_pool2d,
             "max_pool2d(x, kernel, stride = kernel, padding, padding_end, "
             "ceil_mode, dilation): gradient to the first maximum",
             1, 1, .attrs = max_attrs, .infer = max_infer, .gated = 1,
             .selects_input = 1);

/* ---- places ------------------------------------------------------------- */

/* Floats tell whole numbers apart up to this one. */
enum { EXACT = 1 << 24 };

static int places_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  LUN_TRY(max_infer(n, err));
  if (x->size / x->dim[0] <= EXACT) return LUN_OK;
  return ops_fail(n, err, LUN_ESHAPE,
                  "an image of %lld values, at most %d have places",
                  (long long)(x->size / x->dim[0]), EXACT);
}

static int tap_of(const work *k, int64_t window) {
  return is_maxpool2x2(&k->w) ? k->tap4[window] : k->tap[window];
}

/* From the taps that won, where these are in the image, counted from 1. */
static void places_plane(void *arg, int64_t plane) {
  const work *k = arg;
  const lun_window *w = &k->w;
  int64_t o = plane * w->out[0] * w->out[1];
  int64_t first = plane % k->channels * w->in[0] * w->in[1] + 1;
  for (int64_t r = 0; r < w->out[0]; r++)
    for (int64_t c = 0; c < w->out[1]; c++, o++) {
      int64_t corner =
          ops_window_at(w, 0, r, 0) * w->in[1] + ops_window_at(w, 1, c, 0);
      k->y[o] = (float)(first + corner + tap_offset(w, tap_of(k, o)));
    }
}

static int max_pool2d_places_forward(lun_node *n, lun_err *err) {
  work k = {.y = n->out->data, .channels = n->in[0]->dim[1]};
  LUN_TRY(max_pool2d_forward(n, err));
  set_taps(n, &k);
  LUN_TRY(ops_window(n, &k.w, err));
  return ops_units(n, k.w.planes, k.w.out[0] * k.w.out[1], places_plane, &k,
                   err);
}

static int max_pool2d_places_back(const lun_back *b, lun_err *err) {
  ops_zero(b, 0);
  return (void)err, LUN_OK;
}

OPS_PLAIN(max_pool2d_places);
OPS_OPERATOR(max_pool2d_places,
             "max_pool2d_places(x, kernel, stride = kernel, padding, "
             "padding_end, ceil_mode, dilation): where in the image (C,H,W) "
             "the first maximum of each window is, counted from 1",
             1, 1, .attrs = max_attrs, .infer = places_infer);
