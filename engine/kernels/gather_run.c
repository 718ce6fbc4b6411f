/*
** gather_run.c - computes gathers (gather.h): convolutions of any kernel, stride,
** padding, dilation and groups, and their gradients.
**
** A job is a tile of places and a block of output channels.  It copies what
** the tile meets of some channels into a strip: zeros where the tile reaches
** over the edge, and the columns and rows of every phase of the stride side
** by side, so that neighbouring places meet neighbouring values.  Then tap t
** of channel c is simply a row that begins at some offset of the strip, and
** the product runs over a table of offsets: nothing is copied per tap.  Weights are read
** through the same table, so that those of a gradient need not be transposed.  The phases of
** a gradient share a strip, and their columns are written together.
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
  MANY = 512,       /* ... of few outputs */
  DEPTHWISE = 4096, /* ... of a channel by itself */
  OUTPUTS =
      128,     /* most output channels of a job, all pairs of gathers counted */
  JOBS = 32,   /* wished for one image, so that many cores find work */
  SLACK = 64,  /* floats that the last vector may reach over */
  APART = 256, /* floats a channel: longer weights of a gradient are copied */
};

typedef struct gather_job {
  const lun_gather *g; /* the first */
  int count;           /* of them */
  const lun_simd *isa;
  const lun_epilogue *epilogue;
  const float *in, *w;
  float *out, *scratch;
  lun_place *at[LUN_PHASES]; /* (c, t) of a part: offsets of weight and value */
  ptrdiff_t group, row,
      channel;      /* floats between weights of groups, outputs, inputs */
  ptrdiff_t copied; /* ... of inputs where they are copied; 0: they are not */
  ptrdiff_t ws;
  int transposed;    /* w of a 1x1 kernel: [groups][c][ws], k in a row */
  size_t each;       /* floats of scratch a worker */
  int part;          /* channels at a time */
  int oh, ow;        /* places, of the gather that has most */
  int rows, cols;    /* ... of a tile */
  int down, across;  /* tiles */
  int block, blocks; /* output channels of a job, blocks */
  int y0, x0;        /* smallest ty, tx */
  int ny, nx;        /* phases of the stride that any tap meets */
  int prows, pitch;  /* rows and columns of one phase of the strip */
  ptrdiff_t plane;   /* floats of one channel of the strip */
  int ms;            /* floats between an output's sums and the next one's */
} gather_job;

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

/* Every channel by itself: one row of weights, as long as the kernel. */
static int is_depthwise(const lun_gather *g) { return g->c == 1 && g->k == 1; }

/* The strip of nc channels of the tile at place (v, u): [c][phase][row][column]. */
static void copy_strip(const gather_job *j, const float *in, int nc, int v,
                       int u, float *strip) {
  const lun_gather *g = j->g;
  for (int c = 0; c < nc; c++) {
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

/* Writes `n` places (v, u ...) of one gather's output channel through the epilogue. */
static void store(const gather_job *j, const lun_gather *g, int64_t chan, int k,
                  int v, int u, int n, float *m) {
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
  t.nr = mini(j->rows, j->oh - t.v);
  t.nc = mini(j->cols, j->ow - t.u);
  t.np = (t.nr - 1) * j->pitch + t.nc;
  return t;
}

/* Are even and odd columns of a row computed together? */
static int has_columns(const gather_job *j) {
  return j->g->osx == 2 && j->count == 2 * j->g->osy;
}

/* Row r of the tile's output channel k, of every gather; m: the sums of the first one's
** row, those of the others lie `step` apart. */
static void store_row(const gather_job *j, const tile *t, int k, int r,
                      float *m, ptrdiff_t step) {
  const lun_gather *g = j->g;
  int64_t chan = t->chan * g->k + t->k0 + k;
  int channel = t->group * g->k + t->k0 + k, two = has_columns(j) ? 2 : 1;
  for (int i = 0; i < j->count; i += two, m += two * step) {
    const lun_gather *one = g + i;
    int v = t->v + r, n = mini(t->nc, one->ow - t->u);
    if (v >= one->oh || n <= 0) continue;
    if (two == 1) {
      store(j, one, chan, channel, v, t->u, n, m);
      continue;
    }
    int64_t row = (chan * g->fh + one->oy + v * g->osy) * g->fw + 2 * t->u;
    j->isa->interleave(
        j->epilogue, j->out, row, mini(2 * t->nc, g->fw - 2 * t->u),
        one[0].taps ? m : NULL, one[1].taps ? m + step : NULL, channel);
  }
}

/* Sums of channels c0 .. c0+nc-1 of some outputs for every gather, of LUN_DEPTH products at a time, so
** that what a panel of places meets stays in the first cache for all outputs; without a
** tap they are 0. */
static void add_rows(const gather_job *j, const tile *t, int rows,
                     const float *w, int c0, int nc, const float *strip,
                     float *m, ptrdiff_t step) {
  int width = (rows <= LUN_WIDE_ROWS ? 2 : 1) * j->isa->panel;
  for (int p = 0; p < t->np; p += width)
    for (int i = 0; i < j->count; i++) {
      int depth = nc * j->g[i].taps;
      for (int d = 0; d < depth || (d == 0 && c0 == 0); d += LUN_DEPTH)
        j->isa->mul(&(lun_product){.rows = rows,
                                   .nk = mini(width, t->np - p),
                                   .depth = mini(LUN_DEPTH, depth - d),
                                   .add = c0 > 0 || d > 0,
                                   .a = w,
                                   .as = j->row,
                                   .b = strip + p,
                                   .at = j->at[i] + d,
                                   .m = m + i * step + p,
                                   .ms = j->ms});
    }
}

/* The same of all outputs: where gathers share weights, of as many at a time as are
** summed at once, whose weights then stay in the first cache for all places. */
static void add_part(const gather_job *j, const tile *t, const float *w, int c0,
                     int nc, const float *strip, float *m, ptrdiff_t step) {
  int groups = j->count > 1 ? ceil_div(t->nk, j->isa->rows) : 1;
  for (int k = 0, n; k < t->nk; k += n, groups--) {
    n = ceil_div(t->nk - k, groups);
    add_rows(j, t, n, w + k * j->row, c0, nc, strip, m + (ptrdiff_t)k * j->ms,
             step);
  }
}

/* The weights of nc channels and the tile's outputs, apart: those of a channel lie side
** by side, but far from the next one's, where they push each other out of a set of the
** cache. */
static void copy_weights(const gather_job *j, const tile *t, const float *w,
                         int nc, float *to) {
  size_t bytes = (size_t)(t->nk * j->row) * sizeof *to;
  for (int c = 0; c < nc; c++, w += j->channel, to += j->copied)
    memcpy(to, w, bytes);
}

static void run_tile(void *arg, int64_t job) {
  const gather_job *j = arg;
  const lun_gather *g = j->g;
  tile t = tile_of(j, job);
  float *strip = j->scratch + (size_t)lun_worker() * j->each;
  float *copy = strip + j->part * j->plane + SLACK;
  float *m = copy + j->part * j->copied;
  ptrdiff_t step = (ptrdiff_t)j->block * j->ms,
            plane = (ptrdiff_t)g->ih * g->iw;
  const float *in = j->in + t.chan * g->c * plane;
  const float *w = j->w + t.group * j->group + t.k0 * j->row;
  for (int c0 = 0, nc; c0 == 0 || c0 < g->c; c0 += nc, w += nc * j->channel) {
    nc = mini(j->part, g->c - c0);
    copy_strip(j, in + c0 * plane, nc, t.v, t.u, strip);
    if (j->copied) copy_weights(j, &t, w, nc, copy);
    if (is_depthwise(g)) {
      for (int i = 0; i < j->count; i++)
        j->isa->taps(w, g[i].taps, strip, j->at[i], m + i * step, t.np);
      continue;
    }
    add_part(j, &t, j->copied ? copy : w, c0, nc, strip, m, step);
  }
  for (int k = 0; k < t.nk; k++)
    for (int r = 0; r < t.nr; r++)
      store_row(j, &t, k, r, m + (ptrdiff_t)k * j->ms + r * j->pitch, step);
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

/* ---- plan --------------------------------------------------------------- */

/* The least of all gathers' offsets, and how far the others reach. */
static void range(const gather_job *j, int down, int *least, int *span) {
  int lo = 0, hi = 0, first = 1;
  for (int i = 0; i < j->count; i++)
    for (int t = 0; t < j->g[i].taps; t++, first = 0) {
      int v = down ? j->g[i].ty[t] : j->g[i].tx[t];
      if (first || v < lo) lo = v;
      if (first || v > hi) hi = v;
    }
  *least = lo;
  *span = hi - lo;
}

static int most_taps(const gather_job *j) {
  int most = 1;
  for (int i = 0; i < j->count; i++)
    if (j->g[i].taps > most) most = j->g[i].taps;
  return most;
}

/* Whole rows of places while they are short; then blocks of outputs until
** there are JOBS. */
static void partition(gather_job *j) {
  const lun_gather *g = j->g;
  int spany, spanx, width = j->isa->panel;
  int jobs = mini(JOBS, 4 * lun_threads()); /* more copy more of the input */
  int outputs = OUTPUTS / ceil_div(j->count, 2);
  for (int i = 0; i < j->count; i++) {
    if (g[i].oh > j->oh) j->oh = g[i].oh;
    if (g[i].ow > j->ow) j->ow = g[i].ow;
  }
  range(j, 1, &j->y0, &spany);
  range(j, 0, &j->x0, &spanx);
  int most = ceil_div(ceil_div(j->oh * j->ow, jobs), width) * width;
  most = mini(most < 96 ? 96 : most, g->k <= LUN_WIDE_ROWS ? MANY : PLACES);
  if (is_depthwise(g) && g->groups >= jobs) most = DEPTHWISE;
  j->across = ceil_div(j->ow, PLACES);
  j->cols = ceil_div(ceil_div(j->ow, j->across), width) * width;
  if (j->across == 1 || j->cols > j->ow) j->cols = j->ow;
  j->across = ceil_div(j->ow, j->cols);
  j->rows = mini(j->oh, most > j->cols ? most / j->cols : 1);
  j->down = ceil_div(j->oh, j->rows);
  j->ny = mini(g->isy, spany + 1);
  j->nx = mini(g->isx, spanx + 1);
  j->prows = j->rows + spany / g->isy;
  j->pitch = j->cols + spanx / g->isx;
  j->plane = (ptrdiff_t)j->ny * j->nx * j->prows * j->pitch;
  j->blocks = ceil_div(g->k, outputs);
  while (j->down * j->across * j->blocks < jobs && j->blocks * 32 < g->k) {
    j->blocks++;
  }
  j->block = ceil_div(g->k, j->blocks);
  j->blocks = ceil_div(g->k, j->block);
  j->ms = ceil_div(j->rows * j->pitch, 2 * width) * 2 * width;
}

/* Where the weights w of layer s lie, and how many channels are summed at a time. */
static void find_weights(gather_job *j, const lun_conv *s, int back) {
  const lun_gather *g = j->g;
  ptrdiff_t kernel = (ptrdiff_t)s->kh * s->kw;
  j->group = (ptrdiff_t)g->k * g->c * kernel;
  j->row = back ? kernel : g->c * kernel;
  j->channel = back ? g->k * kernel : kernel;
  j->part = mini(g->c, LUN_DEPTH / mini(LUN_DEPTH, most_taps(j)));
  if (back && j->channel > APART) /* an odd number of lines */
    j->copied = (j->block * kernel + 31) / 32 * 32 + 16;
}

static void offsets(const gather_job *j) {
  const lun_gather *first = j->g;
  for (int i = 0; i < j->count; i++) {
    const lun_gather *g = first + i;
    lun_place *at = j->at[i];
    for (int c = 0; c < j->part; c++)
      for (int t = 0; t < g->taps; t++) {
        int y = g->ty[t] - j->y0, x = g->tx[t] - j->x0;
        int phase = y % g->isy * j->nx + x % g->isx;
        *at++ = (lun_place){
            c * (j->copied ? j->copied : j->channel) + g->tap[t],
            c * j->plane +
                ((ptrdiff_t)phase * j->prows + y / g->isy) * j->pitch +
                x / g->isx};
      }
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

/* A matrix product: a 1x1 kernel, and the places of a tile lie side by side. */
static int is_pointwise(const gather_job *j, const lun_conv *s) {
  const lun_gather *g = j->g;
  return s->kh * s->kw == 1 && j->count == 1 && g->taps == 1 &&
         !is_depthwise(g) && g->osx == 1 && g->osy == 1 &&
         (j->across == 1 || g->oh == 1);
}

/* Floats of scratch a worker. */
static size_t scratch_of(const gather_job *j, int pointwise) {
  const lun_gather *g = j->g;
  size_t places = (size_t)(j->rows * j->pitch + SLACK);
  if (!pointwise)
    return (size_t)(j->part * (j->plane + j->copied) + SLACK) +
           (size_t)j->count * (size_t)j->block * (size_t)j->ms;
  return LUN_PACKED + weight_floats(j) +
         (reads_in_place(j) ? 0 : (size_t)mini(g->c, LUN_DEPTH) * places);
}

/* Floats of one gather's table. */
static size_t table_of(const gather_job *j) {
  size_t entry = sizeof(lun_place) / sizeof(float);
  return ((size_t)(j->part * most_taps(j)) * entry + 15) / 16 * 16;
}

/* out = the gathers of in, with the layer's weights w. */
static int run(lun_gather *g, int count, const lun_conv *s, int back,
               const float *in, const float *w, float *out,
               const lun_epilogue *epilogue, lun_err *err) {
  gather_job j = {.g = g,
                  .count = count,
                  .isa = lun_simd_now(),
                  .epilogue = epilogue,
                  .in = in,
                  .out = out,
                  .w = w};
  if (count == 1) flatten(g);
  partition(&j);
  find_weights(&j, s, back);
  int pointwise = is_pointwise(&j, s);
  j.transposed = pointwise && back;
  j.ws = j.transposed ? g->k : g->c;
  size_t table = pointwise ? 0 : table_of(&j);
  j.each = (scratch_of(&j, pointwise) + 15) / 16 * 16;
  float *mem = lun_malloc(
      (table * (size_t)count + j.each * (size_t)lun_threads()) * sizeof *mem);
  if (!mem) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  j.scratch = mem + table * (size_t)count;
  for (int i = 0; i < count; i++)
    j.at[i] = (lun_place *)(void *)(mem + table * (size_t)i);
  if (!pointwise) offsets(&j);
  int64_t tiles = (int64_t)g->n * g->groups * j.down * j.across;
  int st =
      lun_parallel(tiles * j.blocks, pointwise ? run_pointwise : run_tile, &j);
  lun_free(mem);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

int lun_gather_run(lun_gather *g, int count, const lun_conv *s, int back,
                   const float *in, const float *w, float *out,
                   const lun_epilogue *epilogue, lun_err *err) {
  if (g->oh <= 0 || g->ow <= 0 || g->n <= 0 || g->k <= 0) return LUN_OK;
  int64_t floats = count == 1 ? sampled_floats(g) : 0;
  float *room = floats ? lun_malloc((size_t)floats * sizeof *room) : NULL;
  if (floats && !room)
    return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  int st = room ? sample(g, &in, room) : LUN_OK;
  st = st ? lun_fail(err, st, "interrupted")
          : run(g, count, s, back, in, w, out, epilogue, err);
  lun_free(room);
  return st;
}
