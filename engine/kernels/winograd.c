/*
** winograd.c - plans 3x3 convolutions of stride 1 (and their gradients) for
** the transforms and products of simd.c.
**
** A convolution of c channels to k is 36 products, one for each frequency f,
** M[f] = V[f] U[f], of tiles x c by c x k matrices.  Two plans:
**
** - whole: many tiles, small weights.  All of U is made first, by all
**   workers; then a job carries a block of tiles through all three stages
**   while it stays in the worker's second level cache.
** - panels: few tiles, large weights.  All workers make V; then a job makes
**   the weights of one panel of outputs for itself, DEPTH channels at a time,
**   and multiplies all of V by them.  Weights are read once and U, four times
**   larger, never reaches memory.
**
** Nothing of this shows in the result: every output is one chain of fused
** multiply-adds in the order of its channels.
*/
#include "simd.h"

#include <stdlib.h>

enum {
  WHOLE_TILES = 14, /* most tiles of a job, plan whole; half of it ... */
  JOBS = 16,        /* ... where there would be fewer jobs than this */
  WHOLE_BYTES = 2500 * 1024,  /* largest U for plan whole */
  PANEL_TILES = 140,          /* tiles of a job, plan panels */
  DEPTH = 256,                /* channels whose weights a job holds at once */
  V_FLOATS = 3 * 1024 * 1024, /* V made in one go, plan panels */
};

typedef struct wino_plan {
  const lun_wino *j;
  const lun_simd *isa;
  int panels, chunks;   /* of isa->panel outputs, of DEPTH channels */
  int blocks, block;    /* jobs along the tiles, tiles of each */
  int first, count;     /* tiles worked on in this pass */
  ptrdiff_t fs, ts, ms; /* strides of V and M */
  float *v, *scratch;
  size_t each; /* floats of scratch a worker */
  char *made;  /* the workers that have their U, plan whole */
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

/* ---- plan whole --------------------------------------------------------- */

static ptrdiff_t panel_floats(const wino_plan *p) {
  return LUN_FREQ * lun_wino_us(p->isa, p->j->c);
}

/* A worker's own scratch: U, then V and M of one block. */
static void whole_block(void *arg, int64_t job, int worker) {
  const wino_plan *p = arg;
  const lun_wino *j = p->j;
  int t0 = (int)job * p->block, nt = mini(p->block, j->tiles - t0);
  float *u = p->scratch + (size_t)worker * p->each;
  float *v = u + p->panels * panel_floats(p), *m = v + LUN_FREQ * p->fs;
  for (int k = 0; k < p->panels && !p->made[worker]; k++) {
    p->isa->wino_weights(j, k * p->isa->panel, 0, j->c,
                         u + k * panel_floats(p));
  }
  p->made[worker] = 1;
  for (int c = 0; c < j->c; c += 16) {
    p->isa->wino_in(j, t0, nt, c, (lun_wino_v){v + c, p->fs, p->ts});
  }
  for (int k = 0; k < p->panels; k++) {
    p->isa->wino_mul(nt, panel_width(p, k), j->c, (lun_wino_v){v, p->fs, p->ts},
                     u + k * panel_floats(p), m, 0, 1);
    p->isa->wino_out(j, t0, nt, k * p->isa->panel, panel_width(p, k), m);
  }
}

static int run_whole(wino_plan *p, lun_err *err) {
  const lun_wino *j = p->j;
  char made[LUN_MAXTHREADS] = {0};
  int most = mini(WHOLE_TILES, ceil_div(j->tiles, JOBS));
  p->blocks =
      ceil_div(j->tiles, most < WHOLE_TILES / 2 ? WHOLE_TILES / 2 : most);
  p->block = ceil_div(j->tiles, p->blocks);
  p->ts = (j->c + 15) / 16 * 16 + 16;
  p->fs = p->ts * p->block + 16;
  p->each = (size_t)(p->panels * panel_floats(p) + LUN_FREQ * p->fs +
                     p->ms * p->block);
  p->made = made;
  p->scratch = lun_malloc(p->each * lun_threads() * sizeof(float));
  if (!p->scratch) {
    return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  }
  int st = lun_parallel(p->blocks, whole_block, p);
  lun_free(p->scratch);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

/* ---- plan panels -------------------------------------------------------- */

/* V is cut by DEPTH channels first: a job reads one piece front to back. */
static lun_wino_v chunk_of(const wino_plan *p, int chunk, int tile) {
  return (lun_wino_v){p->v + chunk * (LUN_FREQ * p->fs) + tile * p->ts, p->fs,
                      p->ts};
}

enum { IN_TILES = 14 }; /* tiles of a job that makes V */

static void panels_in(void *arg, int64_t job, int worker) {
  const wino_plan *p = arg;
  int cbs = ceil_div(p->j->c, 16);
  int c = (int)(job % cbs) * 16, t = (int)(job / cbs) * IN_TILES;
  lun_wino_v v = chunk_of(p, c / DEPTH, t);
  (void)worker;
  v.p += c % DEPTH;
  p->isa->wino_in(p->j, p->first + t, mini(IN_TILES, p->count - t), c, v);
}

static void panels_out(void *arg, int64_t job, int worker) {
  const wino_plan *p = arg;
  int panel = (int)(job % p->panels), t = (int)(job / p->panels) * p->block;
  int nt = mini(p->block, p->count - t), nk = panel_width(p, panel);
  float *u = p->scratch + (size_t)worker * p->each;
  float *m = u + LUN_FREQ * lun_wino_us(p->isa, DEPTH);
  for (int i = 0; i < p->chunks; i++) {
    int nc = mini(DEPTH, p->j->c - i * DEPTH);
    p->isa->wino_weights(p->j, panel * p->isa->panel, i * DEPTH, nc, u);
    p->isa->wino_mul(nt, nk, nc, chunk_of(p, i, t), u, m, i > 0, 0);
  }
  p->isa->wino_out(p->j, p->first + t, nt, panel * p->isa->panel, nk, m);
}

static int run_panels(wino_plan *p, lun_err *err) {
  const lun_wino *j = p->j;
  int all = mini(j->tiles, 1 + V_FLOATS / (LUN_FREQ * j->c));
  int passes = ceil_div(j->tiles, all), st = LUN_OK;
  all = ceil_div(j->tiles, passes);
  p->block = ceil_div(all, ceil_div(all, PANEL_TILES));
  p->chunks = ceil_div(j->c, DEPTH);
  p->ts = DEPTH + 16;
  p->fs = p->ts * all + 16;
  p->each = (size_t)(LUN_FREQ * lun_wino_us(p->isa, DEPTH) + p->ms * p->block);
  size_t v = (size_t)(p->chunks * LUN_FREQ * p->fs);
  p->v = lun_malloc((v + p->each * lun_threads()) * sizeof(float));
  if (!p->v) return lun_fail(err, LUN_ENOMEM, "convolution: no scratch memory");
  p->scratch = p->v + v;
  for (p->first = 0; p->first < j->tiles && st == LUN_OK; p->first += all) {
    p->count = mini(all, j->tiles - p->first);
    int strips = ceil_div(p->count, IN_TILES);
    st = lun_parallel((int64_t)strips * ceil_div(j->c, 16), panels_in, p);
    if (st != LUN_OK) break;
    st = lun_parallel((int64_t)p->panels * ceil_div(p->count, p->block),
                      panels_out, p);
  }
  lun_free(p->v);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

/* ---- either ------------------------------------------------------------- */

int lun_wino_run(lun_wino *j, lun_err *err) {
  wino_plan p = {.j = j, .isa = lun_simd_now()};
  if (j->n <= 0 || j->k <= 0 || j->oh <= 0 || j->ow <= 0) return LUN_OK;
  j->th = ceil_div(j->oh, 4);
  j->tw = ceil_div(j->ow, 4);
  j->tiles = j->n * j->th * j->tw;
  p.panels = ceil_div(j->k, p.isa->panel);
  p.ms = lun_wino_ms(p.isa);
  if ((int64_t)LUN_FREQ * 4 * j->c * j->k <= WHOLE_BYTES) {
    return run_whole(&p, err);
  }
  return run_panels(&p, err);
}
