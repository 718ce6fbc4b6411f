/*
** rows.c - many rows times a matrix: the tokens of a transformer.
**
** A job is some rows and some panels of outputs.  It packs what it needs of the matrix,
** DEPTH inputs at a time, so that a panel stays in the first-level cache and the rows'
** inputs in the second; sums go on where they were.  Every output is one chain of fused
** multiply-adds in the order of the inputs: bits depend neither on the number of rows
** nor on the threads.
*/
#include "simd.h"

#include <string.h>

enum {
  ROWS_EACH = 252, /* of a job: the kernels of all sets take 6 or 14 at once */
  DEPTH = 256,
  PANELS = 8,
};

typedef struct rows_job {
  const lun_simd *isa;
  lun_rows s;
  const float *x, *w;
  float *y, *scratch;
  lun_place *at;
  size_t each;            /* floats of scratch a worker */
  int64_t panels, blocks; /* of a job; jobs abreast */
} rows_job;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* to[c][i] = what input c0 + c gives output o + i, i < n; n up to the panel's width. */
static void pack(const rows_job *j, int64_t c0, int64_t nd, int64_t o, int n,
                 float *to) {
  const lun_rows *s = &j->s;
  int width = j->isa->panel;
  if (!s->in_out) {
    j->isa->transpose(j->w + o * s->in + c0, s->in, n, (int)nd, to, width);
    return;
  }
  for (int64_t c = 0; c < nd; c++, to += width) {
    memcpy(to, j->w + (c0 + c) * s->out + o, (size_t)n * sizeof *to);
    if (n < width) memset(to + n, 0, (size_t)(width - n) * sizeof *to);
  }
}

/* Rows r .. r+nr-1 of the last outputs, which fill no panel. */
static void copy_out(const rows_job *j, int64_t r, int64_t nr, int64_t o, int n,
                     const float *m) {
  for (int64_t i = 0; i < nr; i++, m += j->isa->panel)
    memcpy(j->y + (r + i) * j->s.out + o, m, (size_t)n * sizeof *m);
}

static void run_job(void *arg, int64_t job) {
  const rows_job *j = arg;
  const lun_rows *s = &j->s;
  int width = j->isa->panel, n = width;
  int64_t r = job / j->blocks * ROWS_EACH, nr = least(ROWS_EACH, s->rows - r);
  int64_t o0 = job % j->blocks * j->panels * width;
  int64_t o1 = least(s->out, o0 + j->panels * width);
  float *panel = j->scratch + (size_t)lun_worker() * j->each;
  float *m = panel + DEPTH * width;
  for (int64_t c0 = 0; c0 < s->in; c0 += DEPTH) {
    int64_t nd = least(DEPTH, s->in - c0);
    for (int64_t o = o0; o < o1; o += width) {
      n = (int)least(width, o1 - o);
      pack(j, c0, nd, o, n, panel);
      j->isa->mul(&(lun_product){.rows = (int)nr,
                                 .nk = n,
                                 .depth = (int)nd,
                                 .add = c0 > 0,
                                 .a = j->x + r * s->in + c0,
                                 .as = s->in,
                                 .b = panel,
                                 .at = j->at,
                                 .m = n < width ? m : j->y + r * s->out + o,
                                 .ms = n < width ? width : s->out});
    }
  }
  if (n < width) copy_out(j, r, nr, o1 - n, n, m);
}

int lun_rows_product(const lun_rows *s, const float *x, const float *w,
                     float *y, lun_err *err) {
  rows_job j = {.isa = lun_simd_now(), .s = *s, .x = x, .w = w, .y = y};
  int width = j.isa->panel;
  int64_t all = (s->out + width - 1) / width, rows, table = DEPTH * 4;
  if (s->rows <= 0 || s->out <= 0) return LUN_OK;
  if (s->in <= 0) {
    memset(y, 0, (size_t)(s->rows * s->out) * sizeof *y);
    return LUN_OK;
  }
  rows = (s->rows + ROWS_EACH - 1) / ROWS_EACH;
  j.panels = PANELS;
  while (j.panels > 1 &&
         (all + j.panels - 1) / j.panels * rows < 4 * lun_threads())
    j.panels /= 2;
  j.blocks = (all + j.panels - 1) / j.panels;
  j.each = (size_t)(DEPTH + ROWS_EACH) * (size_t)width;
  float *mem = lun_malloc(((size_t)table + j.each * (size_t)lun_threads()) * 4);
  if (!mem) return lun_fail(err, LUN_ENOMEM, "linear: no scratch memory");
  j.at = (lun_place *)(void *)mem;
  j.scratch = mem + table;
  for (int c = 0; c < DEPTH; c++)
    j.at[c] = (lun_place){c, (ptrdiff_t)c * width};
  int st = lun_parallel(rows * j.blocks, run_job, &j);
  lun_free(mem);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}
