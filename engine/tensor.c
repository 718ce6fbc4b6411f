/*
** tensor.c - storage (bytes with a reference count) and tensors (a shape over
** a storage).  Everything is float32, contiguous, row-major, so a view is an
** offset and a shape.
*/
#include <inttypes.h>
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

/* ---- changes in place --------------------------------------------------- */

/* Do `want` places of dimension `axis` from `from` on lie inside t? */
static int inside(const lun_tensor *t, int axis, int64_t from, int64_t want,
                  lun_err *err) {
  int64_t have = t->dim[axis];
  if (from >= 0 && want >= 0 && want <= have && from <= have - want)
    return LUN_OK;
  return lun_fail(err, LUN_ESHAPE,
                  "paste: %" PRId64 " from %" PRId64
                  " is outside dimension %d of %" PRId64,
                  want, from, axis + 1, have);
}

int lun_tensor_paste(lun_tensor *t, const lun_tensor *part, int64_t row,
                     int64_t column, lun_err *err) {
  int nd = part->ndim;
  lun_rect all = {0, 0, nd < 2 ? 0 : part->dim[nd - 2],
                  nd < 1 ? 0 : part->dim[nd - 1]};
  return lun_tensor_paste_part(t, part, all, row, column, err);
}

int lun_tensor_paste_part(lun_tensor *t, const lun_tensor *part, lun_rect from,
                          int64_t row, int64_t column, lun_err *err) {
  int nd = t->ndim;
  if (nd < 2 || part->ndim != nd)
    return lun_fail(err, LUN_ESHAPE, "paste: %d dimensions into %d", part->ndim,
                    nd);
  for (int d = 0; d < nd - 2; d++)
    if (part->dim[d] != t->dim[d])
      return lun_fail(err, LUN_ESHAPE,
                      "paste: dimension %d is %" PRId64 ", not %" PRId64, d + 1,
                      part->dim[d], t->dim[d]);
  LUN_TRY(inside(part, nd - 2, from.row, from.height, err));
  LUN_TRY(inside(part, nd - 1, from.column, from.width, err));
  LUN_TRY(inside(t, nd - 2, row, from.height, err));
  LUN_TRY(inside(t, nd - 1, column, from.width, err));
  int64_t h = part->dim[nd - 2], w = part->dim[nd - 1];
  int64_t th = t->dim[nd - 2], tw = t->dim[nd - 1];
  int64_t planes = part->size > 0 ? part->size / (h * w) : 0;
  for (int64_t c = 0; c < planes; c++)
    for (int64_t y = 0; y < from.height; y++)
      memmove(t->data + (c * th + row + y) * tw + column,
              part->data + (c * h + from.row + y) * w + from.column,
              (size_t)from.width * sizeof(float));
  return LUN_OK;
}

double lun_sum(const float *v, int64_t n) {
  double part[8] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; k++) part[k] += (double)v[i + k];
  for (; i < n; i++) sum += (double)v[i];
  for (int k = 0; k < 8; k++) sum += part[k];
  return sum;
}
