/*
** copy.c - writes one tensor in another order of its axes.
**
** Element (i0, i1, ...) of the output lies at sum_k i_k * stride_k of the
** source, which covers HWIO -> OIHW, [in][out] -> [out][in], the flatten order
** of a first dense layer, and channels_last tensors alike.  A block is a range
** of the outermost output axis; its source elements are equally long runs, one
** for every index of the axes that lie outside of it in the source.  So a
** 411 MB matrix is transposed through two buffers of 32 MB.
*/
#include "import.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8 << 20, TILE = 64 }; /* floats a buffer; floats a tile side */

typedef struct job {
  const imp_file *f;
  const imp_tensor *t;
  imp_view v;               /* what is to be written */
  int64_t near[IMP_MAXDIM]; /* strides within the buffer */
  int64_t inner;            /* elements a row of the outermost axis */
  float *in, *out;
  void *raw; /* as in the file, unless that is float32 */
  lun_dtype dtype;
  imp_out *to;
} job;

/* Axes of length 1 go; neighbours that are one run in the source join. */
static void simplify(imp_view *v, int join) {
  int n = 0;
  for (int i = 0; i < v->ndim; i++) {
    if (v->dim[i] == 1) continue;
    if (join && n > 0 && v->stride[n - 1] == v->dim[i] * v->stride[i]) {
      v->dim[n - 1] *= v->dim[i];
    } else {
      v->dim[n] = v->dim[i];
      n++;
    }
    v->stride[n - 1] = v->stride[i];
  }
  if (n == 0) v->dim[0] = v->stride[0] = 1, n = 1;
  v->ndim = n;
}

/* ---- reading a block ---------------------------------------------------- */

float imp_widen(imp_dtype dtype, uint16_t h) {
  return dtype == IMP_F16 ? lun_half_to_float(h) : lun_bfloat_to_float(h);
}

static void widen(const job *j, int64_t n) {
  const uint16_t *h = j->raw;
  const double *d = j->raw;
  for (int64_t i = 0; i < n; i++) {
    if (j->t->dtype == IMP_F64)
      j->in[i] = (float)d[i];
    else
      j->in[i] = imp_widen(j->t->dtype, h[i]);
  }
}

/* The dataset's own axis along which the blocks run. */
static int own_axis(const job *j) {
  for (int a = 0; a < j->t->ndim; a++)
    if (j->t->dim[a] == j->v.dim[0] && j->t->stride[a] == j->v.stride[0])
      return a;
  return -1;
}

/* n bytes of a tensor's numbers, `at` bytes into them. */
static int read_numbers(const job *j, void *to, size_t n, int64_t at,
                        lun_err *err) {
  const imp_file *f = j->f;
  const imp_tensor *t = j->t;
  if (t->memory) return memcpy(to, (const char *)t->memory + at, n), LUN_OK;
  if (t->outside == NULL) return imp_read_at(j->f, to, n, t->at + at, err);
  if (f->outside < 0 || strcmp(t->outside, f->location) != 0)
    return lun_fail(err, LUN_EIO, "tensor '%s' is in another file, '%s'",
                    t->name, t->outside);
  if (imp_read_fd(f->outside, f->outside_size, to, n, t->at + at, err) ==
      LUN_OK)
    return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "tensor '%s': %lld bytes at %lld of %s, which has %lld",
                  t->name, (long long)(t->size * t->width), (long long)t->at,
                  t->outside, (long long)f->outside_size);
}

/* Rows first .. first+n-1 of the outermost axis into in[], runs packed. */
static int read_block(const job *j, int64_t first, int64_t n, lun_err *err) {
  int64_t step = j->v.dim[0] * j->v.stride[0]; /* from run to run */
  int64_t run = n * j->v.stride[0], width = j->t->width;
  char *to = j->raw ? j->raw : (void *)j->in;
  if (j->t->at < 0) {
    int axis = own_axis(j);
    if (j->t->ndim == 0 || (axis < 0 && n < j->v.dim[0]))
      return lun_fail(err, LUN_EFORMAT,
                      "tensor '%s' is packed in a way that "
                      "cannot be read in pieces",
                      j->t->name);
    if (axis < 0) axis = 0, n = j->t->dim[0], first = 0;
    return imp_hdf5_values(j->f, j->t, axis, first, n, j->in, err);
  }
  for (int64_t at = first * j->v.stride[0]; at < j->t->size; at += step) {
    LUN_TRY(read_numbers(j, to, (size_t)(run * width), at * width, err));
    to += run * width;
  }
  if (j->raw) widen(j, n * j->inner);
  return LUN_OK;
}

/* Strides within a block of n rows: axes outside of the blocked one in the
** source come closer, by the factor of rows that were left out. */
static void near_strides(job *j, int64_t n) {
  int64_t step = j->v.dim[0] * j->v.stride[0];
  for (int k = 0; k < j->v.ndim; k++)
    j->near[k] = j->v.stride[k] < step
                     ? j->v.stride[k]
                     : j->v.stride[k] / step * (n * j->v.stride[0]);
}

/* ---- reordering --------------------------------------------------------- */

/* An odometer over all axes but two; at/from are offsets in out/in. */
typedef struct odometer {
  int n;
  int64_t dim[IMP_MAXDIM], to[IMP_MAXDIM], from[IMP_MAXDIM], i[IMP_MAXDIM];
  int64_t at, src;
} odometer;

static int advance(odometer *o) {
  for (int k = o->n - 1; k >= 0; k--) {
    o->at += o->to[k];
    o->src += o->from[k];
    if (++o->i[k] < o->dim[k]) return 1;
    o->at -= o->dim[k] * o->to[k];
    o->src -= o->dim[k] * o->from[k];
    o->i[k] = 0;
  }
  return 0;
}

typedef struct
    pair {           /* the two axes that are contiguous: fast in the source, */
  int64_t nf, nl;    /* last in the output; their lengths */
  int64_t tof, srcl; /* stride of `fast` in out, of `last` in in */
} pair;

/* Tiles keep both sides in cache: the source is read along `fast`, the output
** written along `last`. */
static void reorder_tiles(const job *j, odometer *o, const pair *p) {
  for (int64_t f0 = 0; f0 < p->nf; f0 += TILE) {
    int64_t f1 = f0 + TILE < p->nf ? f0 + TILE : p->nf;
    do {
      for (int64_t f = f0; f < f1; f++) {
        float *to = j->out + o->at + f * p->tof;
        const float *from = j->in + o->src + f;
        for (int64_t l = 0; l < p->nl; l++) to[l] = from[l * p->srcl];
      }
    } while (advance(o));
  }
}

static void reorder(const job *j, int64_t rows) {
  odometer o = {0};
  pair p = {1, 1, 0, 1};
  int64_t to = 1;
  int last = j->v.ndim - 1;
  for (int k = last; k >= 0; k--) {
    int64_t dim = k == 0 ? rows : j->v.dim[k];
    if (k == last) {
      p.nl = dim;
      p.srcl = j->near[k];
    } else if (j->near[k] == 1) {
      p.nf = dim;
      p.tof = to;
    } else {
      o.dim[o.n] = dim;
      o.to[o.n] = to;
      o.from[o.n++] = j->near[k];
    }
    to *= dim;
  }
  reorder_tiles(j, &o, &p);
}

/* ---- writing a block ---------------------------------------------------- */

static void slope(float up, float down, float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    float s = x[i] > 0 ? up : down;
    x[i] = s == 0 && x[i] == x[i] ? 0 : s * x[i];
  }
}

/* n elements, of which the first is `at` elements into what is written. */
static void slope_all(const imp_slopes *s, float *x, int64_t at, int64_t n) {
  for (int64_t part; n > 0; at += part, x += part, n -= part) {
    int64_t k = at / s->run % s->count;
    part = s->run - at % s->run;
    if (part > n) part = n;
    slope(s->up[k], s->down[k], x, part);
  }
}

static int check_values(const job *j, int64_t n, lun_err *err) {
  uint32_t worst = 0, bits;
  for (int64_t i = 0; i < n; i++) {
    memcpy(&bits, &j->out[i], 4);
    bits &= 0x7fffffff;
    worst = bits > worst ? bits : worst;
  }
  if (worst >= 0x7f800000)
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s' holds values that are not finite", j->t->name);
  if (j->dtype == LUN_F16 && worst >= 0x477ff000) /* rounds to infinity */
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s' holds values beyond 65504, the largest that "
                    "float16 has",
                    j->t->name);
  return LUN_OK;
}

static int write_block(const job *j, int64_t n, lun_err *err) {
  uint16_t *h = (void *)j->in; /* free again: its values are in out */
  LUN_TRY(check_values(j, n, err));
  if (j->dtype == LUN_F32)
    return imp_put(j->to, j->out, (size_t)n * sizeof(float), err);
  for (int64_t i = 0; i < n; i++) h[i] = lun_float_to_half(j->out[i]);
  return imp_put(j->to, h, (size_t)n * sizeof *h, err);
}

static int copy_blocks(job *j, lun_err *err) {
  int64_t rows = BLOCK / j->inner;
  for (int64_t at = 0; at < j->v.dim[0]; at += rows) {
    int64_t n = j->v.dim[0] - at < rows ? j->v.dim[0] - at : rows;
    LUN_TRY(read_block(j, at, n, err));
    near_strides(j, n);
    reorder(j, n);
    if (j->v.slopes)
      slope_all(j->v.slopes, j->out, at * j->inner, n * j->inner);
    LUN_TRY(write_block(j, n * j->inner, err));
  }
  return LUN_OK;
}

int imp_copy(const imp_file *f, const imp_tensor *t, const imp_view *view,
             lun_dtype dtype, imp_out *out, lun_err *err) {
  job j = {.f = f, .t = t, .v = *view, .dtype = dtype, .to = out};
  int64_t n;
  int status;
  if (t->dtype == IMP_OTHER)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s' is %s, not floating point",
                    t->name, t->type);
  if (t->size == 0) return LUN_OK;
  simplify(&j.v, t->at >= 0);
  j.inner = t->size / j.v.dim[0];
  if (j.inner > BLOCK)
    return lun_fail(err, LUN_ESHAPE,
                    "tensor '%s': rows of %lld elements, most "
                    "%d",
                    t->name, (long long)j.inner, (int)BLOCK);
  n = t->size < BLOCK ? t->size : BLOCK;
  j.in = malloc((size_t)n * sizeof(float));
  j.out = malloc((size_t)n * sizeof(float));
  if (t->dtype != IMP_F32 && t->at >= 0)
    j.raw = malloc((size_t)n * (size_t)t->width);
  status =
      j.in && j.out && (j.raw || t->dtype == IMP_F32 || t->at < 0)
          ? copy_blocks(&j, err)
          : lun_fail(err, LUN_ENOMEM, "no memory for tensor '%s'", t->name);
  free(j.in);
  free(j.out);
  free(j.raw);
  return status;
}
