/*
** linear.c - dense layers, y = x w' + b.
**
** One direction goes by the rows of w in memory, the other by its columns
** (simd.h):
**
**   w (out, in)   forward by rows, backward by columns
**   w (in, out)   forward by columns, backward by rows
**
** Rows of w are skipped where they cannot matter.  By columns: where the input of
** the row is 0 in every image, as half of them or more are after a relu.  By rows:
** where the row's result is multiplied by 0, as the gradient of an input that a
** relu set to 0 is.  So with (in, out) both directions skip rows, with (out, in)
** only backward does, where an output's gradient is 0.
*/
#include "simd.h"

#include <string.h>

enum {
  ROWS = 8,         /* rows of w in a job by rows */
  COLS = 4096,      /* columns of w in a job by columns; fewer, but ... */
  LEAST_COLS = 512, /* ... not below these, where jobs are few */
  LEAST_ROWS = 784, /* of a segment by columns, ... */
  SEGMENTS = 32,    /* ... if there are no more than these, ... */
  FEW_SEGMENTS = 8, /* ... or fewer than these */
  IMAGES = 16,      /* taken together */
  SUM_COLS = 512    /* columns of a job that adds the segments */
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

typedef struct dense_job {
  lun_dense d;
  const lun_simd *isa;
  float *part, *y; /* columns: part (segments, n, out); y of the whole batch */
  int segments;
  int64_t cols, chunks; /* columns of a job, jobs of a segment */
} dense_job;

/* ---- by rows ------------------------------------------------------------ */

static void rows_job(void *arg, int64_t job) {
  const dense_job *j = arg;
  j->isa->dense_rows(&j->d, job * ROWS, min64(j->d.rows, (job + 1) * ROWS));
}

static int shuts(const lun_gate *g) { return g && lun_gate_shuts(&g->slope); }

/* Lists the outputs that some image needs, and sets all outputs to 0.  An image
** needs output o where the gate's y[o] > 0. */
static void list_wanted(dense_job *j, const lun_gate *g, int64_t *live) {
  const float *y[IMAGES];
  int64_t out = j->d.out;
  for (int b = 0; b < j->d.n; b++) {
    y[b] = g->y + (j->d.row0 + b) * out % g->size;
  }
  j->d.rows = 0;
  for (int64_t o = 0; o < out; o++) {
    int any = 0;
    for (int b = 0; b < j->d.n; b++) any |= y[b][o] > 0;
    live[j->d.rows] = o;
    j->d.rows += any;
  }
  memset(j->d.y, 0, (size_t)(j->d.n * out) * sizeof(float));
  j->d.live = live;
}

static int by_rows(dense_job *j, const lun_gate *dead, int64_t *live) {
  j->d.rows = j->d.out;
  j->d.live = NULL;
  if (live) list_wanted(j, dead ? dead : j->d.epilogue.gate, live);
  return lun_parallel(ceil_div(j->d.rows, ROWS), rows_job, j);
}

/* ---- by columns --------------------------------------------------------- */

static void cols_job(void *arg, int64_t job) {
  const dense_job *j = arg;
  int64_t s = job / j->chunks, o0 = job % j->chunks * j->cols;
  int64_t out = j->d.out;
  j->isa->dense_cols(&j->d, (int)s, o0, min64(out, o0 + j->cols),
                     j->part + s * j->d.n * out + o0, out);
}

static void sum_job(void *arg, int64_t job) {
  const dense_job *j = arg;
  int64_t out = j->d.out, o0 = job * SUM_COLS, len = min64(SUM_COLS, out - o0);
  const float *bias = j->d.epilogue.bias;
  lun_epilogue epilogue = {.function = j->d.epilogue.function,
                           .gate = j->d.epilogue.gate};
  for (int b = 0; b < j->d.n; b++) {
    float *sum = j->part + b * out + o0;
    for (int s = 1; s < j->segments; s++) {
      const float *p = sum + s * j->d.n * out;
      for (int64_t o = 0; o < len; o++) sum[o] += p[o];
    }
    for (int64_t o = 0; bias && o < len; o++) sum[o] += bias[o0 + o];
    j->isa->epilogue(&epilogue, j->y, (j->d.row0 + b) * out + o0, (int)len, sum,
                     0);
  }
}

static int segments_of(int64_t in) {
  int64_t s = in / LEAST_ROWS;
  return (int)(s < FEW_SEGMENTS ? FEW_SEGMENTS : min64(s, SEGMENTS));
}

/* Cuts columns so that every thread gets some jobs.  Sums run along the other
** axis and do not depend on the cut. */
static void cut_columns(dense_job *j) {
  enum { JOBS = 4 }; /* of a thread */
  j->cols = COLS;
  while (j->cols > LEAST_COLS && ceil_div(j->d.out, j->cols) * j->segments <
                                     (int64_t)JOBS * lun_threads())
    j->cols /= 2;
  j->chunks = ceil_div(j->d.out, j->cols);
}

/* Lists the rows of w that some image needs, segment after segment. */
static void list_live(const dense_job *j, int64_t *live, int64_t *first) {
  const lun_dense *d = &j->d;
  int64_t count = 0;
  for (int s = 0; s < j->segments; s++) {
    int64_t end = d->in * (s + 1) / j->segments;
    first[s] = count;
    for (int64_t i = d->in * s / j->segments; i < end; i++) {
      int any = 0;
      for (int b = 0; b < d->n; b++) any |= d->x[b * d->in + i] != 0.0f;
      live[count] = i;
      count += any;
    }
  }
  first[j->segments] = count;
}

static int by_columns(dense_job *j, int64_t *live) {
  int64_t first[SEGMENTS + 1];
  list_live(j, live, first);
  cut_columns(j);
  j->d.live = live;
  j->d.first = first;
  int st = lun_parallel(j->segments * j->chunks, cols_job, j);
  if (st != LUN_OK) return st;
  return lun_parallel(ceil_div(j->d.out, SUM_COLS), sum_job, j);
}

/* ---- a layer, IMAGES at a time ------------------------------------------ */

typedef struct task {
  lun_dense d; /* of the whole batch */
  int columns;
  const lun_gate *dead;
} task;

static int run(const task *t, lun_err *err) {
  const lun_dense *d = &t->d;
  dense_job j = {
      .isa = lun_simd_now(), .y = d->y, .segments = segments_of(d->in)};
  int skip = t->columns || t->dead || shuts(d->epilogue.gate);
  int64_t list = skip ? (t->columns ? d->in : d->out) + 1 : 0;
  int64_t part = t->columns ? j.segments * min64(d->n, IMAGES) * d->out : 0;
  size_t pad = ((size_t)part * sizeof(float) + 63) / 64 * 64;
  char *mem = lun_malloc(pad + (size_t)(list + 1) * sizeof(int64_t));
  int64_t *live;
  int st = LUN_OK;
  if (!mem) return lun_fail(err, LUN_ENOMEM, "linear: no scratch memory");
  live = skip ? (int64_t *)(void *)(mem + pad) : NULL;
  j.part = (float *)(void *)mem;
  for (int b = 0; b < d->n && st == LUN_OK; b += IMAGES) {
    j.d = *d;
    j.d.n = (int)min64(IMAGES, d->n - b);
    j.d.x += b * d->in;
    j.d.y += b * d->out;
    j.d.row0 = b;
    st = t->columns ? by_columns(&j, live) : by_rows(&j, t->dead, live);
  }
  lun_free(mem);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

int lun_linear_forward(const lun_linear *s, const float *x, const float *w,
                       const float *b, float *y, int relu, lun_err *err) {
  task t = {.d = {.n = s->n,
                  .in = s->in,
                  .out = s->out,
                  .x = x,
                  .w = w,
                  .y = y,
                  .epilogue = {.bias = b, .function = relu != 0}},
            .columns = s->in_out};
  return run(&t, err);
}

int lun_linear_backward(const lun_linear *s, const float *dy, const float *w,
                        float *dx, const lun_gate *gate, const lun_gate *dead,
                        lun_err *err) {
  task t = {.d = {.n = s->n,
                  .in = s->out,
                  .out = s->in,
                  .x = dy,
                  .w = w,
                  .y = dx,
                  .epilogue = {.gate = gate}},
            .columns = !s->in_out,
            .dead = dead};
  return run(&t, err);
}

/* ---- gradients of the parameters ---------------------------------------- */

typedef struct param_job {
  const lun_linear *s;
  const float *x, *dy;
  float *dw, *db;
} param_job;

/* Row `job` of dw (out, in), and db: sums over the batch of dy[job] x. */
static void out_row(void *arg, int64_t job) {
  const param_job *j = arg;
  int64_t in = j->s->in;
  float db = 0.0f, *dw = j->dw ? j->dw + job * in : NULL;
  if (dw) memset(dw, 0, (size_t)in * sizeof *dw);
  for (int n = 0; n < j->s->n; n++) {
    float d = j->dy[n * j->s->out + job];
    const float *x = j->x + n * in;
    db += d;
    if (d == 0.0f) continue;
    for (int64_t i = 0; dw && i < in; i++) dw[i] += d * x[i];
  }
  if (j->db) j->db[job] = db;
}

/* Row `job` of dw (in, out): the sum over the batch of x[job] dy. */
static void in_row(void *arg, int64_t job) {
  const param_job *j = arg;
  int64_t out = j->s->out;
  float *dw = j->dw + job * out;
  memset(dw, 0, (size_t)out * sizeof *dw);
  for (int n = 0; n < j->s->n; n++) {
    float x = j->x[n * j->s->in + job];
    const float *dy = j->dy + n * out;
    /* A product and its sum are one expression, so that a machine that joins
    ** them (ARM's fmla) does so here as in out_row. A dy of 0 is left out there
    ** too: 0 x inf would be NaN. */
    for (int64_t o = 0; o < out; o++)
      dw[o] = dy[o] == 0.0f ? dw[o] : dw[o] + dy[o] * x;
  }
}

int lun_linear_backward_params(const lun_linear *s, const float *x,
                               const float *dy, float *dw, float *db,
                               lun_err *err) {
  param_job j = {s, x, dy, s->in_out ? NULL : dw, db};
  int st = lun_parallel(s->out, out_row, &j);
  j.dw = dw;
  if (st == LUN_OK && s->in_out && dw) st = lun_parallel(s->in, in_row, &j);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}
