/*
** safetensors.c - lists a safetensors file: u64 length N, N bytes of JSON
** {name: {dtype, shape, data_offsets: [begin, end]}}, then one buffer without
** holes or overlap.  (The core's reader maps whole files; here the process has
** little address space, so only the header is read.)
*/
#include "import.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format allows 100 MB; no network of ours comes near, and parsing that
** much JSON takes longer than a listing may. */
#define MAX_HEADER ((uint64_t)2 << 20)

static const struct {
  const char *name;
  imp_dtype dtype;
  int width;
} types[] = {
    {"F32", IMP_F32, 4},       {"F16", IMP_F16, 2},
    {"BF16", IMP_BF16, 2},     {"F64", IMP_F64, 8},
    {"I64", IMP_OTHER, 8},     {"I32", IMP_OTHER, 4},
    {"I16", IMP_OTHER, 2},     {"I8", IMP_OTHER, 1},
    {"U8", IMP_OTHER, 1},      {"U16", IMP_OTHER, 2},
    {"U32", IMP_OTHER, 4},     {"U64", IMP_OTHER, 8},
    {"BOOL", IMP_OTHER, 1},    {"F8_E4M3", IMP_OTHER, 1},
    {"F8_E5M2", IMP_OTHER, 1},
};

static int find_type(imp_tensor *t, json_t *j, lun_err *err) {
  const char *s = json_string_value(j);
  char shown[IMP_SHOWN];
  for (size_t i = 0; s && i < sizeof types / sizeof types[0]; i++)
    if (strcmp(s, types[i].name) == 0) {
      t->dtype = types[i].dtype;
      t->type = types[i].name;
      t->width = types[i].width;
      return LUN_OK;
    }
  return lun_fail(err, LUN_EFORMAT, "tensor '%s': dtype '%s' is unknown",
                  t->name, imp_shown(shown, s ? s : "?", s ? strlen(s) : 1));
}

/* A list of at most `most` whole numbers; `count` is how many there are. */
static int whole(const imp_tensor *t, json_t *list, const char *what,
                 size_t most, int64_t *out, size_t *count, lun_err *err) {
  *count = json_array_size(list);
  if (!json_is_array(list) || *count > most)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s': no usable %s", t->name,
                    what);
  for (size_t i = 0; i < *count; i++) {
    json_t *one = json_array_get(list, i);
    if (!json_is_integer(one))
      return lun_fail(err, LUN_EFORMAT,
                      "tensor '%s': %s: the %zu. is no whole number", t->name,
                      what, i + 1);
    out[i] = json_integer_value(one);
  }
  return LUN_OK;
}

static int add_tensor(imp_file *f, const char *name, json_t *j, int64_t base,
                      lun_err *err) {
  json_t *shape = json_object_get(j, "shape");
  json_t *offs = json_object_get(j, "data_offsets");
  int64_t dim[IMP_MAXDIM], ends[2], begin, end;
  size_t ndim, n;
  imp_tensor *t;
  LUN_TRY(imp_add(f, &t, name, strlen(name), err));
  LUN_TRY(find_type(t, json_object_get(j, "dtype"), err));
  LUN_TRY(whole(t, shape, "shape", IMP_MAXDIM, dim, &ndim, err));
  LUN_TRY(whole(t, offs, "data_offsets", 2, ends, &n, err));
  if (n != 2)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s': no usable data_offsets",
                    t->name);
  LUN_TRY(imp_shape(t, (int)ndim, dim, err));
  begin = ends[0], end = ends[1];
  if (begin < 0 || begin > f->size || end < begin ||
      end - begin != t->size * t->width)
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s': offsets %lld..%lld, its shape needs %lld",
                    t->name, (long long)begin, (long long)end,
                    (long long)(t->size * t->width));
  t->at = base + begin;
  return imp_inside(f, t, err);
}

static int by_offset(const void *a, const void *b) {
  const imp_tensor *x = *(const imp_tensor *const *)a;
  const imp_tensor *y = *(const imp_tensor *const *)b;
  if (x->at != y->at) return x->at < y->at ? -1 : 1;
  return x->size < y->size ? -1 : x->size > y->size;
}

/* Tensors must tile the buffer: each begins where the one before ends. */
static int check_tiling(imp_file *f, int64_t base, lun_err *err) {
  imp_tensor **order = imp_alloc(f, (size_t)f->count * sizeof *order + 1);
  int64_t at = base;
  if (order == NULL) return lun_fail(err, LUN_ENOMEM, "too many tensors");
  for (int i = 0; i < f->count; i++) order[i] = &f->tensor[i];
  qsort(order, (size_t)f->count, sizeof *order, by_offset);
  for (int i = 0; i < f->count; i++) {
    if (order[i]->at != at)
      return lun_fail(err, LUN_EFORMAT, "tensor '%s': %s at byte %lld",
                      order[i]->name,
                      order[i]->at < at ? "overlaps the one before it"
                                        : "a hole before it,",
                      (long long)order[i]->at);
    at += order[i]->size * order[i]->width;
  }
  if (at != f->size)
    return lun_fail(err, LUN_EFORMAT,
                    "tensors end at byte %lld, the file has "
                    "%lld",
                    (long long)at, (long long)f->size);
  return LUN_OK;
}

static const char *keep(imp_file *f, const char *s) {
  size_t n = strlen(s);
  char *copy = imp_alloc(f, n + 1);
  if (copy) memcpy(copy, s, n);
  return copy;
}

static int add_meta(imp_file *f, json_t *map, lun_err *err) {
  const char *key;
  json_t *value;
  f->meta = imp_alloc(f, json_object_size(map) * sizeof *f->meta + 1);
  if (f->meta == NULL) return lun_fail(err, LUN_ENOMEM, "metadata too large");
  json_object_foreach(map, key, value) {
    imp_meta *m = &f->meta[f->nmeta];
    if (!json_is_string(value))
      return lun_fail(err, LUN_EFORMAT, "__metadata__ holds more than strings");
    m->key = keep(f, key);
    m->value = keep(f, json_string_value(value));
    if (m->key == NULL || m->value == NULL)
      return lun_fail(err, LUN_ENOMEM, "metadata too large");
    f->nmeta++;
  }
  return LUN_OK;
}

static int walk(imp_file *f, json_t *root, int64_t base, lun_err *err) {
  const char *name;
  json_t *j;
  if (!json_is_object(root))
    return lun_fail(err, LUN_EFORMAT, "safetensors header is no JSON object");
  json_object_foreach(root, name, j) {
    if (strcmp(name, "__metadata__") == 0)
      LUN_TRY(add_meta(f, j, err));
    else
      LUN_TRY(add_tensor(f, name, j, base, err));
  }
  return check_tiling(f, base, err);
}

int imp_read_safetensors(imp_file *f, lun_err *err) {
  uint8_t len[8];
  uint64_t n;
  json_error_t why;
  json_t *root;
  char *text;
  int status;
  f->format = "safetensors";
  LUN_TRY(imp_read_at(f, len, 8, 0, err));
  n = imp_le(len, 8);
  if (n <= MAX_HEADER && (int64_t)n > f->size - 8)
    return lun_fail(err, LUN_EFORMAT,
                    "safetensors header of %llu bytes, the file has %lld: it "
                    "is cut off, fetch it again",
                    (unsigned long long)n, (long long)f->size);
  if (n > MAX_HEADER)
    return lun_fail(err, LUN_EFORMAT,
                    "safetensors header of %llu bytes in a file of %lld (most "
                    "%llu)",
                    (unsigned long long)n, (long long)f->size,
                    (unsigned long long)MAX_HEADER);
  text = malloc(n + 1);
  if (text == NULL)
    return lun_fail(err, LUN_ENOMEM, "no memory for the header");
  status = imp_read_at(f, text, n, 8, err);
  root = status == LUN_OK ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &why)
                          : NULL;
  free(text);
  if (status != LUN_OK) return status;
  if (root == NULL)
    return lun_fail(err, LUN_EFORMAT, "safetensors header: %.120s", why.text);
  status = walk(f, root, 8 + (int64_t)n, err);
  json_decref(root);
  return status;
}
