/*
** gather.c - convolutions of any kernel, stride, padding, dilation and
** groups, and their gradients, as gathers (gather.h): copy the values that a
** tile of places meets into a matrix, multiply by the weights.
**
** A job is a tile of places and a block of output channels.  Its sum runs
** over channels and taps in pieces of DEPTH; all sizes depend on the shapes
** alone, and every output is one chain of fused multiply-adds, so that bits
** depend neither on the batch nor on the threads.
*/
#include "simd.h"

#include <stdlib.h>
#include <string.h>

enum {
  PLACES = 128,  /* most places of a tile; a multiple of every panel */
  OUTPUTS = 128, /* most output channels of a job */
  DEPTH = 256,   /* channels x taps copied at once */
  JOBS = 32,     /* wished for one image, so that many cores find work */
};

typedef struct gather_job {
  const lun_gather *g;
  const lun_simd *isa;
  const lun_finish *end;
  const float *in;
  float *out, *w, *scratch; /* w: [groups][k][ws] */
  ptrdiff_t ws;             /* c * taps and some room */
  size_t each;              /* floats of scratch a worker */
  int tile, tiles, block, blocks;
} gather_job;

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* Places p .. p+run-1 of one row v of places, from column u on. */
static void copy_run(const lun_gather *g, const float *plane, int t, int v,
                     int u, int run, float *col) {
  int y = v * g->isy + g->ty[t], x = u * g->isx + g->tx[t], i = 0;
  if (y < 0 || y >= g->ih) {
    memset(col, 0, (size_t)run * sizeof *col);
    return;
  }
  const float *row = plane + (ptrdiff_t)y * g->iw;
  for (; i < run && x < 0; i++, x += g->isx) col[i] = 0.0f;
  int inside = x < g->iw ? ceil_div(g->iw - x, g->isx) : 0;
  int end = mini(run, i + inside);
  if (g->isx == 1) {
    for (; i < end; i++) col[i] = row[x++];
  } else if (g->isx == 2) {
    for (; i < end; i++, x += 2) col[i] = row[x];
  } else {
    for (; i < end; i++, x += g->isx) col[i] = row[x];
  }
  for (; i < run; i++) col[i] = 0.0f;
}

void lun_gather_copy(const lun_gather *g, const float *plane, int t, int p0,
                     int np, float *col) {
  for (int p = 0; p < np;) {
    int v = (p0 + p) / g->ow, u = (p0 + p) % g->ow;
    int run = mini(g->ow - u, np - p); /* places left in this row */
    copy_run(g, plane, t, v, u, run, col + p);
    p += run;
  }
}

/* Values of nd channel-tap pairs from d0 on at np places, in panels:
** col[panel][d][0 .. width); what is past np is 0. */
static void copy_columns(const gather_job *j, const float *in, int p0, int np,
                         int d0, int nd, float *col) {
  const lun_gather *g = j->g;
  int width = j->isa->panel;
  for (int p = 0; p < np; p += width)
    for (int d = 0; d < nd; d++, col += width) {
      int c = (d0 + d) / g->taps, t = (d0 + d) % g->taps;
      int n = mini(width, np - p);
      lun_gather_copy(g, in + (ptrdiff_t)c * g->ih * g->iw, t, p0 + p, n, col);
      if (n < width) memset(col + n, 0, (size_t)(width - n) * sizeof *col);
    }
}

float lun_gate_one(const lun_gate *gate, int64_t at, float d) {
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

/* Finished values of one output channel to their places. */
static void store(const gather_job *j, int64_t chan, int k, int p0, int np,
                  const float *m) {
  const lun_gather *g = j->g;
  float bias = j->end->bias ? j->end->bias[k] : 0.0f;
  int64_t plane = chan * g->fh * g->fw;
  if (g->osy == 1 && g->osx == 1) { /* then oh, ow = fh, fw */
    j->isa->finish(j->end, j->out, plane + p0, np, m, bias);
    return;
  }
  for (int p = 0; p < np; p++) {
    int v = (p0 + p) / g->ow, u = (p0 + p) % g->ow;
    int64_t at =
        plane + (int64_t)(g->oy + v * g->osy) * g->fw + g->ox + u * g->osx;
    float z = m[p] + bias;
    if (j->end->relu && !(z > 0)) z = 0.0f;
    j->out[at] = j->end->gate ? lun_gate_one(j->end->gate, at, z) : z;
  }
}

static void multiply(const gather_job *j, const float *in, const float *w,
                     int nk, int p0, int np, float *col, float *m) {
  int ct = j->g->c * j->g->taps, width = j->isa->panel;
  for (int d = 0; d < ct; d += DEPTH) {
    int nd = mini(DEPTH, ct - d);
    copy_columns(j, in, p0, np, d, nd, col);
    for (int p = 0; p < np; p += width) {
      j->isa->mul(nk, mini(width, np - p), nd, w + d, j->ws,
                  col + (ptrdiff_t)p * nd, width, m + p, PLACES, d > 0);
    }
  }
  if (ct == 0) memset(m, 0, (size_t)nk * PLACES * sizeof *m);
}

static void run_tile(void *arg, int64_t job, int worker) {
  const gather_job *j = arg;
  const lun_gather *g = j->g;
  int k0 = (int)(job % j->blocks) * j->block;
  int64_t rest = job / j->blocks;
  int p0 = (int)(rest % j->tiles) * j->tile;
  int64_t chan = rest / j->tiles; /* image and group */
  int group = (int)(chan % g->groups), nk = mini(j->block, g->k - k0);
  int np = mini(j->tile, g->oh * g->ow - p0);
  float *col = j->scratch + (size_t)worker * j->each;
  float *m = col + DEPTH * PLACES;
  multiply(j, j->in + chan * g->c * g->ih * g->iw,
           j->w + ((ptrdiff_t)group * g->k + k0) * j->ws, nk, p0, np, col, m);
  for (int k = 0; k < nk; k++) {
    store(j, chan * g->k + k0 + k, group * g->k + k0 + k, p0, np,
          m + (ptrdiff_t)k * PLACES);
  }
}

typedef struct pick_job {
  const lun_gather *g;
  const float *w;
  float *out;
  ptrdiff_t ws;
  int back, kk;
} pick_job;

/* One row W[c][tap] of the gather from a layer's weights (OIHW). */
static void pick_row(void *arg, int64_t job, int worker) {
  const pick_job *j = arg;
  const lun_gather *g = j->g;
  int group = (int)(job / g->k), k = (int)(job % g->k);
  float *out = j->out + job * j->ws;
  (void)worker;
  for (int c = 0; c < g->c; c++) {
    /* forward the gather's channels are the layer's; backward swapped */
    int64_t o = j->back ? (int64_t)group * g->c + c : (int64_t)group * g->k + k;
    int64_t i = j->back ? k : c;
    const float *w = j->w + (o * (j->back ? g->k : g->c) + i) * j->kk;
    for (int t = 0; t < g->taps; t++) *out++ = w[g->tap[t]];
  }
}

/* Tiles of places, then blocks of outputs until there are JOBS. */
static void partition(gather_job *j) {
  const lun_gather *g = j->g;
  int places = g->oh * g->ow, width = j->isa->panel;
  int tile = ceil_div(ceil_div(places, JOBS), width) * width;
  j->tile = mini(PLACES, tile);
  j->tiles = ceil_div(places, j->tile);
  j->blocks = ceil_div(g->k, OUTPUTS);
  while (j->tiles * j->blocks < JOBS && j->blocks * 32 < g->k) j->blocks++;
  j->block = ceil_div(g->k, j->blocks);
  j->blocks = ceil_div(g->k, j->block);
}

/* out = the gather of in, with the layer's weights w. */
static int run_gather(const lun_gather *g, const lun_conv *s, int back,
                      const float *in, const float *w, float *out,
                      const lun_finish *end, lun_err *err) {
  gather_job j = {
      .g = g, .isa = lun_simd_now(), .end = end, .in = in, .out = out};
  int64_t rows = (int64_t)g->groups * g->k;
  if (g->oh <= 0 || g->ow <= 0 || g->n <= 0 || g->k <= 0) return LUN_OK;
  partition(&j);
  j.ws = (ptrdiff_t)(g->c * g->taps + 15) / 16 * 16 + 16;
  j.each = (size_t)(DEPTH + j.block) * PLACES;
  size_t weights = (size_t)(rows * j.ws);
  j.w = lun_malloc((weights + j.each * lun_threads()) * sizeof(float));
  if (!j.w) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  j.scratch = j.w + weights;
  pick_job pick = {g, w, j.w, j.ws, back, s->kh * s->kw};
  int st = lun_parallel(rows, pick_row, &pick);
  if (st == LUN_OK) {
    st = lun_parallel((int64_t)g->n * g->groups * j.tiles * j.blocks, run_tile,
                      &j);
  }
  lun_free(j.w);
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
