/*
** file.c - the list of tensors that every reader fills.
*/
#include "import.h"

#include <string.h>

/* The array doubles inside the arena; the old one is simply left behind. */
static int more_room(imp_file *f, lun_err *err) {
  int room = f->room ? 2 * f->room : 64;
  imp_tensor *t = imp_alloc(f, (size_t)room * sizeof *t);
  if (t == NULL) return lun_fail(err, LUN_ENOMEM, "too many tensors to list");
  if (f->count) memcpy(t, f->tensor, (size_t)f->count * sizeof *t);
  f->tensor = t;
  f->room = room;
  return LUN_OK;
}

int imp_add(imp_file *f, imp_tensor **out, const char *name, size_t len,
            lun_err *err) {
  char *copy;
  if (f->count >= IMP_MAXTENSORS)
    return lun_fail(err, LUN_EFORMAT, "more than %d tensors", IMP_MAXTENSORS);
  if (len > IMP_MAXNAME)
    return lun_fail(err, LUN_EFORMAT, "a tensor's name has %zu bytes, most %d",
                    len, IMP_MAXNAME);
  if (f->count == f->room) LUN_TRY(more_room(f, err));
  copy = imp_alloc(f, len + 1);
  if (copy == NULL) return lun_fail(err, LUN_ENOMEM, "names need too much");
  memcpy(copy, name, len);
  *out = &f->tensor[f->count++];
  (*out)->name = copy;
  return LUN_OK;
}

int imp_shape(imp_tensor *t, int ndim, const int64_t *dim, lun_err *err) {
  int64_t size = 1;
  char shown[IMP_SHOWN];
  imp_shown(shown, t->name, strlen(t->name));
  if (ndim < 0 || ndim > IMP_MAXDIM)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s' has %d axes, most %d", shown,
                    ndim, IMP_MAXDIM);
  t->ndim = ndim;
  for (int i = ndim - 1; i >= 0; i--) {
    /* sizes stay under 2^40 elements, so that bytes cannot overflow */
    if (dim[i] < 0 || (dim[i] > 0 && size > ((int64_t)1 << 40) / dim[i]))
      return lun_fail(err, LUN_EFORMAT, "tensor '%s': axis %d of %lld", shown,
                      i, (long long)dim[i]);
    t->dim[i] = dim[i];
    t->stride[i] = size;
    size *= dim[i];
  }
  t->size = size;
  return LUN_OK;
}

int imp_inside(const imp_file *f, const imp_tensor *t, lun_err *err) {
  int64_t bytes = t->size * t->width;
  char shown[IMP_SHOWN];
  if (t->at >= 0 && t->at <= f->size && bytes <= f->size - t->at) return LUN_OK;
  return lun_fail(
      err, LUN_EFORMAT,
      "tensor '%s': %lld bytes at %lld, the file has %lld: truncated",
      imp_shown(shown, t->name, strlen(t->name)), (long long)bytes,
      (long long)t->at, (long long)f->size);
}

int imp_add_meta(imp_file *f, const char *key, const char *value, size_t n,
                 lun_err *err) {
  size_t k = strlen(key);
  char *copy = imp_alloc(f, k + n + 2);
  if (f->nmeta == f->meta_room) {
    int room = f->meta_room ? 2 * f->meta_room : 32;
    imp_meta *more = imp_alloc(f, (size_t)room * sizeof *more);
    if (more && f->nmeta)
      memcpy(more, f->meta, (size_t)f->nmeta * sizeof *more);
    if (more) f->meta = more, f->meta_room = room;
  }
  if (copy == NULL || f->nmeta == f->meta_room)
    return lun_fail(err, LUN_ENOMEM, "metadata too large");
  memcpy(copy, key, k);
  memcpy(copy + k + 1, value, n);
  f->meta[f->nmeta].key = copy;
  f->meta[f->nmeta++].value = copy + k + 1;
  return LUN_OK;
}

int imp_say(imp_file *f, const char *head, int n, imp_line **out,
            lun_err *err) {
  imp_line *l = imp_alloc(f, sizeof *l + (size_t)(n + 1) * sizeof(char *));
  if (l == NULL) return lun_fail(err, LUN_ENOMEM, "the listing is too large");
  l->field = (const char **)(l + 1);
  l->field[0] = head;
  l->n = 1;
  if (f->last_line)
    f->last_line->next = l;
  else
    f->line = l;
  f->last_line = l;
  *out = l;
  return LUN_OK;
}

int imp_note(imp_file *f, const char *head, const char *text, lun_err *err) {
  enum { MOST = 64 };
  imp_line *l;
  int n = 0;
  for (l = f->line; l; l = l->next, n++)
    if (strcmp(l->field[0], head) == 0 && strcmp(l->field[1], text) == 0)
      return LUN_OK;
  if (n >= MOST) return LUN_OK;
  LUN_TRY(imp_say(f, head, 1, &l, err));
  l->field[l->n++] = text;
  return LUN_OK;
}
