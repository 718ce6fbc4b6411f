/*
** params.c - gradients of a convolution's weights and biases.
**
**   dw[k][c][t] = sum over batch and places p of dy[k][p] * x[c][p at tap t]
**
** A tile of places at a time: x is gathered into rows [c, t][place], dy
** transposed to [place][k], and their product added to a sum.  A job has a block
** of channels, a panel of outputs and a segment of the tiles; the segments'
** sums are added in order at the end.  All sizes depend on shapes alone.
*/
#include "simd.h"

#include <stdlib.h>
#include <string.h>

enum {
  PLACES = 256,             /* of a tile */
  ROWS = 288,               /* most channel-tap pairs of a block */
  SUMS = 12 * 1024 * 1024,  /* most floats of all segments' sums */
  WORK = 400 * 1000 * 1000, /* multiplications wished for a job */
};

typedef struct param_job {
  const lun_conv *s;
  const lun_gather *g;
  const lun_simd *isa;
  const float *x, *dy;
  float *dw, *sums, *scratch;
  int channels, blocks;   /* of a block, blocks of a group */
  int panels;             /* of a group's outputs */
  int64_t tiles, segment; /* of the batch, of a job */
  int segments, per_image;
  int64_t floats; /* of one segment's sum */
  size_t each;    /* floats of scratch a worker */
} param_job;

static int mini(int a, int b) { return a < b ? a : b; }

static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Adds one tile of one image to the sum. */
static void add_tile(const param_job *j, int64_t tile, int group, int c0,
                     int nc, int k0, int nk, float *col, float *sum) {
  const lun_gather *g = j->g;
  int n = (int)(tile / j->per_image), taps = g->taps;
  int p0 = (int)(tile % j->per_image) * PLACES;
  int np = mini(PLACES, g->oh * g->ow - p0), width = j->isa->panel;
  int64_t plane = (int64_t)g->oh * g->ow;
  int64_t xc = (int64_t)n * j->s->c + group * g->c + c0;
  int64_t yc = (int64_t)n * j->s->k + group * g->k + k0;
  float *transposed = col + (ptrdiff_t)j->channels * taps * (PLACES + 16);
  for (int i = 0; i < nc * taps; i++) {
    lun_gather_copy(g, j->x + (xc + i / taps) * g->ih * g->iw, i % taps, p0, np,
                    col + (ptrdiff_t)i * (PLACES + 16));
  }
  j->isa->transpose(j->dy + yc * plane + p0, plane, nk, np, transposed, width);
  j->isa->mul(&(lun_product){.rows = nc * taps,
                             .nk = nk,
                             .depth = np,
                             .add = 1,
                             .a = col,
                             .as = PLACES + 16,
                             .b = transposed,
                             .bs = width,
                             .m = sum,
                             .ms = width});
}

/* sums: [segment][group][panel][c * taps][panel width] */
static float *sum_at(const param_job *j, int seg, int group, int panel) {
  const lun_gather *g = j->g;
  int64_t at = ((int64_t)seg * g->groups + group) * j->panels + panel;
  return j->sums + at * g->c * g->taps * j->isa->panel;
}

static void sum_job(void *arg, int64_t job) {
  const param_job *j = arg;
  const lun_gather *g = j->g;
  int width = j->isa->panel;
  int block = (int)(job % j->blocks),
      panel = (int)(job / j->blocks % j->panels);
  int64_t rest = job / j->blocks / j->panels;
  int group = (int)(rest % g->groups), seg = (int)(rest / g->groups);
  int c0 = block * j->channels, nc = mini(j->channels, g->c - c0);
  int nk = mini(width, g->k - panel * width);
  float *col = j->scratch + (size_t)lun_worker() * j->each;
  float *sum = sum_at(j, seg, group, panel) + (ptrdiff_t)c0 * g->taps * width;
  memset(sum, 0, (size_t)nc * g->taps * width * sizeof *sum);
  for (int64_t t = seg * j->segment;
       t < min64(j->tiles, (seg + 1) * j->segment); t++) {
    add_tile(j, t, group, c0, nc, panel * width, nk, col, sum);
  }
}

/* dw of one output channel: the segments in order. */
static void collect(void *arg, int64_t job) {
  const param_job *j = arg;
  const lun_gather *g = j->g;
  int width = j->isa->panel, ct = g->c * g->taps;
  int group = (int)(job / g->k), k = (int)(job % g->k);
  float *dw = j->dw + job * ct;
  memset(dw, 0, (size_t)ct * sizeof *dw);
  for (int seg = 0; seg < j->segments; seg++) {
    const float *sum = sum_at(j, seg, group, k / width) + k % width;
    for (int i = 0; i < ct; i++) dw[i] += sum[(ptrdiff_t)i * width];
  }
}

/* Segments: enough that a job is short, as far as memory allows. */
static void partition(param_job *j) {
  const lun_gather *g = j->g;
  int width = j->isa->panel;
  j->per_image = (int)ceil_div((int64_t)g->oh * g->ow, PLACES);
  j->tiles = (int64_t)g->n * j->per_image;
  j->channels = mini(g->c, 1 + (ROWS - 1) / g->taps);
  j->blocks = (int)ceil_div(g->c, j->channels);
  j->panels = (int)ceil_div(g->k, width);
  j->floats = (int64_t)g->groups * j->panels * width * g->c * g->taps;
  int64_t work = (int64_t)g->n * g->oh * g->ow * j->channels * g->taps * width;
  int64_t wish = min64(1 + work / WORK, 1 + SUMS / (j->floats + 1));
  j->segment = ceil_div(j->tiles, min64(j->tiles, wish));
  j->segments = (int)ceil_div(j->tiles, j->segment);
}

static int weights_gradient(const lun_conv *s, const lun_gather *g,
                            const float *x, const float *dy, float *dw,
                            lun_err *err) {
  param_job j = {
      .s = s, .g = g, .isa = lun_simd_now(), .x = x, .dy = dy, .dw = dw};
  int width = j.isa->panel;
  if (g->n <= 0 || g->oh <= 0 || g->ow <= 0) {
    memset(dw, 0, (size_t)s->k * g->c * g->taps * sizeof *dw);
    return LUN_OK;
  }
  partition(&j);
  size_t sums = (size_t)(j.floats * j.segments);
  j.each = (size_t)j.channels * g->taps * (PLACES + 16) + PLACES * width;
  j.sums = lun_malloc((sums + j.each * lun_threads()) * sizeof(float));
  if (!j.sums) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch");
  j.scratch = j.sums + sums;
  int st = lun_parallel((int64_t)j.segments * g->groups * j.panels * j.blocks,
                        sum_job, &j);
  if (st == LUN_OK) st = lun_parallel(s->k, collect, &j);
  lun_free(j.sums);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

typedef struct bias_job {
  const lun_conv *s;
  const float *dy;
  float *db;
} bias_job;

/* Eight sums side by side, in double: a plane has 50,000 places. */
static double sum_of(const float *v, int64_t n) {
  double lane[8] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int l = 0; l < 8; l++) lane[l] += (double)v[i + l];
  for (; i < n; i++) sum += (double)v[i];
  for (int l = 0; l < 8; l++) sum += lane[l];
  return sum;
}

static void bias(void *arg, int64_t k) {
  const bias_job *j = arg;
  int64_t plane = (int64_t)j->s->oh * j->s->ow;
  double sum = 0;
  for (int n = 0; n < j->s->n; n++) {
    sum += sum_of(j->dy + ((int64_t)n * j->s->k + k) * plane, plane);
  }
  j->db[k] = (float)sum;
}

int lun_conv_backward_params(const lun_conv *s, const float *x, const float *dy,
                             float *dw, float *db, lun_err *err) {
  lun_gather g;
  bias_job b = {s, dy, db};
  if (db && lun_parallel(s->k, bias, &b) != LUN_OK) {
    return lun_fail(err, LUN_EINTR, "interrupted");
  }
  if (!dw) return LUN_OK;
  LUN_TRY(lun_gather_forward(&g, s, err));
  int st = weights_gradient(s, &g, x, dy, dw, err);
  lun_gather_free(&g);
  return st;
}
