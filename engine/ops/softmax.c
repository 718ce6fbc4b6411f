/*
** softmax.c - softmax and log-softmax along one dimension.  The maximum is
** taken off first, so nothing overflows; sums are carried in double.
*/
#include <math.h>

#include "../kernels/simd.h"
#include "relevance.h"

static const lun_attrdef attrs[] = {
    {.name = "dim", .at = 0, .count = 1, .fallback = 2},
    {.name = NULL},
};

/* A line: `len` values, `step` floats apart. */
typedef struct lines {
  int64_t len, step, count; /* count: lines of one copy */
  const float *x, *y, *dy;
  float *to;
} lines;

static int infer(lun_node *n, lun_err *err) {
  int axis;
  LUN_TRY(ops_axis(n, 0, n->in[0]->ndim, &axis, err));
  return ops_same(n, err);
}

static int measure(const lun_node *n, lines *l, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int axis;
  *l = (lines){.step = 1};
  LUN_TRY(ops_axis(n, 0, x->ndim, &axis, err));
  l->len = x->dim[axis];
  for (int d = axis + 1; d < x->ndim; d++) l->step *= x->dim[d];
  l->count = x->size ? x->size / l->len : 0;
  l->x = x->data;
  l->y = n->out->data;
  return LUN_OK;
}

/* First float of line i. */
static int64_t start(const lines *l, int64_t i) {
  return i / l->step * l->len * l->step + i % l->step;
}

/* max x and sum exp(x - max) of a line. */
static double partition(const lines *l, const float *x, float *max) {
  double sum = 0;
  *max = x[0];
  for (int64_t i = 1; i < l->len; i++)
    if (x[i * l->step] > *max) *max = x[i * l->step];
  for (int64_t i = 0; i < l->len; i++)
    sum += (double)expf(x[i * l->step] - *max);
  return sum;
}

/* Lanes in which values that lie side by side are summed and compared. */
enum { LANES = 8 };

/* sum a b, or sum a where b is NULL, in a fixed order. */
static double sum_row(const float *a, const float *b, int64_t len) {
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; b && i + LANES <= len; i += LANES)
    for (int j = 0; j < LANES; j++)
      lane[j] += (double)a[i + j] * (double)b[i + j];
  for (; !b && i + LANES <= len; i += LANES)
    for (int j = 0; j < LANES; j++) lane[j] += (double)a[i + j];
  for (int j = 0; i < len; i++, j++)
    lane[j] += (double)a[i] * (b ? (double)b[i] : 1);
  for (int j = 0; j < LANES; j++) sum += lane[j];
  return sum;
}

/* The largest of a row; a NaN that is not the first counts as none. */
static float max_row(const float *x, int64_t len) {
  float lane[LANES];
  int64_t i = 0;
  for (int j = 0; j < LANES; j++) lane[j] = x[0];
  for (; i + LANES <= len; i += LANES)
    for (int j = 0; j < LANES; j++)
      lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  for (int j = 0; i < len; i++, j++) lane[j] = x[i] > lane[j] ? x[i] : lane[j];
  for (int j = 1; j < LANES; j++)
    lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
  return lane[0];
}

/* A line whose values lie side by side. */
static void softmax_row(const float *x, float *y, int64_t len) {
  float max = max_row(x, len), scale;
  for (int64_t i = 0; i < len; i++) y[i] = x[i] - max;
  lun_simd_now()->exp(y, y, len);
  scale = (float)(1 / sum_row(y, NULL, len));
  for (int64_t i = 0; i < len; i++) y[i] *= scale;
}

static void softmax_line(void *arg, int64_t line) {
  const lines *l = arg;
  int64_t at = start(l, line);
  const float *x = l->x + at;
  if (l->step == 1) {
    softmax_row(x, l->to + at, l->len);
    return;
  }
  float max, scale = (float)(1 / partition(l, x, &max));
  for (int64_t i = 0; i < l->len; i++)
    l->to[at + i * l->step] = expf(x[i * l->step] - max) * scale;
}

static void log_line(void *arg, int64_t line) {
  const lines *l = arg;
  int64_t at = start(l, line);
  const float *x = l->x + at;
  float max, base = (float)log(partition(l, x, &max));
  for (int64_t i = 0; i < l->len; i++)
    l->to[at + i * l->step] = x[i * l->step] - max - base;
}

/* dx = y (dy - sum dy y) */
static void softmax_row_back(const float *y, const float *dy, float *dx,
                             int64_t len) {
  float dot = (float)sum_row(dy, y, len);
  for (int64_t i = 0; i < len; i++) dx[i] = y[i] * (dy[i] - dot);
}

static void softmax_line_back(void *arg, int64_t line) {
  const lines *l = arg;
  int64_t at = start(l, line), own = start(l, line % l->count);
  double dot = 0;
  if (l->step == 1) {
    softmax_row_back(l->y + own, l->dy + at, l->to + at, l->len);
    return;
  }
  for (int64_t i = 0; i < l->len; i++)
    dot += (double)l->dy[at + i * l->step] * (double)l->y[own + i * l->step];
  for (int64_t i = 0; i < l->len; i++)
    l->to[at + i * l->step] =
        l->y[own + i * l->step] * (l->dy[at + i * l->step] - (float)dot);
}

/* Relevance by the first terms of Taylor's series about x, its constant left out
** (AttnLRP, Achtibat et al. 2024, proposition 3.1):  R_in = x (R - y sum R) */
static void taylor_line(void *arg, int64_t line) {
  const lines *l = arg;
  int64_t at = start(l, line), own = start(l, line % l->count);
  double sum = 0;
  for (int64_t i = 0; i < l->len; i++) sum += (double)l->dy[at + i * l->step];
  for (int64_t i = 0; i < l->len; i++) {
    float v = l->dy[at + i * l->step] - l->y[own + i * l->step] * (float)sum;
    l->to[at + i * l->step] = v == 0 ? 0.0f : v * l->x[own + i * l->step];
  }
}

/* dx = dy - exp(y) sum dy */
static void log_line_back(void *arg, int64_t line) {
  const lines *l = arg;
  int64_t at = start(l, line), own = start(l, line % l->count);
  double sum = 0;
  for (int64_t i = 0; i < l->len; i++) sum += (double)l->dy[at + i * l->step];
  for (int64_t i = 0; i < l->len; i++)
    l->to[at + i * l->step] =
        l->dy[at + i * l->step] - expf(l->y[own + i * l->step]) * (float)sum;
}

static int forward(lun_node *n, lun_job *fn, lun_err *err) {
  lines l;
  LUN_TRY(measure(n, &l, err));
  l.to = n->out->data;
  return ops_units(n, l.count, l.len, fn, &l, err);
}

static int back(const lun_back *b, lun_job *fn, lun_err *err) {
  lines l;
  if (!b->dx[0]) return LUN_OK;
  LUN_TRY(measure(b->node, &l, err));
  l.dy = b->dy;
  l.to = b->dx[0];
  return ops_units(b->node, b->copies * l.count, l.len, fn, &l, err);
}

static int softmax_taylor(const lun_back *b, lun_err *err) {
  return back(b, taylor_line, err);
}

#define SOFTMAX(id, text, line, line_back, ...)                                \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return forward(n, line, err);                                              \
  }                                                                            \
  static int id##_back(const lun_back *b, lun_err *err) {                      \
    return back(b, line_back, err);                                            \
  }                                                                            \
  OPS_RULES_(id, __VA_ARGS__);                                                 \
  OPS_OPERATOR(id, text, 1, 1, .attrs = attrs, .infer = infer, .inplace = 1);

SOFTMAX(softmax, "softmax(x, dim): exp(x) / sum exp(x) along dim", softmax_line,
        softmax_line_back,
        {.name = "taylor", .back = softmax_taylor, .needs_input = 1},
        RELEVANCE_IDENTITY, {.name = NULL})
SOFTMAX(log_softmax, "log_softmax(x, dim): x - log sum exp(x) along dim",
        log_line, log_line_back, {.name = NULL})
