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
** Tensors: onnx_tensor.c.  What an operator means is not known here.  Subgraphs are named, not read.
*/
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx.h"

enum {
  MAX_NODES = 65536,
  MAX_PARTS = 8192, /* inputs, outputs or attributes of a node */
};

/* ---- nodes -------------------------------------------------------------- */

typedef struct parts { /* what comes repeatedly, kept until the line is said */
  const char **list;
  int n, room;
} parts;

static int add_part(imp_file *f, parts *p, const char *s, lun_err *err) {
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
static int add_numbers(imp_wire *w, const imp_field *q, int fixed, parts *v,
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
    LUN_TRY(fixed ? imp_onnx_text(w->f, &s, err, "%.9g", (double)f)
                  : imp_onnx_text(w->f, &s, err, "%" PRId64, (int64_t)x));
    LUN_TRY(add_part(w->f, v, s, err));
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
static int add_tensor(imp_file *f, imp_wire *w, const imp_field *q,
                      attribute *a, lun_err *err) {
  const char *s;
  int index;
  LUN_TRY(imp_want(w, q, 2, err));
  LUN_TRY(imp_onnx_tensor(f, imp_wire_in(w, q, "a tensor"), 0, &index, err));
  LUN_TRY(imp_onnx_text(f, &s, err, "%d", index));
  return add_part(f, &a->value, s, err);
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
      return add_numbers(w, q, 1, &a->value, err);
    case 3:
    case 8:
      return add_numbers(w, q, 0, &a->value, err);
    case 4:
    case 9:
      LUN_TRY(imp_text(w, q, &s, err));
      return add_part(f, &a->value, s, err);
    case 5:
      return add_tensor(f, w, q, a, err);
    default:
      return LUN_OK; /* a subgraph */
  }
}

/* The type that it says agrees with what it holds; a value of 0, or an empty
** text, may be absent from the wire. */
static int resolve_type(imp_file *f, attribute *a, lun_err *err) {
  static const char kinds[] = "?fistgFISTG";
  char said = a->type < sizeof kinds - 1 ? kinds[a->type] : '?';
  if (said == '?') return LUN_OK;
  if (a->seen != '?' && a->seen != said)
    return lun_fail(err, LUN_EFORMAT,
                    "attribute '%s' says type %d and holds another", a->name,
                    (int)a->type);
  if (a->seen == '?' && strchr("fis", said))
    LUN_TRY(add_part(f, &a->value, said == 's' ? "" : "0", err));
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
  LUN_TRY(resolve_type(f, &a, err));
  LUN_TRY(imp_say(f, "attr", a.value.n + 2, &l, err));
  l->field[l->n++] = a.name;
  LUN_TRY(imp_onnx_text(f, &l->field[l->n++], err, "%c", a.seen));
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
      LUN_TRY(add_part(f, q.number == 1 ? &in : &out, s, err));
    }
    if (q.number == 3) LUN_TRY(imp_text(&w, &q, &name, err));
    if (q.number == 4) LUN_TRY(imp_text(&w, &q, &op, err));
    if (q.number == 7) LUN_TRY(imp_text(&w, &q, &domain, err));
  }
  if (got < 0) return got;
  LUN_TRY(imp_say(f, "node", 4 + in.n + out.n, &l, err));
  l->field[l->n++] = op;
  l->field[l->n++] = domain;
  l->field[l->n++] = name;
  LUN_TRY(imp_onnx_text(f, &l->field[l->n++], err, "%d", in.n));
  for (int i = 0; i < in.n; i++) l->field[l->n++] = in.list[i];
  for (int i = 0; i < out.n; i++) l->field[l->n++] = out.list[i];
  while ((got = imp_next(&again, &q, err)) > 0) {
    if (q.number != 5) continue;
    LUN_TRY(imp_want(&again, &q, 2, err));
    LUN_TRY(list_attribute(f, imp_wire_in(&again, &q, "an attribute"), err));
  }
  return got;
}

/* ---- inputs and outputs ------------------------------------------------- */

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
  LUN_TRY(imp_say(f, head, 3, &l, err));
  l->field[l->n++] = name;
  if ((got = find(w, 2, &q, err)) <= 0 || q.type != 2)
    return got < 0 ? got : (l->field[l->n++] = "none", LUN_OK);
  type = imp_wire_in(&w, &q, "a type");
  if ((got = find(type, 1, &q, err)) <= 0 || q.type != 2)
    return got < 0 ? got : (l->field[l->n++] = "no tensor", LUN_OK);
  tensor = imp_wire_in(&type, &q, "a tensor's type");
  if ((got = find(tensor, 1, &elem, err)) < 0) return got;
  l->field[l->n++] = imp_onnx_type(got ? elem.value : 0);
  if ((got = find(tensor, 2, &q, err)) < 0) return got;
  if (got && q.type == 2)
    LUN_TRY(shape_text(imp_wire_in(&tensor, &q, "a shape"), shape, sizeof shape,
                       err));
  return imp_onnx_text(f, &l->field[l->n++], err, "%s", shape);
}

/* ---- the model ---------------------------------------------------------- */

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
            ? imp_onnx_tensor(f, in, 1, &index, err)
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
  LUN_TRY(imp_say(f, "opset", 2, &l, err));
  l->field[l->n++] = domain;
  return imp_onnx_text(f, &l->field[l->n++], err, "%" PRId64, version);
}

static int list_metadata(imp_file *f, imp_wire w, lun_err *err) {
  imp_line *l = NULL;
  LUN_TRY(imp_say(f, "meta", 2, &l, err));
  LUN_TRY(imp_onnx_pair(w, &l->field[1], &l->field[2], err));
  l->n = 3;
  return LUN_OK;
}

static int model_field(imp_file *f, imp_wire *w, const imp_field *q,
                       int *graphs, lun_err *err) {
  imp_line *l = NULL;
  switch (q->number) {
    case 1:
      LUN_TRY(imp_want(w, q, 0, err));
      LUN_TRY(imp_say(f, "onnx", 1, &l, err));
      return imp_onnx_text(f, &l->field[l->n++], err, "%" PRId64,
                           (int64_t)q->value);
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
  int graph = 0;
  if (imp_read_at(f, head, f->size < 2 ? 1 : 2, 0, &err) != LUN_OK) return 0;
  if (head[0] == 8) return 1;
  while (imp_next(&w, &q, &err) > 0) {
    int ok = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
      ok |= q.number == known[i];
    if (!ok) return 0;
    graph |= q.number == 7 && q.type == 2;
  }
  return graph;
}
