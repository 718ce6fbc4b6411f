/*
** fft.c - two-dimensional Fourier transforms between real planes (h, w) and the half
** of their spectrum that says all, (2h, w/2 + 1): real parts above imaginary parts.
**
** A transform is made for LANES columns at a time, which lie side by side (simd_fft.h).
** Down the spectrum's columns that is how they lie.  Along rows, two real rows are the
** real and the imaginary part of one complex row, A + iB, and LANES such pairs are
** transposed.  Between both, the half spectra of all rows wait in `middle`, transposed:
** column k, then the A rows, then the B rows.
*/
#include <math.h>
#include <string.h>

#include "simd.h"

enum { LANES = 16, PLANES = 12 /* transformed together: bounds the scratch */ };

typedef struct transform {
  const lun_simd *isa;
  const lun_spectrum *s;
  lun_fft down, across; /* of length h and w */
  float *table;         /* theirs */
  int half, pairs;      /* w/2 + 1; pairs of rows */
  int64_t pitch;        /* of a column of the middle: A rows, then B rows */
  lun_complex middle;   /* of all planes */
  /* Of each worker: two buffers of LANES complex columns, room for a step. */
  float *scratch;
  size_t column, each; /* floats: of LANES columns, of a worker */
  const float *from;
  float *to;
} transform;

static int64_t up(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

static int least(int a, int b) { return a < b ? a : b; }

/* ---- plans -------------------------------------------------------------- */

/* Fours first: they cost least a value. */
static void plan(lun_fft *f, int n, float *table) {
  int radix = 4;
  f->n = n;
  f->steps = 0;
  f->cos = table, f->sin = table + n;
  for (int t = 0; t < n; t++) {
    double angle = 2 * 3.14159265358979323846 * t / n;
    table[t] = (float)cos(angle);
    table[n + t] = (float)sin(angle);
  }
  while (n > 1) {
    while (n % radix) radix = radix == 4 ? 2 : radix == 2 ? 3 : radix + 2;
    f->radix[f->steps++] = radix;
    n /= radix;
  }
}

static void release(transform *t) {
  lun_free(t->table);
  lun_free(t->middle.re);
  lun_free(t->scratch);
}

static int prepare(transform *t, const lun_spectrum *s, lun_err *err) {
  size_t planes = (size_t)(s->planes < PLANES ? s->planes : PLANES);
  *t = (transform){.isa = lun_simd_now(),
                   .s = s,
                   .half = s->w / 2 + 1,
                   .pairs = (s->h + 1) / 2};
  t->pitch = 2 * up(t->pairs);
  t->column = (size_t)(s->h > s->w ? s->h : s->w) * LANES;
  t->each = 8 * t->column + 2 * (size_t)LANES;
  size_t middle = planes * (size_t)t->half * (size_t)t->pitch;
  t->middle.re = lun_malloc(2 * middle * sizeof(float));
  t->scratch = lun_malloc((size_t)lun_threads() * t->each * sizeof(float));
  t->table = lun_malloc((size_t)(2 * (s->h + s->w)) * sizeof *t->table);
  if (!t->table || !t->middle.re || !t->scratch) {
    release(t);
    return lun_fail(err, LUN_ENOMEM, "no memory for a Fourier transform");
  }
  if (s->h % (2 * LANES)) /* some of the middle is padding */
    memset(t->middle.re, 0, 2 * middle * sizeof(float));
  t->middle.im = t->middle.re + middle;
  plan(&t->down, s->h, t->table);
  plan(&t->across, s->w, t->table + 2 * s->h);
  return LUN_OK;
}

/* A worker's buffers: LANES complex columns twice, and room for a step. */
typedef struct buffers {
  lun_complex a, b;
  float *room;
} buffers;

static buffers buffers_of(const transform *t) {
  float *mem = t->scratch + (size_t)lun_worker() * t->each;
  size_t c = t->column;
  return (buffers){.a = {mem, mem + c},
                   .b = {mem + 2 * c, mem + 3 * c},
                   .room = mem + 4 * c};
}

/* Columns that nothing is written to must hold numbers all the same. */
static void clear(const transform *t, const buffers *d) {
  memset(d->a.re, 0, 2 * t->column * sizeof *d->a.re);
}

/* The transform of d->a, forward, or back with both parts exchanged. */
static lun_complex transformed(const transform *t, const lun_fft *f, buffers *d,
                               int back) {
  lun_complex x = d->a, y = d->b;
  if (back) x = (lun_complex){x.im, x.re}, y = (lun_complex){y.im, y.re};
  t->isa->fft(f, LANES, &x, &y, d->room);
  return back ? (lun_complex){x.im, x.re} : x;
}

/* Column k's factor: the columns whose mirror image is not there count twice. */
static float factor(const transform *t, int k) {
  int alone = k == 0 || 2 * k == t->s->w;
  return t->s->scale * (t->s->twice && !alone ? 2.0f : 1.0f);
}

/* ---- the spectrum's columns --------------------------------------------- */

static int64_t column_jobs(const transform *t) { return up(t->half) / LANES; }

/* Copies columns k0 .. k0+n-1 between a worker's buffers and the middle, of one plane,
** its A rows or its B rows. */
static void to_middle(const transform *t, int64_t plane, int k0, int n,
                      const float *from, float *middle) {
  float *to = middle + (plane * t->half + k0) * t->pitch;
  int low = t->s->h - t->pairs;
  t->isa->transpose(from, LANES, t->pairs, n, to, t->pitch);
  if (low > 0)
    t->isa->transpose(from + (ptrdiff_t)t->pairs * LANES, LANES, low, n,
                      to + t->pitch / 2, t->pitch);
}

static void from_middle(const transform *t, int64_t plane, int k0, int n,
                        const float *middle, float *to) {
  const float *from = middle + (plane * t->half + k0) * t->pitch;
  int low = t->s->h - t->pairs;
  t->isa->transpose(from, t->pitch, n, t->pairs, to, LANES);
  if (low > 0)
    t->isa->transpose(from + t->pitch / 2, t->pitch, n, low,
                      to + (ptrdiff_t)t->pairs * LANES, LANES);
}

/* Copies LANES columns of a spectrum to a worker's buffers, or back. */
static void load_columns(const float *from, int half, int h, int n, float *to) {
  for (int j = 0; j < h; j++, from += half, to += LANES) {
    memcpy(to, from, (size_t)n * sizeof *to);
    if (n < LANES) memset(to + n, 0, (size_t)(LANES - n) * sizeof *to);
  }
}

static void store_columns(const float *from, const float *factors, int half,
                          int h, int n, float *to) {
  for (int j = 0; j < h; j++, from += LANES, to += half)
    for (int l = 0; l < n; l++) to[l] = from[l] * factors[l];
}

/* Back: columns of the spectrum to the middle. */
static void columns_back(void *arg, int64_t job) {
  transform *t = arg;
  int64_t plane = job / column_jobs(t);
  int k0 = (int)(job % column_jobs(t)) * LANES, h = t->s->h, half = t->half;
  int n = least(LANES, half - k0);
  const float *from = t->from + plane * 2 * h * half + k0;
  buffers d = buffers_of(t);
  load_columns(from, half, h, n, d.a.re);
  load_columns(from + (ptrdiff_t)h * half, half, h, n, d.a.im);
  lun_complex z = transformed(t, &t->down, &d, 1);
  to_middle(t, plane, k0, n, z.re, t->middle.re);
  to_middle(t, plane, k0, n, z.im, t->middle.im);
}

/* Forward: the middle to columns of the spectrum. */
static void columns_forward(void *arg, int64_t job) {
  transform *t = arg;
  int64_t plane = job / column_jobs(t);
  int k0 = (int)(job % column_jobs(t)) * LANES, h = t->s->h, half = t->half;
  int n = least(LANES, half - k0);
  float *to = t->to + plane * 2 * h * half + k0, factors[LANES];
  buffers d = buffers_of(t);
  for (int l = 0; l < n; l++) factors[l] = factor(t, k0 + l);
  if (n < LANES) clear(t, &d);
  from_middle(t, plane, k0, n, t->middle.re, d.a.re);
  from_middle(t, plane, k0, n, t->middle.im, d.a.im);
  lun_complex z = transformed(t, &t->down, &d, 0);
  store_columns(z.re, factors, half, h, n, to);
  store_columns(z.im, factors, half, h, n, to + (ptrdiff_t)h * half);
}

/* ---- rows of the picture ------------------------------------------------ */

static int64_t row_jobs(const transform *t) { return up(t->pairs) / LANES; }

/*
** Column k of the spectra of LANES pairs of rows, A and B, is column k of A + iB, and
** column w-k, whose values are conjugate, of conj A + i conj B.
*/
static void join(const transform *t, const lun_complex a, const lun_complex b,
                 int k, lun_complex z) {
  int w = t->s->w, alone = k == 0 || 2 * k == w;
  float f = factor(t, k) * (alone ? 1.0f : 0.5f), g = alone ? 0.0f : f;
  float *re = z.re + (ptrdiff_t)k * LANES, *im = z.im + (ptrdiff_t)k * LANES;
  ptrdiff_t mirror = alone ? 0 : (ptrdiff_t)(w - 2 * k) * LANES;
  for (int l = 0; l < LANES; l++) {
    float are = a.re[l] * f, aim = a.im[l] * g;
    float bre = b.re[l] * f, bim = b.im[l] * g;
    re[mirror + l] = are + bim, im[mirror + l] = bre - aim;
    re[l] = are - bim, im[l] = aim + bre;
  }
}

/* The other way: A_k = (Z_k + conj Z_(w-k)) / 2, i B_k = (Z_k - conj Z_(w-k)) / 2. */
static void part(const transform *t, const lun_complex z, int k, lun_complex a,
                 lun_complex b) {
  ptrdiff_t at = (ptrdiff_t)k * LANES;
  ptrdiff_t mirror = (ptrdiff_t)((t->s->w - k) % t->s->w) * LANES;
  for (int l = 0; l < LANES; l++) {
    float re = z.re[at + l], im = z.im[at + l];
    float mre = z.re[mirror + l], mim = z.im[mirror + l];
    a.re[l] = 0.5f * (re + mre), a.im[l] = 0.5f * (im - mim);
    b.re[l] = 0.5f * (im + mim), b.im[l] = 0.5f * (mre - re);
  }
}

/* Where column k of the middle has the A rows, and the B rows, of pairs p0 and on. */
static void middle_at(const transform *t, int64_t plane, int k, int64_t p0,
                      lun_complex *a, lun_complex *b) {
  int64_t at = (plane * t->half + k) * t->pitch + p0;
  *a = (lun_complex){t->middle.re + at, t->middle.im + at};
  at += t->pitch / 2;
  *b = (lun_complex){t->middle.re + at, t->middle.im + at};
}

/* The first n of LANES columns as rows of w; a transpose alone would write beyond. */
static void store_rows(const transform *t, const buffers *d, const float *from,
                       int n, float *to) {
  int w = t->s->w;
  int64_t pitch = up(w);
  t->isa->transpose(from, LANES, w, n, d->room, pitch);
  for (int l = 0; l < n; l++)
    memcpy(to + (ptrdiff_t)l * w, d->room + l * pitch, (size_t)w * sizeof *to);
}

/* Back: the middle to pairs of rows of the picture. */
static void rows_back(void *arg, int64_t job) {
  transform *t = arg;
  int64_t plane = job / row_jobs(t);
  int p0 = (int)(job % row_jobs(t)) * LANES, h = t->s->h, w = t->s->w;
  int n = least(LANES, t->pairs - p0), low = least(n, h - t->pairs - p0);
  float *to = t->to + (plane * h + p0) * w;
  buffers d = buffers_of(t);
  for (int k = 0; k < t->half; k++) {
    lun_complex a, b;
    middle_at(t, plane, k, p0, &a, &b);
    join(t, a, b, k, d.a);
  }
  lun_complex z = transformed(t, &t->across, &d, 1);
  store_rows(t, &d, z.re, n, to);
  if (low > 0) store_rows(t, &d, z.im, low, to + (ptrdiff_t)t->pairs * w);
}

/* Forward: pairs of rows of the picture to the middle. */
static void rows_forward(void *arg, int64_t job) {
  transform *t = arg;
  int64_t plane = job / row_jobs(t);
  int p0 = (int)(job % row_jobs(t)) * LANES, h = t->s->h, w = t->s->w;
  int n = least(LANES, t->pairs - p0), low = least(n, h - t->pairs - p0);
  const float *from = t->from + (plane * h + p0) * w;
  buffers d = buffers_of(t);
  if (low < LANES) clear(t, &d);
  t->isa->transpose(from, w, n, w, d.a.re, LANES);
  if (low > 0)
    t->isa->transpose(from + (ptrdiff_t)t->pairs * w, w, low, w, d.a.im, LANES);
  lun_complex z = transformed(t, &t->across, &d, 0);
  for (int k = 0; k < t->half; k++) {
    lun_complex a, b;
    middle_at(t, plane, k, p0, &a, &b);
    part(t, z, k, a, b);
  }
}

/* ---- both ways ---------------------------------------------------------- */

/* Both steps, PLANES planes at a time; floats of a plane before and after. */
static int run(const lun_spectrum *s, const float *from, int64_t before,
               lun_job *first, float *to, int64_t after, lun_job *then,
               int back, lun_err *err) {
  transform t;
  int st = LUN_OK;
  LUN_TRY(prepare(&t, s, err));
  t.from = from, t.to = to;
  for (int64_t p = 0; p < s->planes && st == LUN_OK; p += PLANES) {
    int64_t n = s->planes - p < PLANES ? s->planes - p : PLANES;
    int64_t columns = n * column_jobs(&t), rows = n * row_jobs(&t);
    st = lun_parallel(back ? columns : rows, first, &t);
    if (st == LUN_OK) st = lun_parallel(back ? rows : columns, then, &t);
    t.from += n * before, t.to += n * after;
  }
  release(&t);
  return st ? lun_fail(err, st, "interrupted") : LUN_OK;
}

int lun_rfft2(const lun_spectrum *s, const float *x, float *y, lun_err *err) {
  int64_t picture = (int64_t)s->h * s->w;
  int64_t spectrum = 2 * (int64_t)s->h * (s->w / 2 + 1);
  return run(s, x, picture, rows_forward, y, spectrum, columns_forward, 0, err);
}

int lun_irfft2(const lun_spectrum *s, const float *y, float *x, lun_err *err) {
  int64_t picture = (int64_t)s->h * s->w;
  int64_t spectrum = 2 * (int64_t)s->h * (s->w / 2 + 1);
  return run(s, y, spectrum, columns_back, x, picture, rows_back, 1, err);
}
