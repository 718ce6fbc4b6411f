/*
** tensor.c - storage (bytes with a reference count) and tensors (a shape over
** a storage).  Everything is float32, contiguous, row-major, so a view is an
** offset and a shape.
*/
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core.h"

char *lun_shape_text(char *buf, size_t n, int ndim, const int64_t *dim) {
  size_t at = 0;
  for (int i = 0; i < ndim && at < n; i++)
    at += (size_t)snprintf(buf + at, n - at, "%s%" PRId64, i ? ", " : "(",
                           dim[i]);
  if (at < n) snprintf(buf + at, n - at, "%s", ndim ? ")" : "()");
  return buf;
}

int64_t lun_shape_size(int ndim, const int64_t *dim) {
  int64_t n = 1;
  for (int i = 0; i < ndim; i++) {
    if (dim[i] < 0) return -1;
    if (__builtin_mul_overflow(n, dim[i], &n)) return -1;
  }
  return n > INT64_MAX / 64 ? -1 : n;
}

/* A tensor without storage; checks the shape. */
static int shaped(lun_tensor **out, int ndim, const int64_t *dim,
                  lun_err *err) {
  char text[LUN_SHAPETEXT];
  lun_tensor *t;
  int64_t size;
  *out = NULL;
  if (ndim < 1 || ndim > LUN_MAXDIM)
    return lun_fail(err, LUN_ESHAPE, "a tensor has 1 to %d dimensions, not %d",
                    LUN_MAXDIM, ndim);
  size = lun_shape_size(ndim, dim);
  if (size < 0)
    return lun_fail(err, LUN_ESHAPE, "impossible tensor shape %s",
                    lun_shape_text(text, sizeof text, ndim, dim));
  t = lun_calloc(1, sizeof *t);
  if (!t) return lun_fail(err, LUN_ENOMEM, "no memory for a tensor header");
  t->refs = 1;
  t->ndim = ndim;
  memcpy(t->dim, dim, (size_t)ndim * sizeof *dim);
  t->size = size;
  *out = t;
  return LUN_OK;
}

static void storage_release(lun_storage *s) {
  if (!s || --s->refs > 0) return;
  if (s->release)
    s->release(s->ctx);
  else
    lun_free(s->base);
  lun_free(s);
}

/* Fills t->store with fresh memory. */
int lun_tensor_allocate(lun_tensor *t, lun_err *err) {
  char text[LUN_SHAPETEXT];
  size_t bytes = (size_t)t->size * sizeof(float);
  lun_storage *s = lun_calloc(1, sizeof *s);
  void *base = s ? lun_malloc(bytes) : NULL;
  if (!base) {
    lun_free(s);
    return lun_fail(err, LUN_ENOMEM,
                    "no memory for a tensor %s of %.1f MB (%.1f MB in use)",
                    lun_shape_text(text, sizeof text, t->ndim, t->dim),
                    (double)bytes / 1e6, (double)lun_mem().live / 1e6);
  }
  *s = (lun_storage){.refs = 1, .base = base, .bytes = bytes};
  t->store = s;
  t->data = base;
  return LUN_OK;
}

int lun_tensor_deferred(lun_tensor **out, int ndim, const int64_t *dim,
                        lun_err *err) {
  return shaped(out, ndim, dim, err);
}

int lun_tensor_new(lun_tensor **out, int ndim, const int64_t *dim,
                   lun_err *err) {
  int status;
  LUN_TRY(shaped(out, ndim, dim, err));
  status = lun_tensor_allocate(*out, err);
  if (status != LUN_OK) {
    lun_tensor_release(*out);
    *out = NULL;
  }
  return status;
}

int lun_tensor_zeros(lun_tensor **out, int ndim, const int64_t *dim,
                     lun_err *err) {
  LUN_TRY(lun_tensor_new(out, ndim, dim, err));
  memset((*out)->data, 0, (size_t)(*out)->size * sizeof(float));
  return LUN_OK;
}

int lun_tensor_over(lun_tensor **out, lun_storage *store, size_t byte_offset,
                    int ndim, const int64_t *dim, lun_err *err) {
  int status = shaped(out, ndim, dim, err);
  if (status == LUN_OK &&
      (byte_offset > store->bytes ||
       (size_t)(*out)->size > (store->bytes - byte_offset) / sizeof(float))) {
    lun_tensor_release(*out);
    *out = NULL;
    status = lun_fail(err, LUN_ESHAPE, "tensor reaches beyond its storage");
  }
  if (status != LUN_OK) {
    storage_release(store);
    return status;
  }
  (*out)->store = store;
  (*out)->data = (float *)(void *)((char *)store->base + byte_offset);
  return LUN_OK;
}

int lun_tensor_view(lun_tensor **out, const lun_tensor *t, int64_t offset,
                    int ndim, const int64_t *dim, lun_err *err) {
  LUN_TRY(shaped(out, ndim, dim, err));
  if (offset < 0 || offset > t->size || (*out)->size > t->size - offset) {
    char a[LUN_SHAPETEXT], b[LUN_SHAPETEXT];
    lun_tensor_release(*out);
    *out = NULL;
    return lun_fail(err, LUN_ESHAPE, "cannot view %s as %s",
                    lun_shape_text(a, sizeof a, t->ndim, t->dim),
                    lun_shape_text(b, sizeof b, ndim, dim));
  }
  if (!t->store) return LUN_OK; /* a view of a deferred one is deferred */
  (*out)->store = t->store;
  (*out)->data = t->data + offset;
  (*out)->readonly = t->readonly;
  t->store->refs++;
  return LUN_OK;
}

int lun_tensor_copy(lun_tensor **out, const lun_tensor *t, lun_err *err) {
  LUN_TRY(lun_tensor_new(out, t->ndim, t->dim, err));
  memcpy((*out)->data, t->data, (size_t)t->size * sizeof(float));
  return LUN_OK;
}

lun_tensor *lun_tensor_retain(lun_tensor *t) {
  if (t) t->refs++;
  return t;
}

void lun_tensor_release(lun_tensor *t) {
  if (!t || --t->refs > 0) return;
  storage_release(t->store);
  lun_free(t);
}

int lun_tensor_same_shape(const lun_tensor *a, const lun_tensor *b) {
  return a->ndim == b->ndim &&
         memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim) == 0;
}

/* ---- random numbers ---- */

/* SplitMix64's output function (Steele, Lea, Flood 2014): a counter goes in,
** 64 well mixed bits come out. */
static uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

static uint64_t key_of(uint64_t seed, uint64_t stream) {
  return mix(mix(seed) ^ (stream * 0xD1342543DE82EF95u + 1));
}

static double unit(uint64_t key, uint64_t i) {
  return (double)(mix(key + i * 0x9E3779B97F4A7C15u) >> 11) * 0x1p-53;
}

void lun_random_uniform(float *out, int64_t n, uint64_t seed, uint64_t stream) {
  uint64_t key = key_of(seed, stream);
  for (int64_t i = 0; i < n; i++) /* 24 bits: never rounds up to 1 */
    out[i] =
        (float)(mix(key + (uint64_t)i * 0x9E3779B97F4A7C15u) >> 40) * 0x1p-24f;
}

typedef struct normals {
  float *out;
  int64_t n;
  uint64_t key;
} normals;

enum { NORMALS = 1 << 14 }; /* even: two come from two uniform numbers */

static void normal_chunk(void *arg, int64_t job) {
  const normals *j = arg;
  int64_t i = job * NORMALS, end = i + NORMALS < j->n ? i + NORMALS : j->n;
  for (; i < end; i += 2) {
    double r = sqrt(-2 * log(1 - unit(j->key, (uint64_t)i)));
    double a = 6.283185307179586 * unit(j->key, (uint64_t)i + 1);
    j->out[i] = (float)(r * cos(a));
    if (i + 1 < end) j->out[i + 1] = (float)(r * sin(a));
  }
}

void lun_random_normal(float *out, int64_t n, uint64_t seed, uint64_t stream) {
  normals j = {out, n, key_of(seed, stream)};
  if (lun_parallel((n + NORMALS - 1) / NORMALS, normal_chunk, &j) != LUN_OK)
    memset(out, 0, (size_t)n * sizeof *out); /* interrupted: nothing random */
}
