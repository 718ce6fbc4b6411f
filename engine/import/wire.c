/*
** wire.c - protobuf's wire format, read through a window over the file: a field
** is a varint (number << 3 | type), then by type 0 a varint, 1 eight bytes, 2 a
** length and as many bytes, 5 four bytes.  Nothing is copied and nothing
** descends: a message inside another is a range of bytes.
*/
#include "wire.h"

#include <string.h>

static int bad(const imp_wire *w, lun_err *err, const char *what) {
  return lun_fail(err, LUN_EFORMAT, "no ONNX file: %s (byte %lld, in %s)", what,
                  (long long)w->at, w->what);
}

imp_wire imp_wire_all(imp_file *f) {
  return (imp_wire){.f = f, .at = 0, .end = f->size, .what = "the model"};
}

imp_wire imp_wire_in(const imp_wire *w, const imp_field *p, const char *what) {
  return (imp_wire){
      .f = w->f, .at = p->at, .end = p->at + p->len, .what = what};
}

/* The byte at w->at, which lies inside. */
static int byte(imp_wire *w, uint8_t *out, lun_err *err) {
  imp_window *v = &w->f->window;
  if (w->at >= w->end) return bad(w, err, "it is cut off");
  if (w->at < v->at || w->at >= v->at + v->n) {
    int64_t n = w->f->size - w->at;
    if (n > (int64_t)sizeof v->byte) n = sizeof v->byte;
    v->n = 0;
    LUN_TRY(imp_read_at(w->f, v->byte, (size_t)n, w->at, err));
    v->at = w->at;
    v->n = n;
  }
  *out = v->byte[w->at++ - v->at];
  return LUN_OK;
}

int imp_varint(imp_wire *w, uint64_t *out, lun_err *err) {
  uint8_t b = 0;
  *out = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    LUN_TRY(byte(w, &b, err));
    *out |= (uint64_t)(b & 127) << shift % 64;
    if (shift == 63 && b > 1) break;
    if (b < 128) return LUN_OK;
  }
  return bad(w, err, "a number of more than 10 bytes");
}

int imp_fixed(imp_wire *w, int bytes, uint64_t *out, lun_err *err) {
  uint8_t b = 0;
  *out = 0;
  for (int i = 0; i < bytes; i++) {
    LUN_TRY(byte(w, &b, err));
    *out |= (uint64_t)b << 8 * i;
  }
  return LUN_OK;
}

int imp_next(imp_wire *w, imp_field *p, lun_err *err) {
  uint64_t tag, len;
  if (w->at >= w->end) return 0;
  LUN_TRY(imp_varint(w, &tag, err));
  memset(p, 0, sizeof *p);
  p->type = (int)(tag & 7);
  if (tag >> 3 == 0 || tag >> 3 > 536870911)
    return bad(w, err, "a field of number 0, or too large");
  p->number = (int)(tag >> 3);
  switch (p->type) {
    case 0:
      LUN_TRY(imp_varint(w, &p->value, err));
      return 1;
    case 1:
      LUN_TRY(imp_fixed(w, 8, &p->value, err));
      return 1;
    case 5:
      LUN_TRY(imp_fixed(w, 4, &p->value, err));
      return 1;
    case 2:
      break;
    default:
      return bad(w, err,
                 p->type < 5 ? "groups (wire types 3 and 4) are not ONNX"
                             : "wire types 6 and 7 do not exist");
  }
  LUN_TRY(imp_varint(w, &len, err));
  if (len > (uint64_t)(w->end - w->at))
    return bad(w, err, "a length past the end of what holds it: cut off?");
  p->at = w->at;
  p->len = (int64_t)len;
  w->at += p->len;
  return 1;
}

int imp_want(const imp_wire *w, const imp_field *p, int type, lun_err *err) {
  if (p->type == type) return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "no ONNX file: field %d of %s has wire type %d, not %d",
                  p->number, w->what, p->type, type);
}

int imp_text(imp_wire *w, const imp_field *p, const char **out, lun_err *err) {
  char *s;
  LUN_TRY(imp_want(w, p, 2, err));
  if (p->len > IMP_MAXTEXT)
    return lun_fail(err, LUN_EFORMAT, "%s holds a text of %lld bytes, most %d",
                    w->what, (long long)p->len, IMP_MAXTEXT);
  s = imp_alloc(w->f, (size_t)p->len + 1);
  if (s == NULL) return lun_fail(err, LUN_ENOMEM, "texts need too much");
  LUN_TRY(imp_read_at(w->f, s, (size_t)p->len, p->at, err));
  if (memchr(s, 0, (size_t)p->len))
    return lun_fail(err, LUN_EFORMAT, "%s has a name with a zero byte",
                    w->what);
  *out = s;
  return LUN_OK;
}
