/*
** safetensors.c - reading weights; safetensors_write.c writes them.
**
** The file: u64 little-endian header length N, N bytes of JSON
** {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__"},
** then the values.  It is mapped read-only; nothing in the header is trusted.
** Every byte after the header must belong to exactly one tensor.
*/
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

/* The format allows 100 MB, which would take 4 GB and 18 seconds to parse; the
** largest network that we know of has 200 kB. */
#define MAX_HEADER ((uint64_t)4 << 20)

typedef struct entry {
  lun_entry e;
  char dtype[8]; /* as the file says it */
  uint64_t begin, end;
} entry;

struct lun_weights {
  int refs;
  const char *path; /* for messages; points into the block's tail */
  lun_mapping file;
  size_t data; /* where the values begin */
  int n;
  entry *entry;
  json_t *root; /* owns the names and the metadata */
};

/* ---- checks ------------------------------------------------------------- */

static const struct {
  const char *name;
  int bytes;
  lun_dtype type;
} dtypes[] = {
    {"F32", 4, LUN_F32},       {"F16", 2, LUN_F16},
    {"BF16", 2, LUN_BF16},     {"F64", 8, LUN_F64},
    {"I64", 8, LUN_OTHER},     {"I32", 4, LUN_OTHER},
    {"I16", 2, LUN_OTHER},     {"I8", 1, LUN_OTHER},
    {"U8", 1, LUN_OTHER},      {"BOOL", 1, LUN_OTHER},
    {"U16", 2, LUN_OTHER},     {"U32", 4, LUN_OTHER},
    {"U64", 8, LUN_OTHER},     {"F8_E5M2", 1, LUN_OTHER},
    {"F8_E4M3", 1, LUN_OTHER},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

static int bad(const lun_weights *w, lun_err *err, const char *what) {
  return lun_fail(err, LUN_EFORMAT, "%s: not a valid safetensors file: %s",
                  w->path, what);
}

static int bad_tensor(const lun_weights *w, lun_err *err, const char *name,
                      const char *what) {
  return lun_fail(err, LUN_EFORMAT, "%s: tensor '%.80s': %s", w->path, name,
                  what);
}

static int read_shape(const lun_weights *w, entry *t, json_t *shape,
                      lun_err *err) {
  size_t n = json_array_size(shape);
  if (!json_is_array(shape))
    return bad_tensor(w, err, t->e.name, "has no shape");
  if (n > LUN_MAXDIM)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: tensor '%.80s' has %zu dimensions, at most %d are "
                    "supported",
                    w->path, t->e.name, n, LUN_MAXDIM);
  for (size_t i = 0; i < n; i++) {
    json_t *d = json_array_get(shape, i);
    if (!json_is_integer(d) || json_integer_value(d) < 0)
      return bad_tensor(w, err, t->e.name, "its shape is not a list of sizes");
    t->e.dim[i] = json_integer_value(d);
  }
  t->e.ndim = (int)n;
  if (n == 0) t->e.dim[t->e.ndim++] = 1; /* a scalar */
  return LUN_OK;
}

static int read_offsets(const lun_weights *w, entry *t, json_t *offsets,
                        lun_err *err) {
  json_t *b = json_array_get(offsets, 0), *e = json_array_get(offsets, 1);
  uint64_t room = w->file.bytes - w->data;
  if (json_array_size(offsets) != 2 || !json_is_integer(b) ||
      !json_is_integer(e) || json_integer_value(b) < 0 ||
      json_integer_value(e) < json_integer_value(b))
    return bad_tensor(w, err, t->e.name, "its data_offsets are not a range");
  t->begin = (uint64_t)json_integer_value(b);
  t->end = (uint64_t)json_integer_value(e);
  if (t->end > room)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: tensor '%.80s' ends at byte %" PRIu64
                    " of the data, the file has %" PRIu64
                    " (truncated download?)",
                    w->path, t->e.name, t->end, room);
  return LUN_OK;
}

static int read_entry(const lun_weights *w, entry *t, const char *name,
                      json_t *v, lun_err *err) {
  const char *dtype = json_string_value(json_object_get(v, "dtype"));
  int64_t size;
  int k = 0;
  t->e.name = name;
  if (!dtype) return bad_tensor(w, err, name, "has no dtype");
  while (k < DTYPES && strcmp(dtype, dtypes[k].name) != 0) k++;
  if (k == DTYPES)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: tensor '%.80s': unknown dtype '%.16s' (F32, F16, "
                    "BF16 and F64 can be loaded)",
                    w->path, name, dtype);
  t->e.dtype = dtypes[k].type;
  snprintf(t->dtype, sizeof t->dtype, "%s", dtypes[k].name);
  LUN_TRY(read_shape(w, t, json_object_get(v, "shape"), err));
  LUN_TRY(read_offsets(w, t, json_object_get(v, "data_offsets"), err));
  size = lun_shape_size(t->e.ndim, t->e.dim);
  if (size < 0 ||
      (uint64_t)size * (uint64_t)dtypes[k].bytes != t->end - t->begin) {
    char text[LUN_SHAPETEXT];
    return lun_fail(err, LUN_EFORMAT,
                    "%s: tensor '%.80s': shape %s of %s does not fill its "
                    "%" PRIu64 " bytes",
                    w->path, name,
                    lun_shape_text(text, sizeof text, t->e.ndim, t->e.dim),
                    dtype, t->end - t->begin);
  }
  return LUN_OK;
}

static int by_begin(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* No overlap, no hole, nothing left over. */
static int check_cover(const lun_weights *w, lun_err *err) {
  uint64_t at = 0, room = w->file.bytes - w->data;
  for (int i = 0; i < w->n; i++) {
    const entry *t = &w->entry[i];
    if (t->begin < at)
      return bad_tensor(w, err, t->e.name, "overlaps another tensor");
    if (t->begin > at)
      return bad_tensor(w, err, t->e.name, "a hole lies before its data");
    at = t->end;
  }
  if (at != room)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: the tensors end at byte %" PRIu64
                    " of the data, the file has %" PRIu64,
                    w->path, at, room);
  return LUN_OK;
}

static int check_meta(const lun_weights *w, lun_err *err) {
  json_t *meta = json_object_get(w->root, "__metadata__"), *v;
  const char *key;
  if (!meta) return LUN_OK;
  if (!json_is_object(meta)) return bad(w, err, "__metadata__ is no object");
  json_object_foreach(meta, key, v) {
    if (!json_is_string(v)) return bad(w, err, "__metadata__ holds no string");
  }
  return LUN_OK;
}

static int read_header(lun_weights *w, lun_err *err) {
  json_error_t why;
  const char *name;
  json_t *v;
  uint64_t n = 0;
  if (w->file.bytes < 8)
    return bad(w, err, "shorter than its 8-byte length field");
  for (int i = 7; i >= 0; i--) n = n << 8 | w->file.at[i];
  if (n > MAX_HEADER || n > w->file.bytes - 8)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: not a valid safetensors file: a header of %" PRIu64
                    " bytes in a file of %zu (most %" PRIu64 ")",
                    w->path, n, w->file.bytes, MAX_HEADER);
  if (n < 2 || w->file.at[8] != '{')
    return bad(w, err, "the header is no object");
  w->data = 8 + (size_t)n;
  w->root = json_loadb((const char *)w->file.at + 8, (size_t)n,
                       JSON_REJECT_DUPLICATES, &why);
  if (!w->root)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: not a valid safetensors file: header: %s", w->path,
                    why.text);
  LUN_TRY(check_meta(w, err));
  w->entry = lun_calloc(json_object_size(w->root) + 1, sizeof *w->entry);
  if (!w->entry) return lun_fail(err, LUN_ENOMEM, "%s: no memory", w->path);
  json_object_foreach(w->root, name, v) {
    if (strcmp(name, "__metadata__") != 0)
      LUN_TRY(read_entry(w, &w->entry[w->n++], name, v, err));
  }
  qsort(w->entry, (size_t)w->n, sizeof *w->entry, by_begin);
  return check_cover(w, err);
}

/* ---- opening ------------------------------------------------------------ */

void lun_weights_release(lun_weights *w) {
  if (!w || --w->refs > 0) return;
  lun_mapping_close(&w->file);
  json_decref(w->root);
  lun_free(w->entry);
  lun_free(w);
}

int lun_weights_open(lun_weights **out, const char *path, lun_err *err) {
  size_t len = strlen(path) + 1;
  lun_weights *w = lun_calloc(1, sizeof *w + len);
  int status;
  *out = NULL;
  if (!w) return lun_fail(err, LUN_ENOMEM, "%s: no memory", path);
  w->refs = 1;
  w->file.slot = -1;
  w->path = memcpy((char *)(w + 1), path, len);
  status = lun_mapping_open(&w->file, w->path, err);
  if (status == LUN_OK) status = read_header(w, err);
  if (status != LUN_OK) {
    lun_weights_release(w);
    return status;
  }
  *out = w;
  return LUN_OK;
}

int lun_weights_unchanged(const lun_weights *w, lun_err *err) {
  return lun_mapping_unchanged(&w->file, err);
}

int lun_weights_count(const lun_weights *w) { return w->n; }

const lun_entry *lun_weights_entry(const lun_weights *w, int i) {
  return i >= 0 && i < w->n ? &w->entry[i].e : NULL;
}

int lun_weights_meta(const lun_weights *w, int i, const char **key,
                     const char **value) {
  void *it = json_object_iter(json_object_get(w->root, "__metadata__"));
  json_t *meta = json_object_get(w->root, "__metadata__");
  while (it && i-- > 0) it = json_object_iter_next(meta, it);
  if (!it) return 0;
  *key = json_object_iter_key(it);
  *value = json_string_value(json_object_iter_value(it));
  return 1;
}

/* ---- values ------------------------------------------------------------- */

static void unmap(void *ctx) { lun_weights_release(ctx); }

/* A tensor over the mapping itself; the mapping lives as long as it does. */
static int mapped(lun_weights *w, const entry *t, lun_tensor **out,
                  lun_err *err) {
  lun_storage *s = lun_calloc(1, sizeof *s);
  *out = NULL;
  if (!s) return lun_fail(err, LUN_ENOMEM, "%s: no memory", w->path);
  *s = (lun_storage){.refs = 1,
                     .base = w->file.at,
                     .bytes = w->file.bytes,
                     .release = unmap,
                     .ctx = w};
  w->refs++;
  LUN_TRY(
      lun_tensor_over(out, s, w->data + t->begin, t->e.ndim, t->e.dim, err));
  (*out)->readonly = 1;
  return LUN_OK;
}

static float widen(const unsigned char *p, lun_dtype type) {
  uint16_t h;
  double d;
  float f;
  if (type == LUN_F64) return memcpy(&d, p, 8), (float)d;
  if (type == LUN_F32) return memcpy(&f, p, 4), f;
  memcpy(&h, p, 2);
  return type == LUN_F16 ? lun_half_to_float(h) : lun_bfloat_to_float(h);
}

typedef struct widening {
  float *to;
  const unsigned char *from;
  int64_t n;
  lun_dtype type;
  size_t step;
} widening;

enum { CHUNK = 1 << 18 };

static void widen_chunk(void *arg, int64_t job) {
  const widening *a = arg;
  int64_t i = job * CHUNK, end = i + CHUNK < a->n ? i + CHUNK : a->n;
  for (; i < end; i++) a->to[i] = widen(a->from + (size_t)i * a->step, a->type);
}

int lun_weights_tensor(lun_weights *w, int i, lun_tensor **out, lun_err *err) {
  const entry *t = i >= 0 && i < w->n ? &w->entry[i] : NULL;
  widening a;
  *out = NULL;
  if (!t) return lun_fail(err, LUN_EARG, "%s: no tensor %d", w->path, i);
  if (t->e.dtype == LUN_OTHER)
    return lun_fail(err, LUN_EFORMAT,
                    "%s: tensor '%.80s' is %s; F32, F16, BF16 and F64 can be "
                    "loaded",
                    w->path, t->e.name, t->dtype);
  if (t->e.dtype == LUN_F32 && (w->data + t->begin) % sizeof(float) == 0)
    return mapped(w, t, out, err);
  LUN_TRY(lun_tensor_new(out, t->e.ndim, t->e.dim, err));
  a = (widening){(*out)->data, w->file.at + w->data + t->begin, (*out)->size,
                 t->e.dtype,
                 (*out)->size ? (t->end - t->begin) / (size_t)(*out)->size : 0};
  if (lun_parallel((a.n + CHUNK - 1) / CHUNK, widen_chunk, &a) == LUN_OK)
    return LUN_OK;
  lun_tensor_release(*out);
  *out = NULL;
  return lun_fail(err, LUN_EINTR, "%s: interrupted", w->path);
}
