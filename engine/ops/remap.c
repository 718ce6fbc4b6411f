/*
** remap.c - operators that pick input positions dimension by dimension:
** narrow, pad, roll, flip, index_select.
**
** For every dimension a table says from which input index each output index
** comes, -1 for the padding value.  The gradient adds along the same tables,
** so an element that appears twice collects twice.
*/
#include <string.h>

#include "ops.h"

/* ---- the table ---------------------------------------------------------- */

typedef struct remap {
  int nd; /* dimensions before the run */
  int64_t in[LUN_MAXDIM], out[LUN_MAXDIM], step[LUN_MAXDIM];
  const int64_t *table[LUN_MAXDIM];
  int64_t run;  /* trailing floats that move together */
  int64_t rows; /* product of out[0 .. nd-2] */
  int64_t safe; /* rows apart by a multiple of rows/safe never meet */
  float value;  /* where a table says -1 */
  const float *from;
  float *to;
  int64_t from_size, to_size;
} remap;

/* Fills table (one entry an output index) of dimension d. */
typedef int tabulate(const lun_node *n, int d, int64_t *table, lun_err *err);

static int straight(const int64_t *table, int64_t in, int64_t out) {
  if (in != out) return 0;
  for (int64_t i = 0; i < out; i++)
    if (table[i] != i) return 0;
  return 1;
}

/* Leading dimensions that are straight can run side by side in backward;
** trailing ones move as one block. */
static void simplify(remap *r, int ndim) {
  int lead = 0;
  r->nd = ndim;
  r->run = 1;
  while (r->nd > 1 &&
         straight(r->table[r->nd - 1], r->in[r->nd - 1], r->out[r->nd - 1])) {
    r->nd--;
    r->run *= r->out[r->nd];
  }
  r->rows = r->safe = 1;
  for (int d = 0; d < r->nd - 1; d++) r->rows *= r->out[d];
  while (lead < r->nd - 1 &&
         straight(r->table[lead], r->in[lead], r->out[lead]))
    r->safe *= r->out[lead++];
}

/* Builds r; *table must be lun_free'd by the caller. */
static int build(const lun_node *n, tabulate *fn, remap *r, int64_t **table,
                 lun_err *err) {
  const lun_tensor *x = n->in[0], *y = n->out;
  int64_t total = 0, *at;
  for (int d = 0; d < y->ndim; d++) total += y->dim[d];
  *table = at = lun_malloc((size_t)(total + 1) * sizeof *at);
  if (!at) return ops_fail(n, err, LUN_ENOMEM, "no memory for an index table");
  memset(r, 0, sizeof *r);
  ops_strides(x->ndim, x->dim, r->step);
  for (int d = 0; d < y->ndim; d++) {
    r->in[d] = x->dim[d];
    r->out[d] = y->dim[d];
    r->table[d] = at;
    LUN_TRY(fn(n, d, at, err));
    at += y->dim[d];
  }
  simplify(r, y->ndim);
  return LUN_OK;
}

/* Input offset of a row of output; -1 when it is padding throughout. */
static int64_t row_offset(const remap *r, int64_t row) {
  int64_t off = 0;
  for (int d = r->nd - 2; d >= 0; d--) {
    int64_t i = r->table[d][row % r->out[d]];
    row /= r->out[d];
    if (i < 0) return -1;
    off += i * r->step[d];
  }
  return off;
}

static void fill(float *to, int64_t len, float v) {
  for (int64_t i = 0; i < len; i++) to[i] = v;
}

/* One row of the last mapped dimension, block by block. */
static void take_row(void *arg, int64_t row) {
  const remap *r = arg;
  int last = r->nd - 1;
  int64_t off = row_offset(r, row), run = r->run;
  float *to = r->to + row * r->out[last] * run;
  for (int64_t i = 0; i < r->out[last]; i++, to += run) {
    int64_t from = off < 0 ? -1 : r->table[last][i];
    if (from < 0)
      fill(to, run, r->value);
    else if (run == 1)
      *to = r->from[off + from * r->step[last]];
    else
      memcpy(to, r->from + off + from * r->step[last],
             (size_t)run * sizeof *to);
  }
}

/* The rows of one safe part of one copy, added in order. */
static void give_rows(void *arg, int64_t unit) {
  const remap *r = arg;
  int last = r->nd - 1;
  int64_t copy = unit / r->safe, part = unit % r->safe, run = r->run;
  int64_t rows = r->rows / r->safe, clear = r->to_size / r->safe;
  const float *dy =
      r->from + copy * r->from_size + part * rows * r->out[last] * run;
  float *dx = r->to + copy * r->to_size;
  memset(dx + part * clear, 0, (size_t)clear * sizeof *dx);
  for (int64_t row = part * rows; row < (part + 1) * rows; row++) {
    int64_t off = row_offset(r, row);
    for (int64_t i = 0; i < r->out[last]; i++, dy += run) {
      int64_t to = off < 0 ? -1 : r->table[last][i];
      if (to < 0) continue;
      float *x = dx + off + to * r->step[last];
      for (int64_t j = 0; j < run; j++) x[j] += dy[j];
    }
  }
}

static int remap_forward(lun_node *n, tabulate *fn, float value, lun_err *err) {
  remap r;
  int64_t *table;
  int status = build(n, fn, &r, &table, err);
  if (status == LUN_OK && n->out->size > 0) {
    r.value = value;
    r.from = n->in[0]->data;
    r.to = n->out->data;
    status = ops_units(n, r.rows, r.out[r.nd - 1] * r.run, take_row, &r, err);
  }
  lun_free(table);
  return status;
}

static int remap_back(const lun_back *b, tabulate *fn, lun_err *err) {
  const lun_node *n = b->node;
  remap r;
  int64_t *table;
  if (!b->dx[0]) return LUN_OK;
  if (n->out->size == 0) return ops_zero(b, 0), LUN_OK;
  int status = build(n, fn, &r, &table, err);
  if (status == LUN_OK) {
    r.from = b->dy;
    r.to = b->dx[0];
    r.from_size = n->out->size;
    r.to_size = n->in[0]->size;
    status = ops_units(n, b->copies * r.safe, r.from_size / r.safe, give_rows,
                       &r, err);
  }
  lun_free(table);
  return status;
}

#define REMAP(id, text, inputs, attributes, fill_value)                        \
  static int id##_forward(lun_node *n, lun_err *err) {                         \
    return remap_forward(n, id##_table, fill_value, err);                      \
  }                                                                            \
  static int id##_back(const lun_back *b, lun_err *err) {                      \
    for (int i = 1; i < b->node->nin; i++) ops_zero(b, i);                     \
    return remap_back(b, id##_table, err);                                     \
  }                                                                            \
  OPS_PLAIN(id);                                                               \
  OPS_OPERATOR(id, text, inputs, inputs, .attrs = attributes,                  \
               .infer = id##_infer);

/* ---- narrow ------------------------------------------------------------- */

enum { DIM = 0, START = 1, LENGTH = 2 };

static const lun_attrdef narrow_attrs[] = {
    {.name = "dim", .at = DIM, .count = 1, .fallback = LUN_UNSET},
    {.name = "start", .at = START, .count = 1, .fallback = 1},
    {.name = "length", .at = LENGTH, .count = 1, .fallback = 1},
    {.name = NULL},
};

static int narrow_infer(lun_node *n, lun_err *err) {
  int64_t dim[LUN_MAXDIM], start, length;
  int axis;
  LUN_TRY(ops_axis(n, DIM, n->in[0]->ndim, &axis, err));
  memcpy(dim, n->in[0]->dim, sizeof dim);
  LUN_TRY(ops_int(n, START, 1, dim[axis] + 1, &start, err));
  LUN_TRY(ops_int(n, LENGTH, 0, dim[axis] - start + 1, &length, err));
  dim[axis] = length;
  return lun_node_shape(n, n->in[0]->ndim, dim, err);
}

static int narrow_table(const lun_node *n, int d, int64_t *table,
                        lun_err *err) {
  int axis;
  LUN_TRY(ops_axis(n, DIM, n->in[0]->ndim, &axis, err));
  int64_t shift = d == axis ? (int64_t)n->attr[START] - 1 : 0;
  for (int64_t i = 0; i < n->out->dim[d]; i++) table[i] = i + shift;
  return LUN_OK;
}

REMAP(narrow, "narrow(x, dim, start, length): from start, counted from 1", 1,
      narrow_attrs, 0)

/* ---- pad ---------------------------------------------------------------- */

enum { BEFORE = 0, AFTER = LUN_MAXDIM, MODE = 2 * LUN_MAXDIM, VALUE };
enum { CONSTANT, REFLECT, REPLICATE };

static const lun_attrdef pad_attrs[] = {
    {.name = "before", .at = BEFORE, .count = LUN_MAXDIM, .fallback = 0},
    {.name = "after", .at = AFTER, .count = LUN_MAXDIM, .fallback = 0},
    {.name = "mode", .at = MODE, .count = 1, .fallback = CONSTANT},
    {.name = "value", .at = VALUE, .count = 1, .fallback = 0},
    {.name = NULL},
};

/* A slot that the caller left out of a list is 0. */
static int pad_width(const lun_node *n, int at, int64_t *out, lun_err *err) {
  *out = 0;
  return ops_given(n, at) ? ops_int(n, at, 0, 1 << 24, out, err) : LUN_OK;
}

static int pad_infer(lun_node *n, lun_err *err) {
  const lun_tensor *x = n->in[0];
  int64_t dim[LUN_MAXDIM], before, after, mode;
  LUN_TRY(ops_int(n, MODE, CONSTANT, REPLICATE, &mode, err));
  for (int d = 0; d < x->ndim; d++) {
    LUN_TRY(pad_width(n, BEFORE + d, &before, err));
    LUN_TRY(pad_width(n, AFTER + d, &after, err));
    int64_t most = before > after ? before : after;
    if (most > 0 && ((mode == REFLECT && most >= x->dim[d]) ||
                     (mode == REPLICATE && x->dim[d] < 1)))
      return ops_fail(n, err, LUN_ESHAPE,
                      "padding %lld is too much for dimension %d of length "
                      "%lld",
                      (long long)most, d + 1, (long long)x->dim[d]);
    dim[d] = before + x->dim[d] + after;
  }
  return lun_node_shape(n, x->ndim, dim, err);
}

static int pad_table(const lun_node *n, int d, int64_t *table, lun_err *err) {
  int64_t before, len = n->in[0]->dim[d], mode = (int64_t)n->attr[MODE];
  LUN_TRY(pad_width(n, BEFORE + d, &before, err));
  for (int64_t i = 0; i < n->out->dim[d]; i++) {
    int64_t j = i - before;
    if (mode == REFLECT) /* without repeating the edge */
      j = j < 0 ? -j : j >= len ? 2 * (len - 1) - j : j;
    if (mode == REPLICATE) j = j < 0 ? 0 : j >= len ? len - 1 : j;
    table[i] = j < 0 || j >= len ? -1 : j;
  }
  return LUN_OK;
}

REMAP(pad,
      "pad(x, before, after, mode, value): mode 0 constant, 1 reflect, "
      "2 replicate",
      1, pad_attrs, (float)n->attr[VALUE])

/* ---- roll --------------------------------------------------------------- */

static const lun_attrdef roll_attrs[] = {
    {.name = "shift", .at = 0, .count = LUN_MAXDIM, .fallback = 0},
    {.name = NULL},
};

enum { FAR = 1 << 30 };

static int roll_infer(lun_node *n, lun_err *err) {
  int64_t shift;
  for (int d = 0; d < n->in[0]->ndim; d++)
    if (ops_given(n, d)) LUN_TRY(ops_int(n, d, -FAR, FAR, &shift, err));
  return ops_same(n, err);
}

static int roll_table(const lun_node *n, int d, int64_t *table, lun_err *err) {
  int64_t len = n->out->dim[d];
  int64_t shift = ops_given(n, d) && len ? (int64_t)n->attr[d] % len : 0;
  (void)err;
  for (int64_t i = 0; i < len; i++) table[i] = (i - shift + len) % len;
  return LUN_OK;
}

REMAP(roll,
      "roll(x, shift): element i of a dimension goes to i + shift, "
      "round the end",
      1, roll_attrs, 0)

/* ---- flip --------------------------------------------------------------- */

static const lun_attrdef flip_attrs[] = {
    {.name = "dims", .at = 0, .count = LUN_MAXDIM, .fallback = LUN_UNSET},
    {.name = NULL},
};

static int flip_infer(lun_node *n, lun_err *err) {
  int flag[LUN_MAXDIM], given;
  LUN_TRY(ops_axes(n, 0, n->in[0]->ndim, flag, &given, err));
  if (!given)
    return ops_fail(n, err, LUN_EARG, "'dims' is missing: flip { dims = ... }");
  return ops_same(n, err);
}

static int flip_table(const lun_node *n, int d, int64_t *table, lun_err *err) {
  int flag[LUN_MAXDIM], given;
  int64_t len = n->out->dim[d];
  LUN_TRY(ops_axes(n, 0, n->in[0]->ndim, flag, &given, err));
  for (int64_t i = 0; i < len; i++) table[i] = flag[d] ? len - 1 - i : i;
  return LUN_OK;
}

REMAP(flip, "flip(x, dims): those dimensions backwards", 1, flip_attrs, 0)

/* ---- index_select ------------------------------------------------------- */

static const lun_attrdef index_attrs[] = {
    {.name = "dim", .at = DIM, .count = 1, .fallback = 1},
    {.name = NULL},
};

static int index_select_infer(lun_node *n, lun_err *err) {
  int64_t dim[LUN_MAXDIM];
  int axis;
  LUN_TRY(ops_axis(n, DIM, n->in[0]->ndim, &axis, err));
  LUN_TRY(ops_index(n, 1, n->in[0]->dim[axis], err));
  memcpy(dim, n->in[0]->dim, sizeof dim);
  dim[axis] = n->in[1]->size;
  return lun_node_shape(n, n->in[0]->ndim, dim, err);
}

static int index_select_table(const lun_node *n, int d, int64_t *table,
                              lun_err *err) {
  int axis;
  LUN_TRY(ops_axis(n, DIM, n->in[0]->ndim, &axis, err));
  /* again: somebody may have written into the index since infer */
  if (d == axis) LUN_TRY(ops_index(n, 1, n->in[0]->dim[axis], err));
  for (int64_t i = 0; i < n->out->dim[d]; i++)
    table[i] = d == axis ? (int64_t)n->in[1]->data[i] - 1 : i;
  return LUN_OK;
}

REMAP(index_select,
      "index_select(x, index, dim): the index'th slices, counted from 1", 2,
      index_attrs, 0)
