/*
** linear.c - dense layers, weights [out][in] as files have them.
**
** Forward reads every row of w once.  Backward needs only the rows whose dy
** is not 0, which after a relu are a half or fewer, and all but one of the
** last layer's.
*/
#include "simd.h"

#include <string.h>

enum {
  ROWS = 8,      /* rows of w in a forward job */
  COLS = 2048,   /* columns of w in a backward job */
  SEGMENTS = 8,  /* of outputs, summed apart in backward */
  IMAGES = 16,   /* rows of dy taken together in backward */
  SUM_COLS = 512 /* columns of a job that adds the segments */
};

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int status(int st, lun_err *err) {
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

/* ---- forward ------------------------------------------------------------ */

static void forward_job(void *arg, int64_t job, int worker) {
  const lun_dense *j = arg;
  (void)worker;
  lun_simd_now()->dense_rows(j, job * ROWS, min64(j->out, (job + 1) * ROWS));
}

int lun_linear_forward(int n, int64_t in, int64_t out, const float *x,
                       const float *w, const float *b, float *y, int relu,
                       lun_err *err) {
  lun_dense j = {.n = n,
                 .in = in,
                 .out = out,
                 .x = x,
                 .w = w,
                 .y = y,
                 .end = {b, relu, NULL}};
  return status(lun_parallel(ceil_div(out, ROWS), forward_job, &j), err);
}

/* ---- gradient of the input ---------------------------------------------- */

typedef struct back_job {
  lun_dense d;
  const lun_simd *isa;
  float *part, *dx;     /* part: (SEGMENTS, n, in) */
  int64_t chunks, row0; /* dx's first row in the whole batch */
} back_job;

static void cols_job(void *arg, int64_t job, int worker) {
  const back_job *j = arg;
  int64_t s = job / j->chunks, i0 = job % j->chunks * COLS, in = j->d.in;
  (void)worker;
  j->isa->dense_cols(&j->d, (int)s, i0, min64(in, i0 + COLS),
                     j->part + s * j->d.n * in + i0, in);
}

static void sum_job(void *arg, int64_t job, int worker) {
  const back_job *j = arg;
  int64_t in = j->d.in, i0 = job * SUM_COLS, len = min64(SUM_COLS, in - i0);
  (void)worker;
  for (int b = 0; b < j->d.n; b++) {
    float *sum = j->part + b * in + i0;
    for (int s = 1; s < SEGMENTS; s++) {
      const float *p = sum + s * j->d.n * in;
      for (int64_t i = 0; i < len; i++) sum[i] += p[i];
    }
    j->isa->finish(&j->d.end, j->dx, (j->row0 + b) * in + i0, (int)len, sum,
                   0.0f);
  }
}

/* Lists the rows of w that some image needs, segment after segment. */
static void list_live(const lun_dense *d, int64_t *live, int64_t *first) {
  int64_t count = 0;
  for (int s = 0; s < SEGMENTS; s++) {
    first[s] = count;
    for (int64_t o = d->out * s / SEGMENTS; o < d->out * (s + 1) / SEGMENTS;
         o++) {
      int any = 0;
      for (int b = 0; b < d->n; b++) any |= d->dy[b * d->out + o] != 0.0f;
      live[count] = o;
      count += any;
    }
  }
  first[SEGMENTS] = count;
}

static int back_images(back_job *j, int64_t *live) {
  int64_t first[SEGMENTS + 1];
  list_live(&j->d, live, first);
  j->d.live = live;
  j->d.first = first;
  int st = lun_parallel(SEGMENTS * j->chunks, cols_job, j);
  if (st != LUN_OK) return st;
  return lun_parallel(ceil_div(j->d.in, SUM_COLS), sum_job, j);
}

int lun_linear_backward(int n, int64_t in, int64_t out, const float *dy,
                        const float *w, float *dx, const lun_gate *gate,
                        lun_err *err) {
  int st = LUN_OK;
  size_t part = (size_t)(SEGMENTS * min64(n, IMAGES) * in) * sizeof(float);
  size_t pad = (part + 63) / 64 * 64;
  char *mem = lun_malloc(pad + (size_t)(out + 1) * sizeof(int64_t));
  if (!mem) return lun_fail(err, LUN_ENOMEM, "linear: no scratch memory");
  back_job j = {.isa = lun_simd_now(),
                .part = (float *)(void *)mem,
                .dx = dx,
                .chunks = ceil_div(in, COLS)};
  for (int b = 0; b < n && st == LUN_OK; b += IMAGES) {
    j.row0 = b;
    j.d = (lun_dense){.n = (int)min64(IMAGES, n - b),
                      .in = in,
                      .out = out,
                      .dy = dy + b * out,
                      .w = w,
                      .end = {NULL, 0, gate}};
    st = back_images(&j, (int64_t *)(void *)(mem + pad));
  }
  lun_free(mem);
  return status(st, err);
}

/* ---- gradients of the parameters ---------------------------------------- */

typedef struct param_job {
  int n;
  int64_t in, out;
  const float *x, *dy;
  float *dw, *db;
} param_job;

static void param_row(void *arg, int64_t job, int worker) {
  const param_job *j = arg;
  float db = 0.0f, *dw = j->dw ? j->dw + job * j->in : NULL;
  (void)worker;
  if (dw) memset(dw, 0, (size_t)j->in * sizeof *dw);
  for (int n = 0; n < j->n; n++) {
    float d = j->dy[n * j->out + job];
    const float *x = j->x + n * j->in;
    db += d;
    if (d == 0.0f) continue;
    for (int64_t i = 0; dw && i < j->in; i++) dw[i] += d * x[i];
  }
  if (j->db) j->db[job] = db;
}

int lun_linear_backward_params(int n, int64_t in, int64_t out, const float *x,
                               const float *dy, float *dw, float *db,
                               lun_err *err) {
  param_job j = {n, in, out, x, dy, dw, db};
  return status(lun_parallel(out, param_row, &j), err);
}
