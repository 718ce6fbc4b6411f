/*
** torch.c - lists what torch.save wrote: a state dict, or a checkpoint whose
** dicts lead to one (names are then joined by dots).
**
** Zip (torch >= 1.6): NAME/data.pkl describes tensors over storages, each of
** which is a member NAME/data/KEY.  Legacy: five pickles (magic number,
** protocol, system, object, keys of the storages), then for every key an i64
** count and the raw elements.
*/
#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  MAX_PICKLE = 16 << 20,
  MAX_NEST = 4,     /* dicts in dicts */
  MAX_MODULES = 32, /* modules in modules */
  MAX_VISITS = 1 << 18
};

/* ---- from values to the list -------------------------------------------- */

typedef struct walker {
  imp_file *f;
  lun_err *err;
  int visits;
} walker;

/* Torch's strides may be in any order, but must leave no holes and not step
** back over themselves: sorted by size, each is the product of those before. */
static int check_dense(const imp_tensor *t, lun_err *err) {
  int64_t want = 1;
  char used[IMP_MAXDIM] = {0};
  if (t->size <= 1) return LUN_OK;
  for (int k = 0; k < t->ndim; k++) {
    int best = -1;
    for (int i = 0; i < t->ndim; i++)
      if (!used[i] && t->dim[i] > 1 &&
          (best < 0 || t->stride[i] < t->stride[best]))
        best = i;
    if (best < 0) break;
    if (t->stride[best] != want)
      return lun_fail(err, LUN_EFORMAT,
                      "tensor '%s' is a view with holes (stride %lld where "
                      "%lld was expected); save .contiguous() tensors",
                      t->name, (long long)t->stride[best], (long long)want);
    used[best] = 1;
    want *= t->dim[best];
  }
  return LUN_OK;
}

static int set_tensor(imp_tensor *t, const imp_value *v, lun_err *err) {
  const imp_value *size = v->item[2], *stride = v->item[3];
  const imp_storage *s = v->storage;
  int64_t dim[IMP_MAXDIM], offset = v->item[1]->i;
  if (size->n > IMP_MAXDIM)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s' has %d axes", t->name,
                    size->n);
  for (int i = 0; i < size->n; i++) dim[i] = size->item[i]->i;
  LUN_TRY(imp_shape(t, size->n, dim, err));
  for (int i = 0; i < size->n; i++) t->stride[i] = stride->item[i]->i;
  t->dtype = s->dtype;
  t->type = s->type;
  t->width = s->width;
  LUN_TRY(check_dense(t, err)); /* so it spans exactly `size` elements */
  if (offset < 0 || offset > s->count || t->size > s->count - offset)
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s': %lld elements at %lld of a storage of %lld",
                    t->name, (long long)t->size, (long long)offset,
                    (long long)s->count);
  t->at = s->at + offset * s->width;
  return LUN_OK;
}

typedef struct place { /* of a value: the path to it, how deep it lies */
  const char *name;
  size_t len;
  int depth;
} place;

static int walk(walker *w, const imp_value *v, place at);

static int is_word(const imp_value *key, const char *word) {
  return key->kind == IMP_STR && (size_t)key->n == strlen(word) &&
         memcmp(key->s, word, (size_t)key->n) == 0;
}

/* An attribute of a closed object that is of this kind, or NULL. */
static const imp_value *attribute(const imp_value *v, const char *name,
                                  imp_kind kind) {
  for (int i = 0; i + 1 < v->n; i += 2)
    if (is_word(v->item[i], name) && v->item[i + 1]->kind == kind)
      return v->item[i + 1];
  return NULL;
}

/* A module of torch keeps what it has in three dicts. */
static int is_module(const imp_value *v) {
  return v->kind == IMP_OPAQUE && v->i == IMP_CLOSED &&
         attribute(v, "_parameters", IMP_DICT) &&
         attribute(v, "_modules", IMP_DICT);
}

static int holds(const imp_value *set, const imp_value *key) {
  for (int i = 0; set && i < set->n; i++)
    if (set->item[i]->kind == IMP_STR && set->item[i]->n == key->n &&
        memcmp(set->item[i]->s, key->s, (size_t)key->n) == 0)
      return 1;
  return 0;
}

/* Looks for tensors below the text keys of a dict, except those of the set
** `but`. */
static int walk_dict(walker *w, const imp_value *v, place at,
                     const imp_value *but) {
  char path[IMP_MAXNAME + 1];
  for (int i = 0; i + 1 < v->n; i += 2) {
    const imp_value *key = v->item[i];
    int n;
    if (key->kind != IMP_STR) continue; /* an optimizer's numbered state */
    if (holds(but, key)) continue;
    n = snprintf(path, sizeof path, "%.*s%s%.*s", (int)at.len, at.name,
                 at.len ? "." : "", key->n, key->s);
    if (n < 0 || n > IMP_MAXNAME)
      return lun_fail(w->err, LUN_EFORMAT, "pickle: a name is too long");
    LUN_TRY(walk(w, v->item[i + 1], (place){path, (size_t)n, at.depth + 1}));
  }
  return LUN_OK;
}

/* As state_dict() would name them; buffers that are not kept there are left
** out.  The module's code is not in the file, and would not be run. */
static int walk_module(walker *w, const imp_value *v, place at) {
  const imp_value *buffers = attribute(v, "_buffers", IMP_DICT);
  if (at.depth >= MAX_MODULES)
    return lun_fail(w->err, LUN_EFORMAT, "pickle: modules nested too deep");
  LUN_TRY(walk_dict(w, attribute(v, "_parameters", IMP_DICT), at, NULL));
  if (buffers)
    LUN_TRY(walk_dict(w, buffers, at,
                      attribute(v, "_non_persistent_buffers_set", IMP_SEQ)));
  return walk_dict(w, attribute(v, "_modules", IMP_DICT), at, NULL);
}

static int walk(walker *w, const imp_value *v, place at) {
  char shown[IMP_SHOWN];
  if (++w->visits > MAX_VISITS)
    return lun_fail(w->err, LUN_EFORMAT, "pickle: too many values");
  if (v->kind == IMP_TENSOR) {
    imp_tensor *t;
    LUN_TRY(imp_add(w->f, &t, at.name, at.len, w->err));
    LUN_TRY(set_tensor(t, v, w->err));
    return imp_inside(w->f, t, w->err);
  }
  if (v->kind == IMP_OPAQUE && v->i != IMP_CLOSED)
    return lun_fail(w->err, LUN_EFORMAT,
                    "tensor '%s' is %s, which is not read; save what its %s() "
                    "gives",
                    imp_shown(shown, at.name, at.len),
                    v->i == IMP_SPARSE ? "sparse" : "quantized",
                    v->i == IMP_SPARSE ? "to_dense" : "dequantize");
  if (is_module(v)) {
    if (v->s) LUN_TRY(imp_note(w->f, "module", v->s, w->err));
    return walk_module(w, v, at);
  }
  /* Deeper than a checkpoint goes, or a dict that holds itself. */
  if (v->kind != IMP_DICT || at.depth >= MAX_NEST) return LUN_OK;
  return walk_dict(w, v, at, NULL);
}

static int list_state(imp_file *f, const imp_value *top, lun_err *err) {
  walker w = {.f = f, .err = err};
  if (top->kind == IMP_OPAQUE && top->s && !is_module(top))
    return lun_fail(err, LUN_EFORMAT,
                    "pickle: it holds a whole object, of '%s', whose code is "
                    "not in the file; save its state dict: "
                    "torch.save(model.state_dict(), file)",
                    top->s);
  if (top->kind != IMP_DICT && !is_module(top))
    return lun_fail(err, LUN_EFORMAT, "pickle: it holds no dict of tensors");
  return walk(&w, top, (place){"", 0, 0});
}

/* ---- zip ---------------------------------------------------------------- */

#define KERAS_WEIGHTS "model.weights.h5"

/* The member whose name ends in `end`, of several the one of the shortest name;
** NULL when there is none. */
static const imp_entry *ending(const imp_zip *z, const char *end) {
  const imp_entry *found = NULL;
  size_t n = strlen(end), least = 0;
  for (int i = 0; i < z->count; i++) {
    size_t len = strlen(z->entry[i].name);
    if (len >= n && strcmp(z->entry[i].name + len - n, end) == 0 &&
        (len == n || z->entry[i].name[len - n - 1] == '/') &&
        (found == NULL || len < least))
      found = &z->entry[i], least = len;
  }
  return found;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const imp_entry *)a)->name, ((const imp_entry *)b)->name);
}

/* Storage KEY is the member DIR/data/KEY, of exactly its size. */
static int place_storages(const imp_zip *z, const char *dir, size_t dirlen,
                          imp_storage *list, lun_err *err) {
  for (imp_storage *s = list; s; s = s->next) {
    char name[IMP_MAXNAME], shown[IMP_SHOWN];
    imp_entry key = {.name = name}, *e;
    snprintf(name, sizeof name, "%.*sdata/%.*s", (int)dirlen, dir,
             s->len < 256 ? (int)s->len : 0, s->key);
    e = bsearch(&key, z->entry, (size_t)z->count, sizeof key, by_name);
    if (e == NULL || e->size != s->count * s->width)
      return lun_fail(err, LUN_EFORMAT,
                      "archive member '%s' has %lld bytes, its tensor %lld",
                      imp_shown(shown, name, strlen(name)),
                      e ? (long long)e->size : 0LL,
                      (long long)(s->count * s->width));
    s->at = e->at;
  }
  return LUN_OK;
}

static int little_endian(const imp_file *f, const imp_zip *z, lun_err *err) {
  const imp_entry *e = ending(z, "byteorder");
  char order[7] = "little";
  if (e && e->size <= 6)
    LUN_TRY(imp_read_at(f, order, (size_t)e->size, e->at, err));
  if (memcmp(order, "little", 6) != 0)
    return lun_fail(err, LUN_EFORMAT, "saved on a big-endian machine");
  return LUN_OK;
}

static int zip_pickle(imp_file *f, imp_zip *z, const imp_entry *e,
                      lun_err *err) {
  uint8_t *p = e->size <= MAX_PICKLE ? imp_alloc(f, (size_t)e->size + 1) : NULL;
  imp_value *top;
  imp_storage *list = NULL;
  const char *dir = e->name; /* NAME/ */
  size_t used, dirlen = strlen(dir) - strlen("data.pkl");
  if (p == NULL)
    return lun_fail(err, LUN_EFORMAT, "data.pkl of %lld bytes is too large",
                    (long long)e->size);
  LUN_TRY(imp_zip_check(f, e, err));
  LUN_TRY(imp_read_at(f, p, (size_t)e->size, e->at, err));
  LUN_TRY(imp_pickle(f, p, (size_t)e->size, &used, &top, &list, err));
  qsort(z->entry, (size_t)z->count, sizeof *z->entry, by_name);
  LUN_TRY(place_storages(z, dir, dirlen, list, err));
  return list_state(f, top, err);
}

/* The member NAME in a folder; NULL when there is none. */
static int member_of(const imp_zip *z, const char *dir, size_t dirlen,
                     const char *name, const imp_entry **found, lun_err *err) {
  *found = NULL;
  for (int i = 0; i < z->count; i++) {
    const imp_entry *e = &z->entry[i];
    if (strncmp(e->name, dir, dirlen) != 0 ||
        strcmp(e->name + dirlen, name) != 0)
      continue;
    if (*found)
      return lun_fail(err, LUN_EFORMAT, "the archive has two members '%s'",
                      name);
    *found = e;
  }
  return LUN_OK;
}

/* Which network it is and which Keras wrote it, from beside the weights. */
static int keras_archive(imp_file *f, const imp_zip *z,
                         const imp_entry *weights, lun_err *err) {
  static const char *const keys[][2] = {{"config.json", "model_config"},
                                        {"metadata.json", "metadata.json"},
                                        {KERAS_WEIGHTS, NULL}};
  size_t dirlen = strlen(weights->name) - strlen(KERAS_WEIGHTS);
  f->format = "Keras archive";
  for (int i = 0; i < 3; i++) {
    const imp_entry *e;
    LUN_TRY(member_of(z, weights->name, dirlen, keys[i][0], &e, err));
    if (e && keys[i][1])
      LUN_TRY(imp_keras_json(f, keys[i][1], e->at, e->size, err));
  }
  return imp_read_hdf5(f, weights->at, weights->size, err);
}

int imp_read_zip(imp_file *f, lun_err *err) {
  imp_zip z;
  const imp_entry *e;
  f->format = "zip";
  LUN_TRY(imp_zip_list(f, &z, err));
  if (ending(&z, "constants.pkl"))
    return lun_fail(err, LUN_EFORMAT,
                    "TorchScript: a program with its weights; save the weights "
                    "alone: torch.save(torch.jit.load(file).state_dict(), "
                    "file)");
  LUN_TRY(imp_zip_unpack(f, &z, f->scratch, err));
  if ((e = ending(&z, KERAS_WEIGHTS)) != NULL)
    return keras_archive(f, &z, e, err);
  if ((e = ending(&z, "data.pkl")) == NULL)
    return lun_fail(err, LUN_EFORMAT,
                    "a zip archive with neither data.pkl "
                    "(torch) nor model.weights.h5 (Keras)");
  f->format = "PyTorch zip";
  LUN_TRY(little_endian(f, &z, err));
  return zip_pickle(f, &z, e, err);
}

/* ---- legacy ------------------------------------------------------------- */

/* Pickle of the number 0x1950a86a20f9469cfc6c, as protocol 2 writes it. */
static const uint8_t magic[] = {
    0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
    0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.',
};

int imp_is_legacy(const uint8_t *head, size_t n) {
  return n >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

static int same_key(const imp_storage *s, const imp_value *key) {
  return key->kind == IMP_STR && s->len == (size_t)key->n &&
         memcmp(s->key, key->s, s->len) == 0;
}

/* One i64 count and the elements for every key, in the keys' order. */
static int place_legacy(imp_file *f, const imp_value *keys, imp_storage *list,
                        int64_t at, lun_err *err) {
  for (int i = 0; i < keys->n; i++) {
    uint8_t b[8];
    int64_t count, width = 0;
    LUN_TRY(imp_read_at(f, b, 8, at, err));
    count = (int64_t)imp_le(b, 8);
    for (imp_storage *s = list; s; s = s->next)
      if (same_key(s, keys->item[i])) {
        if (s->count != count)
          return lun_fail(err, LUN_EFORMAT,
                          "a storage has %lld elements, its tensor %lld",
                          (long long)count, (long long)s->count);
        s->at = at + 8;
        width = s->width;
      }
    if (width == 0)
      return lun_fail(err, LUN_EFORMAT, "storage %d belongs to no tensor", i);
    at += 8 + count * width; /* count was checked: below 2^40 */
  }
  for (imp_storage *s = list; s; s = s->next)
    if (s->at < 0) return lun_fail(err, LUN_EFORMAT, "a storage has no data");
  return LUN_OK;
}

/* sys_info says {'little_endian': True}. */
static int check_system(const imp_value *info, lun_err *err) {
  for (int i = 0; info->kind == IMP_DICT && i + 1 < info->n; i += 2) {
    const imp_value *k = info->item[i], *v = info->item[i + 1];
    if (k->kind == IMP_STR && k->n == 13 && v->kind == IMP_BOOL && !v->i &&
        memcmp(k->s, "little_endian", 13) == 0)
      return lun_fail(err, LUN_EFORMAT, "saved on a big-endian machine");
  }
  return LUN_OK;
}

static int legacy_pickles(imp_file *f, const uint8_t *p, size_t n,
                          lun_err *err) {
  enum { PROTOCOL, SYSTEM, OBJECT, KEYS, PICKLES };
  imp_value *v[PICKLES];
  imp_storage *list = NULL;
  size_t at = sizeof magic;
  for (int i = 0; i < PICKLES; i++) {
    size_t used;
    LUN_TRY(imp_pickle(f, p + at, n - at, &used, &v[i], &list, err));
    at += used;
  }
  if (v[PROTOCOL]->kind != IMP_INT || v[PROTOCOL]->i != 1001)
    return lun_fail(err, LUN_EFORMAT, "legacy .pth of an unknown protocol");
  if (v[KEYS]->kind != IMP_SEQ)
    return lun_fail(err, LUN_EFORMAT, "legacy .pth without a list of storages");
  LUN_TRY(check_system(v[SYSTEM], err));
  LUN_TRY(place_legacy(f, v[KEYS], list, (int64_t)at, err));
  return list_state(f, v[OBJECT], err);
}

int imp_read_legacy(imp_file *f, lun_err *err) {
  size_t n = f->size < MAX_PICKLE ? (size_t)f->size : MAX_PICKLE;
  uint8_t *p = imp_alloc(f, n);
  f->format = "PyTorch legacy";
  if (p == NULL) return lun_fail(err, LUN_ENOMEM, "no memory");
  LUN_TRY(imp_read_at(f, p, n, 0, err));
  return legacy_pickles(f, p, n, err);
}
