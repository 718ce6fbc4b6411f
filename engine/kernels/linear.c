/*
** linear.c - dense layers, weights [out][in] as files have them.
*/
#include "kernels.h"

#include <string.h>

enum { ROWS = 8, COLS = 512, LANES = 16 };

typedef struct lin_job {
  int n, relu;
  int64_t in, out;
  const float *x, *w, *b, *dy;
  float *y, *dx, *dw, *db;
  const lun_gate *gate;
} lin_job;

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static float dot(const float *a, const float *b, int64_t n) {
  float s[LANES] = {0}, t = 0.0f;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) s[l] += a[i + l] * b[i + l];
  for (; i < n; i++) t += a[i] * b[i];
  for (int l = 0; l < LANES; l++) t += s[l];
  return t;
}

static void forward_rows(void *arg, int64_t job, int worker) {
  const lin_job *j = arg;
  (void)worker;
  for (int64_t o = job * ROWS; o < min64(j->out, (job + 1) * ROWS); o++)
    for (int n = 0; n < j->n; n++) {
      float z = dot(j->x + n * j->in, j->w + o * j->in, j->in) +
                (j->b ? j->b[o] : 0.0f);
      j->y[n * j->out + o] = j->relu && !(z > 0) ? 0.0f : z;
    }
}

int lun_linear_forward(int n, int64_t in, int64_t out, const float *x,
                       const float *w, const float *b, float *y, int relu,
                       lun_err *err) {
  lin_job j = {.n = n,
               .relu = relu,
               .in = in,
               .out = out,
               .x = x,
               .w = w,
               .b = b,
               .y = y};
  int st = lun_parallel((out + ROWS - 1) / ROWS, forward_rows, &j);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

static float gated(const lun_gate *gate, int64_t at, float d) {
  float y = gate->y[at % gate->size];
  switch (gate->kind) {
    case LUN_GATE_PLAIN:
      return y > 0 ? d : 0.0f;
    case LUN_GATE_GUIDED:
      return y > 0 && d > 0 ? d : 0.0f;
    case LUN_GATE_RECTIFIED:
      return d > 0 ? d : 0.0f;
    case LUN_GATE_LEAK:
      return y > 0 ? d : gate->leak * d;
  }
  return d;
}

/* A stretch of columns: every row of w whose dy is not 0 adds to it. */
static void backward_cols(void *arg, int64_t job, int worker) {
  const lin_job *j = arg;
  int64_t i0 = job * COLS, len = min64(COLS, j->in - i0);
  (void)worker;
  for (int n = 0; n < j->n; n++) {
    float *dx = j->dx + n * j->in + i0;
    memset(dx, 0, (size_t)len * sizeof *dx);
    for (int64_t o = 0; o < j->out; o++) {
      float d = j->dy[n * j->out + o];
      const float *w = j->w + o * j->in + i0;
      if (d == 0.0f) continue;
      for (int64_t i = 0; i < len; i++) dx[i] += d * w[i];
    }
    if (!j->gate) continue;
    for (int64_t i = 0; i < len; i++)
      dx[i] = gated(j->gate, n * j->in + i0 + i, dx[i]);
  }
}

int lun_linear_backward(int n, int64_t in, int64_t out, const float *dy,
                        const float *w, float *dx, const lun_gate *gate,
                        lun_err *err) {
  lin_job j = {
      .n = n, .in = in, .out = out, .dy = dy, .w = w, .dx = dx, .gate = gate};
  int st = lun_parallel((in + COLS - 1) / COLS, backward_cols, &j);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

static void param_row(void *arg, int64_t job, int worker) {
  const lin_job *j = arg;
  float db = 0.0f, *dw = j->dw ? j->dw + job * j->in : NULL;
  (void)worker;
  if (dw) memset(dw, 0, (size_t)j->in * sizeof *dw);
  for (int n = 0; n < j->n; n++) {
    float d = j->dy[n * j->out + job];
    const float *x = j->x + n * j->in;
    db += d;
    for (int64_t i = 0; dw && i < j->in; i++) dw[i] += d * x[i];
  }
  if (j->db) j->db[job] = db;
}

int lun_linear_backward_params(int n, int64_t in, int64_t out, const float *x,
                               const float *dy, float *dw, float *db,
                               lun_err *err) {
  lin_job j = {
      .n = n, .in = in, .out = out, .x = x, .dy = dy, .dw = dw, .db = db};
  int st = lun_parallel(out, param_row, &j);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}
