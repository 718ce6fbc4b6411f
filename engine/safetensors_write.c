/*
** safetensors_write.c - writing weights: the header, padded so that the values
** start on a cache line, then the values (safetensors.c says what the file is).
*/
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "output.h"

/* {"dtype", "shape", "data_offsets"} of one tensor; NULL: no memory. */
static json_t *entry_of(const lun_tensor *t, size_t begin, size_t width) {
  json_t *shape = json_array();
  for (int d = 0; d < t->ndim; d++)
    if (json_array_append_new(shape, json_integer(t->dim[d])) != 0) {
      json_decref(shape);
      return NULL;
    }
  return json_pack("{s:s,s:o,s:[I,I]}", "dtype", width == 2 ? "F16" : "F32",
                   "shape", shape, "data_offsets", (json_int_t)begin,
                   (json_int_t)(begin + (size_t)t->size * width));
}

/* Adds what must be new and in UTF-8; takes over v. */
static int add_new(json_t *o, const char *key, json_t *v, const char *path,
                   lun_err *err) {
  if (json_object_get(o, key)) {
    json_decref(v);
    return lun_fail(err, LUN_EARG, "%s: two entries are named '%.80s'", path,
                    key);
  }
  if (json_object_set_new(o, key, v) == 0) return LUN_OK;
  return lun_fail(err, LUN_EARG, "%s: '%.80s' or its value is no UTF-8 text",
                  path, key);
}

static int header_of(json_t *root, int n, const char *const *names,
                     lun_tensor *const *tensors, lun_dtype dtype,
                     const char *const *meta, const char *path, lun_err *err) {
  size_t at = 0, width = dtype == LUN_F16 ? 2 : 4;
  json_t *m = json_object();
  if (json_object_set_new(root, "__metadata__", m) != 0)
    return lun_fail(err, LUN_ENOMEM, "%s: no memory", path);
  for (; meta && meta[0]; meta += 2)
    LUN_TRY(add_new(m, meta[0], json_string(meta[1]), path, err));
  for (int i = 0; i < n; i++) {
    json_t *v = entry_of(tensors[i], at, width);
    if (!v) return lun_fail(err, LUN_ENOMEM, "%s: no memory", path);
    LUN_TRY(add_new(root, names[i], v, path, err));
    at += (size_t)tensors[i]->size * width;
  }
  return LUN_OK;
}

/* The header as text (free it), or NULL with err filled. */
static char *header_text(int n, const char *const *names,
                         lun_tensor *const *tensors, lun_dtype dtype,
                         const char *const *meta, const char *path,
                         lun_err *err, int *status) {
  json_t *root = json_object();
  char *text = NULL;
  *status = header_of(root, n, names, tensors, dtype, meta, path, err);
  if (*status == LUN_OK) {
    text = json_dumps(root, JSON_COMPACT);
    if (!text) *status = lun_fail(err, LUN_ENOMEM, "%s: no memory", path);
  }
  json_decref(root);
  return text;
}

/* Header padded with spaces so that the values start on a cache line. */
static void put_header(lun_output *out, const char *text) {
  size_t n = strlen(text), padded = (n + 8 + 63) / 64 * 64 - 8;
  unsigned char len[8];
  for (int i = 0; i < 8; i++) len[i] = (unsigned char)(padded >> (8 * i));
  lun_output_put(out, len, 8);
  lun_output_put(out, text, n);
  for (; n < padded; n++) lun_output_put(out, " ", 1);
}

/* Written in multiples of large pages from the file's beginning, its pages in
** memory are large ones, which the next to map it finds (map_file). */
enum { OUT_BUFFER = 8 << 20 };

int lun_weights_write(const char *path, int n, const char *const *names,
                      lun_tensor *const *tensors, lun_dtype dtype,
                      const char *const *meta, lun_err *err) {
  int status;
  lun_output *out;
  char *text = header_text(n, names, tensors, dtype, meta, path, err, &status);
  if (!text) return status;
  status = lun_output_open(&out, path, OUT_BUFFER, err);
  if (status == LUN_OK) {
    put_header(out, text);
    for (int i = 0; i < n; i++) lun_output_tensor(out, tensors[i], dtype);
    status = lun_output_commit(&out, 1, err);
  }
  lun_output_free(out);
  free(text);
  return status;
}
