/*
** onnx.c - lists an ONNX file: its tensors as any other reader does, with where
** their numbers lie; its graph as lines, in the file's order, for the Lua side:
**
**   onnx IR | opset DOMAIN VERSION | input NAME TYPE DIMS | output NAME
**   node OP DOMAIN NAME INPUTS name.. name..     then its attributes:
**   attr NAME TYPE VALUE..                       TYPE: i f s t g ..., VALUE of t: tensor
**   values TENSOR n,n,n                          of small tensors
**   external TENSOR LOCATION
**
** What an operator means is not known here.  Subgraphs are named, not read.
*/
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire.h"

enum {
  MAX_NODES = 65536,
  MAX_PARTS = 8192,     /* inputs, outputs or attributes of a node */
  MAX_NUMBERS = 65536,  /* of an attribute, or integers listed of a tensor */
  MAX_FLOATS = 1024,    /* floats listed of a tensor */
  MAX_TYPED = 16 << 20, /* bytes of a tensor that is spelled out as numbers */
};

/* ---- lines ------------------------------------------------------------- */

/* Starts a line of the listing with room for n more fields. */
static int say(imp_file *f, const char *head, int n, imp_line **out,
               lun_err *err) {
  imp_line *l = imp_alloc(f, sizeof *l + (size_t)(n + 1) * sizeof(char *));
  if (l == NULL) return lun_fail(err, LUN_ENOMEM, "the graph is too large");
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

static int text_of(imp_file *f, const char **out, lun_err *err, const char *fmt,
                   ...) LUN_PRINTF(4, 5);
static int text_of(imp_file *f, const char **out, lun_err *err, const char *fmt,
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

/* ---- tensors ----------------------------------------------------------- */

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

static const char *type_name(uint64_t code) {
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
  return lun_fail(err, LUN_EFORMAT, "external data: %s \"%s\" is no number",
                  what, imp_shown(shown, s, strlen(s)));
}

/* {1 key, 2 value} */
static int read_pair(imp_wire in, const char **key, const char **value,
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
  LUN_TRY(read_pair(imp_wire_in(w, p, "external data"), &key, &value, err));
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
static int spell(const proto *p, int k, imp_tensor *t, uint8_t *to,
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

static int wanted(const imp_tensor *t, int64_t bytes, lun_err *err) {
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
    return wanted(t, p->data[k].len, err);
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
    return wanted(t, p->data[k].len, err);
  }
  if (t->size * t->width > MAX_TYPED)
    return lun_fail(err, LUN_EFORMAT,
                    "tensor '%s' is too large for numbers "
                    "one by one",
                    t->name);
  copy = imp_alloc(f, (size_t)(t->size * t->width) + 1);
  if (copy == NULL) return lun_fail(err, LUN_ENOMEM, "tensors need too much");
  t->memory = copy;
  return spell(p, k, t, copy, err);
}

static int list_external(imp_file *f, const proto *p, imp_tensor *t, int index,
                         lun_err *err) {
  imp_line *l = NULL;
  if (p->location == NULL || *p->location == '\0')
    return lun_fail(err, LUN_EFORMAT, "tensor '%s': external without location",
                    t->name);
  if (p->length >= 0) LUN_TRY(wanted(t, p->length, err));
  t->at = p->offset;
  t->outside = p->location;
  LUN_TRY(say(f, "external", 2, &l, err));
  LUN_TRY(text_of(f, &l->field[l->n++], err, "%d", index));
  l->field[l->n++] = p->location;
  return LUN_OK;
}

static int typed(const proto *p, imp_tensor *t, lun_err *err) {
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

/* ---- values ------------------------------------------------------------ */

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
  int64_t most = t->dtype == IMP_OTHER ? MAX_NUMBERS : MAX_FLOATS;
  if (t->outside || t->size > most) return LUN_OK;
  room = (size_t)t->size * 26 + 1;
  LUN_TRY(say(f, "values", 2, &l, err));
  LUN_TRY(text_of(f, &l->field[l->n++], err, "%d", index));
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

/* A tensor into the list; *index is its place. */
static int add_tensor(imp_file *f, imp_wire in, int named, int *index,
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
  LUN_TRY(typed(&p, t, err));
  LUN_TRY(imp_shape(t, p.ndim, p.dim, err));
  if (p.place == 1)
    LUN_TRY(list_external(f, &p, t, *index, err));
  else
    LUN_TRY(find_numbers(f, &p, t, err));
  if (!t->outside && !t->memory && t->size > 0) LUN_TRY(imp_inside(f, t, err));
  return list_values(f, t, *index, err);
}

/* ---- nodes ------------------------------------------------------------- */

typedef struct parts { /* what comes repeatedly, kept until the line is said */
  const char **list;
  int n, room;
} parts;

static int keep(imp_file *f, parts *p, const char *s, lun_err *err) {
  if (p->n == MAX_PARTS)
    return lun_fail(err, LUN_EFORMAT, "a node has more than %d parts",
                    MAX_PARTS);
  if (p->n == p->room) {
    int room = p->room ? 2 * p->room : 8;
    const char **more = imp_alloc(f, (size_t)room * sizeof *more);
    if (more == NULL)
      return lun_fail(err, LUN_ENOMEM, "the graph is too large");
    if (p->n) memcpy(more, p->list, (size_t)p->n * sizeof *more);
    p->list = more;
    p->room = room;
  }
  p->list[p->n++] = s;
  return LUN_OK;
}

/* Numbers of an attribute, packed or not: floats (fixed 4) or ints. */
static int keep_numbers(imp_wire *w, const imp_field *q, int fixed, parts *v,
                        lun_err *err) {
  imp_wire in = *w;
  const char *s;
  uint64_t x = q->value;
  int packed = q->type == 2;
  if (packed) in = imp_wire_in(w, q, "packed numbers");
  if (!packed) LUN_TRY(imp_want(w, q, fixed ? 5 : 0, err));
  while (!packed || in.at < in.end) {
    float f;
    uint32_t bits;
    if (packed)
      LUN_TRY(fixed ? imp_fixed(&in, 4, &x, err) : imp_varint(&in, &x, err));
    bits = (uint32_t)x;
    memcpy(&f, &bits, 4);
    LUN_TRY(fixed ? text_of(w->f, &s, err, "%.9g", (double)f)
                  : text_of(w->f, &s, err, "%" PRId64, (int64_t)x));
    LUN_TRY(keep(w->f, v, s, err));
    if (!packed) break;
  }
  return LUN_OK;
}

/* An attribute as far as it was read. */
typedef struct attribute {
  const char *name;
  uint64_t type;
  char seen; /* i f s t g, or I F S T G of a list; ? nothing yet */
  parts value;
} attribute;

/* A tensor's place in the list is the value. */
static int keep_tensor(imp_file *f, imp_wire *w, const imp_field *q,
                       attribute *a, lun_err *err) {
  const char *s;
  int index;
  LUN_TRY(imp_want(w, q, 2, err));
  LUN_TRY(add_tensor(f, imp_wire_in(w, q, "a tensor"), 0, &index, err));
  LUN_TRY(text_of(f, &s, err, "%d", index));
  return keep(f, &a->value, s, err);
}

static int attribute_field(imp_file *f, imp_wire *w, const imp_field *q,
                           attribute *a, lun_err *err) {
  static const char kinds[] = "??fistgFIS";
  const char *s;
  if (q->number == 1) return imp_text(w, q, &a->name, err);
  if (q->number == 20) return a->type = q->value, LUN_OK;
  if (q->number == 10 || q->number == 11)
    return a->seen = q->number == 10 ? 'T' : 'G', LUN_OK;
  if (q->number < 2 || q->number > 9) return LUN_OK;
  a->seen = kinds[q->number];
  if (q->number < 6) a->value.n = 0; /* the last one counts */
  switch (q->number) {
    case 2:
    case 7:
      return keep_numbers(w, q, 1, &a->value, err);
    case 3:
    case 8:
      return keep_numbers(w, q, 0, &a->value, err);
    case 4:
    case 9:
      LUN_TRY(imp_text(w, q, &s, err));
      return keep(f, &a->value, s, err);
    case 5:
      return keep_tensor(f, w, q, a, err);
    default:
      return LUN_OK; /* a subgraph */
  }
}

/* The type that it says agrees with what it holds; a value of 0, or an empty
** text, may be absent from the wire. */
static int settle_type(imp_file *f, attribute *a, lun_err *err) {
  static const char kinds[] = "?fistgFISTG";
  char said = a->type < sizeof kinds - 1 ? kinds[a->type] : '?';
  if (said == '?') return LUN_OK;
  if (a->seen != '?' && a->seen != said)
    return lun_fail(err, LUN_EFORMAT,
                    "attribute '%s' says type %d and holds another", a->name,
                    (int)a->type);
  if (a->seen == '?' && strchr("fis", said))
    LUN_TRY(keep(f, &a->value, said == 's' ? "" : "0", err));
  a->seen = said;
  return LUN_OK;
}

/* An attribute's line: name, type, values. */
static int list_attribute(imp_file *f, imp_wire w, lun_err *err) {
  attribute a = {"", 0, '?', {NULL, 0, 0}};
  imp_field q;
  imp_line *l = NULL;
  int got;
  while ((got = imp_next(&w, &q, err)) > 0)
    LUN_TRY(attribute_field(f, &w, &q, &a, err));
  if (got < 0) return got;
  LUN_TRY(settle_type(f, &a, err));
  LUN_TRY(say(f, "attr", a.value.n + 2, &l, err));
  l->field[l->n++] = a.name;
  LUN_TRY(text_of(f, &l->field[l->n++], err, "%c", a.seen));
  for (int i = 0; i < a.value.n; i++) l->field[l->n++] = a.value.list[i];
  return LUN_OK;
}

static int list_node(imp_file *f, imp_wire w, lun_err *err) {
  parts in = {NULL, 0, 0}, out = {NULL, 0, 0};
  const char *name = "", *op = "", *domain = "", *s;
  imp_wire again = w;
  imp_field q;
  imp_line *l = NULL;
  int got;
  while ((got = imp_next(&w, &q, err)) > 0) {
    if (q.number == 1 || q.number == 2) {
      LUN_TRY(imp_text(&w, &q, &s, err));
      LUN_TRY(keep(f, q.number == 1 ? &in : &out, s, err));
    }
    if (q.number == 3) LUN_TRY(imp_text(&w, &q, &name, err));
    if (q.number == 4) LUN_TRY(imp_text(&w, &q, &op, err));
    if (q.number == 7) LUN_TRY(imp_text(&w, &q, &domain, err));
  }
  if (got < 0) return got;
  LUN_TRY(say(f, "node", 4 + in.n + out.n, &l, err));
  l->field[l->n++] = op;
  l->field[l->n++] = domain;
  l->field[l->n++] = name;
  LUN_TRY(text_of(f, &l->field[l->n++], err, "%d", in.n));
  for (int i = 0; i < in.n; i++) l->field[l->n++] = in.list[i];
  for (int i = 0; i < out.n; i++) l->field[l->n++] = out.list[i];
  while ((got = imp_next(&again, &q, err)) > 0) {
    if (q.number != 5) continue;
    LUN_TRY(imp_want(&again, &q, 2, err));
    LUN_TRY(list_attribute(f, imp_wire_in(&again, &q, "an attribute"), err));
  }
  return got;
}

/* ---- inputs and outputs ------------------------------------------------ */

/* {1 dim {1 value, 2 name}}: "1,3,?,?"; a name, or nothing, is "?". */
static int shape_text(imp_wire w, char *to, size_t room, lun_err *err) {
  imp_field q, r;
  size_t used = 0;
  int got, inner, n = 0;
  to[0] = '\0';
  while ((got = imp_next(&w, &q, err)) > 0) {
    imp_wire in;
    int64_t dim = -1;
    if (q.number != 1) continue;
    LUN_TRY(imp_want(&w, &q, 2, err));
    in = imp_wire_in(&w, &q, "a dimension");
    while ((inner = imp_next(&in, &r, err)) > 0)
      if (r.number == 1) dim = (int64_t)r.value;
    if (inner < 0) return inner;
    if (++n > 16)
      return lun_fail(err, LUN_EFORMAT, "a shape of more than 16 dimensions");
    used += (size_t)(dim == -1 ? snprintf(to + used, room - used, "?,")
                               : snprintf(to + used, room - used,
                                          "%" PRId64 ",", dim));
  }
  return got;
}

/* The ranges of field `number`; the last one counts.  0: absent. */
static int find(imp_wire w, int number, imp_field *p, lun_err *err) {
  imp_field q;
  int got, found = 0;
  while ((got = imp_next(&w, &q, err)) > 0)
    if (q.number == number) *p = q, found = 1;
  return got < 0 ? got : found;
}

static int list_value_info(imp_file *f, imp_wire w, const char *head,
                           lun_err *err) {
  imp_field q, elem = {0};
  const char *name = "";
  char shape[400] = "none";
  imp_wire type, tensor;
  imp_line *l = NULL;
  int got;
  if ((got = find(w, 1, &q, err)) < 0) return got;
  if (got) LUN_TRY(imp_text(&w, &q, &name, err));
  LUN_TRY(say(f, head, 3, &l, err));
  l->field[l->n++] = name;
  if ((got = find(w, 2, &q, err)) <= 0 || q.type != 2)
    return got < 0 ? got : (l->field[l->n++] = "none", LUN_OK);
  type = imp_wire_in(&w, &q, "a type");
  if ((got = find(type, 1, &q, err)) <= 0 || q.type != 2)
    return got < 0 ? got : (l->field[l->n++] = "no tensor", LUN_OK);
  tensor = imp_wire_in(&type, &q, "a tensor's type");
  if ((got = find(tensor, 1, &elem, err)) < 0) return got;
  l->field[l->n++] = type_name(got ? elem.value : 0);
  if ((got = find(tensor, 2, &q, err)) < 0) return got;
  if (got && q.type == 2)
    LUN_TRY(shape_text(imp_wire_in(&tensor, &q, "a shape"), shape, sizeof shape,
                       err));
  return text_of(f, &l->field[l->n++], err, "%s", shape);
}

/* ---- the model --------------------------------------------------------- */

static int list_graph(imp_file *f, imp_wire w, lun_err *err) {
  imp_field q;
  int got, nodes = 0, index;
  while ((got = imp_next(&w, &q, err)) > 0) {
    imp_wire in;
    if (q.number != 1 && q.number != 5 && q.number != 11 && q.number != 12 &&
        q.number != 15)
      continue;
    LUN_TRY(imp_want(&w, &q, 2, err));
    in = imp_wire_in(&w, &q,
                     q.number == 1   ? "a node"
                     : q.number == 5 ? "a tensor"
                                     : "an input or output");
    if (q.number == 15)
      return lun_fail(err, LUN_EFORMAT, "sparse initializers: not supported");
    if (q.number == 1 && ++nodes > MAX_NODES)
      return lun_fail(err, LUN_EFORMAT, "more than %d nodes", MAX_NODES);
    LUN_TRY(
        q.number == 1 ? list_node(f, in, err)
        : q.number == 5
            ? add_tensor(f, in, 1, &index, err)
            : list_value_info(f, in, q.number == 11 ? "input" : "output", err));
  }
  return got;
}

static int list_opset(imp_file *f, imp_wire w, lun_err *err) {
  imp_field q;
  imp_line *l = NULL;
  const char *domain = "";
  int64_t version = 0;
  int got;
  while ((got = imp_next(&w, &q, err)) > 0) {
    if (q.number == 1) LUN_TRY(imp_text(&w, &q, &domain, err));
    if (q.number == 2) version = (int64_t)q.value;
  }
  if (got < 0) return got;
  LUN_TRY(say(f, "opset", 2, &l, err));
  l->field[l->n++] = domain;
  return text_of(f, &l->field[l->n++], err, "%" PRId64, version);
}

static int list_metadata(imp_file *f, imp_wire w, lun_err *err) {
  imp_line *l = NULL;
  LUN_TRY(say(f, "meta", 2, &l, err));
  LUN_TRY(read_pair(w, &l->field[1], &l->field[2], err));
  l->n = 3;
  return LUN_OK;
}

static int model_field(imp_file *f, imp_wire *w, const imp_field *q,
                       int *graphs, lun_err *err) {
  imp_line *l = NULL;
  switch (q->number) {
    case 1:
      LUN_TRY(imp_want(w, q, 0, err));
      LUN_TRY(say(f, "onnx", 1, &l, err));
      return text_of(f, &l->field[l->n++], err, "%" PRId64, (int64_t)q->value);
    case 7:
      LUN_TRY(imp_want(w, q, 2, err));
      if (++*graphs > 1)
        return lun_fail(err, LUN_EFORMAT, "two graphs in one file");
      return list_graph(f, imp_wire_in(w, q, "the graph"), err);
    case 8:
      LUN_TRY(imp_want(w, q, 2, err));
      return list_opset(f, imp_wire_in(w, q, "an opset"), err);
    case 14:
      LUN_TRY(imp_want(w, q, 2, err));
      return list_metadata(f, imp_wire_in(w, q, "metadata"), err);
    case 20:
      return lun_fail(err, LUN_EFORMAT, "training is not supported");
    case 25:
      return lun_fail(err, LUN_EFORMAT,
                      "functions of the model's own are not supported");
    default:
      return LUN_OK;
  }
}

int imp_read_onnx(imp_file *f, lun_err *err) {
  imp_wire w = imp_wire_all(f);
  imp_field q;
  int got, graphs = 0;
  f->format = "ONNX";
  while ((got = imp_next(&w, &q, err)) > 0)
    LUN_TRY(model_field(f, &w, &q, &graphs, err));
  if (got < 0) return got;
  if (graphs == 0) return lun_fail(err, LUN_EFORMAT, "no graph in the file");
  return LUN_OK;
}

/* ir_version first, as nearly everybody writes; else the top level tells. */
int imp_is_onnx(imp_file *f) {
  static const int known[] = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26};
  imp_wire w = imp_wire_all(f);
  imp_field q;
  lun_err err;
  uint8_t head[2] = {0, 0};
  int got, graph = 0;
  if (imp_read_at(f, head, f->size < 2 ? 1 : 2, 0, &err) != LUN_OK) return 0;
  if (head[0] == 8) return 1;
  while ((got = imp_next(&w, &q, &err)) > 0) {
    int ok = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      ok |= q.number == known[i];
    if (!ok) return 0;
    graph |= q.number == 7 && q.type == 2;
  }
  return graph;
}
