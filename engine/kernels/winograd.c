/*
** winograd.c - plans 3x3 convolutions of stride 1 (and their gradients) for
** the transforms and products of simd.c.
**
** A convolution of c channels to k is 36 products, one for each frequency f,
** M[f] = V[f] U[f], of tiles x c by c x k matrices.  A job is a block of tiles
** and one panel of outputs or all.  What several jobs of a worker share it
** makes once and for itself: computing it again costs less than fetching it
** from another processor's cache.  Three plans:
**
** - whole: small weights.  A worker holds all of U; a job carries a few tiles
**   through all three stages while they stay in its second level cache.
** - panels: large weights.  A worker holds V of a block of tiles; a job makes
**   the weights of one panel for itself, DEPTH channels at a time, and
**   multiplies V by them.  U, four times larger than the weights, never
**   reaches memory.
** - direct: up to LUN_DIRECT_CHANNELS inputs or outputs, or few of both, summed without a transform,
**   LUN_DIRECT_ROWS rows a job (simd_direct3x3.h).
**
** A worker's scratch is at the same address in all layers that need 8 MB or less:
** lines that another processor wrote last would have to be fetched before they are
** overwritten.
**
** Results do not depend on the plan: every output is one chain of fused
** multiply-adds in the order of its channels.
*/
#include "simd.h"

enum {
  WHOLE_TILES = 12, /* most tiles of a job, plan whole; half of it ... */
  WIDE_TILES = 14,  /* the same for products that take 14 at once */
  JOBS = 16,        /* ... where there would be fewer jobs than this */
  WHOLE_BYTES = 2500 * 1024, /* largest U for plan whole */
  DEPTH = 256,               /* channels whose weights a job holds at once */
  REGION = 2 << 20, /* floats: scratch of a worker, or a multiple; ... */
  SMALL = 64 << 10, /* ... layers that need no more than this take that */
};

typedef struct wino_plan {
  const lun_wino *j;
  const lun_simd *isa;
  int panels, chunks;   /* of isa->panel outputs, of DEPTH channels */
  int blocks, block;    /* of tiles, tiles of each */
  ptrdiff_t fs, ts, ms; /* strides of V and M */
  float *scratch;
  size_t each; /* floats of scratch a worker */
  int *held;   /* by worker: U is made; number + 1 of V's block */
} wino_plan;

static int mini(int a, int b) { return a < b ? a : b; }

static int ceil_div(int a, int b) { return (a + b - 1) / b; }

int lun_wino_fits(const lun_conv *s) {
  return s->kh == 3 && s->kw == 3 && s->sh == 1 && s->sw == 1 && s->dh == 1 &&
         s->dw == 1 && s->groups == 1;
}

static int panel_width(const wino_plan *p, int panel) {
  return mini(p->isa->panel, p->j->k - panel * p->isa->panel);
}

static int run_jobs(wino_plan *p, int64_t jobs, lun_job *fn, lun_err *err) {
  int held[LUN_MAXTHREADS] = {0};
  p->held = held;
  if (p->each > SMALL) p->each = (p->each + REGION - 1) / REGION * REGION;
  p->scratch = lun_malloc(p->each * lun_threads() * sizeof(float));
  if (!p->scratch) {
    return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  }
  int st = lun_parallel(jobs, fn, p);
  lun_free(p->scratch);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

/* Bits: frequencies that the last tile of a row of `outputs` does not need. */
static int dropped(int outputs) {
  int rest = 1 + (outputs - 1) % 4;
  return rest == 4 ? 0 : rest == 3 ? LUN_DROP_3 : LUN_DROP_2;
}

static lun_wino_block block_of(const lun_wino *j, int t0, int nt) {
  enum { RIGHT, INNER, LOW, CORNER, KINDS };
  lun_wino_block b = {.t0 = t0, .nt = nt};
  int kind[LUN_TILES], count[KINDS] = {0}, next[KINDS] = {0};
  for (int i = 0; i < nt; i++) {
    int tx = (t0 + i) % j->tw, ty = (t0 + i) / j->tw % j->th;
    int right = j->drop_x && tx == j->tw - 1;
    int low = j->drop_y && ty == j->th - 1;
    kind[i] = low ? (right ? CORNER : LOW) : right ? RIGHT : INNER;
    count[kind[i]]++;
  }
  for (int k = 1; k < KINDS; k++) next[k] = next[k - 1] + count[k - 1];
  for (int i = 0; i < nt; i++) b.place[i] = (short)next[kind[i]]++;
  b.right = count[RIGHT];
  b.low = count[LOW];
  b.corner = count[CORNER];
  return b;
}

/* ---- plan whole --------------------------------------------------------- */

static ptrdiff_t panel_floats(const wino_plan *p) {
  return LUN_FREQ * lun_wino_us(p->isa, p->j->c);
}

/* Of `units` planes of h x w: `each` floats a tile of the row of tiles below a
** block, from row `above` of it on. */
static lun_prefetch below(const lun_wino *j, const float *from, int units,
                          int h, int w, int above, int each, int t0, int nt) {
  ptrdiff_t plane = (ptrdiff_t)h * w;
  ptrdiff_t tile = t0 % (j->th * j->tw);
  const float *at = from + (ptrdiff_t)above * w + each * tile;
  return (lun_prefetch){at, 4, units, each * nt, plane, plane};
}

/* Outputs, n images before them. */
static lun_prefetch outputs_below(const lun_wino *j, int64_t n, int t0,
                                  int nt) {
  int half = j->tap != NULL, h = j->oh >> half, w = j->ow >> half;
  const float *out = j->out + n * j->k * h * w;
  return below(j, out, j->k, h, w, 4 >> half, 16 >> 2 * half, t0, nt);
}

/* Prefetches for the next row of tiles, two for each of the first panels: the
** input rows that this row of tiles does not read, the gate's y, the summand, and the
** outputs unless they are streamed. */
static void below_block(const lun_wino *j, int t0, int nt, lun_prefetch *s) {
  int64_t n = t0 / (j->th * j->tw), plane = (int64_t)j->oh * j->ow;
  int64_t out = n * j->k * plane;
  const lun_gate *g = j->epilogue.gate;
  *s++ = below(j, j->in + n * j->c * j->h * j->w, j->c, j->h, j->w, 6 - j->pt,
               16, t0, nt);
  if (g && g->y) {
    *s++ = below(j, g->y + out % g->size, j->k, j->oh, j->ow, 4, 16, t0, nt);
  }
  if (j->epilogue.add)
    *s++ = below(j, j->epilogue.add + out, j->k, j->oh, j->ow, 4, 16, t0, nt);
  if (lun_wino_bytes(j) <= LUN_CACHED) *s++ = outputs_below(j, n, t0, nt);
}

/* Scratch: U, then V and M of one block. */
static void whole_job(void *arg, int64_t job) {
  int worker = lun_worker();
  const wino_plan *p = arg;
  const lun_wino *j = p->j;
  int t0 = (int)job * p->block, nt = mini(p->block, j->tiles - t0);
  lun_wino_block b = block_of(j, t0, nt);
  float *u = p->scratch + (size_t)worker * p->each;
  lun_wino_v v = {u + p->panels * panel_floats(p), p->fs, p->ts};
  float *m = v.p + LUN_FREQ * p->fs;
  lun_prefetch prefetch[6] = {{0}};
  below_block(j, t0, nt, prefetch);
  for (int k = 0; k < p->panels && !p->held[worker]; k++) {
    lun_wino_part w = {k * p->isa->panel, 0, j->c};
    p->isa->wino_weights(j, w, u + k * panel_floats(p));
  }
  p->held[worker] = 1;
  for (int c = 0; c < j->c; c += 16) {
    p->isa->wino_in(j, &b, c, (lun_wino_v){v.p + c, v.fs, v.ts});
  }
  for (int k = 0; k < p->panels; k++) {
    lun_wino_product product = {.block = &b,
                                .nk = panel_width(p, k),
                                .nc = j->c,
                                .v = v,
                                .u = u + k * panel_floats(p),
                                .m = m,
                                .far_u = 1,
                                .prefetch = prefetch + 2 * mini(k, 2)};
    p->isa->wino_mul(j, &product);
    p->isa->wino_out(j, &b, k * p->isa->panel, panel_width(p, k), m);
  }
}

/* 14 tiles are one group of a product, and rows of 56, 28 and 14 tiles have no
** rest; but streamed outputs need whole cache lines, 4 tiles each. */
static int whole_tiles(const wino_plan *p) {
  int wide = p->isa->panel == 32 && lun_wino_bytes(p->j) <= LUN_CACHED;
  return wide ? WIDE_TILES : WHOLE_TILES;
}

static int run_whole(wino_plan *p, lun_err *err) {
  const lun_wino *j = p->j;
  int jobs = mini(JOBS, 2 * lun_threads());
  int most = mini(whole_tiles(p), ceil_div(j->tiles, jobs));
  p->blocks =
      ceil_div(j->tiles, most < WHOLE_TILES / 2 ? WHOLE_TILES / 2 : most);
  p->block = ceil_div(j->tiles, p->blocks);
  p->ts = (j->c + 15) / 16 * 16 + 16;
  p->fs = p->ts * p->block + 16;
  p->each = (size_t)(p->panels * panel_floats(p) + LUN_FREQ * p->fs +
                     p->ms * p->block);
  return run_jobs(p, p->blocks, whole_job, err);
}

/* ---- plan panels -------------------------------------------------------- */

/* V is [chunk of DEPTH channels][f][t][c]: a job reads a chunk front to back. */
static lun_wino_v chunk_of(const wino_plan *p, float *v, int chunk) {
  return (lun_wino_v){v + chunk * (LUN_FREQ * p->fs), p->fs, p->ts};
}

static void make_v(const wino_plan *p, const lun_wino_block *b, float *v) {
  for (int c = 0; c < p->j->c; c += 16) {
    lun_wino_v part = chunk_of(p, v, c / DEPTH);
    part.p += c % DEPTH;
    p->isa->wino_in(p->j, b, c, part);
  }
}

static lun_wino_part part_of(const wino_plan *p, int panel, int chunk) {
  int c0 = chunk * DEPTH;
  return (lun_wino_part){panel * p->isa->panel, c0, mini(DEPTH, p->j->c - c0)};
}

/* The weights that a worker most likely transforms next: rows of kernels, one for
** each output, or some for each channel when back. */
static lun_prefetch next_weights(const wino_plan *p, int panel, int chunk) {
  const lun_wino *j = p->j;
  int more = chunk + 1 < p->chunks;
  lun_wino_part w =
      part_of(p, more ? panel : (panel + 1) % p->panels, more ? chunk + 1 : 0);
  ptrdiff_t row = 9 * (ptrdiff_t)(j->back ? j->k : j->c);
  if (j->back) {
    return (lun_prefetch){.from = j->weights + w.c0 * row + w.k0 * 9,
                          .shift = 5,
                          .units = w.nc,
                          .len = 9 * p->isa->panel,
                          .stride = row,
                          .jump = row};
  }
  return (lun_prefetch){.from = j->weights + w.k0 * row + w.c0 * 9,
                        .shift = 5,
                        .units = p->isa->panel,
                        .len = 9 * 32,
                        .stride = row,
                        .jump = 9 * 32};
}

/* Scratch: U of a chunk, M, and V.  Jobs go through the panels of one block
** after the other's. */
static void panel_job(void *arg, int64_t job) {
  int worker = lun_worker();
  const wino_plan *p = arg;
  int panel = (int)(job % p->panels), block = (int)(job / p->panels);
  int t0 = block * p->block, nt = mini(p->block, p->j->tiles - t0);
  lun_wino_block b = block_of(p->j, t0, nt);
  int nk = panel_width(p, panel);
  float *u = p->scratch + (size_t)worker * p->each;
  float *m = u + LUN_FREQ * lun_wino_us(p->isa, DEPTH),
        *v = m + p->ms * p->block;
  if (p->held[worker] != block + 1) make_v(p, &b, v);
  p->held[worker] = block + 1;
  for (int i = 0; i < p->chunks; i++) {
    lun_wino_part w = part_of(p, panel, i);
    lun_prefetch prefetch[2] = {next_weights(p, panel, i), {0}};
    p->isa->wino_weights(p->j, w, u);
    lun_wino_product product = {.block = &b,
                                .nk = nk,
                                .nc = w.nc,
                                .v = chunk_of(p, v, i),
                                .u = u,
                                .m = m,
                                .add = i > 0,
                                .prefetch = prefetch};
    p->isa->wino_mul(p->j, &product);
  }
  p->isa->wino_out(p->j, &b, panel * p->isa->panel, nk, m);
}

/* Cycles a channel (measured) of the busiest worker when tiles are cut into
** `blocks`.  Many blocks: each transforms all weights again.  Few blocks: fewer
** jobs to share out, and larger ones, each of which fetches the input of its whole
** block, slower the more workers fetch at once. */
static int64_t panels_cost(const wino_plan *p, int blocks) {
  enum { U_PANEL = 220, MULTIPLY_TILE = 36, V_TILE = 14, FETCH_TILE = 4 };
  int block = ceil_div(p->j->tiles, blocks), threads = lun_threads();
  int64_t jobs = ceil_div(blocks * p->panels, threads);
  int64_t visited = 1 + (jobs - 1) / p->panels;
  return jobs * (U_PANEL + (int64_t)MULTIPLY_TILE * block) +
         visited * (V_TILE + FETCH_TILE * threads) * block;
}

static int run_panels(wino_plan *p, lun_err *err) {
  const lun_wino *j = p->j;
  int least = ceil_div(j->tiles, LUN_TILES);
  int most = mini(j->tiles, least + 2 * lun_threads());
  p->blocks = least;
  for (int n = least + 1; n <= most; n++) {
    if (panels_cost(p, n) < panels_cost(p, p->blocks)) p->blocks = n;
  }
  p->block = ceil_div(j->tiles, p->blocks);
  p->blocks = ceil_div(j->tiles, p->block);
  p->chunks = ceil_div(j->c, DEPTH);
  p->ts = DEPTH + 16;
  p->fs = p->ts * p->block + 16;
  p->each = (size_t)(LUN_FREQ * lun_wino_us(p->isa, DEPTH) + p->ms * p->block +
                     p->chunks * LUN_FREQ * p->fs);
  return run_jobs(p, (int64_t)p->panels * p->blocks, panel_job, err);
}

/* ---- plan direct -------------------------------------------------------- */

static void direct_job(void *arg, int64_t job) {
  const wino_plan *p = arg;
  int bands = ceil_div(p->j->oh, LUN_DIRECT_ROWS);
  p->isa->direct3x3(p->j, (int)(job / bands),
                    (int)(job % bands) * LUN_DIRECT_ROWS,
                    p->scratch + (size_t)lun_worker() * p->each);
}

static int run_direct(wino_plan *p, lun_err *err) {
  p->each = lun_direct3x3_scratch(p->j);
  return run_jobs(p, (int64_t)p->j->n * ceil_div(p->j->oh, LUN_DIRECT_ROWS),
                  direct_job, err);
}

/* ---- any ---------------------------------------------------------------- */

int lun_wino_run(lun_wino *j, lun_err *err) {
  wino_plan p = {.j = j, .isa = lun_simd_now()};
  if (j->n <= 0 || j->k <= 0 || j->oh <= 0 || j->ow <= 0) return LUN_OK;
  if (lun_direct3x3_fits(j->c, j->k)) return run_direct(&p, err);
  j->th = ceil_div(j->oh, 4);
  j->tw = ceil_div(j->ow, 4);
  j->tiles = j->n * j->th * j->tw;
  j->drop_y = dropped(j->oh);
  j->drop_x = dropped(j->ow);
  p.panels = ceil_div(j->k, p.isa->panel);
  p.ms = lun_wino_ms(p.isa);
  if ((int64_t)LUN_FREQ * 4 * j->c * j->k <= WHOLE_BYTES) {
    return run_whole(&p, err);
  }
  return run_panels(&p, err);
}
