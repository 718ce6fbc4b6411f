/*
** gather_run.c - computes a gather (gather.h): convolutions of any kernel,
** stride, padding, dilation and groups, and their gradients.
**
** A job is a tile of places and a block of output channels.  It copies what
** the tile meets of every channel into a strip: zeros where the tile reaches
** over the edge, and the columns and rows of every phase of the stride side
** by side, so that neighbouring places meet neighbouring values.  Then tap t
** of channel c is simply a row that begins at some offset of the strip, and
** the product runs over a table of offsets: nothing is copied per tap.
**
** All sizes depend on the shapes alone, and every output is one chain of
** fused multiply-adds in the order of (c, t), so that bits depend neither on
** the batch nor on the threads.
*/
#include "simd.h"

#include <stdlib.h>
#include <string.h>

enum {
  PLACES = 256,     /* most places of a tile, about */
  DEPTHWISE = 4096, /* ... of a channel by itself */
  OUTPUTS = 128,    /* most output channels of a job */
  JOBS = 32,        /* wished for one image, so that many cores find work */
  SLACK = 64,       /* floats that the last vector may reach over */
};

typedef struct gather_job {
  const lun_gather *g;
  const lun_simd *isa;
  const lun_epilogue *epilogue;
  const float *in, *w; /* w: [groups][k][ws] */
  float *out, *scratch;
  ptrdiff_t *at; /* offset in the strip of (c, t) */
  ptrdiff_t ws;
  int transposed;    /* w of a one-tap kernel: [groups][c][ws], k in a row */
  size_t each;       /* floats of scratch a worker */
  int rows, cols;    /* places of a tile */
  int down, across;  /* tiles */
  int block, blocks; /* output channels of a job, blocks */
  int y0, x0;        /* smallest ty, tx */
  int ny, nx;        /* phases of the stride that any tap meets */
  int prows, pitch;  /* rows and columns of one phase of the strip */
  ptrdiff_t plane;   /* floats of one channel of the strip */
} gather_job;

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* Every channel by itself: one row of weights, as long as the kernel. */
static int is_depthwise(const lun_gather *g) { return g->c == 1 && g->k == 1; }

/* The strip of the tile at place (v, u): [c][phase][row][column]. */
static void copy_strip(const gather_job *j, const float *in, int v, int u,
                       float *strip) {
  const lun_gather *g = j->g;
  for (int c = 0; c < g->c; c++) {
    const float *plane = in + (ptrdiff_t)c * g->ih * g->iw;
    float *to = strip + c * j->plane;
    for (int py = 0; py < j->ny; py++)
      for (int px = 0; px < j->nx; px++)
        for (int q = 0; q < j->prows; q++, to += j->pitch) {
          lun_gather_row(g, plane, (v + q) * g->isy + j->y0 + py,
                         u * g->isx + j->x0 + px, g->isx, j->pitch, to);
        }
  }
}

/* Writes `n` places (v, u ...) of one output channel through the epilogue. */
static void store(const gather_job *j, int64_t chan, int k, int v, int u, int n,
                  float *m) {
  const lun_gather *g = j->g;
  int64_t at = (chan * g->fh + g->oy + v * g->osy) * g->fw + g->ox + u * g->osx;
  float value[PLACES], other[PLACES];
  if (g->osx == 1) {
    j->isa->epilogue(j->epilogue, j->out, at, n, m, k);
    return;
  }
  /* Places apart: what the epilogue reads there is put side by side. */
  lun_epilogue e = *j->epilogue;
  lun_gate gate = {e.gate ? e.gate->slope : (lun_slopes){0}, value, n};
  for (int i = 0; e.gate && i < n; i++)
    value[i] = e.gate->y[at % e.gate->size + i * g->osx];
  for (int i = 0; e.add && i < n; i++) other[i] = e.add[at + i * g->osx];
  if (e.gate) e.gate = &gate;
  if (e.add) e.add = other;
  j->isa->epilogue(&e, m, 0, n, m, k);
  for (int i = 0; i < n; i++) j->out[at + i * g->osx] = m[i];
}

/* The tile and the outputs of a job. */
typedef struct tile {
  int u, v, nr, nc; /* places: the first, rows, columns */
  int np;           /* places of the strip, rows `pitch` apart */
  int k0, nk;       /* outputs */
  int64_t chan;     /* image and group */
  int group;
} tile;

static tile tile_of(const gather_job *j, int64_t job) {
  const lun_gather *g = j->g;
  tile t = {.k0 = (int)(job % j->blocks) * j->block};
  int64_t rest = job / j->blocks;
  t.u = (int)(rest % j->across) * j->cols;
  t.v = (int)(rest / j->across % j->down) * j->rows;
  t.chan = rest / j->across / j->down;
  t.group = (int)(t.chan % g->groups);
  t.nk = mini(j->block, g->k - t.k0);
  t.nr = mini(j->rows, g->oh - t.v);
  t.nc = mini(j->cols, g->ow - t.u);
  t.np = (t.nr - 1) * j->pitch + t.nc;
  return t;
}

static void store_tile(const gather_job *j, const tile *t, float *m, int ms) {
  const lun_gather *g = j->g;
  int64_t first = t->chan * g->k + t->k0;
  for (int k = 0; k < t->nk; k++)
    for (int r = 0; r < t->nr; r++)
      store(j, first + k, t->group * g->k + t->k0 + k, t->v + r, t->u, t->nc,
            m + (ptrdiff_t)k * ms + r * j->pitch);
}

/* Sums are made of LUN_DEPTH products at a time, so that what a panel of places meets
** stays in the first cache for all outputs; without a tap they are 0. */
static void run_tile(void *arg, int64_t job) {
  const gather_job *j = arg;
  const lun_gather *g = j->g;
  tile t = tile_of(j, job);
  int width = (t.nk <= LUN_WIDE_ROWS ? 2 : 1) * j->isa->panel;
  int ms = ceil_div(t.np, width) * width;
  int depth = g->c * g->taps;
  float *strip = j->scratch + (size_t)lun_worker() * j->each;
  float *m = strip + g->c * j->plane + SLACK;
  const float *w = j->w + ((ptrdiff_t)t.group * g->k + t.k0) * j->ws;
  copy_strip(j, j->in + t.chan * g->c * g->ih * g->iw, t.v, t.u, strip);
  if (is_depthwise(g)) j->isa->taps(w, g->taps, strip, j->at, m, t.np);
  for (int d = 0; !is_depthwise(g) && (d == 0 || d < depth); d += LUN_DEPTH)
    for (int p = 0; p < t.np; p += width) {
      lun_product product = {.rows = t.nk,
                             .nk = mini(width, t.np - p),
                             .depth = mini(LUN_DEPTH, depth - d),
                             .add = d > 0,
                             .a = w + d,
                             .as = j->ws,
                             .b = strip + p,
                             .at = j->at + d,
                             .m = m + p,
                             .ms = ms};
      j->isa->mul(&product);
    }
  store_tile(j, &t, m, ms);
}

/* ---- one tap ------------------------------------------------------------ */

/* Does a tile's place p meet x[c][t.u + p], as flatten made it? */
static int reads_in_place(const gather_job *j) {
  const lun_gather *g = j->g;
  return g->oh == 1 && g->isx == 1 && j->y0 == 0 && j->x0 == 0 &&
         g->ow == g->iw;
}

/* Scratch for transposed weights, or others that are copied. */
static size_t weight_floats(const gather_job *j) {
  int copies = lun_pointwise_copies(j->transposed, j->ws, j->isa->panel);
  return copies ? (size_t)j->block * (LUN_DEPTH + LUN_GAP) : 0;
}

/* What channels c0 .. c0+nd-1 give the tile's places, row after row. */
static void copy_places(const gather_job *j, const tile *t, const float *in,
                        int nd, float *to, ptrdiff_t step) {
  const lun_gather *g = j->g;
  for (int c = 0; c < nd; c++, in += (ptrdiff_t)g->ih * g->iw, to += step)
    for (int r = 0; r < t->nr; r++)
      lun_gather_row(g, in, (t->v + r) * g->isy + j->y0, t->u * g->isx + j->x0,
                     g->isx, t->nc, to + (ptrdiff_t)r * t->nc);
}

/* run_tile for kernels of one tap, whose tiles are whole rows: a matrix product, of
** LUN_DEPTH channels at a time, so that what is multiplied stays in the caches. */
static void run_pointwise(void *arg, int64_t job) {
  const gather_job *j = arg;
  const lun_gather *g = j->g;
  const lun_epilogue *e = j->epilogue;
  tile t = tile_of(j, job);
  int in_place = reads_in_place(j), k0 = t.group * g->k + t.k0, nd;
  int np = t.nr * t.nc;
  float *panel = j->scratch + (size_t)lun_worker() * j->each;
  float *weights = panel + LUN_PACKED;
  float *strip = weights + weight_floats(j);
  const float *in = j->in + t.chan * g->c * g->ih * g->iw;
  int64_t at = (t.chan * g->k + t.k0) * g->fh * g->fw + t.v * g->fw + t.u;
  lun_epilogue own = *e;
  if (own.bias) own.bias += k0;
  if (own.scale) own.scale += k0;
  lun_pointwise p = {.rows = t.nk,
                     .np = np,
                     .transposed = j->transposed,
                     .y = j->out + at,
                     .panel = panel,
                     .weights = weights,
                     .xs = in_place ? g->iw : np,
                     .ws = j->ws,
                     .ys = (ptrdiff_t)g->fh * g->fw,
                     .epilogue = &own,
                     .gate_y = e->gate ? e->gate->y + at % e->gate->size : NULL,
                     .add = e->add ? e->add + at : NULL};
  for (int c0 = 0; c0 < g->c; c0 += nd) {
    nd = mini(LUN_DEPTH, g->c - c0);
    const float *x = in + (ptrdiff_t)c0 * g->ih * g->iw;
    if (!in_place) copy_places(j, &t, x, nd, strip, np);
    p.x = in_place ? x + t.u : strip;
    p.w = j->transposed ? j->w + ((ptrdiff_t)t.group * g->c + c0) * j->ws + t.k0
                        : j->w + (ptrdiff_t)k0 * j->ws + c0;
    p.depth = nd;
    p.first = c0 == 0;
    p.last = c0 + nd == g->c;
    j->isa->pointwise(&p);
  }
}

/* The weights of some gathers of one gradient: element e of every kernel goes to
** to[e] + k * rows[e] + c * taps[e]. */
typedef struct weights_job {
  const lun_gather *g;
  const float *w;
  float *to[LUN_KERNEL];
  ptrdiff_t rows[LUN_KERNEL];
  int taps[LUN_KERNEL], elements, kk, from[LUN_KERNEL];
} weights_job;

enum { WEIGHT_ROWS = 16 };

/* Rows W[k][c][tap] of a gradient's gathers from the layer's weights (OIHW),
** where the gather's c is the layer's output: WEIGHT_ROWS rows of one group, whose
** kernels lie side by side.  They are short pieces far apart, so the next ones are
** asked for. */
static void transposed_rows(void *arg, int64_t job) {
  enum { AHEAD = 4 };
  const weights_job *j = arg;
  const lun_gather *g = j->g;
  int64_t per_group = ceil_div(g->k, WEIGHT_ROWS), group = job / per_group;
  int k0 = (int)(job % per_group) * WEIGHT_ROWS,
      n = mini(WEIGHT_ROWS, g->k - k0);
  ptrdiff_t step = (ptrdiff_t)g->k * j->kk;
  const float *w = j->w + (group * g->c * g->k + k0) * j->kk;
  for (int c = 0; c < g->c; c++, w += step) {
    for (int i = 0; c + AHEAD < g->c && i < n * j->kk; i += 16)
      __builtin_prefetch(w + AHEAD * step + i);
    for (int e = 0; e < j->elements; e++) {
      float *to = j->to[e] + (group * g->k + k0) * j->rows[e] + c * j->taps[e];
      const float *from = w + j->from[e];
      for (int k = 0; k < n; k++) to[k * j->rows[e]] = from[k * j->kk];
    }
  }
}

/* Floats between the rows of a gradient's weights, and of all of them. */
static ptrdiff_t weights_step(const lun_gather *g) {
  return (ptrdiff_t)g->c * g->taps + 16;
}

size_t lun_gather_weights_floats(const lun_gather *g) {
  return ((size_t)(g->groups * g->k * weights_step(g)) + 15) / 16 * 16;
}

int lun_gather_weights(const lun_gather *g, int count, const lun_conv *s,
                       const float *w, float *const *room) {
  weights_job j = {.g = g, .w = w, .kk = s->kh * s->kw};
  int st = LUN_OK;
  for (int i = 0; i < count && st == LUN_OK; i++)
    for (int t = 0; t < g[i].taps && st == LUN_OK; t++) {
      int e = j.elements++;
      j.to[e] = room[i] + t;
      j.rows[e] = weights_step(g + i);
      j.taps[e] = g[i].taps;
      j.from[e] = g[i].tap[t];
      int last = i + 1 == count && t + 1 == g[i].taps;
      if (!last && j.elements < LUN_KERNEL) continue;
      st = lun_parallel((int64_t)g->groups * ceil_div(g->k, WEIGHT_ROWS),
                        transposed_rows, &j);
      j.elements = 0;
    }
  if (st == LUN_OK && j.elements)
    st = lun_parallel((int64_t)g->groups * ceil_div(g->k, WEIGHT_ROWS),
                      transposed_rows, &j);
  return st;
}

/* ---- plan --------------------------------------------------------------- */

static void range(const int *v, int n, int *least, int *span) {
  int lo = n ? v[0] : 0, hi = lo;
  for (int i = 0; i < n; i++) {
    if (v[i] < lo) lo = v[i];
    if (v[i] > hi) hi = v[i];
  }
  *least = lo;
  *span = hi - lo;
}

/* Whole rows of places while they are short; then blocks of outputs until
** there are JOBS. */
static void partition(gather_job *j) {
  const lun_gather *g = j->g;
  int spany, spanx, width = j->isa->panel;
  int jobs = mini(JOBS, 4 * lun_threads()); /* more copy more of the input */
  range(g->ty, g->taps, &j->y0, &spany);
  range(g->tx, g->taps, &j->x0, &spanx);
  int most = ceil_div(ceil_div(g->oh * g->ow, jobs), width) * width;
  most = mini(most < 96 ? 96 : most, PLACES);
  if (is_depthwise(g) && g->groups >= jobs) most = DEPTHWISE;
  j->across = ceil_div(g->ow, PLACES);
  j->cols = ceil_div(ceil_div(g->ow, j->across), width) * width;
  if (j->across == 1 || j->cols > g->ow) j->cols = g->ow;
  j->across = ceil_div(g->ow, j->cols);
  j->rows = mini(g->oh, most > j->cols ? most / j->cols : 1);
  j->down = ceil_div(g->oh, j->rows);
  j->ny = mini(g->isy, spany + 1);
  j->nx = mini(g->isx, spanx + 1);
  j->prows = j->rows + spany / g->isy;
  j->pitch = j->cols + spanx / g->isx;
  j->plane = (ptrdiff_t)j->ny * j->nx * j->prows * j->pitch;
  j->blocks = ceil_div(g->k, OUTPUTS);
  while (j->down * j->across * j->blocks < jobs && j->blocks * 32 < g->k) {
    j->blocks++;
  }
  j->block = ceil_div(g->k, j->blocks);
  j->blocks = ceil_div(g->k, j->block);
}

static void offsets(const gather_job *j) {
  const lun_gather *g = j->g;
  ptrdiff_t *at = j->at;
  for (int c = 0; c < g->c; c++)
    for (int t = 0; t < g->taps; t++) {
      int y = g->ty[t] - j->y0, x = g->tx[t] - j->x0;
      int phase = y % g->isy * j->nx + x % g->isx;
      *at++ = c * j->plane +
              ((ptrdiff_t)phase * j->prows + y / g->isy) * j->pitch +
              x / g->isx;
    }
}

/* One row of an unpadded 1x1 kernel over a whole plane is one long row. */
static void flatten(lun_gather *g) {
  if (g->taps != 1 || g->ty[0] || g->tx[0] || g->isy != 1 || g->isx != 1 ||
      g->osy != 1 || g->osx != 1 || g->oh != g->ih || g->ow != g->iw) {
    return;
  }
  g->iw *= g->ih;
  g->ow = g->fw = g->iw;
  g->ih = g->oh = g->fh = 1;
}

/* ---- 1x1 kernels with a stride ------------------------------------------ */

typedef struct sample_job {
  const lun_gather *g;
  const float *in;
  float *out;
} sample_job;

static void sample_plane(void *arg, int64_t plane) {
  const sample_job *j = arg;
  const lun_gather *g = j->g;
  for (int v = 0; v < g->oh; v++)
    lun_gather_row(g, j->in + plane * g->ih * g->iw, v * g->isy, 0, g->isx,
                   g->ow, j->out + (plane * g->oh + v) * g->ow);
}

/* 1: an unpadded 1x1 kernel with a stride reads every second (third ...) place, and has
** so many outputs that several jobs would copy the same places. */
static int samples(const lun_gather *g) {
  return g->taps == 1 && !g->ty[0] && !g->tx[0] && g->osy == 1 && g->osx == 1 &&
         (g->isy > 1 || g->isx > 1) && g->k > OUTPUTS && g->oh == g->fh &&
         g->ow == g->fw;
}

/* Copies the places that the stride reads into `room`, plane after plane; *in and g are
** then those of the same layer with stride 1. */
static int sample(lun_gather *g, const float **in, float *room) {
  sample_job j = {g, *in, room};
  int st = lun_parallel((int64_t)g->n * g->groups * g->c, sample_plane, &j);
  *in = room;
  g->ih = g->oh;
  g->iw = g->ow;
  g->isy = g->isx = 1;
  return st;
}

static int64_t sampled_floats(const lun_gather *g) {
  return samples(g) ? (int64_t)g->n * g->groups * g->c * g->oh * g->ow : 0;
}

/* A matrix product: one tap, and the places of a tile lie side by side. */
static int is_pointwise(const gather_job *j) {
  const lun_gather *g = j->g;
  return g->taps == 1 && !is_depthwise(g) && g->osx == 1 && g->osy == 1 &&
         (j->across == 1 || g->oh == 1);
}

/* Floats of scratch a worker. */
static size_t scratch_of(const gather_job *j, int pointwise) {
  const lun_gather *g = j->g;
  size_t places = (size_t)(j->rows * j->pitch + SLACK);
  if (!pointwise)
    return (size_t)(g->c * j->plane + SLACK) + (size_t)j->block * places;
  return LUN_PACKED + weight_floats(j) +
         (reads_in_place(j) ? 0 : (size_t)mini(g->c, LUN_DEPTH) * places);
}

/* out = the gather of in, with the layer's weights w. */
static int run(lun_gather *g, const lun_conv *s, int back, const float *in,
               const float *w, float *out, const lun_epilogue *epilogue,
               lun_err *err) {
  gather_job j = {.g = g,
                  .isa = lun_simd_now(),
                  .epilogue = epilogue,
                  .in = in,
                  .out = out,
                  .w = w};
  ptrdiff_t ct = (ptrdiff_t)g->c * g->taps;
  int st = LUN_OK;
  flatten(g);
  partition(&j);
  int pointwise = is_pointwise(&j);
  j.transposed = pointwise && back && s->kh * s->kw == 1;
  int transpose = back && !j.transposed && !g->weights;
  j.ws = j.transposed ? g->k : back ? weights_step(g) : ct;
  if (g->weights) j.w = g->weights;
  size_t table = pointwise ? 0 : (size_t)(2 * ct + 16) / 16 * 16; /* floats */
  size_t weights = transpose ? lun_gather_weights_floats(g) : 0;
  j.each = (scratch_of(&j, pointwise) + 15) / 16 * 16;
  float *mem = lun_malloc((table + weights + j.each * lun_threads()) * 4);
  if (!mem) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  j.at = (ptrdiff_t *)(void *)mem;
  j.scratch = mem + table + weights;
  if (!pointwise) offsets(&j);
  if (transpose) {
    j.w = mem + table;
    st = lun_gather_weights(g, 1, s, w, (float *[]){mem + table});
  }
  if (st == LUN_OK) {
    int64_t tiles = (int64_t)g->n * g->groups * j.down * j.across;
    st = lun_parallel(tiles * j.blocks, pointwise ? run_pointwise : run_tile,
                      &j);
  }
  lun_free(mem);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

int lun_gather_run(lun_gather *g, const lun_conv *s, int back, const float *in,
                   const float *w, float *out, const lun_epilogue *epilogue,
                   lun_err *err) {
  if (g->oh <= 0 || g->ow <= 0 || g->n <= 0 || g->k <= 0) return LUN_OK;
  int64_t floats = sampled_floats(g);
  float *room = floats ? lun_malloc((size_t)floats * sizeof *room) : NULL;
  if (floats && !room)
    return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  int st = room ? sample(g, &in, room) : LUN_OK;
  st = st ? lun_fail(err, st, "interrupted")
          : run(g, s, back, in, w, out, epilogue, err);
  lun_free(room);
  return st;
}
