/*
** gather.c - convolutions of any kernel, stride, padding, dilation and
** groups, and their gradients, as gathers (gather.h): copy the values that a
** tile of places meets into a matrix, multiply by the weights.
*/
#include "simd.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Places of a tile: the copied matrix should stay in the second level cache.
** Depends on shapes alone, so that bits do not depend on batch or threads. */
enum { COLUMNS = 128 * 1024, MOST = 256 };

typedef struct job_data {
  const lun_gather *g;
  const lun_finish *end;
  const float *in, *w; /* w: [groups][k][c * taps] */
  float *out, *scratch;
  size_t each; /* floats of scratch a worker */
  int tile, tiles;
} job_data;

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* col[p] = in at place p0 + p of one channel and tap; 0 outside. */
static void copy_tap(const lun_gather *g, const float *plane, int t, int p0,
                     int np, float *col) {
  for (int p = 0; p < np;) {
    int v = (p0 + p) / g->ow, u = (p0 + p) % g->ow;
    int run = mini(g->ow - u, np - p); /* places left in this row */
    int y = v * g->isy + g->ty[t];
    const float *row = plane + (ptrdiff_t)y * g->iw;
    for (int i = 0; i < run; i++) {
      int x = (u + i) * g->isx + g->tx[t];
      int inside = y >= 0 && y < g->ih && x >= 0 && x < g->iw;
      col[p + i] = inside ? row[x] : 0.0f;
    }
    p += run;
  }
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

/* Finished values of one channel to their places. */
static void store(const job_data *j, int64_t chan, int k, int p0, int np,
                  const float *m) {
  const lun_gather *g = j->g;
  const lun_finish *e = j->end;
  float bias = e->bias ? e->bias[k] : 0.0f;
  for (int p = 0; p < np; p++) {
    int v = (p0 + p) / g->ow, u = (p0 + p) % g->ow;
    int64_t at =
        (chan * g->fh + g->oy + v * g->osy) * g->fw + g->ox + u * g->osx;
    float z = m[p] + bias;
    if (e->relu && !(z > 0)) z = 0.0f;
    j->out[at] = e->gate ? gated(e->gate, at, z) : z;
  }
}

static void run_tile(void *arg, int64_t job, int worker) {
  const job_data *j = arg;
  const lun_gather *g = j->g;
  int p0 = (int)(job % j->tiles) * j->tile;
  int group = (int)(job / j->tiles % g->groups);
  int n = (int)(job / j->tiles / g->groups);
  int np = mini(j->tile, g->oh * g->ow - p0), ct = g->c * g->taps;
  float *col = j->scratch + (size_t)worker * j->each;
  float *m = col + (size_t)ct * j->tile;
  int64_t chan = (int64_t)n * g->groups + group;
  for (int c = 0; c < g->c; c++) {
    const float *plane = j->in + (chan * g->c + c) * g->ih * g->iw;
    for (int t = 0; t < g->taps; t++) {
      copy_tap(g, plane, t, p0, np, col + (size_t)(c * g->taps + t) * j->tile);
    }
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, g->k, j->tile, ct,
              1.0f, j->w + (size_t)group * g->k * ct, ct, col, j->tile, 0.0f, m,
              j->tile);
  for (int k = 0; k < g->k; k++) {
    store(j, chan * g->k + k, group * g->k + k, p0, np,
          m + (size_t)k * j->tile);
  }
}

/* W[group][k][c][tap] of the gather from a layer's weights (OIHW). */
static void pick_weights(const lun_gather *g, const lun_conv *s, int back,
                         const float *w, float *out) {
  int kk = s->kh * s->kw;
  for (int grp = 0; grp < g->groups; grp++)
    for (int k = 0; k < g->k; k++)
      for (int c = 0; c < g->c; c++)
        for (int t = 0; t < g->taps; t++) {
          int64_t o = grp * (back ? g->c : g->k) + (back ? c : k);
          int64_t i = back ? k : c;
          *out++ = w[(o * (back ? g->k : g->c) + i) * kk + g->tap[t]];
        }
}

/* The pool's workers are the only threads; OpenBLAS must not add its own. */
static void one_thread(void) { openblas_set_num_threads(1); }

/* out = the gather of in, with the layer's weights w. */
static int run_gather(const lun_gather *g, const lun_conv *s, int back,
                      const float *in, const float *w, float *out,
                      const lun_finish *end, lun_err *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  job_data j = {.g = g, .end = end, .in = in, .out = out};
  int ct = g->c * g->taps, places = g->oh * g->ow;
  size_t weights = (size_t)g->groups * g->k * ct;
  if (places <= 0 || g->n <= 0 || g->k <= 0) return LUN_OK;
  pthread_once(&once, one_thread);
  j.tile = mini(mini(MOST, places), 1 + COLUMNS / (ct + 1));
  j.tiles = ceil_div(places, j.tile);
  j.each = (size_t)(ct + g->k) * j.tile;
  float *mem = lun_calloc(weights + j.each * lun_threads(), sizeof *mem);
  if (!mem) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  pick_weights(g, s, back, w, mem);
  j.w = mem;
  j.scratch = mem + weights;
  int st = lun_parallel((int64_t)g->n * g->groups * j.tiles, run_tile, &j);
  lun_free(mem);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

void lun_gather_free(lun_gather *g) {
  lun_free(g->ty);
  g->ty = NULL;
}

static int room_for_taps(lun_gather *g, int taps, lun_err *err) {
  g->ty = lun_malloc((size_t)(taps + 1) * 3 * sizeof(int));
  if (!g->ty) return lun_fail(err, LUN_ENOMEM, "convolution: no memory");
  g->tx = g->ty + taps;
  g->tap = g->tx + taps;
  return LUN_OK;
}

int lun_gather_forward(lun_gather *g, const lun_conv *s, lun_err *err) {
  *g = (lun_gather){.n = s->n,
                    .groups = s->groups,
                    .c = s->c / s->groups,
                    .k = s->k / s->groups,
                    .ih = s->h,
                    .iw = s->w,
                    .isy = s->sh,
                    .isx = s->sw,
                    .fh = s->oh,
                    .fw = s->ow,
                    .oh = s->oh,
                    .ow = s->ow,
                    .osy = 1,
                    .osx = 1};
  LUN_TRY(room_for_taps(g, s->kh * s->kw, err));
  for (int i = 0; i < s->kh * s->kw; i++) {
    g->ty[i] = i / s->kw * s->dh - s->pt;
    g->tx[i] = i % s->kw * s->dw - s->pl;
    g->tap[i] = i;
  }
  g->taps = s->kh * s->kw;
  return LUN_OK;
}

/* Input place y meets kernel row i at output row (y + pt - i*dh) / sh, if
** that divides: y = py + sh*v fixes the rows i, and the output row is v plus
** a constant. */
int lun_gather_backward(lun_gather *g, const lun_conv *s, int py, int px,
                        lun_err *err) {
  *g = (lun_gather){.n = s->n,
                    .groups = s->groups,
                    .c = s->k / s->groups,
                    .k = s->c / s->groups,
                    .ih = s->oh,
                    .iw = s->ow,
                    .isy = 1,
                    .isx = 1,
                    .fh = s->h,
                    .fw = s->w,
                    .oh = ceil_div(s->h - py, s->sh),
                    .ow = ceil_div(s->w - px, s->sw),
                    .oy = py,
                    .ox = px,
                    .osy = s->sh,
                    .osx = s->sw};
  LUN_TRY(room_for_taps(g, s->kh * s->kw, err));
  for (int i = 0; i < s->kh * s->kw; i++) {
    int y = py + s->pt - i / s->kw * s->dh, x = px + s->pl - i % s->kw * s->dw;
    if (y % s->sh || x % s->sw) continue;
    g->ty[g->taps] = y / s->sh;
    g->tx[g->taps] = x / s->sw;
    g->tap[g->taps++] = i;
  }
  return LUN_OK;
}

int lun_conv_forward(const lun_conv *s, const float *x, const float *w,
                     const float *b, float *y, int relu, lun_err *err) {
  lun_gather g;
  lun_finish end = {b, relu, NULL};
  if (lun_wino_fits(s)) {
    lun_wino j = {.n = s->n,
                  .c = s->c,
                  .h = s->h,
                  .w = s->w,
                  .k = s->k,
                  .oh = s->oh,
                  .ow = s->ow,
                  .pt = s->pt,
                  .pl = s->pl,
                  .in = x,
                  .weights = w,
                  .out = y,
                  .end = end};
    return lun_wino_run(&j, err);
  }
  LUN_TRY(lun_gather_forward(&g, s, err));
  int st = run_gather(&g, s, 0, x, w, y, &end, err);
  lun_gather_free(&g);
  return st;
}

int lun_conv_backward(const lun_conv *s, const float *dy, const float *w,
                      float *dx, const lun_gate *gate, lun_err *err) {
  lun_finish end = {NULL, 0, gate};
  if (lun_wino_fits(s)) {
    /* dx[y] meets dy[y + pt - i] through kernel row i: padding 2 - pt */
    lun_wino j = {.n = s->n,
                  .c = s->k,
                  .h = s->oh,
                  .w = s->ow,
                  .k = s->c,
                  .oh = s->h,
                  .ow = s->w,
                  .pt = 2 - s->pt,
                  .pl = 2 - s->pl,
                  .back = 1,
                  .in = dy,
                  .weights = w,
                  .out = dx,
                  .end = end};
    return lun_wino_run(&j, err);
  }
  for (int phase = 0; phase < s->sh * s->sw; phase++) {
    lun_gather g;
    if (phase / s->sw >= s->h || phase % s->sw >= s->w) continue;
    LUN_TRY(lun_gather_backward(&g, s, phase / s->sw, phase % s->sw, err));
    int st = run_gather(&g, s, 1, dy, w, dx, &end, err);
    lun_gather_free(&g);
    if (st != LUN_OK) return st;
  }
  return LUN_OK;
}
