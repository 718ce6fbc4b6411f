/*
** onnx_tensor.c - the tensors of an ONNX file: what a TensorProto says, where its
** numbers are, and the values of small ones as text.
*/
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx.h"

enum {
  MAX_NUMBERS = 65536,  /* integers listed of a tensor */
  MAX_FLOATS = 1024,    /* floats listed of a tensor */
  MAX_VECTOR = 8192,    /* floats listed of a vector: batch norms */
  MAX_TYPED = 16 << 20, /* bytes of a tensor whose numbers are fields */
};

int imp_onnx_text(imp_file *f, const char **out, lun_err *err, const char *fmt,
                  ...) {
  char buf[64], *s;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(buf, sizeof buf, fmt, ap);
  va_end(ap);
  s = imp_alloc(f, strlen(buf) + 1);
  if (s == NULL) return lun_fail(err, LUN_ENOMEM, "the graph is too large");
  strcpy(s, buf);
  *out = s;
  return LUN_OK;
}

/* ---- tensors ------------------------------------------------------------ */

static const struct {
  int code;
  imp_dtype dtype;
  const char *name;
  int width;
} types[] = {
    {1, IMP_F32, "F32", 4},    {2, IMP_OTHER, "U8", 1},
    {3, IMP_OTHER, "I8", 1},   {4, IMP_OTHER, "U16", 2},
    {5, IMP_OTHER, "I16", 2},  {6, IMP_OTHER, "I32", 4},
    {7, IMP_OTHER, "I64", 8},  {9, IMP_OTHER, "BOOL", 1},
    {10, IMP_F16, "F16", 2},   {11, IMP_F64, "F64", 8},
    {12, IMP_OTHER, "U32", 4}, {13, IMP_OTHER, "U64", 8},
    {16, IMP_BF16, "BF16", 2},
};

const char *imp_onnx_type(uint64_t code) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if ((uint64_t)types[i].code == code) return types[i].name;
  return code == 8 ? "STRING" : code == 0 ? "UNDEFINED" : "OTHER";
}

/* What a TensorProto says, before its numbers are looked for. */
typedef struct proto {
  const char *name, *location;
  int64_t dim[IMP_MAXDIM];
  int ndim;
  uint64_t type, place;   /* place 1: outside of the file */
  imp_field data[8];      /* the first piece of each kind of numbers */
  int pieces[8];          /* raw, float, int32, int64, double, uint64 */
  int64_t offset, length; /* outside */
  imp_wire wire;          /* the message, for pieces after the first */
} proto;

enum { RAW, FLOATS, INT32, INT64, DOUBLES, UINT64, KINDS };
static const int data_field[KINDS] = {9, 4, 5, 7, 10, 11};

static int add_dim(proto *t, int64_t d, lun_err *err) {
  if (t->ndim >= IMP_MAXDIM)
    return lun_fail(err, LUN_EFORMAT, "a tensor has more than %d dimensions",
                    IMP_MAXDIM);
  t->dim[t->ndim++] = d;
  return LUN_OK;
}

/* Numbers that may come packed or one by one. */
static int read_dims(imp_wire *w, const imp_field *p, proto *t, lun_err *err) {
  imp_wire in;
  uint64_t v;
  if (p->type == 0) return add_dim(t, (int64_t)p->value, err);
  LUN_TRY(imp_want(w, p, 2, err));
  in = imp_wire_in(w, p, "packed dims");
  while (in.at < in.end) {
    LUN_TRY(imp_varint(&in, &v, err));
    LUN_TRY(add_dim(t, (int64_t)v, err));
  }
  return LUN_OK;
}

/* "123" -> 123; nothing but digits. */
static int decimal(const char *s, const char *what, int64_t *out,
                   lun_err *err) {
  char shown[IMP_SHOWN];
  int64_t v = 0;
  if (*s == '\0') v = -1;
  for (const char *c = s; *c && v >= 0; c++) {
    if (*c < '0' || *c > '9' || v > ((int64_t)1 << 50)) {
      v = -1;
      break;
    }
    v = 10 * v + (*c - '0');
  }
  *out = v;
  if (v >= 0) return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "external data: %s \"%s\" is no number, or too large", what,
                  imp_shown(shown, s, strlen(s)));
}

int imp_onnx_pair(imp_wire in, const char **key, const char **value,
                  lun_err *err) {
  imp_field p;
  int got;
  *key = *value = "";
  while ((got = imp_next(&in, &p, err)) > 0) {
    if (p.number == 1) LUN_TRY(imp_text(&in, &p, key, err));
    if (p.number == 2) LUN_TRY(imp_text(&in, &p, value, err));
  }
  return got;
}

static int read_external(imp_wire *w, const imp_field *p, proto *t,
                         lun_err *err) {
  const char *key, *value;
  LUN_TRY(imp_want(w, p, 2, err));
  LUN_TRY(imp_onnx_pair(imp_wire_in(w, p, "external data"), &key, &value, err));
  if (strcmp(key, "location") == 0) t->location = value;
  if (strcmp(key, "offset") == 0)
    return decimal(value, "offset", &t->offset, err);
  if (strcmp(key, "length") == 0)
    return decimal(value, "length", &t->length, err);
  return LUN_OK;
}

static int read_proto_field(imp_wire *w, const imp_field *p, proto *t,
                            lun_err *err) {
  for (int k = 0; k < KINDS; k++)
    if (p->number == data_field[k] && !t->pieces[k]++) t->data[k] = *p;
  switch (p->number) {
    case 1:
      return read_dims(w, p, t, err);
    case 2:
      t->type = p->value;
      return imp_want(w, p, 0, err);
    case 3:
      return lun_fail(err, LUN_EFORMAT, "a tensor in segments: not supported");
    case 8:
      return imp_text(w, p, &t->name, err);
    case 9:
      return imp_want(w, p, 2, err);
    case 13:
      return read_external(w, p, t, err);
    case 14:
      t->place = p->value;
      return imp_want(w, p, 0, err);
    default:
      return LUN_OK;
  }
}

static int read_proto(imp_wire w, proto *t, lun_err *err) {
  imp_field p;
  int got;
  memset(t, 0, sizeof *t);
  t->name = "";
  t->length = -1;
  t->wire = w;
  while ((got = imp_next(&w, &p, err)) > 0)
    LUN_TRY(read_proto_field(&w, &p, t, err));
  return got;
}

/* One number of kind k into `to`, as the tensor's type has it. */
static void put_number(uint8_t *to, int width, uint64_t v) {
  for (int i = 0; i < width; i++) to[i] = (uint8_t)(v >> 8 * i);
}

/* Copies numbers that are spelled out: every piece, packed or single. */
static int copy_numbers(const proto *p, int k, imp_tensor *t, uint8_t *to,
                        lun_err *err) {
  imp_wire w = p->wire;
  imp_field q;
  int64_t n = 0;
  int got, fixed = k == FLOATS ? 4 : k == DOUBLES ? 8 : 0;
  while ((got = imp_next(&w, &q, err)) > 0) {
    imp_wire in = q.type == 2 ? imp_wire_in(&w, &q, "packed numbers") : w;
    if (q.number != data_field[k]) continue;
    if (q.type != 2) {
      if (n < t->size) put_number(to + n * t->width, t->width, q.value);
      n++;
    }
    while (q.type == 2 && in.at < in.end) {
      uint64_t v;
      LUN_TRY(fixed ? imp_fixed(&in, fixed, &v, err)
                    : imp_varint(&in, &v, err));
      if (n < t->size) put_number(to + n * t->width, t->width, v);
      n++;
    }
  }
  if (got < 0) return got;
  if (n == t->size) return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "tensor '%s': %lld numbers where %lld are wanted", t->name,
                  (long long)n, (long long)t->size);
}

static int check_bytes(const imp_tensor *t, int64_t bytes, lun_err *err) {
  if (bytes == t->size * t->width) return LUN_OK;
  return lun_fail(err, LUN_EFORMAT,
                  "tensor '%s': %lld bytes where %lld are wanted", t->name,
                  (long long)bytes, (long long)(t->size * t->width));
}

/* Which kind of numbers the tensor has; -1: none.  Two are an error. */
static int kind_of_data(const proto *p, const imp_tensor *t, int *kind,
                        lun_err *err) {
  *kind = -1;
  for (int k = 0; k < KINDS; k++) {
    if (p->pieces[k] == 0 || (k == RAW && p->data[k].len == 0)) continue;
    if (*kind >= 0)
      return lun_fail(err, LUN_EFORMAT, "tensor '%s' has its numbers twice",
                      t->name);
    *kind = k;
  }
  return LUN_OK;
}

static int find_numbers(imp_file *f, const proto *p, imp_tensor *t,
                        lun_err *err) {
  int k, matches;
  uint8_t *copy;
  LUN_TRY(kind_of_data(p, t, &k, err));
  if (k < 0)
    return t->size == 0
               ? LUN_OK
               : lun_fail(err, LUN_EFORMAT, "tensor '%s' has no data", t->name);
  if (k == RAW) {
    t->at = p->data[k].at;
    return check_bytes(t, p->data[k].len, err);
  }
  matches = k == FLOATS    ? t->dtype == IMP_F32
            : k == DOUBLES ? t->dtype == IMP_F64
                           : t->dtype != IMP_F32 && t->dtype != IMP_F64;
  if (!matches)
    return lun_fail(err, LUN_EFORMAT, "tensor '%s': its numbers are no %s",
                    t->name, t->type);
  if ((k == FLOATS || k == DOUBLES) && p->pieces[k] == 1 &&
      p->data[k].type == 2) {
    t->at = p->data[k].at; /* packed: as they lie */
    return check_bytes(t, p->data[k].len, err);
  }
  if (t->size * t->width > MAX_TYPED)
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s' is too large for numbers "
                    "one by one",
                    t->name);
  copy = imp_alloc(f, (size_t)(t->size * t->width) + 1);
  if (copy == NULL) return lun_fail(err, LUN_ENOMEM, "tensors need too much");
  t->memory = copy;
  return copy_numbers(p, k, t, copy, err);
}

static int list_external(imp_file *f, const proto *p, imp_tensor *t, int index,
                         lun_err *err) {
  imp_line *l = NULL;
  if (p->location == NULL || *p->location == '\0')
    return lun_fail(err, LUN_EFORMAT, "tensor '%s': external without location",
                    t->name);
  if (p->length >= 0) LUN_TRY(check_bytes(t, p->length, err));
  t->at = p->offset;
  t->outside = p->location;
  LUN_TRY(imp_say(f, "external", 2, &l, err));
  LUN_TRY(imp_onnx_text(f, &l->field[l->n++], err, "%d", index));
  l->field[l->n++] = p->location;
  return LUN_OK;
}

static int set_type(const proto *p, imp_tensor *t, lun_err *err) {
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if ((uint64_t)types[i].code == p->type) {
      t->dtype = types[i].dtype;
      t->type = types[i].name;
      t->width = types[i].width;
      return LUN_OK;
    }
  return lun_fail(err, LUN_EFORMAT, "tensor '%s': type %llu (%s)", t->name,
                  (unsigned long long)p->type,
                  p->type == 8    ? "strings"
                  : p->type == 0  ? "undefined"
                  : p->type == 14 ? "complex64"
                                  : "not supported");
}

/* ---- values ------------------------------------------------------------- */

static int64_t integer_at(const imp_tensor *t, const uint8_t *p) {
  uint64_t v = imp_le(p, t->width);
  int bits = 64 - 8 * t->width;
  if (t->type[0] == 'I') return (int64_t)(v << bits) >> bits;
  return (int64_t)v;
}

static double float_at(const imp_tensor *t, const uint8_t *p) {
  float f;
  double d;
  if (t->dtype == IMP_F64) return memcpy(&d, p, 8), d;
  if (t->dtype == IMP_F32) return memcpy(&f, p, 4), (double)f;
  return (double)imp_widen(t->dtype, (uint16_t)imp_le(p, 2));
}

static int put_value(const imp_tensor *t, const uint8_t *p, char *to,
                     size_t room) {
  if (t->dtype == IMP_OTHER)
    return snprintf(to, room, "%" PRId64 ",", integer_at(t, p));
  return snprintf(to, room, "%.17g,", float_at(t, p));
}

/* A line with the numbers of a small tensor. */
static int list_values(imp_file *f, imp_tensor *t, int index, lun_err *err) {
  imp_line *l = NULL;
  uint8_t number[8];
  char *s;
  size_t used = 0, room;
  int64_t most = t->dtype == IMP_OTHER ? MAX_NUMBERS
                 : t->ndim == 1        ? MAX_VECTOR
                                       : MAX_FLOATS;
  if (t->outside || t->size > most) return LUN_OK;
  room = (size_t)t->size * 26 + 1;
  LUN_TRY(imp_say(f, "values", 2, &l, err));
  LUN_TRY(imp_onnx_text(f, &l->field[l->n++], err, "%d", index));
  s = imp_alloc(f, room);
  if (s == NULL) return lun_fail(err, LUN_ENOMEM, "the graph is too large");
  for (int64_t i = 0; i < t->size; i++) {
    if (t->memory)
      memcpy(number, (const uint8_t *)t->memory + i * t->width,
             (size_t)t->width);
    else
      LUN_TRY(
          imp_read_at(f, number, (size_t)t->width, t->at + i * t->width, err));
    used += (size_t)put_value(t, number, s + used, room - used);
  }
  l->field[l->n++] = s;
  return LUN_OK;
}

int imp_onnx_tensor(imp_file *f, imp_wire in, int named, int *index,
                    lun_err *err) {
  proto p;
  imp_tensor *t;
  char made[32];
  LUN_TRY(read_proto(in, &p, err));
  *index = f->count;
  snprintf(made, sizeof made, "constant %d", f->count);
  if (named && *p.name == '\0')
    return lun_fail(err, LUN_EFORMAT, "an initializer without a name");
  if (!named) p.name = made;
  LUN_TRY(imp_add(f, &t, p.name, strlen(p.name), err));
  LUN_TRY(set_type(&p, t, err));
  LUN_TRY(imp_shape(t, p.ndim, p.dim, err));
  if (p.place == 1)
    LUN_TRY(list_external(f, &p, t, *index, err));
  else
    LUN_TRY(find_numbers(f, &p, t, err));
  if (!t->outside && !t->memory && t->size > 0) LUN_TRY(imp_inside(f, t, err));
  return list_values(f, t, *index, err);
}
